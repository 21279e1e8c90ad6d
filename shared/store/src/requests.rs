use serde::{Deserialize, Serialize};

use super::events::MAX_READING_BYTES;
use tideline_core::rules::FeedBounds;
use tideline_core::words::{
    Change, CycleNumber, EntityRef, FeedPosition, JobId, JobState, Lease, Sequence, Settlement, SourceId, Timestamp,
    Token, Trigger, WorkerId,
};

/// A worker's request for jobs.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// Who claims.
    pub worker: WorkerId,
    /// Kinds it has handlers for.
    pub kinds: Vec<String>,
    /// Only these, each only if its token is still this one (from a hint); none: whatever is due, oldest first.
    pub hinted: Option<Vec<(JobId, Token)>>,
    /// At most this many.
    pub limit: u32,
}

/// The end of one attempt.
#[derive(Clone, Debug)]
pub struct SettleRequest {
    /// The fence.
    pub lease: Lease,
    /// How it ended.
    pub settlement: Settlement,
}

/// A due job, for a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueJob {
    /// Its kind.
    pub kind: String,
    /// The row.
    pub job: JobId,
    /// Its token now.
    pub token: Token,
    /// Since when it is due.
    pub due_at: Timestamp,
    /// A hint was sent before, and no worker claimed the job.
    pub resent: bool,
}

/// A job taken back from a dead worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescued {
    /// The row.
    pub job: JobId,
    /// Who had it.
    pub worker: WorkerId,
    /// Whether it was parked instead of made due.
    pub parked: bool,
}

/// Which jobs to list. Ordered by id; `after` is the last id of the page before.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
    /// Partitions of the source of this name.
    pub source: Option<String>,
    /// With this key.
    pub key: Option<String>,
    /// Later than this row.
    pub after: Option<JobId>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// Which entities to list. Ordered by (source, reference).
#[derive(Clone, Debug, Default)]
pub struct EntityFilter {
    /// Only entities that this source owns.
    pub source: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Only entities with exactly this reference.
    pub reference: Option<EntityRef>,
    /// Later than this (source name, reference).
    pub after: Option<(String, EntityRef)>,
    /// At most this many, 1 to 1,000.
    pub limit: u32,
}

/// An entity as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRecord {
    /// Name of the owning source.
    pub source: String,
    /// Its reference.
    #[serde(rename = "ref")]
    pub reference: EntityRef,
    /// Hex SHA-256 of the canonical body without the volatile parts.
    pub fingerprint: String,
    /// Its newest change.
    pub sequence: Sequence,
    /// When that was.
    pub changed_at: Timestamp,
    /// Canonical JSON text.
    pub body: String,
}

/// The result of one reading of the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedReading {
    /// In commit order.
    pub changes: Vec<Change>,
    /// From where the reader goes on.
    pub next: FeedPosition,
    /// There may be more after that.
    pub more: bool,
}

impl FeedReading {
    /// These changes after a position; `limit` is how many could have come.
    pub(super) fn new(bounds: FeedBounds, from: FeedPosition, changes: Vec<Change>, limit: u32) -> Self {
        let bytes: u64 = changes.iter().map(Change::bytes).sum();
        let more = changes.len() >= limit as usize || bytes >= MAX_READING_BYTES;
        Self {
            next: bounds.next_position(from, &changes, more),
            changes,
            more,
        }
    }

    /// The changes, each with where a reader goes on that has taken it, and nothing after it, of this reading from `from`.
    pub fn each(&self, from: FeedPosition) -> impl Iterator<Item = (&Change, FeedPosition)> {
        let began_at = if from == FeedPosition::START {
            self.next.complete_to()
        } else {
            from.complete_to()
        };
        let last = self.changes.len().saturating_sub(1);
        self.changes.iter().enumerate().map(move |(place, change)| {
            let next = if place == last {
                self.next
            } else {
                FeedPosition::in_first_reading(change.sequence, began_at)
            };
            (change, next)
        })
    }
}

/// The result of a search for dead workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rescue {
    /// The jobs taken back.
    pub jobs: Vec<Rescued>,
    /// When the next lease expires, unless its worker extends it.
    pub next_end: Option<Timestamp>,
}

/// The result of syncing the sources with the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceSync {
    /// Every configured source, in order.
    pub ids: Vec<(String, SourceId)>,
    /// New ones.
    pub added: Vec<String>,
    /// Sources whose identity changed: the running cycle was cancelled, a fresh one is requested.
    pub restarted: Vec<String>,
    /// Sources that are no longer configured.
    pub orphaned: Vec<String>,
}

/// An operator's command on a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceCommand {
    /// Start a cycle as soon as none is running; unblocks a blocked source and lifts a hold.
    Refresh(Trigger),
    /// Run nothing; a running burst stops after its page.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Cancel the running cycle, without a sweep.
    Cancel,
    /// Cancel the running cycle and forget cursors, manifests and misses; the entities stay. Next cycle reads
    /// everything.
    Reset,
    /// As `Reset`, and delete every entity it owns (in steps, see [`SourceStore::delete_source_entities`]
    /// (super::SourceStore::delete_source_entities)). An orphaned source is forgotten with its last entity.
    ResetAndDelete,
    /// Perform the held sweep, if it is still the one that the person saw.
    ApproveSweep {
        /// The cycle whose sweep is held.
        cycle: CycleNumber,
        /// How many entities it would remove.
        removals: u64,
    },
    /// Drop the held sweep: its entities stay until the source shows them again and drops them again.
    RejectSweep,
}

/// A source's cycle that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedCycle {
    /// Its source.
    pub source: SourceId,
    /// Name of the source.
    pub source_name: String,
    /// Its number.
    pub number: CycleNumber,
    /// Why.
    pub trigger: Trigger,
    /// When its rest was over or its tick came; none if it was requested.
    pub due_at: Option<Timestamp>,
    /// The root partition's job.
    pub root: JobId,
    /// Its token, for the hint.
    pub token: Token,
}

/// The trace that a cycle's start belongs to.
#[derive(Clone, Debug)]
pub struct CycleTrace {
    /// The root partition's job.
    pub root: JobId,
    /// The cycle's number.
    pub number: CycleNumber,
    /// W3C `traceparent`.
    pub trace: String,
}

/// A live worker process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Who.
    pub worker: WorkerId,
    /// Its leases last until then.
    pub alive_until: Timestamp,
    /// When it was first seen.
    pub started_at: Timestamp,
    /// Jobs it holds.
    pub running: u64,
}

/// Statistics of the whole store, for status and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStats {
    /// Waiting jobs that are due.
    pub due: u64,
    /// When the oldest of them became due.
    pub oldest_due_at: Option<Timestamp>,
    /// Running jobs.
    pub running: u64,
    /// Parked jobs.
    pub parked: u64,
    /// Held sweeps that wait for a person.
    pub held_sweeps: u64,
    /// The last sequence number given.
    pub last_sequence: Sequence,
}

/// What [`UpkeepStore::prune_jobs`](crate::UpkeepStore::prune_jobs) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunedJobs {
    /// Jobs forgotten.
    pub pruned: u64,
    /// The last job it looked at; none: there are no more.
    pub last: Option<JobId>,
}
