//! `/jobs`: the queue with its filters, and `/jobs/NUMBER`: one job, whole.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use tideline_core::words::{JobState, Role, grouped};

use super::Dashboard;
use super::filters::{Filter, filters, pager};
use super::format::{ago, sentence};
use super::json::tree;
use super::parts::{Question, act, command, job_state, live, live_state, source_path};
use super::shell::{Page, page};
use super::viewer::{Act, Failure, Fields, Query, Viewer, back_to};
use crate::api::types::{Job, Page as List, Why};
use crate::api::{Code, Problem};

/// Jobs of one page.
const ROWS: &str = "50";

/// Filters, which are parameters of the API too.
const FILTERS: &[Filter] = &[
    Filter::choice(
        "state",
        "State",
        &["waiting", "running", "done", "parked", "paused", "cancelled"],
    ),
    Filter::text("kind", "Kind", "ingest"),
    Filter::text("source", "Source", ""),
    Filter::text("key", "Key", ""),
];

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/jobs", get(list))
        .route("/jobs/retry", post(retry_many))
        .route("/jobs/{id}", get(show))
        .route("/jobs/{id}/{act}", post(perform))
}

async fn list(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let mut asked = query.values(FILTERS);
    asked.extend([("limit", ROWS), ("page_token", query.get("page_token"))]);
    let jobs: List<Job> = viewer.list("/v1/jobs", &asked).await?;
    let content = html! {
        header.page { h1 { "Jobs" } (live_state()) }
        (filters("/jobs", FILTERS, &query))
        (live("jobs", rows(&viewer, &jobs, &query)))
        (command(&query.command("tideline jobs list", FILTERS)))
    };
    Ok(page(&viewer, "/jobs", "Jobs", content))
}

fn rows(viewer: &Viewer, jobs: &List<Job>, query: &Fields) -> Markup {
    let retry = viewer.may(Role::Operate) && jobs.items.iter().any(may_retry);
    html! {
        @if jobs.items.is_empty() {
            p.empty {
                @if query.any(FILTERS) { "No job matches. " a href="/jobs" { "Show all" } }
                @else { "The queue is empty. A source's cycle fills it, and so does a program that enqueues with POST /v1/jobs." }
            }
        } @else {
            div.scroll { table {
                thead { tr {
                    @if retry { th { span.unseen { "Choose" } } }
                    th.number { "Job" } th { "Kind and key" } th { "State" } th.number.wide { "Attempt" } th.wide { "Due" } th { "Changed" }
                } }
                tbody { @for job in &jobs.items { (row(viewer, job, retry)) } }
            } }
            @if retry {
                form #many method="post" action="/jobs/retry" {
                    input type="hidden" name="back" value=(viewer.path);
                    p.pager { button { "Retry the chosen ones" } }
                }
            }
        }
        (pager("/jobs", FILTERS, query, jobs.next_page_token.as_deref()))
    }
}

fn row(viewer: &Viewer, job: &Job, retry: bool) -> Markup {
    html! {
        tr id={ "job-" (job.id) } {
            @if retry {
                td {
                    @if may_retry(job) {
                        input type="checkbox" name="job" value=(job.id) form="many" aria-label={ "Choose job " (job.id) };
                    }
                }
            }
            td.number { a href={ "/jobs/" (job.id) } { (job.id) } }
            td {
                span.soft { (job.kind) } " " (job.key)
                @if let Some(error) = &job.last_error { p.error { (error.lines().next().unwrap_or_default()) } }
            }
            td { (job_state(job.state)) }
            td.number.wide { (job.attempt) }
            td.wide { @if let Some(due) = job.due_at { (ago(due.0, viewer.now)) } }
            td { (ago(job.updated_at.0, viewer.now)) }
        }
    }
}

fn may_retry(job: &Job) -> bool {
    matches!(job.state, JobState::Parked | JobState::Cancelled)
}

async fn show(viewer: Viewer, Path(id): Path<i64>) -> Result<Page, Failure> {
    let job: Job = viewer.get(&format!("/v1/jobs/{id}")).await?;
    let why: Why = viewer.get(&format!("/v1/jobs/{id}/why")).await?;
    let content = html! {
        header.page {
            h1 { a.crumb href="/jobs" { "Jobs / " } (job.id) }
            p { (job.kind) " " (job.key) }
            (live_state())
        }
        (live("job", body(&viewer, &job, &why)))
        (command(&format!("tideline jobs show {id}")))
    };
    Ok(page(&viewer, "/jobs", &format!("Job {id}"), content))
}

