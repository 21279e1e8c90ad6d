//! `/v1/why` and `/v1/status`: what is going on, and why not more.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tideline_core::rules::{Facts, Why as Reason, why};
use tideline_core::words::{CycleRecord, CycleState, JobId, JobRecord, JobState, SourceRecord, Timestamp};
use tideline_queue::QueueHealth;
use tideline_store::{JobFilter, Store, StoreError};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::problem::{Code, Problem};
use super::role::{By, Principal, Read};
use super::types::{Check, Cycle, Explanation, Left, Source, SourceStatus, Status, Time, Why};
use super::{ApiRouter, ApiState};

/// Partitions looked at to explain a bursting source.
const PARTITIONS: u32 = 200;

/// Cycles looked at for the newest complete one.
const CYCLES: u32 = 5;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(explain)).routes(routes!(status))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhyQuery {
    /// Name of a source, number of a job, or key of a job.
    subject: String,
}

/// Explains what a source or job is doing or waiting for. Looks for a source first, then for a job with that number or key.
#[utoipa::path(
    get, path = "/why", tag = "operations", params(WhyQuery), security(("token" = ["read"])),
    responses((status = 200, body = Explanation)),
)]
async fn explain(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<WhyQuery>,
) -> Result<Json<Explanation>, Problem> {
    let subject = query.subject;
    if by.principal.covers(&subject)
        && let Some(source) = api.store.find_source(&subject).await?
    {
        let status = of_source(&api, source).await?;
        return Ok(Json(Explanation {
            subjects: vec![status.why],
        }));
    }
    let mut subjects = Vec::new();
    for job in jobs_of(&api, &by.principal, &subject).await? {
        subjects.push(of_job(&api, &job).await?);
    }
    if subjects.is_empty() {
        let detail = format!("source or job {subject} does not exist");
        return Err(Problem::new(Code::NotFound, detail));
    }
    Ok(Json(Explanation { subjects }))
}

async fn jobs_of(api: &ApiState, principal: &Principal, subject: &str) -> Result<Vec<JobRecord>, Problem> {
    let mut jobs = Vec::new();
    if let Ok(number) = subject.parse::<i64>() {
        let filter = JobFilter {
            after: Some(JobId(number.saturating_sub(1))),
            limit: 1,
            ..JobFilter::default()
        };
        jobs = api.store.list_jobs(&filter).await?;
        jobs.retain(|job| job.id == JobId(number));
    }
    if jobs.is_empty() {
        let filter = JobFilter {
            key: Some(subject.to_owned()),
            limit: 10,
            ..JobFilter::default()
        };
        jobs = api.store.list_jobs(&filter).await?;
    }
    jobs.retain(|job| match job.source_name() {
        Some(source) => principal.covers(source),
        None => principal.require_all_sources().is_ok(),
    });
    Ok(jobs)
}

/// What a job waits for.
pub(super) async fn of_job(api: &ApiState, job: &JobRecord) -> Result<Why, Problem> {
    let source = match &job.source {
        Some(name) => api.store.find_source(name).await?,
        None => None,
    };
    let facts = Facts::Job {
        job,
        source: source.as_ref(),
    };
    let subject = format!("job {} ({} {})", job.id, job.kind, job.key);
    Ok(Why::new(subject, why(facts, api.clock.now())))
}

/// A source with its latest cycle and what it is waiting for.
pub(super) async fn of_source(api: &ApiState, source: SourceRecord) -> Result<SourceStatus, Problem> {
    let cycles = api.store.list_cycles(source.id, CYCLES).await?;
    let reason = reason_of_source(&*api.store, &source, cycles.first(), api.clock.now()).await?;
    let checks = api.store.list_checks(source.id, 1).await?;
    Ok(SourceStatus {
        newest_check: checks.into_iter().next().map(Check::from),
        why: Why::new(format!("source {}", source.name), reason),
        left: Left::of(&cycles),
        newest_cycle: cycles.into_iter().next().map(Cycle::from),
        source: Source::from(source),
    })
}

/// What a source waits for, by the store. `cycle` is its newest one.
///
/// # Errors
/// The store's.
pub async fn reason_of_source(
    store: &dyn Store,
    source: &SourceRecord,
    cycle: Option<&CycleRecord>,
    now: Timestamp,
) -> Result<Reason, StoreError> {
    let partitions = match cycle {
        Some(cycle) if cycle.state == CycleState::Bursting => open_partitions(store, source).await?,
        _ => Vec::new(),
    };
    let facts = Facts::Source {
        source,
        cycle,
        partitions: &partitions,
    };
    Ok(why(facts, now))
}

async fn open_partitions(store: &dyn Store, source: &SourceRecord) -> Result<Vec<JobRecord>, StoreError> {
    let mut partitions = Vec::new();
    for state in [JobState::Running, JobState::Waiting, JobState::Parked] {
        let filter = JobFilter {
            source: Some(source.name.clone()),
            state: Some(state),
            limit: PARTITIONS,
            ..JobFilter::default()
        };
        partitions.extend(store.list_jobs(&filter).await?);
    }
    partitions.retain(|job| job.cycle == Some(source.cycle));
    Ok(partitions)
}

/// An overview of the whole store, and every source with what it is waiting for.
#[utoipa::path(
    get, path = "/status", tag = "operations", security(("token" = ["read"])),
    responses((status = 200, body = Status)),
)]
async fn status(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Json<Status>, Problem> {
    let now = api.clock.now();
    let stats = api.store.stats(now).await?;
    let workers = api.store.list_workers().await?;
    let mut sources = Vec::new();
    for source in api.store.list_sources().await? {
        if by.principal.covers(&source.name) {
            sources.push(of_source(&api, source).await?);
        }
    }
    Ok(Json(Status {
        now: Time(now),
        jobs: stats.into(),
        held_sweeps: stats.held_sweeps,
        last_sequence: stats.last_sequence.0,
        queue: match api.queue.health() {
            QueueHealth::Healthy => "healthy".to_owned(),
            QueueHealth::Degraded(reason) => reason,
        },
        workers: workers.into_iter().map(Into::into).collect(),
        sources,
    }))
}
