//! Ends the bursting of cycles that have no active partition left: moves them on to the sweep, which keeps what failed
//! partitions may own, or ends them without one if the cycle was given up or nothing was read to its end.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tideline_config::settings::SourceSettings;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::next_cycle_at;
use tideline_core::words::{CycleEnd, CycleState, FinishedCycle, Timestamp};
use tideline_queue::Queue;
use tideline_runtime::Pace;
use tideline_runtime::telemetry::metrics;
use tideline_store::{CycleStore, StoreError};

use crate::scheduler::Task;

/// Cycles looked at with one statement.
const BATCH: u32 = 100;

/// See the module.
pub struct EndCycles {
    /// Knows which cycles are finished.
    pub store: Arc<dyn CycleStore>,
    /// Wakes the sweep.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings of the sources, by name.
    pub sources: Arc<HashMap<String, SourceSettings>>,
}

#[async_trait]
impl Task for EndCycles {
    /// Moves every finished cycle on. A failure of one does not hold up the others.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let finished = self.store.list_finished_cycles(BATCH).await?;
        let (mut moved, mut failed) = (0, None);
        for cycle in &finished {
            let now = self.clock.now();
            let end = decide(cycle, next_cycle_of(&self.sources, &cycle.source_name, now), now);
            match self.store.end_cycle(cycle.source, cycle.number, &end, now).await {
                Ok(false) => {}
                Ok(true) => {
                    moved += 1;
                    report(cycle, &end);
                    match end.state {
                        CycleState::Incomplete => metrics::cycle_ended(&cycle.source_name, "incomplete"),
                        CycleState::Cancelled => metrics::cycle_ended(&cycle.source_name, "cancelled"),
                        _ => {}
                    }
                }
                Err(error) => {
                    let text = full_text(&error);
                    tracing::warn!(source = cycle.source_name, cycle = %cycle.number, error = text, "ending a cycle \
                                                                                                     failed");
                    failed = Some(error);
                }
            }
        }
        if moved > 0 {
            self.queue.wake().await;
        }
        match failed {
            Some(error) => Err(error),
            None if finished.len() >= BATCH as usize && moved > 0 => Ok(Pace::Again),
            None => Ok(Pace::Idle),
        }
    }
}

/// When a source that ends a cycle at `now` starts its next one. A source unknown to this scheduler rests until a
/// scheduler that knows it decides otherwise.
pub(crate) fn next_cycle_of(
    sources: &HashMap<String, SourceSettings>,
    name: &str,
    now: Timestamp,
) -> Option<Timestamp> {
    let settings = sources.get(name)?;
    next_cycle_at(now, settings.rest, settings.schedule.as_ref())
}

/// The end of a cycle whose partitions have all ended, or one of which was given up.
fn decide(cycle: &FinishedCycle, next_cycle_at: Option<Timestamp>, now: Timestamp) -> CycleEnd {
    let error = || cycle.error.clone().unwrap_or_else(|| "no error was kept".to_owned());
    let totals = &cycle.totals;
    let end = |state, reason, next_cycle_at| CycleEnd {
        state,
        reason,
        next_cycle_at,
    };
    if totals.partitions_cancelled > 0 {
        // After the last rung: no sweep, and a fresh cycle at once.
        return end(CycleState::Cancelled, Some(error()), Some(now));
    }
    if totals.partitions_done == 0 {
        // Nothing was read to its end, so nothing may be missed.
        let reason = format!(
            "{} of {} partitions failed: {}",
            totals.partitions_parked,
            totals.partitions,
            error()
        );
        return end(CycleState::Incomplete, Some(reason), next_cycle_at);
    }
    end(CycleState::Sweeping, None, None)
}

fn report(cycle: &FinishedCycle, end: &CycleEnd) {
    let totals = &cycle.totals;
    match &end.reason {
        None => tracing::info!(
            source = cycle.source_name, cycle = %cycle.number, pages = totals.pages, entities = totals.entities,
            "no partition is active any more"
        ),
        Some(reason) => tracing::warn!(
            source = cycle.source_name, cycle = %cycle.number, state = ?end.state, reason, "cycle ended without a sweep"
        ),
    }
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{CycleNumber, CycleTotals, SourceId};

    use super::*;

    const NOW: Timestamp = Timestamp(5_000);
    const NEXT: Option<Timestamp> = Some(Timestamp(9_000));

    fn state_of(totals: CycleTotals) -> CycleEnd {
        let cycle = FinishedCycle {
            source: SourceId(1),
            source_name: "s".into(),
            number: CycleNumber(1),
            totals,
            error: Some("broken".into()),
        };
        decide(&cycle, NEXT, NOW)
    }

    #[test]
    fn a_cycle_goes_on_to_the_sweep_unless_nothing_was_read_to_its_end() {
        let done = CycleTotals {
            partitions: 3,
            partitions_done: 3,
            ..CycleTotals::default()
        };
        assert_eq!(state_of(done).state, CycleState::Sweeping);
        let some_failed = CycleTotals {
            partitions_parked: 1,
            partitions_done: 2,
            unidentified: 1,
            ..done
        };
        assert_eq!(state_of(some_failed).state, CycleState::Sweeping);
        let all_failed = state_of(CycleTotals {
            partitions_parked: 3,
            partitions_done: 0,
            ..done
        });
        assert_eq!(
            (all_failed.state, all_failed.next_cycle_at),
            (CycleState::Incomplete, NEXT)
        );
        assert_eq!(all_failed.reason.as_deref(), Some("3 of 3 partitions failed: broken"));
    }

    #[test]
    fn a_cycle_given_up_on_the_last_rung_is_followed_by_a_fresh_one_at_once() {
        let end = state_of(CycleTotals {
            partitions: 3,
            partitions_cancelled: 1,
            ..CycleTotals::default()
        });
        assert_eq!((end.state, end.next_cycle_at), (CycleState::Cancelled, Some(NOW)));
        assert_eq!(end.reason.as_deref(), Some("broken"));
    }
}
