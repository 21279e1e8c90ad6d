//! The seam to what runs: a handler per kind of job. A Rust program can add its own; the queue is useful by itself.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use tideline_core::clock::Clock;
use tideline_core::rules::Ladder;
use tideline_core::words::{ClaimedJob, Timestamp};
use tideline_store::{JobStore, StoreError};
use tokio_util::sync::CancellationToken;

use crate::attempt::AttemptContext;
use crate::places::Admission;

/// Runs jobs of one kind.
#[async_trait]
pub trait Handler: Send + Sync {
    /// The kind.
    fn kind(&self) -> &str;

    /// The waits between failed attempts of this job; after the last wait it is parked.
    fn ladder(&self, _job: &ClaimedJob) -> Ladder {
        Ladder::default()
    }

    /// An attempt that takes longer is stopped and counts as failed.
    fn deadline(&self, _job: &ClaimedJob) -> Duration {
        Duration::from_secs(60)
    }

    /// Where this job runs: in the worker's slots, unless the handler has [`Places`](crate::Places) of its own, so that
    /// a slow system holds up no other kind of job. Called from the claim loop: it must not block.
    fn admit(&self, _job: &ClaimedJob) -> Admission {
        Admission::Shared
    }

    /// Makes one attempt. May be dropped at any await (deadline, lost lease, second signal): effects that must not
    /// happen twice belong after [`Attempt::checkpoint`].
    async fn run(&self, attempt: &Attempt) -> Result<Outcome, HandlerError>;
}

/// One attempt at a job by this worker.
pub struct Attempt {
    /// The job.
    pub job: ClaimedJob,
    /// Cancelled when the worker shuts down: stop at the next good place and return [`Outcome::HandBack`].
    pub stop: CancellationToken,
    /// Time.
    pub clock: Arc<dyn Clock>,
    pub(crate) store: Arc<dyn JobStore>,
    /// Whether pages were committed: then a failure of this attempt is the first in a row.
    pub(crate) progressed: Arc<AtomicBool>,
    /// When the store last confirmed that no other worker has the job.
    pub(crate) held_at: Mutex<Option<Instant>>,
    pub(crate) context: AttemptContext,
}

/// How long such a confirmation stays valid: shorter than any lease.
const HELD: Duration = Duration::from_secs(1);

impl Attempt {
    /// Stores a cursor (JSON text) for the next attempt.
    ///
    /// # Errors
    /// [`HandlerError::LeaseLost`]: another worker has the job; return at once. Else the store's error.
    pub async fn checkpoint(&self, cursor: &str) -> Result<(), HandlerError> {
        if self
            .store
            .checkpoint(self.job.lease(), cursor, self.clock.now())
            .await?
        {
            Ok(())
        } else {
            Err(HandlerError::LeaseLost)
        }
    }

    /// Makes sure that no other worker has the job, for example between two effects that must not overlap. Attempts
    /// that lose their lease are cancelled anyway; only after its process was suspended does an attempt have to ask the
    /// store, at most once a second.
    pub(crate) async fn still_held(&self) -> Result<(), HandlerError> {
        let now = Instant::now();
        if self.held_at.lock().is_some_and(|at| now.duration_since(at) < HELD) {
            return Ok(());
        }
        self.checkpoint(self.job.cursor.as_deref().unwrap_or("{}")).await?;
        *self.held_at.lock() = Some(now);
        Ok(())
    }

    /// The rung on which a failure of this attempt counts.
    pub(crate) fn rung(&self) -> u32 {
        if self.progressed.load(Ordering::Relaxed) {
            0
        } else {
            self.job.rung
        }
    }
}

/// How an attempt ended, if it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The job is done.
    Done,
    /// A part of it is done, the next part follows after this wait. Counts as a success: rung 0.
    Again(Duration),
    /// Postponed without a failure, for this reason: no attempt is spent, the rung stays.
    Postpone(Timestamp, String),
    /// The worker shuts down: another one goes on at once, no attempt spent.
    HandBack,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// May work later: next rung, not before `not_before`.
    #[error("{message}")]
    Transient {
        /// Shown to operators.
        message: String,
        /// Requested by the remote side (`Retry-After`).
        not_before: Option<Timestamp>,
    },
    /// Will not work later: parked.
    #[error("{0}")]
    Permanent(String),
    /// Given up for good without a person (the cycle that this partition belonged to is cancelled).
    #[error("{0}")]
    GivenUp(String),
    /// Another worker has the job: nothing more may be written.
    #[error("the lease was taken over")]
    LeaseLost,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Anything else counts as transient.
    #[error("the handler failed")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}
