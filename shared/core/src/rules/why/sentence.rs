use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::{CycleNumber, JobId, Timestamp, Trigger, WorkerId, grouped, rfc3339};

/// What a source or a job is waiting for, or doing. Displays as one sentence; as JSON it is an object with a stable
/// `code` and the values of the sentence. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// A waiting job, or a source whose first or scheduled cycle lies ahead.
    NotDueUntil {
        /// When that ends.
        #[serde(with = "rfc3339")]
        until: Timestamp,
    },
    /// Between two cycles.
    RestingUntil {
        /// When that ends.
        #[serde(with = "rfc3339")]
        until: Timestamp,
        /// The cycle before.
        after: CycleNumber,
        /// What that could not read and so kept from its sweep: partitions that failed, malformed items without a name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// After a cycle that ended without a sweep.
    StartsAfreshAt {
        /// When that ends.
        #[serde(with = "rfc3339")]
        until: Timestamp,
        /// Number of the cycle.
        cycle: CycleNumber,
        /// What led to it.
        reason: Option<String>,
    },
    /// After failures.
    OnRung {
        /// Place on the ladder, from 1.
        rung: u32,
        /// When that ends.
        #[serde(with = "rfc3339")]
        until: Timestamp,
        /// The last error.
        error: Option<String>,
    },
    /// Postponed without a failure.
    PutBackUntil {
        /// When that ends.
        #[serde(with = "rfc3339")]
        until: Timestamp,
        /// What led to it.
        reason: String,
    },
    /// An operator paused it.
    Paused,
    /// An operator paused the source of the job.
    SourcePaused {
        /// Name of the source.
        source: String,
    },
    /// A worker runs it.
    LeasedBy {
        /// Who has it.
        worker: WorkerId,
        /// When that ends.
        #[serde(with = "rfc3339::option", default)]
        until: Option<Timestamp>,
    },
    /// The lease of its worker expired.
    LeaseOver {
        /// Who has it.
        worker: WorkerId,
        /// Since when.
        #[serde(with = "rfc3339")]
        since: Timestamp,
    },
    /// A removal guard holds the sweep.
    HeldForApproval {
        /// Number of the cycle.
        cycle: CycleNumber,
        /// The first cycle in a row whose sweep was held.
        #[serde(default)]
        since: Option<CycleNumber>,
        /// Share of what the source owns that would be deleted.
        percent: u64,
        /// Entities it would delete at most.
        would_remove: u64,
        /// Entities the source owned when these were last seen.
        owned: u64,
        /// What led to it.
        reason: String,
    },
    /// An operator approved the sweep; it runs when the current cycle ends.
    ApprovedUntilCycleEnds {
        /// Entities it would delete at most.
        would_remove: u64,
        /// Number of the cycle.
        cycle: CycleNumber,
    },
    /// It failed permanently and needs a person.
    Parked {
        /// The error.
        because: String,
    },
    /// A partition of the current cycle failed for good: the cycle will keep what it owns.
    PartitionParked {
        /// Number of the job.
        job: JobId,
        /// The error.
        because: String,
    },
    /// A configuration error.
    Blocked {
        /// The error.
        because: String,
    },
    /// A configuration error of the source of the job.
    SourceBlocked {
        /// Name of the source.
        source: String,
        /// The error.
        because: String,
    },
    /// The rate limit of the source.
    HeldBackBySource {
        /// When that ends.
        #[serde(with = "rfc3339")]
        until: Timestamp,
    },
    /// `parallel_partitions`.
    WaitsForPlace,
    /// No longer in the configuration.
    Orphaned {
        /// Entities that stay.
        entities: u64,
    },
    /// The source of the job is no longer in the configuration.
    SourceOrphaned {
        /// Name of the source.
        source: String,
    },
    /// Nothing is in its way.
    DueSince {
        /// Since when.
        #[serde(with = "rfc3339")]
        since: Timestamp,
        /// The job's kind, if it is none of Tideline's own: only a worker with a handler for it runs the job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
    },
    /// The rest is over.
    CycleDueSince {
        /// Since when.
        #[serde(with = "rfc3339")]
        since: Timestamp,
    },
    /// A cycle was requested.
    Requested {
        /// Who or what requested it.
        trigger: Trigger,
    },
    /// Reading.
    Bursting {
        /// Number of the cycle.
        cycle: CycleNumber,
        /// Partitions finished.
        done: u64,
        /// Partitions known so far.
        partitions: u64,
    },
    /// Deleting.
    Sweeping {
        /// Number of the cycle.
        cycle: CycleNumber,
        /// Entities deleted so far.
        removed: u64,
    },
    /// Finished well.
    Done {
        /// When.
        #[serde(with = "rfc3339")]
        at: Timestamp,
    },
    /// Nothing will run it again as it is.
    Cancelled {
        /// The error.
        because: Option<String>,
    },
    /// No cycle is planned.
    NothingPlanned,
    /// Programs write its entities.
    Pushed,
}

