//! The seam to the log of events.

use async_trait::async_trait;

use super::{
    EventBounds, EventFilter, EventPage, EventReading, EventStart, Exchanged, Notice, StoreError, SubscriptionCommand,
};
use tideline_core::rules::EventRetention;
use tideline_core::words::{
    Appended, DeadLetter, DeliveryId, EventHead, EventOutcome, EventRecord, EventSequence, NewEvent, SettleEvent,
    SubscriptionRecord, SubscriptionSpec, TakeEvents, Taken, TakenChanges, Timestamp,
};

type Answer<T> = Result<T, StoreError>;

/// The log of events: deliveries of hooks and what Tideline tells of itself, in commit order.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Appends events in one transaction, durably; returns results in their order. A delivery that is already in the
    /// log, or twice in the batch, is not written again. At most [`NewEvent::MAX_BATCH`].
    async fn append_events(&self, events: &[NewEvent], now: Timestamp) -> Answer<Vec<Appended>>;

    /// Events after a position, in commit order: a reader that continues from `next` misses none, whatever commits
    /// meanwhile. At most `limit` (1 to 10,000), and bounded by the bytes of their bodies.
    async fn list_events_after(&self, after: EventSequence, filter: &EventFilter, limit: u32) -> Answer<EventReading>;

    /// Heads of events before a place (none: from the end), newest first. At most `limit` (1 to 1,000).
    async fn list_events_before(
        &self,
        before: Option<EventSequence>,
        filter: &EventFilter,
        limit: u32,
    ) -> Answer<EventPage>;

    /// Distinct topics of the events in a range of positions, in no order. Reads one index entry for each event.
    async fn list_topics(&self, after: EventSequence, up_to: EventSequence) -> Answer<Vec<String>>;

    /// The event at a place.
    async fn find_event(&self, sequence: EventSequence) -> Answer<Option<EventRecord>>;

    /// The position of a delivery in the log.
    async fn find_delivery(&self, delivery: &DeliveryId) -> Answer<Option<EventSequence>>;

    /// Where the log begins and ends.
    async fn event_bounds(&self) -> Answer<EventBounds>;

    /// The position after which a reader with this `start` begins.
    async fn find_event_start(&self, start: EventStart) -> Answer<EventSequence>;

    /// Drops up to `limit` of the oldest events that need not be kept for subscriptions and these followers; says how many.
    async fn prune_events(&self, retention: &EventRetention, followers: &[&str], limit: u32) -> Answer<u64>;
}

/// Subscriptions to the log of events, each with its own position: pulled or pushed. Acts on subscriptions and dead
/// letters are performed and recorded by [`AuditStore::perform`](super::AuditStore::perform).
#[async_trait]
pub trait SubscriptionStore: Send + Sync {
    /// Creates a subscription of Tideline's own that begins at `start`, or changes what an existing one follows; its
    /// position stays. `Refused` if the existing one differs in kind (pull or push, events or changes).
    async fn put_subscription(
        &self,
        spec: &SubscriptionSpec,
        start: EventStart,
        now: Timestamp,
    ) -> Answer<SubscriptionRecord>;

    /// All subscriptions, by name.
    async fn list_subscriptions(&self) -> Answer<Vec<SubscriptionRecord>>;

    /// The subscription of this name.
    async fn find_subscription(&self, name: &str) -> Answer<Option<SubscriptionRecord>>;

    /// Executes a command of the pushing role. `Refused` if the subscription's state does not allow it.
    async fn command_subscription(&self, name: &str, command: &SubscriptionCommand) -> Answer<()>;

    /// Ends hand-outs, then leases events, in one transaction. Due retries come first, then new events; those of one
    /// key in order, and to one consumer at a time. Nothing, if the subscription is paused or blocked.
    async fn exchange_events(
        &self,
        name: &str,
        settlements: &[SettleEvent],
        request: Option<&TakeEvents>,
        now: Timestamp,
    ) -> Answer<Exchanged>;

    /// Only hands out.
    async fn take_events(&self, name: &str, request: &TakeEvents, now: Timestamp) -> Answer<Taken> {
        let exchanged = self.exchange_events(name, &[], Some(request), now).await?;
        Ok(exchanged.taken)
    }

    /// Only ends hand-outs; returns results in their order. `false`: the event has since been leased to another
    /// consumer, or is finished.
    async fn settle_events(&self, name: &str, settlements: &[SettleEvent], now: Timestamp) -> Answer<Vec<bool>> {
        let exchanged = self.exchange_events(name, settlements, None, now).await?;
        Ok(exchanged.settled)
    }

    /// The newest event on this topic and about this key of which a subscription notified people, or would have done so
    /// again.
    async fn find_notice(&self, name: &str, topic: &str, key: &str) -> Answer<Option<Notice>>;

    /// Records that a subscription notified people of an event, or would have done so again; deletes records older than
    /// `forget_before`. `NotFound`: there is no such subscription.
    async fn note_notice(&self, name: &str, event: &EventHead, forget_before: Timestamp) -> Answer<()>;

    /// Events that were given up, after a place. At most `limit` (1 to 1,000).
    async fn list_dead_letters(&self, name: &str, after: EventSequence, limit: u32) -> Answer<Vec<DeadLetter>>;
}

/// Subscriptions to the change feed: one batch at a time, in order, each with its own position.
#[async_trait]
pub trait ChangeSubscriptionStore: Send + Sync {
    /// Leases the next changes, as many as `request` says. Nothing while an earlier batch is leased or waits for its
    /// retry, and nothing if the subscription is paused or blocked. `Refused` if it follows events.
    async fn take_changes(&self, name: &str, request: &TakeEvents, now: Timestamp) -> Answer<TakenChanges>;

    /// Ends the hand-out of a batch; once it is finished, the subscription moves on. `false`: it has since been leased
    /// to another consumer, or is finished.
    async fn settle_changes(&self, name: &str, token: i64, outcome: &EventOutcome, now: Timestamp) -> Answer<bool>;

    /// The commit time of the oldest removal that a live subscription has not seen.
    async fn find_oldest_unseen_removal(&self) -> Answer<Option<Timestamp>>;
}

/// Positions of Tideline's own followers of the log of events.
#[async_trait]
pub trait FollowerStore: Send + Sync {
    /// Up to where a follower has applied the log. None: it never moved.
    async fn find_position(&self, follower: &str) -> Answer<Option<EventSequence>>;

    /// Moves a follower from its position. `false`: it is no longer there (another process moved it).
    async fn move_position(&self, follower: &str, from: Option<EventSequence>, to: EventSequence) -> Answer<bool>;
}