fn body(viewer: &Viewer, job: &Job, why: &Why) -> Markup {
    html! {
        section { p { (job_state(job.state)) " " (sentence(&why.sentence, viewer.now)) } @if viewer.may(Role::Operate) { (buttons(job)) } }
        @if let Some(error) = &job.last_error {
            section aria-labelledby="error-title" { h2 #error-title { "Last error" } pre.error.card { (error) } }
        }
        div.columns {
            (facts(viewer, job))
            div {
                section aria-labelledby="args-title" { h2 #args-title { "Args" } (tree(&job.args)) }
                @if let Some(cursor) = &job.cursor { section aria-labelledby="cursor-title" { h2 #cursor-title { "Cursor" } (tree(cursor)) } }
                @if let Some(progress) = &job.progress { section aria-labelledby="progress-title" { h2 #progress-title { "Progress" } (tree(progress)) } }
            }
        }
    }
}

fn buttons(job: &Job) -> Markup {
    let path = format!("/jobs/{}", job.id);
    let open = matches!(job.state, JobState::Waiting | JobState::Running | JobState::Parked);
    html! {
        div.actions {
            @if may_retry(job) || job.state == JobState::Waiting { (act(&format!("{path}/retry"), "Run it now", Some("main"), &path)) }
            @if open && job.source.is_none() {
                (Question {
                    path: &format!("{path}/cancel"),
                    label: "Cancel",
                    text: html! { p { "Give this job up? Whoever runs it writes nothing more." } },
                    yes: "Cancel the job",
                    danger: true,
                    reason: true,
                    fields: &[],
                })
            }
        }
    }
}

fn facts(viewer: &Viewer, job: &Job) -> Markup {
    let now = viewer.now;
    html! {
        section aria-labelledby="facts-title" {
            h2 #facts-title { "Facts" }
            dl.facts.card {
                @if let Some(source) = &job.source { dt { "Source" } dd { a href=(source_path(source)) { (source) } } }
                @if let Some(cycle) = job.cycle { dt { "Cycle" } dd { (cycle) } }
                dt { "Trigger" } dd { (job.trigger.as_str()) }
                dt { "Attempt" } dd { (grouped(u64::from(job.attempt))) @if job.rung > 0 { ", rung " (job.rung) } }
                dt { "Claims" } dd { (job.token) }
                @if let Some(due) = job.due_at { dt { "Due" } dd { (ago(due.0, now)) } }
                @if let Some(worker) = &job.worker { dt { "Worker" } dd { (worker) } }
                @if let Some(until) = job.leased_until { dt { "Lease" } dd { (ago(until.0, now)) } }
                dt { "Enqueued" } dd { (ago(job.created_at.0, now)) }
                dt { "Changed" } dd { (ago(job.updated_at.0, now)) }
                @if let Some(trace) = &job.trace { dt { "Trace" } dd { (viewer.trace(trace)) } }
            }
        }
    }
}

async fn perform(viewer: Viewer, Path((id, act)): Path<(i64, String)>, form: Fields) -> Result<Response, Failure> {
    let reason = form.get("reason");
    let act = match act.as_str() {
        "retry" => (act.as_str(), Act::because(reason)),
        "cancel" => (act.as_str(), Act::because(super::source::needed(reason)?)),
        other => return Err(Problem::new(Code::NotFound, format!("{other} is no command of a job")).into()),
    };
    viewer
        .act(Method::POST, &format!("/v1/jobs/{id}/{}", act.0), act.1)
        .await?;
    Ok(back_to(&format!("/jobs/{id}")))
}

/// Retries the jobs that were chosen; stops at the first that is refused.
async fn retry_many(viewer: Viewer, form: Fields) -> Result<Response, Failure> {
    for id in form.all("job").take(100) {
        let id: i64 = id
            .parse()
            .map_err(|_| Problem::new(Code::InvalidRequest, "job takes the number of a job"))?;
        viewer
            .act(Method::POST, &format!("/v1/jobs/{id}/retry"), Act::default())
            .await?;
    }
    Ok(back_to(form.inside("back", "/jobs")))
}
