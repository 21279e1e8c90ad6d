//! `/changes`: what happened to the catalog, newest first. The feed is read from its end: a window of numbers, made larger until
//! it holds a page.

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use tideline_core::words::{ChangeKind, Timestamp, grouped};

use super::Dashboard;
use super::catalog::{divided, entity_path};
use super::filters::{Filter, filters};
use super::format::ago;
use super::parts::{command, live, live_state};
use super::shell::{Page, page};
use super::viewer::{Failure, Fields, Query, Viewer, address};
use crate::api::Problem;
use crate::api::types::{Change, Changes, Status};

/// Changes of one page.
const ROWS: usize = 100;

/// First window, in numbers of the feed. Most of them are of changes that were overtaken by newer ones of the same entity.
const WINDOW: i64 = 200;

/// Numbers of the feed that are looked at for what an event changed.
const RECENT: i64 = 2_000;

/// Windows that are looked at for one page, each four times as large.
const WINDOWS: u32 = 3;

const FILTERS: &[Filter] = &[
    Filter::search("text", "Reference contains", "payments"),
    Filter::choice("change", "Change", &["added", "modified", "removed"]),
    Filter::text("source", "Source", ""),
];

pub(super) fn router() -> Router<Dashboard> {
    Router::new().route("/changes", get(list))
}

/// A part of the feed, newest first.
struct Reading {
    changes: Vec<Change>,
    /// Older ones are before this number; none: this was the beginning of the feed.
    before: Option<i64>,
}

async fn read(viewer: &Viewer, query: &Fields) -> Result<Reading, Problem> {
    let last = viewer.get::<Status>("/v1/status").await?.last_sequence;
    let end = query
        .get("before")
        .parse()
        .map_or(last, |before: i64| (before - 1).clamp(0, last));
    let (mut from, mut changes) = (end, Vec::new());
    for window in 0..WINDOWS {
        let to = from;
        from = (to - WINDOW * 4_i64.pow(window)).max(0);
        let mut found = stretch(viewer, from, to, last).await?;
        found.retain(|change| matches(change, query));
        found.extend(changes);
        changes = found;
        if changes.len() >= ROWS || from == 0 {
            break;
        }
    }
    changes.reverse();
    let more = changes.len() > ROWS;
    changes.truncate(ROWS);
    let before = match changes.last() {
        Some(oldest) if more => Some(oldest.sequence),
        _ => (from > 0).then_some(from + 1),
    };
    Ok(Reading { changes, before })
}

/// Changes of a window, in the order of the feed. `last`: the reading begins now, so pruned tombstones do not end it.
async fn stretch(viewer: &Viewer, from: i64, to: i64, last: i64) -> Result<Vec<Change>, Problem> {
    let (mut changes, mut after) = (Vec::new(), from);
    while after < to {
        let position = if after > 0 {
            format!("{after}-{last}")
        } else {
            "0".to_owned()
        };
        let asked = [("after", position.as_str()), ("limit", "1000")];
        let part: Changes = viewer.list("/v1/changes", &asked).await?;
        let Some(newest) = part.changes.last().map(|change| change.sequence) else {
            break;
        };
        after = newest;
        changes.extend(part.changes.into_iter().filter(|change| change.sequence <= to));
    }
    Ok(changes)
}

/// Changes of a source that were committed between two moments and are among the newest of the feed, oldest first.
pub(super) async fn between(
    viewer: &Viewer,
    source: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Change>, Problem> {
    let last = viewer.get::<Status>("/v1/status").await?.last_sequence;
    let mut found = stretch(viewer, (last - RECENT).max(0), last, last).await?;
    found.retain(|change| change.source == source && (from..=to).contains(&change.changed_at.0));
    Ok(found)
}

/// In a word, what happened.
pub(super) fn badge(change: ChangeKind) -> Markup {
    let class = match change {
        ChangeKind::Added => "busy",
        ChangeKind::Modified => "",
        ChangeKind::Removed => "bad",
    };
    html! { span.badge.(class) { (word(change)) } }
}

fn word(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Added => "added",
        ChangeKind::Modified => "modified",
        ChangeKind::Removed => "removed",
    }
}

fn matches(change: &Change, query: &Fields) -> bool {
    let wanted = |name: &str, holds: &dyn Fn(&str) -> bool| match query.get(name) {
        "" => true,
        value => holds(value),
    };
    wanted("text", &|text| change.reference.contains(text))
        && wanted("change", &|kind| kind == word(change.change))
        && wanted("source", &|source| source == change.source)
}

async fn list(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let reading = read(&viewer, &query).await?;
    let newest = query.get("before").is_empty();
    let rows = rows(&viewer, &reading, &query);
    let content = html! {
        header.page {
            h1 { "Changes" }
            p { "The newest state of each entity, and removals" }
            @if newest { (live_state()) }
        }
        (filters("/changes", FILTERS, &query))
        @if newest { (live("changes", rows)) } @else { (rows) }
        (command("tideline changes --follow"))
    };
    Ok(page(&viewer, "/changes", "Changes", content))
}

fn rows(viewer: &Viewer, reading: &Reading, query: &Fields) -> Markup {
    let mut older = query.values(FILTERS);
    let before = reading.before.map(|before| before.to_string());
    if let Some(before) = &before {
        older.push(("before", before));
    }
    html! {
        @if reading.changes.is_empty() {
            p.empty {
                @if reading.before.is_some() { "Nothing matches in this part of the feed. Go on with older ones." }
                @else if query.any(FILTERS) { "No change matches. " a href="/changes" { "Show all" } }
                @else { "Nothing has changed yet. Each page that a source's cycle commits adds its changes here." }
            }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th.number { "#" } th { "Change" } th { "Entity" } th.wide { "Source" } th { "When" } } }
                tbody { @for change in &reading.changes { (row(viewer, change)) } }
            } }
        }
        @if before.is_some() || !query.get("before").is_empty() {
            nav.pager aria-label="Pages" {
                @if !query.get("before").is_empty() { a href=(address("/changes", &query.values(FILTERS))) { "← Newest" } }
                @if before.is_some() { a.button href=(address("/changes", &older)) { "Older →" } }
            }
        }
    }
}

fn row(viewer: &Viewer, change: &Change) -> Markup {
    let (kind, namespace, name) = divided(&change.reference);
    html! {
        tr id={ "change-" (change.sequence) } {
            td.number.soft { (grouped(u64::try_from(change.sequence).unwrap_or(0))) }
            td { (badge(change.change)) }
            td {
                @if change.change == ChangeKind::Removed { (name) }
                @else { a href=(entity_path(&change.source, &change.reference)) { (name) } }
                " " span.soft { (kind) " in " (namespace) }
            }
            td.wide { (change.source) }
            td { (ago(change.changed_at.0, viewer.now)) }
        }
    }
}
