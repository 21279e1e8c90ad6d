//! `/`: what needs a person, then every source, then the fleet in a few numbers.

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use tideline_core::words::{Role, SourceState, Timestamp, grouped};

use super::format::{ago, count, encoded, sentence};
use super::parts::{act, command, last_cycle, live, live_state, phase, progress, source_path};
use super::shell::{Page, page};
use super::viewer::{Failure, Viewer};
use super::{Dashboard, chart, history};
use crate::api::Problem;
use crate::api::types::{Cycle, Figures, Job, Page as List, SourceStatus, Status, Subscription};

/// Cycles in a card.
const BARS: usize = 30;

/// Parked jobs that are named.
const NAMED: &str = "5";

/// Sources with a chart; the rest are cards without one.
const CHARTS: usize = 60;

pub(super) fn router() -> Router<Dashboard> {
    Router::new().route("/", get(show))
}

/// Everything the page says.
struct Overview {
    status: Status,
    parked: Vec<Job>,
    subscriptions: Vec<Subscription>,
    cycles: Vec<Vec<Cycle>>,
    history: Vec<Figures>,
}

impl Overview {
    async fn read(viewer: &Viewer) -> Result<Self, Problem> {
        let status: Status = viewer.get("/v1/status").await?;
        let parked = if status.jobs.parked > 0 {
            let list: List<Job> = viewer
                .list("/v1/jobs", &[("state", "parked"), ("limit", NAMED)])
                .await?;
            list.items
        } else {
            Vec::new()
        };
        let subscriptions = if viewer.sees_all() {
            viewer.get::<List<Subscription>>("/v1/subscriptions").await?.items
        } else {
            Vec::new()
        };
        let mut cycles = Vec::new();
        for source in status.sources.iter().take(CHARTS) {
            let path = format!("/v1{}/cycles?limit={BARS}", source_path(&source.source.name));
            cycles.push(viewer.get::<List<Cycle>>(&path).await?.items);
        }
        Ok(Self {
            status,
            parked,
            subscriptions,
            cycles,
            history: history::read(viewer).await?,
        })
    }
}

async fn show(viewer: Viewer) -> Result<Page, Failure> {
    let overview = Overview::read(&viewer).await?;
    let status = &overview.status;
    let content = html! {
        header.page {
            h1 { "Overview" }
            (live_state())
        }
        (live("needs", needs(&viewer, &overview)))
        (live("fleet", fleet(&viewer, status)))
        (live("sources", sources(&viewer, &overview)))
        (live("history", history::charts(&overview.history, viewer.now)))
        (command("tideline status"))
    };
    Ok(page(&viewer, "/", "Overview", content))
}

/// One thing that waits for a person.
struct Need {
    bad: bool,
    what: Markup,
    why: Markup,
    path: String,
    go: &'static str,
}

fn needs(viewer: &Viewer, overview: &Overview) -> Markup {
    let needs = list_needs(viewer, overview);
    let status = &overview.status;
    let entities: u64 = status.sources.iter().map(|source| source.source.entities).sum();
    html! {
        section aria-labelledby="needs-title" {
            @if needs.is_empty() {
                h2.unseen #needs-title { "Needs you" }
                p.calm {
                    "Nothing needs you. " (count(entities, "entity", "entities")) " of "
                    (count(status.sources.len() as u64, "source", "sources")) " are in the catalog."
                }
            } @else {
                h2 #needs-title { "Needs you" }
                ul.needs {
                    @for need in needs {
                        li.bad[need.bad] {
                            span.what { (need.what) }
                            span.why { (need.why) }
                            a.go.button href=(need.path) { (need.go) }
                        }
                    }
                }
            }
        }
    }
}

fn list_needs(viewer: &Viewer, overview: &Overview) -> Vec<Need> {
    let mut needs: Vec<Need> = (overview.status.sources.iter())
        .filter_map(|source| source_need(source, viewer.now))
        .collect();
    if !overview.parked.is_empty() {
        let parked = overview.status.jobs.parked;
        needs.push(Need {
            bad: true,
            what: html! { (count(parked, "job is", "jobs are")) " parked: a person has to decide" },
            why: html! {
                @for job in overview.parked.iter().take(2) {
                    (job.kind) " " (job.key) ": " (short(job.last_error.as_deref().unwrap_or("no error was kept"))) " "
                }
            },
            path: "/jobs?state=parked".to_owned(),
            go: "Look at them",
        });
    }
    for subscription in &overview.subscriptions {
        let blocked = subscription.blocked_reason.as_deref();
        if subscription.dead_letters == 0 && blocked.is_none() {
            continue;
        }
        let letters = count(subscription.dead_letters, "event was", "events were");
        needs.push(Need {
            bad: true,
            what: html! {
                @match blocked {
                    Some(_) => { "Subscription " (subscription.name) " is switched off" }
                    None => { (letters) " given up for subscription " (subscription.name) }
                }
            },
            why: html! { (short(blocked.or(subscription.last_error.as_deref()).unwrap_or("Each was tried as often as allowed."))) },
            path: format!("/subscriptions/{}", encoded(&subscription.name)),
            go: "Look at it",
        });
    }
    let status = &overview.status;
    if status.workers.is_empty() && status.jobs.due > 0 {
        needs.push(Need {
            bad: true,
            what: html! { (count(status.jobs.due, "job is", "jobs are")) " due and no worker is alive" },
            why: html! { "Start one with `tideline worker`, or `tideline run` for everything in one process." },
            path: "/operations".to_owned(),
            go: "Workers",
        });
    }
    needs
}

