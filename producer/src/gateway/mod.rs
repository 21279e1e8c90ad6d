//! The HTTP gateway: `/livez`, `/readyz`, `/metrics`, and below `/v1` what programs may read and command. Errors are
//! `application/problem+json`. Without a bearer token `/v1` is for programs of this machine only, see [`Access`].

mod access;
mod feed;
mod health;
mod problem;
mod sources;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tideline_core::clock::Clock;
use tideline_core::words::Secret;
use tideline_queue::Queue;
use tideline_runtime::Runtime;
use tideline_runtime::telemetry::{MetricsPage, context};
use tideline_store::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument;

pub use access::{Access, TOKEN_VARIABLE};

use self::problem::Problem;
use crate::Producer;

/// Requests at a time, besides those that wait for changes.
const MAX_REQUESTS: usize = 256;

/// Requests that may wait for changes.
const MAX_WAITERS: usize = 64;

/// Largest body of a request, in bytes: commands need none.
const MAX_BODY: usize = 64 * 1024;

/// Longest a request may take: the longest `wait` and what the store needs.
const TIMEOUT: Duration = Duration::from_secs(feed::MAX_WAIT + 10);

/// What the gateway stands on.
pub struct GatewayParts {
    /// Read and commanded.
    pub store: Arc<dyn Store>,
    /// Its health is shown, and it wakes schedulers.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whose loops `/livez` shows; its stop ends the gateway.
    pub runtime: Runtime,
    /// `/metrics`.
    pub metrics: MetricsPage,
    /// Whether there is a `/v1`; without it only health and metrics (workers and schedulers).
    pub api: bool,
    /// Bearer token for `/v1`, from [`TOKEN_VARIABLE`].
    pub token: Option<Secret>,
}

struct GatewayState {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    runtime: Runtime,
    metrics: MetricsPage,
    producer: Producer,
    access: Access,
    waiters: Semaphore,
    requests: Semaphore,
}

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
#[error("listen: cannot listen on {address}; choose another address, or stop what uses it")]
pub struct ListenError {
    address: String,
    #[source]
    source: std::io::Error,
}

/// A gateway that listens, and does not answer yet.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    api: bool,
    state: Arc<GatewayState>,
}

impl Gateway {
    /// Listens on `host:port` (port 0: any that is free).
    ///
    /// # Errors
    /// The address is wrong, in use, or not this machine's.
    pub async fn bind(listen: &str, parts: GatewayParts) -> Result<Self, ListenError> {
        let failed = |source| ListenError {
            address: listen.to_owned(),
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let access = Access::new(parts.token, address.ip());
        if parts.api && matches!(access, Access::Closed) {
            tracing::warn!(
                %address,
                "/v1 is closed: others can reach this address, and {TOKEN_VARIABLE} is not set"
            );
        }
        let state = Arc::new(GatewayState {
            producer: Producer::new(
                Arc::clone(&parts.store),
                Arc::clone(&parts.queue),
                Arc::clone(&parts.clock),
            ),
            store: parts.store,
            queue: parts.queue,
            clock: parts.clock,
            runtime: parts.runtime,
            metrics: parts.metrics,
            access,
            waiters: Semaphore::new(MAX_WAITERS),
            requests: Semaphore::new(MAX_REQUESTS + MAX_WAITERS),
        });
        Ok(Self {
            listener,
            address,
            api: parts.api,
            state,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the soft stop; requests that are being answered then are finished.
    pub async fn serve(self) {
        let stop = self.state.runtime.stop();
        let serving = axum::serve(self.listener, router(self.state, self.api))
            .with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the gateway ended");
        }
    }
}

fn router(state: Arc<GatewayState>, api: bool) -> Router {
    let v1 = Router::new()
        .route("/sources", get(sources::list))
        .route("/sources/{name}", get(sources::show))
        .route("/sources/{name}/{command}", post(sources::command))
        .route("/changes", get(feed::changes))
        .route("/entities", get(feed::entities))
        .layer(from_fn_with_state(Arc::clone(&state), access::guard));
    let with_api = if api {
        Router::new().nest("/v1", v1)
    } else {
        Router::new()
    };
    with_api
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, ""))
        .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, ""))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
        .layer(from_fn(trace))
        .layer(from_fn_with_state(Arc::clone(&state), limit))
        .with_state(state)
}

/// A span per request, child of what its `traceparent` names.
async fn trace(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{} {}", request.method(), route.unwrap_or("other")),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = route,
    );
    let traceparent = request.headers().get("traceparent");
    context::adopt(&span, traceparent.and_then(|value| value.to_str().ok()));
    next.run(request).instrument(span).await
}

/// Refuses what is too much at once.
async fn limit(State(state): State<Arc<GatewayState>>, request: Request, next: Next) -> Response {
    match state.requests.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once").into_response(),
    }
}

#[cfg(test)]
mod tests;
