//! One worker process: its lease, its claims, its attempts and its settlements. Look next at `claiming.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use tideline_config::settings::WorkerSettings;
use tideline_core::clock::Clock;
use tideline_core::words::WorkerId;
use tideline_queue::Queue;
use tideline_runtime::{LoopStatus, Runtime};
use tideline_store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claiming::Claims;
use crate::handler::Handler;
use crate::holding::Holding;
use crate::leasing::LeaseKeeper;
use crate::settling::Settler;

/// What a worker is made of.
pub struct WorkerParts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Brings hints.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Limits and waits.
    pub settings: WorkerSettings,
    /// One per kind of job.
    pub handlers: Vec<Arc<dyn Handler>>,
}

/// Claims jobs and runs them until it is stopped.
pub struct Worker {
    id: WorkerId,
    parts: WorkerParts,
    loops: Loops,
}

/// How its loops are, for `/livez`.
struct Loops {
    lease: Arc<LoopStatus>,
    claims: Arc<LoopStatus>,
    settlements: Arc<LoopStatus>,
}

impl Loops {
    fn new(status: impl Fn(&'static str) -> Arc<LoopStatus>) -> Self {
        Self {
            lease: status("worker lease"),
            claims: status("worker claims"),
            settlements: status("worker settlements"),
        }
    }
}

impl Worker {
    /// A worker with a fresh identity.
    #[must_use]
    pub fn new(parts: WorkerParts) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "worker".to_owned());
        Self {
            id: WorkerId(format!("{host}/{:016x}", rand::random::<u64>())),
            parts,
            loops: Loops::new(|name| Arc::new(LoopStatus::new(name))),
        }
    }

    /// Shows its loops in `/livez` of this runtime.
    #[must_use]
    pub fn watched_by(self, runtime: &Runtime) -> Self {
        Self {
            loops: Loops::new(|name| runtime.watch(name)),
            ..self
        }
    }

    /// Its identity in the store.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.id
    }

    /// Runs until `stop`, then lets the attempts finish or hand back; `hard` drops what is still running then. Its jobs
    /// are runnable elsewhere as soon as this returns.
    pub async fn run(self, stop: CancellationToken, hard: CancellationToken) {
        let Self { id, parts, loops } = self;
        let WorkerParts {
            store,
            queue,
            clock,
            settings,
            handlers,
        } = parts;
        let handlers: HashMap<String, Arc<dyn Handler>> = handlers
            .into_iter()
            .map(|handler| (handler.kind().to_owned(), handler))
            .collect();

        let holding = Arc::new(Holding::default());
        let (alive, leased) = (CancellationToken::new(), CancellationToken::new());
        let keeper = LeaseKeeper {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            worker: id.clone(),
            lease: settings.lease,
            holding: Arc::clone(&holding),
            leased: leased.clone(),
            status: loops.lease,
        };
        let lease = tokio::spawn(keeper.run(alive.clone()));
        let settled = Arc::new(Notify::new());
        let (settler, settlements) = Settler::new(
            Arc::clone(&store),
            Arc::clone(&queue),
            Arc::clone(&clock),
            Arc::clone(&settled),
            Arc::clone(&holding),
            loops.settlements,
        );
        let settling = tokio::spawn(settler.run(hard.clone()));
        let attempts = TaskTracker::new();
        let claims = Claims {
            worker: id.clone(),
            store: Arc::clone(&store),
            queue,
            clock: Arc::clone(&clock),
            settings,
            handlers: Arc::new(handlers),
            settlements,
            holding,
            settled,
            attempts: attempts.clone(),
            stop: stop.clone(),
            status: loops.claims,
        };
        tokio::select! {
            biased;
            () = leased.cancelled() => claims.run().await,
            () = stop.cancelled() => drop(claims),
        }

        attempts.close();
        tokio::select! {
            () = attempts.wait() => {}
            () = hard.cancelled() => tracing::warn!(worker = %id, "stopped at once; dropping running attempts"),
        }
        // The last sender of settlements is gone with the attempts, so this ends when all of them are in the store.
        let _ = settling.await;
        alive.cancel();
        let _ = lease.await;
        if let Err(error) = store.retire(&id, clock.now()).await {
            tracing::warn!(worker = %id, %error, "could not give the lease back; its jobs will be rescued when it \
                                                  expires");
        }
    }
}
