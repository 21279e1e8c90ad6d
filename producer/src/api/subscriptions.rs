//! `/v1/subscriptions`: who follows the log of events. A subscriber pulls, works, and acknowledges; what it neither acknowledges
//! nor gives back is handed out again when its lease is over.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tideline_core::rules::TopicGlob;
use tideline_core::words::{
    EventOutcome, EventSequence, SettleEvent, SubscriptionKind, SubscriptionSpec, TakeEvents, Taken, TakenEvent,
};
use tideline_store::{EventStart, StoreError, SubscriptionCommand};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::MAX_WAIT;
use super::events::{LOOK, sequence_of};
use super::extract::{Json as Body, Path};
use super::problem::{Code, Problem};
use super::role::{By, Operate, Read};
use super::types::{DeadLetter, Page, Subscription, Time, WholeEvent};
use super::{ApiRouter, ApiState};

/// Most events that may be outstanding.
const MAX_OUTSTANDING: u32 = 10_000;
/// Most topics of a subscription.
const MAX_TOPICS: usize = 100;
/// Longest lease and delay, in seconds.
const MAX_SECONDS: u64 = 43_200;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put, remove))
        .routes(routes!(pull))
        .routes(routes!(ack))
        .routes(routes!(nack))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(replay))
        .routes(routes!(dead_letters))
        .routes(routes!(retry))
}

/// Subscriptions by name.
#[utoipa::path(
    get, path = "/subscriptions", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = Page<Subscription>)),
)]
async fn list(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Json<Page<Subscription>>, Problem> {
    by.principal.require_all_sources()?;
    let found = api.store.list_subscriptions().await?;
    Ok(Json(Page::whole(found.into_iter().map(Subscription::from).collect())))
}

/// One subscription.
#[utoipa::path(
    get, path = "/subscriptions/{name}", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = Subscription)),
)]
async fn show(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
) -> Result<Json<Subscription>, Problem> {
    by.principal.require_all_sources()?;
    find(&api, &name).await.map(Json)
}

async fn find(api: &ApiState, name: &str) -> Result<Subscription, Problem> {
    let found = api.store.find_subscription(name).await?;
    let missing = || StoreError::NotFound {
        what: "subscription",
        name: name.to_owned(),
    };
    Ok(found.ok_or_else(missing)?.into())
}

/// From where a subscription begins: `now`, `beginning`, or a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StartAt {
    /// With what comes from now on.
    Now,
    /// With the oldest event that is kept.
    Beginning,
    /// With what was stored at this moment or later.
    #[serde(untagged)]
    At(Time),
}

impl From<StartAt> for EventStart {
    fn from(from: StartAt) -> Self {
        match from {
            StartAt::Now => Self::Now,
            StartAt::Beginning => Self::Beginning,
            StartAt::At(time) => Self::At(time.0),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutSubscription {
    /// Topics or patterns such as `github.*`; none: every topic.
    #[serde(default)]
    topics: Vec<String>,
    /// From where a new subscription begins; an existing one stays where it stands. `now` unless said otherwise.
    from: Option<StartAt>,
    /// Events that may be outstanding, 1 to 10,000; 1,000 unless said otherwise.
    max_outstanding: Option<u32>,
}

/// Makes a subscription that pulls, or changes what it follows.
#[utoipa::path(
    put, path = "/subscriptions/{name}", tag = "events", request_body = PutSubscription,
    security(("token" = ["operate"])), responses((status = 200, body = Subscription)),
)]
async fn put(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<PutSubscription>,
) -> Result<Json<Subscription>, Problem> {
    by.principal.require_all_sources()?;
    let invalid = |detail: String| Problem::new(Code::InvalidRequest, detail);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 63 || !name.chars().all(allowed) {
        return Err(invalid("a name has 1 to 63 letters, digits, -, _ or .".to_owned()));
    }
    let max_outstanding = wanted.max_outstanding.unwrap_or(1_000);
    if !(1..=MAX_OUTSTANDING).contains(&max_outstanding) {
        return Err(invalid(format!(
            "max_outstanding takes a number from 1 to {MAX_OUTSTANDING}"
        )));
    }
    if wanted.topics.len() > MAX_TOPICS {
        return Err(invalid(format!("topics takes at most {MAX_TOPICS}")));
    }
    let topics = wanted.topics.iter().map(|topic| topic.parse::<TopicGlob>());
    let topics = topics
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("topics: {error}")))?;
    if api
        .store
        .find_subscription(&name)
        .await?
        .is_some_and(|found| found.kind == SubscriptionKind::Push)
    {
        return Err(Problem::new(
            Code::Conflict,
            "it is in the configuration; change it there",
        ));
    }
    let spec = SubscriptionSpec {
        name,
        kind: SubscriptionKind::Pull,
        topics,
        max_outstanding,
    };
    let start = wanted.from.map_or(EventStart::Now, EventStart::from);
    let made = api.store.put_subscription(&spec, start, api.clock.now()).await?;
    Ok(Json(made.into()))
}

