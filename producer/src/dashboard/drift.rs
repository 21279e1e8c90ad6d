//! Drift: changes that complete cycles found without an event.

use maud::{Markup, html};
use tideline_core::words::{DriftKind, grouped};

use super::format::ago;
use super::viewer::Viewer;
use crate::api::types::{Drift, Drifted};

/// The section of a source's page; nothing, if nothing was found.
pub(super) fn section(viewer: &Viewer, drifts: &[Drift]) -> Markup {
    html! {
        @if !drifts.is_empty() {
            section aria-labelledby="drift-title" {
                h2 #drift-title { "Drift: changed, but not reported by an event" }
                div.scroll tabindex="0" { table {
                    thead { tr { th.number { "Cycle" } th { "Found" } th.number { "Missing" } th.number { "Extra" } th.number { "Diverged" } } }
                    tbody { @for drift in drifts {
                        tr {
                            td.number { (drift.cycle) }
                            td { (ago(drift.found_at.0, viewer.now)) }
                            td.number { (grouped(drift.missing)) }
                            td.number { (grouped(drift.extra)) }
                            td.number { (grouped(drift.diverged)) }
                        }
                        @if !drift.differences.is_empty() { tr { td colspan="5" { (which(&drift.differences, drift.total())) } } }
                    } }
                } }
            }
        }
    }
}

/// The entities that differ, folded.
pub(super) fn which(differences: &[Drifted], total: u64) -> Markup {
    html! {
        details {
            summary.soft { "which" }
            ul.plain { @for entity in differences { li { (entity.reference) " " span.soft { (word(entity.drift)) } } } }
            @if total > differences.len() as u64 { p.soft { "The first " (differences.len()) " of " (grouped(total)) "." } }
        }
    }
}

fn word(drift: DriftKind) -> &'static str {
    match drift {
        DriftKind::Missing => "missing in the catalog",
        DriftKind::Extra => "gone at the source",
        DriftKind::Diverged => "not the same",
    }
}
