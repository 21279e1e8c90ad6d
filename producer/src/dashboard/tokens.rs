//! `/tokens`: API tokens. A new token is shown once, in the response to its creation.

use axum::Router;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde_json::json;
use tideline_core::words::Role;

use super::Dashboard;
use super::format::{ago, encoded};
use super::parts::{Question, command};
use super::shell::{Page, page};
use super::viewer::{Act, Failure, Fields, Viewer, back_to, read};
use crate::api::types::{CreatedToken, Page as List, Token};
use crate::api::{Code, Problem};

/// Days that a token may be made for, by the form.
const DAYS: &[u64] = &[1, 7, 30, 90, 365];

/// Seconds of a day.
const DAY: u64 = 86_400;

pub(super) fn router() -> Router<Dashboard> {
    Router::new()
        .route("/tokens", get(list).post(create))
        .route("/tokens/{id}/revoke", post(revoke))
}

async fn list(viewer: Viewer) -> Result<Page, Failure> {
    viewer.principal.require(Role::Admin)?;
    let tokens: List<Token> = viewer.get("/v1/tokens").await?;
    Ok(shown(&viewer, &tokens.items, None))
}

fn shown(viewer: &Viewer, tokens: &[Token], created: Option<&CreatedToken>) -> Page {
    let content = html! {
        header.page { h1 { "Tokens" } p { "Who may use the API and this dashboard" } }
        @if let Some(created) = created { (secret(created)) }
        @if tokens.is_empty() {
            p.empty { "No token yet: only programs on this machine may use the API. Once there is one, everyone needs \
            a token." }
        } @else {
            section { div.scroll tabindex="0" { table {
                thead { tr { th { "Name" } th { "Role" } th.wide { "Sources" } th.wide { "Created" } th { "Last used" } th { "Ends" } th { span.unseen { "Actions" } } } }
                tbody { @for token in tokens { (row(viewer, token)) } }
            } } }
        }
        (form())
        (command("tideline tokens create --role read --name ci"))
    };
    page(viewer, "/tokens", "Tokens", content)
}

fn secret(created: &CreatedToken) -> Markup {
    html! {
        div.notice role="status" {
            @match &created.secret {
                Some(secret) => {
                    p { strong { "Copy the token " (created.token.name) " now." } " It is shown only once; Tideline \
                    keeps only its hash." }
                    p.secret { (secret) }
                    button type="button" data-copy=(secret) { "Copy" }
                }
                None => { p { "The token " (created.token.name) " exists already." } }
            }
        }
    }
}

fn row(viewer: &Viewer, token: &Token) -> Markup {
    let now = viewer.now;
    let over = token.revoked_at.is_some() || token.expires_at.is_some_and(|end| end.0 <= now);
    html! {
        tr {
            td.long { (token.name) " " code.soft.wide { (token.id) } }
            td { (token.role) }
            td.wide { @if token.sources.is_empty() { "all" } @else { (token.sources.join(", ")) } }
            td.wide { (ago(token.created_at.0, now)) " by " (token.created_by) }
            td { @match token.last_used_at { Some(used) => { (ago(used.0, now)) } None => { "never" } } }
            td {
                @match (token.revoked_at, token.expires_at) {
                    (Some(revoked), _) => { span.badge.bad { "revoked" } " " (ago(revoked.0, now)) }
                    (None, Some(end)) => { (ago(end.0, now)) }
                    (None, None) => { "never" }
                }
            }
            td {
                @if !over {
                    (Question {
                        path: &format!("/tokens/{}/revoke", encoded(&token.id)),
                        label: "Revoke",
                        text: html! { p { "Anyone who uses the token " strong { (token.name) } " loses access, \
                        including dashboard sessions." } },
                        yes: "Revoke",
                        danger: true,
                        reason: true,
                        fields: &[],
                    })
                }
            }
        }
    }
}

fn form() -> Markup {
    html! {
        section aria-labelledby="create-title" {
            h2 #create-title { "Create a token" }
            form.ask method="post" action="/tokens" {
                div { label for="name" { "Name" } input #name name="name" required maxlength="100" autocomplete="off" placeholder="ci"; }
                div {
                    label for="role" { "Role" }
                    select #role name="role" {
                        option value="read" { "read: look" }
                        option value="operate" { "operate: view, and act on sources, jobs and subscriptions" }
                        option value="push" { "push: write entities of push sources" }
                        option value="admin" { "admin: everything, including tokens" }
                    }
                }
                div { label for="sources" { "Sources, as globs separated by commas; empty: all" } input #sources name="sources" autocomplete="off" placeholder="team-a-*"; }
                div {
                    label for="days" { "Ends" }
                    select #days name="days" {
                        option value="" { "never" }
                        @for days in DAYS { option value=(days) selected[*days == 90] { "after " (super::format::count(*days, "day", "days")) } }
                    }
                }
                div { button.main { "Create" } }
            }
        }
    }
}

async fn create(viewer: Viewer, form: Fields) -> Result<Page, Failure> {
    let globs = form
        .get("sources")
        .split(',')
        .map(str::trim)
        .filter(|glob| !glob.is_empty());
    let mut body = json!({
        "name": form.get("name"), "role": form.get("role"), "sources": globs.collect::<Vec<_>>(),
    });
    if let Some(fields) = body.as_object_mut()
        && !form.get("days").is_empty()
    {
        let days: u64 =
            (form.get("days").parse()).map_err(|_| Problem::new(Code::InvalidRequest, "days must be a number"))?;
        fields.insert("expires_in_seconds".to_owned(), json!(days.saturating_mul(DAY)));
    }
    let answer = viewer.act(Method::POST, "/v1/tokens", Act::with(&body, "")).await?;
    let created: CreatedToken = read(&answer)?;
    let tokens: List<Token> = viewer.get("/v1/tokens").await?;
    Ok(shown(&viewer, &tokens.items, Some(&created)))
}

async fn revoke(viewer: Viewer, Path(id): Path<String>, form: Fields) -> Result<Response, Failure> {
    let reason = super::source::needed(form.get("reason"))?;
    let path = format!("/v1/tokens/{}", encoded(&id));
    viewer.act(Method::DELETE, &path, Act::because(reason)).await?;
    Ok(back_to("/tokens"))
}
