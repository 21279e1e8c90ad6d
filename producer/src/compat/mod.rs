//! The routes that scripts for Backstage's incremental ingestion and OpenChoreo's module use, below
//! `/api/catalog/incremental`: a thin translation onto the API, with their documented meaning. docs/migrating.md lists
//! old and new routes side by side. Roles, audit and limits are those of `/v1`.

mod event_bus;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tideline_core::words::{CycleRecord, CycleState, SourceRecord, SourceState, Trigger};
use tideline_store::{Deed, JobFilter, SourceCommand};

use crate::api::extract::Path;
use crate::api::role::{By, Operate, Read};
use crate::api::types::Time;
use crate::api::{Api, ApiState, Problem, sources};

/// Marks shown of one cycle.
const MARKS: u32 = 1_000;

type ApiOf = State<Arc<ApiState>>;

/// A problem in the format that those scripts expect.
struct Failure(Problem);

impl<E: Into<Problem>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(json!({"success": false, "error": self.0.detail}))).into_response()
    }
}

type Answer = Result<Json<Value>, Failure>;

pub(crate) fn router(api: &Api) -> Router {
    let routes = Router::new()
        .route("/health", get(health).post(cleanup))
        .route("/cleanup", post(cleanup))
        .route("/providers", get(providers))
        .route("/providers/{name}", get(status).delete(reset))
        .route("/providers/{name}/status", get(status))
        .route("/providers/{name}/trigger", post(trigger))
        .route("/providers/{name}/refresh", post(trigger))
        .route("/providers/{name}/start", post(start))
        .route("/providers/{name}/cancel", post(cancel))
        .route("/providers/{name}/reset", post(reset))
        .route("/providers/{name}/marks", get(marks).delete(reset));
    Router::new()
        .nest("/api/catalog/incremental", routes)
        .with_state(Arc::clone(&api.state))
        .merge(event_bus::router(api))
}

/// No source fails. Two cycles of a source at once, which is all that the old route looked for, cannot happen.
async fn health(State(api): ApiOf, by: By<Read>) -> Answer {
    let mut failing = Vec::new();
    for source in api.store.list_sources().await? {
        if by.principal.covers(&source.name)
            && let Some(reason) = failure(&api, &source).await?
        {
            failing.push(json!({"provider": source.name, "reason": reason}));
        }
    }
    Ok(Json(
        json!({"healthy": failing.is_empty(), "failing": failing, "duplicateIngestions": []}),
    ))
}

/// Why a source fails: it is blocked, or its newest ended cycle was given up.
async fn failure(api: &ApiState, source: &SourceRecord) -> Result<Option<String>, Problem> {
    let text = |reason: &Option<String>| reason.clone().unwrap_or_default();
    if source.state == SourceState::Blocked {
        return Ok(Some(text(&source.blocked_reason)));
    }
    let cycles = api.store.list_cycles(source.id, 2).await?;
    let ended = cycles.iter().find(|cycle| cycle.ended_at.is_some());
    let given_up = |cycle: &&CycleRecord| matches!(cycle.state, CycleState::Incomplete | CycleState::Cancelled);
    Ok(ended.filter(given_up).map(|cycle| text(&cycle.reason)))
}

/// For one of several acts of a request, each with its own key.
fn part_of(by: &By<Operate>, part: &str) -> By<Operate> {
    let mut by = by.clone();
    by.idempotency_key = by.idempotency_key.map(|key| format!("{key} {part}"));
    by
}

/// Resets every source: the next cycle of each reads everything. Entities stay.
async fn cleanup(State(api): ApiOf, by: By<Operate>) -> Answer {
    let mut reset = Vec::new();
    for source in api.store.list_sources().await? {
        if by.principal.covers(&source.name) {
            command(&api, &part_of(&by, &source.name), &source.name, SourceCommand::Reset).await?;
            reset.push(source.name);
        }
    }
    Ok(Json(json!({"success": true, "providers": reset})))
}

async fn providers(State(api): ApiOf, by: By<Read>) -> Answer {
    let sources = api.store.list_sources().await?;
    let names = sources.into_iter().map(|source| source.name);
    let names: Vec<_> = names.filter(|name| by.principal.covers(name)).collect();
    Ok(Json(json!({"success": true, "providers": names})))
}

