//! Showing cycles while they run: a watcher reads the store a few times per second, a view shows what it saw.

mod bars;
mod lines;
mod once;
mod records;
mod summary;
mod watcher;

use std::time::Duration;

use tideline_shared::store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::exit::Code;
use crate::output::Out;

pub(crate) use once::Once;
pub(crate) use watcher::{EndedCycle, Snapshot, SourceProgress, Watcher};

/// How often a person sees something new, and how often a log does at most.
const LOOK_TERMINAL: Duration = Duration::from_millis(150);
const LOOK_PIPE: Duration = Duration::from_millis(500);

/// Shows snapshots.
pub(crate) trait View: Send {
    /// What is new. Called a few times per second.
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()>;

    /// Nothing comes any more.
    fn close(&mut self);
}

/// Bars on a terminal, lines elsewhere, one record per ended cycle for programs.
pub(crate) fn view(out: &Out) -> Box<dyn View> {
    if out.is_json() {
        Box::new(records::Records)
    } else if out.is_terminal() && console_is_terminal() {
        Box::new(bars::Bars::new())
    } else {
        Box::new(lines::Lines::default())
    }
}

fn console_is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

/// Shows until `stop`, or until every cycle of `once` has ended: then says how.
///
/// # Errors
/// Output fails, or the store does in a way that will not pass.
pub(crate) async fn follow(
    watcher: &mut Watcher,
    view: &mut dyn View,
    out: &mut Out,
    mut once: Option<&mut Once>,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Code>> {
    let pause = if out.is_terminal() { LOOK_TERMINAL } else { LOOK_PIPE };
    loop {
        match watcher.look().await {
            Ok(snapshot) => {
                view.show(&snapshot, out)?;
                if let Some(once) = once.as_deref_mut() {
                    once.observe(&snapshot);
                    if let Some(code) = once.outcome() {
                        return Ok(Some(code));
                    }
                }
            }
            Err(error) if StoreError::may_retry(&error) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}
