use serde::{Deserialize, Serialize};
use tideline_core::words::{CycleNumber, DriftDifference, DriftKind, DriftRecord};
use utoipa::ToSchema;

use super::{Time, words};

/// What a complete cycle found that no event had told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// The cycle.
    #[schema(value_type = i64)]
    pub cycle: CycleNumber,
    /// When it was found.
    pub found_at: Time,
    /// Entities that the source had and the catalog had not.
    pub missing: u64,
    /// Entities that the catalog has, or had, and the source has no more.
    pub extra: u64,
    /// Entities that both had, and that were not the same.
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
