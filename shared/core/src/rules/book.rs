use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::fingerprint;
use crate::words::{EventHead, EventSequence, Timestamp};

/// An event of a subscription that is not done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, i64, u32, i64, i64)", into = "(i64, i64, u32, i64, i64)")]
struct Entry {
    sequence: EventSequence,
    /// Hash of what it is about; 0: nothing in particular.
    key: i64,
    attempt: u32,
    /// Of who has it; 0: nobody.
    token: i64,
    /// Until when it is leased, or when it is due.
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

/// What a subscription was handed and has not acknowledged, and what waits behind that because it is about the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Book {
    /// In order.
    entries: Vec<Entry>,
    /// The last event that was acknowledged.
    acked: EventSequence,
    /// Entries that failed after a later event had been acknowledged: it is them, and not the subscriber as a whole.
    stubborn: BTreeSet<EventSequence>,
}

/// How a book is stored, and how it was before it noted what was acknowledged.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Entries(Vec<Entry>),
    Book {
        entries: Vec<Entry>,
        acked: EventSequence,
        stubborn: BTreeSet<EventSequence>,
    },
}

impl From<Stored> for Book {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Entries(entries) => Self {
                entries,
                ..Self::default()
            },
            Stored::Book {
                entries,
                acked,
                stubborn,
            } => Self {
                entries,
                acked,
                stubborn,
            },
        }
    }
}

/// An event that is given up so that others find room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The event.
    pub sequence: EventSequence,
    /// How often it was tried.
    pub attempts: u32,
    /// The event of the same key that fails; none: it is this one.
    pub behind: Option<EventSequence>,
}

/// So often an event was tried before it may be given up for want of room.
const TRIES_BEFORE_PARKING: u32 = 3;

/// The lease of a taking.
#[derive(Clone, Copy, Debug)]
pub struct BookLease {
    /// Names it; not 0.
    pub token: i64,
    /// When it ends.
    pub until: Timestamp,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookEnd {
    /// It was acknowledged.
    Acked,
    /// It is done with, but nobody acknowledged it.
    Gone,
    /// It comes again at this moment.
    Again(Timestamp),
    /// The same, because it failed.
    Failed(Timestamp),
    /// As if it had not been taken.
    Untried,
}

impl Book {
    /// Events that are not done with.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Up to where everything is done with, for a subscription that has looked at everything up to `position`.
    #[must_use]
    pub fn seen(&self, position: EventSequence) -> EventSequence {
        self.entries
            .first()
            .map_or(position, |first| EventSequence(first.sequence.0 - 1))
    }

    /// Takes up to `max` events: first what is due again, then of `heads`, which follow `position`, at most so many that
    /// `most` are outstanding. An event whose key is outstanding elsewhere waits behind that. Returns what was taken, in
    /// order, with the attempt; `position` moves past what was looked at.
    pub fn take(
        &mut self,
        heads: &[EventHead],
        position: &mut EventSequence,
        (max, most): (usize, usize),
        lease: BookLease,
        now: Timestamp,
    ) -> Vec<(EventSequence, u32)> {
        let mut taken = Vec::new();
        let mut busy: HashSet<i64> = HashSet::new();
        for entry in &mut self.entries {
            let is_free = entry.until <= now.0 && !busy.contains(&entry.key);
            if is_free && taken.len() < max {
                entry.attempt = entry.attempt.saturating_add(1);
                (entry.token, entry.until) = (lease.token, lease.until.0);
                taken.push((entry.sequence, entry.attempt));
            } else if entry.key != 0 {
                busy.insert(entry.key);
            }
        }
        for head in heads {
            if taken.len() >= max || self.entries.len() >= most {
                break;
            }
            let key = if head.key.is_empty() { 0 } else { hash_of(&head.key) };
            let waits = busy.contains(&key);
            self.entries.push(Entry {
                sequence: head.sequence,
                key,
                attempt: u32::from(!waits),
                token: if waits { 0 } else { lease.token },
                until: if waits { 0 } else { lease.until.0 },
            });
            if !waits {
                taken.push((head.sequence, 1));
            }
            *position = head.sequence;
        }
        taken
    }

