use serde::{Deserialize, Serialize};
use serde_json::Value;
use tideline_core::rules;
use tideline_core::words::{ChangeKind, EntityRef};
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::words;

/// One line of a plan. The last line is the summary, or the problem that ended the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum PlanLine {
    /// Something that the next cycle would do.
    Step(PlanStep),
    /// The source is being read; at least every five seconds.
    Progress {
        /// How far.
        progress: PlanProgress,
    },
    /// The plan is complete.
    Summary {
        /// Its totals.
        summary: PlanSummary,
    },
    /// There is no plan.
    Problem {
        /// Why.
        problem: Problem,
    },
}

/// One entity that the next cycle would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanStep {
    /// What would happen to it.
    #[schema(value_type = words::ChangeKind)]
    pub change: ChangeKind,
    /// Its reference.
    #[serde(rename = "ref")]
    #[schema(value_type = String)]
    pub reference: EntityRef,
    /// If it would be modified: where its bodies differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// One place at which two bodies differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// A jq path, as in `.metadata.labels["tier"]`.
    pub path: String,
    /// What the catalog has; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What the source has; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl From<rules::Difference> for Difference {
    fn from(difference: rules::Difference) -> Self {
        Self {
            path: difference.path,
            before: difference.before,
            after: difference.after,
        }
    }
}

/// How much of a source was read for a plan so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanProgress {
    /// Entities.
    pub entities: u64,
    /// Pages.
    pub pages: u64,
    /// What the reading waits for, in a sentence; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

/// The totals of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanSummary {
    /// Name of the source.
    pub source: String,
    /// Entities the source has.
    pub entities: u64,
    /// Entities the catalog has of it.
    pub owned: u64,
    /// Entities that would be added.
    pub added: u64,
    /// Entities that would be modified.
    pub modified: u64,
    /// Entities that would stay as they are.
    pub unchanged: u64,
    /// Entities that the source no longer has.
    pub removed: u64,
    /// Malformed items. The catalog keeps what it has of them.
    pub malformed: u64,
    /// Pages read.
    pub pages: u64,
    /// Partitions read.
    pub partitions: u64,
    /// What would happen to the removals.
    pub sweep: PlannedSweep,
}

impl PlanSummary {
    /// Whether the next cycle would change anything.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        let removed = match self.sweep {
            PlannedSweep::Keep => 0,
            PlannedSweep::Confirm { waiting, .. } => self.removed.saturating_sub(waiting),
            _ => self.removed,
        };
        self.added + self.modified + removed > 0
    }

    /// Whether the source was read completely.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !matches!(self.sweep, PlannedSweep::Incomplete { .. })
    }
}

/// What would happen to a plan's removals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum PlannedSweep {
    /// There are none.
    #[default]
    Nothing,
    /// They are deleted at the end of the next complete cycle.
    Sweep,
    /// They are deleted after that many complete cycles in a row without them (`removals.confirm_cycles`).
    Confirm {
        /// That many.
        cycles: u32,
        /// Removals that the next cycle does not make yet.
        #[serde(default)]
        waiting: u64,
    },
    /// They stay, and are reported (`drift: report`).
    Keep,
    /// A guard, or `drift: hold`, holds them for approval.
    Hold {
        /// Why.
        reason: String,
    },
    /// The source could not be read completely: what the unread parts may own is kept.
    Incomplete {
        /// Why.
        reason: String,
    },
}
