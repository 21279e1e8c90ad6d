//! `/sources/NAME`: one source, and all acts on it.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use tideline_core::words::{Role, SourceState, grouped};

use super::configuration::Keys;
use super::filters::quoted;
use super::format::{ago, bytes, count, encoded, length};
use super::held;
use super::parts::{
    Question, act, command, cycle_reason, cycle_state, last_cycle, legend, live, live_state, phase, progress,
    source_path,
};
use super::shell::{Page, page};
use super::viewer::{Act, Failure, Fields, Query, Viewer, back_to};
use super::{Dashboard, chart, checks, drift, timeline};
use crate::api::types::{
    Approval, AuditEntry, Checks, Configuration, Cycle, Drift, Job, Malformed, Page as List, Reset, SourceStatus,
    Unseen,
};
use crate::api::{Code, Problem};

/// Cycles in the chart.
const BARS: usize = 100;

/// Cycles in the table.
const ROWS: usize = 20;

/// Number of cycles in the full table.
const ALL: usize = 1_000;

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/sources/{name}", get(show))
        .route("/sources/{name}/{act}", post(perform))
}

struct Source {
    status: SourceStatus,
    cycles: Vec<Cycle>,
    open: Vec<Job>,
    parked: Vec<Job>,
    malformed: Vec<Malformed>,
    drifts: Vec<Drift>,
    checks: Checks,
    unseen: Option<Vec<Unseen>>,
    acts: Vec<AuditEntry>,
    events: timeline::Events,
    keys: Option<Keys>,
}

impl Source {
    async fn read(viewer: &Viewer, name: &str, cycles: usize) -> Result<Self, Problem> {
        let base = format!("/v1{}", source_path(name));
        let status: SourceStatus = viewer.get(&format!("{base}/why")).await?;
        let cycles: List<Cycle> = viewer.get(&format!("{base}/cycles?limit={cycles}")).await?;
        let malformed: List<Malformed> = viewer.get(&format!("{base}/malformed?limit=20")).await?;
        let drifts: List<Drift> = viewer.get(&format!("{base}/drift?limit=5")).await?;
        let checks: Checks = viewer.get(&format!("{base}/checks?limit=20")).await?;
        let jobs = async |state: &str| {
            let query = [("source", name), ("state", state), ("limit", "20")];
            viewer.list::<List<Job>>("/v1/jobs", &query).await
        };
        let unseen = match status.source.held {
            Some(_) => optional(viewer.get::<List<Unseen>>(&format!("{base}/unseen?limit=1000")).await)?,
            None => None,
        };
        let (acts, configuration) = if viewer.may(Role::Operate) {
            let acts: List<AuditEntry> = viewer.list("/v1/audit", &[("source", name), ("limit", "30")]).await?;
            let configuration = if viewer.sees_all() {
                optional(viewer.get::<Configuration>("/v1/configuration").await)?
            } else {
                None
            };
            (acts.items, configuration)
        } else {
            (Vec::new(), None)
        };
        let all = configuration.iter().flat_map(|all| &all.sources);
        let topics = all
            .filter(|source| source.name == name)
            .flat_map(|source| &source.topics);
        let topics: Vec<String> = topics.cloned().collect();
        Ok(Self {
            events: timeline::read(viewer, name, &topics).await?,
            open: jobs("running").await?.items,
            parked: jobs("parked").await?.items,
            unseen: unseen.map(|list| list.items),
            status,
            cycles: cycles.items,
            malformed: malformed.items,
            drifts: drifts.items,
            checks,
            acts,
            keys: configuration.and_then(|all| Keys::of_source(&all, name)),
        })
    }
}

impl Source {
    /// Whether the configuration of this process says when it is checked.
    fn is_checked(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.gives("check"))
    }

    fn happened(&self) -> timeline::Happened<'_> {
        timeline::Happened {
            cycles: &self.cycles,
            checks: &self.checks.items,
            acts: &self.acts,
            events: &self.events,
        }
    }
}

