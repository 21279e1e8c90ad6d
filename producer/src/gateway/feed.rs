//! `/v1/changes` and `/v1/entities`: the catalog for readers outside.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tideline_core::words::{Change, ChangeKind, EntityRef, FeedPosition, Sequence, Timestamp};
use tideline_store::{EntityFilter, EntityRecord};
use tokio::time::Instant;

use super::GatewayState;
use super::problem::Problem;

/// Most records of one answer.
const MAX_LIMIT: u32 = 1_000;

/// Records of one answer unless asked otherwise.
const DEFAULT_LIMIT: u32 = 100;

/// Longest `wait`, in seconds.
pub(super) const MAX_WAIT: u64 = 30;

/// How often a waiting request looks.
const LOOK: Duration = Duration::from_millis(500);

type Asked<T> = Result<Query<T>, QueryRejection>;

fn checked<T>(asked: Asked<T>) -> Result<T, Problem> {
    match asked {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(Problem::new(StatusCode::BAD_REQUEST, rejection.body_text())),
    }
}

fn limit_of(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit takes a number from 1 to {MAX_LIMIT}");
    Err(Problem::new(StatusCode::BAD_REQUEST, detail))
}

/// A body of the store as JSON in JSON.
fn raw(body: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(body).map_err(|error| {
        tracing::error!(%error, "a stored body is not JSON");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a stored body is not JSON")
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangesQuery {
    #[serde(default)]
    after: FeedPosition,
    limit: Option<u32>,
    #[serde(default)]
    wait: u64,
}

#[derive(Serialize)]
pub(super) struct Changes {
    changes: Vec<OneChange>,
    /// `after` of the next request.
    next: FeedPosition,
}

#[derive(Serialize)]
struct OneChange {
    sequence: Sequence,
    change: ChangeKind,
    source: String,
    #[serde(rename = "ref")]
    reference: EntityRef,
    changed_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

impl TryFrom<Change> for OneChange {
    type Error = Problem;

    fn try_from(change: Change) -> Result<Self, Problem> {
        Ok(Self {
            sequence: change.sequence,
            change: change.change,
            source: change.source,
            reference: change.reference,
            changed_at: change.changed_at,
            body: change.body.map(raw).transpose()?,
        })
    }
}

/// Changes after a sequence number, in commit order. With `wait` and none there, the answer comes with the next one, or
/// empty after so many seconds. 410: the reader would miss changes, and starts over.
pub(super) async fn changes(
    State(state): State<Arc<GatewayState>>,
    asked: Asked<ChangesQuery>,
) -> Result<Json<Changes>, Problem> {
    let query = checked(asked)?;
    let limit = limit_of(query.limit)?;
    if query.wait > MAX_WAIT {
        let detail = format!("wait takes seconds from 0 to {MAX_WAIT}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let deadline = Instant::now() + Duration::from_secs(query.wait);
    let stop = state.runtime.stop();
    let mut found = state.store.list_changes(query.after, limit).await?;
    if found.changes.is_empty() && query.wait > 0 {
        let Ok(_place) = state.waiters.try_acquire() else {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests wait; ask with wait=0",
            ));
        };
        while found.changes.is_empty() && Instant::now() < deadline {
            tokio::select! {
                () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)) => {}
                () = stop.cancelled() => break,
            }
            found = state.store.list_changes(found.next, limit).await?;
        }
    }
    let next = found.next;
    let changes = found
        .changes
        .into_iter()
        .map(OneChange::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Json(Changes { changes, next }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntitiesQuery {
    source: Option<String>,
    kind: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct Entities {
    entities: Vec<OneEntity>,
    /// `after` of the next request; none: that was the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct OneEntity {
    source: String,
    #[serde(rename = "ref")]
    reference: EntityRef,
    fingerprint: String,
    sequence: Sequence,
    changed_at: Timestamp,
    body: Box<RawValue>,
}

impl TryFrom<EntityRecord> for OneEntity {
    type Error = Problem;

    fn try_from(entity: EntityRecord) -> Result<Self, Problem> {
        Ok(Self {
            source: entity.source,
            reference: entity.reference,
            fingerprint: entity.fingerprint,
            sequence: entity.sequence,
            changed_at: entity.changed_at,
            body: raw(entity.body)?,
        })
    }
}

/// Live entities by source, kind and reference, ordered by (source, reference).
pub(super) async fn entities(
    State(state): State<Arc<GatewayState>>,
    asked: Asked<EntitiesQuery>,
) -> Result<Json<Entities>, Problem> {
    let query = checked(asked)?;
    let limit = limit_of(query.limit)?;
    let reference_of = |text: &str| {
        text.parse()
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("{error}")))
    };
    // No reference has white space in it, so the last space parts the two.
    let after = match query.after.as_deref().map(|after| after.rsplit_once(' ')) {
        None => None,
        Some(Some((source, reference))) => Some((source.to_owned(), reference_of(reference)?)),
        Some(None) => {
            let detail = "after takes what next had";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
    };
    let filter = EntityFilter {
        source: query.source,
        kind: query.kind.map(|kind| kind.to_lowercase()),
        reference: query.reference.as_deref().map(reference_of).transpose()?,
        after,
        limit,
    };
    let found = state.store.list_entities(&filter).await?;
    let full = found.len() >= limit as usize;
    let next = found
        .last()
        .filter(|_| full)
        .map(|entity| format!("{} {}", entity.source, entity.reference));
    let entities = found.into_iter().map(OneEntity::try_from).collect::<Result<_, _>>()?;
    Ok(Json(Entities { entities, next }))
}
