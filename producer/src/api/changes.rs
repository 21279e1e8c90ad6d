//! `/v1/changes`: what happened to the catalog, in commit order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tideline_core::words::FeedPosition;
use tideline_store::FeedReading;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::feed_bell::FeedBell;
use super::page::limit_of;
use super::place::Place;
use super::problem::Problem;
use super::role::{By, Principal, Read};
use super::stream::{Chunk, List, Looked, respond};
use super::types::{Change, Changes};
use super::waiting::{Look, Waiting, wait_of};
use super::{ApiRouter, ApiState};

/// Number of changes that a request collects before it responds.
const LOOKED_AT: u32 = 4;

/// Maximum size of the bodies that a request may hold until its turn to respond, in bytes.
const LITTLE: usize = 8 * 1024;

/// Longest `wait`, in seconds.
pub(crate) const MAX_WAIT: u64 = 30;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChangesQuery {
    /// `next` of the previous response. 0, or no value, is the start of the feed.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    after: FeedPosition,
    /// Maximum number of changes per response, 1 to 1,000 (default 100). A response contains fewer if they are large.
    limit: Option<u32>,
    /// Seconds to wait for a change if there is none, 0 to 30.
    #[serde(default)]
    wait: u64,
}

/// Changes after a position, in commit order: the latest state of each entity, and removals. With `wait`, if there are none,
/// the response is delayed until the next change, or is empty when the wait ends. 410: the reader would miss changes and
/// must start over.
#[utoipa::path(
    get, path = "/changes", tag = "catalog", params(ChangesQuery), security(("token" = ["read"])),
    responses((status = 200, body = Changes)),
)]
async fn list(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<ChangesQuery>,
    place: Option<Extension<Place>>,
) -> Result<Response, Problem> {
    let limit = limit_of(query.limit)?;
    let longest = wait_of(query.wait)?;
    let mut feed = Feed {
        api: Arc::clone(&api),
        principal: by.principal,
        next: query.after,
        read: None,
        looked: Looked::default(),
    };
    if !longest.is_zero() {
        (feed.next, feed.read) = wait(&api, query.after, longest, place.as_deref()).await?;
    }
    respond(&api, feed, limit).await
}

/// Returns once there is something after the position, or when the time is over. Includes the changes if they are few:
/// all requests woken by one change share a single reading of it.
async fn wait(
    api: &Arc<ApiState>,
    mut from: FeedPosition,
    wait: Duration,
    place: Option<&Place>,
) -> Result<(FeedPosition, Option<Arc<FeedReading>>), Problem> {
    let mut bell = FeedBell::listen(api, from);
    let mut waiting = Waiting::new(api, wait, place);
    let mut ring = async || drop(bell.changed().await);
    loop {
        let found = api.bell.read(&*api.store, from, LOOKED_AT).await?;
        if !found.changes.is_empty() {
            return Ok((from, is_little(&found).then_some(found)));
        }
        from = found.next;
        if !waiting.again(Look::Nothing(None), ring()).await? {
            return Ok((from, None));
        }
    }
}

/// Whether a reading is complete, and small enough that many requests may hold one until their turn to respond.
fn is_little(reading: &FeedReading) -> bool {
    let bodies = reading.changes.iter().filter_map(|change| change.body.as_ref());
    !reading.more && bodies.map(String::len).sum::<usize>() <= LITTLE
}

struct Feed {
    api: Arc<ApiState>,
    principal: Principal,
    next: FeedPosition,
    /// Read already.
    read: Option<Arc<FeedReading>>,
    looked: Looked,
}

#[async_trait]
impl List for Feed {
    type Record = Change;

    async fn read(&mut self, limit: u32) -> Result<Chunk<Change>, Problem> {
        let reading = match self.read.take() {
            Some(reading) if reading.changes.len() <= limit as usize => Arc::unwrap_or_clone(reading),
            _ => self.api.store.list_changes(self.next, limit).await?,
        };
        let positions: Vec<FeedPosition> = reading.each(self.next).map(|(_, next)| next).collect();
        let FeedReading { changes, next, more } = reading;
        self.next = next;
        let largest = changes.iter().filter_map(|change| change.body.as_ref());
        let largest = largest.map(String::len).max().unwrap_or(0);
        let rest = self.looked.rest(changes.len(), more);
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
        Ok(Chunk { records, largest, rest })
    }

    fn head(&self) -> &'static str {
        "{\"changes\":["
    }

    fn tail(&self, _: bool) -> String {
        format!("],\"next\":\"{}\"}}", self.next)
    }
}
