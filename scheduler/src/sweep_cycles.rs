//! Sweeps complete cycles: plans, lets the guards decide, deletes in steps or holds for a person.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tideline_config::settings::{SchedulerSettings, SourceSettings};
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::{DriftDecision, SweepDecision, decide_drift, decide_sweep};
use tideline_core::words::{CycleEnd, CycleState, DriftTotals, FinishedCycle, SweepPlan};
use tideline_queue::Queue;
use tideline_runtime::telemetry::metrics;
use tideline_runtime::{Pace, note_progress};
use tideline_store::{CycleStore, DriftStore, StoreError};

use crate::end_cycles::next_cycle_of;
use crate::scheduler::Task;

/// Sweeping cycles looked at with one statement.
const BATCH: u32 = 20;

/// Number of batches deleted of one source before the others get their turn: each turn plans again, which reads every
/// page.
const STEPS: u32 = 20;

/// See the module.
pub struct SweepCycles {
    /// Knows which entities are gone.
    pub store: Arc<dyn CycleStore>,
    /// Records drift.
    pub drifts: Arc<dyn DriftStore>,
    /// Wakes the tasks that wait for the next cycle.
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
    /// Advances every sweeping cycle by some steps. A failure of one does not hold up the others.
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
    /// Returns true if there is more to do.
    async fn step(&self, cycle: &FinishedCycle, settings: &SourceSettings) -> Result<bool, StoreError> {
        let (source, number, confirm) = (cycle.source, cycle.number, settings.confirm_cycles);
        let Some(plan) = self.store.plan_sweep(source, number, confirm).await? else {
            return Ok(false);
        };
        let now = self.clock.now();
        let drift = match settings.drift {
            Some(_) => self.drifts.note_drift(source, number, confirm, now).await?,
            None => None,
        };
        let decision = decide(settings, cycle, plan, drift);
        if let Decision::Hold(reason) = decision {
            let next = next_cycle_of(&self.sources, &cycle.source_name, now);
            if self.store.hold_sweep(source, number, plan, &reason, next, now).await? {
                metrics::cycle_ended(&cycle.source_name, "held");
                if let Some(found) = drift {
                    metrics::drift(&cycle.source_name, found);
                }
                tracing::warn!(source = cycle.source_name, cycle = %number, reason, "sweep held for review");
                self.queue.wake().await;
            }
            return Ok(false);
        }
        let mut removed = cycle.totals.removed;
        if plan.candidates > 0 && decision == Decision::Sweep {
            for step in 1..=STEPS {
                let batch = self.settings.sweep_batch;
                let count = self.store.sweep(source, number, confirm, batch, now).await?;
                if count == 0 {
                    break;
                }
                note_progress();
                removed += count;
                metrics::entities(&cycle.source_name, "removed", count);
                if step == STEPS {
                    return Ok(true);
                }
            }
        }
        let end = CycleEnd {
            state: CycleState::Complete,
            reason: match (gaps(cycle, plan.kept), decision) {
                (None, Decision::Keep) => Some(format!("{} entities are kept (drift: report)", plan.candidates)),
                (gaps, _) => gaps,
            },
            next_cycle_at: next_cycle_of(&self.sources, &cycle.source_name, now),
        };
        if self.store.end_cycle(source, number, &end, now).await? {
            metrics::cycle_ended(&cycle.source_name, "complete");
            if let Some(found) = drift {
                metrics::drift(&cycle.source_name, found);
            }
            match &end.reason {
                None => tracing::info!(source = cycle.source_name, cycle = %number, removed, "cycle complete"),
                Some(gaps) => tracing::warn!(
                    source = cycle.source_name, cycle = %number, removed, kept = plan.kept, gaps, "cycle complete with gaps"
                ),
            }
            self.queue.wake().await;
        }
        Ok(false)
    }
}

/// The decision on a planned sweep.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// Delete the candidates.
    Sweep,
    /// Keep them.
    Keep,
    /// Hold the sweep for a person.
    Hold(String),
}

/// Applies guards and drift policy. Once deletion has begun the decision stands: what is left belongs to the same
/// sweep.
fn decide(settings: &SourceSettings, cycle: &FinishedCycle, plan: SweepPlan, drift: Option<DriftTotals>) -> Decision {
    if cycle.totals.removed > 0 {
        return Decision::Sweep;
    }
    let drifted = match (settings.drift, drift) {
        (Some(policy), Some(drift)) => decide_drift(policy, drift, plan),
        _ => DriftDecision::Follow,
    };
    match (drifted, decide_sweep(settings.guard, plan)) {
        (DriftDecision::Keep, _) => Decision::Keep,
        (_, SweepDecision::Hold(reason)) | (DriftDecision::Hold(reason), _) => Decision::Hold(reason),
        (DriftDecision::Follow, SweepDecision::Sweep) => Decision::Sweep,
    }
}

/// What could not be read of the source, and so exempted entities from the sweep; none: everything was read.
fn gaps(cycle: &FinishedCycle, kept: u64) -> Option<String> {
    let totals = &cycle.totals;
    if !totals.has_gaps() {
        return None;
    }
    let mut what = Vec::new();
    if totals.partitions_parked > 0 {
        what.push(format!(
            "{} of {} partitions failed",
            totals.partitions_parked, totals.partitions
        ));
    }
    match totals.unidentified {
        0 => {}
        1 => what.push("1 malformed item has no name".to_owned()),
        many => what.push(format!("{many} malformed items have no name")),
    }
    let entities = match kept {
        0 => "nothing had to be kept for it".to_owned(),
        1 => "1 entity that it may own was kept".to_owned(),
        many => format!("up to {many} entities that it may own were kept"),
    };
    let error = cycle
        .error
        .as_ref()
        .map_or(String::new(), |error| format!(" ({error})"));
    Some(format!("{}: {entities}{error}", what.join(", ")))
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{CycleNumber, CycleTotals, SourceId};

    use super::*;

    fn note(totals: CycleTotals, error: Option<&str>, kept: u64) -> Option<String> {
        let cycle = FinishedCycle {
            source: SourceId(1),
            source_name: "s".into(),
            number: CycleNumber(1),
            totals,
            error: error.map(str::to_owned),
        };
        gaps(&cycle, kept)
    }

    #[test]
    fn a_complete_cycle_says_what_it_could_not_read_and_what_it_kept() {
        let totals = CycleTotals {
            partitions: 40,
            partitions_done: 38,
            ..CycleTotals::default()
        };
        assert_eq!(note(totals, None, 0), None);
        let unnamed = CycleTotals {
            unidentified: 1,
            ..totals
        };
        let why = "1 malformed item has no name: nothing had to be kept for it";
        assert_eq!(note(unnamed, None, 0).as_deref(), Some(why));
        let failed = CycleTotals {
            partitions_parked: 2,
            unidentified: 1,
            ..totals
        };
        assert_eq!(
            note(failed, Some("500"), 12).as_deref(),
            Some(
                "2 of 40 partitions failed, 1 malformed item has no name: up to 12 entities that it may own were kept (500)"
            )
        );
    }
}
