//! `/v1/jobs`: the queue. Any program can be a producer.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tideline_core::rules::JobVersion;
use tideline_core::words::{JobId, JobRecord, JobState, Trigger};
use tideline_store::{Deed, JobFilter, Outcome};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Path, Query};
use super::page::{ListId, limit_of};
use super::problem::{Code, Problem};
use super::role::{By, Operate, Principal, Read};
use super::types::{Enqueue, EnqueueAnswer, Job, Page, Why, words};
use super::{ApiRouter, ApiState, etag, sources, why};
use crate::{EnqueueError, JobSpec, Producer};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, enqueue))
        .routes(routes!(partitions))
        .routes(routes!(show))
        .routes(routes!(explain))
        .routes(routes!(retry))
        .routes(routes!(cancel))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct JobsQuery {
    /// Of this kind.
    kind: Option<String>,
    /// In this state.
    #[param(value_type = Option<words::JobState>)]
    state: Option<JobState>,
    /// Jobs that read this source, as a part of a cycle or because of an event.
    source: Option<String>,
    /// With this key.
    key: Option<String>,
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
    /// Maximum number of records per response, 1 to 1,000 (default 100).
    limit: Option<u32>,
}

/// Jobs by number.
#[utoipa::path(
    get, path = "/jobs", tag = "jobs", params(JobsQuery), security(("token" = ["read"])),
    responses((status = 200, body = Page<Job>)),
)]
async fn list(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<JobsQuery>,
) -> Result<Answer<Page<Job>>, Problem> {
    page(&api, &by.principal, query).await
}

async fn page(api: &ApiState, principal: &Principal, query: JobsQuery) -> Result<Answer<Page<Job>>, Problem> {
    let limit = limit_of(query.limit)?;
    if let Some(source) = &query.source {
        sources::find(api, principal, source).await?;
    }
    let list = list_id(
        query.kind.as_deref(),
        query.state,
        query.source.as_deref(),
        query.key.as_deref(),
    );
    let filter = JobFilter {
        kind: query.kind,
        state: query.state,
        source: query.source,
        key: query.key,
        after: list.key_of(query.page_token.as_deref())?,
        limit,
    };
    let found = api.store.list_jobs(&filter).await?;
    let full = found.len() >= limit as usize;
    let next_page_token = found.last().filter(|_| full).map(|job| list.token_of(&job.id));
    let items = found
        .into_iter()
        .filter(|job| covers(principal, job))
        .map(Job::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Answer(Page { items, next_page_token }))
}

/// The list with these filters.
pub(crate) fn list_id(kind: Option<&str>, state: Option<JobState>, source: Option<&str>, key: Option<&str>) -> ListId {
    ListId::new("jobs", (kind, state, source, key))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PartitionsQuery {
    /// In this state.
    #[param(value_type = Option<words::JobState>)]
    state: Option<JobState>,
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
    /// Maximum number of records per response, 1 to 1,000 (default 100).
    limit: Option<u32>,
}

/// The partitions of a source's latest cycle: the jobs that read them, by number.
#[utoipa::path(
    get, path = "/sources/{name}/partitions", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), PartitionsQuery),
    responses((status = 200, body = Page<Job>)),
)]
async fn partitions(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<PartitionsQuery>,
) -> Result<Answer<Page<Job>>, Problem> {
    let query = JobsQuery {
        kind: Some("ingest".to_owned()),
        state: query.state,
        source: Some(name),
        key: None,
        page_token: query.page_token,
        limit: query.limit,
    };
    page(&api, &by.principal, query).await
}

/// A principal that is limited to some sources sees only jobs that read these.
fn covers(principal: &Principal, job: &JobRecord) -> bool {
    match job.source_name() {
        Some(source) => principal.covers(source),
        None => principal.require_all_sources().is_ok(),
    }
}

async fn find(api: &ApiState, principal: &Principal, id: i64) -> Result<JobRecord, Problem> {
    let filter = JobFilter {
        after: Some(JobId(id.saturating_sub(1))),
        limit: 1,
        ..JobFilter::default()
    };
    let found = api.store.list_jobs(&filter).await?;
    found
        .into_iter()
        .find(|job| job.id == JobId(id) && covers(principal, job))
        .ok_or_else(|| Problem::new(Code::NotFound, format!("job {id} does not exist")))
}

