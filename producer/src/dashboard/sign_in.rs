//! The sign-in page: a form that takes an API token.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use tideline_core::words::Timestamp;

use super::format::encoded;
use super::shell::{brand, document};
use crate::api::{Code, Problem};

/// What the page offers besides an API token.
#[derive(Default)]
pub(crate) struct Door {
    /// The OpenID provider's name, and the address that leads there; where to go afterwards is appended to it.
    pub(crate) provider: Option<(String, String)>,
}

/// The form. `problem`: why the last try failed, or why there is nothing to try.
pub(crate) fn page(door: &Door, next: &str, problem: Option<&Problem>) -> Response {
    let closed = problem.is_some_and(|problem| problem.code == Code::LocalOnly);
    let status = problem.map_or(StatusCode::OK, |problem| {
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNAUTHORIZED)
    });
    let content = html! {
        h1 { "Sign in" }
        @if let Some(problem) = problem { p.error role="alert" { (problem.detail) } }
        @if closed {
            p.soft { "Create a first token on the machine itself, then come back with it:" }
            p { code { "tideline tokens create --name NAME --role admin" } }
        } @else {
            @if let Some((name, address)) = &door.provider {
                a.button.main href={ (address) (encoded(next)) } { "Sign in with " (name) }
                p.or { "or with an API token" }
            }
            form method="post" action="/sign-in" {
                input type="hidden" name="next" value=(next);
                label for="token" { "API token" }
                p {
                    input #token name="token" type="password" required autofocus[door.provider.is_none()] autocomplete="current-password"
                        placeholder="tdl_…" spellcheck="false";
                }
                button.main[door.provider.is_none()] { "Sign in" }
            }
            p.soft {
                "The token stays with the server; your browser keeps a session that ends after twelve hours, when you sign out, or "
                "when the token is revoked."
            }
        }
    };
    (status, html_type(), framed("Sign in", content).into_string()).into_response()
}

/// A link from another site was followed: browsers then leave the session's cookie out. Asking again from our own page
/// sends it.
pub(crate) fn leave_and_return(path: &str) -> Response {
    let content = html! {
        meta http-equiv="refresh" content={ "0; url=" (path) };
        p { a href=(path) { "Continue to Tideline" } }
    };
    (html_type(), framed("Tideline", content).into_string()).into_response()
}

fn html_type() -> [(axum::http::HeaderName, &'static str); 1] {
    [(CONTENT_TYPE, "text/html; charset=utf-8")]
}

fn framed(title: &str, content: Markup) -> Markup {
    document(
        title,
        Timestamp(0),
        html! { div.door { main.card #content { (brand()) (content) } } },
    )
}
