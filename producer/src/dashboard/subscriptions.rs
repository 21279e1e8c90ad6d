//! `/subscriptions`: followers of the log of events, their positions, and dead letters.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde_json::json;
use tideline_core::words::{Role, SubscriptionState, Timestamp, grouped};

use super::Dashboard;
use super::filters::{pager, quoted};
use super::format::{ago, encoded};
use super::history;
use super::parts::{Question, act, command, live, live_state};
use super::shell::{Page, page};
use super::viewer::{Act, Failure, Fields, Query, Viewer, back_to};
use crate::api::types::{DeadLetter, Page as List, Progress, Subscription, Time};
use crate::api::{Code, Problem};

/// Dead letters of one page.
const LETTERS: &str = "50";

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/subscriptions", get(list))
        .route("/subscriptions/{name}", get(show))
        .route("/subscriptions/{name}/{act}", post(perform))
}

fn path_of(name: &str) -> String {
    format!("/subscriptions/{}", encoded(name))
}

fn state(state: SubscriptionState) -> Markup {
    let (class, word) = match state {
        SubscriptionState::Active => ("", "active"),
        SubscriptionState::Paused => ("warn", "paused"),
        SubscriptionState::Blocked => ("bad", "switched off"),
    };
    html! { span.badge.(class) { (word) } }
}

async fn list(viewer: Viewer) -> Result<Page, Failure> {
    let found: List<Subscription> = viewer.get("/v1/subscriptions").await?;
    let content = html! {
        header.page { h1 { "Subscriptions" } p { "Who follows events and changes" } (live_state()) }
        (live("subscriptions", rows(&viewer, &found.items)))
        (command("tideline subscriptions list"))
    };
    Ok(page(&viewer, "/subscriptions", "Subscriptions", content))
}

fn rows(viewer: &Viewer, found: &[Subscription]) -> Markup {
    html! {
        @if found.is_empty() {
            p.empty { "No subscriptions yet. " code { "tideline subscriptions create NAME" } " creates one that \
            pulls, is pushed to a URL, or notifies people in a chat." }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th { "Name" } th { "State" } th.wide { "Follows" } th.number.wide { "Last hour" } th.number { "Behind" } th.wide { "Since" } th.number.wide { "Outstanding" } th.number { "Dead letters" } th.wide { "Last error" } } }
                tbody {
                    @for subscription in found {
                        tr id={ "subscription-" (encoded(&subscription.name)) } {
                            td { a href=(path_of(&subscription.name)) { (subscription.name) } }
                            td { (state(subscription.state)) }
                            td.wide { (follows(subscription)) }
                            td.number.wide { (grouped(subscription.last_hour)) }
                            td.number { (grouped(subscription.lag)) }
                            td.wide { @if let Some(since) = subscription.behind_since { (ago(since.0, viewer.now)) } }
                            td.number.wide { (grouped(u64::from(subscription.outstanding))) }
                            td.number { @if subscription.dead_letters > 0 { span.badge.bad { (grouped(subscription.dead_letters)) } } @else { "0" } }
                            td.wide { @if subscription.failing_since.is_some() { span.error { (subscription.last_error.as_deref().unwrap_or("failing").lines().next().unwrap_or_default()) } } }
                        }
                    }
                }
            } }
        }
    }
}

/// A short description of what it follows.
fn follows(subscription: &Subscription) -> String {
    let all = |list: &[String], what: &str| {
        if list.is_empty() {
            format!("every {what}")
        } else {
            list.join(", ")
        }
    };
    match &subscription.changes {
        Some(changes) => format!(
            "changes of {}, {}",
            all(&changes.sources, "source"),
            all(&changes.kinds, "kind")
        ),
        None => all(&subscription.topics, "topic"),
    }
}

async fn show(viewer: Viewer, Path(name): Path<String>, Query(query): Query) -> Result<Page, Failure> {
    let base = format!("/v1{}", path_of(&name));
    let subscription: Subscription = viewer.get(&base).await?;
    let asked = [("limit", LETTERS), ("page_token", query.get("page_token"))];
    let letters: List<DeadLetter> = viewer.list(&format!("{base}/dead-letters"), &asked).await?;
    let steps: List<Progress> = viewer.get(&format!("{base}/history")).await?;
    let content = html! {
        header.page { h1 { a.crumb href="/subscriptions" { "Subscriptions / " } (name) } (live_state()) }
        (live("subscription", facts(&viewer, &subscription)))
        @if viewer.may(Role::Operate) { (live("commands", commands(&subscription))) }
        (live("history", history::progress(&steps.items, if subscription.changes.is_some() { "changes" } else { "events" }, viewer.now)))
        (live("letters", dead_letters(&viewer, &name, &letters, &query)))
        (command(&format!("tideline subscriptions show {}", quoted(&name))))
    };
    Ok(page(&viewer, "/subscriptions", &name, content))
}

