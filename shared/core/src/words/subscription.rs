use serde::{Deserialize, Serialize};

use super::{Change, EventHead, EventRecord, EventSequence, Sequence, Timestamp};
use crate::rules::{FeedProgress, TopicGlob};

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionState {
    /// Events are handed out.
    Active,
    /// A person paused it.
    Paused,
    /// Switched off, because its URL has been failing for too long or is not allowed; resumed by a person.
    Blocked,
}

/// How a subscription gets its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionKind {
    /// It asks for them.
    Pull,
    /// They are sent to a URL.
    Push,
}

/// What a push sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushFormat {
    /// The event, signed as Standard Webhooks.
    #[default]
    Event,
    /// A sentence for an incoming webhook of Slack.
    Slack,
    /// The same for Microsoft Teams (workflows).
    Teams,
    /// The same for Mattermost.
    Mattermost,
    /// The same as plain text.
    Text,
}

impl PushFormat {
    /// Whether people read it.
    #[must_use]
    pub fn is_for_people(self) -> bool {
        self != Self::Event
    }
}

/// Where and how a subscription's events are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSpec {
    /// What is sent.
    #[serde(default)]
    pub format: PushFormat,
    /// The URL as it may be shown: without what could be a secret of it.
    pub shown_url: String,
    /// The whole URL, the secret and the headers, sealed.
    pub sealed: String,
    /// Events that are being sent at a time at most, by all workers together.
    pub in_flight: u32,
}

/// Which changes of the catalog a subscription follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesSpec {
    /// Names of sources; empty: all.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Kinds of entities; empty: all.
    #[serde(default)]
    pub kinds: Vec<String>,
}

impl ChangesSpec {
    /// Whether a change is one of them.
    #[must_use]
    pub fn wants(&self, change: &Change) -> bool {
        let is_of = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        is_of(&self.sources, &change.source) && is_of(&self.kinds, change.reference.kind())
    }
}

/// Changes that were handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenChanges {
    /// In order.
    pub changes: Vec<Change>,
    /// The follower would have missed changes: it forgets what it has, and gets everything anew from here on.
    pub starts_over: bool,
    /// How often a batch was handed out from here, 1 for the first time; 0: nothing was handed out.
    pub attempt: u32,
    /// More may be available now.
    pub more: bool,
    /// When the batch that is leased, or that failed, is due.
    pub next_due: Option<Timestamp>,
}

/// The subscription with which Tideline itself publishes changes on NATS.
pub const CHANGES_PUBLISHER: &str = "nats-changes";

/// A subscription as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionSpec {
    /// Unique name.
    pub name: String,
    /// How it gets its events.
    pub kind: SubscriptionKind,
    /// What it follows; empty: every topic.
    pub topics: Vec<TopicGlob>,
    /// Events that are handed out, or wait for another attempt, at most.
    pub max_outstanding: u32,
    /// jq expression over the event: only what it is true of is handed out; none: everything.
    pub filter: Option<String>,
    /// Where they are sent, if they are.
    pub push: Option<PushSpec>,
    /// Follows these changes of the catalog, and not events.
    pub changes: Option<ChangesSpec>,
}

/// A subscription as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRecord {
    /// Unique name.
    pub name: String,
    /// How it gets its events.
    pub kind: SubscriptionKind,
    /// What it follows; empty: every topic.
    pub topics: Vec<TopicGlob>,
    /// Its state.
    pub state: SubscriptionState,
    /// Why it is blocked.
    pub blocked_reason: Option<String>,
    /// Everything up to here was examined.
    pub position: EventSequence,
    /// Events delivered but not acknowledged, and those waiting behind them.
    pub outstanding: u32,
    /// Events that wait for a person after the last rung of the ladder.
    pub dead_letters: u64,
    /// Since when nothing has succeeded.
    pub failing_since: Option<Timestamp>,
    /// What the last failure was.
    pub last_error: Option<String>,
    /// Events up to here were dropped before it came to them; none: it missed nothing.
    pub missed_to: Option<EventSequence>,
    /// When it was made.
    pub created_at: Timestamp,
    /// jq expression over the event: only what it is true of is handed out; none: everything.
    pub filter: Option<String>,
    /// Where they are sent, if they are.
    pub push: Option<PushSpec>,
    /// Rises with every replay, and with every change of where it is sent: what is being sent then is cancelled.
    pub generation: i64,
    /// When failed events are retried.
    pub next_try: Option<Timestamp>,
    /// When the oldest event that it has not finished was stored.
    pub behind_since: Option<Timestamp>,
    /// Follows these changes of the catalog, and not events.
    pub changes: Option<ChangesSpec>,
    /// Where it stands in the change feed.
    pub feed: Option<FeedProgress>,
    /// Events that are handed out, or wait for another attempt, at most.
    pub max_outstanding: u32,
}

