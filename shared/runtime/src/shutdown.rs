use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::driver::{LoopDriver, LoopError, Pace, Wake};
use super::status::{LoopReport, LoopStatus};
use tideline_core::clock::Clock;

/// The outcome of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownOutcome {
    /// Everything ended by itself.
    Finished,
    /// The grace period ended or a second signal came: running tasks were dropped. Their leases expire and other
    /// workers take over.
    Dropped,
}

/// The tasks of one process. Soft stop: each task ends at its next safe point. Hard stop: tasks are dropped where they
/// wait. Clones are handles to the same tasks.
#[derive(Clone)]
pub struct Runtime {
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    loops: Arc<Mutex<Vec<Arc<LoopStatus>>>>,
}

impl Runtime {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            stop: CancellationToken::new(),
            hard: CancellationToken::new(),
            tasks: TaskTracker::new(),
            loops: Arc::default(),
        }
    }

    /// Cancelled by the soft stop. Cancelling it starts the soft stop.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Cancelled by the hard stop. Cancelling it ends the grace period of a shutdown in progress.
    #[must_use]
    pub fn hard_stop(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// Runs a task that watches [`Runtime::stop`] itself. The hard stop drops it.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hard = self.hard.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = hard.cancelled() => {}
            }
        });
    }

    /// Runs a loop until the soft stop, see [`LoopDriver`].
    pub fn spawn_loop<F, R>(&self, name: &'static str, interval: Duration, wake: Wake, run_once: F)
    where
        F: FnMut() -> R + Send + 'static,
        R: Future<Output = Result<Pace, LoopError>> + Send + 'static,
    {
        let status = self.watch(name);
        let driver = LoopDriver {
            name,
            interval,
            wake,
            stop: self.stop.clone(),
            clock: Arc::clone(&self.clock),
            status,
        };
        self.spawn(driver.drive(run_once));
    }

    /// Registers a loop with `/livez` that is not driven by [`LoopDriver`] and reports its own status.
    #[must_use]
    pub fn watch(&self, name: &'static str) -> Arc<LoopStatus> {
        let status = Arc::new(LoopStatus::new(name));
        self.loops.lock().push(Arc::clone(&status));
        status
    }

    /// The status of each loop, in start order.
    #[must_use]
    pub fn loops(&self) -> Vec<LoopReport> {
        let now = self.clock.now();
        self.loops.lock().iter().map(|status| status.report(now)).collect()
    }

    /// Starts the soft stop, waits up to `grace` for the tasks to end, then drops those that still run.
    pub async fn shut_down(&self, grace: Duration) -> ShutdownOutcome {
        self.stop.cancel();
        self.tasks.close();
        let finished = tokio::select! {
            // First, because the hard stop also ends the tasks.
            biased;
            () = self.hard.cancelled() => false,
            () = self.tasks.wait() => true,
            () = tokio::time::sleep(grace) => false,
        };
        if finished {
            return ShutdownOutcome::Finished;
        }
        self.hard.cancel();
        // A task that blocks its thread cannot be dropped; the process does not wait for it.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        ShutdownOutcome::Dropped
    }
}

/// A signal this soon after the first counts as the same one: `timeout` of GNU coreutils sends it to the process and
/// then to its group.
const SAME: Duration = Duration::from_millis(250);

/// The first SIGTERM or SIGINT cancels `stop`, the second one `hard`. Returns after the second.
///
/// # Errors
/// The signals cannot be watched.
pub async fn stop_signals(stop: CancellationToken, hard: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    stop.cancel();
    let first = Instant::now();
    next().await;
    while first.elapsed() < SAME {
        next().await;
    }
    hard.cancel();
    Ok(())
}

#[cfg(test)]
#[path = "shutdown_tests.rs"]
mod tests;