fn facts(viewer: &Viewer, subscription: &Subscription) -> Markup {
    let now = viewer.now;
    html! {
        section { dl.facts.card {
            dt { "State" } dd { (state(subscription.state)) @if let Some(reason) = &subscription.blocked_reason { p.error { (reason) } } }
            dt { "Follows" } dd { (follows(subscription)) }
            @if let Some(filter) = &subscription.filter { dt { "Filter" } dd { code { (filter) } } }
            @match &subscription.push {
                Some(push) => { dt { "Sent to" } dd { code { (push.url) } ", " (push.in_flight) " at a time" } }
                None => { dt { "Sent to" } dd { "none: it pulls" } }
            }
            dt { "Passed" } dd { (grouped(subscription.last_hour)) " within the last hour" }
            dt { "Behind" } dd { (grouped(subscription.lag)) @if let Some(since) = subscription.behind_since { ", the oldest stored " (ago(since.0, now)) } }
            dt { "Position" } dd { "everything up to " (subscription.changes.as_ref().map_or(&subscription.position, |changes| &changes.position)) " was looked at" }
            dt { "Outstanding" } dd { (grouped(u64::from(subscription.outstanding))) }
            @if let Some(since) = subscription.failing_since { dt { "Failing since" } dd { (ago(since.0, now)) } }
            @if let Some(next) = subscription.next_try { dt { "Tried again" } dd { (ago(next.0, now)) } }
            @if let Some(error) = &subscription.last_error { dt { "Last error" } dd { p.error { (error) } } }
            @if let Some(missed) = &subscription.missed_to { dt { "Missed" } dd { "events up to " (missed) " were \
            dropped before it reached them" } }
            dt { "Made" } dd { (ago(subscription.created_at.0, now)) }
        } }
    }
}

fn commands(subscription: &Subscription) -> Markup {
    let path = path_of(&subscription.name);
    html! {
        section aria-label="Commands" { div.actions {
            @if subscription.state == SubscriptionState::Active { (act(&format!("{path}/pause"), "Pause", None, &path)) }
            @else { (act(&format!("{path}/resume"), "Resume", Some("main"), &path)) }
            details {
                summary.button { "Replay…" }
                form.ask method="post" action={ (path) "/replay" } {
                    p { "Continue from another position? Outstanding events are discarded, and subscribers receive \
                    events again." }
                    div {
                        label for="replay-from" { "From" }
                        select #replay-from name="from" {
                            option value="beginning" { "the oldest retained event" }
                            option value="1h" { "an hour ago" }
                            option value="1d" { "a day ago" }
                            option value="now" { "now: skip what is waiting" }
                        }
                    }
                    div { label for="replay-reason" { "Reason, for the audit log" } input #replay-reason name="reason" maxlength="500" required autocomplete="off"; }
                    div { button.danger { "Replay" } }
                }
            }
            (Question {
                path: &format!("{path}/delete"),
                label: "Delete",
                text: html! { p { "Delete this subscription and its dead letters? Its subscriber receives nothing \
                more." } },
                yes: "Delete",
                danger: true,
                reason: true,
                fields: &[],
            })
        } }
    }
}

fn dead_letters(viewer: &Viewer, name: &str, letters: &List<DeadLetter>, query: &Fields) -> Markup {
    let path = format!("{}/retry", path_of(name));
    let may = viewer.may(Role::Operate);
    html! {
        section aria-labelledby="letters-title" {
            h2 #letters-title { "Dead letters" }
            @if letters.items.is_empty() {
                p.empty { "None: no event was given up." }
            } @else {
                @if may { div.actions {
                    (act(&path, "Retry all", None, ""))
                    (Question {
                        path: &format!("{}/drop", path_of(name)),
                        label: "Drop all",
                        text: html! { p { "Drop these dead letters? The subscription never receives these events \
                        again, unless it is replayed." } },
                        yes: "Drop them",
                        danger: true,
                        reason: true,
                        fields: &[],
                    })
                } }
                div.scroll tabindex="0" { table {
                    thead { tr { th.number { "Event" } th { "Topic and key" } th { "Error" } th.number.wide { "Attempts" } th.wide { "Given up" } th { span.unseen { "Actions" } } } }
                    tbody {
                        @for letter in &letters.items {
                            tr id={ "letter-" (letter.id) } {
                                td.number { a href={ "/events/" (encoded(&letter.id)) } { (letter.id) } }
                                td.long { @match &letter.event { Some(event) => { (event.topic) " " span.soft { (event.key) } } None => { span.soft { "dropped from the log" } } } }
                                td { span.error { (letter.error) } }
                                td.number.wide { (letter.attempts) }
                                td.wide { (ago(letter.died_at.0, viewer.now)) }
                                td { @if may { div.actions { form method="post" action=(path) {
                                    input type="hidden" name="id" value=(letter.id);
                                    button { "Retry" }
                                } } } }
                            }
                        }
                    }
                } }
            }
            (pager(&path_of(name), &[], query, letters.next_page_token.as_deref()))
        }
    }
}

async fn perform(viewer: Viewer, Path((name, act)): Path<(String, String)>, form: Fields) -> Result<Response, Failure> {
    let path = path_of(&name);
    let reason = form.get("reason");
    if act == "delete" {
        let why = Act::because(super::source::needed(reason)?);
        viewer.act(Method::DELETE, &format!("/v1{path}"), why).await?;
        return Ok(back_to("/subscriptions"));
    }
    let (route, act) = match act.as_str() {
        "pause" | "resume" => (act.as_str(), Act::because(reason)),
        "replay" => {
            let from = match form.get("from") {
                "1h" => Time(Timestamp(viewer.now.0 - 3_600_000)).to_string(),
                "1d" => Time(Timestamp(viewer.now.0 - 86_400_000)).to_string(),
                "now" => "now".to_owned(),
                _ => "beginning".to_owned(),
            };
            let body = json!({ "from": from });
            ("replay", Act::with(&body, super::source::needed(reason)?))
        }
        "retry" => {
            let id = form.get("id");
            let body = if id.is_empty() { json!({}) } else { json!({"id": id}) };
            ("dead-letters/retry", Act::with(&body, reason))
        }
        "drop" => (
            "dead-letters/drop",
            Act::with(&json!({}), super::source::needed(reason)?),
        ),
        other => {
            return Err(Problem::new(Code::NotFound, format!("{other} is not a command for a subscription")).into());
        }
    };
    viewer.act(Method::POST, &format!("/v1{path}/{route}"), act).await?;
    Ok(back_to(form.inside("back", &path)))
}
