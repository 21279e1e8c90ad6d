//! Events and changes as JSON, the same wherever they leave Tideline: pushed, published, and as the API shows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use tideline_core::words::{Change, ChangeKind, EventRecord, Verdict};

/// An event as the API shows it.
#[derive(Serialize)]
pub struct EventDocument<'e> {
    id: String,
    topic: &'e str,
    key: &'e str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<&'e str>,
    verdict: Verdict,
    malformed: bool,
    body_bytes: u64,
    headers: &'e [(String, String)],
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'e RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl<'e> EventDocument<'e> {
    /// Of an event. A body that is not JSON is in base64.
    #[must_use]
    pub fn new(event: &'e EventRecord) -> Self {
        let head = &event.head;
        let body: Option<&RawValue> = serde_json::from_slice(&event.body).ok();
        Self {
            id: head.sequence.to_string(),
            topic: &head.topic,
            key: &head.key,
            created_at: head.created_at.to_string(),
            hook: head.delivery.as_ref().map(|of| of.hook.as_str()),
            delivery: head.delivery.as_ref().map(|of| of.id.as_str()),
            verdict: head.verdict,
            malformed: head.malformed,
            body_bytes: head.body_bytes,
            headers: &event.headers,
            body_base64: body.is_none().then(|| STANDARD.encode(&event.body)),
            body,
        }
    }
}

/// A change as the API shows it.
#[derive(Serialize)]
pub struct ChangeDocument<'c> {
    sequence: i64,
    change: ChangeKind,
    source: &'c str,
    r#ref: &'c str,
    changed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'c RawValue>,
}

impl<'c> ChangeDocument<'c> {
    /// Of a change.
    #[must_use]
    pub fn new(change: &'c Change) -> Self {
        Self {
            sequence: change.sequence.0,
            change: change.change,
            source: &change.source,
            r#ref: change.reference.as_str(),
            changed_at: change.changed_at.to_string(),
            body: change.body.as_deref().and_then(|body| serde_json::from_str(body).ok()),
        }
    }
}
