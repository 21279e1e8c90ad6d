//! Rules for subscriptions, shared by all stores: the store locks the row, the rules decide, the store writes it.

use std::collections::{HashMap, HashSet};

use super::events::{MAX_READING_BYTES, SCAN};
use super::{EventFilter, EventStart, StoreError};
use tideline_core::rules::{Book, BookEnd, BookLease, BookLimits, FeedProgress, Ladder, LadderStep, Parked};
use tideline_core::words::{
    EventHead, EventOutcome, EventRecord, EventSequence, FeedPosition, SettleEvent, SubscriptionKind,
    SubscriptionRecord, SubscriptionState, TakeEvents, Taken, TakenEvent, Timestamp,
};

/// Maximum number of events of one taking.
pub(super) const MAX_TAKEN: u32 = 1_000;
/// Number of heads that are first read beyond those that may be handed out: some are not wanted, or wait for an earlier
/// one.
const FEW_MORE: u32 = 36;
/// Events that may wait behind one of their key, besides `max_outstanding`.
const MAX_WAITING: usize = 2_000;
/// Maximum length of an error that is kept, in bytes.
const MAX_ERROR_BYTES: usize = 2_000;

/// A command on a subscription by an operator or the pushing role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionCommand {
    /// Hand out nothing.
    Pause,
    /// Resume, also after it was switched off.
    Resume,
    /// Switch it off.
    Block(String),
    /// Switch it off, if it is active and nothing has succeeded since this moment.
    BlockFailing(Timestamp, String),
    /// Discard outstanding events and continue from there.
    Replay(EventStart),
}

/// The newest event of which people were notified, on one topic and about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The event.
    pub sequence: EventSequence,
    /// When it happened.
    pub created_at: Timestamp,
}

/// The outcomes of ending hand-outs and of handing out.
#[derive(Clone, Debug, Default)]
pub struct Exchanged {
    /// For each settlement: `false` if the event has since been leased to another consumer, or is finished.
    pub settled: Vec<bool>,
    /// What was handed out.
    pub taken: Taken,
}

/// The heads that are examined: few at first, and up to the maximum if too few of them are wanted.
pub(super) struct Looking {
    pub(super) heads: Vec<EventHead>,
    /// How many were asked for.
    pub(super) looked: u32,
    wanted: usize,
    enough: usize,
    most: u32,
}

/// A subscription's row.
pub(super) struct Row {
    pub(super) record: SubscriptionRecord,
    pub(super) book: Book,
}

/// A dead letter to write.
pub(super) struct Died {
    pub(super) sequence: EventSequence,
    pub(super) attempts: u32,
    pub(super) error: String,
}

/// The events picked for a hand-out; their bodies are still to be read.
pub(super) struct Picked {
    pub(super) taken: Vec<(EventSequence, u32)>,
    pub(super) more: bool,
    pub(super) missed_to: Option<EventSequence>,
    /// Given up: their ladder is exhausted, or they hold up all others.
    pub(super) died: Vec<Died>,
    /// The row was changed.
    pub(super) changed: bool,
}

impl Row {
    /// What it follows.
    fn filter(&self) -> EventFilter {
        EventFilter {
            topics: self.record.topics.clone(),
            ..Default::default()
        }
    }

    /// Begins to pick events for a hand-out.
    pub(super) fn look(&self, request: &TakeEvents) -> Looking {
        let most = match request.in_flight {
            None => request.max.saturating_mul(2).clamp(2_000, SCAN),
            Some(_) => request.max.saturating_mul(2).clamp(1_000, SCAN),
        };
        Looking {
            heads: vec![],
            looked: 0,
            wanted: 0,
            enough: request.max.min(MAX_TAKEN) as usize,
            most,
        }
    }

