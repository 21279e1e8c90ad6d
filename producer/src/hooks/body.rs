//! Receives bodies in bounded memory: `events.max_bytes_in_flight` in total, at most half of it for one address, and
//! with limits on the length, rate and duration of each body. Memory is counted as bytes arrive, never by an announced
//! length.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::memory::{Part, Pool};

/// A sender that sends nothing for this long is cut off.
const IDLE: Duration = Duration::from_secs(5);
/// So is one that, after a first such period, sends less than [`LEAST`] bytes in this time.
const WINDOW: Duration = Duration::from_secs(5);
/// See [`WINDOW`].
const LEAST: usize = 8 * 1024;
/// So is one that takes longer than this in total.
const WHOLE: Duration = Duration::from_secs(60);
/// How long a body waits for memory: others are stored meanwhile, and providers wait 10 s for a response.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a body was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotReceived {
    /// It is longer than the hook takes.
    Long,
    /// Too many bodies are in memory.
    Full,
    /// Its sender is too slow.
    Slow,
    /// Its sender hung up.
    Broken,
}

/// A body, with its share of the memory pool until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    memory: Part,
}

impl Held {
    /// The bytes, with their share of the memory pool until dropped.
    pub(super) fn into_parts(self) -> (Vec<u8>, Part) {
        (self.bytes, self.memory)
    }
}

/// The memory pools for bodies. One is reserved for small bodies, which must not wait for large ones.
#[derive(Debug)]
pub(super) struct Memory {
    large: Arc<Pool>,
    small: Arc<Pool>,
}

/// The pace of a sender.
struct Pace {
    deadline: Instant,
    /// When it last sent anything.
    heard: Instant,
    /// The number of bytes that must have arrived by this deadline.
    due: (Instant, usize),
}

impl Pace {
    fn begin() -> Self {
        let now = Instant::now();
        Self {
            deadline: now + WHOLE,
            heard: now,
            due: (now + WINDOW, 0),
        }
    }

    /// The next chunk, after `received` bytes; none: the end.
    async fn next(&mut self, body: &mut BodyDataStream, received: usize) -> Result<Option<Bytes>, NotReceived> {
        loop {
            let idle = self.deadline.min(self.heard + IDLE);
            if let Ok(next) = timeout_at(idle.min(self.due.0), body.next()).await {
                self.heard = Instant::now();
                return next.transpose().map_err(|_| NotReceived::Broken);
            }
            let now = Instant::now();
            if now >= idle || received < self.due.1 {
                return Err(NotReceived::Slow);
            }
            self.due = (now + WINDOW, received + LEAST);
        }
    }

