//! `/sources/NAME/plan`: what the next cycle would do, before it does. The page is streamed while the plan is made:
//! first the progress of the reading, then the results. Leaving the page abandons the plan.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use maud::{Markup, PreEscaped, html};
use tideline_core::words::{ChangeKind, Role, grouped};

use super::Dashboard;
use super::catalog::{divided, entity_path};
use super::changes::badge;
use super::difference;
use super::filters::quoted;
use super::format::count;
use super::parts::{act, command, source_path};
use super::shell::{Page, page};
use super::viewer::{Failure, Viewer};
use crate::api::PlanStream;
use crate::api::place::Place;
use crate::api::types::{PlanLine, PlanProgress, PlanStep, PlanSummary, PlannedSweep};

/// Entities of each change that are shown.
const SHOWN: usize = 100;

/// Kinds that are counted one by one.
const KINDS: usize = 50;

/// Placeholder for the plan.
const PLACE: &str = "<!--plan-->";

pub(super) fn router() -> Router<Dashboard> {
    Router::new().route("/sources/{name}/plan", get(ask).post(make))
}

async fn ask(viewer: Viewer, Path(name): Path<String>) -> Result<Page, Failure> {
    viewer.principal.require(Role::Operate)?;
    Ok(around(
        &viewer,
        &name,
        html! {
            section {
                p { "Reads the whole source, compares it with the catalog, and writes nothing: no entity, no mark, no \
                cursor. How long this "
                    "takes depends on the source; leaving the page cancels the plan." }
                div.actions { form method="post" action={ (source_path(&name)) "/plan" } { button.main { "Make a plan" } } }
            }
        },
    ))
}

fn around(viewer: &Viewer, name: &str, content: Markup) -> Page {
    let content = html! {
        header.page {
            h1 { a.crumb href=(source_path(name)) { (name) " / " } "Plan" }
            p { "What the next cycle would do" }
        }
        (content)
        (command(&viewer.with_configuration(&format!("tideline plan {}", quoted(name)))))
    };
    page(viewer, "/", &format!("Plan of {name}"), content)
}

async fn make(viewer: Viewer, Path(name): Path<String>, held: Option<Extension<Place>>) -> Result<Response, Failure> {
    let plan = viewer.plan(&name).await?;
    if let Some(Extension(place)) = held {
        place.give_back();
    }
    let document = around(&viewer, &name, html! { div.plan { (PreEscaped(PLACE)) } }).into_html();
    let (head, tail) = document.split_once(PLACE).unwrap_or((document.as_str(), ""));
    let making = Making {
        plan: Some(plan),
        found: Found::default(),
        source: name,
        head: Some(head.to_owned()),
        tail: tail.to_owned(),
        may_act: viewer.may(Role::Operate),
    };
    let parts = stream::unfold(making, Making::next);
    // It is not compressed, since compression would buffer content that must appear at once.
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_ENCODING, "identity"),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

/// A page being streamed.
struct Making {
    plan: Option<PlanStream>,
    found: Found,
    source: String,
    head: Option<String>,
    tail: String,
    may_act: bool,
}

impl Making {
    async fn next(mut self) -> Option<(Result<Bytes, std::convert::Infallible>, Self)> {
        if let Some(head) = self.head.take() {
            return Some((Ok(Bytes::from(head)), self));
        }
        loop {
            let line = self.plan.as_mut()?.next().await;
            let last = match line {
                Some(PlanLine::Step(step)) => {
                    self.found.add(step);
                    continue;
                }
                Some(PlanLine::Progress { progress }) => {
                    let part = reading(&progress).into_string();
                    return Some((Ok(Bytes::from(part)), self));
                }
                Some(PlanLine::Summary { summary }) => self.found.shown(&self.source, &summary, self.may_act),
                Some(PlanLine::Problem { problem }) => html! {
                    div.result { p.notice.bad role="alert" { strong { (problem.title) } " " (problem.detail) } }
                },
                None => html! {
                    div.result { p.notice.bad role="alert" { "The plan was interrupted because this process is \
                    stopping. Make it again." } }
                },
            };
            self.plan = None;
            let end = last.into_string() + &self.tail;
            return Some((Ok(Bytes::from(end)), self));
        }
    }
}

fn reading(progress: &PlanProgress) -> Markup {
    html! {
        p.reading {
            "Read " (count(progress.entities, "entity", "entities")) " on " (count(progress.pages, "page", "pages"))
            @if let Some(waiting) = &progress.waiting { "; " (waiting) }
        }
    }
}

/// The results so far: counts of everything, and the first entities of each change.
#[derive(Default)]
struct Found {
    kinds: BTreeMap<String, [u64; 3]>,
    steps: [Vec<PlanStep>; 3],
}