/// The newest numbers of both logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnds {
    /// Of the log of events.
    pub events: EventSequence,
    /// Of the change feed.
    pub changes: Sequence,
}

impl SubscriptionRecord {
    /// The number in its log, of events or of changes, up to which it has looked at everything.
    #[must_use]
    pub fn looked_up_to(&self) -> i64 {
        match &self.feed {
            Some(feed) => feed.position.sequence().0,
            None => self.position.0,
        }
    }

    /// Its backlog: events not examined yet, and outstanding ones.
    #[must_use]
    pub fn behind(&self, ends: LogEnds) -> u64 {
        // The position in the change feed is behind what is outstanding.
        let (last, outstanding) = match &self.feed {
            Some(_) => (ends.changes.0, 0),
            None => (ends.events.0, self.outstanding),
        };
        let ahead = u64::try_from(last.saturating_sub(self.looked_up_to())).unwrap_or(0);
        ahead.saturating_add(outstanding.into())
    }
}

/// Asks for events of a subscription.
#[derive(Clone, Copy, Debug, Default)]
pub struct TakeEvents {
    /// At most this many.
    pub max: u32,
    /// They are this taker's until then; what is not settled by then is handed out again.
    pub leased_until: Timestamp,
    /// Names this taking, unlike any other; fences the settlement.
    pub token: i64,
    /// Maximum number of events in flight, across all consumers; none: no limit. With a limit, a consumer does not wait
    /// for another one that is taking events at the same moment: it gets nothing.
    pub in_flight: Option<u32>,
}

/// An event that was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenEvent {
    /// The event.
    pub event: EventRecord,
    /// How often it was delivered, 1 for the first time.
    pub attempt: u32,
}

/// What was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// In order; events of the same key go to no other consumer until these are settled.
    pub events: Vec<TakenEvent>,
    /// Events up to here were dropped before the subscription reached them; reported once.
    pub missed_to: Option<EventSequence>,
    /// There may be more to take now.
    pub more: bool,
    /// When the next event is due that waits for its time.
    pub next_due: Option<Timestamp>,
}

impl Taken {
    /// There is nothing to hand on: no event, and nothing to tell of.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.events.is_empty() && self.missed_to.is_none()
    }

    /// Events that had been handed out before.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.events.iter().filter(|taken| taken.attempt > 1).count() as u64
    }
}

/// What became of an event that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// Done.
    Acked,
    /// Done with, because the subscription's filter does not want it.
    Skipped,
    /// Once more, at this moment.
    Again {
        /// When it is due.
        due_at: Timestamp,
        /// Why, for people.
        error: Option<String>,
    },
    /// It was not tried: an earlier one of its key failed.
    Untried,
    /// Never again, unless a person says so.
    Dead {
        /// Why.
        error: String,
    },
}

/// The end of one hand-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleEvent {
    /// The event.
    pub sequence: EventSequence,
    /// What it was taken with.
    pub token: i64,
    /// What became of it.
    pub outcome: EventOutcome,
}

/// An event that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The event.
    pub sequence: EventSequence,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was given up.
    pub error: String,
    /// When that was.
    pub died_at: Timestamp,
    /// The event itself; none: it was dropped from the log.
    pub event: Option<EventHead>,
}
