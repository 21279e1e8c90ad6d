//! Making and changing subscriptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tideline_core::rules::{TopicGlob, fingerprint};
use tideline_core::words::{
    ChangesSpec, PushFormat, PushSpec, Secret, SubscriptionKind, SubscriptionRecord, SubscriptionSpec,
};
use tideline_runtime::event_filter::EventFilter;
use tideline_runtime::push_target::{PushTarget, secret_of};
use tideline_store::{Deed, EventStart, SubscriptionAct};
use url::Url;
use utoipa::ToSchema;

use super::limits::{MAX_FILTER_BYTES, MAX_HEADER_BYTES, MAX_HEADERS, MAX_IN_FLIGHT, MAX_OUTSTANDING, MAX_TOPICS};
use super::{StartAt, find, refuse_reserved, shown};
use crate::api::ApiState;
use crate::api::extract::{Json as Body, Path};
use crate::api::forms::text::NAME;
use crate::api::problem::{Code, Problem};
use crate::api::role::{By, Operate};
use crate::api::types::Subscription;

/// The default topics of a notification: whatever needs a person's attention.
const NOTEWORTHY: [&str; 9] = [
    "sweep.held",
    "cycle.cancelled",
    "source.blocked",
    "source.failing",
    "job.parked",
    "subscription.dead_letter",
    "subscription.blocked",
    "drift.found",
    "hook.silent",
];

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutSubscription {
    /// Topics or patterns such as `github.*`; none: every topic or, with `notify`, whatever needs attention. `notify` reports
    /// only Tideline's own events.
    #[serde(default)]
    topics: Vec<String>,
    /// Where a new subscription starts (default `now`); an existing one keeps its position.
    from: Option<StartAt>,
    /// Maximum number of events being delivered or waiting for a retry, 1 to 10,000 (default 1,000).
    max_outstanding: Option<u32>,
    /// jq condition over the event (`.topic`, `.key`, `.hook`, `.headers`, `.body`): only events for which it is true are
    /// delivered.
    filter: Option<String>,
    /// Sends each event to a URL, signed as Standard Webhooks.
    push: Option<Push>,
    /// Notifies people in a chat channel.
    notify: Option<Notify>,
    /// Follows changes of the catalog instead of events, pulled or pushed in batches.
    changes: Option<ChangesFilter>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangesFilter {
    /// Names of sources, at most 100; none: all.
    #[serde(default)]
    sources: Vec<String>,
    /// Kinds of entities, at most 100; none: all.
    #[serde(default)]
    kinds: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Push {
    /// Where events are sent: `https`, and no private address unless `subscriptions.allow_networks` allows it.
    #[schema(value_type = String)]
    url: Url,
    /// Signing secret, `whsec_…`. If omitted, one is generated and shown only in this response; an existing subscription
    /// keeps its own.
    secret: Option<String>,
    /// Maximum number of events sent at the same time, 1 to 256 (default 8). Events with the same key are sent one by one.
    in_flight: Option<u32>,
    /// Sent with every request.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Notify {
    /// The incoming webhook of the channel.
    #[schema(value_type = String)]
    url: Url,
    /// What it takes.
    format: NotifyFormat,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum NotifyFormat {
    /// Slack, and what is like it.
    Slack,
    /// Workflows of Microsoft Teams.
    Teams,
    /// Mattermost.
    Mattermost,
    /// Plain text.
    Text,
}

impl From<NotifyFormat> for PushFormat {
    fn from(format: NotifyFormat) -> Self {
        match format {
            NotifyFormat::Slack => Self::Slack,
            NotifyFormat::Teams => Self::Teams,
            NotifyFormat::Mattermost => Self::Mattermost,
            NotifyFormat::Text => Self::Text,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct PutAnswer {
    #[serde(flatten)]
    subscription: Subscription,
    /// The signing secret, if it was just created. It is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidRequest, detail.into())
}

/// Creates a subscription, or changes what it follows and where it is sent.
#[utoipa::path(
    put, path = "/subscriptions/{name}", tag = "events", request_body = PutSubscription,
    security(("token" = ["operate"])), responses((status = 200, body = PutAnswer)),
)]
pub(super) async fn put(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<PutSubscription>,
) -> Result<Json<PutAnswer>, Problem> {
    by.principal.require_all_sources()?;
    NAME.check("a name", &name)?;
    refuse_reserved(&name)?;
    let max_outstanding = wanted.max_outstanding.unwrap_or(1_000);
    if !(1..=MAX_OUTSTANDING).contains(&max_outstanding) {
        return Err(invalid(format!(
            "max_outstanding takes a number from 1 to {MAX_OUTSTANDING}"
        )));
    }
    let filter = wanted.filter.filter(|filter| !filter.trim().is_empty());
    if let Some(filter) = &filter {
        check_filter(filter)?;
    }
    let topics = topics_of(wanted.topics, wanted.notify.is_some())?;
    let changes = wanted.changes.map(changes_of).transpose()?;
    if changes.is_some() && (!topics.is_empty() || filter.is_some() || wanted.notify.is_some()) {
        return Err(invalid("changes excludes topics, filter and notify"));
    }
    if changes.is_some() && matches!(wanted.from, Some(StartAt::At(_))) {
        return Err(invalid("from takes now or beginning for changes"));
    }
    let asked = asked_target(&api, wanted.push.as_ref(), wanted.notify.as_ref());
    let existing = api.store.find_subscription(&name).await?;
    let (push, secret) = match (wanted.push, wanted.notify) {
        (Some(_), Some(_)) => return Err(invalid("push and notify exclude each other; create two subscriptions")),
        (Some(push), None) => {
            let (spec, secret) = push_of(&api, &name, push, existing.as_ref())?;
            (Some(spec), secret)
        }
        (None, Some(notify)) => (Some(notify_of(&api, &name, notify, existing.as_ref())?), None),
        (None, None) => (None, None),
    };
    let kind = if push.is_some() {
        SubscriptionKind::Push
    } else {
        SubscriptionKind::Pull
    };
    let spec = SubscriptionSpec {
        name: name.clone(),
        kind,
        topics,
        max_outstanding,
        filter,
        push,
        changes,
    };
    let start = wanted.from.map_or(EventStart::Now, EventStart::from);
    let spec = Box::new(spec);
    let deed = Deed::ActOnSubscription {
        subscription: name.clone(),
        act: SubscriptionAct::Put { spec, start },
    };
    let asked = format!("{} {asked}", deed.fingerprint());
    let performed = api.perform_once(&by, deed, fingerprint(asked.as_bytes())).await?;
    Ok(Json(PutAnswer {
        subscription: shown(&api, find(&api, &name).await?).await?,
        secret: secret
            .filter(|_| !performed.repeated)
            .map(|secret| secret.reveal().to_owned()),
    }))
}

/// A digest of those parts of a request's destination that its audit record does not show, including secrets; keyed, so
/// that they cannot be guessed.
fn asked_target(api: &ApiState, push: Option<&Push>, notify: Option<&Notify>) -> String {
    let push = push.map(|push| (&push.url, &push.secret, &push.headers));
    let asked = json!({ "push": push, "notify": notify.map(|notify| &notify.url) });
    api.sealer.digest(&asked.to_string()).unwrap_or_default()
}

fn topics_of(topics: Vec<String>, notifies: bool) -> Result<Vec<TopicGlob>, Problem> {
    if topics.len() > MAX_TOPICS {
        return Err(invalid(format!("topics takes at most {MAX_TOPICS}")));
    }
    let topics = match topics.is_empty() && notifies {
        true => NOTEWORTHY.map(str::to_owned).to_vec(),
        false => topics,
    };
    let topics = topics.iter().map(|topic| topic.parse::<TopicGlob>());
    let topics: Vec<TopicGlob> = topics
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("topics: {error}")))?;
    if let Some(topic) = topics.iter().find(|topic| notifies && !topic.may_be_own()) {
        return Err(invalid(format!(
            "topics: notify tells of Tideline's own events only, and {topic} is none of them; use push"
        )));
    }
    Ok(topics)
}

fn changes_of(changes: ChangesFilter) -> Result<ChangesSpec, Problem> {
    for (key, names) in [("sources", &changes.sources), ("kinds", &changes.kinds)] {
        if names.len() > MAX_TOPICS {
            return Err(invalid(format!("changes.{key} takes at most {MAX_TOPICS} names")));
        }
    }
    Ok(ChangesSpec {
        sources: changes.sources,
        kinds: changes.kinds,
    })
}

fn check_filter(filter: &str) -> Result<(), Problem> {
    if filter.contains('\0') {
        return Err(invalid("filter has a NUL character"));
    }
    if filter.len() > MAX_FILTER_BYTES {
        return Err(invalid(format!("filter takes at most {MAX_FILTER_BYTES} bytes")));
    }
    EventFilter::compile(filter).map_err(|error| invalid(format!("filter: {error}")))?;
    Ok(())
}

/// Where events are sent, and the secret if it was just generated.
fn push_of(
    api: &ApiState,
    name: &str,
    push: Push,
    existing: Option<&SubscriptionRecord>,
) -> Result<(PushSpec, Option<Secret>), Problem> {
    let in_flight = push.in_flight.unwrap_or(8);
    if !(1..=MAX_IN_FLIGHT).contains(&in_flight) {
        return Err(invalid(format!(
            "push.in_flight takes a number from 1 to {MAX_IN_FLIGHT}"
        )));
    }
    check_headers(&push.headers)?;
    let before = opened(api, existing);
    let kept = before.and_then(|target| target.secret);
    let (secret, made) = match (push.secret, kept) {
        (Some(given), _) => (Secret::new(given), None),
        (None, Some(kept)) => (kept, None),
        (None, None) => {
            let made = secret_of(rand::random());
            (made.clone(), Some(made))
        }
    };
    let headers = push.headers.into_iter();
    let target = PushTarget {
        url: push.url,
        secret: Some(secret),
        headers: headers.map(|(name, value)| (name, Secret::new(value))).collect(),
    };
    let spec = spec_of(api, name, &target, (PushFormat::Event, in_flight), existing)?;
    Ok((spec, made))
}

fn notify_of(
    api: &ApiState,
    name: &str,
    notify: Notify,
    existing: Option<&SubscriptionRecord>,
) -> Result<PushSpec, Problem> {
    let target = PushTarget {
        url: notify.url,
        secret: None,
        headers: BTreeMap::new(),
    };
    // Chats accept about one message per second.
    spec_of(api, name, &target, (notify.format.into(), 1), existing)
}

/// An unchanged target keeps its sealed form, so that repeating the request changes nothing.
fn spec_of(
    api: &ApiState,
    name: &str,
    target: &PushTarget,
    (format, in_flight): (PushFormat, u32),
    existing: Option<&SubscriptionRecord>,
) -> Result<PushSpec, Problem> {
    let settings = api.settings.as_ref().map(|settings| settings.subscriptions.clone());
    let key = if format.is_for_people() { "notify" } else { "push" };
    target
        .check(&settings.unwrap_or_default())
        .map_err(|error| invalid(format!("{key}.{error}")))?;
    let same = existing.filter(|_| opened(api, existing).is_some_and(|before| before == *target));
    let sealed = match same.and_then(|existing| existing.push.as_ref()) {
        Some(push) => push.sealed.clone(),
        None => target
            .seal(&api.sealer, name)
            .map_err(|error| Problem::new(Code::Conflict, error.to_string()))?,
    };
    Ok(PushSpec {
        format,
        shown_url: target.shown_url(format.is_for_people()),
        sealed,
        in_flight,
    })
}

/// Where an existing subscription is sent, if this process can open it.
fn opened(api: &ApiState, existing: Option<&SubscriptionRecord>) -> Option<PushTarget> {
    let existing = existing?;
    let sealed = &existing.push.as_ref()?.sealed;
    PushTarget::open(&api.sealer, &existing.name, sealed).ok()
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), Problem> {
    if headers.len() > MAX_HEADERS
        || headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
            > MAX_HEADER_BYTES
    {
        return Err(invalid(format!(
            "push.headers takes at most {MAX_HEADERS} headers with {MAX_HEADER_BYTES} bytes"
        )));
    }
    for (name, value) in headers {
        let wrong = |why: &str| invalid(format!("push.headers.{name} {why}"));
        let parsed = HeaderName::try_from(name.as_str()).map_err(|_| wrong("is not a header name"))?;
        HeaderValue::try_from(value.as_str()).map_err(|_| wrong("has a value that cannot be sent"))?;
        let own = [
            "host",
            "content-type",
            "content-length",
            "transfer-encoding",
            "connection",
        ];
        if own.contains(&parsed.as_str()) || parsed.as_str().starts_with("webhook-") {
            return Err(wrong("is set by tideline"));
        }
    }
    Ok(())
}