async fn status(State(api): ApiOf, by: By<Read>, Path(name): Path<String>) -> Answer {
    let source = sources::find(&api, &by.principal, &name).await?;
    let cycle = api.store.list_cycles(source.id, 1).await?.into_iter().next();
    let next = source.next_cycle_at.map(Time);
    let last_error = source
        .blocked_reason
        .clone()
        .or_else(|| cycle.as_ref().and_then(|cycle| cycle.reason.clone()));
    Ok(Json(json!({
        "success": true,
        "status": {"current_action": action(&source, cycle.as_ref()), "next_action_at": next},
        "last_error": last_error,
    })))
}

/// The old name of a source's status.
fn action(source: &SourceRecord, cycle: Option<&CycleRecord>) -> &'static str {
    match (source.state, cycle.map(|cycle| cycle.state)) {
        (SourceState::Paused, _) => "paused",
        (SourceState::Blocked, _) => "backing off",
        (SourceState::Orphaned, _) => "complete",
        (SourceState::Active, Some(CycleState::Bursting | CycleState::Sweeping)) => "bursting",
        (SourceState::Active, Some(CycleState::Cancelled)) => "canceling",
        (SourceState::Active, Some(_)) => "resting",
        (SourceState::Active, None) => "rest complete, waiting to start",
    }
}

async fn command<R>(api: &ApiState, by: &By<R>, name: &str, command: SourceCommand) -> Result<(), Problem> {
    sources::find(api, &by.principal, name).await?;
    let deed = Deed::CommandSource {
        source: name.to_owned(),
        command,
    };
    api.perform(by, deed).await.map(drop)
}

/// The next cycle starts as soon as none is running.
async fn trigger(State(api): ApiOf, by: By<Operate>, Path(name): Path<String>) -> Answer {
    command(&api, &by, &name, SourceCommand::Refresh(Trigger::Manual)).await?;
    done(format!("{name}: Next action triggered."))
}

/// A fresh cycle: the one that runs is cancelled first.
async fn start(State(api): ApiOf, by: By<Operate>, Path(name): Path<String>) -> Answer {
    let source = sources::find(&api, &by.principal, &name).await?;
    let cycle = api.store.list_cycles(source.id, 1).await?.into_iter().next();
    if cycle.is_some_and(|cycle| matches!(cycle.state, CycleState::Bursting | CycleState::Sweeping)) {
        command(&api, &part_of(&by, "cancel"), &name, SourceCommand::Cancel).await?;
    }
    command(&api, &by, &name, SourceCommand::Refresh(Trigger::Manual)).await?;
    done(format!("{name}: Next cycle triggered."))
}

/// Cancels the running cycle without a sweep; the source rests as configured.
async fn cancel(State(api): ApiOf, by: By<Operate>, Path(name): Path<String>) -> Answer {
    command(&api, &by, &name, SourceCommand::Cancel).await?;
    done(format!("{name}: Current ingestion canceled."))
}

/// Deletes cycles, cursors and marks; entities stay, and the next cycle reads everything.
async fn reset(State(api): ApiOf, by: By<Operate>, Path(name): Path<String>) -> Answer {
    command(&api, &by, &name, SourceCommand::Reset).await?;
    done(format!("{name}: All records of the provider are reset."))
}

fn done(message: String) -> Answer {
    Ok(Json(json!({"success": true, "message": message})))
}

/// The partitions of the newest cycle with their cursors, newest first.
async fn marks(State(api): ApiOf, by: By<Read>, Path(name): Path<String>) -> Answer {
    let source = sources::find(&api, &by.principal, &name).await?;
    let filter = JobFilter {
        source: Some(source.name.clone()),
        limit: MARKS,
        ..JobFilter::default()
    };
    let mut jobs = api.store.list_jobs(&filter).await?;
    jobs.retain(|job| job.cycle == Some(source.cycle));
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    let records: Vec<_> = jobs
        .iter()
        .map(|job| {
            let cursor = job
                .cursor
                .as_deref()
                .and_then(|cursor| serde_json::from_str::<Value>(cursor).ok());
            json!({"id": job.id, "cursor": cursor, "sequence": job.token, "created_at": Time(job.created_at)})
        })
        .collect();
    Ok(Json(json!({"success": true, "records": records})))
}
