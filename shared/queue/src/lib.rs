//! The seam to the queue: it carries hints, never truth. Losing, doubling, delaying or reordering what it carries
//! changes no result, only time. Backends: [`in_process`] and [`jetstream`].

mod announce;
pub mod codec;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod in_process;
pub mod jetstream;
mod wakeups;

pub use announce::announce;

use std::error::Error;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use tideline_core::Wakeups;
use tideline_core::words::{JobId, NatsAddressError, Token};

/// Announces due jobs of one kind, at most [`Hint::MAX_JOBS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Their kind.
    pub kind: String,
    /// Each with its token when the hint was made; a different current token means that the hint is stale.
    pub jobs: Vec<(JobId, Token)>,
    /// W3C `traceparent` of what made the jobs, if all have the same.
    pub trace: Option<String>,
}

impl Hint {
    /// Maximum number of jobs in one hint.
    pub const MAX_JOBS: usize = 500;
    /// Number of hints among which jobs that become due together are divided, so that as many workers hear of them at
    /// once.
    const SPREAD: usize = 16;

    /// Hints for all these jobs of one kind.
    #[must_use]
    pub fn spread(kind: &str, jobs: &[(JobId, Token)], trace: Option<&str>) -> Vec<Self> {
        jobs.chunks(jobs.len().div_ceil(Self::SPREAD).clamp(1, Self::MAX_JOBS))
            .map(|jobs| Self {
                kind: kind.to_owned(),
                jobs: jobs.to_vec(),
                trace: trace.map(str::to_owned),
            })
            .collect()
    }
}

/// A hint received. Dropping it without an ack is harmless: it may come again, from the queue or from a scheduler.
#[async_trait]
pub trait Delivery: Send + Sync {
    /// Its content.
    fn hint(&self) -> &Hint;

    /// Acknowledges it after it was acted on.
    async fn ack(&self);
}

/// Why the queue could not be used. Never stops anything: workers claim from the store ("degraded").
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Not reachable now.
    #[error("the queue is not available ({act})")]
    Unavailable {
        /// What was tried.
        act: &'static str,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// URL, credentials, rights or limits are wrong; the text says which setting and what to do.
    #[error("{0}")]
    Config(String),
}

impl From<NatsAddressError> for QueueError {
    fn from(error: NatsAddressError) -> Self {
        Self::Config(error.to_string())
    }
}

/// The health of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum QueueHealth {
    /// Hints flow.
    Healthy,
    /// They do not; the text says why. Work continues from the store.
    Degraded(String),
}

/// Sends hints and wake-ups.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends hints; returns when the queue has them all. On an error, some may have been sent.
    async fn publish(&self, hints: &[Hint]) -> Result<(), QueueError>;

    /// Waits for hints of any of the kinds: at least one, at most `max`. Cancel-safe. While the queue is down it waits
    /// for its return (the caller has its own timeout).
    async fn receive(&self, kinds: &[String], max: usize) -> Result<Vec<Box<dyn Delivery>>, QueueError>;

    /// Wakes all holders of [`Wakeups`]: the store has something to do. Best effort.
    async fn wake(&self);

    /// A new waiter, which receives wake-ups from now on.
    fn wakeups(&self) -> Box<dyn Wakeups>;

    /// Its current health.
    fn health(&self) -> QueueHealth;

    /// Returns when hints do not flow; at once if they do not now. Cancel-safe.
    async fn degraded(&self);

    /// Whether wake-ups currently pass between processes. While they do not, waiting tasks poll the store more often.
    fn reaches_others(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_are_due_together_are_divided_among_hints_and_none_is_left_out() {
        for (count, hints, largest) in [
            (0_i64, 0, 0),
            (1, 1, 1),
            (16, 16, 1),
            (17, 9, 2),
            (1_000, 16, 63),
            (20_000, 40, 500),
        ] {
            let jobs: Vec<_> = (0..count).map(|number| (JobId(number), Token(1))).collect();
            let spread = Hint::spread("k", &jobs, None);
            assert_eq!(spread.len(), hints, "{count} jobs");
            assert_eq!(spread.iter().map(|hint| hint.jobs.len()).max().unwrap_or(0), largest);
            assert_eq!(spread.into_iter().flat_map(|hint| hint.jobs).collect::<Vec<_>>(), jobs);
        }
    }
}
