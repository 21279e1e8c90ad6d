//! Starts the cycles whose rest is over, whose schedule's tick came, or that somebody asked for.

use std::sync::Arc;

use async_trait::async_trait;
use tideline_shared::clock::Clock;
use tideline_shared::queue::{Hint, Queue};
use tideline_shared::runtime::Pace;
use tideline_shared::store::{CycleStore, JobStore, StoreError};
use tideline_shared::telemetry::metrics;
use tideline_shared::words::Timestamp;

use crate::scheduler::Task;

/// Cycles started with one statement.
const BATCH: u32 = 100;

/// See the module.
pub struct StartCycles {
    /// Knows what is due.
    pub store: Arc<dyn CycleStore>,
    /// Knows when the next one is due.
    pub due: Arc<dyn JobStore>,
    /// Carries the first hint of each.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Task for StartCycles {
    /// Starts what is due now.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        let started = self.store.start_cycles(BATCH, now).await?;
        for cycle in &started {
            if let Some(due_at) = cycle.due_at {
                metrics::schedule_lateness(&cycle.source_name, now.since(due_at));
            }
            tracing::info!(source = cycle.source_name, cycle = %cycle.number, trigger = ?cycle.trigger, "cycle started");
        }
        if started.is_empty() {
            return self.wait_for_next(now).await;
        }
        let hint = Hint {
            kind: "ingest".to_owned(),
            jobs: started.iter().map(|cycle| (cycle.root, cycle.token)).collect(),
            trace: None,
        };
        if let Err(error) = self.queue.publish(&[hint]).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "first hint not sent; dispatch sends it again"
            );
        }
        if started.len() >= BATCH as usize {
            return Ok(Pace::Again);
        }
        self.wait_for_next(now).await
    }
}

impl StartCycles {
    /// The nearest due time is exact, whether it is that of a cycle or of a job.
    async fn wait_for_next(&self, now: Timestamp) -> Result<Pace, StoreError> {
        Ok(match self.due.next_due(now).await? {
            Some(moment) => Pace::Until(moment),
            None => Pace::Idle,
        })
    }
}
