//! `/v1/history` and `/v1/storage`: statistics of the store and of the followers of its logs over time, and the store's
//! size.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tideline_core::words::Timestamp;
use tideline_store::{Follower, FollowerSample};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::problem::{Code, Problem};
use super::role::{By, Read};
use super::types::{Figures, Page, Progress, Storage, passed};
use super::{ApiRouter, ApiState};

/// Hours that are kept.
pub(super) const MAX_HOURS: u32 = 24;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(storage))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Number of past hours, 1 to 24 (default 6).
    pub(super) hours: Option<u32>,
}

/// Figures of the whole store, one sample per minute, oldest first. Minutes in which no scheduler ran are missing.
#[utoipa::path(
    get, path = "/history", tag = "operations", params(HistoryQuery), security(("token" = ["read"])),
    responses((status = 200, body = Page<Figures>)),
)]
async fn history(
    State(api): State<Arc<ApiState>>,
    _: By<Read>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<Figures>>, Problem> {
    let since = since(&api, query.hours)?;
    let samples = api.store.list_samples(since).await?;
    Ok(Json(Page::whole(samples.into_iter().map(Figures::from).collect())))
}

/// Positions of followers of a kind, or of the one with this name, within the last hour.
pub(super) async fn last_hour(
    api: &ApiState,
    of: Follower,
    name: Option<&str>,
) -> Result<Vec<FollowerSample>, Problem> {
    let since = since(api, Some(1))?;
    Ok(api.store.list_follower_samples(of, name, since).await?)
}

/// What a follower with this creation time and current position processed within the last hour.
pub(super) fn passed_since(samples: &[FollowerSample], name: &str, made_at: Timestamp, position: i64) -> u64 {
    let of_it = samples
        .iter()
        .filter(|sample| sample.name == name && sample.minute >= made_at);
    passed(of_it.map(|sample| sample.position), position)
}

/// The progress of a follower with this creation time in the last hours.
pub(super) async fn progress(
    api: &ApiState,
    of: Follower,
    (name, made_at): (&str, Timestamp),
    hours: Option<u32>,
) -> Result<Json<Page<Progress>>, Problem> {
    let since = since(api, hours)?;
    // The first step needs the sample before it.
    let every = i64::try_from(FollowerSample::EVERY.as_millis()).unwrap_or(i64::MAX);
    let from = Timestamp(since.0.saturating_sub(every)).max(made_at);
    let samples = api.store.list_follower_samples(of, Some(name), from).await?;
    let mut steps = Progress::steps(&samples);
    steps.retain(|step| step.at.0 >= since);
    Ok(Json(Page::whole(steps)))
}

/// The time `hours` ago, 6 by default.
fn since(api: &ApiState, hours: Option<u32>) -> Result<Timestamp, Problem> {
    let hours = hours.unwrap_or(6);
    if !(1..=MAX_HOURS).contains(&hours) {
        let detail = format!("hours must be a number from 1 to {MAX_HOURS}");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    Ok(Timestamp(api.clock.now().0 - i64::from(hours) * 3_600_000))
}

/// The size of the store, by table.
#[utoipa::path(
    get, path = "/storage", tag = "operations", security(("token" = ["read"])),
    responses((status = 200, body = Storage)),
)]
async fn storage(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Json<Storage>, Problem> {
    by.principal.require_all_sources()?;
    Ok(Json(api.store.measure().await?.into()))
}
