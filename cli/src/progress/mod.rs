//! Shows running cycles: a watcher polls the store a few times per second, a view shows the snapshots.

mod bars;
mod lines;
mod once;
mod reading;
mod records;
mod screen;
mod summary;
mod watcher;

use std::time::Duration;

use tideline_store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::exit::Code;
use crate::output::Out;

pub(crate) use once::Once;
pub(crate) use reading::Reading;
pub(crate) use watcher::{EndedCycle, Snapshot, SourceProgress, Watcher};

/// How often a person sees something new, and how often a log does at most.
const LOOK_TERMINAL: Duration = Duration::from_millis(150);
const LOOK_PIPE: Duration = Duration::from_millis(500);
/// How often a service looks for cycles that ended.
const LOOK_SERVICE: Duration = Duration::from_secs(2);

/// Shows snapshots.
trait Show: Send {
    /// What is new. Called a few times per second.
    fn show(&mut self, snapshot: &Snapshot, out: &mut Out) -> anyhow::Result<()>;

    /// No more progress will come.
    fn close(&mut self) {}
}

/// What is shown, and how often.
pub(crate) struct View {
    show: Box<dyn Show>,
    pause: Duration,
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watching {
    /// Roles that run until a signal, step by step.
    Live,
    /// Roles that run until a signal; away from a terminal only what ended is shown.
    Service,
    /// One cycle per source; nothing is said of a cycle that this process will not run.
    Once,
}

/// Bars on a terminal, lines elsewhere, one record per ended cycle for programs.
pub(crate) fn view(out: &Out, watching: Watching) -> View {
    let terminal = out.is_terminal() && console_is_terminal();
    let once = watching == Watching::Once;
    let (show, pause): (Box<dyn Show>, Duration) = if out.is_json() {
        (Box::new(records::Records), LOOK_PIPE)
    } else if terminal {
        (Box::new(bars::Bars::new(once)), LOOK_TERMINAL)
    } else if watching == Watching::Service {
        (Box::new(lines::Ended), LOOK_SERVICE)
    } else {
        (Box::new(lines::Lines::new(once)), LOOK_PIPE)
    };
    View { show, pause }
}

impl View {
    /// Clears the screen.
    pub(crate) fn close(&mut self) {
        self.show.close();
    }
}

fn console_is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

/// Shows progress until `stop`, or until every cycle of `once` has ended; then reports the outcome.
///
/// # Errors
/// Output fails, or, with `once`, the store does in a way that will not pass.
pub(crate) async fn follow(
    watcher: &mut Watcher,
    view: &mut View,
    out: &mut Out,
    mut once: Option<&mut Once>,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Code>> {
    let mut stopping = false;
    loop {
        match watcher.look().await {
            Ok(snapshot) => {
                view.show.show(&snapshot, out)?;
                if let Some(once) = once.as_deref_mut() {
                    once.observe(&snapshot);
                    if let Some(code) = once.outcome() {
                        return Ok(Some(code));
                    }
                }
            }
            // A service survives store errors, like its roles, which log them.
            Err(error) if once.is_none() || StoreError::may_retry(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if stopping {
            return Ok(None);
        }
        tokio::select! {
            () = tokio::time::sleep(view.pause) => {}
            // What ended last is shown, too.
            () = stop.cancelled() => stopping = true,
        }
    }
}
