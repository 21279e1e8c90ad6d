//! The seam to the queue: it carries hints, never truth. Losing, doubling, delaying or reordering what it carries changes
//! no result, only time. Backends: [`in_process`] and [`jetstream`].

pub mod codec;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod in_process;
pub mod jetstream;
mod wakeups;

use std::error::Error;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::words::{JobId, Token};

/// Says that jobs of one kind are due: at most [`Hint::MAX_JOBS`] of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Their kind.
    pub kind: String,
    /// Each with the token it had when the hint was made; another token by now means that the hint is stale.
    pub jobs: Vec<(JobId, Token)>,
    /// W3C `traceparent` of the dispatch.
    pub trace: Option<String>,
}

impl Hint {
    /// Most jobs in one hint.
    pub const MAX_JOBS: usize = 500;
}

/// A hint received. Dropping it without an ack is harmless: it may come again, from the queue or from a scheduler.
#[async_trait]
pub trait Delivery: Send + Sync {
    /// What it says.
    fn hint(&self) -> &Hint;

    /// It was acted on.
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

/// How the queue is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum QueueHealth {
    /// Hints flow.
    Healthy,
    /// They do not; the text says why. Work goes on from the store.
    Degraded(String),
}

/// Sends hints and wake-ups.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends hints; returns when the queue has them all. In case of an error some may have been sent.
    async fn publish(&self, hints: &[Hint]) -> Result<(), QueueError>;

    /// Waits for hints of any of the kinds: at least one, at most `max`. Cancel-safe. While the queue is down it waits for
    /// its return (the caller has its own timeout).
    async fn receive(&self, kinds: &[String], max: usize) -> Result<Vec<Box<dyn Delivery>>, QueueError>;

    /// Wakes everyone who holds [`Wakeups`]: something in the store is worth a look now. Best effort.
    async fn wake(&self);

    /// A waiter of its own; wake-ups from now on reach it.
    fn wakeups(&self) -> Box<dyn Wakeups>;

    /// How it is.
    fn health(&self) -> QueueHealth;
}

/// One waiter for wake-ups.
#[async_trait]
pub trait Wakeups: Send {
    /// Returns after a wake-up that came since the last return, at once if there was one; several of them count as one.
    /// Cancel-safe.
    async fn next(&mut self);
}
