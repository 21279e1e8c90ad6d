//! `/v1/sources/NAME/drift`: changes that full cycles found without an event.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use tideline_core::words::Timestamp;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Path, Query};
use super::page::limit_of;
use super::problem::Problem;
use super::role::{By, Read};
use super::sources::{NewestQuery, find};
use super::types::{Check, Checks, Drift, Page, Time};
use super::{ApiRouter, ApiState};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(drift)).routes(routes!(checks))
}

/// Differences that complete cycles of a source found although no event had reported them, newest first: one record per
/// compared cycle, from the second complete one on. Empty for a source with neither `on` rules nor `drift`.
#[utoipa::path(
    get, path = "/sources/{name}/drift", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), NewestQuery),
    responses((status = 200, body = Page<Drift>)),
)]
async fn drift(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<NewestQuery>,
) -> Result<Answer<Page<Drift>>, Problem> {
    let limit = limit_of(query.limit)?;
    let source = find(&api, &by.principal, &name).await?;
    let found = api.store.list_drifts(source.id, limit).await?;
    Ok(Answer(Page::whole(found.into_iter().map(Drift::from).collect())))
}

/// Results of a source's checks, newest first: readings that only compare it with the catalog (`check` in the
/// configuration). The latest hundred are kept. Also says when the next one is due.
#[utoipa::path(
    get, path = "/sources/{name}/checks", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), NewestQuery),
    responses((status = 200, body = Checks)),
)]
async fn checks(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<NewestQuery>,
) -> Result<Answer<Checks>, Problem> {
    let limit = limit_of(query.limit)?;
    let source = find(&api, &by.principal, &name).await?;
    let found = api.store.list_checks(source.id, limit).await?;
    // A schedule without another tick is stored as the maximum timestamp.
    let next = api
        .store
        .next_check(source.id)
        .await?
        .filter(|next| *next < Timestamp(i64::MAX));
    Ok(Answer(Checks {
        items: found.into_iter().map(Check::from).collect(),
        next_at: next.map(Time),
    }))
}