impl fmt::Display for Why {
    #[allow(
        clippy::too_many_lines,
        reason = "the closed list of sentences, one line each, is best read in one piece"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDueUntil { until } => write!(f, "not due until {until}"),
            Self::RestingUntil { until, after, reason } => {
                write!(f, "resting until {until}, after cycle {after}")?;
                because(f, reason.as_deref())
            }
            Self::StartsAfreshAt { until, cycle, reason } => {
                write!(f, "starts a fresh cycle at {until}: cycle {cycle} did not complete")?;
                because(f, reason.as_deref())
            }
            Self::OnRung { rung, until, error } => {
                write!(f, "backing off until {until} (rung {rung} of its `backoff`)")?;
                because(f, error.as_deref())
            }
            Self::PutBackUntil { until, reason } => write!(f, "postponed until {until}, not because of a failure: {reason}"),
            Self::Paused => f.write_str("paused by an operator"),
            Self::SourcePaused { source } => write!(f, "its source {source} is paused by an operator"),
            Self::LeasedBy {
                worker,
                until: Some(until),
            } => write!(f, "running on worker {worker}, lease valid until {until}"),
            Self::LeasedBy { worker, until: None } => write!(f, "running on worker {worker}"),
            Self::LeaseOver { worker, since } => write!(
                f,
                "the lease of worker {worker} expired at {since}; a scheduler will hand the job to another worker"
            ),
            Self::HeldForApproval {
                cycle, since, reason, ..
            } => {
                let since = since.unwrap_or(*cycle);
                write!(f, "held for approval since cycle {since}: {reason}")
            }
            Self::ApprovedUntilCycleEnds { would_remove, cycle } => write!(
                f,
                "approved: up to {} entities will be deleted at the end of cycle {cycle}",
                grouped(*would_remove)
            ),
            Self::Parked { because } => write!(f, "parked: {because}"),
            Self::PartitionParked { job, because } => write!(
                f,
                "will end without a sweep once its other partitions finish: job {job} is parked: {because}"
            ),
            Self::Blocked { because } => write!(f, "blocked: {because}"),
            Self::SourceBlocked { source, because } => write!(f, "its source {source} is blocked: {because}"),
            Self::HeldBackBySource { until } => {
                write!(f, "rate-limited by the source until {until}")
            }
            Self::WaitsForPlace => f.write_str(
                "waiting for a free slot: its source already has parallel_partitions partitions open",
            ),
            Self::Orphaned { entities } => write!(
                f,
                "orphaned: no longer in the configuration; its {} entities stay until you reset it with --delete",
                grouped(*entities)
            ),
            Self::SourceOrphaned { source } => {
                write!(f, "its source {source} is orphaned: no longer in the configuration")
            }
            Self::DueSince { since, kind: None } => {
                write!(f, "due since {since}; the next free worker will run it")
            }
            Self::DueSince {
                since,
                kind: Some(kind),
            } => write!(
                f,
                "due since {since}; the next free worker will run it, if one runs jobs of kind {kind}"
            ),
            Self::CycleDueSince { since } => write!(
                f,
                "its next cycle is due since {since}; a scheduler will start it"
            ),
            Self::Requested { trigger } => write!(
                f,
                "a cycle was requested ({}) and starts as soon as none is running",
                trigger.as_str()
            ),
            Self::Bursting {
                cycle,
                done,
                partitions,
            } => write!(
                f,
                "reading: cycle {cycle}, {} of {} partitions finished so far",
                grouped(*done),
                grouped(*partitions)
            ),
            Self::Sweeping { cycle, removed } => {
                write!(
                    f,
                    "sweeping: cycle {cycle}, {} entities deleted so far",
                    grouped(*removed)
                )
            }
            Self::Done { at } => write!(f, "done at {at}"),
            Self::Cancelled { because: reason } => {
                f.write_str("cancelled")?;
                because(f, reason.as_deref())
            }
            Self::Pushed => f.write_str("waiting for programs to write its entities (type: push); nothing is read"),
            Self::NothingPlanned => f.write_str(
                "no cycle is planned or requested; if the source has a rest or a schedule, a scheduler sets the next cycle \
                 within seconds",
            ),
        }
    }
}

fn because(f: &mut fmt::Formatter<'_>, reason: Option<&str>) -> fmt::Result {
    reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
}
