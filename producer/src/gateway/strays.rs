//! A person whose browser opens an unknown address gets a page, not a problem document.

use axum::extract::{MatchedPath, Request};
use axum::http::header::ACCEPT;
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::{GatewayState, sessions};
use crate::api::{Code, Problem};
use crate::dashboard::{problem_page, protected};

/// The page that is shown instead of a problem document, if `opened`.
pub(super) fn shown(response: Response, opened: bool) -> Response {
    match response.status() {
        StatusCode::NOT_FOUND if opened => problem_page(&Problem::new(Code::NotFound, "")),
        StatusCode::UNAUTHORIZED if opened => problem_page(&Problem::new(Code::Unauthenticated, "")),
        _ => response,
    }
}

/// Whether an address has no route.
pub(super) fn is_stray(request: &Request) -> bool {
    request.extensions().get::<MatchedPath>().is_none()
}

/// What a person sees at such an address: that there is no such page or, without a session, the way to the sign-in page.
pub(super) async fn page(state: &GatewayState, mut request: Request) -> Response {
    match sessions::look(state, &mut request).await {
        Ok(()) => problem_page(&Problem::new(Code::NotFound, "")),
        Err(refusal) => protected(refusal),
    }
}

/// Returns true if a person opens this address in a browser. Addresses below `/v1` are always for programs.
pub(super) fn is_opened(request: &Request) -> bool {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    request.method() == Method::GET
        && accepted.is_some_and(|types| types.contains("text/html"))
        && path != "/v1"
        && !path.starts_with("/v1/")
}
