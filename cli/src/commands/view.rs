//! A source with its newest cycle and what it waits for, read from the store.

use serde::Serialize;
use tideline_core::words::{CycleRecord, CycleState, JobRecord, JobState, SourceRecord, SourceState, Timestamp};
use tideline_store::{JobFilter, Store, StoreError};

use crate::output::{Piece, Tone};
use tideline_core::rules::{Facts, Why, why};

/// Partitions looked at to explain a bursting source.
const PARTITIONS: u32 = 200;

/// What operators want to know of a source.
#[derive(Debug, Serialize)]
pub(crate) struct SourceView {
    /// Its row.
    #[serde(flatten)]
    pub(crate) source: SourceRecord,
    /// Its newest cycle.
    pub(crate) newest_cycle: Option<CycleRecord>,
    /// What it waits for.
    pub(crate) why: Why,
}

/// Reads what explains the source.
pub(crate) async fn view(store: &dyn Store, source: SourceRecord, now: Timestamp) -> Result<SourceView, StoreError> {
    let newest_cycle = store.list_cycles(source.id, 1).await?.into_iter().next();
    let partitions = match &newest_cycle {
        Some(cycle) if cycle.state == CycleState::Bursting => open_partitions(store, &source).await?,
        _ => Vec::new(),
    };
    let why = why(
        Facts::Source {
            source: &source,
            cycle: newest_cycle.as_ref(),
            partitions: &partitions,
        },
        now,
    );
    Ok(SourceView {
        source,
        newest_cycle,
        why,
    })
}

/// Every source, by name.
pub(crate) async fn view_all(store: &dyn Store, now: Timestamp) -> Result<Vec<SourceView>, StoreError> {
    let mut views = Vec::new();
    for source in store.list_sources().await? {
        views.push(view(store, source, now).await?);
    }
    Ok(views)
}

async fn open_partitions(store: &dyn Store, source: &SourceRecord) -> Result<Vec<JobRecord>, StoreError> {
    let mut partitions = Vec::new();
    for state in [JobState::Running, JobState::Waiting, JobState::Parked] {
        let filter = JobFilter {
            source: Some(source.name.clone()),
            state: Some(state),
            limit: PARTITIONS,
            ..JobFilter::default()
        };
        partitions.extend(store.list_jobs(&filter).await?);
    }
    partitions.retain(|job| job.cycle == Some(source.cycle));
    Ok(partitions)
}

impl SourceView {
    /// What it is doing, in one word.
    pub(crate) fn phase(&self) -> Piece {
        phase(&self.source, self.newest_cycle.as_ref())
    }
}

/// What a source is doing, in one word.
pub(crate) fn phase(source: &SourceRecord, cycle: Option<&CycleRecord>) -> Piece {
    let (word, tone) = match source.state {
        SourceState::Paused => ("paused", Tone::Warn),
        SourceState::Blocked => ("blocked", Tone::Bad),
        SourceState::Orphaned => ("orphaned", Tone::Warn),
        SourceState::Active => match cycle.map(|cycle| cycle.state) {
            Some(CycleState::Bursting) => ("bursting", Tone::Busy),
            Some(CycleState::Sweeping) => ("sweeping", Tone::Busy),
            _ if source.held.as_ref().is_some_and(|held| !held.approved) => ("held", Tone::Warn),
            Some(CycleState::Incomplete) => ("incomplete", Tone::Bad),
            Some(CycleState::Cancelled) => ("cancelled", Tone::Bad),
            Some(CycleState::Complete | CycleState::Held) => ("resting", Tone::Good),
            None => ("new", Tone::Dim),
        },
    };
    Piece::toned(word, tone)
}