fn source_need(status: &SourceStatus, now: Timestamp) -> Option<Need> {
    let source = &status.source;
    let path = source_path(&source.name);
    if let Some(held) = source.held.as_ref().filter(|held| !held.approved) {
        let percent = held.would_remove * 100 / held.owned.max(1);
        return Some(Need {
            bad: false,
            what: html! {
                (source.name) ": the sweep of cycle " (held.cycle) " would delete "
                (count(held.would_remove, "entity", "entities")) ", " (percent) " % of what it owns"
            },
            why: html! { "Held " (ago(held.held_at.0, now)) ": " (sentence(&held.reason, now)) },
            path: format!("{path}#held"),
            go: "Approve or reject",
        });
    }
    let bad = source.state == SourceState::Blocked;
    (bad || source.state == SourceState::Orphaned).then(|| Need {
        bad,
        what: html! { (source.name) " is " (if bad { "blocked by its configuration" } else { "no longer in the configuration" }) },
        why: sentence(&status.why.sentence, now),
        path,
        go: "Look at it",
    })
}

/// The beginning of an error.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

fn sources(viewer: &Viewer, overview: &Overview) -> Markup {
    html! {
        section aria-labelledby="sources-title" {
            h2 #sources-title { "Sources" }
            @if overview.status.sources.is_empty() {
                p.empty {
                    "No source is configured yet. " code { "tideline init URL" } " writes a first configuration for an API; "
                    code { "tideline demo" } " shows how it looks with data."
                }
            }
            div.cards {
                @for (place, source) in overview.status.sources.iter().enumerate() {
                    (card(viewer, source, overview.cycles.get(place).map_or(&[], Vec::as_slice)))
                }
            }
        }
    }
}

fn card(viewer: &Viewer, status: &SourceStatus, cycles: &[Cycle]) -> Markup {
    let (source, now) = (&status.source, viewer.now);
    let path = source_path(&source.name);
    let newest = status.newest_cycle.as_ref();
    html! {
        article.card.source id={ "source-" (encoded(&source.name)) } {
            header {
                h3 { a href=(path) { (source.name) } }
                span.kind { (source.source_type) }
                (phase(source, newest))
            }
            p.why { (sentence(&status.why.sentence, now)) }
            @if let Some(cycle) = newest.filter(|cycle| cycle.ended_at.is_none()) {
                div { (progress(cycle, now)) }
            } @else if !cycles.is_empty() {
                (chart::cycles(cycles, BARS, 36, false))
            }
            dl.figures {
                div { dt { "Entities" } dd { (grouped(source.entities)) } }
                @if let Some(cycle) = newest {
                    div { dt { "Cycle " (cycle.number) } dd { (last_cycle(cycle, now)) } }
                }
                @if let Some(next) = source.next_cycle_at {
                    div { dt { "Next" } dd { (ago(next.0, now)) } }
                }
            }
            @if viewer.may(Role::Operate) { footer { (commands(source.state, &path, "/")) } }
        }
    }
}

/// What can be done to a source without a question.
pub(super) fn commands(state: SourceState, path: &str, back: &str) -> Markup {
    html! {
        @if state != SourceState::Orphaned {
            (act(&format!("{path}/refresh"), "Refresh", None, back))
            @if state == SourceState::Paused {
                (act(&format!("{path}/resume"), "Resume", Some("main"), back))
            } @else {
                (act(&format!("{path}/pause"), "Pause", None, back))
            }
        }
    }
}

fn fleet(viewer: &Viewer, status: &Status) -> Markup {
    let now = viewer.now;
    html! {
        section aria-labelledby="fleet-title" {
            h2 #fleet-title { "Fleet" }
            dl.figures.strip {
                div { dt { "Jobs due" } dd { (grouped(status.jobs.due)) } }
                @if let Some(oldest) = status.jobs.oldest_due_at {
                    div { dt { "Oldest due" } dd { (ago(oldest.0, now)) } }
                }
                div { dt { "Running" } dd { (grouped(status.jobs.running)) } }
                div { dt { "Parked" } dd { (grouped(status.jobs.parked)) } }
                div { dt { "Workers" } dd { (grouped(status.workers.len() as u64)) } }
                div { dt { "Last change" } dd { "#" (grouped(u64::try_from(status.last_sequence).unwrap_or(0))) } }
                div { dt { "Queue" } dd { (status.queue) } }
            }
        }
    }
}
