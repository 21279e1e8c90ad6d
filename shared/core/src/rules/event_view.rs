use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::words::{EventRecord, NewEvent};

/// An event as expressions see it.
#[derive(Serialize)]
struct View<'e> {
    topic: &'e str,
    key: &'e str,
    hook: Option<&'e str>,
    malformed: bool,
    headers: BTreeMap<&'e str, &'e str>,
    /// Null if it is not JSON.
    body: Option<&'e RawValue>,
}

/// The JSON text that expressions over an event get: `.topic`, `.key`, `.hook`, `.headers`, `.body` and `.malformed`.
///
/// # Errors
/// It cannot be written.
pub fn event_view(event: &EventRecord) -> Result<String, serde_json::Error> {
    let head = &event.head;
    serde_json::to_string(&View {
        topic: &head.topic,
        key: &head.key,
        hook: head.delivery.as_ref().map(|delivery| delivery.hook.as_str()),
        malformed: head.malformed,
        headers: by_name(&event.headers),
        body: serde_json::from_slice(&event.body).ok(),
    })
}

/// The same, for an event that is yet to be appended.
///
/// # Errors
/// It cannot be written.
pub fn new_event_view(event: &NewEvent) -> Result<String, serde_json::Error> {
    serde_json::to_string(&View {
        topic: &event.topic,
        key: &event.key,
        hook: event.delivery.as_ref().map(|delivery| delivery.hook.as_str()),
        malformed: event.malformed,
        headers: by_name(&event.headers),
        body: serde_json::from_slice(&event.body).ok(),
    })
}

fn by_name(headers: &[(String, String)]) -> BTreeMap<&str, &str> {
    (headers.iter())
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
