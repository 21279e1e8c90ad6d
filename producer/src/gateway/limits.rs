//! Limits on concurrent requests and their duration.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::Limited;

use super::requests::{give_id, show_id};
use super::{GatewayState, MAX_BODY, TIMEOUT};
use crate::api::place::Place;
use crate::api::{Code, Problem};

/// Gives a request its id and a place among the concurrent ones; refuses excess requests, and aborts those that take
/// too long. One layer for all three: each layer takes memory for as long as a request waits for changes, and thousands
/// may.
pub(super) async fn admit(State(state): State<Arc<GatewayState>>, mut request: Request, next: Next) -> Response {
    let id = give_id(&mut request);
    let mut response = match Place::take(&state.requests) {
        // No name contains NUL, and Postgres accepts no text with one.
        _ if has_nul(request.uri()) => {
            Problem::new(Code::InvalidRequest, "the URL has a NUL character").into_response()
        }
        Ok(place) => {
            request.extensions_mut().insert(place.clone());
            let answered = tokio::time::timeout(TIMEOUT, next.run(request)).await;
            drop(place);
            answered.unwrap_or_else(|_| Problem::new(Code::Unavailable, "the response took too long").into_response())
        }
        Err(problem) => problem.into_response(),
    };
    show_id(&mut response, id);
    response
}

fn has_nul(uri: &Uri) -> bool {
    uri.path_and_query().is_some_and(|parts| parts.as_str().contains("%00"))
}

/// Bounds the body of a request.
pub(super) async fn body(request: Request, next: Next) -> Response {
    match bounded(request) {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The request, whose body ends with an error after [`MAX_BODY`].
///
/// # Errors
/// The announced length of the body is larger.
pub(super) fn bounded(request: Request) -> Result<Request, Problem> {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok());
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > MAX_BODY as u64 => {
            let detail = format!("a body has at most {MAX_BODY} bytes");
            Err(Problem::new(Code::BodyTooLarge, detail))
        }
        _ => Ok(request.map(|body| Body::new(Limited::new(body, MAX_BODY)))),
    }
}
