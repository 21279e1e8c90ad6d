//! A source with its newest cycle and what it waits for, read from the store.

use serde::Serialize;
use tideline_core::words::{
    CycleNumber, CycleRecord, CycleState, JobRecord, JobState, SourceRecord, SourceState, Timestamp,
};
use tideline_store::{JobFilter, Store, StoreError};

use crate::output::{Piece, Tone, count};
use tideline_core::rules::{Facts, Why, why};

/// Partitions looked at to explain a bursting source.
const PARTITIONS: u32 = 200;

/// Cycles looked at for the newest complete one.
const CYCLES: u32 = 5;

/// What a complete cycle left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Left {
    /// The cycle.
    pub(crate) cycle: CycleNumber,
    /// Entities that it did not see and kept, because something that could not be read may own them.
    pub(crate) kept: u64,
    /// Entities that it did not see, and that wait for another complete cycle without them.
    pub(crate) unconfirmed: u64,
    /// References that more than one page shows.
    pub(crate) collisions: u64,
}

impl Left {
    fn of(cycles: &[CycleRecord]) -> Option<Self> {
        let complete = |cycle: &&CycleRecord| matches!(cycle.state, CycleState::Complete | CycleState::Held);
        let newest = cycles.iter().find(complete)?;
        Some(Self {
            cycle: newest.number,
            kept: newest.totals.kept,
            unconfirmed: newest.totals.unconfirmed,
            collisions: newest.totals.collisions,
        })
    }

    /// A sentence for each thing that is left.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.kept > 0 {
            sentences.push(format!(
                "up to {} entities that cycle {} did not see are kept: what could not be read may own them",
                count(self.kept),
                self.cycle
            ));
        }
        if self.unconfirmed > 0 {
            sentences.push(format!(
                "{} entities that cycle {} did not see go if the next complete cycle does not see them either",
                count(self.unconfirmed),
                self.cycle
            ));
        }
        if self.collisions > 0 {
            sentences.push(format!(
                "{} references are on more than one page; the first one counts",
                count(self.collisions)
            ));
        }
        sentences
    }
}

/// What operators want to know of a source.
#[derive(Debug, Serialize)]
pub(crate) struct SourceView {
    /// Its row.
    #[serde(flatten)]
    pub(crate) source: SourceRecord,
    /// Its newest cycle.
    pub(crate) newest_cycle: Option<CycleRecord>,
    /// What its newest complete cycle left for people to look at.
    pub(crate) left: Option<Left>,
    /// What it waits for.
    pub(crate) why: Why,
}

/// Reads what explains the source.
pub(crate) async fn view(store: &dyn Store, source: SourceRecord, now: Timestamp) -> Result<SourceView, StoreError> {
    let cycles = store.list_cycles(source.id, CYCLES).await?;
    let left = Left::of(&cycles);
    let newest_cycle = cycles.into_iter().next();
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
        left,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_complete_cycle_left_is_said_in_full() {
        let nothing = Left {
            cycle: CycleNumber(7),
            kept: 0,
            unconfirmed: 0,
            collisions: 0,
        };
        assert!(nothing.sentences().is_empty());
        let all = Left {
            kept: 1_200,
            unconfirmed: 12,
            collisions: 3,
            ..nothing
        };
        let text = all.sentences().join("; ");
        for part in ["cycle 7 did not see are kept", "12 entities", "3 references"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
