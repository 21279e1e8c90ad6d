//! `/changes`: changes of the catalog, newest first.

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use tideline_core::words::{ChangeKind, Sequence, Timestamp, grouped};

use super::Dashboard;
use super::catalog::{divided, entity_path};
use super::filters::{Filter, filters_with, pager};
use super::format::ago;
use super::parts::{command, live, live_state, source_path};
use super::shell::{Page, page};
use super::viewer::{Failure, Fields, Query, Viewer, address};
use crate::api::Problem;
use crate::api::newest_changes::list_id;
use crate::api::types::{Change, Page as List};

/// Changes of one page.
const ROWS: &str = "100";

/// Number of a source's newest changes that are searched for the effects of an event.
const RECENT: &str = "1000";

const FILTERS: &[Filter] = &[
    Filter::search("text", "Reference contains", "payments"),
    Filter::choice("change", "Change", &["added", "modified", "removed"]),
    Filter::text("source", "Source", ""),
];

pub(super) fn router() -> Router<Dashboard> {
    Router::new().route("/changes", get(list))
}

/// Changes of a source that were committed between two moments and are among the newest of the feed, oldest first.
pub(super) async fn between(
    viewer: &Viewer,
    source: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Change>, Problem> {
    let asked = [("source", source), ("limit", RECENT)];
    let newest: List<Change> = viewer.list("/v1/changes/newest", &asked).await?;
    let mut found = newest.items;
    found.retain(|change| (from..=to).contains(&change.changed_at.0));
    found.reverse();
    Ok(found)
}

/// The kind of change, in one word.
pub(super) fn badge(change: ChangeKind) -> Markup {
    let class = match change {
        ChangeKind::Added => "busy",
        ChangeKind::Modified => "",
        ChangeKind::Removed => "bad",
    };
    html! { span.badge.(class) { (change.as_str()) } }
}

async fn list(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let token = query.get("page_token");
    let mut asked = query.values(FILTERS);
    asked.extend([("limit", ROWS), ("page_token", token)]);
    let changes: List<Change> = viewer.list("/v1/changes/newest", &asked).await?;
    let rows = rows(&viewer, &changes, &query);
    let content = html! {
        header.page {
            h1 { "Changes" }
            p { "The newest state of each entity, and removals" }
            @if token.is_empty() { (live_state()) }
        }
        (filters_with("/changes", FILTERS, &query, &viewer.sources().await?))
        @if token.is_empty() { (live("changes", rows)) } @else { (rows) }
        (command("tideline changes --follow"))
    };
    Ok(page(&viewer, "/changes", "Changes", content))
}

/// The address of the part of the feed that begins with a change.
pub(super) fn path_of(sequence: i64) -> String {
    let list = list_id(None, None, None);
    address(
        "/changes",
        &[("page_token", &list.token_of(&Sequence(sequence.saturating_add(1))))],
    )
}

fn rows(viewer: &Viewer, changes: &List<Change>, query: &Fields) -> Markup {
    html! {
        @if changes.items.is_empty() {
            p.empty {
                @if changes.next_page_token.is_some() { "Nothing matches among the newest changes. Continue with \
                older ones." }
                @else if query.any(FILTERS) { "No change matches. " a href="/changes" { "Show all" } }
                @else { "Nothing has changed yet. Each page that a source's cycle commits adds its changes here." }
            }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th.number { "#" } th { "Change" } th { "Entity" } th.wide { "Source" } th { "When" } } }
                tbody { @for change in &changes.items { (row(viewer, change)) } }
            } }
        }
        (pager("/changes", FILTERS, query, changes.next_page_token.as_deref()))
    }
}

fn row(viewer: &Viewer, change: &Change) -> Markup {
    let (kind, namespace, name) = divided(&change.reference);
    html! {
        tr id={ "change-" (change.sequence) } {
            td.number.soft { (grouped(u64::try_from(change.sequence).unwrap_or(0))) }
            td { (badge(change.change)) }
            td.long {
                @if change.change == ChangeKind::Removed { (name) }
                @else { a href=(entity_path(&change.source, &change.reference)) { (name) } }
                " " span.soft { (kind) " in " (namespace) }
            }
            td.wide { a href=(source_path(&change.source)) { (change.source) } }
            td { (ago(change.changed_at.0, viewer.now)) }
        }
    }
}
