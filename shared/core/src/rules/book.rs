use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Ladder, LadderStep, fingerprint};
use crate::words::{EventHead, EventSequence, Timestamp};

/// An unfinished event of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, i64, u32, i64, i64)", into = "(i64, i64, u32, i64, i64)")]
struct Entry {
    sequence: EventSequence,
    /// Hash of its key; 0: no key.
    key: i64,
    attempt: u32,
    /// Token of the lease holder; 0: not leased.
    token: i64,
    /// When the lease expires, or when the event is due.
    until: i64,
}

impl From<(i64, i64, u32, i64, i64)> for Entry {
    fn from((sequence, key, attempt, token, until): (i64, i64, u32, i64, i64)) -> Self {
        Self {
            sequence: EventSequence(sequence),
            key,
            attempt,
            token,
            until,
        }
    }
}

impl From<Entry> for (i64, i64, u32, i64, i64) {
    fn from(entry: Entry) -> Self {
        (entry.sequence.0, entry.key, entry.attempt, entry.token, entry.until)
    }
}

/// An expired lease counts as a failed attempt, no matter who held it.
static LADDER: LazyLock<Ladder> = LazyLock::new(Ladder::of_pulls);

impl Entry {
    /// Due as soon as no earlier event of its key is pending.
    fn untried(sequence: EventSequence, key: i64) -> Self {
        Self {
            sequence,
            key,
            attempt: 0,
            token: 0,
            until: 0,
        }
    }

    /// The next attempt.
    fn hand_out(&mut self, lease: BookLease) -> (EventSequence, u32) {
        self.attempt = self.attempt.saturating_add(1);
        (self.token, self.until) = (lease.token, lease.until.0);
        (self.sequence, self.attempt)
    }

    fn is_leased(&self, now: Timestamp) -> bool {
        self.token != 0 && self.until > now.0
    }

    /// When it may be handed out. An expired lease backs off like any other failure.
    fn due(&self) -> i64 {
        match self.token {
            0 => self.until,
            _ => match self.after_failure(Timestamp(self.until), None) {
                LadderStep::Wait { due_at, .. } => due_at.0,
                LadderStep::Exhausted => self.until,
            },
        }
    }

    fn after_failure(&self, failed_at: Timestamp, not_before: Option<Timestamp>) -> LadderStep {
        LADDER.after_failure(self.attempt.saturating_sub(1), failed_at, not_before, self.spread())
    }

    /// Whether this hand-out is its first attempt: later events of its key may then come along.
    fn is_first_of(&self, lease: BookLease) -> bool {
        self.token == lease.token && self.attempt == 1
    }

    /// Jitter from 0 to 1, different for each attempt: events that failed together are not retried together forever,
    /// and those that failed only because of another one in their batch come without it.
    fn spread(&self) -> f64 {
        let mixed = self.sequence.0.wrapping_mul(31).wrapping_add(self.attempt.into());
        let [first, ..] = mixed.wrapping_mul(-0x61c8_8646_80b5_83eb).to_be_bytes();
        f64::from(first) / f64::from(u8::MAX)
    }
}

/// A subscription's unacknowledged events, and later events that wait behind them because they have the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Book {
    /// In order.
    entries: Vec<Entry>,
    /// The last event that was acknowledged.
    acked: EventSequence,
    /// Entries that failed after a later event had been acknowledged: these events fail, and not the subscriber as a
    /// whole.
    stubborn: BTreeSet<EventSequence>,
    /// The last hand-out contained only retries: the next one begins with the other events.
    only_repeats: bool,
}

/// The stored form of a book, and the form before acknowledgments were recorded.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Entries(Vec<Entry>),
    Book {
        entries: Vec<Entry>,
        acked: EventSequence,
        stubborn: BTreeSet<EventSequence>,
        #[serde(default)]
        only_repeats: bool,
    },
}

