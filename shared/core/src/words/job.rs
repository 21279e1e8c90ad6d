use serde::{Deserialize, Serialize};

use super::{CycleNumber, Fingerprint, JobId, RefreshRequest, SourceId, Timestamp, Token, WorkerId};

/// Why a cycle or a job started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A rest was over or a cron tick came.
    Schedule,
    /// A webhook requested it.
    Webhook,
    /// A person or program requested it.
    Manual,
    /// Drift detection requested it.
    Drift,
    /// First cycle of a new or changed source.
    Start,
}

impl Trigger {
    /// The word, as in configuration and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Webhook => "webhook",
            Self::Manual => "manual",
            Self::Drift => "drift",
            Self::Start => "start",
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Runs at its `due_at`; without one it waits for a place (`parallel_partitions`).
    Waiting,
    /// Leased by a worker.
    Running,
    /// Finished well.
    Done,
    /// Needs a person.
    Parked,
    /// Given up; nothing will run it again as it is.
    Cancelled,
}

/// A job to enqueue. (kind, key) names it; equal fingerprint = nothing to do.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Which handler runs it.
    pub kind: String,
    /// Unique within its kind; at most 512 bytes.
    pub key: String,
    /// Over the canonical args.
    pub fingerprint: Fingerprint,
    /// JSON text for the handler.
    pub args: String,
    /// Not before this moment.
    pub due_at: Timestamp,
    /// Why.
    pub trigger: Trigger,
    /// W3C `traceparent` of the enqueueing.
    pub trace: Option<String>,
}

/// What enqueueing a job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnqueueOutcome {
    /// A new row.
    Inserted,
    /// The row had another fingerprint: it now has the new args and runs (again).
    Superseded,
    /// The row already has this fingerprint, in any state: nothing was changed.
    Unchanged,
}

/// What enqueueing one job of a batch did, in the order of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The job's row.
    pub job: JobId,
    /// Its token now, for the hint.
    pub token: Token,
    /// What happened.
    pub outcome: EnqueueOutcome,
    /// Whether it can be claimed as soon as it is due (not when it was unchanged or runs at this moment).
    pub claimable: bool,
}

/// A job that a claim gave to a worker.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// The row.
    pub id: JobId,
    /// The token of this claim.
    pub token: Token,
    /// Which handler.
    pub kind: String,
    /// Its name within the kind.
    pub key: String,
    /// Fingerprint of `args`.
    pub fingerprint: Fingerprint,
    /// JSON text for the handler.
    pub args: String,
    /// Where the last attempt stopped, JSON text.
    pub cursor: Option<String>,
    /// What the handler keeps besides the cursor, JSON text (of an ingest job: [`Progress`](super::Progress)).
    pub progress: Option<String>,
    /// When it became due: the difference to now is the due lag.
    pub due_at: Timestamp,
    /// 1 for the first attempt since the job was enqueued or last succeeded.
    pub attempt: u32,
    /// Place on the ladder: how many failures in a row.
    pub rung: u32,
    /// Why it started.
    pub trigger: Trigger,
    /// W3C `traceparent` of its creation.
    pub trace: Option<String>,
    /// The source whose partition it reads, for ingest jobs.
    pub source: Option<SourceId>,
    /// The cycle it belongs to, for ingest jobs.
    pub cycle: Option<CycleNumber>,
}

impl ClaimedJob {
    /// The lease this claim got.
    #[must_use]
    pub fn lease(&self) -> super::Lease {
        super::Lease {
            job: self.id,
            token: self.token,
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Finished well.
    Done,
    /// A part is done; goes on at `due_at` (the next burst). Returns to rung 0.
    Again {
        /// When.
        due_at: Timestamp,
    },
    /// Failed for now; tried again at `due_at` on `rung`.
    Retry {
        /// When.
        due_at: Timestamp,
        /// The new place on the ladder (1 after the first failure).
        rung: u32,
        /// Full text.
        error: String,
    },
    /// Put back without a failure until `due_at` (a held-back source): no attempt spent, the rung stays.
    Postponed {
        /// When.
        due_at: Timestamp,
        /// Shown as the reason.
        reason: String,
    },
    /// Failed for good, needs a person.
    Parked {
        /// Full text.
        error: String,
    },
    /// Given up after the last rung; of an ingest job this cancels its cycle.
    Cancelled {
        /// Full text.
        error: String,
    },
    /// Interrupted by a shutdown: runnable at once, no attempt spent.
    HandedBack,
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// As asked.
    Settled,
    /// The job was superseded while it ran: it waits with its newest args, due at once.
    RunsAgain,
    /// The lease was lost: nothing was written.
    LeaseLost,
}

impl JobRecord {
    /// Name of the source that it reads, as a part of a cycle or because of an event.
    #[must_use]
    pub fn source_name(&self) -> Option<&str> {
        let of_event = || RefreshRequest::source_of(&self.kind, &self.key);
        self.source.as_deref().or_else(of_event)
    }
}

/// A job as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobRecord {
    /// The row.
    pub id: JobId,
    /// Which handler.
    pub kind: String,
    /// Its name within the kind.
    pub key: String,
    /// Its state.
    pub state: JobState,
    /// When it runs next (waiting jobs); none: waits for a place.
    pub due_at: Option<Timestamp>,
    /// Attempts since it was enqueued or last succeeded.
    pub attempt: u32,
    /// Place on the ladder.
    pub rung: u32,
    /// Claims so far.
    pub token: Token,
    /// Who holds it, if it is running.
    pub worker: Option<WorkerId>,
    /// When that worker's lease expires.
    pub leased_until: Option<Timestamp>,
    /// Full text of the last failure.
    pub last_error: Option<String>,
    /// Why it started.
    pub trigger: Trigger,
    /// JSON text.
    pub args: String,
    /// JSON text.
    pub cursor: Option<String>,
    /// JSON text.
    pub progress: Option<String>,
    /// W3C `traceparent` of its creation.
    pub trace: Option<String>,
    /// Name of its source, for ingest jobs.
    pub source: Option<String>,
    /// Its cycle, for ingest jobs.
    pub cycle: Option<CycleNumber>,
    /// When it was first enqueued.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
}
