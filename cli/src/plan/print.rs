//! A plan on paper.

use serde_json::{Value, json};
use tideline_core::words::ChangeKind;
use tideline_producer::api::types::{Difference, PlanStep, PlanSummary, PlannedSweep};

use super::scratch::MALFORMED_KEPT;
use crate::output::{Out, Tone, count};

/// Maximum length of a value that is shown of a difference, in characters.
const SHOWN: usize = 80;
/// Differences shown per entity.
const SHOWN_DIFFERENCES: usize = 20;

/// Shows the steps, unless only the totals are wanted, and the totals.
pub(crate) struct Printer<'o> {
    out: &'o mut Out,
    steps: bool,
}

impl<'o> Printer<'o> {
    pub(crate) fn new(out: &'o mut Out, steps: bool) -> Self {
        Self { out, steps }
    }

    /// One step, as a JSON record on a line of its own or as lines for people.
    ///
    /// # Errors
    /// Output fails.
    pub(crate) fn step(&mut self, step: &PlanStep) -> anyhow::Result<()> {
        if !self.steps {
            return Ok(());
        }
        if self.out.is_json() {
            return Ok(self.out.record(step)?);
        }
        let (sign, tone) = match step.change {
            ChangeKind::Added => ("+", Tone::Good),
            ChangeKind::Modified => ("~", Tone::Warn),
            ChangeKind::Removed => ("-", Tone::Bad),
        };
        self.out.toned(tone, format!("{sign} {}", step.reference))?;
        for difference in step.differences.iter().take(SHOWN_DIFFERENCES) {
            self.out.line(format!("    {}", line(difference)))?;
        }
        let more = step.differences.len().saturating_sub(SHOWN_DIFFERENCES);
        if more > 0 {
            self.out.toned(Tone::Dim, format!("    and {more} more"))?;
        }
        Ok(())
    }

    /// The totals.
    ///
    /// # Errors
    /// Output fails.
    pub(crate) fn summary(&mut self, summary: &PlanSummary) -> anyhow::Result<()> {
        match (self.out.is_json(), self.steps) {
            (true, true) => self.out.record(&json!({ "summary": summary }))?,
            (true, false) => self.out.document(summary)?,
            (false, steps) => {
                if steps && summary.has_changes() {
                    self.out.line("")?;
                }
                show(summary, self.out)?;
            }
        }
        Ok(())
    }
}

fn show(summary: &PlanSummary, out: &mut Out) -> std::io::Result<()> {
    out.line(format!(
        "Plan for {}: {} to add, {} to modify, {} to remove, {} unchanged ({} pages read).",
        summary.source,
        count(summary.added),
        count(summary.modified),
        count(summary.removed),
        count(summary.unchanged),
        count(summary.pages),
    ))?;
    if summary.malformed > 0 {
        let text = format!(
            "{} malformed items; the catalog keeps their existing entities.",
            count(summary.malformed)
        );
        out.toned(Tone::Warn, text)?;
    }
    if summary.malformed > u64::from(MALFORMED_KEPT) && summary.removed > 0 {
        let kept = count(u64::from(MALFORMED_KEPT));
        let text = format!("Only {kept} of them are remembered: some entities to remove may in fact be kept.");
        out.toned(Tone::Warn, text)?;
    }
    match &summary.sweep {
        PlannedSweep::Nothing | PlannedSweep::Sweep => Ok(()),
        PlannedSweep::Confirm { cycles, waiting } => out.line(format!(
            "Removals take effect after {cycles} complete cycles in a row without the entity (removals.confirm_cycles); the \
             next cycle would remove {}.",
            count(summary.removed.saturating_sub(*waiting))
        )),
        PlannedSweep::Keep => {
            out.line("What the source no longer has would stay in the catalog, and be reported (drift: report).")
        }
        PlannedSweep::Hold { reason } => {
            out.toned(Tone::Warn, format!("The sweep would be held for approval: {reason}."))
        }
        PlannedSweep::Incomplete { reason } => out.toned(
            Tone::Bad,
            format!("Not everything could be read, so entities that the unread parts may own would be kept: {reason}."),
        ),
    }
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
