//! `/targets`: systems that are kept in step with the catalog, and what is wrong with which entity there.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use tideline_core::words::{Role, TargetState, grouped};

use super::Dashboard;
use super::filters::quoted;
use super::format::{ago, count, encoded};
use super::history;
use super::parts::{act, command, live, live_state};
use super::shell::{Page, page};
use super::viewer::{Act, Failure, Fields, Query, Viewer, back_to};
use crate::api::types::{EntityOfTarget, ObjectOfTarget, Page as List, Progress, Status, Target};
use crate::api::{Code, Problem};

/// Entities, or objects, of one page.
const ROWS: &str = "50";

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/targets", get(list))
        .route("/targets/{name}", get(show))
        .route("/targets/{name}/{act}", post(perform))
}

fn path_of(name: &str) -> String {
    format!("/targets/{}", encoded(name))
}

fn state(target: &Target) -> Markup {
    html! {
        @match target.state {
            TargetState::Paused => { span.badge.warn { "paused" } }
            _ if !target.configured => { span.badge.warn { "not configured" } }
            _ if target.hold_until.is_some() => { span.badge.bad { "not reached" } }
            _ if target.looking => { span.badge.busy { "looking" } }
            _ => { span.badge.plain { "active" } }
        }
    }
}

async fn list(viewer: Viewer) -> Result<Page, Failure> {
    let found: List<Target> = viewer.get("/v1/targets").await?;
    let content = html! {
        header.page { h1 { "Targets" } p { "Systems that are kept in step with the catalog" } (live_state()) }
        (live("targets", rows(&viewer, &found.items)))
        (command("tideline targets list"))
    };
    Ok(page(&viewer, "/targets", "Targets", content))
}

fn rows(viewer: &Viewer, found: &[Target]) -> Markup {
    html! {
        @if found.is_empty() {
            p.empty { "No target is configured. A target keeps another system, such as Microcks, in step with the catalog: see " code { "targets" } " in the configuration." }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th { "Name" } th.wide { "Type" } th { "State" } th.number.wide { "Last hour" } th.number { "Entities" } th.number { "Failing" } th.number.wide { "Objects" } th.wide { "Looked" } th.wide { "Last error" } } }
                tbody { @for target in found {
                    tr id={ "target-" (encoded(&target.name)) } {
                        td { a href=(path_of(&target.name)) { (target.name) } }
                        td.wide { (target.target_type) }
                        td { (state(target)) }
                        td.number.wide { (grouped(target.last_hour)) }
                        td.number { (grouped(target.entities)) }
                        td.number { @if target.failing > 0 { span.badge.bad { (grouped(target.failing)) } } @else { "0" } }
                        td.number.wide { (grouped(target.objects)) }
                        td.wide { @if let Some(looked) = target.looked_at { (ago(looked.0, viewer.now)) } }
                        td.wide { @if let Some(reason) = &target.hold_reason { span.error { (reason.lines().next().unwrap_or_default()) } } }
                    }
                } }
            } }
        }
    }
}

async fn show(viewer: Viewer, Path(name): Path<String>, Query(query): Query) -> Result<Page, Failure> {
    let base = format!("/v1{}", path_of(&name));
    let target: Target = viewer.get(&base).await?;
    let asked = [
        ("failing", "true"),
        ("limit", ROWS),
        ("page_token", query.get("failing")),
    ];
    let failing: List<EntityOfTarget> = viewer.list(&format!("{base}/entities"), &asked).await?;
    let asked = [("limit", ROWS), ("page_token", query.get("page_token"))];
    let objects: List<ObjectOfTarget> = viewer.list(&format!("{base}/objects"), &asked).await?;
    let steps: List<Progress> = viewer.get(&format!("{base}/history")).await?;
    let status: Status = viewer.get("/v1/status").await?;
    let content = html! {
        header.page { h1 { a.crumb href="/targets" { "Targets / " } (name) } p { (target.target_type) } (live_state()) }
        (live("target", facts(&viewer, &target, status.last_sequence)))
        @if viewer.may(Role::Operate) { (live("commands", commands(&target))) }
        (live("history", history::progress(&steps.items, "changes", viewer.now)))
        (live("failing", entities(&name, &failing)))
        (live("objects", owned(&viewer, &name, &objects)))
        (command(&format!("tideline targets show {}", quoted(&name))))
    };
    Ok(page(&viewer, "/targets", &name, content))
}

