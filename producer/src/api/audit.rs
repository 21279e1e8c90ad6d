//! `/v1/audit`: who did what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tideline_store::AuditFilter;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::page::{ListId, limit_of};
use super::problem::Problem;
use super::role::{By, Operate};
use super::types::{AuditEntry, Page, Time};
use super::{ApiRouter, ApiState};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only acts by the token or user with this name.
    actor: Option<String>,
    /// Only this act, such as `sources.pause`.
    act: Option<String>,
    /// Only acts on this source.
    source: Option<String>,
    /// Not before this moment.
    since: Option<Time>,
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
    /// Maximum number of records per response, 1 to 1,000 (default 100).
    limit: Option<u32>,
}

/// The audit log: acts and refused acts, newest first. A token limited to certain sources sees only acts on those.
#[utoipa::path(
    get, path = "/audit", tag = "access", params(AuditQuery), security(("token" = ["operate"])),
    responses((status = 200, body = Page<AuditEntry>)),
)]
async fn list(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let limit = limit_of(query.limit)?;
    let list = ListId::new("audit", (&query.actor, &query.act, &query.source, query.since));
    let filter = AuditFilter {
        actor: query.actor,
        act: query.act,
        source: query.source,
        since: query.since.map(|since| since.0),
        before: list.key_of(query.page_token.as_deref())?,
        limit,
    };
    let found = api.store.list_audit(&filter).await?;
    let full = found.len() >= limit as usize;
    let next_page_token = found.last().filter(|_| full).map(|record| list.token_of(&record.id));
    let items = found
        .into_iter()
        .filter(|record| match &record.source {
            Some(source) => by.principal.covers(source),
            None => by.principal.require_all_sources().is_ok(),
        })
        .map(AuditEntry::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next_page_token }))
}
