use std::collections::BTreeMap;
use std::time::Duration;

use tideline_core::words::Timestamp;

use super::bars::sentence;
use super::summary::summary;
use super::{EndedCycle, Show, Snapshot};
use crate::commands::sources::cycle_word;
use crate::output::{Out, count};

/// A source at work says something this often.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Plain lines for logs: when something changed, at most one per source and second.
pub(super) struct Lines {
    once: bool,
    said: BTreeMap<String, (Timestamp, String)>,
}

impl Lines {
    /// `once`: the next cycle is not for this process.
    pub(super) fn new(once: bool) -> Self {
        Self {
            once,
            said: BTreeMap::new(),
        }
    }
}

impl Show for Lines {
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()> {
        for progress in &snapshot.sources {
            let text = sentence(progress, snapshot.now, self.once);
            let name = &progress.source.name;
            let due = self
                .said
                .get(name)
                .is_none_or(|(at, said)| *said != text.key && snapshot.now.since(*at) >= SAY_EVERY);
            if due {
                out.line(format!("{name}: {}", text.text))?;
                self.said.insert(name.clone(), (snapshot.now, text.key));
            }
        }
        if !snapshot.ended.is_empty() {
            out.grid(&summary(&snapshot.ended))?;
        }
        Ok(())
    }
}

/// Only the cycles that ended.
pub(super) struct Ended;

impl Show for Ended {
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()> {
        for end in &snapshot.ended {
            out.line(one_line(end))?;
        }
        Ok(())
    }
}

fn one_line(end: &EndedCycle) -> String {
    let totals = &end.cycle.totals;
    let reason = end.cycle.reason.as_ref();
    format!(
        "{}: cycle {} {} · {} entities · {} added · {} modified · {} deleted · {} held{}",
        end.source,
        end.cycle.number,
        cycle_word(end.cycle.state, end.cycle.reason.as_deref()),
        count(totals.entities),
        count(totals.added),
        count(totals.modified),
        count(totals.removed),
        count(end.held),
        reason.map(|reason| format!(" · {reason}")).unwrap_or_default(),
    )
}
