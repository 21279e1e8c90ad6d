use std::fmt;

use serde::Serialize;
use tideline_core::words::{CycleNumber, JobId, Timestamp, Trigger, WorkerId};

use crate::output::count;

/// Every answer that `tideline why` can give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub(crate) enum Why {
    /// A waiting job, or a source whose first or scheduled cycle lies ahead.
    NotDueUntil { until: Timestamp },
    /// Between two cycles.
    RestingUntil { until: Timestamp, after: CycleNumber },
    /// After a cycle that ended without a sweep.
    StartsAfreshAt {
        until: Timestamp,
        cycle: CycleNumber,
        reason: Option<String>,
    },
    /// After failures.
    OnRung {
        rung: u32,
        until: Timestamp,
        error: Option<String>,
    },
    /// Put back without a failure.
    PutBackUntil { until: Timestamp, reason: String },
    /// By a person.
    Paused,
    /// The source of the job, by a person.
    SourcePaused { source: String },
    /// At work.
    LeasedBy { worker: WorkerId, until: Option<Timestamp> },
    /// Its worker is silent.
    LeaseOver { worker: WorkerId, since: Timestamp },
    /// A guard holds the sweep.
    HeldForApproval {
        cycle: CycleNumber,
        percent: u64,
        would_remove: u64,
        owned: u64,
        reason: String,
    },
    /// A person approved it, it waits for the end of the running cycle.
    ApprovedUntilCycleEnds { would_remove: u64, cycle: CycleNumber },
    /// Needs a person.
    Parked { because: String },
    /// The running cycle waits for partitions that need a person, which cannot come: it ends incomplete.
    PartitionParked { job: JobId, because: String },
    /// Class config.
    Blocked { because: String },
    /// The source of the job, class config.
    SourceBlocked { source: String, because: String },
    /// The source's own limits.
    HeldBackBySource { until: Timestamp },
    /// `parallel_partitions`.
    WaitsForPlace,
    /// No longer in the configuration.
    Orphaned { entities: u64 },
    /// The source of the job.
    SourceOrphaned { source: String },
    /// Nothing is in its way.
    DueSince { since: Timestamp },
    /// The rest is over.
    CycleDueSince { since: Timestamp },
    /// A cycle was asked for.
    Requested { trigger: Trigger },
    /// Reading.
    Bursting {
        cycle: CycleNumber,
        done: u64,
        partitions: u64,
    },
    /// Deleting.
    Sweeping { cycle: CycleNumber, removed: u64 },
    /// Finished well.
    Done { at: Timestamp },
    /// Given up.
    Cancelled { because: Option<String> },
    /// Nothing planned.
    NothingPlanned,
}

impl fmt::Display for Why {
    #[allow(
        clippy::too_many_lines,
        reason = "the closed list of sentences, one line each, is best read in one piece"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDueUntil { until } => write!(f, "not due until {until}"),
            Self::RestingUntil { until, after } => write!(f, "resting until {until}, after cycle {after}"),
            Self::StartsAfreshAt { until, cycle, reason } => {
                write!(f, "starts a fresh cycle at {until}: cycle {cycle} did not complete")?;
                because(f, reason.as_deref())
            }
            Self::OnRung { rung, until, error } => {
                write!(f, "on rung {rung} until {until}")?;
                because(f, error.as_deref())
            }
            Self::PutBackUntil { until, reason } => write!(f, "put back until {until} without a failure: {reason}"),
            Self::Paused => f.write_str("paused by a person"),
            Self::SourcePaused { source } => write!(f, "its source {source} is paused by a person"),
            Self::LeasedBy {
                worker,
                until: Some(until),
            } => write!(f, "leased by worker {worker} until {until}"),
            Self::LeasedBy { worker, until: None } => write!(f, "leased by worker {worker}"),
            Self::LeaseOver { worker, since } => write!(
                f,
                "its worker {worker} is silent since {since}: the next scheduler that looks gives it to another one"
            ),
            Self::HeldForApproval { cycle, reason, .. } => {
                write!(f, "held for approval since cycle {cycle}: {reason}")
            }
            Self::ApprovedUntilCycleEnds { would_remove, cycle } => write!(
                f,
                "approved: up to {} entities are deleted at the end of cycle {cycle}",
                count(*would_remove)
            ),
            Self::Parked { because } => write!(f, "parked because {because}"),
            Self::PartitionParked { job, because } => write!(
                f,
                "ends without a sweep as soon as its other partitions are done: job {job} is parked because {because}"
            ),
            Self::Blocked { because } => write!(f, "blocked because {because}"),
            Self::SourceBlocked { source, because } => write!(f, "its source {source} is blocked because {because}"),
            Self::HeldBackBySource { until } => {
                write!(f, "held back by the source until {until} (its own rate limit)")
            }
            Self::WaitsForPlace => f.write_str(
                "waits for a place: as many partitions of its source are open as parallel_partitions allows",
            ),
            Self::Orphaned { entities } => write!(
                f,
                "orphaned: no longer in the configuration; its {} entities stay until it is reset with --delete",
                count(*entities)
            ),
            Self::SourceOrphaned { source } => {
                write!(f, "its source {source} is orphaned: no longer in the configuration")
            }
            Self::DueSince { since } => write!(f, "due since {since}: the next free worker takes it"),
            Self::CycleDueSince { since } => write!(
                f,
                "its next cycle is due since {since}: the next scheduler that looks starts it"
            ),
            Self::Requested { trigger } => write!(
                f,
                "a cycle was asked for ({}): it starts as soon as a scheduler looks and none is running",
                trigger_word(*trigger)
            ),
            Self::Bursting {
                cycle,
                done,
                partitions,
            } => write!(
                f,
                "bursting: cycle {cycle}, {} of {} partitions done so far",
                count(*done),
                count(*partitions)
            ),
            Self::Sweeping { cycle, removed } => {
                write!(
                    f,
                    "sweeping: cycle {cycle}, {} entities deleted so far",
                    count(*removed)
                )
            }
            Self::Done { at } => write!(f, "done at {at}"),
            Self::Cancelled { because: reason } => {
                f.write_str("cancelled")?;
                because(f, reason.as_deref())
            }
            Self::NothingPlanned => f.write_str(
                "nothing is planned: no cycle was asked for; if it rests or has a schedule, a scheduler sets the next one \
                 within seconds",
            ),
        }
    }
}

fn because(f: &mut fmt::Formatter<'_>, reason: Option<&str>) -> fmt::Result {
    reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
}

/// The word of a trigger, as in configuration and JSON.
pub(crate) fn trigger_word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Schedule => "schedule",
        Trigger::Webhook => "webhook",
        Trigger::Manual => "manual",
        Trigger::Drift => "drift",
        Trigger::Start => "start",
    }
}
