//! Every request has an id and a span.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tideline_runtime::telemetry::context;
use tracing::{Instrument, Span};

/// Its header, of requests and responses.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of an id that is taken from a client.
const MAX_ID: usize = 128;

/// The id of a request: that of its client, or a random one. Responses, spans and the audit log have it.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) String);

/// Gives the request its id, and the response too.
pub(super) async fn identify(mut request: Request, next: Next) -> Response {
    let id = give_id(&mut request);
    let mut response = next.run(request).await;
    show_id(&mut response, id);
    response
}

/// Gives the request its id.
pub(super) fn give_id(request: &mut Request) -> RequestId {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let allowed = |id: &&str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        (1..=MAX_ID).contains(&id.len()) && id.bytes().all(known)
    };
    let id = given
        .filter(allowed)
        .map_or_else(|| format!("{:032x}", rand::random::<u128>()), str::to_owned);
    let id = RequestId(id);
    request.extensions_mut().insert(id.clone());
    id
}

/// Tells the client the id of its request.
pub(super) fn show_id(response: &mut Response, RequestId(id): RequestId) {
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

/// Handles the request in its [`span`].
pub(super) async fn trace(request: Request, next: Next) -> Response {
    let span = span(&request);
    next.run(request).instrument(span).await
}

/// A span per request, child of what its `traceparent` names.
pub(super) fn span(request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let id = request.extensions().get::<RequestId>().map(|id| id.0.as_str());
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{} {}", request.method(), route.unwrap_or("other")),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = route,
        request.id = id,
    );
    let traceparent = request.headers().get("traceparent");
    context::adopt(&span, traceparent.and_then(|value| value.to_str().ok()));
    span
}
