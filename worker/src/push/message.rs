//! The message that a push sends for an event: the same object that a pull gets.

use serde::Serialize;
use tideline_core::words::EventRecord;
use tideline_runtime::documents::EventDocument;

/// A request's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The same for every try.
    pub(super) id: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

/// The body, as recommended by Standard Webhooks.
#[derive(Serialize)]
struct Envelope<'e> {
    r#type: &'e str,
    timestamp: String,
    data: EventDocument<'e>,
}

/// The id of an event's message, which distinguishes events of this store from those of a recreated one.
pub(super) fn id_of(event: &EventRecord) -> String {
    format!("evt_{}_{}", event.head.sequence, event.head.created_at.0)
}

/// The message of an event for a program.
pub(super) fn of_event(event: &EventRecord) -> Message {
    let envelope = Envelope {
        r#type: &event.head.topic,
        timestamp: event.head.created_at.to_string(),
        data: EventDocument::new(event),
    };
    Message {
        id: id_of(event),
        content_type: "application/json",
        body: serde_json::to_vec(&envelope).unwrap_or_default(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use tideline_core::words::{EventHead, EventSequence, Timestamp, Verdict};

    #[test]
    fn a_message_holds_the_event_and_what_is_no_json_in_base64() {
        let mut event = EventRecord {
            head: EventHead {
                sequence: EventSequence(7),
                topic: "github.push".to_owned(),
                key: "a".to_owned(),
                created_at: Timestamp(0),
                delivery: None,
                verdict: Verdict::Verified,
                malformed: false,
                body_bytes: 7,
                trace: None,
            },
            headers: vec![],
            body: br#"{"a":1}"#.to_vec(),
        };
        let message = of_event(&event);
        let value: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(
            (message.id.as_str(), &value["type"]),
            ("evt_7_0", &"github.push".into())
        );
        assert_eq!(value["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(
            (&value["data"]["id"], &value["data"]["body"]["a"]),
            (&"7".into(), &1.into())
        );
        event.body = b"\xff".to_vec();
        let value: serde_json::Value = serde_json::from_slice(&of_event(&event).body).unwrap();
        assert_eq!(value["data"]["body_base64"], "/w==");
    }
}
