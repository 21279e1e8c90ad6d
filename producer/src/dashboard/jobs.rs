//! `/jobs`: the queue with its filters, and `/jobs/NUMBER`: one job in full.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use tideline_core::words::{JobState, Role, grouped};

use super::Dashboard;
use super::filters::{Filter, filters_with, pager};
use super::format::{ago, sentence};
use super::json::tree;
use super::parts::{Question, act, command, job_state, job_word, live, live_state, source_path};
use super::shell::{Page, page};
use super::viewer::{Act, Failure, Fields, Query, Viewer, back_to};
use crate::api::jobs::list_id;
use crate::api::page::ListId;
use crate::api::types::{Job, Page as List, Why};
use crate::api::{Code, Problem};

/// Jobs of one page.
const ROWS: usize = 50;

/// Number of parked jobs that are listed before the others.
const PARKED: &str = "20";

/// Maximum number of jobs in one bulk act.
const MANY: usize = 1_000;

/// Number of jobs examined for one page of a list by age.
const LOOKED: usize = 5_000;

/// Filters. All but the last are parameters of the API, too.
const FILTERS: &[Filter] = &[
    Filter::choice("state", "State", &["waiting", "running", "done", "parked", "cancelled"]),
    Filter::text("kind", "Kind", "ingest"),
    Filter::text("source", "Source", ""),
    Filter::text("key", "Key", ""),
    Filter::choice("age", "Unchanged for", &["1h", "1d", "7d"]),
];

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/jobs", get(list))
        .route("/jobs/retry", post(retry_many))
        .route("/jobs/cancel", post(cancel_many))
        .route("/jobs/{id}", get(show))
        .route("/jobs/{id}/{act}", post(perform))
}

async fn list(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let mut jobs = read(&viewer, &query).await?;
    let parked = parked(&viewer, &query).await?;
    jobs.items.retain(|job| parked.iter().all(|parked| parked.id != job.id));
    let content = html! {
        header.page { h1 { "Jobs" } (live_state()) }
        (filters_with("/jobs", FILTERS, &query, &viewer.sources().await?))
        (live("jobs", rows(&viewer, &parked, &jobs, &query)))
        (command(&query.command("tideline jobs list", FILTERS.split_last().map_or(FILTERS, |(_, of_api)| of_api))))
    };
    Ok(page(&viewer, "/jobs", "Jobs", content))
}

/// Jobs that need a decision come first, on the first page, unless the list is filtered by age or another state.
async fn parked(viewer: &Viewer, query: &Fields) -> Result<Vec<Job>, Problem> {
    if ["state", "age", "page_token"]
        .iter()
        .any(|name| !query.get(name).is_empty())
    {
        return Ok(Vec::new());
    }
    let mut asked = query.values(FILTERS);
    asked.extend([("state", "parked"), ("limit", PARKED)]);
    let parked: List<Job> = viewer.list("/v1/jobs", &asked).await?;
    Ok(parked.items)
}

/// The requested list.
fn list_of(query: &Fields) -> ListId {
    let set = |name| Some(query.get(name)).filter(|value| !value.is_empty());
    let state = set("state").and_then(|state| serde_json::from_value(state.into()).ok());
    list_id(set("kind"), state, set("source"), set("key"))
}

/// One page of the list.
async fn read(viewer: &Viewer, query: &Fields) -> Result<List<Job>, Problem> {
    let asked: Vec<_> = query
        .values(FILTERS)
        .into_iter()
        .filter(|(name, _)| *name != "age")
        .collect();
    let age = match query.get("age") {
        "1h" => 3_600_000,
        "1d" => 86_400_000,
        "7d" => 7 * 86_400_000,
        _ => 0,
    };
    let (before, mut token, mut looked) = (viewer.now.0 - age, query.get("page_token").to_owned(), 0);
    let mut found = List::whole(Vec::new());
    loop {
        let mut asked = asked.clone();
        // A filter by age may exclude most jobs, so more are requested at once.
        let limit = if age == 0 { ROWS.to_string() } else { "1000".to_owned() };
        asked.extend([("limit", limit.as_str()), ("page_token", token.as_str())]);
        let part: List<Job> = viewer.list("/v1/jobs", &asked).await?;
        looked += part.items.len();
        for job in part.items {
            if age > 0 && found.items.len() >= ROWS {
                let list = list_of(query);
                found.next_page_token = found.items.last().map(|job: &Job| list.token_of(&job.id));
                return Ok(found);
            }
            if age == 0 || job.updated_at.0.0 <= before {
                found.items.push(job);
            }
        }
        match part.next_page_token {
            Some(next) if age > 0 && looked < LOOKED => token = next,
            next => {
                found.next_page_token = next;
                return Ok(found);
            }
        }
    }
}

fn rows(viewer: &Viewer, parked: &[Job], jobs: &List<Job>, query: &Fields) -> Markup {
    let all = || parked.iter().chain(&jobs.items);
    let choose = viewer.may(Role::Operate) && all().any(|job| may_retry(job) || may_cancel(job));
    html! {
        @if all().next().is_none() {
            p.empty {
                @if jobs.next_page_token.is_some() { "None among the jobs searched so far. Continue with the next page." }
                @else if query.any(FILTERS) { "No job matches. " a href="/jobs" { "Show all" } }
                @else { "The queue is empty. A source's cycle fills it, and so does a program that enqueues with POST /v1/jobs." }
            }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr {
                    @if choose { th { input type="checkbox" data-all="job" aria-label="Select all on this page"; } }
                    th.number { "Job" } th { "Kind and key" } th { "State" } th.number.wide { "Attempt" } th.wide { "Due" } th { "Changed" }
                } }
                tbody { @for job in all() { (row(viewer, job, choose)) } }
            } }
            @if choose { (many(viewer, query)) }
        }
        (pager("/jobs", FILTERS, query, jobs.next_page_token.as_deref()))
    }
}

