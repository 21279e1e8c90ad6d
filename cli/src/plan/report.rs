//! What a plan says: step by step, and summed up.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;
use tideline_config::settings::SourceSettings;
use tideline_core::rules::{Difference, SweepDecision, decide_sweep, differences};
use tideline_core::words::{CycleState, EntityRef, SweepPlan};
use tideline_store::EntityRecord;

use super::Rehearsal;
use super::compare::Step;
use super::rehearse::MALFORMED_KEPT;
use crate::output::{Out, Tone, count};

/// Longest value that is shown of a difference, in characters.
const SHOWN: usize = 80;
/// Differences shown per entity.
const SHOWN_DIFFERENCES: usize = 20;

/// One step, as programs get it.
#[derive(Serialize)]
struct StepRecord<'a> {
    change: &'static str,
    #[serde(rename = "ref")]
    reference: &'a EntityRef,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
}

/// The sum of a plan.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Name of the source.
    pub(crate) source: String,
    /// Entities the source has.
    pub(crate) entities: u64,
    /// Entities the catalog has of it.
    pub(crate) owned: u64,
    /// Entities that would be added.
    pub(crate) added: u64,
    /// Entities that would be modified.
    pub(crate) modified: u64,
    /// Entities that are as they were.
    pub(crate) unchanged: u64,
    /// Entities that the source no longer has.
    pub(crate) removed: u64,
    /// Malformed items.
    pub(crate) malformed: u64,
    /// Pages read.
    pub(crate) pages: u64,
    /// Partitions read.
    pub(crate) partitions: u64,
    /// What becomes of the removals.
    pub(crate) sweep: Removals,
}

/// What becomes of the removals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub(crate) enum Removals {
    /// There are none.
    Nothing,
    /// They are deleted at the end of the next complete cycle.
    Sweep,
    /// They are deleted once that many complete cycles in a row did not see them (`removals.confirm_cycles`).
    Confirm {
        /// That many.
        cycles: u32,
    },
    /// A guard holds them for approval.
    Hold {
        /// Why.
        reason: String,
    },
    /// Not everything could be read: what the unread parts may own is kept.
    Incomplete {
        /// Why.
        reason: String,
    },
}

/// Counts the steps, and shows them unless only the sum is wanted.
pub(crate) struct Report {
    kept: HashSet<EntityRef>,
    shown: bool,
    counts: [u64; 3],
}

impl Report {
    /// Of what was read.
    pub(crate) fn new(rehearsal: &Rehearsal, shown: bool) -> Self {
        let malformed = rehearsal.malformed.iter();
        Self {
            kept: malformed.filter_map(|record| record.item.reference.clone()).collect(),
            shown,
            counts: [0; 3],
        }
    }

    /// Shows one step, as a JSON record on a line of its own or as lines for people.
    ///
    /// # Errors
    /// Output fails.
    pub(crate) fn step(&mut self, out: &mut Out, step: &Step) -> anyhow::Result<()> {
        let (place, change, reference) = match step {
            Step::Added(record) => (0, "added", &record.reference),
            Step::Modified { after, .. } => (1, "modified", &after.reference),
            // A malformed item that can be named keeps what the catalog has.
            Step::Missing(record) if self.kept.contains(&record.reference) => return Ok(()),
            Step::Missing(record) => (2, "removed", &record.reference),
        };
        self.counts[place] += 1;
        if !self.shown {
            return Ok(());
        }
        let differences = match step {
            Step::Modified { before, after } => differences(&body(before), &body(after)),
            _ => Vec::new(),
        };
        if out.is_json() {
            let record = StepRecord {
                change,
                reference,
                differences,
            };
            return Ok(out.record(&record)?);
        }
        let (sign, tone) = [("+", Tone::Good), ("~", Tone::Warn), ("-", Tone::Bad)][place];
        out.toned(tone, format!("{sign} {reference}"))?;
        for difference in differences.iter().take(SHOWN_DIFFERENCES) {
            out.line(format!("    {}", line(difference)))?;
        }
        if let Some(more) = differences
            .len()
            .checked_sub(SHOWN_DIFFERENCES)
            .filter(|more| *more > 0)
        {
            out.toned(Tone::Dim, format!("    and {more} more"))?;
        }
        Ok(())
    }

