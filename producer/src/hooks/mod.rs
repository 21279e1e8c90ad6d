//! The endpoints that take webhooks, `/hooks/NAME`. A webhook is received in bounded memory (`body.rs`), verified over
//! the bytes received (`scheme.rs`), understood (`providers/`), stored with others in one transaction (`intake.rs`),
//! and only then answered 2xx; what cannot be stored is answered 503, so that its sender tries again.

mod body;
mod document;
mod figures;
mod intake;
mod memory;
mod providers;
mod receive;
mod repair;
mod scheme;
mod silence;
mod stored;
mod topic;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::routing::any;
use tideline_config::hooks::{EventSettings, HookSettings};
use tideline_config::settings::ExpressionSettings;
use tideline_core::clock::Clock;
use tideline_expression::{Evaluator, Expression};
use tideline_queue::Queue;
use tideline_runtime::Runtime;
use tideline_runtime::sealing::Sealer;
use tideline_store::Store;
use tokio::sync::Notify;

use self::body::Memory;
use self::figures::Figures;
use self::intake::{Intake, Writer, intake};
use self::scheme::Verifier;
use self::silence::Silence;
use self::stored::StoredSecrets;
use crate::api::evaluator;

pub use self::stored::purpose;
pub use self::topic::check_topic;

/// Dependencies of the hooks.
pub struct HooksParts {
    /// Where webhooks are stored.
    pub store: Arc<dyn Store>,
    /// Wakes the followers of events.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// `hooks`.
    pub hooks: Vec<HookSettings>,
    /// `events`.
    pub events: EventSettings,
    /// Opens the stored secrets of hooks.
    pub sealer: Arc<Sealer>,
    /// `expressions`: limits of those that make topics.
    pub expressions: ExpressionSettings,
}

/// One hook.
struct Hook {
    settings: HookSettings,
    verifier: Verifier,
    /// Where its secrets are in the store.
    stored: Option<StoredSecrets>,
    /// Makes the topic.
    topic: Option<Expression>,
    /// Webhooks refused since the last line about them in the log, and when that was.
    refused: AtomicU64,
    logged_at: AtomicU64,
    /// A webhook was too large: the provider may still have it. When that was last reported.
    urgent: Arc<Notify>,
    told_at: AtomicU64,
}

/// The hooks of the configuration.
pub struct Hooks {
    hooks: HashMap<String, Hook>,
    memory: Memory,
    intake: Intake,
    figures: Arc<Figures>,
    clock: Arc<dyn Clock>,
    evaluator: Evaluator,
}

impl Hooks {
    /// Starts the hooks, which store webhooks for as long as the runtime runs.
    #[must_use]
    pub fn start(parts: HooksParts, runtime: &Runtime) -> Arc<Self> {
        let store = Arc::clone(&parts.store);
        let silence = Silence {
            store: Arc::clone(&store),
            queue: Arc::clone(&parts.queue),
            clock: Arc::clone(&parts.clock),
            hooks: parts.hooks.iter().map(|hook| hook.name.clone()).collect(),
        };
        silence.start(runtime);
        let (hooks, writer) = Self::new(parts);
        hooks.start_repairs(&store, runtime);
        hooks.figures.start(&store, &hooks.clock, runtime);
        // Events submitted before the stop are written; requests still running then get 503.
        runtime.spawn(writer.run(runtime.stop()));
        hooks
    }

    fn new(parts: HooksParts) -> (Arc<Self>, Writer) {
        let (store, sealer) = (Arc::clone(&parts.store), parts.sealer);
        let (intake, writer) = intake(parts.store, parts.queue, Arc::clone(&parts.clock));
        let hooks = parts.hooks.into_iter().map(|settings| {
            let verifier = Verifier::new(&settings);
            let stored = settings.stored_secret.then(|| {
                let (sealer, store) = (Arc::clone(&sealer), Arc::clone(&store));
                StoredSecrets::new(&settings.name, sealer, store, verifier.clone())
            });
            let hook = Hook {
                verifier,
                stored,
                topic: topic::expression_of(&settings),
                refused: AtomicU64::new(0),
                logged_at: AtomicU64::new(0),
                urgent: Arc::default(),
                told_at: AtomicU64::new(0),
                settings,
            };
            (hook.settings.name.clone(), hook)
        });
        let hooks = Self {
            hooks: hooks.collect(),
            memory: Memory::new(parts.events.max_bytes_in_flight),
            intake,
            figures: Arc::default(),
            clock: parts.clock,
            evaluator: evaluator(&parts.expressions),
        };
        (Arc::new(hooks), writer)
    }

    /// Their routes. They have limits of their own, and no token: a webhook is verified instead.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/hooks/{name}", any(receive::plain))
            .route("/hooks/{name}/{id}", any(receive::with_id))
            // Existing addresses of senders of Backstage's events and of the Terraform sync.
            .route("/api/events/http/{name}", any(receive::plain))
            .route("/api/sync/tfc-webhook", any(receive::terraform))
            .route("/api/sync/github-webhook", any(receive::github))
            .with_state(Arc::clone(self))
    }
}

#[cfg(test)]
mod tests;