/// The place of a change in what was found.
fn place(change: ChangeKind) -> usize {
    match change {
        ChangeKind::Added => 0,
        ChangeKind::Modified => 1,
        ChangeKind::Removed => 2,
    }
}

impl Found {
    fn add(&mut self, step: PlanStep) {
        let at = place(step.change);
        let (kind, ..) = divided(step.reference.as_str());
        let known = self.kinds.len() < KINDS || self.kinds.contains_key(kind);
        let kind = if known { kind } else { "others" };
        if let Some(count) = self.kinds.entry(kind.to_owned()).or_default().get_mut(at) {
            *count += 1;
        }
        if let Some(steps) = self.steps.get_mut(at).filter(|steps| steps.len() < SHOWN) {
            steps.push(step);
        }
    }

    fn shown(&self, source: &str, summary: &PlanSummary, may_act: bool) -> Markup {
        html! {
            div.result {
                (totals(source, summary, may_act))
                @if !self.kinds.is_empty() { (self.by_kind()) }
                @for (name, change, total) in [
                    ("Would be removed", ChangeKind::Removed, summary.removed),
                    ("Would be modified", ChangeKind::Modified, summary.modified),
                    ("Would be added", ChangeKind::Added, summary.added),
                ] {
                    @if total > 0 { (self.list(source, name, change, total)) }
                }
            }
        }
    }

    fn by_kind(&self) -> Markup {
        html! {
            section aria-labelledby="kinds-title" {
                h2 #kinds-title { "By kind" }
                div.scroll tabindex="0" { table {
                    thead { tr { th { "Kind" } th.number { "Added" } th.number { "Modified" } th.number { "Removed" } } }
                    tbody { @for (kind, counts) in &self.kinds {
                        tr { td { (kind) } @for count in counts { td.number { (grouped(*count)) } } }
                    } }
                } }
            }
        }
    }

    fn list(&self, source: &str, name: &str, change: ChangeKind, total: u64) -> Markup {
        let steps = self.steps.get(place(change)).map_or(&[][..], Vec::as_slice);
        html! {
            section aria-label=(name) {
                h2 { (name) ", " (grouped(total)) }
                ol.history {
                    @for step in steps { li {
                        @let (kind, namespace, entity) = divided(step.reference.as_str());
                        p {
                            (badge(step.change)) " "
                            @if step.change == ChangeKind::Added { (entity) }
                            @else { a href=(entity_path(source, step.reference.as_str())) { (entity) } }
                            " " span.soft { (kind) " in " (namespace) }
                        }
                        @if !step.differences.is_empty() {
                            (difference::list(&step.differences))
                        }
                    } }
                }
                @if total > steps.len() as u64 { p.soft { "The first " (steps.len()) " are shown." } }
            }
        }
    }
}

fn totals(source: &str, summary: &PlanSummary, may_act: bool) -> Markup {
    let path = source_path(source);
    html! {
        section {
            @if !summary.has_changes() && summary.is_complete() {
                p.calm { "Nothing would change: the catalog has the " (count(summary.entities, "entity", "entities")) " of the source as they are." }
            }
            dl.figures.strip {
                div { dt { "Would be added" } dd { (grouped(summary.added)) } }
                div { dt { "Modified" } dd { (grouped(summary.modified)) } }
                div { dt { "Removed" } dd { (grouped(summary.removed)) } }
                div { dt { "Unchanged" } dd { (grouped(summary.unchanged)) } }
                div { dt { "Malformed" } dd { (grouped(summary.malformed)) } }
                div { dt { "Pages read" } dd { (grouped(summary.pages)) } }
            }
            (guard(summary))
            @if may_act {
                div.actions {
                    (act(&format!("{path}/refresh"), "Start the cycle", Some("main"), &path))
                    form method="post" action={ (path) "/plan" } { button { "Plan again" } }
                }
            }
        }
    }
}

/// The removal guard's decision.
fn guard(summary: &PlanSummary) -> Markup {
    let removed = count(summary.removed, "removal", "removals");
    html! {
        @match &summary.sweep {
            PlannedSweep::Nothing => {}
            PlannedSweep::Sweep => { p.notice { "No guard holds the " (removed) ": they take effect at the end of the \
            cycle." } }
            PlannedSweep::Confirm { cycles, .. } => { p.notice { "The " (removed) " are done after " (cycles) " complete cycles in a row without these entities." } }
            PlannedSweep::Keep => { p.notice { "The " (removed) " would not be done, but reported (drift: report)." } }
            PlannedSweep::Hold { reason } => { p.notice.warn { strong { "A guard would hold the " (removed) " for \
            approval: " } (reason) } }
            PlannedSweep::Incomplete { reason } => { p.notice.warn { strong { "The source could not be read \
            completely: " } (reason) ". Nothing that the unread part may own would be removed." } }
        }
    }
}
