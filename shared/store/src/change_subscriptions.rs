//! Rules for subscriptions to the change feed, shared by all stores.

use super::subscriptions::Row;
use super::{EventStart, FeedReading, StoreError};
use tideline_core::rules::{BatchEnd, FeedProgress};
use tideline_core::words::{
    EventOutcome, FeedPosition, Sequence, SubscriptionState, TakeEvents, TakenChanges, Timestamp,
};

/// Maximum number of changes of one batch.
pub(super) const MAX_CHANGES: u32 = 1_000;

impl Row {
    /// Where the next batch begins; otherwise the response to return instead.
    pub(super) fn next_batch_from(&self, now: Timestamp) -> Result<FeedPosition, TakenChanges> {
        let none = |next_due| TakenChanges {
            next_due,
            ..TakenChanges::default()
        };
        let Some(feed) = self
            .record
            .feed
            .filter(|_| self.record.state == SubscriptionState::Active)
        else {
            return Err(none(None));
        };
        match feed.busy_until(now) {
            Some(until) => Err(none(Some(until))),
            None => Ok(feed.position),
        }
    }

    /// Hands out what is wanted of a reading that began there. None: another consumer was faster.
    pub(super) fn hand_out_changes(
        &mut self,
        from: FeedPosition,
        (reading, starts_over): (FeedReading, bool),
        request: &TakeEvents,
        now: Timestamp,
    ) -> Option<TakenChanges> {
        if self.next_batch_from(now) != Ok(from) {
            return None;
        }
        let feed = self.record.feed.get_or_insert_default();
        let more = reading.more;
        if starts_over {
            *feed = FeedProgress::starting_over();
        }
        let spec = self.record.changes.clone().unwrap_or_default();
        let mut changes = reading.changes;
        changes.retain(|change| spec.wants(change));
        if changes.is_empty() && !feed.starts_over {
            feed.skip_to(reading.next);
            return Some(TakenChanges {
                more,
                ..TakenChanges::default()
            });
        }
        Some(TakenChanges {
            attempt: feed.hand_out(reading.next, request.token, request.leased_until),
            starts_over: feed.starts_over,
            changes,
            more,
            next_due: None,
        })
    }

    /// Ends the hand-out of a batch.
    pub(super) fn settle_changes(&mut self, token: i64, outcome: &EventOutcome, now: Timestamp) -> bool {
        let end = match outcome {
            EventOutcome::Acked | EventOutcome::Skipped | EventOutcome::Dead { .. } => BatchEnd::Done,
            EventOutcome::Again { due_at, .. } => BatchEnd::Again(*due_at),
            EventOutcome::Untried => BatchEnd::Untried,
        };
        let settled = self.record.feed.as_mut().is_some_and(|feed| feed.settle(token, end));
        if settled {
            self.note_outcome(outcome, now);
        }
        settled
    }
}

/// The change up to which a follower needs no removals, for pruning the feed.
pub(super) fn feed_seen(feed: FeedProgress) -> i64 {
    match feed.position {
        // A follower that has seen nothing needs none.
        FeedPosition::START => i64::MAX,
        position => position.complete_to().0,
    }
}

/// Where a follower of the feed begins, that ends at `last`.
pub(super) fn feed_start(start: EventStart, last: Sequence) -> Result<FeedPosition, StoreError> {
    match start {
        EventStart::Beginning => Ok(FeedPosition::START),
        EventStart::Now => Ok(FeedPosition::after(last)),
        EventStart::At(_) => Err(StoreError::Refused(
            "a subscription to changes cannot start at a time; it starts now, or at the beginning".to_owned(),
        )),
    }
}

/// A subscription to events was asked for changes.
pub(super) fn check_changes(row: &Row) -> Result<(), StoreError> {
    match row.record.changes {
        Some(_) => Ok(()),
        None => Err(StoreError::Refused(format!(
            "subscription {} follows events, not changes",
            row.record.name
        ))),
    }
}
