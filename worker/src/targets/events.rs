//! Records a target's actions as events in the log: retained and followed like any other event.

use std::sync::Arc;

use serde_json::{Value, json};
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{EntityRef, NewEvent, Verdict};
use tideline_store::{Store, StoreError};

use crate::batches::Batches;

/// Appends the events of many attempts to the log together, since appends are serialized.
pub(super) struct EventLog {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    appended: Batches<NewEvent, ()>,
}

impl EventLog {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            appended: Batches::default(),
        }
    }

    async fn append(&self, event: NewEvent) -> Result<(), StoreError> {
        let append = async |events: Vec<NewEvent>| {
            let appended = self.store.append_events(&events, self.clock.now()).await?;
            Ok(vec![(); appended.len()])
        };
        self.appended.call(event, append).await
    }
}

/// Reports one attempt for one entity.
pub(super) struct SyncEvents<'l> {
    log: &'l EventLog,
    target: String,
    reference: EntityRef,
    trace: Option<String>,
}

impl<'l> SyncEvents<'l> {
    pub(super) fn new(log: &'l EventLog, (target, reference): (&str, &EntityRef), trace: Option<String>) -> Self {
        Self {
            log,
            target: target.to_owned(),
            reference: reference.clone(),
            trace,
        }
    }

    /// Appends an event about the entity. A failure to append stops nothing.
    pub(super) async fn tell(&self, topic: &str, mut body: Value) {
        body["target"] = json!(self.target);
        body["ref"] = json!(self.reference);
        let key = self.reference.as_str();
        let event = NewEvent {
            topic: topic.to_owned(),
            key: key[..key.floor_char_boundary(NewEvent::MAX_KEY_BYTES)].to_owned(),
            delivery: None,
            verdict: Verdict::Own,
            malformed: false,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            trace: self.trace.clone(),
        };
        if let Err(error) = self.log.append(event).await {
            tracing::debug!(topic, error = full_text(&error), "an event could not be recorded");
        }
    }
}