    /// The sum.
    pub(crate) fn summary(self, rehearsal: &Rehearsal, settings: &SourceSettings, owned: u64) -> Summary {
        let [added, modified, removed] = self.counts;
        let totals = &rehearsal.cycle.totals;
        let plan = SweepPlan {
            owned,
            marked: totals.entities,
            candidates: removed,
            ..SweepPlan::default()
        };
        let sweep = match (rehearsal.cycle.state, decide_sweep(settings.guard, plan)) {
            (CycleState::Complete, _) if totals.has_gaps() => Removals::Incomplete {
                reason: format!(
                    "{} partitions failed, {} items have no name",
                    count(totals.partitions_parked),
                    count(totals.unidentified)
                ),
            },
            (CycleState::Complete, _) if removed == 0 => Removals::Nothing,
            (CycleState::Complete, SweepDecision::Hold(reason)) => Removals::Hold { reason },
            (CycleState::Complete, SweepDecision::Sweep) if settings.confirm_cycles > 1 => Removals::Confirm {
                cycles: settings.confirm_cycles,
            },
            (CycleState::Complete, SweepDecision::Sweep) => Removals::Sweep,
            _ => Removals::Incomplete {
                reason: rehearsal.cycle.reason.clone().unwrap_or_default(),
            },
        };
        Summary {
            source: settings.name.clone(),
            entities: totals.added,
            owned,
            added,
            modified,
            unchanged: totals.added.saturating_sub(added + modified),
            removed,
            malformed: totals.malformed,
            pages: totals.pages,
            partitions: totals.partitions,
            sweep,
        }
    }
}

impl Summary {
    /// Whether the next cycle would change anything.
    pub(crate) fn has_changes(&self) -> bool {
        self.added + self.modified + self.removed > 0
    }

    /// Whether the source was read whole.
    pub(crate) fn is_complete(&self) -> bool {
        !matches!(self.sweep, Removals::Incomplete { .. })
    }

    /// For people.
    ///
    /// # Errors
    /// Output fails.
    pub(crate) fn show(&self, out: &mut Out) -> std::io::Result<()> {
        out.line(format!(
            "Plan for {}: {} to add, {} to modify, {} to remove, {} unchanged ({} pages read).",
            self.source,
            count(self.added),
            count(self.modified),
            count(self.removed),
            count(self.unchanged),
            count(self.pages),
        ))?;
        if self.malformed > 0 {
            let text = format!(
                "{} malformed items; the catalog keeps what it has of them.",
                count(self.malformed)
            );
            out.toned(Tone::Warn, text)?;
        }
        if self.malformed > u64::from(MALFORMED_KEPT) && self.removed > 0 {
            let kept = count(u64::from(MALFORMED_KEPT));
            let text = format!("Only {kept} of them are remembered: some entities to remove may in fact be kept.");
            out.toned(Tone::Warn, text)?;
        }
        match &self.sweep {
            Removals::Nothing | Removals::Sweep => Ok(()),
            Removals::Confirm { cycles } => out.line(format!(
                "Removals take effect once {cycles} complete cycles in a row did not see the entity (removals.confirm_cycles)."
            )),
            Removals::Hold { reason } => out.toned(
                Tone::Warn,
                format!("The removal guard would hold the sweep for approval: {reason}."),
            ),
            Removals::Incomplete { reason } => out.toned(
                Tone::Bad,
                format!("Not everything could be read, so what the unread parts may own would be kept: {reason}."),
            ),
        }
    }
}

fn body(record: &EntityRecord) -> Value {
    serde_json::from_str(&record.body).unwrap_or_else(|_| Value::from(record.body.as_str()))
}

/// A difference for people.
pub(crate) fn line(difference: &Difference) -> String {
    let path = &difference.path;
    match (&difference.before, &difference.after) {
        (Some(before), Some(after)) => format!("{path}: {} → {}", cut(before), cut(after)),
        (None, Some(after)) => format!("{path}: + {}", cut(after)),
        (Some(before), None) => format!("{path}: - {}", cut(before)),
        (None, None) => path.clone(),
    }
}

fn cut(value: &Value) -> String {
    crate::output::short(&value.to_string(), SHOWN)
}
