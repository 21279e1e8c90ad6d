//! The seam to the log of events.

use async_trait::async_trait;

use super::{EventBounds, EventFilter, EventPage, EventReading, EventStart, StoreError};
use tideline_core::rules::EventRetention;
use tideline_core::words::{Appended, DeliveryId, EventRecord, EventSequence, NewEvent, Timestamp};

type Answer<T> = Result<T, StoreError>;

/// The log of events: deliveries of hooks and what Tideline tells of itself, in commit order.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Appends events in one transaction, durably, and answers in their order. A delivery that is in the log already, or twice
    /// in the batch, is not written again. At most [`NewEvent::MAX_BATCH`].
    async fn append_events(&self, events: &[NewEvent], now: Timestamp) -> Answer<Vec<Appended>>;

    /// Events after a place, in commit order: a reader that goes on from `next` misses none, whatever commits meanwhile. At
    /// most `limit` (1 to 10,000) and so many bytes of bodies.
    async fn list_events_after(&self, after: EventSequence, filter: &EventFilter, limit: u32) -> Answer<EventReading>;

    /// Heads of events before a place (none: from the end), newest first. At most `limit` (1 to 1,000).
    async fn list_events_before(
        &self,
        before: Option<EventSequence>,
        filter: &EventFilter,
        limit: u32,
    ) -> Answer<EventPage>;

    /// The event at a place.
    async fn find_event(&self, sequence: EventSequence) -> Answer<Option<EventRecord>>;

    /// Where a delivery is in the log.
    async fn find_delivery(&self, delivery: &DeliveryId) -> Answer<Option<EventSequence>>;

    /// Where the log begins and ends.
    async fn event_bounds(&self) -> Answer<EventBounds>;

    /// After which place a reader begins that wants what `start` says.
    async fn find_event_start(&self, start: EventStart) -> Answer<EventSequence>;

    /// Drops up to `limit` of the oldest events that need not be kept; says how many.
    async fn prune_events(&self, retention: &EventRetention, limit: u32) -> Answer<u64>;
}
