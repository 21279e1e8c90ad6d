//! `/hooks`: the hooks, their webhooks, and refusals; `/hooks?name=NAME`: one of them (`/hooks/NAME` takes webhooks).

use axum::Router;
use axum::routing::get;
use maud::{Markup, html};
use tideline_core::words::{Timestamp, grouped};

use super::Dashboard;
use super::chart::{Bar, bars};
use super::format::{ago, encoded};
use super::hook_setup::{act, setup};
use super::parts::{live, live_state, request};
use super::shell::{Page, page};
use super::viewer::{Failure, Query, Viewer};
use crate::api::types::{Event, Hook, HookCounts, Page as List};

/// Hours in a row of the list.
const DAY: i64 = 24;
/// Hours on a hook's own page.
const WEEK: i64 = 7 * DAY;
/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

pub(super) fn router() -> Router<Dashboard> {
    Router::new().route("/hooks", get(serve).post(act))
}

/// The address of a hook's page.
pub(super) fn path_of(name: &str) -> String {
    format!("/hooks?name={}", encoded(name))
}

/// Webhooks that were sent but are not in the store.
fn lost(counts: HookCounts) -> u64 {
    counts.unproven + counts.refused + counts.unavailable
}

fn state(hook: &Hook) -> Markup {
    html! {
        @if hook.silent_since.is_some() { span.badge.warn { "silent" } }
        @else if !hook.verifies { span.badge.warn { "not verified" } }
        @else if hook.day.unproven > 0 { span.badge.bad { "wrong signatures" } }
        @else if hook.last_stored_at.is_none() { span.badge.plain { "nothing yet" } }
        @else { span.badge.plain { "receiving" } }
    }
}

async fn serve(viewer: Viewer, Query(query): Query) -> Result<Page, Failure> {
    match query.get("name") {
        "" => list(viewer).await,
        name => show(viewer, name).await,
    }
}

async fn list(viewer: Viewer) -> Result<Page, Failure> {
    let found: List<Hook> = viewer.get("/v1/hooks").await?;
    let content = html! {
        header.page { h1 { "Hooks" } p { "Endpoints that receive webhooks" } (live_state()) }
        (live("hooks", rows(&viewer, &found.items)))
        (request("/v1/hooks"))
    };
    Ok(page(&viewer, "/hooks", "Hooks", content))
}

fn rows(viewer: &Viewer, found: &[Hook]) -> Markup {
    html! {
        @if found.is_empty() {
            p.empty {
                "No hook is configured. Add one under " code { "hooks" } " in the configuration, then have the \
                 provider send to "
                code { "/hooks/NAME" } "; " code { "tideline hooks register" } " sets that up at GitHub and HCP Terraform."
            }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr {
                    th { "Hook" } th.wide { "Provider" } th { "State" } th.number { "24 h" } th.wide { "By hour" }
                    th.number { "Refused" } th { "Last webhook" } th.wide { "Last error" }
                } }
                tbody { @for hook in found { (row(viewer, hook)) } }
            } }
        }
    }
}

fn row(viewer: &Viewer, hook: &Hook) -> Markup {
    let refused = lost(hook.day);
    html! {
        tr id={ "hook-" (encoded(&hook.name)) } {
            td { a href=(path_of(&hook.name)) { (hook.name) } }
            td.wide { (hook.provider) }
            td { (state(hook)) }
            td.number { (grouped(hook.day.stored)) }
            td.wide { div.spark { (chart(hook, DAY, 28, viewer.now)) } }
            td.number { @if refused > 0 { span.badge.bad { (grouped(refused)) } } @else { "0" } }
            td { @match hook.last_stored_at { Some(at) => { (ago(at.0, viewer.now)) } None => { "none in 7 days" } } }
            td.wide { @if let Some(error) = &hook.last_error { (error) } }
        }
    }
}