    /// After which event, and how many of the following are to be read; none: enough were read.
    pub(super) fn next_look(&self, looking: &Looking) -> Option<(EventSequence, u32)> {
        let last = looking.heads.last().map(|head| head.sequence);
        if looking.looked == 0 {
            let first = u32::try_from(looking.enough)
                .unwrap_or(looking.most)
                .saturating_add(FEW_MORE);
            return Some((self.record.position, first.min(looking.most)));
        }
        let all_read = looking.heads.len() < looking.looked as usize;
        if all_read || looking.wanted >= looking.enough || looking.looked >= looking.most {
            return None;
        }
        Some((last?, looking.most - looking.looked))
    }

    /// Adds what was read.
    pub(super) fn looked(&self, looking: &mut Looking, asked: u32, heads: Vec<EventHead>) {
        let filter = self.filter();
        looking.wanted += heads.iter().filter(|head| filter.wants(head)).count();
        looking.looked += asked;
        looking.heads.extend(heads);
    }

    /// Skips dropped events. Reports the gap once.
    pub(super) fn skip_pruned(&mut self, pruned_to: EventSequence) -> Option<EventSequence> {
        if self.record.position >= pruned_to {
            return None;
        }
        self.record.position = pruned_to;
        self.record.missed_to = Some(pruned_to);
        Some(pruned_to)
    }

    /// Takes from the examined heads, which follow its position.
    pub(super) fn pick(&mut self, request: &TakeEvents, looking: &Looking, now: Timestamp) -> Picked {
        let heads = &looking.heads;
        if self.record.state != SubscriptionState::Active || self.record.changes.is_some() {
            return Picked {
                taken: vec![],
                more: false,
                missed_to: None,
                died: vec![],
                changed: false,
            };
        }
        let filter = self.filter();
        let wanted: Vec<EventHead> = heads.iter().filter(|head| filter.wants(head)).cloned().collect();
        let before = self.record.position;
        let lease = BookLease {
            token: request.token,
            until: request.leased_until,
        };
        let limits = self.limits(request, now);
        let mut died = self.bury_expired(now);
        if !wanted.is_empty() {
            let parked = self.book.park(limits, now);
            died.extend(parked.into_iter().map(|parked| self.parked(parked)));
        }
        let taken = self.book.take(&wanted, &mut self.record.position, limits, lease, now);
        let all = wanted.last().is_none_or(|last| last.sequence <= self.record.position);
        if let Some(last) = heads.last().filter(|_| all) {
            self.record.position = self.record.position.max(last.sequence);
        }
        // If nothing was taken although something is wanted, there is no room.
        let has_room = all || !taken.is_empty();
        Picked {
            more: has_room && (!all || heads.len() >= looking.looked as usize),
            missed_to: None,
            changed: !taken.is_empty() || before != self.record.position || !died.is_empty(),
            died,
            taken,
        }
    }

    fn limits(&self, request: &TakeEvents, now: Timestamp) -> BookLimits {
        let in_flight = request
            .in_flight
            .map_or(usize::MAX, |most| (most as usize).saturating_sub(self.book.leased(now)));
        let most = self.record.max_outstanding as usize;
        BookLimits {
            max: (request.max.min(MAX_TAKEN) as usize).min(in_flight),
            most,
            room: most.saturating_add(MAX_WAITING),
        }
    }

    /// The dead letters of events that were pulled as often as the ladder allows and never settled. For pushes, the
    /// worker applies the ladder.
    fn bury_expired(&mut self, now: Timestamp) -> Vec<Died> {
        if self.record.kind == SubscriptionKind::Push {
            return vec![];
        }
        let given_up = self.book.give_up_expired(now).into_iter();
        let died = given_up.map(|parked| Died {
            sequence: parked.sequence,
            attempts: parked.attempts,
            error: never_acknowledged(parked.attempts),
        });
        died.collect()
    }

