use serde::{Deserialize, Serialize};

use super::{CycleNumber, EntityRef, SourceId, Timestamp, Trigger};

/// Where a cycle stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CycleState {
    /// Partitions are being read.
    Bursting,
    /// No partition is active; what is gone is being deleted.
    Sweeping,
    /// No partition is active; the sweep waits for a person.
    Held,
    /// Ended, swept (or there was nothing to sweep, or a person rejected the sweep). What failed partitions may own was
    /// kept.
    Complete,
    /// Ended without a sweep: nothing of the source could be read to its end.
    Incomplete,
    /// Given up: last rung, a person, or a changed source.
    Cancelled,
}

/// Reasons of cycles that were cancelled although they could have gone on. One that was given up has its last error
/// instead.
pub mod cancellation {
    /// A person cancelled it.
    pub const BY_PERSON: &str = "cancelled by a person";
    /// A person reset the source.
    pub const RESET: &str = "reset by a person";
    /// The source's identity changed.
    pub const CHANGED: &str = "the source's configuration changed";
    /// The source is gone.
    pub const ORPHANED: &str = "the source is no longer in the configuration";
}

impl CycleState {
    /// Returns true if a cycle that ended in this state, for this reason, failed: its source could not be read, and no
    /// person cancelled it.
    #[must_use]
    pub fn is_failure(self, reason: Option<&str>) -> bool {
        use cancellation::{BY_PERSON, CHANGED, ORPHANED, RESET};
        let cancelled = || reason.is_some_and(|reason| [BY_PERSON, RESET, CHANGED, ORPHANED].contains(&reason));
        match self {
            Self::Incomplete => true,
            Self::Cancelled => !cancelled(),
            Self::Bursting | Self::Sweeping | Self::Held | Self::Complete => false,
        }
    }
}

/// A cycle as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CycleRecord {
    /// Its source.
    pub source: SourceId,
    /// Its number.
    pub number: CycleNumber,
    /// Its state.
    pub state: CycleState,
    /// Why it started.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended as it did, if not well.
    pub reason: Option<String>,
    /// Sums over its partitions, live while it bursts.
    pub totals: CycleTotals,
}

/// Sums over the partitions of a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CycleTotals {
    /// Partitions revealed so far.
    pub partitions: u64,
    /// Of these, finished.
    pub partitions_done: u64,
    /// Of these, parked.
    pub partitions_parked: u64,
    /// Of these, given up after the last rung.
    pub partitions_cancelled: u64,
    /// Pages committed.
    pub pages: u64,
    /// Unchanged pages.
    pub pages_unchanged: u64,
    /// Entities marked, besides those that only a malformed item names.
    pub entities: u64,
    /// New ones.
    pub added: u64,
    /// Changed ones.
    pub modified: u64,
    /// The rest.
    pub unchanged: u64,
    /// Deleted by the sweep.
    pub removed: u64,
    /// Malformed items.
    pub malformed: u64,
    /// Malformed items without a name.
    pub unidentified: u64,
    /// Entities that the sweep kept although the cycle did not see them, because a partition that failed, or that had
    /// an item without a name, may own them. An upper bound: some of them may have been seen elsewhere.
    pub kept: u64,
    /// Entities that the cycle did not see, and that will be deleted if another complete cycle does not see them
    /// either.
    pub unconfirmed: u64,
    /// References that more than one page shows; see [`Collision`].
    pub collisions: u64,
}

impl CycleTotals {
    /// Whether a part of the source could not be read: the sweep then keeps what it may own.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        self.partitions_parked > 0 || self.unidentified > 0
    }
}

/// A reference of items on more than one page of a source: only one of them can be in the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collision {
    /// The reference.
    #[serde(rename = "ref")]
    pub reference: EntityRef,
    /// How many pages show it.
    pub places: u64,
    /// Key of the partition whose item is in the catalog: the lowest one.
    pub partition: String,
    /// Its page: the lowest one of that partition that has it.
    pub page: u32,
}

/// An entity that the newest cycles did not see, and that was not removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnseenEntity {
    /// Its reference.
    #[serde(rename = "ref")]
    pub reference: EntityRef,
    /// Complete cycles in a row that did not see it. 0: kept so far, because what dropped it could not be read as a
    /// whole.
    pub cycles: u32,
    /// A person rejected its removal: it stays until the source shows it again.
    pub rejected: bool,
}

/// A bursting cycle that has no active partition left, or that a partition gave up.
#[derive(Clone, Debug)]
pub struct FinishedCycle {
    /// Its source.
    pub source: SourceId,
    /// Name of the source.
    pub source_name: String,
    /// Its number.
    pub number: CycleNumber,
    /// Sums over its partitions.
    pub totals: CycleTotals,
    /// Error of a partition that failed or was given up, if any.
    pub error: Option<String>,
}

/// What a sweep would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepPlan {
    /// Live entities the source owns.
    pub owned: u64,
    /// Entities the cycle marked.
    pub marked: u64,
    /// Entities the sweep would delete (missed often enough, not kept by a person).
    pub candidates: u64,
    /// A person approved the deletion of up to this many.
    pub approved: Option<u64>,
    /// See [`CycleTotals::kept`].
    pub kept: u64,
    /// See [`CycleTotals::unconfirmed`].
    pub unconfirmed: u64,
    /// See [`CycleTotals::collisions`].
    pub collisions: u64,
    /// Entities that cycles added since the candidates were last seen. They say nothing about the share of existing
    /// entities that is gone.
    pub fresh: u64,
}

impl SweepPlan {
    /// What the source owned when the candidates were last seen.
    #[must_use]
    pub fn owned_before(&self) -> u64 {
        self.owned.saturating_sub(self.fresh).max(self.candidates)
    }
}

/// How a cycle ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleEnd {
    /// [`CycleState::Complete`], [`CycleState::Incomplete`], [`CycleState::Cancelled`] or, for the step between,
    /// [`CycleState::Sweeping`].
    pub state: CycleState,
    /// Why, if not well.
    pub reason: Option<String>,
    /// When the next cycle starts.
    pub next_cycle_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_that_somebody_cancelled_did_not_fail() {
        use CycleState::{Cancelled, Complete, Incomplete};
        let reasons = [
            cancellation::BY_PERSON,
            cancellation::RESET,
            cancellation::CHANGED,
            cancellation::ORPHANED,
        ];
        for reason in reasons {
            assert!(!Cancelled.is_failure(Some(reason)), "{reason}");
        }
        for reason in [None, Some("503 Service Unavailable")] {
            assert!(Cancelled.is_failure(reason) && Incomplete.is_failure(reason));
            assert!(!Complete.is_failure(reason));
        }
    }
}