/// Forgets a subscription with its dead letters.
#[utoipa::path(
    delete, path = "/subscriptions/{name}", tag = "events", security(("token" = ["operate"])),
    responses((status = 204)),
)]
async fn remove(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    by.principal.require_all_sources()?;
    api.store.delete_subscription(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Pull {
    /// Events of one answer, 1 to 1,000; 100 unless said otherwise.
    max: Option<u32>,
    /// Seconds to wait for an event if there is none, 0 to 30.
    #[serde(default)]
    wait: u64,
    /// Seconds until what is not acknowledged is handed out again, 1 to 43,200; 30 unless said otherwise.
    lease: Option<u64>,
}

/// An event that was handed out.
#[derive(Serialize, ToSchema)]
struct Pulled {
    #[serde(flatten)]
    event: WholeEvent,
    /// How often it was handed out, 1 for the first time.
    attempt: u32,
    /// Acknowledges it, or gives it back.
    ack_id: String,
}

#[derive(Serialize, ToSchema)]
struct PullAnswer {
    /// In order.
    events: Vec<Pulled>,
    /// There may be more now.
    more: bool,
    /// Events up to here were dropped before the subscription came to them; told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed_to: Option<String>,
}

/// Hands out events for a while. Those of one key come in order, and to one puller at a time.
#[utoipa::path(
    post, path = "/subscriptions/{name}/pull", tag = "events", request_body = Pull,
    security(("token" = ["operate"])), responses((status = 200, body = PullAnswer)),
)]
async fn pull(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Pull>,
) -> Result<Json<PullAnswer>, Problem> {
    by.principal.require_all_sources()?;
    let max = super::page::limit_of(wanted.max)?;
    let lease = seconds_of("lease", wanted.lease.unwrap_or(30), 1..=MAX_SECONDS)?;
    let wait = seconds_of("wait", wanted.wait, 0..=MAX_WAIT)?;
    let subscription = find(&api, &name).await?;
    if subscription.kind == SubscriptionKind::Push {
        return Err(Problem::new(Code::Conflict, "events of this subscription are pushed"));
    }
    let token = rand::random::<i64>() | 1;
    let deadline = Instant::now() + wait;
    let mut woken = api.queue.wakeups();
    let mut taken = take(&api, &name, (max, lease, token)).await?;
    if taken.is_idle() && !wait.is_zero() {
        let Ok(_place) = api.waiters.try_acquire() else {
            return Err(Problem::new(
                Code::Overloaded,
                "too many requests wait; ask with wait 0",
            ));
        };
        while taken.is_idle() && Instant::now() < deadline {
            if !taken.more {
                tokio::select! {
                    () = woken.next() => {}
                    () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)) => {}
                    () = api.stop.cancelled() => break,
                }
            }
            taken = take(&api, &name, (max, lease, token)).await?;
        }
    }
    Ok(Json(PullAnswer {
        more: taken.more,
        missed_to: taken.missed_to.map(|sequence| sequence.to_string()),
        events: taken.events.into_iter().map(|taken| pulled(taken, token)).collect(),
    }))
}

async fn take(api: &ApiState, name: &str, (max, lease, token): (u32, Duration, i64)) -> Result<Taken, Problem> {
    let now = api.clock.now();
    let request = TakeEvents {
        max,
        leased_until: now.plus(lease),
        token,
    };
    Ok(api.store.take_events(name, &request, now).await?)
}

fn pulled(taken: TakenEvent, token: i64) -> Pulled {
    Pulled {
        ack_id: format!("{}.{token}", taken.event.head.sequence),
        attempt: taken.attempt,
        event: taken.event.into(),
    }
}

fn seconds_of(name: &str, seconds: u64, range: std::ops::RangeInclusive<u64>) -> Result<Duration, Problem> {
    if range.contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    let detail = format!("{name} takes seconds from {} to {}", range.start(), range.end());
    Err(Problem::new(Code::InvalidRequest, detail))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ack {
    /// `ack_id` of events that are done, at most 1,000.
    ack_ids: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nack {
    /// `ack_id` of events that are to come again, at most 1,000.
    ack_ids: Vec<String>,
    /// Seconds until then, 0 to 43,200.
    #[serde(default)]
    delay: u64,
    /// Why, for people.
    error: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Settled {
    /// Events that were settled.
    settled: usize,
    /// `ack_id` of events that are somebody else's by now, or done with.
    stale: Vec<String>,
}

/// Events are done: they do not come again.
#[utoipa::path(
    post, path = "/subscriptions/{name}/ack", tag = "events", request_body = Ack,
    security(("token" = ["operate"])), responses((status = 200, body = Settled)),
)]
async fn ack(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Ack>,
) -> Result<Json<Settled>, Problem> {
    by.principal.require_all_sources()?;
    settle(&api, &name, wanted.ack_ids, &EventOutcome::Acked).await
}

/// Events come again, after a delay.
#[utoipa::path(
    post, path = "/subscriptions/{name}/nack", tag = "events", request_body = Nack,
    security(("token" = ["operate"])), responses((status = 200, body = Settled)),
)]
async fn nack(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Nack>,
) -> Result<Json<Settled>, Problem> {
    by.principal.require_all_sources()?;
    let delay = seconds_of("delay", wanted.delay, 0..=MAX_SECONDS)?;
    let again = EventOutcome::Again {
        due_at: api.clock.now().plus(delay),
        error: wanted.error,
    };
    settle(&api, &name, wanted.ack_ids, &again).await
}

