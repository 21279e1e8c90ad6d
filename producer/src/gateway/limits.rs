//! How much the gateway takes on at once, and for how long.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{GatewayState, MAX_BODY, TIMEOUT};
use crate::api::place::Place;
use crate::api::{Code, Problem};

/// Refuses what is too much at once.
pub(super) async fn limit(State(state): State<Arc<GatewayState>>, mut request: Request, next: Next) -> Response {
    match Place::take(&state.requests) {
        Ok(place) => {
            request.extensions_mut().insert(place.clone());
            let response = next.run(request).await;
            drop(place);
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// Refuses a body that is longer than [`MAX_BODY`], as its sender says; the others are cut there by the layer below.
pub(super) async fn body(request: Request, next: Next) -> Response {
    let length = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > MAX_BODY as u64 => {
            Problem::new(Code::BodyTooLarge, format!("a body has at most {MAX_BODY} bytes")).into_response()
        }
        _ => next.run(request).await,
    }
}

/// Gives up what takes too long.
pub(super) async fn time_out(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::Unavailable, "the response took too long").into_response(),
    }
}