fn facts(viewer: &Viewer, target: &Target, last: i64) -> Markup {
    let behind = target
        .position
        .split('-')
        .next()
        .and_then(|position| position.parse::<i64>().ok());
    let behind = behind.map(|position| u64::try_from(last - position).unwrap_or(0));
    html! {
        section { dl.facts.card {
            dt { "State" } dd { (state(target)) @if let Some(reason) = &target.hold_reason { p.error { (reason) } } }
            @if let Some(until) = target.hold_until { dt { "Tried again" } dd { (ago(until.0, viewer.now)) } }
            dt { "Entities" } dd { (grouped(target.entities)) @if target.failing > 0 { ", " (grouped(target.failing)) " failing" } }
            dt { "Objects owned there" } dd { (grouped(target.objects)) }
            dt { "Passed" } dd { (count(target.last_hour, "change", "changes")) " within the last hour" }
            @if let Some(behind) = behind { dt { "Behind" } dd { @if behind == 0 { "nothing" } @else { "at most " (count(behind, "change", "changes")) } } }
            dt { "Position" } dd { "followed the change feed up to " (target.position) }
            @if let Some(looked) = target.looked_at { dt { "Last full check" } dd { (ago(looked.0, viewer.now)) } }
        } }
    }
}

fn commands(target: &Target) -> Markup {
    let path = path_of(&target.name);
    html! {
        section aria-label="Commands" { div.actions {
            @if target.state == TargetState::Paused { (act(&format!("{path}/resume"), "Resume", Some("main"), &path)) }
            @else { (act(&format!("{path}/pause"), "Pause", None, &path)) }
            (act(&format!("{path}/resync"), "Check everything again", None, &path))
        } }
    }
}

fn entities(name: &str, failing: &List<EntityOfTarget>) -> Markup {
    html! {
        section aria-labelledby="failing-title" {
            h2 #failing-title { "Failing entities" }
            @if failing.items.is_empty() { p.empty { "None: the target is in step with the catalog, as far as it was \
            checked." } }
            @else {
                div.scroll tabindex="0" { table {
                    thead { tr { th { "Entity" } th { "Error" } } }
                    tbody { @for entity in &failing.items {
                        tr { td.long { a href={ "/catalog/entity?ref=" (encoded(entity.reference.as_str())) } { (entity.reference) } } td { span.error { (entity.error.as_deref().unwrap_or_default()) } } }
                    } }
                } }
                @if let Some(next) = &failing.next_page_token {
                    nav.pager aria-label="Pages of failing entities" { a.button href={ (path_of(name)) "?failing=" (encoded(next)) } rel="next" { "Next page →" } }
                }
            }
        }
    }
}

fn owned(viewer: &Viewer, name: &str, objects: &List<ObjectOfTarget>) -> Markup {
    html! {
        section aria-labelledby="objects-title" {
            h2 #objects-title { "Objects owned there" }
            @if objects.items.is_empty() { p.empty { "None yet." } }
            @else {
                div.scroll tabindex="0" { table {
                    thead { tr { th { "Object" } th { "Of" } th.wide { "Its id there" } th { "State" } th.wide { "Changed" } } }
                    tbody { @for object in &objects.items {
                        tr {
                            td { (object.object) }
                            td { a href={ "/catalog/entity?ref=" (encoded(object.reference.as_str())) } { (object.reference) } }
                            td.wide { @if let Some(id) = &object.remote_id { code { (id) } } }
                            td {
                                @match (&object.error, object.whole) {
                                    (Some(error), _) => { span.badge.bad { "failing" } p.error { (error) } }
                                    (None, true) => { span.badge.plain { "in step" } }
                                    (None, false) => { span.badge.busy { "under way" } }
                                }
                            }
                            td.wide { (ago(object.updated_at.0, viewer.now)) }
                        }
                    } }
                } }
                @if let Some(next) = &objects.next_page_token {
                    nav.pager aria-label="Pages" { a.button href={ (path_of(name)) "?page_token=" (encoded(next)) } rel="next" { "Next page →" } }
                }
            }
        }
    }
}

async fn perform(viewer: Viewer, Path((name, act)): Path<(String, String)>, form: Fields) -> Result<Response, Failure> {
    let path = path_of(&name);
    if !matches!(act.as_str(), "pause" | "resume" | "resync") {
        return Err(Problem::new(Code::NotFound, format!("{act} is not a command for a target")).into());
    }
    let why = Act::because(form.get("reason"));
    viewer.act(Method::POST, &format!("/v1{path}/{act}"), why).await?;
    Ok(back_to(&path))
}