    /// The dead letter of an event that is given up for lack of room.
    fn parked(&self, parked: Parked) -> Died {
        let most = self.record.max_outstanding;
        let why = match parked.behind {
            None => format!(
                "it failed {} times while later events were acknowledged",
                parked.attempts
            ),
            Some(head) => format!("it waited behind event {head} of the same key, which keeps failing"),
        };
        Died {
            sequence: parked.sequence,
            attempts: parked.attempts,
            error: format!("given up to make room for others (max_outstanding: {most}): {why}"),
        }
    }

    /// Of what was picked: the heads that were just read, and the events whose heads are still to be read, because they
    /// were handed out before.
    pub(super) fn heads_of(picked: &Picked, heads: Vec<EventHead>) -> (Vec<EventHead>, Vec<EventSequence>) {
        let mut wanted: HashSet<EventSequence> = picked.taken.iter().map(|(sequence, _)| *sequence).collect();
        let read = heads.into_iter().filter(|head| wanted.remove(&head.sequence));
        let read = read.collect();
        (read, wanted.into_iter().collect())
    }

    /// The picked heads that fit into one response, at least one; the others count as not taken.
    pub(super) fn within_bytes(&mut self, picked: &mut Picked, heads: Vec<EventHead>, token: i64) -> Vec<EventHead> {
        let mut bytes = 0_u64;
        let mut fitting = Vec::with_capacity(heads.len());
        for head in heads {
            bytes = bytes.saturating_add(head.body_bytes);
            if bytes <= MAX_READING_BYTES || fitting.is_empty() {
                fitting.push(head);
                continue;
            }
            self.book.settle(head.sequence, token, BookEnd::Untried);
            picked.taken.retain(|(sequence, _)| *sequence != head.sequence);
            picked.more = true;
        }
        fitting
    }

    /// The events handed out. Those dropped from the log since are removed from the book.
    pub(super) fn hand_out(&mut self, picked: &Picked, events: Vec<EventRecord>, now: Timestamp) -> Taken {
        let found: HashSet<EventSequence> = events.iter().map(|event| event.head.sequence).collect();
        let gone: HashSet<_> = (picked.taken.iter().map(|(sequence, _)| *sequence))
            .filter(|sequence| !found.contains(sequence))
            .collect();
        let lost = gone.iter().max().copied();
        if let Some(lost) = lost {
            self.book.forget(&gone);
            self.record.missed_to = self.record.missed_to.max(Some(lost));
        }
        let attempts: HashMap<EventSequence, u32> = picked.taken.iter().copied().collect();
        Taken {
            missed_to: picked.missed_to.max(lost),
            more: picked.more,
            next_due: self.book.next_due(now),
            events: events
                .into_iter()
                .map(|event| TakenEvent {
                    attempt: attempts.get(&event.head.sequence).copied().unwrap_or(1),
                    event,
                })
                .collect(),
        }
    }

