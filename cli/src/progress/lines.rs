use std::collections::BTreeMap;
use std::time::Duration;

use tideline_shared::words::Timestamp;

use super::bars::sentence;
use super::summary::summary;
use super::{Snapshot, View};
use crate::output::Out;

/// A source at work says something this often.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// Plain lines for logs: when something changed, at most one per source and second.
#[derive(Default)]
pub(super) struct Lines {
    said: BTreeMap<String, (Timestamp, String)>,
}

impl View for Lines {
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()> {
        for progress in &snapshot.sources {
            let text = sentence(progress, snapshot.now);
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

    fn close(&mut self) {}
}
