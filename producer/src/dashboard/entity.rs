//! One entity: its origin, its changes, its state in targets, and its body.

use maud::{Markup, html};
use tideline_core::words::{ChangeKind, Sequence, grouped};

use super::changes;
use super::difference;
use super::format::{ago, bytes, clock, count, encoded};
use super::json::tree;
use super::parts::source_path;
use super::viewer::Viewer;
use crate::api::Problem;
use crate::api::newest_changes::list_id;
use crate::api::types::{
    Change, Cycle, Entity, EntityOfTarget, ObjectOfTarget, Origin, Page as List, Revision, Target,
};

/// Number of cycles that are searched for the one that wrote the entity.
const CYCLES: &str = "200";

/// Maximum number of targets queried about an entity.
const TARGETS: usize = 10;

/// An entity's context.
pub(super) struct Context {
    origin: Origin,
    cycle: Option<Cycle>,
    targets: Vec<Kept>,
    revisions: Vec<Revision>,
    /// It has not changed since it was added.
    is_new: bool,
}

/// The state of the entity in a target.
struct Kept {
    target: String,
    entity: EntityOfTarget,
    objects: Vec<ObjectOfTarget>,
}

/// Reads an entity's context.
pub(super) async fn read(viewer: &Viewer, entity: &Entity) -> Result<Context, Problem> {
    let asked = [("source", entity.source.as_str()), ("ref", entity.reference.as_str())];
    let origin: Origin = viewer.list("/v1/origin", &asked).await?;
    let path = format!("/v1{}/cycles?limit={CYCLES}", source_path(&entity.source));
    let cycles: List<Cycle> = viewer.get(&path).await?;
    let wrote = |cycle: &Cycle| {
        cycle.started_at <= entity.changed_at && cycle.ended_at.is_none_or(|ended| ended >= entity.changed_at)
    };
    let revisions: List<Revision> = viewer.list("/v1/revisions", &asked).await?;
    Ok(Context {
        revisions: revisions.items,
        is_new: is_new(viewer, entity).await?,
        origin,
        cycle: cycles.items.into_iter().find(wrote),
        targets: if viewer.sees_all() {
            kept(viewer, &entity.reference).await?
        } else {
            Vec::new()
        },
    })
}

/// Whether its newest change is that it was added.
async fn is_new(viewer: &Viewer, entity: &Entity) -> Result<bool, Problem> {
    let list = list_id(Some(&entity.source), None, None);
    let from = list.token_of(&Sequence(entity.sequence.saturating_add(1)));
    let asked = [
        ("source", entity.source.as_str()),
        ("limit", "1"),
        ("page_token", &from),
    ];
    let newest: List<Change> = viewer.list("/v1/changes/newest", &asked).await?;
    let is_own = |change: &&Change| change.sequence == entity.sequence && change.change == ChangeKind::Added;
    Ok(newest.items.first().filter(is_own).is_some())
}

async fn kept(viewer: &Viewer, reference: &str) -> Result<Vec<Kept>, Problem> {
    let targets: List<Target> = viewer.get("/v1/targets").await?;
    let mut kept = Vec::new();
    for target in targets.items.into_iter().take(TARGETS) {
        let base = format!("/v1/targets/{}", encoded(&target.name));
        let asked = [("ref", reference)];
        let known: List<EntityOfTarget> = viewer.list(&format!("{base}/entities"), &asked).await?;
        let Some(entity) = known.items.into_iter().next() else {
            continue;
        };
        let objects: List<ObjectOfTarget> = viewer.list(&format!("{base}/objects"), &asked).await?;
        kept.push(Kept {
            target: target.name,
            entity,
            objects: objects.items,
        });
    }
    Ok(kept)
}

