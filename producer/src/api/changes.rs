//! `/v1/changes`: what happened to the catalog, in commit order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use tideline_core::words::FeedPosition;
use tideline_store::FeedReading;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::feed_bell::FeedBell;
use super::page::limit_of;
use super::place::Place;
use super::problem::{Code, Problem};
use super::role::{By, Principal, Read};
use super::stream::{Chunk, List, respond};
use super::types::{Change, Changes};
use super::{ApiRouter, ApiState};

/// Longest `wait`, in seconds.
pub(crate) const MAX_WAIT: u64 = 30;

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
    /// Changes of one answer, 1 to 1,000; 100 unless said otherwise. Large ones make it fewer.
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
    request: Request,
) -> Result<Response, Problem> {
    let limit = limit_of(query.limit)?;
    if query.wait > MAX_WAIT {
        let detail = format!("wait takes seconds from 0 to {MAX_WAIT}");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let mut from = query.after;
    if query.wait > 0 {
        let place = request.extensions().get::<Place>();
        from = wait(&api, from, Duration::from_secs(query.wait), place).await?;
    }
    let feed = Feed {
        api: Arc::clone(&api),
        principal: by.principal,
        next: from,
    };
    respond(&api, feed, limit).await
}

/// Returns when there is something after the position, at once if there is, or when the time is over.
async fn wait(
    api: &Arc<ApiState>,
    mut from: FeedPosition,
    longest: Duration,
    place: Option<&Place>,
) -> Result<FeedPosition, Problem> {
    let deadline = Instant::now() + longest;
    // Listens before it looks, so that no change falls between the two.
    let mut rung = FeedBell::listen(api, from);
    let found = api.store.list_changes(from, 1).await?;
    if !found.changes.is_empty() {
        return Ok(from);
    }
    let _waiter = api
        .waiters
        .try_acquire()
        .map_err(|_| Problem::new(Code::Overloaded, "too many requests wait; ask with wait=0"))?;
    if let Some(place) = place {
        place.give_back();
    }
    from = found.next;
    loop {
        tokio::select! {
            _ = rung.changed() => {}
            () = tokio::time::sleep_until(deadline) => break,
            () = api.stop.cancelled() => break,
        }
        if let Some(place) = place {
            place.take_again().await;
        }
        let found = api.store.list_changes(from, 1).await?;
        if !found.changes.is_empty() {
            return Ok(from);
        }
        from = found.next;
        if let Some(place) = place {
            place.give_back();
        }
    }
    if let Some(place) = place {
        place.take_again().await;
    }
    Ok(from)
}

struct Feed {
    api: Arc<ApiState>,
    principal: Principal,
    next: FeedPosition,
}

#[async_trait]
impl List for Feed {
    type Record = Change;

    async fn read(&mut self, limit: u32) -> Result<Chunk<Change>, Problem> {
        let reading = self.api.store.list_changes(self.next, limit).await?;
        let positions: Vec<FeedPosition> = reading.each(self.next).map(|(_, next)| next).collect();
        let FeedReading { changes, next } = reading;
        self.next = next;
        let largest = changes.iter().filter_map(|change| change.body.as_ref());
        let largest = largest.map(String::len).max().unwrap_or(0);
        let examined = u32::try_from(changes.len()).unwrap_or(u32::MAX);
        let records = changes
            .into_iter()
            .zip(positions)
            .filter(|(change, _)| self.principal.covers(&change.source))
            .map(|(change, next)| {
                Change::try_from(change).map(|change| Change {
                    next: Some(next),
                    ..change
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Chunk {
            records,
            examined,
            largest,
        })
    }

    fn head(&self) -> &'static str {
        "{\"changes\":["
    }

    fn tail(&self, _: bool) -> String {
        format!("],\"next\":\"{}\"}}", self.next)
    }
}