    /// Ends a hand-out and says how often it was tried; none: somebody else has it by now, or it is done with.
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

    /// Gives up keys that keep failing although later events are acknowledged, with what waits behind them, if `most` events are
    /// outstanding: they would hold up everybody else for as long as their ladder is. Those that take most room go first, until a
    /// quarter of the room is free. If the subscriber fails as a whole nothing is given up, and what is new waits in the log.
    pub fn park(&mut self, most: usize, now: Timestamp) -> Vec<Parked> {
        if self.entries.len() < most {
            return vec![];
        }
        let mut of_key: HashMap<i64, Vec<&Entry>> = HashMap::new();
        for entry in self.entries.iter().filter(|entry| entry.key != 0) {
            of_key.entry(entry.key).or_default().push(entry);
        }
        let mut failing: Vec<(EventSequence, Vec<Parked>)> = Vec::new();
        for head in self.entries.iter().filter(|entry| self.is_hopeless(entry, now)) {
            let same = of_key.get(&head.key).map_or(&[][..], Vec::as_slice);
            let behind = same.iter().filter(|entry| entry.sequence > head.sequence);
            let parked = std::iter::once(&head).chain(behind).map(|entry| Parked {
                sequence: entry.sequence,
                attempts: entry.attempt,
                behind: (entry.sequence != head.sequence).then_some(head.sequence),
            });
            failing.push((head.sequence, parked.collect()));
        }
        failing.sort_by_key(|(head, parked)| (Reverse(parked.len()), *head));
        let wanted = (most / 4).max(1);
        let mut gone: BTreeSet<EventSequence> = BTreeSet::new();
        let mut given_up = Vec::new();
        for parked in failing.into_iter().flat_map(|(_, parked)| parked) {
            let starts_key = parked.behind.is_none();
            if starts_key && most.saturating_sub(self.entries.len() - gone.len()) >= wanted {
                break;
            }
            if gone.insert(parked.sequence) {
                given_up.push(parked);
            }
        }
        self.entries.retain(|entry| !gone.contains(&entry.sequence));
        self.stubborn.retain(|sequence| !gone.contains(sequence));
        given_up
    }

    fn is_hopeless(&self, entry: &Entry, now: Timestamp) -> bool {
        let is_leased = entry.token != 0 && entry.until > now.0;
        !is_leased && entry.attempt >= TRIES_BEFORE_PARKING && self.stubborn.contains(&entry.sequence)
    }

    /// Events that somebody has now.
    #[must_use]
    pub fn leased(&self, now: Timestamp) -> usize {
        let leased = |entry: &&Entry| entry.token != 0 && entry.until > now.0;
        self.entries.iter().filter(leased).count()
    }

    /// When the next event is tried again that was tried before and is nobody's now.
    #[must_use]
    pub fn next_try(&self) -> Option<Timestamp> {
        let tried = self
            .entries
            .iter()
            .filter(|entry| entry.token == 0 && entry.attempt > 0);
        tried.map(|entry| Timestamp(entry.until)).min()
    }

    /// Puts an event back that was done with; it is due at once, and counts from the start.
    pub fn put_back(&mut self, sequence: EventSequence, key: &str) {
        if let Err(place) = self.entries.binary_search_by_key(&sequence, |entry| entry.sequence) {
            let key = if key.is_empty() { 0 } else { hash_of(key) };
            self.entries.insert(
                place,
                Entry {
                    sequence,
                    key,
                    attempt: 0,
                    token: 0,
                    until: 0,
                },
            );
        }
    }

    /// Forgets events that were dropped from the log.
    pub fn forget(&mut self, gone: &HashSet<EventSequence>) {
        self.entries.retain(|entry| !gone.contains(&entry.sequence));
        self.stubborn.retain(|sequence| !gone.contains(sequence));
    }

    /// When the next event is due, or its lease over, that cannot be taken now.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let later = self
            .entries
            .iter()
            .map(|entry| entry.until)
            .filter(|until| *until > now.0);
        later.min().map(Timestamp)
    }
}

/// Never 0, which stands for no key.
fn hash_of(key: &str) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = fingerprint(key.as_bytes()).0;
    i64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
