//! A memory pool shared by all receivers, counted in bytes. The oldest receivers are served first, and one address has
//! at most half; of bodies that would take most of that half, an address has one at a time. If all holders wait for
//! each other, the youngest gives way, so that the oldest can continue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The memory, and its holders.
#[derive(Debug)]
pub(super) struct Pool {
    size: usize,
    ledger: Mutex<Ledger>,
}

/// A share of a pool, until it is dropped.
#[derive(Debug)]
pub(super) struct Part {
    pool: Arc<Pool>,
    id: u64,
}

#[derive(Debug, Default)]
struct Ledger {
    next_id: u64,
    /// By age: the oldest part has the lowest number.
    parts: BTreeMap<u64, Entry>,
    waiting: BTreeSet<u64>,
    given: usize,
    given_to: HashMap<IpAddr, usize>,
    /// The large part of each address that holds memory.
    large: HashMap<IpAddr, u64>,
}

#[derive(Debug)]
struct Entry {
    network: Option<IpAddr>,
    /// It will need more than half of its address's share.
    is_large: bool,
    has: usize,
    /// The total that it waits for, and the channel for the outcome.
    wants: Option<(usize, oneshot::Sender<bool>)>,
}

/// Which resource is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scarce {
    /// The memory.
    All,
    /// The share of the address.
    Share,
}

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            ledger: Mutex::default(),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The share of one address, in bytes.
    fn share(&self) -> usize {
        self.size.div_ceil(2)
    }

    /// What keeps a part from having this many bytes. A part that wants more than the total takes all of it.
    fn scarce(&self, ledger: &Ledger, id: u64, wants: usize) -> Option<Scarce> {
        let part = &ledger.parts[&id];
        let others = ledger.given - part.has.min(self.size);
        if others + wants.min(self.size) > self.size {
            return Some(Scarce::All);
        }
        let network = part.network?;
        if part.is_large && ledger.large.get(&network).is_some_and(|other| *other != id) {
            return Some(Scarce::Share);
        }
        let given = ledger.given_to.get(&network).copied().unwrap_or_default();
        let others = given - part.has.min(self.share());
        (others + wants.min(self.share()) > self.share()).then_some(Scarce::Share)
    }

    fn give(&self, ledger: &mut Ledger, id: u64, bytes: usize) {
        let Some(part) = ledger.parts.get_mut(&id) else { return };
        let before = std::mem::replace(&mut part.has, bytes);
        ledger.given = ledger.given + bytes.min(self.size) - before.min(self.size);
        if let Some(network) = part.network {
            let given = ledger.given_to.entry(network).or_default();
            *given = *given + bytes.min(self.share()) - before.min(self.share());
            if *given == 0 {
                ledger.given_to.remove(&network);
            }
            match part.is_large {
                true if bytes > 0 => drop(ledger.large.insert(network, id)),
                true if before > 0 => drop(ledger.large.remove(&network)),
                _ => {}
            }
        }
    }

    /// Grants free memory to the waiting parts.
    fn settle(&self, ledger: &mut Ledger) {
        let mut scarce = Vec::new();
        for id in ledger.waiting.clone() {
            let part = &ledger.parts[&id];
            let wants = part.wants.as_ref().map_or(0, |(wants, _)| *wants);
            match self.scarce(ledger, id, wants) {
                None => {
                    self.give(ledger, id, wants);
                    ledger.answer(id, true);
                }
                Some(Scarce::Share) => scarce.push(part.network),
                // The rest is for the oldest.
                Some(Scarce::All) => {
                    scarce.push(None);
                    break;
                }
            }
        }
        for network in scarce {
            if let Some(youngest) = ledger.youngest_of_stuck(network) {
                ledger.answer(youngest, false);
            }
        }
    }
}

impl Ledger {
    /// Ends the wait of a part.
    fn answer(&mut self, id: u64, granted: bool) {
        self.waiting.remove(&id);
        if let Some((_, answer)) = self.parts.get_mut(&id).and_then(|part| part.wants.take()) {
            // A part that stopped waiting is about to give everything back.
            let _ = answer.send(granted);
        }
    }

    /// The youngest holder, of one address or overall, if all holders wait for more: otherwise none would ever give any
    /// back.
    fn youngest_of_stuck(&self, network: Option<IpAddr>) -> Option<u64> {
        let concerned = |part: &Entry| part.has > 0 && (network.is_none() || part.network == network);
        let mut holders = self.parts.iter().filter(|(_, part)| concerned(part));
        let is_stuck = holders.clone().all(|(_, part)| part.wants.is_some());
        holders.next_back().filter(|_| is_stuck).map(|(id, _)| *id)
    }
}

