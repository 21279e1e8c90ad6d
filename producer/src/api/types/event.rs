use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tideline_core::words::{
    DeadLetter as LetterRecord, EventHead, EventRecord, LogEnds, PushFormat, PushSpec, SubscriptionKind,
    SubscriptionRecord, SubscriptionState, Verdict,
};
use utoipa::ToSchema;

use super::Time;

/// One event of the log, as it is listed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its position in the log; later commits have higher ones.
    pub id: String,
    /// `github.push`.
    pub topic: String,
    /// What it is about; events with the same key are delivered in order. Empty: nothing in particular.
    pub key: String,
    /// When it was stored.
    pub created_at: Time,
    /// The hook that received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// The provider's id of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// `verified`, `unsigned`, `fetched`, `published` or `own`.
    #[schema(value_type = String)]
    pub verdict: Verdict,
    /// The body is not what the provider sends.
    pub malformed: bool,
    /// Length of the body.
    pub body_bytes: u64,
}

impl From<EventHead> for Event {
    fn from(head: EventHead) -> Self {
        let (hook, delivery) = head.delivery.map(|of| (of.hook, of.id)).unzip();
        Self {
            id: head.sequence.to_string(),
            topic: head.topic,
            key: head.key,
            created_at: head.created_at.into(),
            hook,
            delivery,
            verdict: head.verdict,
            malformed: head.malformed,
            body_bytes: head.body_bytes,
        }
    }
}

/// An event with its content.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WholeEvent {
    /// What it is.
    #[serde(flatten)]
    pub event: Event,
    /// Headers that were kept: name and value of each.
    // Generators of clients do not understand the schema of a pair (`prefixItems`).
    #[schema(value_type = Vec<Vec<String>>)]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub body: Option<Box<RawValue>>,
    /// The body in base64, if it is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

impl From<EventRecord> for WholeEvent {
    fn from(record: EventRecord) -> Self {
        let json = String::from_utf8(record.body).map_err(std::string::FromUtf8Error::into_bytes);
        let json = json.and_then(|text| RawValue::from_string(text.clone()).map_err(|_| text.into_bytes()));
        let (body, body_base64) = match json {
            Ok(json) => (Some(json), None),
            Err(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        Self {
            event: record.head.into(),
            headers: record.headers,
            body,
            body_base64,
        }
    }
}

/// Events after a position.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Events {
    /// In commit order.
    pub events: Vec<WholeEvent>,
    /// `after` of the next request.
    pub next: String,
    /// More is available now.
    pub more: bool,
    /// Events up to here were dropped before the reader reached them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_to: Option<String>,
}

/// A subscription.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Unique name.
    pub name: String,
    /// `pull` or `push`.
    #[schema(value_type = String)]
    pub kind: SubscriptionKind,
    /// What it follows; none: every topic.
    pub topics: Vec<String>,
    /// `active`, `paused` or `blocked`.
    #[schema(value_type = String)]
    pub state: SubscriptionState,
    /// Why it is blocked.
    pub blocked_reason: Option<String>,
    /// Everything up to here was examined.
    pub position: String,
    /// Events delivered but not acknowledged, and those waiting behind them.
    pub outstanding: u32,
    /// Events that were given up.
    pub dead_letters: u64,
    /// Since when nothing has succeeded.
    pub failing_since: Option<Time>,
    /// What the last failure was.
    pub last_error: Option<String>,
    /// Events up to here were dropped before it reached them.
    pub missed_to: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// jq condition over the event: only events for which it is true are delivered.
    #[serde(default)]
    pub filter: Option<String>,
    /// Where its events are sent; absent: it pulls.
    #[serde(default)]
    pub push: Option<PushedTo>,
    /// Events in the log that it has not examined yet, and those that are outstanding.
    #[serde(default)]
    pub lag: u64,
    /// Events, or changes, processed within about the last hour.
    #[serde(default)]
    pub last_hour: u64,
    /// When the oldest event that it has not finished was stored.
    #[serde(default)]
    pub behind_since: Option<Time>,
    /// When failed events are retried.
    #[serde(default)]
    pub next_try: Option<Time>,
    /// The changes of the catalog that it follows; absent: it follows events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<FollowedChanges>,
}

/// Changes that a subscription follows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FollowedChanges {
    /// Names of sources; none: all.
    pub sources: Vec<String>,
    /// Kinds of entities; none: all.
    pub kinds: Vec<String>,
    /// Everything up to here is done with.
    pub position: String,
    /// Whether it must start over with its next batch.
    pub starts_over: bool,
}

/// Where the events of a subscription are sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PushedTo {
    /// The URL, without the parts that could be secret.
    pub url: String,
    /// `event`, or what a chat takes: `slack`, `teams`, `mattermost`, `text`.
    #[schema(value_type = String)]
    pub format: PushFormat,
    /// Maximum number of events sent at the same time.
    pub in_flight: u32,
}

impl Subscription {
    /// A subscription, and what it passed within the last hour.
    pub(crate) fn new(record: SubscriptionRecord, ends: LogEnds, last_hour: u64) -> Self {
        let lag = record.behind(ends);
        let pushed_to = |push: PushSpec| PushedTo {
            url: push.shown_url,
            format: push.format,
            in_flight: push.in_flight,
        };
        Self {
            changes: record.changes.map(|changes| FollowedChanges {
                sources: changes.sources,
                kinds: changes.kinds,
                position: record.feed.map_or_else(String::new, |feed| feed.position.to_string()),
                starts_over: record.feed.is_some_and(|feed| feed.starts_over),
            }),
            lag,
            last_hour,
            filter: record.filter,
            push: record.push.map(pushed_to),
            behind_since: record.behind_since.map(Time),
            next_try: record.next_try.map(Time),
            name: record.name,
            kind: record.kind,
            topics: record.topics.iter().map(ToString::to_string).collect(),
            state: record.state,
            blocked_reason: record.blocked_reason,
            position: record.position.to_string(),
            outstanding: record.outstanding,
            dead_letters: record.dead_letters,
            failing_since: record.failing_since.map(Time),
            last_error: record.last_error,
            missed_to: record.missed_to.map(|sequence| sequence.to_string()),
            created_at: record.created_at.into(),
        }
    }
}

/// An event that was given up.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The event's id.
    pub id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was given up.
    pub error: String,
    /// When that was.
    pub died_at: Time,
    /// The event; absent: it was dropped from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
}

impl From<LetterRecord> for DeadLetter {
    fn from(letter: LetterRecord) -> Self {
        Self {
            id: letter.sequence.to_string(),
            attempts: letter.attempts,
            error: letter.error,
            died_at: letter.died_at.into(),
            event: letter.event.map(Event::from),
        }
    }
}
