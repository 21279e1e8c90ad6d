//! Operators' acts on subscriptions, dead letters and events.

use serde_json::{Map, Value, json};
use tideline_core::words::{
    DeliveryId, EventRecord, EventSequence, NewEvent, SubscriptionKind, SubscriptionRecord, SubscriptionSpec,
    Timestamp, Verdict,
};

use super::{EventStart, StoreError, SubscriptionCommand};

/// What an operator does to a subscription.
#[derive(Clone, Debug)]
pub enum SubscriptionAct {
    /// Creates it, beginning at `start`, or changes what it follows and where its events are sent.
    Put {
        /// What is wanted.
        spec: Box<SubscriptionSpec>,
        /// Where a new one begins.
        start: EventStart,
    },
    /// Forgets it with its dead letters.
    Delete,
    /// Pauses, resumes, switches off, or goes on from another place.
    Command(SubscriptionCommand),
    /// A dead letter (or up to a thousand) is due again, as if for the first time.
    RetryDeadLetters(Option<EventSequence>),
    /// A dead letter (or up to a thousand) is forgotten.
    DropDeadLetters(Option<EventSequence>),
}

impl SubscriptionAct {
    /// Its name in the audit log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Put { .. } => "subscriptions.put",
            Self::Delete => "subscriptions.delete",
            Self::Command(command) => match command {
                SubscriptionCommand::Pause => "subscriptions.pause",
                SubscriptionCommand::Resume => "subscriptions.resume",
                SubscriptionCommand::Block(_) | SubscriptionCommand::BlockFailing(..) => "subscriptions.block",
                SubscriptionCommand::Replay(_) => "subscriptions.replay",
            },
            Self::RetryDeadLetters(_) => "dead_letters.retry",
            Self::DropDeadLetters(_) => "dead_letters.drop",
        }
    }

    /// What else was asked. Sealed targets are left out: sealing the same twice gives two texts.
    pub(super) fn arguments(&self) -> Value {
        match self {
            Self::Put { spec, start } => put_arguments(spec, *start),
            Self::Command(SubscriptionCommand::Replay(start)) => json!({ "from": start }),
            Self::Command(SubscriptionCommand::Block(why) | SubscriptionCommand::BlockFailing(_, why)) => {
                json!({ "blocked_reason": why })
            }
            Self::RetryDeadLetters(Some(event)) | Self::DropDeadLetters(Some(event)) => {
                json!({ "event": event.to_string() })
            }
            _ => json!({}),
        }
    }
}

fn put_arguments(spec: &SubscriptionSpec, start: EventStart) -> Value {
    let mut arguments = Map::new();
    arguments.insert("from".to_owned(), json!(start));
    arguments.insert("max_outstanding".to_owned(), json!(spec.max_outstanding));
    if spec.changes.is_none() {
        arguments.insert("topics".to_owned(), json!(spec.topics));
    }
    if let Some(filter) = &spec.filter {
        arguments.insert("filter".to_owned(), json!(filter));
    }
    if let Some(push) = &spec.push {
        let push = json!({"url": push.shown_url, "format": push.format, "in_flight": push.in_flight});
        arguments.insert("push".to_owned(), push);
    }
    if let Some(changes) = &spec.changes {
        arguments.insert("changes".to_owned(), json!(changes));
    }
    Value::Object(arguments)
}

/// A subscription cannot change its kind: its outstanding events would make no sense.
pub(super) fn other_kind(spec: &SubscriptionSpec) -> StoreError {
    let wanted = match (spec.kind, &spec.changes) {
        (SubscriptionKind::Pull, None) => "pull subscription to events",
        (SubscriptionKind::Push, None) => "push subscription to events",
        (SubscriptionKind::Pull, Some(_)) => "pull subscription to changes",
        (SubscriptionKind::Push, Some(_)) => "push subscription to changes",
    };
    StoreError::Refused(format!(
        "subscription {}: the type of a subscription (pull or push, events or changes) cannot be changed, and \
         this one is not a {wanted}; delete it first, or use another name",
        spec.name
    ))
}

/// Checks that the subscription is the one that the caller read. If it is gone, a caller that expects one gets an
/// error.
pub(super) fn expect(record: &SubscriptionRecord, expected: Option<&[String]>) -> Result<(), StoreError> {
    let version = tideline_core::rules::subscription_version(record);
    StoreError::expect("subscription", &record.name, &version, expected)
}

/// The requested event is not a dead letter.
pub(super) fn check_letters(name: &str, event: Option<EventSequence>, found: usize) -> Result<(), StoreError> {
    match event {
        Some(event) if found == 0 => Err(StoreError::NotFound {
            what: "dead letter",
            name: format!("{event} of subscription {name}"),
        }),
        _ => Ok(()),
    }
}

pub(super) fn no_event(event: EventSequence) -> StoreError {
    StoreError::NotFound {
        what: "event",
        name: event.to_string(),
    }
}

/// The copy of an event that is appended when it is replayed. The log has a delivery once, so the copy's has an id of
/// its own.
pub(super) fn copy_of(event: EventRecord, now: Timestamp) -> Result<NewEvent, StoreError> {
    let head = event.head;
    if head.verdict == Verdict::Own {
        return Err(StoreError::Refused(
            "Tideline's own events cannot be replayed".to_owned(),
        ));
    }
    Ok(NewEvent {
        topic: head.topic,
        key: head.key,
        delivery: head.delivery.map(|of| DeliveryId {
            id: copy_id(&of.id, now.0),
            hook: of.hook,
        }),
        verdict: head.verdict,
        malformed: head.malformed,
        headers: event.headers,
        body: event.body,
        trace: None,
    })
}

/// The id of the original, shortened if need be, and the moment.
fn copy_id(id: &str, at: i64) -> String {
    let suffix = format!("~{at}");
    let original = id.split('~').next().unwrap_or_default();
    let most = original.floor_char_boundary(NewEvent::MAX_ID_BYTES - suffix.len());
    format!("{}{suffix}", &original[..most])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_copy_is_another_one_and_not_too_long() {
        assert_eq!(copy_id("72d3162e", 17), "72d3162e~17");
        assert_eq!(copy_id("72d3162e~17", 18), "72d3162e~18");
        let long = copy_id(&"ü".repeat(100), 1_700_000_000_000);
        assert!(long.len() <= NewEvent::MAX_ID_BYTES && long.ends_with("~1700000000000"));
    }
}
