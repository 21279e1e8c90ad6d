use std::collections::HashSet;

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

/// What a subscription was handed and has not acknowledged, and what waits behind that because it is about the same. In order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Book(Vec<Entry>);

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
    /// It is done with.
    Gone,
    /// It comes again at this moment.
    Again(Timestamp),
    /// As if it had not been taken.
    Untried,
}

impl Book {
    /// Events that are not done with.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to where everything is done with, for a subscription that has looked at everything up to `position`.
    #[must_use]
    pub fn seen(&self, position: EventSequence) -> EventSequence {
        self.0
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
        for entry in &mut self.0 {
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
            if taken.len() >= max || self.0.len() >= most {
                break;
            }
            let key = if head.key.is_empty() { 0 } else { hash_of(&head.key) };
            let waits = busy.contains(&key);
            self.0.push(Entry {
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
        let place = self.0.binary_search_by_key(&sequence, |entry| entry.sequence).ok()?;
        let entry = self.0.get_mut(place)?;
        if entry.token != token || token == 0 {
            return None;
        }
        let attempt = entry.attempt;
        entry.token = 0;
        match end {
            BookEnd::Gone => drop(self.0.remove(place)),
            BookEnd::Again(due_at) => entry.until = due_at.0,
            BookEnd::Untried => {
                entry.until = 0;
                entry.attempt = attempt.saturating_sub(1);
            }
        }
        Some(attempt)
    }

    /// Events that somebody has now.
    #[must_use]
    pub fn leased(&self, now: Timestamp) -> usize {
        let leased = |entry: &&Entry| entry.token != 0 && entry.until > now.0;
        self.0.iter().filter(leased).count()
    }

    /// When the next event is tried again that was tried before and is nobody's now.
    #[must_use]
    pub fn next_try(&self) -> Option<Timestamp> {
        let tried = self.0.iter().filter(|entry| entry.token == 0 && entry.attempt > 0);
        tried.map(|entry| Timestamp(entry.until)).min()
    }

    /// Puts an event back that was done with; it is due at once, and counts from the start.
    pub fn put_back(&mut self, sequence: EventSequence, key: &str) {
        if let Err(place) = self.0.binary_search_by_key(&sequence, |entry| entry.sequence) {
            let key = if key.is_empty() { 0 } else { hash_of(key) };
            self.0.insert(
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
        self.0.retain(|entry| !gone.contains(&entry.sequence));
    }

    /// When the next event is due, or its lease over, that cannot be taken now.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let later = self.0.iter().map(|entry| entry.until).filter(|until| *until > now.0);
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
