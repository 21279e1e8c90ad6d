//! A sweep that waits for approval: what would be deleted, by kind and with samples, and the question.

use std::collections::BTreeMap;

use maud::{Markup, html};
use tideline_core::words::{Role, Timestamp};

use super::format::{ago, count, encoded, sentence};
use super::parts::{Question, source_path};
use super::viewer::Viewer;
use crate::api::types::{Held, Unseen};

/// Names shown of a kind.
const SAMPLES: usize = 8;

/// The whole section of a source's page.
pub(super) fn section(viewer: &Viewer, source: &str, held: &Held, unseen: Option<&[Unseen]>) -> Markup {
    let percent = held.would_remove * 100 / held.owned.max(1);
    let entities = count(held.would_remove, "entity", "entities");
    html! {
        section #held aria-labelledby="held-title" {
            h2 #held-title { "Held sweep" }
            div.notice.warn {
                p {
                    strong { "Cycle " (held.cycle) " would delete " (entities) } ", " (percent) " % of the "
                    (count(held.owned, "entity", "entities")) " that the source owned. " (held_since(held, viewer.now)) ": "
                    (sentence(&held.reason, viewer.now))
                }
                @if held.approved {
                    p { "It is approved and will be done at the end of the running cycle." }
                } @else if viewer.may(Role::Operate) {
                    (decide(source, held, &entities))
                } @else {
                    p { "Approving or rejecting it needs the role operate." }
                }
            }
            @if let Some(unseen) = unseen { (would_go(source, unseen)) }
        }
    }
}

/// Since when, and since which cycle if others have taken its place.
pub(super) fn held_since(held: &Held, now: Timestamp) -> Markup {
    html! {
        "Held " (ago(held.held_at.0, now))
        @if let Some(first) = held.since_cycle.filter(|first| *first != held.cycle) { ", since cycle " (first) }
    }
}

fn decide(source: &str, held: &Held, entities: &str) -> Markup {
    let path = source_path(source);
    html! {
        div.actions {
            (Question {
                path: &format!("{path}/approve"),
                label: "Approve",
                text: html! { p { "Delete " strong { (entities) } " of " (source) ", as cycle " (held.cycle) " found it?" } },
                yes: &format!("Delete {entities}"),
                danger: true,
                reason: true,
                fields: &[("cycle", held.cycle.to_string()), ("would_remove", held.would_remove.to_string())],
            })
            (Question {
                path: &format!("{path}/reject"),
                label: "Reject",
                text: html! { p { "Keep them all? They stay until the source shows them and then drops them again." } },
                yes: "Keep them",
                danger: false,
                reason: false,
                fields: &[],
            })
        }
    }
}

/// What was not seen, by kind.
fn would_go(source: &str, unseen: &[Unseen]) -> Markup {
    let mut kinds: BTreeMap<&str, Vec<&Unseen>> = BTreeMap::new();
    for entity in unseen.iter().filter(|entity| entity.cycles > 0 && !entity.rejected) {
        let kind = entity.reference.split(':').next().unwrap_or_default();
        kinds.entry(kind).or_default().push(entity);
    }
    html! {
        @if !kinds.is_empty() {
            div.scroll tabindex="0" { table {
                thead { tr { th { "Kind" } th.number { "Would go" } th { "For example" } } }
                tbody {
                    @for (kind, entities) in &kinds {
                        tr {
                            td { (kind) }
                            td.number { (entities.len()) @if unseen.len() >= 1_000 { "+" } }
                            td {
                                @for (place, entity) in entities.iter().take(SAMPLES).enumerate() {
                                    @if place > 0 { ", " }
                                    a href={ "/catalog/entity?source=" (encoded(source)) "&ref=" (encoded(&entity.reference)) } {
                                        (entity.reference.split_once(':').map_or("", |(_, name)| name))
                                    }
                                }
                                @if entities.len() > SAMPLES { " …" }
                            }
                        }
                    }
                }
            } }
        }
    }
}
