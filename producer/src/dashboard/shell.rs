//! The frame of every page: head, navigation, keyboard help.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use tideline_core::words::{Role, Timestamp};

use super::assets::{ICON, SCRIPT, STYLE};
use super::viewer::Viewer;
use crate::api::{Code, Problem};

/// A part of the dashboard, as the navigation lists it.
pub(super) struct Part {
    path: &'static str,
    name: &'static str,
    /// `g` and this letter goes there.
    key: &'static str,
    role: Role,
    whole_store: bool,
    gap: bool,
}

impl Part {
    const fn after_a_gap(mut self) -> Self {
        self.gap = true;
        self
    }
}

/// All parts.
const PARTS: &[Part] = &[
    part("/", "Overview", "o", Role::Read, false),
    part("/catalog", "Catalog", "c", Role::Read, false).after_a_gap(),
    part("/changes", "Changes", "h", Role::Read, false),
    part("/events", "Events", "e", Role::Read, true).after_a_gap(),
    part("/hooks", "Hooks", "k", Role::Read, true),
    part("/subscriptions", "Subscriptions", "s", Role::Read, true),
    part("/targets", "Targets", "m", Role::Read, true),
    part("/jobs", "Jobs", "j", Role::Read, false).after_a_gap(),
    part("/operations", "Operations", "p", Role::Read, false),
    part("/audit", "Audit", "a", Role::Operate, false),
    part("/tokens", "Tokens", "t", Role::Admin, true),
];

const fn part(path: &'static str, name: &'static str, key: &'static str, role: Role, whole_store: bool) -> Part {
    Part {
        path,
        name,
        key,
        role,
        whole_store,
        gap: false,
    }
}

/// A page.
pub(super) struct Page {
    status: StatusCode,
    markup: Markup,
}

impl Page {
    /// The document.
    pub(super) fn into_html(self) -> String {
        self.markup.into_string()
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let html = [(CONTENT_TYPE, "text/html; charset=utf-8")];
        (self.status, html, self.markup.into_string()).into_response()
    }
}

/// A page for a viewer. `part` is the path of the part that it belongs to.
pub(super) fn page(viewer: &Viewer, part: &str, title: &str, content: Markup) -> Page {
    let parts = PARTS
        .iter()
        .filter(|part| viewer.may(part.role) && (!part.whole_store || viewer.sees_all()));
    let markup = document(
        title,
        viewer.now,
        html! {
            div.frame {
                header.bar {
                    (brand())
                    nav aria-label="Parts" {
                        ul {
                            @for entry in parts {
                                li.gap[entry.gap] {
                                    a href=(entry.path) data-key=(entry.key) aria-current=[(entry.path == part).then_some("page")] {
                                        (entry.name) kbd aria-hidden="true" { "g " (entry.key) }
                                    }
                                }
                            }
                        }
                    }
                    div.who {
                        span.name title={ "Role " (viewer.principal.role) } {
                            (viewer.principal.actor.name) " · " (viewer.principal.role)
                        }
                        @if viewer.signed_in {
                            form method="post" action="/sign-out" { button.quiet { "Sign out" } }
                        }
                    }
                }
                main #content { (content) }
            }
            (keys())
        },
    );
    Page {
        status: StatusCode::OK,
        markup,
    }
}

/// The whole document.
pub(super) fn document(title: &str, now: Timestamp, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Tideline" }
                link rel="stylesheet" href=(STYLE.path);
                link rel="icon" href=(ICON.path) type="image/svg+xml";
                script src=(SCRIPT.path) defer {}
            }
            body data-now=(now.0) {
                a.skip href="#content" { "Skip to content" }
                (body)
            }
        }
    }
}

/// The name, with a link to the start page.
pub(super) fn brand() -> Markup {
    html! {
        a.brand href="/" {
            svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true" {
                path d="M2 7c3.3-3 6.7-3 10 0s6.7 3 10 0" {}
                path d="M2 13c3.3-3 6.7-3 10 0s6.7 3 10 0" opacity=".6" {}
                path d="M2 19c3.3-3 6.7-3 10 0s6.7 3 10 0" opacity=".3" {}
            }
            "Tideline"
        }
    }
}

/// The help that `?` shows.
fn keys() -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl.facts {
                dt { kbd { "/" } } dd { "Search" }
                dt { kbd { "p" } } dd { "Pause or resume live updates" }
                @for part in PARTS {
                    dt { kbd { "g" } " " kbd { (part.key) } } dd { (part.name) }
                }
                dt { kbd { "?" } } dd { "This list" }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// A problem as a page, with next steps.
pub(super) fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let markup = document(
        &problem.title,
        Timestamp(0),
        html! {
            div.door {
                main.card #content {
                    (brand())
                    h1 { (problem.title) }
                    @if !problem.detail.is_empty() { p.error role="alert" { (problem.detail) } }
                    p.soft { (what_next(problem.code)) }
                    div.actions { a.button.main href="/" { "Overview" } }
                }
            }
        },
    );
    Page { status, markup }.into_response()
}

/// Next steps, for a person; the API's own text is for programs.
fn what_next(code: Code) -> &'static str {
    match code {
        Code::InvalidRequest | Code::UnknownField | Code::InvalidPageToken => "Go back, correct it and try again.",
        Code::Unauthenticated => "Sign in, then open this page again.",
        Code::LocalOnly => "Open it on the machine that Tideline runs on, or ask its administrator for an API token.",
        Code::NotFound | Code::MethodNotAllowed => "The address may be misspelled, or the page no longer exists.",
        Code::UnknownSource => "It may be misspelled, or deleted. The overview shows all sources that you can see.",
        Code::TooManyAttempts => "Wait a few minutes, then try again.",
        Code::SourceUnreadable | Code::PlanTimeout => "Plan it again later, or let the next cycle read the source.",
        Code::Forbidden => "Sign in with a token that has this role, or ask someone who has one.",
        Code::Conflict | Code::PreconditionFailed => {
            "Someone or something changed it first. Go back, review the current state, and decide again."
        }
        Code::Unavailable | Code::Overloaded => "Nothing was lost. Reload in a moment.",
        _ => code.explanation(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_is_told_is_not_the_reference_of_the_api() {
        // Nothing that a page asks for has these.
        let others = [Code::StartOver, Code::UnsupportedMediaType, Code::IdempotencyKeyReused];
        for code in Code::ALL.iter().filter(|code| !others.contains(code)) {
            let text = what_next(*code);
            assert!(!text.contains('`') && !text.is_empty(), "{code:?}: {text}");
        }
    }
}
