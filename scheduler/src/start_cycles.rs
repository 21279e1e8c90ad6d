//! Starts the cycles whose rest is over, whose schedule's tick came, or that somebody asked for.

use std::sync::Arc;

use async_trait::async_trait;
use tideline_shared::clock::Clock;
use tideline_shared::queue::{Hint, Queue};
use tideline_shared::runtime::Pace;
use tideline_shared::store::{CycleStore, StoreError};
use tideline_shared::telemetry::metrics;

use crate::scheduler::Task;

/// Cycles started with one statement.
const BATCH: u32 = 100;

/// See the module.
pub struct StartCycles {
    /// Knows what is due.
    pub store: Arc<dyn CycleStore>,
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
            return Ok(Pace::Idle);
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
        Ok(if started.len() >= BATCH as usize {
            Pace::Again
        } else {
            Pace::Idle
        })
    }
}