fn chart(hook: &Hook, hours: i64, height: u32, now: Timestamp) -> Markup {
    let this = now.0 - now.0.rem_euclid(HOUR);
    let drawn: Vec<Bar> = (0..hours)
        .rev()
        .map(|back| {
            let hour = this - back * HOUR;
            let counts = hook.hours.iter().find(|figures| figures.hour.0.0 == hour);
            let counts = counts.map_or_else(HookCounts::default, |figures| figures.counts);
            let when = if back == 0 {
                "this hour".to_owned()
            } else {
                format!("{back} h ago")
            };
            let title = format!(
                "{when}: {} stored, {} refused",
                grouped(counts.stored),
                grouped(lost(counts))
            );
            Bar {
                value: counts.stored + lost(counts),
                bad: lost(counts),
                title,
            }
        })
        .collect();
    bars(&drawn, height, &format!("Webhooks of {} by hour", hook.name))
}

async fn show(viewer: Viewer, name: &str) -> Result<Page, Failure> {
    let hook: Hook = viewer.get(&format!("/v1/hooks/{}", encoded(name))).await?;
    let recent: List<Event> = viewer.list("/v1/events", &[("hook", name), ("limit", "20")]).await?;
    let content = html! {
        header.page {
            h1 { a.crumb href="/hooks" { "Hooks / " } (name) }
            p { (hook.provider) }
            (live_state())
        }
        (live("hook", figures(&viewer, &hook)))
        div.columns {
            (live("recent", deliveries(&viewer, name, &recent.items)))
            (setup(&viewer, &hook))
        }
        (request(&format!("/v1/hooks/{}", encoded(name))))
    };
    Ok(page(&viewer, "/hooks", name, content))
}

fn figures(viewer: &Viewer, hook: &Hook) -> Markup {
    let now = viewer.now;
    html! {
        section {
            @if let Some(since) = hook.silent_since {
                p.notice.warn { strong { "Nothing has arrived for much longer than usual" } ", known " (ago(since.0, now))
                    ". Was the webhook deleted at the provider, or its URL changed?" }
            }
            @if let (Some(error), Some(at)) = (&hook.last_error, hook.last_error_at) {
                p.notice.bad[hook.day.unproven > 0] { "Last refused " (ago(at.0, now)) ": " (error) }
            }
            dl.figures.strip {
                div { dt { "State" } dd { (state(hook)) } }
                div { dt { "Stored in 24 h" } dd { (grouped(hook.day.stored)) } }
                div { dt { "Last webhook" } dd { @match hook.last_stored_at { Some(at) => { (ago(at.0, now)) } None => { "none in 7 days" } } } }
                div { dt { "Wrong signatures" } dd { (grouped(hook.day.unproven)) } }
                div { dt { "Otherwise refused" } dd { (grouped(hook.day.refused)) } }
                div { dt { "To be sent again" } dd { (grouped(hook.day.unavailable)) } }
                div { dt { "Sent twice" } dd { (grouped(hook.day.duplicates)) } }
            }
        }
        section aria-labelledby="week-title" {
            h2 #week-title { "Seven days by hour" }
            (chart(hook, WEEK, 84, now))
            ul.legend { li { "stored" } li.failed { "refused, or to be sent again" } }
        }
    }
}

fn deliveries(viewer: &Viewer, name: &str, recent: &[Event]) -> Markup {
    html! {
        section aria-labelledby="recent-title" {
            h2 #recent-title { "Newest webhooks" }
            @if recent.is_empty() { p.empty { "None among the newest events." } }
            @else {
                div.scroll tabindex="0" { table {
                    thead { tr { th.number { "Event" } th { "Topic" } th.wide { "About" } th { "When" } } }
                    tbody { @for event in recent { tr id={ "event-" (event.id) } {
                        td.number { a href={ "/events/" (event.id) } { (event.id) } }
                        td { (event.topic) @if event.malformed { " " span.badge.warn { "malformed" } } }
                        td.wide { (event.key) }
                        td { (ago(event.created_at.0, viewer.now)) }
                    } } }
                } }
                p.pager { a href={ "/events?hook=" (encoded(name)) } { "All of them" } }
            }
        }
    }
}
