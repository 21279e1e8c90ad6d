//! `/v1/subscriptions`: followers of the log of events. A subscriber pulls, processes, and acknowledges; events that it
//! neither acknowledges nor returns are redelivered when their lease expires.

mod changes;
mod letters;
pub(super) mod limits;
mod pull;
mod put;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::{Error as _, IntoDeserializer as _};
use serde::{Deserialize, Deserializer};
use tideline_core::rules::subscription_version;
use tideline_core::words::{CHANGES_PUBLISHER, LogEnds, SubscriptionRecord};
use tideline_store::{
    Deed, EventStart, Follower, FollowerSample, Performed, StoreError, SubscriptionAct, SubscriptionCommand,
};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json as Body, Path, Query};
use super::forms::text::START;
use super::history::{HistoryQuery, last_hour, passed_since, progress};
use super::problem::{Code, Problem};
use super::role::{By, Operate, Read};
use super::types::{Page, Progress, Subscription, Time};
use super::{ApiRouter, ApiState, etag};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put::put, remove))
        .routes(routes!(history))
        .routes(routes!(pull::pull))
        .routes(routes!(pull::ack))
        .routes(routes!(pull::nack))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(replay))
        .routes(routes!(letters::dead_letters))
        .routes(routes!(letters::retry))
        .routes(routes!(letters::drop))
}

/// Subscriptions by name.
#[utoipa::path(
    get, path = "/subscriptions", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = Page<Subscription>)),
)]
async fn list(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Json<Page<Subscription>>, Problem> {
    by.principal.require_all_sources()?;
    let found = api.store.list_subscriptions().await?;
    let logs = Logs::read(&api, &found).await?;
    Ok(Json(Page::whole(
        found.into_iter().map(|record| logs.show(record)).collect(),
    )))
}

/// One subscription. Its ETag changes when it is changed, paused or resumed, but not with every event.
#[utoipa::path(
    get, path = "/subscriptions/{name}", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = Subscription)),
)]
async fn show(State(api): State<Arc<ApiState>>, by: By<Read>, Path(name): Path<String>) -> Result<Response, Problem> {
    by.principal.require_all_sources()?;
    let found = find(&api, &name).await?;
    let version = subscription_version(&found);
    Ok(etag(&version, shown(&api, found).await?))
}

/// The progress of a subscription in the last hours, oldest first, five minutes apart. Times in which no scheduler ran are
/// missing.
#[utoipa::path(
    get, path = "/subscriptions/{name}/history", tag = "events", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), HistoryQuery),
    responses((status = 200, body = Page<Progress>)),
)]
async fn history(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<Progress>>, Problem> {
    by.principal.require_all_sources()?;
    let found = find(&api, &name).await?;
    progress(&api, Follower::Subscription, (&name, found.created_at), query.hours).await
}

/// Refuses to change or to pull the subscription of Tideline's own: what others took would not be published.
fn refuse_reserved(name: &str) -> Result<(), Problem> {
    if name != CHANGES_PUBLISHER {
        return Ok(());
    }
    let why = format!("the name {name} is reserved: Tideline uses it to publish changes on NATS");
    Err(Problem::new(Code::InvalidRequest, why))
}

async fn find(api: &ApiState, name: &str) -> Result<SubscriptionRecord, Problem> {
    let found = api.store.find_subscription(name).await?;
    let missing = || StoreError::NotFound {
        what: "subscription",
        name: name.to_owned(),
    };
    Ok(found.ok_or_else(missing)?)
}

async fn shown(api: &ApiState, record: SubscriptionRecord) -> Result<Subscription, Problem> {
    let logs = Logs::read(api, std::slice::from_ref(&record)).await?;
    Ok(logs.show(record))
}

/// The ends of both logs, and the positions of subscriptions within the last hour.
struct Logs {
    ends: LogEnds,
    samples: Vec<FollowerSample>,
}

impl Logs {
    /// What is needed to show these.
    async fn read(api: &ApiState, records: &[SubscriptionRecord]) -> Result<Self, Problem> {
        let name = match records {
            [only] => Some(only.name.as_str()),
            _ => None,
        };
        let mut ends = LogEnds {
            events: api.store.event_bounds().await?.last,
            ..LogEnds::default()
        };
        if records.iter().any(|record| record.feed.is_some()) {
            ends.changes = api.store.stats(api.clock.now()).await?.last_sequence;
        }
        Ok(Self {
            ends,
            samples: last_hour(api, Follower::Subscription, name).await?,
        })
    }

    fn show(&self, record: SubscriptionRecord) -> Subscription {
        let position = record.looked_up_to();
        let passed = passed_since(&self.samples, &record.name, record.created_at, position);
        Subscription::new(record, self.ends, passed)
    }
}

/// From where a subscription begins: `now`, `beginning`, or a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum StartAt {
    /// With what comes from now on.
    Now,
    /// With the oldest event that is kept.
    Beginning,
    /// With what was stored at this moment or later.
    At(Time),
}

