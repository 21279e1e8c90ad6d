//! A source whose cycle cannot be ended or swept holds up no other.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tideline_config::settings::{SchedulerSettings, SourceSettings};
use tideline_core::clock::ManualClock;
use tideline_core::words::{
    CycleEnd, CycleNumber, CycleState, CycleTotals, DriftRecord, DriftTotals, FinishedCycle, SourceId, SweepPlan,
    Timestamp,
};
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::Pace;
use tideline_scheduler::{EndCycles, SweepCycles, Task};
use tideline_store::{CycleStore, CycleTrace, DriftStore, StartedCycle, StoreError};

const BROKEN: SourceId = SourceId(1);
const NAMES: [&str; 2] = ["broken", "well"];

/// Cycles of two sources; what concerns the first one fails.
#[derive(Default)]
struct Store {
    ended: Mutex<Vec<(SourceId, CycleState)>>,
}

fn fails(source: SourceId) -> Result<(), StoreError> {
    if source == BROKEN {
        return Err(StoreError::Unavailable {
            act: "plan",
            maybe_done: false,
            source: "no answer".into(),
        });
    }
    Ok(())
}

fn cycles() -> Vec<FinishedCycle> {
    let cycle = |(name, id)| FinishedCycle {
        source: SourceId(id),
        source_name: String::from(name),
        number: CycleNumber(1),
        totals: CycleTotals {
            partitions: 1,
            partitions_done: 1,
            ..CycleTotals::default()
        },
        error: None,
    };
    NAMES.into_iter().zip(1..).map(cycle).collect()
}

#[async_trait]
impl CycleStore for Store {
    async fn start_cycles(&self, _: u32, _: Timestamp) -> Result<Vec<StartedCycle>, StoreError> {
        Ok(vec![])
    }

    async fn trace_cycles(&self, _: &[CycleTrace]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list_finished_cycles(&self, _: u32) -> Result<Vec<FinishedCycle>, StoreError> {
        Ok(cycles())
    }

    async fn list_sweeping_cycles(&self, _: u32) -> Result<Vec<FinishedCycle>, StoreError> {
        Ok(cycles())
    }

    async fn end_cycle(
        &self,
        source: SourceId,
        _: CycleNumber,
        end: &CycleEnd,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        fails(source)?;
        self.ended.lock().push((source, end.state));
        Ok(true)
    }

    async fn plan_sweep(&self, source: SourceId, _: CycleNumber, _: u32) -> Result<Option<SweepPlan>, StoreError> {
        fails(source)?;
        Ok(Some(SweepPlan {
            owned: 1,
            marked: 1,
            ..SweepPlan::default()
        }))
    }

    async fn sweep(&self, _: SourceId, _: CycleNumber, _: u32, _: u32, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn hold_sweep(
        &self,
        _: SourceId,
        _: CycleNumber,
        _: SweepPlan,
        _: &str,
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn move_next_cycle(
        &self,
        _: SourceId,
        _: CycleNumber,
        _: Option<Timestamp>,
        _: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }
}

#[async_trait]
impl DriftStore for Store {
    async fn note_drift(
        &self,
        _: SourceId,
        _: CycleNumber,
        _: u32,
        _: Timestamp,
    ) -> Result<Option<DriftTotals>, StoreError> {
        Ok(None)
    }

    async fn list_drifts(&self, _: SourceId, _: u32) -> Result<Vec<DriftRecord>, StoreError> {
        Ok(vec![])
    }
}

/// Runs a task once; what it answers, and which cycles it ended.
async fn run(task: impl Task, store: &Store) -> (Result<Pace, StoreError>, Vec<(SourceId, CycleState)>) {
    let answer = task.run_once().await;
    (answer, std::mem::take(&mut *store.ended.lock()))
}

#[tokio::test]
async fn a_source_that_fails_holds_up_no_other() {
    let store = Arc::new(Store::default());
    let queue = Arc::new(InProcessQueue::default());
    let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
    let sources = NAMES.map(|name| (name.to_owned(), SourceSettings::new(name)));
    let sources = Arc::new(HashMap::from(sources));
    let ends = EndCycles {
        store: store.clone(),
        queue: queue.clone(),
        clock: clock.clone(),
        sources: sources.clone(),
    };
    let (answer, ended) = run(ends, &store).await;
    assert!(answer.is_err(), "so that it is tried again, after a wait");
    assert_eq!(ended, [(SourceId(2), CycleState::Sweeping)]);
    let sweeps = SweepCycles {
        store: store.clone(),
        drifts: store.clone(),
        queue,
        clock,
        settings: SchedulerSettings::default(),
        sources,
    };
    let (answer, ended) = run(sweeps, &store).await;
    assert!(answer.is_err(), "so that it is tried again, after a wait");
    assert_eq!(ended, [(SourceId(2), CycleState::Complete)]);
}
