use serde::{Deserialize, Serialize};
use tideline_core::words::{CheckRecord, CycleNumber, DriftDifference, DriftKind, DriftRecord};
use utoipa::ToSchema;

use super::{Time, words};

/// Differences that a complete cycle found although no event had reported them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// The cycle.
    #[schema(value_type = i64)]
    pub cycle: CycleNumber,
    /// When it was found.
    pub found_at: Time,
    /// Entities that the source had but the catalog did not.
    pub missing: u64,
    /// Entities that the catalog has or had, but the source no longer has.
    pub extra: u64,
    /// Entities that both had, with different content.
    pub diverged: u64,
    /// The first hundred, extra ones first.
    pub differences: Vec<Drifted>,
}

impl Drift {
    /// All entities that differed.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.missing + self.extra + self.diverged
    }
}

/// One entity that differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drifted {
    /// `kind:namespace/name`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// How.
    #[schema(value_type = words::DriftKind)]
    pub drift: DriftKind,
}

impl Check {
    /// All entities that differed.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.missing + self.extra + self.diverged
    }
}

impl From<DriftDifference> for Drifted {
    fn from(difference: DriftDifference) -> Self {
        Self {
            reference: difference.reference.to_string(),
            drift: difference.drift,
        }
    }
}

impl From<DriftRecord> for Drift {
    fn from(record: DriftRecord) -> Self {
        Self {
            cycle: record.cycle,
            found_at: Time(record.found_at),
            missing: record.totals.missing,
            extra: record.totals.extra,
            diverged: record.totals.diverged,
            differences: record.differences.into_iter().map(Drifted::from).collect(),
        }
    }
}

/// What the checks of a source found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checks {
    /// The newest ones, newest first.
    pub items: Vec<Check>,
    /// When the next one is due; absent: none is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}

/// The result of a check: a reading of the source that only compares it with the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// When the reading began: anything written later was not compared.
    pub began_at: Time,
    /// When the comparison was complete.
    pub ended_at: Time,
    /// Entities that the source had but the catalog did not.
    pub missing: u64,
    /// Entities that the catalog has but the source no longer has.
    pub extra: u64,
    /// Entities that both have, with different content.
    pub diverged: u64,
    /// Entities that the check did not see, but that have not been missed often enough to count as extra
    /// (`removals.confirm_cycles`).
    pub unconfirmed: u64,
    /// The first hundred, by reference.
    pub differences: Vec<Drifted>,
    /// Why the check is incomplete or has no result.
    pub failure: Option<String>,
}

impl From<CheckRecord> for Check {
    fn from(check: CheckRecord) -> Self {
        Self {
            began_at: Time(check.began_at),
            ended_at: Time(check.ended_at),
            missing: check.totals.missing,
            extra: check.totals.extra,
            diverged: check.totals.diverged,
            unconfirmed: check.unconfirmed,
            differences: check.differences.into_iter().map(Drifted::from).collect(),
            failure: check.failure,
        }
    }
}
