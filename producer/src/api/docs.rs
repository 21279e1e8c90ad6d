//! The OpenAPI document and a page that shows it: `/openapi.json` and `/docs`. The page loads nothing from other hosts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::routing::get;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{Content, OpenApi, PathItem, Ref, RefOr, ResponseBuilder};

use super::problem::Code;

/// Problems that every operation may respond with.
const EVERYWHERE: &[Code] = &[
    Code::InvalidRequest,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::TooManyAttempts,
    Code::Internal,
    Code::Unavailable,
];

/// Problems of operations on one record.
const ON_A_RECORD: &[Code] = &[Code::NotFound];

/// Problems of operations that act.
const OF_ACTS: &[Code] = &[
    Code::RequestTimeout,
    Code::Conflict,
    Code::PreconditionFailed,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::IdempotencyKeyReused,
];

/// Gives every operation a unique id, such as `sources_approve`: generated clients name their functions after it.
pub(super) fn name_operations(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let noun = path
            .split('/')
            .find(|part| !["", "v1"].contains(part))
            .unwrap_or_default();
        let noun = noun.replace('-', "_");
        for (_, operation) in operations_mut(item) {
            let act = operation.operation_id.take().unwrap_or_default();
            let id = if act == noun { act } else { format!("{noun}_{act}") };
            operation.operation_id = Some(id);
        }
    }
}

/// Adds to every operation the problems that it may respond with.
pub(super) fn describe_problems(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let on_a_record = path.contains('{') || path.ends_with("/why") || path.ends_with("/configuration");
        for (method, operation) in operations_mut(item) {
            let mut codes = EVERYWHERE.to_vec();
            if on_a_record || method != "get" || names_a_source(operation) {
                codes.extend_from_slice(ON_A_RECORD);
            }
            if method != "get" {
                codes.extend_from_slice(OF_ACTS);
            }
            if path.ends_with("/changes") || path.ends_with("/events/log") {
                codes.push(Code::StartOver);
            }
            describe(operation, &codes);
        }
    }
}

/// Whether it has a filter by source: an unknown source is an error, not an empty list.
fn names_a_source(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| parameter.parameter_in == ParameterIn::Query && parameter.name == "source")
}

fn describe(operation: &mut Operation, codes: &[Code]) {
    let mut statuses: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes {
        statuses.entry(code.status()).or_default().push(code.title());
    }
    for (status, titles) in statuses {
        let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
        let response = ResponseBuilder::new()
            .description(titles.join("; "))
            .content("application/problem+json", content)
            .build();
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_string()).or_insert(RefOr::T(response));
    }
}

pub(super) fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", item.get.as_mut()),
        ("put", item.put.as_mut()),
        ("post", item.post.as_mut()),
        ("delete", item.delete.as_mut()),
        ("patch", item.patch.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// The operations of a path, with their methods.
pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    [
        ("get", item.get.as_ref()),
        ("put", item.put.as_ref()),
        ("post", item.post.as_ref()),
        ("delete", item.delete.as_ref()),
        ("patch", item.patch.as_ref()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

pub(super) fn router(document: &OpenApi) -> Router {
    let json: Arc<str> = document.to_pretty_json().unwrap_or_default().into();
    let page: Arc<str> = page(document).into();
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    Router::new()
        .route(
            "/openapi.json",
            get(async move || ([(CONTENT_TYPE, "application/json")], json.to_string())),
        )
        .route(
            "/docs",
            get(async move || {
                let headers = [
                    (CONTENT_TYPE, "text/html; charset=utf-8"),
                    (CONTENT_SECURITY_POLICY, policy),
                ];
                (headers, page.to_string())
            }),
        )
}

/// The role that an operation needs.
pub(super) fn role_of(operation: &Operation) -> Option<String> {
    let security = serde_json::to_value(operation.security.as_ref()?).ok()?;
    security.get(0)?.get("token")?.get(0)?.as_str().map(str::to_owned)
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
code{font-family:ui-monospace,monospace}summary{cursor:pointer;padding:.3rem 0}details{border-bottom:1px solid #ddd}\
b{display:inline-block;min-width:4.5rem}small{color:#666}li{margin:.2rem 0}\
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}details{border-color:#333}small{color:#aaa}}";

fn page(document: &OpenApi) -> String {
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Tideline API</title><style>{STYLE}</style>\
         <h1>Tideline API</h1><p>Machine-readable: <a href=/openapi.json>/openapi.json</a>. Send \
         <code>Authorization: Bearer tdl_…</code>.</p>"
    );
    let mut tags: BTreeMap<&str, String> = BTreeMap::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations(item) {
            let tag = operation.tags.iter().flatten().next().map_or("other", String::as_str);
            write_operation(tags.entry(tag).or_default(), method, path, operation);
        }
    }
    for (tag, operations) in tags {
        let _ = write!(html, "<h2>{}</h2>{operations}", escape(tag));
    }
    html.push_str("<h2>Problems</h2><ul>");
    for code in Code::ALL {
        let _ = write!(
            html,
            "<li><code>{}</code> {} <small>{}</small></li>",
            code.as_str(),
            code.status(),
            escape(code.explanation())
        );
    }
    html.push_str("</ul></html>");
    html
}

fn write_operation(html: &mut String, method: &str, path: &str, operation: &Operation) {
    let role = role_of(operation).unwrap_or_default();
    let summary = operation.summary.as_deref().unwrap_or_default();
    let _ = write!(
        html,
        "<details><summary><b>{}</b><code>{}</code> <small>{role}</small><br>{}</summary>",
        method.to_uppercase(),
        escape(path),
        escape(summary)
    );
    if let Some(description) = &operation.description {
        let _ = write!(html, "<p>{}</p>", escape(description));
    }
    html.push_str("<ul>");
    for parameter in operation.parameters.iter().flatten() {
        let place = match parameter.parameter_in {
            ParameterIn::Path => "path",
            ParameterIn::Query => "query",
            ParameterIn::Header => "header",
            ParameterIn::Cookie => "cookie",
        };
        let _ = write!(
            html,
            "<li><code>{}</code> <small>{place}</small> {}</li>",
            escape(&parameter.name),
            escape(parameter.description.as_deref().unwrap_or_default())
        );
    }
    for (status, response) in &operation.responses.responses {
        let description = match response {
            RefOr::T(response) => response.description.as_str(),
            RefOr::Ref(_) => "",
        };
        let _ = write!(html, "<li><code>{status}</code> {}</li>", escape(description));
    }
    html.push_str("</ul></details>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