impl From<Stored> for Book {
    fn from(stored: Stored) -> Self {
        let mut book = match stored {
            Stored::Entries(entries) => Self {
                entries,
                ..Self::default()
            },
            Stored::Book {
                entries,
                acked,
                stubborn,
                only_repeats,
            } => Self {
                entries,
                acked,
                stubborn,
                only_repeats,
            },
        };
        // Earlier versions could have an event twice, and out of order, after a replay.
        book.entries.sort_by_key(|entry| entry.sequence);
        book.entries.dedup_by_key(|entry| entry.sequence);
        book
    }
}

/// An event that is given up to make room for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The event.
    pub sequence: EventSequence,
    /// How often it was tried.
    pub attempts: u32,
    /// The event of the same key that fails; none: it is this one.
    pub behind: Option<EventSequence>,
}

/// Minimum number of attempts before an event may be given up for lack of room.
const TRIES_BEFORE_PARKING: u32 = 3;

/// Limits of a hand-out and of a book.
#[derive(Clone, Copy, Debug)]
pub struct BookLimits {
    /// Maximum number of events in one hand-out.
    pub max: usize,
    /// Events that are leased or wait for a retry.
    pub most: usize,
    /// All events, including those that wait behind one of their key.
    pub room: usize,
}

/// The lease of a taking.
#[derive(Clone, Copy, Debug)]
pub struct BookLease {
    /// Identifies it; not 0.
    pub token: i64,
    /// When it ends.
    pub until: Timestamp,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookEnd {
    /// It was acknowledged.
    Acked,
    /// Finished without an acknowledgment.
    Gone,
    /// It is retried at this time.
    Again(Timestamp),
    /// The same, because it failed.
    Failed(Timestamp),
    /// As if it had not been taken.
    Untried,
}

impl Book {
    /// Unfinished events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Position up to which everything is finished, for a subscription that has examined everything up to `position`.
    #[must_use]
    pub fn seen(&self, position: EventSequence) -> EventSequence {
        self.entries.first().map_or(position, |first| {
            let before = EventSequence(first.sequence.0 - 1);
            before.min(position)
        })
    }

    /// Takes due events: retries get half of the room, unless there is nothing else; the rest are untried events, first
    /// of the book and then of `heads`, which follow `position`. An event whose key is outstanding elsewhere waits
    /// behind it, and nothing of a key comes along with a retried event of it. Returns the taken events, in order, with
    /// the attempt; `position` moves past the examined ones.
    pub fn take(
        &mut self,
        heads: &[EventHead],
        position: &mut EventSequence,
        limits: BookLimits,
        lease: BookLease,
        now: Timestamp,
    ) -> Vec<(EventSequence, u32)> {
        let half = match self.only_repeats {
            true => limits.max / 2,
            false => limits.max.div_ceil(2),
        };
        let mut taken = self.hand_out(half, true, lease, now);
        let repeated = taken.len();
        let most = (limits.max - repeated).min(limits.most.saturating_sub(self.in_play(now)));
        taken.extend(self.hand_out(most, false, lease, now));
        let left = BookLimits {
            max: limits.max - taken.len(),
            most: most - (taken.len() - repeated),
            room: limits.room,
        };
        taken.extend(self.append(heads, position, left, lease));
        let has_fresh = taken.len() > repeated;
        taken.extend(self.hand_out(limits.max - taken.len(), true, lease, now));
        if !taken.is_empty() {
            self.only_repeats = !has_fresh;
        }
        taken.sort_unstable();
        taken
    }

    /// Hands out up to `most` due events of the book: either retries, or untried ones.
    fn hand_out(&mut self, most: usize, tried: bool, lease: BookLease, now: Timestamp) -> Vec<(EventSequence, u32)> {
        let mut taken = Vec::new();
        let mut busy: HashSet<i64> = HashSet::new();
        for entry in &mut self.entries {
            if taken.len() >= most {
                break;
            }
            let is_wanted = (entry.attempt > 0) == tried && entry.token != lease.token;
            if is_wanted && entry.due() <= now.0 && !busy.contains(&entry.key) {
                taken.push(entry.hand_out(lease));
            }
            if entry.key != 0 && !entry.is_first_of(lease) {
                busy.insert(entry.key);
            }
        }
        taken
    }

