use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tideline_core::rules::Why;

use super::{Show, Snapshot};
use crate::output::{Out, Tone, count};

/// How much of a source is read, on one line of a terminal; elsewhere only what it waits for.
pub(super) struct Reading {
    bar: Option<ProgressBar>,
    waits: Option<Why>,
}

impl Reading {
    pub(super) fn new(terminal: bool) -> Self {
        let bar = terminal.then(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
                .with_style(ProgressStyle::default_spinner())
        });
        Self { bar, waits: None }
    }
}

impl Show for Reading {
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()> {
        for progress in &snapshot.sources {
            let name = &progress.source.name;
            if let (Some(bar), Some(cycle)) = (&self.bar, &progress.cycle) {
                let totals = &cycle.totals;
                let waits = progress.waits.as_ref().map(|why| format!(" · {why}"));
                bar.set_message(format!(
                    "Reading {name}: {} entities, {} pages{}",
                    count(totals.entities),
                    count(totals.pages),
                    waits.unwrap_or_default()
                ));
                bar.tick();
            } else if progress.waits != self.waits {
                // A due job is no news: a worker takes it at once.
                if let Some(why) = progress
                    .waits
                    .as_ref()
                    .filter(|why| !matches!(why, Why::DueSince { .. }))
                {
                    out.toned(Tone::Dim, format!("{name}: {why}"))?;
                }
                self.waits.clone_from(&progress.waits);
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
