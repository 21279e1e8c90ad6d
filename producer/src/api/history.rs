//! `/v1/history` and `/v1/storage`: the store's figures over time, and what it takes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tideline_core::words::Timestamp;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::problem::{Code, Problem};
use super::role::{By, Read};
use super::types::{Figures, Page, Storage};
use super::{ApiRouter, ApiState};

/// Hours that are kept.
pub(super) const MAX_HOURS: u32 = 24;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(storage))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// The last so many hours, 1 to 24; 6 unless said otherwise.
    hours: Option<u32>,
}

/// Figures of the whole store, one of each minute, oldest first. Minutes in which no scheduler ran are left out.
#[utoipa::path(
    get, path = "/history", tag = "operations", params(HistoryQuery), security(("token" = ["read"])),
    responses((status = 200, body = Page<Figures>)),
)]
async fn history(
    State(api): State<Arc<ApiState>>,
    _: By<Read>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<Figures>>, Problem> {
    let hours = query.hours.unwrap_or(6);
    if !(1..=MAX_HOURS).contains(&hours) {
        let detail = format!("hours takes a number from 1 to {MAX_HOURS}");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let since = Timestamp(api.clock.now().0 - i64::from(hours) * 3_600_000);
    let samples = api.store.list_samples(since).await?;
    Ok(Json(Page::whole(samples.into_iter().map(Figures::from).collect())))
}

/// What the store takes, by table.
#[utoipa::path(
    get, path = "/storage", tag = "operations", security(("token" = ["read"])),
    responses((status = 200, body = Storage)),
)]
async fn storage(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Json<Storage>, Problem> {
    by.principal.require_all_sources()?;
    Ok(Json(api.store.measure().await?.into()))
}