    /// Appends heads, within `limits` beside what the book has, and hands them out, if they do not wait behind one of
    /// their key.
    fn append(
        &mut self,
        heads: &[EventHead],
        position: &mut EventSequence,
        limits: BookLimits,
        lease: BookLease,
    ) -> Vec<(EventSequence, u32)> {
        let busy = self.entries.iter().filter(|entry| !entry.is_first_of(lease));
        let busy: HashSet<i64> = busy.map(|entry| entry.key).filter(|key| *key != 0).collect();
        let mut taken = Vec::new();
        for head in heads {
            let key = key_of(&head.key);
            let waits = busy.contains(&key);
            let is_full = taken.len() >= limits.max || self.entries.len() >= limits.room;
            if is_full || (!waits && taken.len() >= limits.most) {
                break;
            }
            *position = head.sequence;
            if let Some(entry) = self.insert(head.sequence, key).filter(|_| !waits) {
                taken.push(entry.hand_out(lease));
            }
        }
        taken
    }

    /// Adds an untried event; none: it is already in the book.
    fn insert(&mut self, sequence: EventSequence, key: i64) -> Option<&mut Entry> {
        let place = self.entries.binary_search_by_key(&sequence, |entry| entry.sequence);
        let place = place.err()?;
        self.entries.insert(place, Entry::untried(sequence, key));
        self.entries.get_mut(place)
    }

    /// Events that are leased or wait for a retry, without those that wait behind one of their key.
    fn in_play(&self, now: Timestamp) -> usize {
        let mut keys = HashSet::new();
        let counts = |entry: &&Entry| {
            let leads = entry.key == 0 || keys.insert(entry.key);
            entry.is_leased(now) || (leads && entry.attempt > 0)
        };
        self.entries.iter().filter(counts).count()
    }

