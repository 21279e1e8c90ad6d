use std::collections::BTreeMap;

use console::{measure_text_width, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tideline_core::words::{CycleState, SourceState, Timestamp};

use super::screen;
use super::summary::summary;
use super::watcher::has_ended;
use super::{Show, Snapshot, SourceProgress};
use crate::output::{Out, count, moment};

/// Draws per second.
const DRAWS: u8 = 10;

/// A terminal with fewer columns is narrow.
const NARROW: u16 = 110;

/// Columns of a source's name and of the blanks between the parts of a line.
const NAME: usize = 12;
const BLANKS: usize = 2;

/// A bar per source, below the tables of the cycles that ended.
pub(super) struct Bars {
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    /// How they look, in a terminal of the width that it last had.
    style: ProgressStyle,
    narrow: bool,
    once: bool,
}

/// What a source is doing.
pub(super) struct Sentence {
    /// For people.
    pub(super) text: String,
    /// Without what changes by itself (a count-down).
    pub(super) key: String,
}

impl Bars {
    /// `once`: the next cycle is not for this process.
    pub(super) fn new(once: bool) -> Self {
        Self {
            all: MultiProgress::with_draw_target(screen::target(DRAWS)),
            bars: BTreeMap::new(),
            style: style(false),
            narrow: false,
            once,
        }
    }

    /// A narrow terminal has short bars, so that there is room for what they mean.
    fn fit(&mut self) {
        let narrow = screen::columns() < NARROW;
        if narrow != self.narrow {
            self.narrow = narrow;
            self.style = style(narrow);
            for bar in self.bars.values() {
                bar.set_style(self.style.clone());
            }
        }
    }

    /// What there is room for behind a source's name and bar; that something is left out is shown.
    fn cut(&self, name: &str, text: &str) -> String {
        let taken = measure_text_width(name).max(NAME) + bar_columns(self.narrow) + BLANKS;
        // A row ends before the margin.
        let room = usize::from(screen::columns()).saturating_sub(taken + 1);
        truncate_str(text, room, "…").into_owned()
    }

    fn bar(&mut self, name: &str) -> ProgressBar {
        if let Some(bar) = self.bars.get(name) {
            return bar.clone();
        }
        let style = self.style.clone();
        let bar = self
            .all
            .add(ProgressBar::new(0).with_style(style).with_prefix(name.to_owned()));
        self.bars.insert(name.to_owned(), bar.clone());
        bar
    }
}

impl Show for Bars {
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()> {
        if !snapshot.ended.is_empty() {
            self.all.suspend(|| {
                out.grid(&summary(&snapshot.ended))?;
                out.line("")
            })?;
        }
        self.fit();
        for progress in &snapshot.sources {
            let bar = self.bar(&progress.source.name);
            let (done, all) = share(progress);
            bar.set_length(all);
            bar.set_position(done);
            let text = sentence(progress, snapshot.now, self.once).text;
            bar.set_message(self.cut(&progress.source.name, &text));
        }
        Ok(())
    }

    fn close(&mut self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
        // Nothing is lost if the terminal is gone.
        let _ = self.all.clear();
    }
}

fn bar_columns(narrow: bool) -> usize {
    if narrow { 8 } else { 24 }
}

fn style(narrow: bool) -> ProgressStyle {
    let bar = bar_columns(narrow);
    let template = format!("{{prefix:{NAME}.bold}} {{bar:{bar}.cyan/black.bright}} {{wide_msg}}");
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

/// How far the cycle is: by partitions if it has several, else by the entities there were before.
fn share(progress: &SourceProgress) -> (u64, u64) {
    let Some(cycle) = &progress.cycle else {
        return (0, 1);
    };
    if has_ended(cycle) {
        return (1, 1);
    }
    let totals = &cycle.totals;
    if totals.partitions > 1 {
        (totals.partitions_done, totals.partitions)
    } else {
        (totals.entities, totals.entities.max(progress.source.entities).max(1))
    }
}

/// What the source is doing, in a few words. `once`: without the next cycle, which this process will not run.
pub(super) fn sentence(progress: &SourceProgress, now: Timestamp, once: bool) -> Sentence {
    let source = &progress.source;
    let plain = |text: String| Sentence {
        key: text.clone(),
        text,
    };
    match source.state {
        SourceState::Paused => return plain(format!("paused · {} entities", count(source.entities))),
        SourceState::Orphaned => return plain(format!("orphaned · {} entities", count(source.entities))),
        SourceState::Blocked => {
            let reason = source.blocked_reason.as_deref().unwrap_or_default();
            return plain(format!("blocked · {reason}"));
        }
        SourceState::Active => {}
    }
    match &progress.cycle {
        Some(cycle) if cycle.state == CycleState::Bursting => {
            let totals = &cycle.totals;
            let waits = match (&progress.waits, source.hold_until) {
                (_, Some(until)) if until > now => " · rate-limited by the source".to_owned(),
                (Some(why), _) => format!(" · {why}"),
                (None, _) => String::new(),
            };
            plain(format!(
                "cycle {} · reading · {} entities · {} pages · {}/s · {} of {} partitions{waits}",
                cycle.number,
                count(totals.entities),
                count(totals.pages),
                count(progress.speed),
                count(totals.partitions_done),
                count(totals.partitions),
            ))
        }
        Some(cycle) if cycle.state == CycleState::Sweeping => plain(format!(
            "cycle {} · sweeping · {} deleted",
            cycle.number,
            count(cycle.totals.removed)
        )),
        _ => {
            let held = source.held.as_ref().filter(|held| !held.approved);
            let phase = match (held, source.requested) {
                (_, Some(_)) => "starting",
                (Some(_), None) => "sweep held",
                (None, None) if once => "done",
                (None, None) => "resting",
            };
            let number = source.cycle.0 + i64::from(source.requested.is_some());
            let key = format!("cycle {number} · {phase} · {} entities", count(source.entities));
            let text = match source.next_cycle_at {
                Some(next) if source.requested.is_none() && !once => format!("{key} · next {}", moment(next, now)),
                _ => key.clone(),
            };
            Sentence { text, key }
        }
    }
}
