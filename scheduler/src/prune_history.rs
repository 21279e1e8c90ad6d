//! Prunes jobs and cycles that ended long ago (`jobs.retention`, `cycles.retention`), and repairs timestamps written by
//! a clock that ran ahead.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tideline_config::settings::RetentionSettings;
use tideline_core::clock::Clock;
use tideline_core::words::JobId;
use tideline_queue::Queue;
use tideline_runtime::Pace;
use tideline_store::{StoreError, UpkeepStore};

use crate::scheduler::Task;

/// Jobs looked at with one statement, and cycles deleted.
const BATCH: u32 = 5_000;

/// See the module.
pub struct PruneHistory {
    store: Arc<dyn UpkeepStore>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    retention: RetentionSettings,
    /// The position of the pass over the jobs.
    after: Mutex<JobId>,
}

impl PruneHistory {
    /// Begins with the oldest job.
    #[must_use]
    pub fn new(
        store: Arc<dyn UpkeepStore>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        retention: RetentionSettings,
    ) -> Self {
        Self {
            store,
            queue,
            clock,
            retention,
            after: Mutex::new(JobId(0)),
        }
    }

    async fn forget_future(&self) -> Result<(), StoreError> {
        let mended = self.store.forget_future(self.clock.now()).await?;
        if mended > 0 {
            tracing::warn!(
                rows = mended,
                "the clock was set back; work that was waiting for a later time continues now"
            );
            self.queue.wake().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Task for PruneHistory {
    /// One step; the next one continues the pass over the jobs.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let after = *self.after.lock();
        if after == JobId(0) {
            self.forget_future().await?;
        }
        let before = self.clock.now().minus(self.retention.jobs);
        let jobs = self.store.prune_jobs(after, BATCH, before).await?;
        *self.after.lock() = jobs.last.unwrap_or(JobId(0));
        let before = self.clock.now().minus(self.retention.cycles);
        let cycles = self.store.prune_cycles(BATCH, before).await?;
        if jobs.pruned + cycles > 0 {
            tracing::debug!(jobs = jobs.pruned, cycles, "forgotten");
        }
        Ok(if jobs.last.is_some() || cycles >= u64::from(BATCH) {
            Pace::Again
        } else {
            Pace::Idle
        })
    }
}