/// Acts on the selected jobs, and on all parked ones.
fn many(viewer: &Viewer, query: &Fields) -> Markup {
    html! {
        form #many.many method="post" action="/jobs/retry" {
            input type="hidden" name="back" value=(viewer.path);
            @for (name, value) in query.values(FILTERS) { input type="hidden" name=(name) value=(value); }
            div.actions {
                button { "Retry selected" }
                @if query.get("state") == "parked" {
                    button name="all" value="1" { "Retry all that match" }
                }
                details {
                    summary.button { "Cancel selected…" }
                    div.ask {
                        p { "Cancel these jobs? Partitions of a source are left alone: cancel its cycle instead." }
                        div {
                            label for="reason-many" { "Reason, for the audit log" }
                            input #reason-many name="reason" maxlength="500" autocomplete="off";
                        }
                        div { button.danger formaction="/jobs/cancel" { "Cancel the jobs" } }
                    }
                }
            }
        }
    }
}

fn row(viewer: &Viewer, job: &Job, choose: bool) -> Markup {
    html! {
        tr id={ "job-" (job.id) } {
            @if choose {
                td {
                    @if may_retry(job) || may_cancel(job) {
                        input type="checkbox" name="job" value=(job.id) form="many" aria-label={ "Choose job " (job.id) };
                    }
                }
            }
            td.number { a href={ "/jobs/" (job.id) } { (job.id) } }
            td.long {
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

/// A partition of a source belongs to its cycle, which is cancelled as a whole.
fn may_cancel(job: &Job) -> bool {
    let open = matches!(job.state, JobState::Waiting | JobState::Running | JobState::Parked);
    open && job.cycle.is_none()
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
        section { p { (job_state(job.state)) " " (sentence(why.sentence_after(job_word(job.state).1), viewer.now)) } @if viewer.may(Role::Operate) { (buttons(job)) } }
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
    html! {
        div.actions {
            @if may_retry(job) || job.state == JobState::Waiting { (act(&format!("{path}/retry"), "Run it now", Some("main"), &path)) }
            @if may_cancel(job) {
                (Question {
                    path: &format!("{path}/cancel"),
                    label: "Cancel",
                    text: html! { p { "Cancel this job? A worker that is running it can write nothing more." } },
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
        other => return Err(Problem::new(Code::NotFound, format!("{other} is not a command for a job")).into()),
    };
    viewer
        .act(Method::POST, &format!("/v1/jobs/{id}/{}", act.0), act.1)
        .await?;
    Ok(back_to(&format!("/jobs/{id}")))
}

/// Retries the jobs that were chosen, or all that match.
async fn retry_many(viewer: Viewer, form: Fields) -> Result<Response, Failure> {
    let mut jobs = chosen(&form)?;
    if form.get("all") == "1" {
        jobs = matching(&viewer, &form).await?;
    }
    act_on(&viewer, "retry", &jobs, form.get("reason")).await?;
    Ok(back_to(form.inside("back", "/jobs")))
}

/// Cancels the jobs that were chosen.
async fn cancel_many(viewer: Viewer, form: Fields) -> Result<Response, Failure> {
    let reason = super::source::needed(form.get("reason"))?;
    act_on(&viewer, "cancel", &chosen(&form)?, reason).await?;
    Ok(back_to(form.inside("back", "/jobs")))
}

fn chosen(form: &Fields) -> Result<Vec<i64>, Problem> {
    let number = |id: &str| {
        id.parse()
            .map_err(|_| Problem::new(Code::InvalidRequest, "job must be the number of a job"))
    };
    form.all("job").take(MANY).map(number).collect()
}

/// The first jobs that match the filters of a form.
async fn matching(viewer: &Viewer, form: &Fields) -> Result<Vec<i64>, Problem> {
    let mut asked: Vec<_> = form
        .values(FILTERS)
        .into_iter()
        .filter(|(name, _)| *name != "age")
        .collect();
    asked.push(("limit", "1000"));
    let found: List<Job> = viewer.list("/v1/jobs", &asked).await?;
    Ok(found
        .items
        .iter()
        .filter(|job| may_retry(job))
        .map(|job| job.id.0)
        .collect())
}

/// Performs an act on each; a refusal does not stop the others, and the first refusal is shown.
async fn act_on(viewer: &Viewer, act: &str, jobs: &[i64], reason: &str) -> Result<(), Problem> {
    if jobs.is_empty() {
        return Err(Problem::new(Code::InvalidRequest, "select at least one job"));
    }
    let (mut refused, mut first) = (0, None);
    for id in jobs {
        let path = format!("/v1/jobs/{id}/{act}");
        if let Err(problem) = viewer.act(Method::POST, &path, Act::because(reason)).await {
            refused += 1;
            first = first.or(Some((id, problem)));
        }
    }
    let Some((id, mut problem)) = first else { return Ok(()) };
    problem.detail = format!(
        "{refused} of {} jobs were refused; the others are done. Job {id}: {}",
        jobs.len(),
        problem.detail
    );
    Err(problem)
}
