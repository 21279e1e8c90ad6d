//! What a target does, told as events of the log: kept as long as the log keeps events, and followed like any other.

use std::sync::Arc;

use serde_json::{Value, json};
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{EntityRef, NewEvent, Verdict};
use tideline_store::Store;

/// Tells of one attempt for one entity.
pub(super) struct SyncEvents {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    target: String,
    reference: EntityRef,
    trace: Option<String>,
}

impl SyncEvents {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        (target, reference): (&str, &EntityRef),
        trace: Option<String>,
    ) -> Self {
        Self {
            store,
            clock,
            target: target.to_owned(),
            reference: reference.clone(),
            trace,
        }
    }

    /// Appends an event about the entity. That it cannot be told keeps nothing from being done.
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
        if let Err(error) = self.store.append_events(&[event], self.clock.now()).await {
            tracing::debug!(topic, error = full_text(&error), "an event could not be told");
        }
    }
}
