//! The HTTP gateway. A request passes these layers: health and metrics, outside of every limit; the limits;
//! authentication, which puts a [`Principal`](crate::api::Principal) into the request; then the route, whose signature
//! names the role it needs (see [`crate::api`]). Errors are `application/problem+json`. The dashboard's pages are
//! separate: there, a session stands for the token ([`sessions`]). Without a token, `/v1` is only for programs on this
//! machine, see [`Access`].

mod authentication;
mod gauges;
mod health;
mod limits;
mod oidc;
mod requests;
mod server;
mod sessions;
mod strays;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get};
use tideline_config::settings::Settings;
use tideline_core::clock::Clock;
use tideline_core::words::Secret;
use tideline_queue::Queue;
use tideline_runtime::Runtime;
use tideline_runtime::telemetry::MetricsPage;
use tideline_store::Store;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::compression::{CompressionLayer, CompressionLevel};

pub use authentication::{Access, TOKEN_VARIABLE};

use self::gauges::Gauges;
use self::oidc::Oidc;
use self::server::ConnectionLimits;
use self::sessions::Sessions;
pub(crate) use self::sessions::address_of;
use self::tokens::Tokens;
use crate::api::{Api, ApiParts, Code, MAX_WAIT, NDJSON, Planner, Problem};
use crate::compat;
use crate::dashboard::{self, Dashboard};
use crate::hooks::Hooks;
use crate::locations;

/// Maximum number of concurrent requests, besides those that wait for changes.
const MAX_REQUESTS: usize = 256;

/// Maximum size of a request body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Time limit of a request: the longest `wait` and what the store needs.
const TIMEOUT: Duration = Duration::from_secs(MAX_WAIT + 10);

/// Dependencies of the gateway.
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
    /// Token of the first administrator, from [`TOKEN_VARIABLE`].
    pub token: Option<Secret>,
    /// The configuration, shown without secrets.
    pub settings: Option<Arc<Settings>>,
    /// Reads sources for plans; none: this process makes no plans.
    pub planner: Option<Arc<dyn Planner>>,
    /// `/hooks`, which has its own limits.
    pub hooks: Option<Arc<Hooks>>,
}

struct GatewayState {
    api: Api,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    runtime: Runtime,
    metrics: MetricsPage,
    access: Access,
    tokens: Tokens,
    sessions: Sessions,
    oidc: Option<Oidc>,
    requests: Arc<Semaphore>,
    /// Whether this process serves `/v1`.
    serves_api: bool,
    gauges: Gauges,
}

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
#[error("listen: cannot listen on {address}; choose a different address, or stop the program that uses it")]
pub struct ListenError {
    address: String,
    #[source]
    source: std::io::Error,
}

/// A gateway that is listening but not serving yet.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    api: bool,
    limits: ConnectionLimits,
    hooks: Option<Arc<Hooks>>,
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
        let listener = server::listen(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let access = Access::new(parts.token, address.ip());
        if parts.api && matches!(access, Access::Closed) {
            tracing::warn!(
                %address,
                "/v1 is open to API tokens only: others can reach this address, and {TOKEN_VARIABLE} is not set"
            );
        }
        let tokens = Tokens::new(Arc::clone(&parts.store), Arc::clone(&parts.clock));
        let oidc = parts.settings.as_deref().and_then(|settings| {
            let (oidc, public_url) = (settings.dashboard.oidc.as_ref()?, settings.public_url.as_ref()?);
            Some(Oidc::new(oidc, public_url, Arc::clone(&parts.clock)))
        });
        let api = Api::new(ApiParts {
            store: parts.store,
            queue: Arc::clone(&parts.queue),
            clock: Arc::clone(&parts.clock),
            settings: parts.settings,
            planner: parts.planner,
            stop: parts.runtime.stop(),
        });
        let state = Arc::new(GatewayState {
            api,
            queue: parts.queue,
            clock: parts.clock,
            runtime: parts.runtime,
            metrics: parts.metrics,
            access,
            tokens,
            sessions: Sessions::default(),
            oidc,
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            serves_api: parts.api,
            gauges: Gauges::default(),
        });
        Ok(Self {
            listener,
            address,
            api: parts.api,
            limits: ConnectionLimits::default(),
            hooks: parts.hooks,
            state,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the soft stop, then finishes the requests in flight.
    pub async fn serve(self) {
        let stop = self.state.runtime.stop();
        let mut revoked = self.state.api.state.revoked.subscribe();
        let state = Arc::clone(&self.state);
        let forgetting = async move {
            while revoked.changed().await.is_ok() {
                state.tokens.forget();
            }
        };
        let above = health(Arc::clone(&self.state)).fallback_service(
            any(async || Problem::new(Code::Overloaded, "too many connections")).layer(from_fn(requests::identify)),
        );
        let mut routes = router(self.state, self.api);
        if let Some(hooks) = &self.hooks {
            // Outside of the API's layers: hooks have their own limits, and webhooks are verified by signature instead
            // of a token.
            routes = hooks.router().fallback_service(routes);
        }
        tokio::select! {
            () = server::serve(self.listener, routes, above, self.limits, stop) => {}
            () = forgetting => {}
        }
    }
}

/// Routes without limits.
fn health(state: Arc<GatewayState>) -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed, ""))
        .layer(from_fn(requests::identify))
        .with_state(state)
}

fn router(state: Arc<GatewayState>, api: bool) -> Router {
    let health = health(Arc::clone(&state));
    let not_found = async || Problem::new(Code::NotFound, "");
    let routes = if api {
        state.api.router().merge(compat::router(&state.api))
    } else {
        Router::new()
    };
    let protected = routes
        .fallback(not_found)
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed, ""))
        .layer(from_fn_with_state(Arc::clone(&state), authentication::authenticate));
    let open = if api {
        state
            .api
            .docs()
            .merge(pages(&state))
            .merge(locations::router(&state.api))
            .layer(from_fn(limits::body))
    } else {
        Router::new()
    };
    let lines_pass = DefaultPredicate::new().and(NotForContentType::const_new(NDJSON));
    // Catalogs compress well at any level, and a list should be written faster than it is read.
    let compression = CompressionLayer::new().gzip(true).quality(CompressionLevel::Fastest);
    let limited = open
        .fallback_service(protected)
        // A plan is read line by line while it is made: a compressor would hold lines back.
        .layer(compression.compress_when(lines_pass))
        .layer(from_fn_with_state(state, limits::admit));
    health.fallback_service(limited)
}

/// The dashboard, and its sign-in.
fn pages(state: &Arc<GatewayState>) -> Router {
    let pages = Dashboard::new(&state.api)
        .pages()
        .layer(from_fn_with_state(Arc::clone(state), sessions::admit))
        .layer(from_fn(requests::trace));
    dashboard::secured(
        pages
            .merge(sessions::router(state))
            .merge(oidc::router(state))
            .merge(dashboard::assets()),
    )
}

#[cfg(test)]
mod event_bus_tests;
#[cfg(test)]
mod oidc_tests;
#[cfg(test)]
mod sessions_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod token_tests;
