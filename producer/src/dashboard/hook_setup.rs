//! How a hook is set up, and what a person does about it at the provider: verify, register, another secret. `/hooks/NAME` takes
//! webhooks, so acts are posted to `/hooks?name=NAME&act=…`.

use axum::http::Method;
use maud::{Markup, html};
use serde_json::json;
use tideline_core::words::Role;

use super::format::{bytes, count, encoded};
use super::hooks::path_of;
use super::parts::{Question, labelled};
use super::shell::{Page, page};
use super::source::needed;
use super::viewer::{Act, Failure, Fields, Query, Viewer, read};
use crate::api::hook_webhooks::{HookWebhooks, Webhook};
use crate::api::types::Hook;
use crate::api::{Code, Problem};

/// The facts, and the buttons.
pub(super) fn setup(viewer: &Viewer, hook: &Hook) -> Markup {
    html! {
        section aria-labelledby="setup-title" {
            h2 #setup-title { "Set-up" }
            dl.facts.card {
                dt { "Path" } dd { code { (hook.path) } }
                dt { "Signature" } dd { @if hook.verifies { "verified" } @else { "not verified: whoever knows the path may send" } }
                dt { "Secret" } dd { @if hook.makes_secret { "made by Tideline, sealed in its store" } @else if hook.verifies { "in the configuration" } @else { "none" } }
                dt { "Topics" } dd { @match &hook.topic { Some(topic) => { code { (topic) } } None => { code { (hook.name) ".*" } ", as the provider names its events" } } }
                dt { "Largest body" } dd { (bytes(hook.max_body_bytes)) }
                dt { "Missed webhooks" } dd { @if hook.repairs { "asked for at the provider" } @else { "not asked for" } }
                @if let Some(place) = &hook.webhooks_at { dt { "Webhooks at" } dd { (place) } }
            }
            (acts(viewer, hook))
            @if hook.day.unproven > 0 {
                p.soft { (count(hook.day.unproven, "webhook", "webhooks")) " of the last 24 hours did not have a signature that fits. Nothing of them is kept." }
            }
        }
    }
}

fn acts(viewer: &Viewer, hook: &Hook) -> Markup {
    let registers = matches!(hook.provider.as_str(), "github" | "terraform");
    let path = |act: &str| format!("{}&act={act}", path_of(&hook.name));
    let known = hook.webhooks_at.as_deref();
    let admin = viewer.may(Role::Admin);
    let register = if hook.makes_secret {
        "Register with another secret"
    } else {
        "Register"
    };
    html! {
        @if let Some(place) = known.filter(|_| viewer.may(Role::Operate)) {
            div.actions {
                form method="post" action=(path("verify")) { button { "Verify" } }
                @if admin {
                    (Question {
                        path: &path("register"),
                        label: "Register",
                        text: html! { p { "Makes the webhook at " (place) ", or updates it: address, events and secret are as they should be." } },
                        yes: "Register",
                        danger: false,
                        reason: false,
                        fields: &[],
                    })
                }
                @if admin && hook.makes_secret {
                    (Question {
                        path: &path("rotate"),
                        label: "Rotate the secret",
                        text: html! { p {
                            "Makes another secret and gives it to " (place) ". Webhooks signed with the present one are still accepted until the "
                            "next rotation; those signed with an older one are not."
                        } },
                        yes: "Rotate",
                        danger: true,
                        reason: true,
                        fields: &[],
                    })
                }
            }
            p.soft { "Verify has the provider send a test to each webhook, which then shows among the newest." }
        }
        @if registers {
            (labelled("Verify in a terminal", &format!("tideline hooks verify {} --hook {}", hook.provider, hook.name)))
            (labelled(register, &format!("tideline hooks register {}{} --hook {}", if hook.makes_secret { "--rotate " } else { "" }, hook.provider, hook.name)))
            @if known.is_none() {
                p.soft {
                    "To do that from here, the configuration must have " code { "public_url" } " and "
                    @if hook.provider == "github" { code { "repair" } " of this hook." } @else { "one source of type " code { "terraform" } "." }
                }
            }
        }
        @if hook.verifies && !hook.makes_secret {
            p.soft {
                "To rotate the secret, add the new one as " code { "next_secret" } ", give it to the provider, then make it "
                code { "secret" } ". To rotate the path, change " code { "path_id" } " and register again."
            }
        }
    }
}

/// Does one of the acts and shows what the provider said.
pub(super) async fn act(viewer: Viewer, Query(query): Query, form: Fields) -> Result<Page, Failure> {
    let name = query.get("name");
    let path = |act: &str| format!("/v1/hooks/{}/{act}", encoded(name));
    let reason = form.get("reason");
    let (path, act) = match query.get("act") {
        "verify" => (path("verify"), Act::because(reason)),
        "register" => (path("register"), Act::with(&json!({"rotate": false}), reason)),
        "rotate" => (path("register"), Act::with(&json!({"rotate": true}), needed(reason)?)),
        _ => return Err(Problem::new(Code::InvalidRequest, "act takes verify, register or rotate").into()),
    };
    let answer = viewer.act(Method::POST, &path, act).await?;
    let done: HookWebhooks = read(&answer)?;
    let content = html! {
        header.page {
            h1 { a.crumb href="/hooks" { "Hooks / " } a.crumb href=(path_of(name)) { (name) " / " } "Webhooks" }
            p { "What the provider answered" }
        }
        @for error in &done.errors { p.notice.bad { (error) } }
        @if done.webhooks.is_empty() && done.errors.is_empty() {
            p.empty { "No webhook at the provider has this hook's address. Register it first." }
        }
        @if !done.webhooks.is_empty() { (webhooks(&done.webhooks)) }
        div.actions { a.button.main href=(path_of(name)) { "Back to the hook" } }
    };
    Ok(page(&viewer, "/hooks", name, content))
}

fn webhooks(all: &[Webhook]) -> Markup {
    html! {
        div.scroll tabindex="0" { table {
            thead { tr { th { "Place" } th { "Id" } th { "Done" } th.wide { "Events" } th { "Test or last delivery" } } }
            tbody { @for webhook in all { tr {
                td { (webhook.place) }
                td { code { (webhook.id) } }
                td { (webhook.outcome) @if !webhook.enabled { " " span.badge.warn { "disabled there" } } }
                td.wide { (webhook.events.join(", ")) }
                td { (webhook.last.as_deref().unwrap_or("–")) }
            } } }
        } }
    }
}
