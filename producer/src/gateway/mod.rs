//! The HTTP gateway. A request passes these layers: health and metrics, outside of every limit; the limits; authentication,
//! which puts a [`Principal`](crate::api::Principal) into the request; then the route, whose signature says which role it needs
//! (see [`crate::api`]). Errors are `application/problem+json`. Without a token `/v1` is for programs of this machine only, see
//! [`Access`].

mod authentication;
mod health;
mod limits;
mod requests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tideline_core::clock::Clock;
use tideline_core::words::Secret;
use tideline_queue::Queue;
use tideline_runtime::Runtime;
use tideline_runtime::telemetry::MetricsPage;
use tideline_store::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

pub use authentication::{Access, TOKEN_VARIABLE};

use crate::api::{Api, ApiParts, Code, MAX_WAIT, MAX_WAITERS, Problem};

/// Requests at a time, besides those that wait for changes.
const MAX_REQUESTS: usize = 256;

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Longest a request may take: the longest `wait` and what the store needs.
const TIMEOUT: Duration = Duration::from_secs(MAX_WAIT + 10);

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
    api: Api,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    runtime: Runtime,
    metrics: MetricsPage,
    access: Access,
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
        let api = Api::new(ApiParts {
            store: parts.store,
            queue: Arc::clone(&parts.queue),
            clock: Arc::clone(&parts.clock),
            stop: parts.runtime.stop(),
        });
        let state = Arc::new(GatewayState {
            api,
            queue: parts.queue,
            clock: parts.clock,
            runtime: parts.runtime,
            metrics: parts.metrics,
            access,
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
        let service = router(self.state, self.api).into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(self.listener, service).with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the gateway ended");
        }
    }
}

fn router(state: Arc<GatewayState>, api: bool) -> Router {
    let routes = if api { state.api.router() } else { Router::new() };
    let limited = routes
        .fallback(async || Problem::new(Code::NotFound, ""))
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed, ""))
        .layer(from_fn_with_state(Arc::clone(&state), authentication::authenticate))
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(CompressionLayer::new().gzip(true))
        .layer(from_fn(limits::time_out))
        .layer(from_fn_with_state(Arc::clone(&state), limits::limit))
        .layer(from_fn(requests::trace));
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed, ""))
        .with_state(state)
        .fallback_service(limited)
        .layer(from_fn(requests::identify))
}

#[cfg(test)]
mod tests;
