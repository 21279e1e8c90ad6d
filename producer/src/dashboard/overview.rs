//! `/`: what needs a person's attention, then every source, then the fleet in a few numbers.

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use tideline_core::words::{Role, SourceState, grouped};

use super::format::{ago, encoded};
use super::parts::{act, command, last_cycle, live, live_state, phase, progress, source_path};
use super::shell::{Page, page};
use super::viewer::{Failure, Viewer};
use super::{Dashboard, chart, checks, history, needs};
use crate::api::Problem;
use crate::api::types::{Cycle, Figures, Hook, Job, Page as List, SourceStatus, Status, Subscription, Target};

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
pub(super) struct Overview {
    pub(super) status: Status,
    pub(super) parked: Vec<Job>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) hooks: Vec<Hook>,
    pub(super) targets: Vec<Target>,
    pub(super) history: Vec<Figures>,
    cycles: Vec<Vec<Cycle>>,
}

impl Overview {
    /// Sources with their newest cycles, newest first.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&SourceStatus, &[Cycle])> {
        let cycles = self.cycles.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
        self.status.sources.iter().zip(cycles)
    }
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
        let (subscriptions, hooks, targets) = if viewer.sees_all() {
            (
                viewer.get::<List<Subscription>>("/v1/subscriptions").await?.items,
                viewer.get::<List<Hook>>("/v1/hooks").await?.items,
                viewer.get::<List<Target>>("/v1/targets").await?.items,
            )
        } else {
            Default::default()
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
            hooks,
            targets,
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
        (live("needs", needs::section(&viewer, &overview)))
        (live("fleet", fleet(&viewer, status)))
        (live("sources", sources(&viewer, &overview)))
        (live("history", history::charts(&overview.history, viewer.now)))
        (command("tideline status"))
    };
    Ok(page(&viewer, "/", "Overview", content))
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
                @for (source, cycles) in overview.sources() { (card(viewer, source, cycles)) }
            }
        }
    }
}

fn card(viewer: &Viewer, status: &SourceStatus, cycles: &[Cycle]) -> Markup {
    let (source, now) = (&status.source, viewer.now);
    let path = source_path(&source.name);
    let newest = status.newest_cycle.as_ref();
    let (badge, why) = phase(status, cycles, now);
    html! {
        article.card.source id={ "source-" (encoded(&source.name)) } {
            header {
                h3 { a href=(path) { (source.name) } }
                span.kind { (source.source_type) }
                (badge)
            }
            p.why { (why) }
            @if let Some(cycle) = newest.filter(|cycle| cycle.ended_at.is_none()) {
                div.course { (progress(cycle, now)) }
            } @else if !cycles.is_empty() {
                div.course { (chart::cycles(cycles, BARS, 36, false)) }
            }
            @if let Some(check) = &status.newest_check { p.checked { (checks::sentence(check, now)) } }
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

/// Acts on a source that need no confirmation.
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
                div { dt { "Oldest due" } dd { @match status.jobs.oldest_due_at { Some(oldest) => { (ago(oldest.0, now)) } None => { "none" } } } }
                div { dt { "Running" } dd { (grouped(status.jobs.running)) } }
                div { dt { "Parked" } dd { (grouped(status.jobs.parked)) } }
                div { dt { "Workers" } dd { (grouped(status.workers.len() as u64)) } }
                div { dt { "Last change" } dd { "#" (grouped(u64::try_from(status.last_sequence).unwrap_or(0))) } }
                div { dt { "Queue" } dd { (status.queue) } }
            }
        }
    }
}
