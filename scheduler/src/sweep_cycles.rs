//! Sweeps complete cycles: plans, lets the guards decide, deletes in steps or holds for a person.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tideline_config::settings::{SchedulerSettings, SourceSettings};
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::{SweepDecision, decide_sweep};
use tideline_core::words::{CycleEnd, CycleState, FinishedCycle};
use tideline_queue::Queue;
use tideline_runtime::Pace;
use tideline_runtime::telemetry::metrics;
use tideline_store::{CycleStore, StoreError};

use crate::end_cycles::next_cycle_of;
use crate::scheduler::Task;

/// Sweeping cycles looked at with one statement.
const BATCH: u32 = 20;

/// Batches deleted of one source before the others have their turn: each turn plans again, which looks at every page.
const STEPS: u32 = 20;

/// See the module.
pub struct SweepCycles {
    /// Knows what is gone.
    pub store: Arc<dyn CycleStore>,
    /// Wakes whoever waits for the next cycle.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// `sweep_batch`.
    pub settings: SchedulerSettings,
    /// Settings of the sources, by name.
    pub sources: Arc<HashMap<String, SourceSettings>>,
}

#[async_trait]
impl Task for SweepCycles {
    /// Takes every sweeping cycle some steps further. One that fails does not hold up the others.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let (mut unfinished, mut failed) = (false, None);
        for cycle in self.store.list_sweeping_cycles(BATCH).await? {
            // Guards are settings: without them nothing may be deleted. Another scheduler knows the source.
            let Some(settings) = self.sources.get(&cycle.source_name) else {
                continue;
            };
            match self.step(&cycle, settings).await {
                Ok(more) => unfinished |= more,
                Err(error) => {
                    let text = full_text(&error);
                    tracing::warn!(source = cycle.source_name, cycle = %cycle.number, error = text, "a sweep failed");
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if !unfinished => Err(error),
            _ if unfinished => Ok(Pace::Again),
            _ => Ok(Pace::Idle),
        }
    }
}

impl SweepCycles {
    /// Says whether more is to be done.
    async fn step(&self, cycle: &FinishedCycle, settings: &SourceSettings) -> Result<bool, StoreError> {
        let (source, number, confirm) = (cycle.source, cycle.number, settings.confirm_cycles);
        let Some(plan) = self.store.plan_sweep(source, number, confirm).await? else {
            return Ok(false);
        };
        let now = self.clock.now();
        // Once deleting has begun the guards have spoken: what is left is the rest of the same sweep.
        if cycle.totals.removed == 0
            && let SweepDecision::Hold(reason) = decide_sweep(settings.guard, plan)
        {
            let next = next_cycle_of(&self.sources, &cycle.source_name, now);
            if self.store.hold_sweep(source, number, plan, &reason, next, now).await? {
                metrics::cycle_ended(&cycle.source_name, "held");
                tracing::warn!(source = cycle.source_name, cycle = %number, reason, "sweep held for a person");
                self.queue.wake().await;
            }
            return Ok(false);
        }
        let mut removed = cycle.totals.removed;
        if plan.candidates > 0 {
            for step in 1..=STEPS {
                let batch = self.settings.sweep_batch;
                let count = self.store.sweep(source, number, confirm, batch, now).await?;
                if count == 0 {
                    break;
                }
                removed += count;
                metrics::entities(&cycle.source_name, "removed", count);
                if step == STEPS {
                    return Ok(true);
                }
            }
        }
        let end = CycleEnd {
            state: CycleState::Complete,
            reason: None,
            next_cycle_at: next_cycle_of(&self.sources, &cycle.source_name, now),
        };
        if self.store.end_cycle(source, number, &end, now).await? {
            metrics::cycle_ended(&cycle.source_name, "complete");
            tracing::info!(source = cycle.source_name, cycle = %number, removed, "cycle complete");
            self.queue.wake().await;
        }
        Ok(false)
    }
}
