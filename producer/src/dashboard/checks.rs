//! Checks of a source: readings only to compare it with the catalog, on a schedule of their own (`check`).

use maud::{Markup, html};
use tideline_core::words::{Timestamp, grouped};

use super::drift::which;
use super::format::{ago, count, length};
use super::viewer::Viewer;
use crate::api::types::{Check, Checks};

/// Checks in the table.
const ROWS: usize = 5;

/// The section of a source's page; nothing for a source that is not checked. `planned`: the configuration plans checks.
pub(super) fn section(viewer: &Viewer, checks: &Checks, planned: bool) -> Markup {
    let now = viewer.now;
    html! {
        @if planned || !checks.items.is_empty() {
            section aria-labelledby="checks-title" {
                h2 #checks-title { "Checks against the source" }
                @if let Some(newest) = checks.items.first() { p { (sentence(newest, now)) } }
                @else { p.empty { "Not checked yet: the first check follows the first complete cycle." } }
                @if !checks.items.is_empty() {
                    div.scroll tabindex="0" { table {
                        thead { tr { th { "Began" } th.number.wide { "Took" } th.number { "Missing" } th.number { "Extra" } th.number { "Diverged" } } }
                        tbody { @for check in checks.items.iter().take(ROWS) { (row(check, now)) } }
                    } }
                }
                @if let Some(next) = checks.next_at { p.pager { span { "The next check is due " (ago(next.0, now)) "." } } }
            }
        }
    }
}

fn row(check: &Check, now: Timestamp) -> Markup {
    html! {
        tr {
            td { (ago(check.began_at.0, now)) }
            td.number.wide { (length(check.ended_at.0.since(check.began_at.0))) }
            td.number { (grouped(check.missing)) }
            td.number { (grouped(check.extra)) }
            td.number { (grouped(check.diverged)) }
        }
        @if check.failure.is_some() || !check.differences.is_empty() {
            tr { td colspan="5" {
                @if let Some(failure) = &check.failure { p.error { (failure) } }
                @if !check.differences.is_empty() { (which(&check.differences, check.total())) }
            } }
        }
    }
}

/// `Checked 3 min ago: 5 entities differ.`
pub(super) fn sentence(check: &Check, now: Timestamp) -> Markup {
    html! {
        "Checked " (ago(check.ended_at.0, now)) ": "
        @match (check.total(), &check.failure) {
            (0, None) => { "nothing differs from the source." }
            (0, Some(_)) => { span.badge.bad { "not complete" } }
            (total, failure) => {
                span.badge.warn { (count(total, "entity differs", "entities differ")) }
                @if failure.is_some() { ", and it was not complete" } "."
            }
        }
    }
}
