use serde::{Deserialize, Serialize};

use super::{EventSequence, Timestamp};

/// How far an event's content can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Its signature was verified over the bytes received.
    Verified,
    /// The hook is `insecure`: anyone who knows the URL can have sent it.
    Unsigned,
    /// Tideline took it from the provider's list of deliveries.
    Fetched,
    /// An API token put it in.
    Published,
    /// Tideline tells of itself.
    Own,
}

/// Which delivery of which hook an event is; the pair is in the log once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeliveryId {
    /// Name of the hook.
    pub hook: String,
    /// The provider's own id, or a hash of what was received.
    pub id: String,
}

/// An event to append to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// `github.push`.
    pub topic: String,
    /// Its key: events of one key reach a subscriber in order. Empty: no order is needed.
    pub key: String,
    /// The delivery, if it is one.
    pub delivery: Option<DeliveryId>,
    /// How far it can be trusted.
    pub verdict: Verdict,
    /// The body is not what the provider sends.
    pub malformed: bool,
    /// Headers that were kept, names in lower case. Never signatures, credentials or cookies.
    pub headers: Vec<(String, String)>,
    /// JSON text or, if malformed, the raw content.
    pub body: Vec<u8>,
    /// W3C `traceparent` of the request.
    pub trace: Option<String>,
}

impl NewEvent {
    /// Maximum length of a topic, in bytes.
    pub const MAX_TOPIC_BYTES: usize = 200;
    /// Maximum length of a key, in bytes.
    pub const MAX_KEY_BYTES: usize = 512;
    /// Maximum length of a delivery id, in bytes.
    pub const MAX_ID_BYTES: usize = 200;
    /// Maximum number of events in one batch.
    pub const MAX_BATCH: usize = 1_000;
}

/// The result of an append for one event of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where it is in the log.
    pub sequence: EventSequence,
    /// The delivery was already in the log, so nothing was written.
    pub duplicate: bool,
}

/// An event in the log, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHead {
    /// Its place; later commits have higher numbers.
    pub sequence: EventSequence,
    /// `github.push`.
    pub topic: String,
    /// What it is about; empty: nothing in particular.
    pub key: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The delivery that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// How far it can be trusted.
    pub verdict: Verdict,
    /// The body is not what the provider sends.
    pub malformed: bool,
    /// Length of the body.
    pub body_bytes: u64,
    /// W3C `traceparent` of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// An event in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Everything but its content.
    pub head: EventHead,
    /// Headers that were kept, names in lower case.
    pub headers: Vec<(String, String)>,
    /// JSON text, or, if malformed, whatever came.
    pub body: Vec<u8>,
}

/// Events that a reader missed for good: they were dropped from the log before it read them (`events.retention`,
/// `events.max_bytes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventGap {
    /// The last one that it has seen.
    pub after: EventSequence,
    /// The last one that was dropped.
    pub up_to: EventSequence,
}