/// One job.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs", security(("token" = ["read"])),
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = Job)),
)]
async fn show(State(api): State<Arc<ApiState>>, by: By<Read>, Path(id): Path<i64>) -> Result<Response, Problem> {
    let job = find(&api, &by.principal, id).await?;
    let version = version(&job);
    Ok(etag(&version, Job::try_from(job)?))
}

fn version(job: &JobRecord) -> String {
    let version = JobVersion {
        state: job.state,
        token: job.token,
        updated_at: job.updated_at,
    };
    version.tag()
}

/// Explains what a job is doing or waiting for.
#[utoipa::path(
    get, path = "/jobs/{id}/why", tag = "jobs", security(("token" = ["read"])),
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, body = Why)),
)]
async fn explain(State(api): State<Arc<ApiState>>, by: By<Read>, Path(id): Path<i64>) -> Result<Answer<Why>, Problem> {
    let job = find(&api, &by.principal, id).await?;
    Ok(Answer(why::of_job(&api, &job).await?))
}

/// Makes a parked, cancelled or waiting job due now.
#[utoipa::path(
    post, path = "/jobs/{id}/retry", tag = "jobs", security(("token" = ["operate"])),
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 202, body = Job)),
)]
async fn retry(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Answer<Job>), Problem> {
    let job = find(&api, &by.principal, id).await?;
    let deed = Deed::RetryJob {
        job: job.id,
        source: job.source_name().map(str::to_owned),
    };
    api.perform(&by, deed).await?;
    let job = find(&api, &by.principal, id).await?;
    Ok((StatusCode::ACCEPTED, Answer(job.try_into()?)))
}

/// Cancels a job that is not a partition of a source. A worker that is running it can write nothing more.
#[utoipa::path(
    post, path = "/jobs/{id}/cancel", tag = "jobs", security(("token" = ["operate"])),
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 202, body = Job)),
)]
async fn cancel(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(id): Path<i64>,
) -> Result<(StatusCode, Answer<Job>), Problem> {
    let job = find(&api, &by.principal, id).await?;
    api.perform(&by, Deed::CancelJob { job: job.id }).await?;
    let job = find(&api, &by.principal, id).await?;
    Ok((StatusCode::ACCEPTED, Answer(job.try_into()?)))
}

/// Inserts or supersedes jobs. A job whose args have not changed is left alone: `unchanged`.
#[utoipa::path(
    post, path = "/jobs", tag = "jobs", security(("token" = ["operate"])), request_body = Enqueue,
    responses((status = 202, body = EnqueueAnswer)),
)]
async fn enqueue(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Json(request): Json<Enqueue>,
) -> Result<(StatusCode, Answer<EnqueueAnswer>), Problem> {
    by.principal.require_all_sources()?;
    if !(1..=Producer::BATCH).contains(&request.jobs.len()) {
        let detail = format!("jobs takes 1 to {} jobs", Producer::BATCH);
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let specs = request.jobs.into_iter().map(|job| JobSpec {
        kind: job.kind,
        key: job.key,
        args: job.args.get().to_owned(),
        due_at: job.due_at.map(|due| due.0),
        trigger: Trigger::Manual,
    });
    let jobs = api.producer.new_jobs(specs.collect()).map_err(invalid)?;
    let performed = api.perform(&by, Deed::Enqueue(jobs)).await?;
    let jobs = match performed.outcome {
        Outcome::Enqueued { jobs } => jobs.into_iter().map(Into::into).collect(),
        Outcome::Done | Outcome::DeadLetters { .. } | Outcome::Appended { .. } => Vec::new(),
    };
    Ok((StatusCode::ACCEPTED, Answer(EnqueueAnswer { jobs })))
}

fn invalid(error: EnqueueError) -> Problem {
    match error {
        EnqueueError::Store { source, .. } => source.into(),
        other => Problem::new(Code::InvalidRequest, tideline_core::full_text(&other)),
    }
}