impl<'de> Deserialize<'de> for StartAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "now" => Ok(Self::Now),
            "beginning" => Ok(Self::Beginning),
            time => Time::deserialize(time.into_deserializer())
                .map(Self::At)
                .map_err(|_: D::Error| {
                    D::Error::custom(format!(
                        "takes now, beginning or a time such as 2026-01-31T08:00:00Z, not {time}"
                    ))
                }),
        }
    }
}

impl PartialSchema for StartAt {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        text.pattern(Some(START.pattern))
            .description(Some(
                "From where a reader begins: `now`, `beginning`, or an RFC 3339 time.",
            ))
            .into()
    }
}

impl ToSchema for StartAt {}

impl From<StartAt> for EventStart {
    fn from(from: StartAt) -> Self {
        match from {
            StartAt::Now => Self::Now,
            StartAt::Beginning => Self::Beginning,
            StartAt::At(time) => Self::At(time.0),
        }
    }
}

/// Deletes a subscription and its dead letters.
#[utoipa::path(
    delete, path = "/subscriptions/{name}", tag = "events", security(("token" = ["operate"])),
    responses((status = 204)),
)]
async fn remove(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    perform(&api, &by, &name, SubscriptionAct::Delete).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Performs an act, and records it.
async fn perform(api: &ApiState, by: &By<Operate>, name: &str, act: SubscriptionAct) -> Result<Performed, Problem> {
    by.principal.require_all_sources()?;
    let subscription = name.to_owned();
    api.perform(by, Deed::ActOnSubscription { subscription, act }).await
}

async fn command(
    api: &ApiState,
    by: &By<Operate>,
    name: &str,
    command: SubscriptionCommand,
) -> Result<Json<Subscription>, Problem> {
    perform(api, by, name, SubscriptionAct::Command(command)).await?;
    shown(api, find(api, name).await?).await.map(Json)
}

/// Delivers nothing until it is resumed.
#[utoipa::path(
    post, path = "/subscriptions/{name}/pause", tag = "events", security(("token" = ["operate"])),
    responses((status = 200, body = Subscription)),
)]
async fn pause(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
) -> Result<Json<Subscription>, Problem> {
    command(&api, &by, &name, SubscriptionCommand::Pause).await
}

/// Resumes after a pause, or after it was switched off.
#[utoipa::path(
    post, path = "/subscriptions/{name}/resume", tag = "events", security(("token" = ["operate"])),
    responses((status = 200, body = Subscription)),
)]
async fn resume(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
) -> Result<Json<Subscription>, Problem> {
    command(&api, &by, &name, SubscriptionCommand::Resume).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// Where to continue: `now`, `beginning`, or a time.
    from: StartAt,
}

/// Discards outstanding events and continues from another position.
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
    command(&api, &by, &name, SubscriptionCommand::Replay(wanted.from.into())).await
}
