//! Takes back the jobs of workers that stopped saying that they live.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tideline_core::clock::Clock;
use tideline_core::rules::RescuePolicy;
use tideline_queue::Queue;
use tideline_runtime::Pace;
use tideline_runtime::telemetry::metrics;
use tideline_store::{JobStore, StoreError};

use crate::scheduler::Task;

/// Jobs rescued with one statement.
const BATCH: u32 = 1_000;
/// How often it looks while there are no leases: the first one may come at any time.
const NO_LEASES: Duration = Duration::from_secs(1);

/// See the module.
pub struct RescueJobs {
    /// Takes the jobs back.
    pub store: Arc<dyn JobStore>,
    /// Wakes the dispatch.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What happens to the jobs of dead workers.
    pub policy: RescuePolicy,
}

#[async_trait]
impl Task for RescueJobs {
    /// Rescues what can be rescued now, then waits for the end of the nearest lease (which a live worker prolongs before).
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let rescue = self.store.rescue(self.policy, BATCH, self.clock.now()).await?;
        let rescued = rescue.jobs;
        for job in &rescued {
            tracing::warn!(job = %job.job, worker = %job.worker, parked = job.parked, "job taken back from a dead worker");
        }
        if !rescued.is_empty() {
            metrics::rescued(true, rescued.iter().filter(|job| job.parked).count() as u64);
            metrics::rescued(false, rescued.iter().filter(|job| !job.parked).count() as u64);
            self.queue.wake().await;
        }
        if rescued.len() >= BATCH as usize {
            return Ok(Pace::Again);
        }
        // A worker that comes later has a later end, unless there was none at all.
        Ok(match rescue.next_end {
            Some(end) => Pace::Until(end.plus(Duration::from_millis(1))),
            None => Pace::After(NO_LEASES),
        })
    }
}