/// The section of one source's entity.
pub(super) fn section(viewer: &Viewer, entity: &Entity, context: &Context) -> Markup {
    html! {
        div.columns aria-label={ "As source " (entity.source) " has it" } {
            div {
                (facts(viewer, entity, context))
                @if !context.is_new { (history(viewer, &context.revisions)) }
                @for kept in &context.targets { (in_target(viewer, kept)) }
            }
            section aria-label="Body" { h2 { "Body" } (tree(&entity.body)) }
        }
    }
}

fn facts(viewer: &Viewer, entity: &Entity, context: &Context) -> Markup {
    let now = viewer.now;
    html! {
        section aria-label="Facts" {
            h2 { "Facts" }
            dl.facts.card {
                dt { "Reference" } dd { code { (entity.reference) } }
                dt { "Source" } dd { a href=(source_path(&entity.source)) { (entity.source) } }
                dt { @if context.is_new { "Added" } @else { "Changed" } } dd { (ago(entity.changed_at.0, now)) ", change "
                    a href=(changes::path_of(entity.sequence)) { "#" (grouped(u64::try_from(entity.sequence).unwrap_or(0))) } }
                dt { "Written by" } dd { (writer(viewer, entity, context)) }
                @for page in &context.origin.pages {
                    dt { "Read from" } dd {
                        a href={ "/jobs/" (page.job) } { (page.partition) } ", page " (page.page + 1)
                        ", last in cycle " (page.cycle)
                        @if let Some(at) = page.read_at { " " (ago(at.0, now)) }
                    }
                }
                dt { "Fingerprint" } dd { code { (entity.fingerprint) } }
                dt { "Size" } dd { (bytes(entity.body.get().len() as u64)) }
            }
        }
    }
}

/// Which reading wrote the newest state.
fn writer(viewer: &Viewer, entity: &Entity, context: &Context) -> Markup {
    html! {
        @match (&context.origin.event_read_at, &context.cycle) {
            (Some(at), _) => { "a reading at " (clock(at.0, viewer.now)) " that an event asked for, or a push" }
            (None, Some(cycle)) => { a href={ (source_path(&entity.source)) "#cycle-" (cycle.number) } { "cycle " (cycle.number) } " (" (cycle.trigger.as_str()) ")" }
            (None, None) => { "a reading between cycles, or a cycle that is no longer kept" }
        }
    }
}

/// What changed, newest first.
fn history(viewer: &Viewer, revisions: &[Revision]) -> Markup {
    html! {
        section aria-label="History" {
            h2 { "History" }
            @if revisions.iter().all(|revision| revision.differences.is_none()) {
                p.empty { "Not modified within the last seven days." }
            } @else {
                ol.history { @for revision in revisions {
                    @match &revision.differences {
                        Some(differences) => {
                            li {
                                p { (ago(revision.changed_at.0, viewer.now)) " " span.soft { "change #" (revision.sequence) ", " (count(differences.len() as u64, "difference", "differences")) } }
                                (difference::list(differences))
                            }
                        }
                        None => { li { p.soft { (ago(revision.changed_at.0, viewer.now)) " and what came before is not kept" } } }
                    }
                } }
            }
        }
    }
}

fn in_target(viewer: &Viewer, kept: &Kept) -> Markup {
    html! {
        section aria-label={ "In target " (kept.target) } {
            h2 { "In target " (kept.target) }
            dl.facts.card {
                dt { "State" } dd {
                    @match &kept.entity.error {
                        Some(error) => { span.badge.bad { "failing" } p.error { (error) } }
                        None => { span.badge.plain { "in step" } }
                    }
                }
                @if let Some(at) = kept.entity.synced_at { dt { "In step" } dd { (ago(at.0, viewer.now)) } }
                @for object in &kept.objects {
                    dt { "Object" } dd {
                        a href={ "/targets/" (encoded(&kept.target)) } { (object.object) }
                        @if let Some(id) = &object.remote_id { " " code.soft { (id) } }
                        @if let Some(error) = &object.error { p.error { (error) } }
                    }
                }
            }
        }
    }
}
