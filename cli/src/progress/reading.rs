use indicatif::{ProgressBar, ProgressStyle};
use tideline_producer::api::types::PlanProgress;

use super::{console_is_terminal, screen};
use crate::output::{Out, Tone, count};

/// Draws per second.
const DRAWS: u8 = 20;

/// How much of a source is read for a plan, on one line of a terminal; elsewhere only what it waits for.
pub(crate) struct Reading {
    source: String,
    bar: Option<ProgressBar>,
    waiting: Option<String>,
}

impl Reading {
    /// Nothing is shown yet.
    pub(crate) fn new(source: &str) -> Self {
        let bar = console_is_terminal().then(|| {
            ProgressBar::with_draw_target(None, screen::target(DRAWS)).with_style(ProgressStyle::default_spinner())
        });
        Self {
            source: source.to_owned(),
            bar,
            waiting: None,
        }
    }

    /// What is new.
    ///
    /// # Errors
    /// Output fails.
    pub(crate) fn show(&mut self, progress: &PlanProgress) -> std::io::Result<()> {
        if let Some(bar) = &self.bar {
            let waiting = progress.waiting.as_ref().map(|why| format!(" · {why}"));
            bar.set_message(format!(
                "Reading {}: {} entities, {} pages{}",
                self.source,
                count(progress.entities),
                count(progress.pages),
                waiting.unwrap_or_default()
            ));
            bar.tick();
        } else if progress.waiting != self.waiting {
            if let Some(why) = &progress.waiting {
                Out::stderr().toned(Tone::Dim, format!("{}: {why}", self.source))?;
            }
            self.waiting.clone_from(&progress.waiting);
        }
        Ok(())
    }

    /// Takes what is shown off the screen.
    pub(crate) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
