use std::error::Error;
use std::fmt;
use std::future::{self, Future};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::status::LoopStatus;
use super::{Backoff, panic_text};
use tideline_core::Wakeups;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::Timestamp;

tokio::task_local! {
    /// The loop whose run this is.
    static RUNNING: (Arc<LoopStatus>, Arc<dyn Clock>);
}

/// Reports progress of a long run, so that `/livez` does not consider the loop hung. Outside of a run it does nothing.
pub fn note_progress() {
    let _ = RUNNING.try_with(|(status, clock)| status.progresses(clock.now()));
}

/// Why a run of a loop failed.
pub type LoopError = Box<dyn Error + Send + Sync>;

/// When a loop runs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// There is more to do: run again at once.
    Again,
    /// Nothing to do for this long, unless a wake-up comes. Capped at the interval.
    After(Duration),
    /// Nothing to do before this moment, unless a wake-up comes. Never longer than the interval.
    Until(Timestamp),
    /// Nothing to do: run at the interval or at a wake-up.
    Idle,
}

/// What ends a loop's wait early. A wake-up during a run is not lost.
pub enum Wake {
    /// Nothing does.
    Never,
    /// A wake-up of the queue does.
    Queue(Box<dyn Wakeups>),
}

impl Wake {
    async fn next(&mut self) {
        match self {
            Self::Never => future::pending().await,
            Self::Queue(wakeups) => wakeups.next().await,
        }
    }
}

/// Drives one loop: runs it, waits as the run wanted, runs it again, until it is told to stop. A run that fails or
/// panics is logged with all its causes and tried again after a wait that grows up to [`Backoff::CAP`]; it never ends
/// the loop. Continuous wake-ups get at most a tenth of the time, so that the load on the store does not grow with
/// them. A stop takes effect between runs: a run is never aborted here.
pub struct LoopDriver {
    /// For logs and `/livez`.
    pub name: &'static str,
    /// The longest wait between two runs.
    pub interval: Duration,
    /// What ends a wait early.
    pub wake: Wake,
    /// Ends the loop.
    pub stop: CancellationToken,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where it reports its status.
    pub status: Arc<LoopStatus>,
}

impl LoopDriver {
    /// Returns after `stop`.
    pub async fn drive<F, R>(mut self, mut run_once: F)
    where
        F: FnMut() -> R,
        R: Future<Output = Result<Pace, LoopError>>,
    {
        let mut backoff = Backoff::default();
        let mut share = Share::full(Instant::now());
        while !self.stop.is_cancelled() {
            self.status.starts_a_run(self.clock.now());
            let started = Instant::now();
            let running = AssertUnwindSafe(async { run_once().await }).catch_unwind();
            let watched = (Arc::clone(&self.status), Arc::clone(&self.clock));
            let outcome = RUNNING.scope(watched, running).await;
            let outcome =
                outcome.unwrap_or_else(|panic| Err(Box::new(Panicked(panic_text(panic.as_ref()).to_owned()))));
            match outcome {
                Ok(pace) => {
                    backoff.reset();
                    self.status.succeeded(self.clock.now());
                    share.spend(started, Instant::now());
                    self.rest(pace, share.paid).await;
                }
                Err(error) => {
                    let error = full_text(error.as_ref());
                    let wait = backoff.next_wait();
                    let failures = self.status.failed(error.clone());
                    tracing::warn!(
                        task = self.name,
                        failures,
                        retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                        error,
                        "a loop failed and will be retried"
                    );
                    self.wait_after_failure(wait).await;
                }
            }
        }
        self.status.ended();
    }

    /// `not_before`: when a wake-up may end the rest.
    async fn rest(&mut self, pace: Pace, not_before: Instant) {
        let now = self.clock.now();
        let longest = match pace {
            // Other tasks get their turn even if a loop always has more to do.
            Pace::Again => return tokio::task::yield_now().await,
            Pace::After(wait) => wait.min(self.interval),
            Pace::Until(moment) => moment.since(now).min(self.interval),
            Pace::Idle => self.interval,
        };
        self.status.waits_until(now.plus(longest));
        let exact = match pace {
            Pace::Until(moment) if moment.since(now) <= self.interval => Some(moment),
            _ => None,
        };
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = wait(self.clock.as_ref(), exact, longest) => return,
            () = self.wake.next() => {}
        }
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep_until(not_before) => {}
        }
    }

    /// Wake-ups do not shorten it: a failing system is not called more often because there is more to do.
    async fn wait_after_failure(&mut self, wait: Duration) {
        self.status.waits_until(self.clock.now().plus(wait));
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The share of time that wake-ups may give a loop: a tenth, plus unused shares (the generic cell rate algorithm, ITU-T
/// I.371, with a run's time as the size of its cell).
struct Share {
    /// The time up to which the runs so far have used their share.
    paid: Instant,
}

impl Share {
    /// A run uses up ten times its duration.
    const PER_RUN: u32 = 10;
    /// Maximum unused share: runs of 100 ms in total may follow each other without a rest.
    const SAVED: Duration = Duration::from_secs(1);
    /// Maximum rest, however long a run was.
    const LONGEST_REST: Duration = Duration::from_millis(250);

    fn full(now: Instant) -> Self {
        Self {
            paid: now.checked_sub(Self::SAVED).unwrap_or(now),
        }
    }

    fn spend(&mut self, started: Instant, ended: Instant) {
        let saved = Self::full(started).paid;
        self.paid = (self.paid.max(saved) + (ended - started) * Self::PER_RUN).min(ended + Self::LONGEST_REST);
    }
}

/// Waits for a moment by the clock, which may be set or moved, or for a duration, which no clock can change.
async fn wait(clock: &dyn Clock, exact: Option<Timestamp>, longest: Duration) {
    match exact {
        Some(moment) => clock.sleep_until(moment).await,
        None => tokio::time::sleep(longest).await,
    }
}

#[derive(Debug)]
struct Panicked(String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it panicked: {}", self.0)
    }
}

impl Error for Panicked {}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