    /// What a failure of a hand-out leads to now; none: another consumer has leased it since, or it is finished.
    #[must_use]
    pub fn after_failure(
        &self,
        sequence: EventSequence,
        token: i64,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Option<LadderStep> {
        let place = self.entries.binary_search_by_key(&sequence, |entry| entry.sequence);
        let entry = self.entries.get(place.ok()?)?;
        (entry.token == token && token != 0).then(|| entry.after_failure(now, Some(not_before)))
    }

    /// Gives up events that were handed out as often as the ladder allows, and whose lease expired.
    pub fn give_up_expired(&mut self, now: Timestamp) -> Vec<Parked> {
        let is_over = |entry: &&Entry| {
            let is_expired = entry.token != 0 && !entry.is_leased(now);
            is_expired && entry.after_failure(now, None) == LadderStep::Exhausted
        };
        let over = self.entries.iter().filter(is_over).map(|entry| Parked {
            sequence: entry.sequence,
            attempts: entry.attempt,
            behind: None,
        });
        let given_up: Vec<Parked> = over.collect();
        self.forget(&given_up.iter().map(|parked| parked.sequence).collect());
        given_up
    }

    /// Ends a hand-out and returns the number of attempts; `None`: another consumer has leased it since, or it is
    /// finished.
    pub fn settle(&mut self, sequence: EventSequence, token: i64, end: BookEnd) -> Option<u32> {
        let place = self
            .entries
            .binary_search_by_key(&sequence, |entry| entry.sequence)
            .ok()?;
        let entry = self.entries.get_mut(place)?;
        if entry.token != token || token == 0 {
            return None;
        }
        let attempt = entry.attempt;
        entry.token = 0;
        match end {
            BookEnd::Acked | BookEnd::Gone => {
                self.entries.remove(place);
                self.stubborn.remove(&sequence);
                if end == BookEnd::Acked {
                    self.acked = self.acked.max(sequence);
                }
            }
            BookEnd::Again(due_at) => entry.until = due_at.0,
            BookEnd::Failed(due_at) => {
                entry.until = due_at.0;
                if sequence < self.acked {
                    self.stubborn.insert(sequence);
                }
            }
            BookEnd::Untried => {
                entry.until = 0;
                entry.attempt = attempt.saturating_sub(1);
            }
        }
        Some(attempt)
    }

    /// If the book is full, gives up keys that keep failing although later events are acknowledged, with the events
    /// waiting behind them: they would hold up all others for the length of their ladder. Those that take most room go
    /// first, until a quarter of the room is free. If the subscriber fails as a whole, nothing is given up, and new
    /// events wait in the log.
    pub fn park(&mut self, limits: BookLimits, now: Timestamp) -> Vec<Parked> {
        let (mut in_play, mut left) = (self.in_play(now), self.entries.len());
        if in_play < limits.most && left < limits.room {
            return vec![];
        }
        let mut failing = self.failing(now);
        failing.sort_by_key(|parked| (Reverse(parked.len()), parked.first().map(|head| head.sequence)));
        let wanted = (limits.most / 4).max(1);
        let mut given_up = Vec::new();
        for parked in failing {
            if limits.most.saturating_sub(in_play) >= wanted && limits.room.saturating_sub(left) >= limits.room / 4 {
                break;
            }
            in_play = in_play.saturating_sub(1);
            left -= parked.len();
            given_up.extend(parked);
        }
        self.forget(&given_up.iter().map(|parked| parked.sequence).collect());
        given_up
    }

    /// Keys that keep failing: the event that fails, and what waits behind it.
    fn failing(&self, now: Timestamp) -> Vec<Vec<Parked>> {
        let mut of_key: HashMap<i64, Vec<&Entry>> = HashMap::new();
        for entry in self.entries.iter().filter(|entry| entry.key != 0) {
            of_key.entry(entry.key).or_default().push(entry);
        }
        let keyless = self.entries.iter().filter(|entry| entry.key == 0);
        let all = of_key.into_values().chain(keyless.map(|entry| vec![entry]));
        let parked = |same: Vec<&Entry>| {
            let head = same.first().copied().filter(|head| self.is_hopeless(head, now))?;
            let given_up = same.into_iter().filter(|entry| !entry.is_leased(now));
            let given_up = given_up.map(|entry| Parked {
                sequence: entry.sequence,
                attempts: entry.attempt,
                behind: (entry.sequence != head.sequence).then_some(head.sequence),
            });
            Some(given_up.collect())
        };
        all.filter_map(parked).collect()
    }

    fn is_hopeless(&self, entry: &Entry, now: Timestamp) -> bool {
        let was_overtaken =
            self.stubborn.contains(&entry.sequence) || (entry.token != 0 && entry.sequence < self.acked);
        !entry.is_leased(now) && entry.attempt >= TRIES_BEFORE_PARKING && was_overtaken
    }

    /// Events that are leased now.
    #[must_use]
    pub fn leased(&self, now: Timestamp) -> usize {
        self.entries.iter().filter(|entry| entry.is_leased(now)).count()
    }

    /// When the next retry is due, among the events that were tried before and are not leased.
    #[must_use]
    pub fn next_try(&self) -> Option<Timestamp> {
        let tried = self
            .entries
            .iter()
            .filter(|entry| entry.token == 0 && entry.attempt > 0);
        tried.map(|entry| Timestamp(entry.until)).min()
    }

    /// Puts a finished event back; it is due at once, and counts from the start. An event after `position` will come by
    /// itself.
    pub fn put_back(&mut self, sequence: EventSequence, key: &str, position: EventSequence) {
        if sequence <= position {
            self.insert(sequence, key_of(key));
        }
    }

    /// Forgets events that were dropped from the log.
    pub fn forget(&mut self, gone: &HashSet<EventSequence>) {
        self.entries.retain(|entry| !gone.contains(&entry.sequence));
        self.stubborn.retain(|sequence| !gone.contains(sequence));
    }

    /// When the next event that cannot be taken now becomes due, or its lease expires.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let later = self.entries.iter().map(Entry::due).filter(|due| *due > now.0);
        later.min().map(Timestamp)
    }
}

/// The hash of a key: 0 for none, and never 0 for another.
fn key_of(key: &str) -> i64 {
    if key.is_empty() {
        return 0;
    }
    let [a, b, c, d, e, f, g, h, ..] = fingerprint(key.as_bytes()).0;
    i64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
