use serde::{Deserialize, Serialize};

use super::{CycleNumber, Fingerprint, SourceId, Timestamp, Trigger};

/// Where a source stands, apart from its cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// Cycles run.
    Active,
    /// A person paused it.
    Paused,
    /// A configuration error of the source (class config): nothing runs until it is fixed or refreshed.
    Blocked,
    /// No longer in the configuration; its entities stay until it is reset with deletion.
    Orphaned,
}

/// A source of the configuration, as the store needs to know it.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Unique name.
    pub name: String,
    /// `http`, `files`, …; one of type `push` has no cycles: others write its entities.
    pub source_type: String,
    /// Over what identifies its data (base URL, resources): another one cancels the running cycle and starts a fresh
    /// one.
    pub identity: Fingerprint,
    /// Open partitions at a time, in the whole fleet.
    pub parallel_partitions: u32,
}

/// A source as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The row.
    pub id: SourceId,
    /// Unique name.
    pub name: String,
    /// `rest`, `files`, …
    #[serde(rename = "type")]
    pub source_type: String,
    /// Its state.
    pub state: SourceState,
    /// Why it is blocked.
    pub blocked_reason: Option<String>,
    /// The newest cycle, 0 before the first.
    pub cycle: CycleNumber,
    /// When that cycle ended; none while it runs.
    pub cycle_ended_at: Option<Timestamp>,
    /// When the next cycle starts, if none is running.
    pub next_cycle_at: Option<Timestamp>,
    /// A cycle was requested and starts as soon as none is running.
    pub requested: Option<Trigger>,
    /// No request to the source before this moment (its own limits).
    pub hold_until: Option<Timestamp>,
    /// Live entities it owns.
    pub entities: u64,
    /// The cycle whose sweep waits for a person.
    pub held: Option<HeldSweep>,
}

/// A sweep that is waiting for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSweep {
    /// The cycle.
    pub cycle: CycleNumber,
    /// Why.
    pub reason: String,
    /// Entities it would delete.
    pub would_remove: u64,
    /// Entities the source owned when these were last seen.
    pub owned: u64,
    /// Since when, whatever cycles have taken each other's place since.
    pub held_at: Timestamp,
    /// The cycle whose sweep was held then; none: it is no longer kept.
    #[serde(default)]
    pub since_cycle: Option<CycleNumber>,
    /// It was approved and will be done at the end of the cycle that runs now.
    pub approved: bool,
}
