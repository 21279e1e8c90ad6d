//! `/subscriptions`: who follows the log of events, how far each has come, and what was given up.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde_json::json;
use tideline_core::words::{Role, SubscriptionState, grouped};

use super::Dashboard;
use super::format::{ago, encoded};
use super::parts::{Question, act, command, live, live_state};
use super::shell::{Page, page};
use super::viewer::{Act, Failure, Fields, Viewer, back_to};
use crate::api::types::{DeadLetter, Page as List, Subscription};
use crate::api::{Code, Problem};

/// Dead letters shown.
const LETTERS: usize = 100;

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
        header.page { h1 { "Subscriptions" } p { "Who follows the log of events" } (live_state()) }
        (live("subscriptions", rows(&viewer, &found.items)))
        (command("tideline subscriptions list"))
    };
    Ok(page(&viewer, "/subscriptions", "Subscriptions", content))
}

fn rows(viewer: &Viewer, found: &[Subscription]) -> Markup {
    html! {
        @if found.is_empty() {
            p.empty { "Nobody follows events yet. A subscription that pulls is made with " code { "PUT /v1/subscriptions/NAME" } "." }
        } @else {
            div.scroll { table {
                thead { tr { th { "Name" } th { "State" } th.wide { "Topics" } th.number.wide { "Position" } th.number { "Outstanding" } th.number { "Dead letters" } th.wide { "Failing" } } }
                tbody {
                    @for subscription in found {
                        tr id={ "subscription-" (encoded(&subscription.name)) } {
                            td { a href=(path_of(&subscription.name)) { (subscription.name) } }
                            td { (state(subscription.state)) }
                            td.wide { (topics(subscription)) }
                            td.number.wide { (subscription.position) }
                            td.number { (grouped(u64::from(subscription.outstanding))) }
                            td.number { @if subscription.dead_letters > 0 { span.badge.bad { (grouped(subscription.dead_letters)) } } @else { "0" } }
                            td.wide { @if let Some(since) = subscription.failing_since { "since " (ago(since.0, viewer.now)) } }
                        }
                    }
                }
            } }
        }
    }
}

fn topics(subscription: &Subscription) -> String {
    if subscription.topics.is_empty() {
        "all".to_owned()
    } else {
        subscription.topics.join(", ")
    }
}

async fn show(viewer: Viewer, Path(name): Path<String>) -> Result<Page, Failure> {
    let base = format!("/v1{}", path_of(&name));
    let subscription: Subscription = viewer.get(&base).await?;
    let letters: List<DeadLetter> = viewer.get(&format!("{base}/dead-letters")).await?;
    let content = html! {
        header.page { h1 { a.crumb href="/subscriptions" { "Subscriptions / " } (name) } (live_state()) }
        (live("subscription", facts(&viewer, &subscription)))
        @if viewer.may(Role::Operate) { (live("commands", commands(&subscription))) }
        (live("letters", dead_letters(&viewer, &name, &letters.items)))
        (command(&format!("tideline subscriptions show {name}")))
    };
    Ok(page(&viewer, "/subscriptions", &name, content))
}

fn facts(viewer: &Viewer, subscription: &Subscription) -> Markup {
    let now = viewer.now;
    html! {
        section { dl.facts.card {
            dt { "State" } dd { (state(subscription.state)) @if let Some(reason) = &subscription.blocked_reason { p.error { (reason) } } }
            dt { "Topics" } dd { (topics(subscription)) }
            dt { "Position" } dd { "everything up to event " (subscription.position) " was looked at" }
            dt { "Outstanding" } dd { (grouped(u64::from(subscription.outstanding))) }
            @if let Some(since) = subscription.failing_since { dt { "Failing since" } dd { (ago(since.0, now)) } }
            @if let Some(error) = &subscription.last_error { dt { "Last error" } dd { p.error { (error) } } }
            @if let Some(missed) = &subscription.missed_to { dt { "Missed" } dd { "events up to " (missed) " were dropped before it came to them" } }
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
            (Question {
                path: &format!("{path}/replay"),
                label: "Replay from the beginning",
                text: html! { p { "Hand out again every event that is kept? What is outstanding is forgotten; subscribers see events that they had." } },
                yes: "Replay",
                danger: true,
                reason: true,
                fields: &[],
            })
        } }
    }
}

fn dead_letters(viewer: &Viewer, name: &str, letters: &[DeadLetter]) -> Markup {
    let path = format!("{}/retry", path_of(name));
    let may = viewer.may(Role::Operate);
    html! {
        section aria-labelledby="letters-title" {
            h2 #letters-title { "Dead letters" }
            @if letters.is_empty() {
                p.empty { "None: no event was given up." }
            } @else {
                @if may { div.actions { (act(&path, "Retry all", None, "")) } }
                div.scroll { table {
                    thead { tr { th.number { "Event" } th { "Topic and key" } th { "Error" } th.number.wide { "Attempts" } th { "Given up" } th {} } }
                    tbody {
                        @for letter in letters.iter().take(LETTERS) {
                            tr id={ "letter-" (letter.id) } {
                                td.number { a href={ "/events/" (encoded(&letter.id)) } { (letter.id) } }
                                td { @match &letter.event { Some(event) => { (event.topic) " " span.soft { (event.key) } } None => { span.soft { "dropped from the log" } } } }
                                td { span.error { (letter.error) } }
                                td.number.wide { (letter.attempts) }
                                td { (ago(letter.died_at.0, viewer.now)) }
                                td { @if may { div.actions { form method="post" action=(path) {
                                    input type="hidden" name="id" value=(letter.id);
                                    button { "Retry" }
                                } } } }
                            }
                        }
                    }
                } }
                @if letters.len() > LETTERS { p.soft { "The first " (LETTERS) " of " (letters.len()) "." } }
            }
        }
    }
}

async fn perform(viewer: Viewer, Path((name, act)): Path<(String, String)>, form: Fields) -> Result<Response, Failure> {
    let path = path_of(&name);
    let reason = form.get("reason");
    let (route, act) = match act.as_str() {
        "pause" | "resume" => (act.as_str(), Act::because(reason)),
        "replay" => {
            let body = json!({"from": "beginning"});
            ("replay", Act::with(&body, super::source::needed(reason)?))
        }
        "retry" => {
            let id = form.get("id");
            let body = if id.is_empty() { json!({}) } else { json!({"id": id}) };
            ("dead-letters/retry", Act::with(&body, reason))
        }
        other => return Err(Problem::new(Code::NotFound, format!("{other} is no command of a subscription")).into()),
    };
    viewer.act(Method::POST, &format!("/v1{path}/{route}"), act).await?;
    Ok(back_to(&path))
}
