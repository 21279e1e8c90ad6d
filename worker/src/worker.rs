//! One worker process: its lease, its claims, its attempts and its settlements. Look next at `claiming.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use tideline_config::settings::WorkerSettings;
use tideline_core::clock::Clock;
use tideline_core::words::WorkerId;
use tideline_queue::Queue;
use tideline_store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claiming::Claims;
use crate::handler::Handler;
use crate::holding::Holding;
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
}

impl Worker {
    /// A worker with a fresh identity.
    #[must_use]
    pub fn new(parts: WorkerParts) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "worker".to_owned());
        Self {
            id: WorkerId(format!("{host}/{:016x}", rand::random::<u64>())),
            parts,
        }
    }

    /// Its identity in the store.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.id
    }

    /// Runs until `stop`, then lets the attempts finish or hand back; `hard` drops what is still running then. Its jobs are
    /// runnable elsewhere as soon as this returns.
    pub async fn run(self, stop: CancellationToken, hard: CancellationToken) {
        let WorkerParts {
            store,
            queue,
            clock,
            settings,
            handlers,
        } = self.parts;
        let handlers: HashMap<String, Arc<dyn Handler>> = handlers
            .into_iter()
            .map(|handler| (handler.kind().to_owned(), handler))
            .collect();

        let (alive, leased) = (CancellationToken::new(), CancellationToken::new());
        let lease = tokio::spawn(keep_lease(
            Arc::clone(&store),
            Arc::clone(&clock),
            self.id.clone(),
            settings.lease,
            alive.clone(),
            leased.clone(),
        ));
        let holding = Arc::new(Holding::default());
        let settled = Arc::new(Notify::new());
        let (settler, settlements) = Settler::new(
            Arc::clone(&store),
            Arc::clone(&queue),
            Arc::clone(&clock),
            Arc::clone(&settled),
            Arc::clone(&holding),
        );
        let settling = tokio::spawn(settler.run(hard.clone()));
        let attempts = TaskTracker::new();
        let claims = Claims {
            worker: self.id.clone(),
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
        };
        tokio::select! {
            biased;
            () = leased.cancelled() => claims.run().await,
            () = stop.cancelled() => drop(claims),
        }

        attempts.close();
        tokio::select! {
            () = attempts.wait() => {}
            () = hard.cancelled() => tracing::warn!(worker = %self.id, "stopped at once; running attempts are dropped"),
        }
        // The last sender of settlements is gone with the attempts, so this ends when all of them are in the store.
        let _ = settling.await;
        alive.cancel();
        let _ = lease.await;
        if let Err(error) = store.retire(&self.id, clock.now()).await {
            tracing::warn!(worker = %self.id, %error, "could not give the lease back; its jobs are rescued when it is over");
        }
    }
}

/// Prolongs the worker's lease three times within its length. `leased` tells of the first success: what is claimed before
/// would be taken for a dead worker's.
async fn keep_lease(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    worker: WorkerId,
    lease: std::time::Duration,
    alive: CancellationToken,
    leased: CancellationToken,
) {
    loop {
        let now = clock.now();
        match store.heartbeat(&worker, now.plus(lease), now).await {
            Ok(()) => leased.cancel(),
            Err(error) => tracing::warn!(%worker, %error, "heartbeat failed"),
        }
        tokio::select! {
            () = alive.cancelled() => return,
            () = clock.sleep_until(now.plus(lease / 3)) => {}
        }
    }
}