/// Parts that this process may lack.
pub(super) fn optional<T>(found: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(problem) if problem.code == Code::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

async fn show(viewer: Viewer, Path(name): Path<String>, Query(query): Query) -> Result<Page, Failure> {
    let rows = if query.get("cycles") == "all" { ALL } else { ROWS };
    let source = Source::read(&viewer, &name, rows.max(BARS)).await?;
    let path = source_path(&name);
    let content = html! {
        header.page {
            h1 { a.crumb href="/" { "Sources / " } (name) }
            p { (source.status.source.source_type) }
            (live_state())
        }
        (live("now", now(&viewer, &source)))
        @if viewer.may(Role::Operate) { (live("commands", commands(&source, &path))) }
        (live("cycles", cycles(&viewer, &source, rows)))
        div.columns {
            (live("partitions", partitions(&viewer, &source)))
            (live("malformed", malformed(&viewer, &source)))
            (live("drift", drift::section(&viewer, &source.drifts)))
            (live("checks", checks::section(&viewer, &source.checks, source.is_checked())))
            (live("timeline", timeline::section(&viewer, &name, &source.happened())))
            @if let Some(keys) = &source.keys { (keys.section("Configuration")) }
        }
        (command(&format!("tideline sources show {}", quoted(&name))))
    };
    Ok(page(&viewer, "/", &name, content))
}

fn now(viewer: &Viewer, source: &Source) -> Markup {
    let (status, now) = (&source.status, viewer.now);
    let newest = status.newest_cycle.as_ref();
    let (badge, why) = phase(status, &source.cycles, now);
    html! {
        section {
            p { (badge) " " (why) }
            @if let Some(cycle) = newest.filter(|cycle| cycle.ended_at.is_none()) { (progress(cycle, now)) }
            dl.figures.strip {
                div { dt { "Entities" } dd { a href={ "/catalog?source=" (encoded(&status.source.name)) } { (grouped(status.source.entities)) } } }
                @if let Some(cycle) = newest {
                    div { dt { "Cycle " (cycle.number) } dd { (last_cycle(cycle, now)) } }
                }
                @if let Some(next) = status.source.next_cycle_at { div { dt { "Next cycle" } dd { (ago(next.0, now)) } } }
                @if let Some(hold) = status.source.hold_until.filter(|hold| hold.0 > now) {
                    div { dt { "Rate limited until" } dd { (ago(hold.0, now)) } }
                }
            }
        }
        @if let Some(held) = &status.source.held {
            (held::section(viewer, &status.source.name, held, source.unseen.as_deref()))
        }
    }
}

fn commands(source: &Source, path: &str) -> Markup {
    let status = &source.status;
    let (state, entities) = (status.source.state, status.source.entities);
    let running = (status.newest_cycle.as_ref()).is_some_and(|cycle| cycle.ended_at.is_none());
    let orphaned = state == SourceState::Orphaned;
    html! {
        section aria-label="Commands" {
            div.actions {
                (super::overview::commands(state, path, path))
                @if !orphaned { a.button href={ (path) "/plan" } { "Plan" } }
                @if running { (act(&format!("{path}/cancel"), "Cancel the cycle", None, path)) }
                @if !orphaned {
                    (Question {
                        path: &format!("{path}/reset"),
                        label: "Reset",
                        text: html! {
                            p { "The next cycle reads everything again: cursors, validators and remembered pages are \
                            discarded. No entity is deleted." }
                        },
                        yes: "Reset",
                        danger: false,
                        reason: false,
                        fields: &[],
                    })
                }
                (Question {
                    path: &format!("{path}/delete"),
                    label: "Delete all entities",
                    text: html! {
                        p { strong { (count(entities, "entity goes", "entities go")) } ", with a removal in the change feed for each. "
                            @if orphaned { "The source is removed with the last one." } @else { "The next cycle adds \
                            again whatever the source has then." } }
                    },
                    yes: &format!("Delete {}", count(entities, "entity", "entities")),
                    danger: true,
                    reason: true,
                    fields: &[],
                })
            }
        }
    }
}

fn cycles(viewer: &Viewer, source: &Source, rows: usize) -> Markup {
    let (newest, path) = (
        source.cycles.get(..BARS).unwrap_or(&source.cycles),
        source_path(&source.status.source.name),
    );
    html! {
        section aria-labelledby="cycles-title" {
            h2 #cycles-title { "Cycles" }
            @if source.cycles.is_empty() {
                p.empty { "No cycle has run yet. It starts as soon as a scheduler and a worker are up, or with Refresh." }
            } @else {
                (chart::cycles(newest, newest.len().clamp(30, BARS), 84, true))
                (legend(newest))
                div.scroll tabindex="0" {
                    table {
                        thead { tr {
                            th.number { "Cycle" } th { "State" } th.wide { "Trigger" } th { "Started" } th.number.wide { "Took" }
                            th.number { "Added" } th.number { "Modified" } th.number { "Removed" } th.number.wide { "Pages" }
                            th.number.wide { "Malformed" }
                        } }
                        tbody { @for (place, cycle) in source.cycles.iter().take(rows).enumerate() {
                            (cycle_row(viewer, cycle, place.checked_sub(1).and_then(|newer| source.cycles.get(newer))))
                        } }
                    }
                }
                @if source.cycles.len() > rows && rows < ALL { p.pager { a href={ (path) "?cycles=all#cycles-title" } { "All retained cycles" } } }
            }
        }
    }
}

/// `newer`: the row above, whose reason need not be said again.
fn cycle_row(viewer: &Viewer, cycle: &Cycle, newer: Option<&Cycle>) -> Markup {
    let totals = cycle.totals;
    let same = newer.is_some_and(|newer| cycle.failed() && newer.failed() && newer.reason == cycle.reason);
    let took = cycle.ended_at.map(|ended| length(ended.0.since(cycle.started_at.0)));
    html! {
        tr id={ "cycle-" (cycle.number) } {
            td.number { (cycle.number) }
            td { (cycle_state(cycle)) @if same { p.soft { "with the same error" } } @else { (cycle_reason(cycle, viewer.now)) } }
            td.wide { (cycle.trigger.as_str()) }
            td { (ago(cycle.started_at.0, viewer.now)) }
            td.number.wide { @if let Some(took) = took { (took) } }
            td.number { (grouped(totals.added)) }
            td.number { (grouped(totals.modified)) }
            td.number { (grouped(totals.removed)) }
            td.number.wide title={ (grouped(totals.pages_unchanged)) " as remembered" } { (grouped(totals.pages)) }
            td.number.wide { (grouped(totals.malformed)) }
        }
    }
}

fn partitions(viewer: &Viewer, source: &Source) -> Markup {
    html! {
        @if !source.parked.is_empty() || !source.open.is_empty() {
            section aria-labelledby="partitions-title" {
                h2 #partitions-title { "Active partitions" }
                div.scroll tabindex="0" { table {
                    thead { tr { th { "Partition" } th { "State" } th.wide { "Since" } } }
                    tbody {
                        @for job in source.parked.iter().chain(&source.open) {
                            tr id={ "job-" (job.id) } {
                                td.long { a href={ "/jobs/" (job.id) } { (job.key) }
                                    @if let Some(error) = &job.last_error { p.error { (error.lines().next().unwrap_or_default()) } } }
                                td { (super::parts::job_state(job.state)) }
                                td.wide { (ago(job.updated_at.0, viewer.now)) }
                            }
                        }
                    }
                } }
                p.pager { a href={ "/jobs?source=" (encoded(&source.status.source.name)) } { "All partitions" } }
            }
        }
    }
}

fn malformed(viewer: &Viewer, source: &Source) -> Markup {
    html! {
        @if !source.malformed.is_empty() {
            section aria-labelledby="malformed-title" {
                h2 #malformed-title { "Items that could not become entities" }
                div.scroll tabindex="0" { table {
                    thead { tr { th { "Item" } th { "Problem" } th.wide { "Where" } th { "Seen" } } }
                    tbody {
                        @for item in &source.malformed {
                            tr {
                                td { @if let Some(reference) = &item.reference { (reference) } @else { span.soft { "no name" } }
                                    details { summary.soft { "sample, " (bytes(item.sample.len() as u64)) } pre { (item.sample) } } }
                                td { span.error { (item.error) } }
                                td.wide { (item.partition) ", page " (item.page) ", cycle " (item.cycle) }
                                td { (ago(item.seen_at.0, viewer.now)) }
                            }
                        }
                    }
                } }
                p.soft { "They are exempt from the sweep: fix them at the source, or fix the expression that reads \
                them." }
            }
        }
    }
}

async fn perform(viewer: Viewer, Path((name, act)): Path<(String, String)>, form: Fields) -> Result<Response, Failure> {
    let path = source_path(&name);
    let reason = form.get("reason");
    let (route, act) = match act.as_str() {
        "refresh" | "pause" | "resume" | "cancel" | "reject" => (act.as_str(), Act::because(reason)),
        "reset" => ("reset", Act::with(&Reset { delete: false }, reason)),
        "delete" => ("reset", Act::with(&Reset { delete: true }, needed(reason)?)),
        "approve" => ("approve", Act::with(&approval(&form)?, needed(reason)?)),
        other => return Err(Problem::new(Code::NotFound, format!("{other} is not a command for a source")).into()),
    };
    viewer.act(Method::POST, &format!("/v1{path}/{route}"), act).await?;
    let back = if form.get("back") == "/" { "/" } else { path.as_str() };
    Ok(back_to(back))
}

/// The reason of an act that deletes.
pub(super) fn needed(reason: &str) -> Result<&str, Problem> {
    if reason.is_empty() {
        return Err(Problem::new(Code::InvalidRequest, "an act that deletes needs a reason"));
    }
    Ok(reason)
}

fn approval(form: &Fields) -> Result<Approval, Problem> {
    let json = format!(
        "{{\"cycle\":{},\"would_remove\":{}}}",
        number(form, "cycle")?,
        number(form, "would_remove")?
    );
    super::viewer::read(json.as_bytes())
}

fn number(form: &Fields, name: &str) -> Result<u64, Problem> {
    (form.get(name).parse()).map_err(|_| Problem::new(Code::InvalidRequest, format!("{name} must be a number")))
}
