//! `/v1/changes`: what happened to the catalog, in commit order.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tideline_core::words::FeedPosition;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::page::limit_of;
use super::problem::{Code, Problem};
use super::role::{By, Read};
use super::types::{Change, Changes};
use super::{ApiRouter, ApiState};

/// Longest `wait`, in seconds.
pub(crate) const MAX_WAIT: u64 = 30;

/// How often a waiting request looks.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChangesQuery {
    /// `next` of the answer before; 0, or nothing, is the start.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    after: FeedPosition,
    /// Changes of one answer, 1 to 1,000; 100 unless said otherwise.
    limit: Option<u32>,
    /// Seconds to wait for a change if there is none, 0 to 30.
    #[serde(default)]
    wait: u64,
}

/// Changes after a position, in commit order: the newest state of each entity, and removals. With `wait` and none there, the
/// answer comes with the next one, or empty after so many seconds. 410: the reader would miss changes, and starts over.
#[utoipa::path(
    get, path = "/changes", tag = "catalog", params(ChangesQuery), security(("token" = ["read"])),
    responses((status = 200, body = Changes)),
)]
async fn list(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<Changes>, Problem> {
    let limit = limit_of(query.limit)?;
    if query.wait > MAX_WAIT {
        let detail = format!("wait takes seconds from 0 to {MAX_WAIT}");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let deadline = Instant::now() + Duration::from_secs(query.wait);
    let mut found = api.store.list_changes(query.after, limit).await?;
    if found.changes.is_empty() && query.wait > 0 {
        let Ok(_place) = api.waiters.try_acquire() else {
            return Err(Problem::new(
                Code::Overloaded,
                "too many requests wait; ask with wait=0",
            ));
        };
        while found.changes.is_empty() && Instant::now() < deadline {
            tokio::select! {
                () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)) => {}
                () = api.stop.cancelled() => break,
            }
            found = api.store.list_changes(found.next, limit).await?;
        }
    }
    let next = found.next;
    let changes = found
        .changes
        .into_iter()
        .filter(|change| by.principal.covers(&change.source))
        .map(Change::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Json(Changes { changes, next }))
}
