//! A person whose browser opens an address that is none gets a page, not a problem document.

use axum::extract::Request;
use axum::http::header::ACCEPT;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::{Code, Problem};
use crate::dashboard::problem_page;

/// Shows the page. What is below `/v1` is for programs, whoever asks.
pub(super) async fn show(request: Request, next: Next) -> Response {
    let opened = is_opened(&request);
    let response = next.run(request).await;
    match response.status() {
        StatusCode::NOT_FOUND if opened => problem_page(&Problem::new(Code::NotFound, "")),
        StatusCode::UNAUTHORIZED if opened => problem_page(&Problem::new(Code::Unauthenticated, "")),
        _ => response,
    }
}

fn is_opened(request: &Request) -> bool {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    request.method() == Method::GET
        && accepted.is_some_and(|types| types.contains("text/html"))
        && path != "/v1"
        && !path.starts_with("/v1/")
}