    /// Excludes the time since then, during which the sender had to wait.
    fn excuse(&mut self, since: Instant) {
        self.heard = Instant::now();
        self.due.0 += since.elapsed();
    }
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let small = bytes / 8;
        Self {
            large: Arc::new(Pool::new(bytes - small)),
            small: Arc::new(Pool::new(small)),
        }
    }

    /// The pool that a body of this length, if known, is counted in.
    fn pool(&self, bytes: Option<usize>) -> &Arc<Pool> {
        match bytes {
            Some(bytes) if bytes <= self.small.size() / 8 => &self.small,
            _ => &self.large,
        }
    }

    /// Receives a body of at most `most` bytes. `length`: what its sender said.
    pub(super) async fn receive(
        &self,
        body: Body,
        (length, most): (Option<u64>, u64),
        address: Option<IpAddr>,
    ) -> Result<Held, NotReceived> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let said = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if said.is_some_and(|said| said > most) {
            return Err(NotReceived::Long);
        }
        let most = said.unwrap_or(most);
        let mut memory = Part::of(self.pool(said), address, said);
        let (mut bytes, mut counted) = (Vec::new(), 0);
        let (mut body, mut pace) = (body.into_data_stream(), Pace::begin());
        while let Some(chunk) = pace.next(&mut body, bytes.len()).await? {
            let length = bytes.len() + chunk.len();
            if length > most {
                return Err(NotReceived::Long);
            }
            if length > counted {
                let since = Instant::now();
                // A part of it at first, then doubled each time: the announced length is not trusted.
                counted = length.max(2 * bytes.len()).min(most);
                let granted = timeout(PATIENCE, memory.grow(counted)).await;
                if granted != Ok(true) {
                    return Err(NotReceived::Full);
                }
                pace.excuse(since);
                if bytes.capacity() == 0 {
                    // Allocated in one piece, to avoid copies later: untouched pages take no memory. If that fails, it
                    // grows instead.
                    let _ = bytes.try_reserve_exact(said.unwrap_or(counted));
                }
                bytes.reserve_exact(counted - bytes.len());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Held { bytes, memory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn receive(memory: &Memory, body: Vec<u8>, length: Option<u64>, most: u64) -> Result<Held, NotReceived> {
        memory.receive(Body::from(body), (length, most), None).await
    }

    /// A body that starts with `first` bytes, then sends one more at each interval.
    fn dribbling(first: usize, every: Duration) -> Body {
        let dribble = futures::stream::unfold(first, move |count| async move {
            if count != first || first == 0 {
                tokio::time::sleep(every).await;
            }
            Some((Ok::<_, std::io::Error>(vec![b'x'; count.max(1)]), 1))
        });
        Body::from_stream(dribble)
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_share_a_bounded_memory_and_give_it_back() {
        let memory = Memory::new(4096);
        let first = receive(&memory, vec![1; 3000], Some(3000), 10_000).await.unwrap();
        for length in [None, Some(2000)] {
            let second = receive(&memory, vec![2; 2000], length, 10_000).await;
            assert_eq!(second.unwrap_err(), NotReceived::Full);
        }
        drop(first);
        assert_eq!(
            receive(&memory, vec![2; 2000], None, 10_000).await.unwrap().bytes,
            [2; 2000]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_waits_for_one_that_is_being_written() {
        let memory = Memory::new(4096);
        let first = receive(&memory, vec![1; 3000], Some(3000), 10_000).await.unwrap();
        let second = receive(&memory, vec![2; 2000], Some(2000), 10_000);
        let written = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(second, written);
        assert_eq!(second.unwrap().bytes, [2; 2000]);
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_do_not_wait_for_large_ones() {
        let memory = Memory::new(1 << 20);
        let _large = receive(&memory, vec![1; 900_000], Some(900_000), 1 << 20)
            .await
            .unwrap();
        let waiting = receive(&memory, vec![1; 900_000], Some(900_000), 1 << 20);
        let small = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let began = Instant::now();
            receive(&memory, vec![2; 1000], Some(1000), 10_000).await.unwrap();
            began.elapsed()
        };
        let (waiting, took) = tokio::join!(waiting, small);
        assert_eq!(waiting.unwrap_err(), NotReceived::Full);
        assert_eq!(took, Duration::ZERO);
    }

    #[tokio::test]
    async fn a_body_that_is_longer_than_said_or_allowed_is_refused() {
        let memory = Memory::new(1 << 20);
        for length in [None, Some(1001), Some(10)] {
            let body = receive(&memory, vec![1; 1001], length, 1000).await;
            assert_eq!(body.unwrap_err(), NotReceived::Long);
        }
        assert!(receive(&memory, vec![1; 1000], None, 1000).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_dribbles_is_cut_off() {
        let memory = Memory::new(1 << 20);
        for (first, every, limit) in [(0, 4, 11), (50_000, 4, 11), (50_000, 6, 6)] {
            let began = Instant::now();
            let body = dribbling(first, Duration::from_secs(every));
            let received = memory.receive(body, (None, 100_000), None).await;
            assert_eq!(received.unwrap_err(), NotReceived::Slow);
            assert!(began.elapsed() <= Duration::from_secs(limit), "{:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn senders_that_announce_much_and_send_little_do_not_stop_the_others() {
        let memory = Arc::new(Memory::new(32 << 20));
        for last in 0..100 {
            let memory = Arc::clone(&memory);
            let body = dribbling(0, Duration::from_secs(3));
            tokio::spawn(async move { memory.receive(body, (Some(524_288), 1 << 20), address(last)).await });
        }
        // Now, and when each of them has sent something.
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let began = Instant::now();
            let body = Body::from(vec![1; 20_000]);
            memory
                .receive(body, (Some(20_000), 1 << 20), address(200))
                .await
                .unwrap();
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_has_half_of_the_memory_and_the_others_go_on() {
        let memory = Memory::new(1 << 20);
        let mut held = Vec::new();
        let receive = async |last: u8| {
            let body = Body::from(vec![1; 16_000]);
            memory.receive(body, (Some(16_000), 16_000), address(last)).await
        };
        while let Ok(one) = receive(1).await {
            held.push(one);
        }
        assert_eq!(held.len(), 4, "half of 128 KiB");
        assert!(receive(2).await.is_ok());
        held.pop();
        assert!(receive(1).await.is_ok());
        // A body that is larger than half comes in all the same.
        let body = Body::from(vec![1; 800_000]);
        assert!(memory.receive(body, (Some(800_000), 1 << 20), address(1)).await.is_ok());
    }

    /// Each comes in many pieces and is larger than what an address has, as GitHub's largest ones are behind a proxy.
    #[tokio::test(start_paused = true)]
    async fn large_bodies_that_come_together_are_received_one_after_the_other() {
        let memory = Arc::new(Memory::new(1 << 20));
        let pieces = || {
            let pieces = futures::stream::iter(0..60).then(|_| async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok::<_, std::io::Error>(vec![b'x'; 10_000])
            });
            Body::from_stream(pieces)
        };
        let began = Instant::now();
        let senders = (0..16).map(|_| {
            let memory = Arc::clone(&memory);
            tokio::spawn(async move {
                for _ in 0..4 {
                    let body = memory.receive(pieces(), (Some(600_000), 600_000), address(1)).await;
                    assert_eq!(body.map(|held| held.bytes.len()).unwrap(), 600_000);
                }
            })
        });
        for sender in senders.collect::<Vec<_>>() {
            sender.await.unwrap();
        }
        // 60 ms each.
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn half_received_bodies_do_not_wait_for_each_other_for_ever() {
        let memory = Memory::new(64 * 1024);
        // Each of them comes in two halves, and there is room for less than three halves.
        let halves = || {
            let halves = futures::stream::iter(0..2).then(|_| async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok::<_, std::io::Error>(vec![b'x'; 19_000])
            });
            memory.receive(Body::from_stream(halves), (Some(38_000), 38_000), None)
        };
        for _ in 0..3 {
            let began = Instant::now();
            let received = tokio::join!(halves(), halves(), halves());
            let came = [received.0, received.1, received.2]
                .iter()
                .filter(|one| one.is_ok())
                .count();
            assert_eq!(came, 1, "the oldest, which keeps what it has");
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        }
        assert!(halves().await.is_ok());
    }
}