    /// Ends hand-outs. Returns results in order; `died`: the new dead letters.
    pub(super) fn settle(&mut self, settlements: &[SettleEvent], now: Timestamp) -> (Vec<bool>, Vec<Died>) {
        let mut died = Vec::new();
        let mut settled = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            let outcome = self.on_its_ladder(settlement, now);
            let end = match &outcome {
                EventOutcome::Acked => BookEnd::Acked,
                EventOutcome::Skipped | EventOutcome::Dead { .. } => BookEnd::Gone,
                EventOutcome::Again { due_at, error: None } if self.record.kind == SubscriptionKind::Push => {
                    BookEnd::Again(*due_at)
                }
                EventOutcome::Again { due_at, .. } => BookEnd::Failed(*due_at),
                EventOutcome::Untried => BookEnd::Untried,
            };
            let attempts = self.book.settle(settlement.sequence, settlement.token, end);
            settled.push(attempts.is_some());
            let Some(attempts) = attempts else { continue };
            self.note_outcome(&outcome, now);
            if let EventOutcome::Dead { error } = &outcome {
                died.push(Died {
                    sequence: settlement.sequence,
                    attempts,
                    error: cut(error),
                });
            }
        }
        (settled, died)
    }

    /// The outcome of a settlement: a consumer that pulls and returns an event has no ladder, so the store applies one.
    /// A requested wait counts if it is longer.
    fn on_its_ladder(&self, settlement: &SettleEvent, now: Timestamp) -> EventOutcome {
        let outcome = settlement.outcome.clone();
        let EventOutcome::Again { due_at, error } = &outcome else {
            return outcome;
        };
        if self.record.kind == SubscriptionKind::Push {
            return outcome;
        }
        let failed = self
            .book
            .after_failure(settlement.sequence, settlement.token, *due_at, now);
        match failed {
            None => outcome,
            Some(LadderStep::Wait { due_at, .. }) => EventOutcome::Again {
                due_at,
                error: error.clone(),
            },
            Some(LadderStep::Exhausted) => EventOutcome::Dead {
                error: error
                    .clone()
                    .unwrap_or_else(|| never_acknowledged(Ladder::PULL_ATTEMPTS)),
            },
        }
    }

    /// Whether it fails.
    pub(super) fn note_outcome(&mut self, outcome: &EventOutcome, now: Timestamp) {
        match outcome {
            EventOutcome::Acked => {
                self.record.failing_since = None;
                self.record.last_error = None;
            }
            EventOutcome::Again { error, .. } => self.failed(error.as_deref(), now),
            EventOutcome::Dead { error } => self.failed(Some(error), now),
            EventOutcome::Untried | EventOutcome::Skipped => {}
        }
    }

    /// A subscriber that only extends its lease does not fail.
    fn failed(&mut self, error: Option<&str>, now: Timestamp) {
        if let Some(error) = error {
            self.record.failing_since.get_or_insert(now);
            self.record.last_error = Some(cut(error));
        }
    }

    /// Executes a command; returns the reason if it is refused. `start`: where a replay begins, in the log and in the
    /// change feed.
    pub(super) fn command(
        &mut self,
        command: &SubscriptionCommand,
        start: (EventSequence, FeedPosition),
    ) -> Result<(), StoreError> {
        let record = &mut self.record;
        match command {
            SubscriptionCommand::Pause => record.state = SubscriptionState::Paused,
            SubscriptionCommand::Block(reason) => {
                record.state = SubscriptionState::Blocked;
                record.blocked_reason = Some(cut(reason));
            }
            SubscriptionCommand::BlockFailing(since, reason) => {
                if record.state == SubscriptionState::Active && record.failing_since == Some(*since) {
                    record.state = SubscriptionState::Blocked;
                    record.blocked_reason = Some(cut(reason));
                }
            }
            SubscriptionCommand::Resume if record.state == SubscriptionState::Active => {
                let name = &record.name;
                return Err(StoreError::Refused(format!("subscription {name} is not paused")));
            }
            SubscriptionCommand::Resume => {
                record.state = SubscriptionState::Active;
                record.blocked_reason = None;
                record.failing_since = None;
            }
            SubscriptionCommand::Replay(_) => {
                record.position = start.0;
                record.feed = record.feed.map(|_| FeedProgress::at(start.1));
                record.missed_to = None;
                record.generation = record.generation.saturating_add(1);
                self.book = Book::default();
            }
        }
        Ok(())
    }

    /// Makes a dead letter due again.
    pub(super) fn put_back(&mut self, sequence: EventSequence, key: &str) {
        self.book.put_back(sequence, key, self.record.position);
    }

    /// Position up to which everything is finished.
    pub(super) fn seen(&self) -> EventSequence {
        self.book.seen(self.record.position)
    }
}

pub(super) fn no_subscription(name: &str) -> StoreError {
    StoreError::NotFound {
        what: "subscription",
        name: name.to_owned(),
    }
}

fn never_acknowledged(attempts: u32) -> String {
    format!("it was handed out {attempts} times and never acknowledged")
}

fn cut(error: &str) -> String {
    error[..error.floor_char_boundary(MAX_ERROR_BYTES)].replace('\0', "\u{fffd}")
}
