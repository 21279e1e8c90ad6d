//! Keeps the worker's lease, and cancels the attempts whose jobs were taken over by other workers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::WorkerId;
use tideline_runtime::LoopStatus;
use tideline_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::holding::Holding;

/// Number of heartbeats per lease duration.
const BEATS: u32 = 3;
/// The longest wait after a heartbeat that failed: rescuers wait a little longer than this once the store is back.
const FAILED_WAIT: Duration = Duration::from_millis(500);

pub(crate) struct LeaseKeeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) worker: WorkerId,
    pub(crate) lease: Duration,
    pub(crate) holding: Arc<Holding>,
    /// Signals the first success: jobs claimed before it would look like those of a dead worker.
    pub(crate) leased: CancellationToken,
    pub(crate) status: Arc<LoopStatus>,
}

impl LeaseKeeper {
    /// Extends the lease three times per lease duration, until `ended`. A panic ends one heartbeat, not the keeper.
    pub(crate) async fn run(self, ended: CancellationToken) {
        while !ended.is_cancelled() {
            let now = self.clock.now();
            self.status.starts_a_run(now);
            let beating = AssertUnwindSafe(self.beat()).catch_unwind().await;
            let wait = match beating {
                Ok(Ok(())) => {
                    self.status.succeeded(self.clock.now());
                    self.lease / BEATS
                }
                Ok(Err(error)) => {
                    let failures = self.status.failed(full_text(&error));
                    tracing::warn!(worker = %self.worker, failures, error = full_text(&error), "heartbeat failed");
                    FAILED_WAIT.min(self.lease / BEATS)
                }
                Err(panic) => {
                    self.status.panicked(panic.as_ref());
                    FAILED_WAIT.min(self.lease / BEATS)
                }
            };
            self.status.waits_until(now.plus(wait));
            tokio::select! {
                () = ended.cancelled() => break,
                () = self.clock.sleep_until(now.plus(wait)) => {}
            }
        }
        self.status.ended();
    }

    async fn beat(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let beating = self.store.heartbeat(&self.worker, now.plus(self.lease), now);
        self.in_time(beating).await?;
        self.leased.cancel();
        let looking = self.holding.cancel_lost(&*self.store, &self.worker, self.clock.now());
        let lost = self.in_time(looking).await?;
        if lost > 0 {
            tracing::warn!(worker = %self.worker, lost, "leases were lost; cancelling their attempts");
        }
        Ok(())
    }

    /// Each heartbeat times out when the next one is due.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let limit = self.lease / BEATS;
        tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable {
                act: "heartbeat",
                maybe_done: true,
                source: format!("no answer within {} ms", limit.as_millis()).into(),
            })
        })
    }
}