async fn settle(
    api: &ApiState,
    name: &str,
    ack_ids: Vec<String>,
    outcome: &EventOutcome,
) -> Result<Json<Settled>, Problem> {
    if ack_ids.len() > 1_000 {
        return Err(Problem::new(Code::InvalidRequest, "ack_ids takes at most 1,000"));
    }
    let settlement = |id: &String| -> Result<SettleEvent, Problem> {
        let parts = id
            .split_once('.')
            .and_then(|(sequence, token)| Some((sequence.parse().ok()?, token.parse().ok()?)));
        let (sequence, token) = parts
            .ok_or_else(|| Problem::new(Code::InvalidRequest, "ack_ids takes what ack_id of a pulled event was"))?;
        Ok(SettleEvent {
            sequence: EventSequence(sequence),
            token,
            outcome: outcome.clone(),
        })
    };
    let settlements = ack_ids.iter().map(settlement).collect::<Result<Vec<_>, _>>()?;
    let settled = api.store.settle_events(name, &settlements, api.clock.now()).await?;
    let stale = ack_ids.into_iter().zip(&settled).filter(|(_, settled)| !**settled);
    Ok(Json(Settled {
        settled: settled.iter().filter(|settled| **settled).count(),
        stale: stale.map(|(id, _)| id).collect(),
    }))
}

async fn command(api: &ApiState, name: &str, command: &SubscriptionCommand) -> Result<Json<Subscription>, Problem> {
    api.store.command_subscription(name, command).await?;
    api.queue.wake().await;
    find(api, name).await.map(Json)
}

/// Hands out nothing until it is resumed.
#[utoipa::path(
    post, path = "/subscriptions/{name}/pause", tag = "events", security(("token" = ["operate"])),
    responses((status = 200, body = Subscription)),
)]
async fn pause(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
) -> Result<Json<Subscription>, Problem> {
    by.principal.require_all_sources()?;
    command(&api, &name, &SubscriptionCommand::Pause).await
}

/// Goes on after a pause, or after it was switched off.
#[utoipa::path(
    post, path = "/subscriptions/{name}/resume", tag = "events", security(("token" = ["operate"])),
    responses((status = 200, body = Subscription)),
)]
async fn resume(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
) -> Result<Json<Subscription>, Problem> {
    by.principal.require_all_sources()?;
    command(&api, &name, &SubscriptionCommand::Resume).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// Where it goes on: `now`, `beginning`, or a time.
    from: StartAt,
}

/// Forgets what is outstanding and goes on from another place.
#[utoipa::path(
    post, path = "/subscriptions/{name}/replay", tag = "events", request_body = Replay,
    security(("token" = ["operate"])), responses((status = 200, body = Subscription)),
)]
async fn replay(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Replay>,
) -> Result<Json<Subscription>, Problem> {
    by.principal.require_all_sources()?;
    command(&api, &name, &SubscriptionCommand::Replay(wanted.from.into())).await
}

/// Events that were given up, oldest first, at most 1,000.
#[utoipa::path(
    get, path = "/subscriptions/{name}/dead-letters", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = Page<DeadLetter>)),
)]
async fn dead_letters(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    by.principal.require_all_sources()?;
    find(&api, &name).await?;
    let letters = api.store.list_dead_letters(&name, EventSequence(0), 1_000).await?;
    Ok(Json(Page::whole(letters.into_iter().map(DeadLetter::from).collect())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    /// The event; absent: up to a thousand of them.
    id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Retried {
    /// Events that are due again.
    retried: u64,
}

/// Dead letters are due again, as if for the first time.
#[utoipa::path(
    post, path = "/subscriptions/{name}/dead-letters/retry", tag = "events", request_body = Retry,
    security(("token" = ["operate"])), responses((status = 200, body = Retried)),
)]
async fn retry(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Retry>,
) -> Result<Json<Retried>, Problem> {
    by.principal.require_all_sources()?;
    let sequence = wanted.id.as_deref().map(sequence_of).transpose()?;
    let retried = api.store.retry_dead_letters(&name, sequence).await?;
    api.queue.wake().await;
    Ok(Json(Retried { retried }))
}
