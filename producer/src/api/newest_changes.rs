//! `/v1/changes/newest`: changes of the catalog, newest first, for people.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tideline_core::words::{ChangeKind, Sequence};
use tideline_store::ChangeSearch;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::page::{ListId, limit_of};
use super::problem::Problem;
use super::role::{By, Read};
use super::types::{Change, Page, words};
use super::{ApiRouter, ApiState};

/// How long one request searches for matching changes.
const LOOKS_FOR: Duration = Duration::from_millis(40);
/// Number of changes examined in the first step; doubled in each further step.
const FIRST_LOOK: u32 = 1_000;
/// Maximum number of changes examined in one step.
const MAX_LOOK: u32 = 10_000;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(newest))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NewestQuery {
    /// Only changes of entities that this source owns or owned.
    source: Option<String>,
    /// Of this kind.
    #[param(value_type = Option<words::ChangeKind>)]
    change: Option<ChangeKind>,
    /// Only changes of entities whose reference contains this text.
    text: Option<String>,
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
    /// Maximum number of changes per response, 1 to 1,000 (default 100). Each request searches only for a moment, so a
    /// response may contain fewer, or none, if filters exclude most changes: continue as long as there is a
    /// `next_page_token`.
    limit: Option<u32>,
}

/// The list with these filters.
pub(crate) fn list_id(source: Option<&str>, change: Option<ChangeKind>, text: Option<&str>) -> ListId {
    ListId::new("newest changes", (source, change, text))
}

/// The newest change of each entity, and removals, newest first and without bodies.
#[utoipa::path(
    get, path = "/changes/newest", tag = "catalog", params(NewestQuery), security(("token" = ["read"])),
    responses((status = 200, body = Page<Change>)),
)]
async fn newest(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<NewestQuery>,
) -> Result<Json<Page<Change>>, Problem> {
    let limit = limit_of(query.limit)?;
    if let Some(source) = &query.source {
        by.cover(source)?;
    }
    let list = list_id(query.source.as_deref(), query.change, query.text.as_deref());
    let mut before = list.key_of::<Sequence>(query.page_token.as_deref())?;
    let text = query.text.map(|text| text.to_lowercase());
    let (mut items, mut look) = (Vec::new(), FIRST_LOOK);
    let until = Instant::now() + LOOKS_FOR;
    loop {
        let search = ChangeSearch {
            source: query.source.as_deref(),
            change: query.change,
            text: text.as_deref(),
            before,
            look,
            limit: limit.saturating_sub(u32::try_from(items.len()).unwrap_or(limit)),
        };
        let found = api.store.find_changes(&search).await?;
        before = found.next;
        let seen = found
            .changes
            .into_iter()
            .filter(|change| by.principal.covers(&change.source));
        for change in seen {
            items.push(Change::try_from(change)?);
        }
        if before.is_none() || items.len() >= limit as usize || Instant::now() >= until {
            break;
        }
        look = (look * 2).min(MAX_LOOK);
    }
    Ok(Json(Page {
        items,
        next_page_token: before.map(|before| list.token_of(&before)),
    }))
}
