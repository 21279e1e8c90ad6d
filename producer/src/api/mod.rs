//! The API of `/v1`: one file per noun, each a function that returns a router. The same router serves the gateway over
//! HTTP and the command line inside its own process ([`Api::call`]). The client is a [`Principal`] in the request's
//! extensions; the role that a route needs is in its handler's signature ([`By`]). The OpenAPI document is generated
//! from the routes.

mod audit;
mod changes;
mod contract;
pub(crate) mod deliveries;
mod docs;
mod drift;
mod entities;
pub(crate) mod event_bell;
mod events;
pub mod extract;
mod feed_bell;
pub(crate) mod forms;
mod history;
pub mod hook_secrets;
pub mod hook_webhooks;
mod hooks;
pub(crate) mod jobs;
pub(crate) mod newest_changes;
mod operations;
mod origin;
mod overview;
pub mod page;
pub(crate) mod place;
mod plan;
pub mod problem;
mod push;
mod refusals;
mod replay;
pub mod role;
mod search;
pub(crate) mod sources;
mod stream;
mod subscriptions;
mod targets;
pub(crate) mod tokens;
pub mod types;
mod waiting;
mod whoami;
mod why;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::ETAG;
use axum::http::{HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Serialize;
use tideline_config::settings::{ExpressionSettings, Settings};
use tideline_core::clock::Clock;
use tideline_core::words::{Actor, Fingerprint, Timestamp};
use tideline_expression::{Evaluator, Limits};
use tideline_queue::Queue;
use tideline_runtime::sealing::Sealer;
use tideline_store::{Deed, Idempotency, OperatorAct, Performed, Store};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

pub use self::plan::{NDJSON, PlanRequest, PlanStream, Planner, Plans};
pub use self::problem::{Code, Problem};
pub use self::role::{By, Principal, SourceScope};
pub use self::why::reason_of_source;
use crate::Producer;

pub(crate) use self::changes::MAX_WAIT;

/// Maximum number of requests that wait for changes.
pub(crate) const MAX_WAITERS: usize = 16_384;

/// Maximum number of concurrent responses with entities or changes; each holds up to [`page::MAX_PAGE_BYTES`].
const MAX_READERS: usize = 32;

/// How often a program's recurring act is recorded.
const NOTED_EVERY: Duration = Duration::from_secs(3_600);

/// A router of one noun.
pub(crate) type ApiRouter = OpenApiRouter<Arc<ApiState>>;

/// Dependencies of the API.
pub struct ApiParts {
    /// Read and commanded.
    pub store: Arc<dyn Store>,
    /// Carries hints and wake-ups.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The configuration, shown without secrets.
    pub settings: Option<Arc<Settings>>,
    /// Reads sources for plans; none: this process makes no plans.
    pub planner: Option<Arc<dyn Planner>>,
    /// Ends requests that wait.
    pub stop: CancellationToken,
}

pub(crate) struct ApiState {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) producer: Producer,
    pub(crate) settings: Option<Arc<Settings>>,
    pub(crate) stop: CancellationToken,
    pub(crate) waiters: Arc<Semaphore>,
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) plans: Option<Plans>,
    pub(crate) bell: feed_bell::FeedBell,
    pub(crate) event_bell: event_bell::EventBell,
    /// Seals the secrets of subscriptions.
    pub(crate) sealer: Sealer,
    /// Evaluates the filters of subscriptions.
    pub(crate) evaluator: Evaluator,
    /// The id of the token that was revoked last, for caches of tokens.
    pub(crate) revoked: watch::Sender<String>,
    /// Which programs write what (entities to which push source, events), and when that was recorded; for the last
    /// hour.
    pub(crate) writers: Mutex<HashMap<(String, String), Timestamp>>,
    /// Refusals within the last minute.
    pub(crate) refusals: refusals::Refusals,
}

impl ApiState {
    /// Performs an act for the principal of a request, and records it.
    pub(crate) async fn perform<R>(&self, by: &By<R>, deed: Deed) -> Result<Performed, Problem> {
        let asked = deed.fingerprint();
        self.perform_once(by, deed, asked).await
    }

    /// The same, for a deed that does not show the whole request. `asked`: a digest of the whole request, for
    /// idempotency keys.
    pub(crate) async fn perform_once<R>(
        &self,
        by: &By<R>,
        deed: Deed,
        asked: Fingerprint,
    ) -> Result<Performed, Problem> {
        if !deed.has_version() {
            by.refuse_if_match()?;
        }
        let idempotency = by.idempotency_key.clone().map(|key| Idempotency {
            key,
            fingerprint: asked,
        });
        let act = OperatorAct {
            deed,
            actor: by.principal.actor.clone(),
            expected: by.if_match.clone(),
            idempotency,
            reason: by.reason.clone(),
        };
        let performed = self.producer.perform(&act).await.map_err(Problem::of_act)?;
        tracing::info!(
            act = act.deed.name(),
            target = act.deed.target(),
            actor = act.actor.name,
            repeated = performed.repeated,
            "an operator acted"
        );
        Ok(performed)
    }

