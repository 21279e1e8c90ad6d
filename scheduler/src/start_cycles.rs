//! Starts the cycles whose rest is over, whose schedule's tick came, or that were requested.

use std::sync::Arc;

use async_trait::async_trait;
use tideline_core::clock::Clock;
use tideline_core::words::Timestamp;
use tideline_queue::{Hint, Queue};
use tideline_runtime::Pace;
use tideline_runtime::telemetry::{context, metrics, spans};
use tideline_store::{CycleStore, CycleTrace, JobStore, StartedCycle, StoreError};

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
        if started.is_empty() {
            return self.wait_for_next(now).await;
        }
        let spans: Vec<_> = started.iter().map(spans::start_cycle).collect();
        for (cycle, span) in started.iter().zip(&spans) {
            if let Some(due_at) = cycle.due_at {
                metrics::schedule_lateness(&cycle.source_name, now.since(due_at));
            }
            let _within = span.enter();
            tracing::info!(source = cycle.source_name, cycle = %cycle.number, trigger = ?cycle.trigger, "cycle started");
        }
        let traces: Vec<_> = spans.iter().map(context::of).collect();
        self.keep(&started, &traces).await;
        if let Err(error) = self.queue.publish(&hints(&started, &traces)).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "first hint not sent; dispatch will send it again"
            );
        }
        if started.len() >= BATCH as usize {
            return Ok(Pace::Again);
        }
        self.wait_for_next(now).await
    }
}

impl StartCycles {
    /// Stores the traces for the coming bursts, before their hints go out. Best effort: no cycle waits for its trace.
    async fn keep(&self, started: &[StartedCycle], traces: &[Option<String>]) {
        let traces: Vec<_> = (started.iter().zip(traces))
            .filter_map(|(cycle, trace)| {
                Some(CycleTrace {
                    root: cycle.root,
                    number: cycle.number,
                    trace: trace.clone()?,
                })
            })
            .collect();
        if traces.is_empty() {
            return;
        }
        if let Err(error) = self.store.trace_cycles(&traces).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "traces not stored; bursts of these cycles will not be linked to their start"
            );
        }
    }

    /// The next due time is exact, whether of a cycle or of a job.
    async fn wait_for_next(&self, now: Timestamp) -> Result<Pace, StoreError> {
        Ok(match self.due.next_due(now).await? {
            Some(moment) => Pace::Until(moment),
            None => Pace::Idle,
        })
    }
}

/// The first hints: one per trace, and one for all cycles without a trace.
fn hints(started: &[StartedCycle], traces: &[Option<String>]) -> Vec<Hint> {
    let mut hints: Vec<Hint> = Vec::new();
    for (cycle, trace) in started.iter().zip(traces) {
        let job = (cycle.root, cycle.token);
        match hints.last_mut() {
            Some(hint) if hint.trace.is_none() && trace.is_none() => hint.jobs.push(job),
            _ => hints.push(Hint {
                kind: "ingest".to_owned(),
                jobs: vec![job],
                trace: trace.clone(),
            }),
        }
    }
    hints
}
