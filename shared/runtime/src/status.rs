use std::any::Any;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use super::panic_text;
use tideline_core::words::Timestamp;

/// How one loop is doing. Written by its driver, read by `/livez`.
#[derive(Debug)]
pub struct LoopStatus {
    name: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the run began, or last reported progress.
    running_since: Option<Timestamp>,
    /// The latest time of the next run; none before the first run and after the end.
    turns_by: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    failures_in_a_row: u32,
    last_error: Option<String>,
    ended: bool,
}

/// One loop, as `/livez` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoopReport {
    /// Which loop.
    pub name: &'static str,
    /// It is alive: neither hung nor dead. A failing loop is alive, too, since a restart would not help.
    pub alive: bool,
    /// When it last did its work.
    pub last_success_at: Option<Timestamp>,
    /// Failures since then.
    pub failures_in_a_row: u32,
    /// The last of them, while there are any.
    pub last_error: Option<String>,
}

impl LoopStatus {
    /// How long a run may go without progress, or a due run be late, before the loop counts as hung.
    pub const PATIENCE: Duration = Duration::from_secs(60);

    /// Of a loop that does not run yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            state: Mutex::default(),
        }
    }

    /// A run begins.
    pub fn starts_a_run(&self, now: Timestamp) {
        let mut state = self.state.lock();
        state.running_since = Some(now);
        state.turns_by = None;
    }

    /// The run ended well.
    pub fn succeeded(&self, now: Timestamp) {
        let mut state = self.state.lock();
        state.running_since = None;
        state.last_success_at = Some(now);
        state.failures_in_a_row = 0;
        state.last_error = None;
    }

    /// The run failed; returns the number of consecutive failures.
    pub fn failed(&self, error: String) -> u32 {
        let mut state = self.state.lock();
        state.running_since = None;
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        state.last_error = Some(error);
        state.failures_in_a_row
    }

    /// The run panicked: logged, and counted as failed. The driver starts the loop again.
    pub fn panicked(&self, panic: &(dyn Any + Send)) {
        let error = format!("it panicked: {}", panic_text(panic));
        let failures = self.failed(error.clone());
        tracing::error!(
            task = self.name,
            failures,
            error,
            "a loop panicked and will be restarted"
        );
    }

    /// The next run begins at this time at the latest.
    pub fn waits_until(&self, moment: Timestamp) {
        self.state.lock().turns_by = Some(moment);
    }

    /// The run is long but makes progress: it is not hung.
    pub fn progresses(&self, now: Timestamp) {
        let mut state = self.state.lock();
        if state.running_since.is_some() {
            state.running_since = Some(now);
        }
    }

    /// The loop has ended.
    pub fn ended(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.running_since = None;
    }

    /// The current status.
    #[must_use]
    pub fn report(&self, now: Timestamp) -> LoopReport {
        let state = self.state.lock();
        let late_after = state.running_since.or(state.turns_by);
        LoopReport {
            name: self.name,
            alive: !state.ended && late_after.is_none_or(|moment| now.since(moment) <= Self::PATIENCE),
            last_success_at: state.last_success_at,
            failures_in_a_row: state.failures_in_a_row,
            last_error: state.last_error.clone(),
        }
    }
}