    /// Records a program's recurring act (`about`): once an hour, before its first request. A record of every request
    /// would bury what people did.
    pub(crate) async fn note_hourly(&self, actor: &Actor, about: &str, deed: Deed) -> Result<(), Problem> {
        let now = self.clock.now();
        let writer = (format!("{:?} {}", actor.kind, actor.name), about.to_owned());
        {
            let mut writers = self.writers.lock();
            writers.retain(|_, noted_at| now.since(*noted_at) < NOTED_EVERY);
            if writers.contains_key(&writer) {
                return Ok(());
            }
        }
        self.producer.perform(&OperatorAct::new(deed, actor.clone())).await?;
        self.writers.lock().insert(writer, now);
        Ok(())
    }
}

/// A single record with its version.
pub(crate) fn etag(version: &str, record: impl Serialize) -> Response {
    let mut response = axum::Json(record).into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

/// The API, to be called over HTTP or inside this process.
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
            producer: Producer::new(
                Arc::clone(&parts.store),
                Arc::clone(&parts.queue),
                Arc::clone(&parts.clock),
            ),
            plans: plans(&parts),
            sealer: sealer(parts.settings.as_deref()),
            evaluator: evaluator(
                &parts
                    .settings
                    .as_deref()
                    .map(|settings| settings.expressions)
                    .unwrap_or_default(),
            ),
            store: parts.store,
            queue: parts.queue,
            clock: parts.clock,
            settings: parts.settings,
            stop: parts.stop,
            waiters: Arc::new(Semaphore::new(MAX_WAITERS)),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            bell: feed_bell::FeedBell::default(),
            event_bell: event_bell::EventBell::default(),
            revoked: watch::Sender::default(),
            writers: Mutex::default(),
            refusals: refusals::Refusals::default(),
        });
        let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
            .nest("/v1", nouns())
            .split_for_parts();
        docs::name_operations(&mut document);
        docs::describe_problems(&mut document);
        forms::describe(&mut document);
        Self {
            router: router
                .with_state(Arc::clone(&state))
                .route_layer(contract::Contract::new(Arc::clone(&state), &document)),
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

    /// `/openapi.json` and `/docs`, which need no principal.
    pub(crate) fn docs(&self) -> Router {
        docs::router(&self.document)
    }

    /// Handles a request inside this process.
    pub async fn call(&self, principal: Principal, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(principal);
        match self.router().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn plans(parts: &ApiParts) -> Option<Plans> {
    let limits = parts
        .settings
        .as_deref()
        .map(|settings| settings.plan)
        .unwrap_or_default();
    let planner = Arc::clone(parts.planner.as_ref()?);
    Some(Plans::new(
        planner,
        limits.concurrency,
        limits.timeout,
        parts.stop.clone(),
    ))
}

/// An invalid key was refused when the roles started.
fn sealer(settings: Option<&Settings>) -> Sealer {
    let key = settings.and_then(|settings| settings.secret_key.as_ref());
    Sealer::new(key).unwrap_or_default()
}

/// Evaluates expressions within these limits.
pub(crate) fn evaluator(limits: &ExpressionSettings) -> Evaluator {
    Evaluator::new(Limits {
        processes: limits.processes,
        memory_bytes: limits.memory_bytes,
        stack_bytes: limits.stack_bytes,
        timeout: limits.timeout,
        ..Limits::default()
    })
}

/// All nouns. A new one gets a line here.
fn nouns() -> ApiRouter {
    OpenApiRouter::new()
        .merge(sources::router())
        .merge(overview::router())
        .merge(drift::router())
        .merge(plan::router())
        .merge(entities::router())
        .merge(push::router())
        .merge(changes::router())
        .merge(newest_changes::router())
        .merge(jobs::router())
        .merge(operations::router())
        .merge(why::router())
        .merge(tokens::router())
        .merge(whoami::router())
        .merge(audit::router())
        .merge(events::router())
        .merge(replay::router())
        .merge(subscriptions::router())
        .merge(deliveries::router())
        .merge(hook_secrets::router())
        .merge(hook_webhooks::router())
        .merge(targets::router())
        .merge(hooks::router())
        .merge(history::router())
        .merge(origin::router())
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

#[cfg(test)]
mod tests;