impl Part {
    /// Nothing yet. The address is whose share it counts for, and `expected` the bytes that it may come to, if that is
    /// known.
    pub(super) fn of(pool: &Arc<Pool>, address: Option<IpAddr>, expected: Option<usize>) -> Self {
        let mut ledger = pool.ledger.lock();
        let id = ledger.next_id;
        ledger.next_id += 1;
        let entry = Entry {
            network: address.map(network_of),
            is_large: expected.is_some_and(|expected| expected > pool.share() / 2),
            has: 0,
            wants: None,
        };
        ledger.parts.insert(id, entry);
        Self {
            pool: Arc::clone(pool),
            id,
        }
    }

    /// Waits until it has this many bytes in total. `false`: it will not get them, and others wait for what it has.
    pub(super) async fn grow(&mut self, bytes: usize) -> bool {
        let granted = {
            let mut ledger = self.pool.ledger.lock();
            let (answer, granted) = oneshot::channel();
            if let Some(part) = ledger.parts.get_mut(&self.id) {
                part.wants = Some((bytes, answer));
            }
            ledger.waiting.insert(self.id);
            self.pool.settle(&mut ledger);
            granted
        };
        granted.await.unwrap_or(false)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut ledger = self.pool.ledger.lock();
        self.pool.give(&mut ledger, self.id, 0);
        ledger.waiting.remove(&self.id);
        ledger.parts.remove(&self.id);
        self.pool.settle(&mut ledger);
    }
}

/// A client with an IPv6 address controls its whole network (/64).
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::2:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }

    #[tokio::test]
    async fn when_all_wait_for_each_other_the_youngest_gives_way() {
        let pool = Arc::new(Pool::new(100));
        let part = |last| Part::of(&pool, address(last), None);
        let (mut first, mut second) = (part(1), part(2));
        assert!(first.grow(50).await && second.grow(50).await);
        let mut third = part(3);
        let mut behind = Box::pin(third.grow(10));
        assert_eq!(behind.as_mut().now_or_never(), None);
        let mut more = Box::pin(first.grow(100));
        assert_eq!(more.as_mut().now_or_never(), None, "the second may end by itself");
        assert_eq!(second.grow(60).now_or_never(), Some(false));
        drop(second);
        assert_eq!(more.as_mut().now_or_never(), Some(true), "it is older than the third");
        assert_eq!(behind.as_mut().now_or_never(), None);
        drop(more);
        drop(first);
        assert_eq!(behind.now_or_never(), Some(true));
    }

    #[tokio::test]
    async fn what_an_address_has_too_little_of_holds_up_no_other_address() {
        let pool = Arc::new(Pool::new(100));
        let part = |last| Part::of(&pool, address(last), None);
        let (mut first, mut second) = (part(1), part(1));
        assert!(first.grow(50).await);
        let mut waiting = Box::pin(second.grow(10));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert_eq!(part(2).grow(50).now_or_never(), Some(true));
        assert!(first.grow(500).await, "more than there is");
        drop(first);
        assert_eq!(waiting.now_or_never(), Some(true));
        drop(second);
        let ledger = pool.ledger.lock();
        assert!(ledger.parts.is_empty() && ledger.given == 0 && ledger.given_to.is_empty());
    }

    #[tokio::test]
    async fn of_what_would_take_most_of_its_share_an_address_has_one_at_a_time() {
        let pool = Arc::new(Pool::new(100));
        let large = |last| Part::of(&pool, address(last), Some(26));
        let (mut first, mut second, mut other) = (large(1), large(1), large(2));
        assert!(first.grow(1).await);
        let mut waiting = Box::pin(second.grow(1));
        assert_eq!(waiting.as_mut().now_or_never(), None, "it has nothing, and waits");
        assert!(other.grow(1).await, "another address");
        assert!(
            Part::of(&pool, address(1), Some(25)).grow(25).await,
            "a small one beside it"
        );
        assert!(first.grow(50).await);
        drop(first);
        assert_eq!(waiting.now_or_never(), Some(true));
        drop((second, other));
        assert!(pool.ledger.lock().large.is_empty());
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_nothing_and_holds_up_nobody() {
        let pool = Arc::new(Pool::new(100));
        let part = || Part::of(&pool, None, None);
        let mut first = part();
        assert!(first.grow(60).await);
        let (mut second, mut third) = (part(), part());
        let mut gone = Box::pin(second.grow(60));
        let mut waiting = Box::pin(third.grow(40));
        assert_eq!(gone.as_mut().now_or_never(), None);
        assert_eq!(waiting.as_mut().now_or_never(), None, "the second came first");
        drop(gone);
        drop(second);
        assert_eq!(waiting.now_or_never(), Some(true));
    }
}
