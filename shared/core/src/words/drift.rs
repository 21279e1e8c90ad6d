use serde::{Deserialize, Serialize};

use super::{CycleNumber, EntityRef, Timestamp};

/// How an entity of the catalog differed from its source without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftKind {
    /// The source has it, but the catalog did not.
    Missing,
    /// The catalog has it, but the source no longer does.
    Extra,
    /// Both have it, with different content.
    Diverged,
}

/// How many entities differed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftTotals {
    /// See [`DriftKind::Missing`].
    pub missing: u64,
    /// See [`DriftKind::Extra`].
    pub extra: u64,
    /// See [`DriftKind::Diverged`].
    pub diverged: u64,
}

impl DriftTotals {
    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.missing + self.extra + self.diverged
    }
}

/// One entity that differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftDifference {
    /// Which.
    #[serde(rename = "ref")]
    pub reference: EntityRef,
    /// How.
    pub drift: DriftKind,
}

/// Differences that a complete cycle found although no event had reported them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriftRecord {
    /// The cycle.
    pub cycle: CycleNumber,
    /// When it was found.
    pub found_at: Timestamp,
    /// How much.
    pub totals: DriftTotals,
    /// The first hundred, those that the source has no more before the others.
    pub differences: Vec<DriftDifference>,
}

/// The result of a check: a reading of a source only to compare it with the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRecord {
    /// When the reading began: what was written later is not compared.
    pub began_at: Timestamp,
    /// When the comparison was complete.
    pub ended_at: Timestamp,
    /// How much.
    pub totals: DriftTotals,
    /// Entities that the source did not show, but that too few readings have missed to count as [`DriftKind::Extra`].
    pub unconfirmed: u64,
    /// The first hundred, by reference.
    pub differences: Vec<DriftDifference>,
    /// Why it has no result, or is incomplete; none: the whole source was read.
    pub failure: Option<String>,
}

impl CheckRecord {
    /// The differences as JSON.
    #[must_use]
    pub fn differences_text(&self) -> String {
        serde_json::to_string(&self.differences).unwrap_or_else(|_| "[]".to_owned())
    }
}
