//! The API of `/v1`: one file per noun, each a function that returns a router. The same router answers the gateway over HTTP
//! and the command line inside its own process ([`Api::call`]). Who asks is a [`Principal`] in the request's extensions; which
//! role a route needs is in its handler's signature ([`By`]). The OpenAPI document is made from the routes.

mod changes;
mod entities;
pub mod extract;
pub mod page;
pub mod problem;
mod push;
pub mod role;
mod sources;
pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use tideline_core::clock::Clock;
use tideline_queue::Queue;
use tideline_store::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

pub use self::problem::{Code, Problem};
pub use self::role::{By, Principal, SourceScope};
use crate::Producer;

pub(crate) use self::changes::MAX_WAIT;

/// Requests that may wait for changes.
pub(crate) const MAX_WAITERS: usize = 64;

/// A router of one noun.
pub(crate) type ApiRouter = OpenApiRouter<Arc<ApiState>>;

/// What the API stands on.
pub struct ApiParts {
    /// Read and commanded.
    pub store: Arc<dyn Store>,
    /// Carries hints and wake-ups.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ends requests that wait.
    pub stop: CancellationToken,
}

pub(crate) struct ApiState {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) producer: Producer,
    pub(crate) stop: CancellationToken,
    pub(crate) waiters: Semaphore,
}

/// The API, to be asked over HTTP or inside this process.
#[derive(Clone)]
pub struct Api {
    router: Router,
    document: Arc<utoipa::openapi::OpenApi>,
    pub(crate) state: Arc<ApiState>,
}

impl Api {
    /// On these parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        let state = Arc::new(ApiState {
            producer: Producer::new(Arc::clone(&parts.store), parts.queue, Arc::clone(&parts.clock)),
            clock: parts.clock,
            store: parts.store,
            stop: parts.stop,
            waiters: Semaphore::new(MAX_WAITERS),
        });
        let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
            .nest("/v1", nouns())
            .split_for_parts();
        Self {
            router: router.with_state(Arc::clone(&state)),
            document: Arc::new(document),
            state,
        }
    }

    /// The routes, without authentication: every request needs a [`Principal`] in its extensions.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The OpenAPI document.
    #[must_use]
    pub fn document(&self) -> &utoipa::openapi::OpenApi {
        &self.document
    }

    /// Answers a request inside this process.
    pub async fn call(&self, principal: Principal, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(principal);
        match self.router().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// All nouns. A new one gets a line here.
fn nouns() -> ApiRouter {
    OpenApiRouter::new()
        .merge(sources::router())
        .merge(entities::router())
        .merge(push::router())
        .merge(changes::router())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Tideline", description = "Sources, jobs, catalog and change feed of a Tideline fleet.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    modifiers(&TokenScheme),
    components(schemas(problem::Problem)),
)]
struct Document;

struct TokenScheme;

impl utoipa::Modify for TokenScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API token, `tdl_…`. The scopes are the roles of tokens."))
            .build();
        if let Some(components) = document.components.as_mut() {
            components.add_security_scheme("token", SecurityScheme::Http(scheme));
        }
    }
}
