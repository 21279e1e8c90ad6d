//! `/events`: webhooks and Tideline's own events, newest first; and one event with headers and body.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use tideline_core::words::{Role, Verdict};

use super::Dashboard;
use super::caused;
use super::filters::{Filter, filters, pager, quoted};
use super::format::{ago, bytes};
use super::json::tree;
use super::parts::{Question, command, live, live_state};
use super::shell::{Page, page};
use super::viewer::{Act, Failure, Fields, Query, Viewer, back_to, read};
use crate::api::types::{Event, Page as List, WholeEvent};

/// Events of one page.
const ROWS: &str = "50";

/// Bytes shown of a body that is not JSON.
const MAX_TEXT: usize = 20_000;

const FILTERS: &[Filter] = &[
    Filter::search("topics", "Topics", "github.*"),
    Filter::text("hook", "Hook", ""),
    Filter::text("key", "Key", ""),
];

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/events", get(list))
        .route("/events/{id}", get(show))
        .route("/events/{id}/replay", post(replay))
}

async fn list(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    let mut asked = query.values(FILTERS);
    asked.extend([("limit", ROWS), ("page_token", query.get("page_token"))]);
    let events: List<Event> = viewer.list("/v1/events", &asked).await?;
    let content = html! {
        header.page { h1 { "Events" } p { "Webhooks received, and Tideline's own events" } (live_state()) }
        (filters("/events", FILTERS, &query))
        (live("events", rows(&viewer, &events, &query)))
        (command(&same(&query)))
    };
    Ok(page(&viewer, "/events", "Events", content))
}

/// The command that lists the same.
fn same(query: &Fields) -> String {
    let hook = query.get("hook");
    let mut words = if hook.is_empty() {
        "tideline events".to_owned()
    } else {
        format!("tideline deliveries list --hook {}", quoted(hook))
    };
    let topics = query.get("topics").split(',').map(str::trim);
    for topic in topics.filter(|topic| !topic.is_empty()) {
        words.push_str(&format!(" --topic {}", quoted(topic)));
    }
    if hook.is_empty() && !query.get("key").is_empty() {
        words.push_str(&format!(" --key {}", quoted(query.get("key"))));
    }
    words
}

fn rows(viewer: &Viewer, events: &List<Event>, query: &Fields) -> Markup {
    html! {
        @if events.items.is_empty() {
            p.empty {
                @if query.any(FILTERS) { "No event matches. " a href="/events" { "Show all" } }
                @else { "No event yet. Add a hook to the configuration and send webhooks to " code { "/hooks/NAME" } "." }
            }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th.number { "Event" } th { "Topic" } th { "About" } th.wide { "Hook" } th.wide { "Verdict" } th.number.wide { "Size" } th { "When" } } }
                tbody { @for event in &events.items { (row(viewer, event)) } }
            } }
        }
        (pager("/events", FILTERS, query, events.next_page_token.as_deref()))
    }
}

fn row(viewer: &Viewer, event: &Event) -> Markup {
    html! {
        tr id={ "event-" (event.id) } {
            td.number { a href={ "/events/" (event.id) } { (event.id) } }
            td { (event.topic) @if event.malformed { " " span.badge.warn { "malformed" } } }
            td.long { (event.key) }
            td.wide { @if let Some(hook) = &event.hook { (hook) } }
            td.wide { (verdict(event.verdict)) }
            td.number.wide { (bytes(event.body_bytes)) }
            td { (ago(event.created_at.0, viewer.now)) }
        }
    }
}

/// How far the origin of an event is verified.
fn verdict(verdict: Verdict) -> Markup {
    let word = serde_json::to_value(verdict).ok();
    let word = word.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown");
    html! { @if word == "unsigned" { span.badge.warn { (word) } } @else { span.badge { (word) } } }
}

async fn show(viewer: Viewer, Path(id): Path<String>) -> Result<Page, Failure> {
    let path = format!("/v1/events/{}", super::format::encoded(&id));
    let whole: WholeEvent = viewer.get(&path).await?;
    let event = &whole.event;
    let caused = caused::read(&viewer, event).await?;
    let content = html! {
        header.page {
            h1 { a.crumb href="/events" { "Events / " } (event.id) }
            p { (event.topic) }
            (live_state())
        }
        section { dl.facts.card {
            dt { "Topic" } dd { (event.topic) }
            @if !event.key.is_empty() { dt { "About" } dd { (event.key) } }
            dt { "Stored" } dd { (ago(event.created_at.0, viewer.now)) }
            @if let Some(hook) = &event.hook { dt { "Hook" } dd { (hook) } }
            @if let Some(delivery) = &event.delivery { dt { "Delivery" } dd { code { (delivery) } } }
            dt { "Verdict" } dd { (verdict(event.verdict)) @if event.malformed { " " span.badge.warn { "malformed" } } }
            dt { "Size" } dd { (bytes(event.body_bytes)) }
        } }
        @if viewer.may(Role::Operate) && event.verdict != Verdict::Own {
            section aria-label="Commands" { div.actions { (Question {
                path: &format!("/events/{}/replay", event.id),
                label: "Replay",
                text: html! { p { "Append this event to the log again? Source rules and subscriptions see it as if it \
                had been received again." } },
                yes: "Replay",
                danger: false,
                reason: false,
                fields: &[],
            }) } }
        }
        (live("caused", caused::section(&viewer, event, &caused)))
        @if !whole.headers.is_empty() {
            section aria-labelledby="headers-title" {
                h2 #headers-title { "Headers kept" }
                dl.facts.card { @for (name, value) in &whole.headers { dt { (name) } dd { code { (value) } } } }
            }
        }
        section aria-labelledby="body-title" { h2 #body-title { "Body" } (body(&whole)) }
        (command(&format!("tideline deliveries show {}", event.id)))
    };
    Ok(page(&viewer, "/events", &format!("Event {}", event.id), content))
}

async fn replay(viewer: Viewer, Path(id): Path<String>, form: Fields) -> Result<Response, Failure> {
    let path = format!("/v1/events/{}/replay", super::format::encoded(&id));
    let copy: Event = read(
        &viewer
            .act(Method::POST, &path, Act::because(form.get("reason")))
            .await?,
    )?;
    Ok(back_to(&format!("/events/{}", copy.id)))
}

fn body(event: &WholeEvent) -> Markup {
    if let Some(json) = &event.body {
        return tree(json);
    }
    let raw = STANDARD
        .decode(event.body_base64.as_deref().unwrap_or_default())
        .unwrap_or_default();
    let text = String::from_utf8_lossy(raw.get(..raw.len().min(MAX_TEXT)).unwrap_or_default());
    html! {
        pre.card { (text) }
        @if raw.len() > MAX_TEXT { p.soft { "Only the first " (bytes(MAX_TEXT as u64)) " are shown." } }
    }
}
