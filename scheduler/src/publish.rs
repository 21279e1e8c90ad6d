//! Publishes every event and every change on NATS (`publish: true`), in order and at least once. One scheduler at a
//! time does so; when it stops, another one continues from the stored position.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{
    CHANGES_PUBLISHER as CHANGES, ChangesSpec, EventOutcome, EventSequence, SubscriptionKind, SubscriptionSpec,
    TakeEvents, Timestamp,
};
use tideline_queue::QueueError;
use tideline_queue::jetstream::{Outlet, Publication, Subject};
use tideline_runtime::Pace;
use tideline_runtime::documents::{ChangeDocument, EventDocument};
use tideline_store::{EventFilter, EventStart, Store, StoreError};

use crate::scheduler::Task;

/// Under this name it is stored who publishes events.
const TURN: &str = "nats-turn";
/// Messages at a time.
const BATCH: u32 = 500;
/// A publisher that has not published for this long is presumed dead.
const TURN_LASTS: Duration = Duration::from_secs(10);
/// The wait if NATS cannot be reached.
const UNAVAILABLE: Duration = Duration::from_secs(1);

/// Publishes events.
pub struct PublishEvents {
    /// Has the log.
    pub store: Arc<dyn Store>,
    /// Goes to NATS.
    pub outlet: Arc<Outlet>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    turn: Mutex<Option<EventSequence>>,
}

impl PublishEvents {
    /// Under this name the position in the log of events is stored.
    pub(crate) const NAME: &str = "nats";

    /// Of these parts.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, outlet: Arc<Outlet>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            outlet,
            clock,
            turn: Mutex::default(),
        }
    }

    /// Whether this scheduler is the publisher: two would mix up the order.
    async fn has_turn(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let held = self.store.find_position(TURN).await?;
        let mine = held.is_some() && *self.turn.lock() == held;
        if !mine && held.is_some_and(|held| now.since(Timestamp(held.0)) < TURN_LASTS) {
            return Ok(false);
        }
        let next = EventSequence(now.0.max(held.map_or(0, |held| held.0 + 1)));
        let moved = self.store.move_position(TURN, held, next).await?;
        *self.turn.lock() = moved.then_some(next);
        Ok(moved)
    }
}

#[async_trait]
impl Task for PublishEvents {
    /// Publishes the next events.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        if !self.has_turn().await? {
            return Ok(Pace::After(TURN_LASTS / 2));
        }
        let from = self.store.find_position(Self::NAME).await?;
        let Some(after) = from else {
            // Events stored before publishing was enabled are skipped.
            let last = self.store.event_bounds().await?.last;
            self.store.move_position(Self::NAME, None, last).await?;
            return Ok(Pace::Again);
        };
        let reading = self
            .store
            .list_events_after(after, &EventFilter::default(), BATCH)
            .await?;
        if let Some(gap) = reading.missed {
            tracing::warn!(?gap, "events were dropped before they were published on NATS");
        }
        if reading.next == after {
            return Ok(Pace::Idle);
        }
        let batch = reading.events.iter().map(|event| Publication {
            subject: Subject::Event {
                topic: event.head.topic.clone(),
            },
            id: format!("evt_{}_{}", event.head.sequence, event.head.created_at.0),
            payload: json(&EventDocument::new(event)),
            trace: event.head.trace.clone(),
        });
        if let Err(error) = self.outlet.publish(&batch.collect::<Vec<_>>()).await {
            return Ok(wait_for_nats("events", &error));
        }
        self.store.move_position(Self::NAME, from, reading.next).await?;
        Ok(if reading.more { Pace::Again } else { Pace::Idle })
    }
}

/// Publishes changes.
pub struct PublishChanges {
    /// Has the feed.
    pub store: Arc<dyn Store>,
    /// Goes to NATS.
    pub outlet: Arc<Outlet>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl PublishChanges {
    async fn subscribe(&self) -> Result<(), StoreError> {
        let spec = SubscriptionSpec {
            name: CHANGES.to_owned(),
            kind: SubscriptionKind::Pull,
            topics: vec![],
            max_outstanding: 1,
            filter: None,
            push: None,
            changes: Some(ChangesSpec::default()),
        };
        self.store
            .put_subscription(&spec, EventStart::Beginning, self.clock.now())
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Task for PublishChanges {
    /// Publishes the next changes.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let (now, token) = (self.clock.now(), rand::random::<i64>() | 1);
        let request = TakeEvents {
            max: BATCH,
            leased_until: now.plus(TURN_LASTS * 2),
            token,
            in_flight: None,
        };
        let taken = match self.store.take_changes(CHANGES, &request, now).await {
            Err(StoreError::NotFound { .. }) => {
                self.subscribe().await?;
                return Ok(Pace::Again);
            }
            taken => taken?,
        };
        if taken.attempt == 0 {
            return Ok(match taken.next_due {
                Some(due) => Pace::Until(due),
                None if taken.more => Pace::Again,
                None => Pace::Idle,
            });
        }
        let start_over = taken.starts_over.then(|| Publication {
            subject: Subject::StartOver,
            id: format!("chg_start_{token:016x}"),
            payload: Bytes::from_static(br#"{"start_over":true}"#),
            trace: None,
        });
        let changes = taken.changes.iter().map(|change| Publication {
            subject: Subject::Change {
                source: change.source.clone(),
                kind: change.reference.kind().to_owned(),
            },
            id: format!("chg_{}_{}", change.sequence, change.changed_at.0),
            payload: json(&ChangeDocument::new(change)),
            trace: None,
        });
        let batch: Vec<Publication> = start_over.into_iter().chain(changes).collect();
        let published = self.outlet.publish(&batch).await;
        let outcome = match &published {
            Ok(()) => EventOutcome::Acked,
            Err(error) => EventOutcome::Again {
                due_at: self.clock.now().plus(UNAVAILABLE),
                error: Some(full_text(error)),
            },
        };
        self.store
            .settle_changes(CHANGES, token, &outcome, self.clock.now())
            .await?;
        Ok(match published {
            Err(error) => wait_for_nats("changes", &error),
            Ok(()) => Pace::Again,
        })
    }
}

fn json(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).unwrap_or_default().into()
}

fn wait_for_nats(what: &str, error: &QueueError) -> Pace {
    tracing::warn!(error = full_text(error), "{what} cannot be published on NATS right now");
    Pace::After(UNAVAILABLE)
}
