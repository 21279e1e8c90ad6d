use async_trait::async_trait;

use super::check_seam::CheckStore;
use super::drift_seam::DriftStore;
use super::enrichment_seam::EnrichmentStore;
use super::event_seams::{ChangeSubscriptionStore, EventStore, FollowerStore, SubscriptionStore};
use super::hook_secrets::HookSecretStore;
use super::observations::ObservationStore;
use super::search_seam::SearchStore;
use super::sessions::SessionStore;
use super::sibling_seam::SiblingStore;
use super::target_seams::TargetStore;
use super::versions::VersionStore;
use super::{
    AuditFilter, AuditRecord, ClaimRequest, CycleTrace, DueJob, EntityFilter, EntityRecord, FeedReading, JobFilter,
    OperatorAct, Performed, PrunedJobs, Rescue, SettleRequest, SourceCommand, SourceSync, StartedCycle, StoreError,
    StoreStats, TokenRecord, WorkerRecord,
};
use tideline_core::rules::{RemovalGuard, RescuePolicy};
use tideline_core::words::{
    Change, ChildPartition, ClaimedJob, Collision, Commit, CycleEnd, CycleNumber, CycleRecord, Delta, DeltaOutcome,
    Dropped, Enqueued, EntityRef, FeedPosition, FinishedCycle, JobId, JobRecord, KeyHash, Lease, MalformedRecord,
    NewJob, Origin, PageBatch, PageMemory, Settled, SourceId, SourceRecord, SourceSpec, SweepPlan, Timestamp,
    UnseenEntity, WorkerId,
};

type Answer<T> = Result<T, StoreError>;

/// Everything a store can do; components ask for the narrowest part they need.
pub trait Store:
    JobStore
    + WorkerStore
    + SourceStore
    + CycleStore
    + IngestStore
    + SiblingStore
    + DeltaStore
    + DriftStore
    + EnrichmentStore
    + CheckStore
    + CatalogStore
    + SearchStore
    + OperatorStore
    + EventStore
    + UpkeepStore
    + AuditStore
    + TokenStore
    + SubscriptionStore
    + ChangeSubscriptionStore
    + FollowerStore
    + TargetStore
    + SessionStore
    + HookSecretStore
    + ObservationStore
    + VersionStore
{
}

impl<T> Store for T where
    T: JobStore
        + WorkerStore
        + SourceStore
        + CycleStore
        + IngestStore
        + SiblingStore
        + DeltaStore
        + DriftStore
        + EnrichmentStore
        + CheckStore
        + CatalogStore
        + SearchStore
        + OperatorStore
        + EventStore
        + UpkeepStore
        + AuditStore
        + TokenStore
        + SubscriptionStore
        + ChangeSubscriptionStore
        + FollowerStore
        + TargetStore
        + SessionStore
        + HookSecretStore
        + ObservationStore
        + VersionStore
{
}

/// The job queue: what producers, workers and schedulers need of any kind of job.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Inserts or supersedes jobs, one statement for the batch (at most 1,000). A (kind, key) may occur once in it. Due
    /// jobs count as hinted at now: the caller sends the hints, and a scheduler resends them if it does not.
    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Answer<Vec<Enqueued>>;

    /// Leases due jobs to a worker: `waiting` → `running`, token + 1, attempt + 1. Skips jobs whose source is paused,
    /// blocked or held back, and jobs that another claim is taking. Never waits for a lock.
    async fn claim(&self, request: &ClaimRequest, now: Timestamp) -> Answer<Vec<ClaimedJob>>;

    /// Stores a cursor (JSON text) of a running job. `false`: the lease was lost.
    async fn checkpoint(&self, lease: Lease, cursor: &str, now: Timestamp) -> Answer<bool>;

    /// Ends attempts, one statement for the batch; returns results in its order. When an ingest job leaves its place
    /// (done, parked, cancelled), the next partition of its cycle gets it (`parallel_partitions`) and is due at once.
    async fn settle(&self, settlements: &[SettleRequest], now: Timestamp) -> Answer<Vec<Settled>>;

    /// Due jobs that have no fresh hint: never hinted at this token, or hinted at `now - resend_after` (milliseconds)
    /// or before. Records them as hinted now, so that other schedulers skip them.
    async fn take_due(&self, limit: u32, resend_after_ms: i64, now: Timestamp) -> Answer<Vec<DueJob>>;

    /// The earliest time after `now` at which a waiting job becomes due or a source's next cycle starts.
    async fn next_due(&self, now: Timestamp) -> Answer<Option<Timestamp>>;

    /// Rescues the running jobs of workers whose lease has expired, and returns when the next lease expires.
    async fn rescue(&self, policy: RescuePolicy, limit: u32, now: Timestamp) -> Answer<Rescue>;
}

/// Leases of workers: one row per worker process, for all its jobs.
#[async_trait]
pub trait WorkerStore: Send + Sync {
    /// Creates or extends the worker's lease.
    async fn heartbeat(&self, worker: &WorkerId, alive_until: Timestamp, now: Timestamp) -> Answer<()>;

    /// The jobs that the worker runs according to the store and that were due at `until`, in no order: after a claim
    /// whose response was lost, these are more than the worker knows of. Partitions that are read in the place of
    /// another one were due at no moment before the last one there is.
    async fn held_leases(&self, worker: &WorkerId, until: Timestamp) -> Answer<Vec<Lease>>;

    /// Ends a worker's lease at an orderly shutdown; jobs that it still runs become due at once and spend no attempt.
    async fn retire(&self, worker: &WorkerId, now: Timestamp) -> Answer<()>;
}

/// Sources, their states and commands.
#[async_trait]
pub trait SourceStore: Send + Sync {
    /// Syncs the sources with the configuration. Requests a new source's first cycle (trigger start).
    async fn sync_sources(&self, specs: &[SourceSpec], now: Timestamp) -> Answer<SourceSync>;

    /// All sources, by name.
    async fn list_sources(&self) -> Answer<Vec<SourceRecord>>;

    /// The source of this name.
    async fn find_source(&self, name: &str) -> Answer<Option<SourceRecord>>;

    /// Executes an operator's command. `Refused` if the source's state does not allow it.
    async fn command_source(&self, name: &str, command: SourceCommand, now: Timestamp) -> Answer<()>;

    /// Holds back requests to the source until `until`, for the whole fleet. Never shortens a longer hold.
    async fn hold_back(&self, source: SourceId, until: Timestamp) -> Answer<()>;

    /// Blocks a source after a config error: nothing of it runs until it is refreshed or its configuration changes.
    async fn block_source(&self, source: SourceId, reason: &str) -> Answer<()>;

    /// A step of `ResetAndDelete`: deletes up to `limit` entities (with tombstones) and returns how many are left. With
    /// the last entity of an orphaned source, the source is deleted too.
    async fn delete_source_entities(&self, name: &str, limit: u32, now: Timestamp) -> Answer<u64>;
}

/// Cycles from start to sweep. Every act is conditional on the cycle's state, so any number of schedulers may try.
#[async_trait]
pub trait CycleStore: Send + Sync {
    /// Starts the due cycles: active source, no running cycle, requested or `next_cycle_at` reached. Enqueues the root
    /// partition's job (kind `ingest`, key = source name, args `{}`), which counts as hinted at now: the caller sends
    /// the hint.
    async fn start_cycles(&self, limit: u32, now: Timestamp) -> Answer<Vec<StartedCycle>>;

    /// Stores the traces of the cycles' starts with their root partitions' jobs; child partitions that are revealed
    /// later inherit them. Skips a root that has moved on to another cycle.
    async fn trace_cycles(&self, traces: &[CycleTrace]) -> Answer<()>;

    /// Bursting cycles without an unfinished partition, and bursting cycles with a cancelled partition.
    async fn list_finished_cycles(&self, limit: u32) -> Answer<Vec<FinishedCycle>>;

    /// Cycles in state sweeping.
    async fn list_sweeping_cycles(&self, limit: u32) -> Answer<Vec<FinishedCycle>>;

    /// Moves a bursting or sweeping cycle on, with its totals; its unfinished jobs are cancelled unless it goes on to
    /// sweeping. `false`: it was in another state (another scheduler was first).
    async fn end_cycle(&self, source: SourceId, cycle: CycleNumber, end: &CycleEnd, now: Timestamp) -> Answer<bool>;

    /// Finds what a sweeping cycle did not see: counts misses once per cycle, deletes those that are back, drops the
    /// manifests of pages that are gone. Idempotent. `None`: not sweeping.
    async fn plan_sweep(&self, source: SourceId, cycle: CycleNumber, confirm_cycles: u32) -> Answer<Option<SweepPlan>>;

    /// Deletes up to `limit` candidates (with tombstones and changes) of a sweeping cycle; returns how many it deleted.
    /// 0: none left.
    async fn sweep(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        confirm_cycles: u32,
        limit: u32,
        now: Timestamp,
    ) -> Answer<u64>;

    /// A guard holds the sweep: sweeping → held, in place of an older held cycle; the source rests until
    /// `next_cycle_at`.
    async fn hold_sweep(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        plan: SweepPlan,
        reason: &str,
        next_cycle_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Answer<bool>;

    /// Moves the start of the next cycle of a source that rests since `cycle`, its newest one, from one moment to
    /// another. `false`: the next cycle is not the one it was, or no longer at that moment (another scheduler was
    /// first).
    async fn move_next_cycle(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Answer<bool>;
}

/// The hot path of a burst.
#[async_trait]
pub trait IngestStore: Send + Sync {
    /// What the store remembers of pages `from`, `from + 1`, … of a partition; at most `limit`, gaps left out.
    async fn list_page_memories(&self, partition: JobId, from: u32, limit: u32) -> Answer<Vec<PageMemory>>;

    /// Partitions of a source that its cycles have found, whose keys begin with `prefix`, in the order of their keys,
    /// from the one behind `after` on; at most `limit` (1–1,000).
    async fn list_partitions(
        &self,
        source: SourceId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Answer<Vec<ChildPartition>>;

    /// Commits consecutive pages of a partition, with entities, marks, changes, child partitions and cursor, in one
    /// transaction that is conditional on the lease; or nothing at all. Children get a place if one is free. A batch
    /// that was already committed (its response was lost) returns the same result and changes nothing.
    async fn commit_pages(&self, batch: &PageBatch, now: Timestamp) -> Answer<Commit>;

    /// Starts the partition over from its first page within its cycle (an expired cursor): the cursor is cleared, marks
    /// and `next_page` stay, `restarts` + 1. `LeaseLost` as in `commit_pages`.
    async fn restart_partition(&self, lease: Lease, now: Timestamp) -> Answer<Commit>;

    /// Reveals child partitions without a page, in place of a page that cannot be read; those of this cycle stay as
    /// they are. Neither cursor nor progress moves. `false`: the lease is lost, and nothing is revealed.
    async fn reveal_partitions(&self, lease: Lease, children: &[ChildPartition], now: Timestamp) -> Answer<bool>;
}

/// Entities that are written outside a cycle's pages. The reading that began later wins, whether delta or page.
#[async_trait]
pub trait DeltaStore: Send + Sync {
    /// Announces deltas of the source: page commits that begin later look for them. Call this before the first reading
    /// of a delta begins, or a concurrent page commit may not see the delta.
    async fn expect_deltas(&self, source: SourceId) -> Answer<()>;

    /// Writes deltas, with changes in the feed, in one transaction; returns results in their order. An entity may occur
    /// only once. Written entities are compared with the next pages that hold them, even unchanged ones, and are
    /// candidates of the next complete cycle's sweep. `NotFound`: there is no such source.
    async fn write_deltas(&self, source: SourceId, deltas: &[Delta], now: Timestamp) -> Answer<Vec<DeltaOutcome>> {
        self.write_reading(source, None, deltas, now).await
    }

    /// Like [`write_deltas`](Self::write_deltas); upserts are recorded as made by `origin` ([`Origin::hash`]).
    async fn write_reading(
        &self,
        source: SourceId,
        origin: Option<KeyHash>,
        deltas: &[Delta],
        now: Timestamp,
    ) -> Answer<Vec<DeltaOutcome>>;

    /// Removes what `origin` made and a complete reading of it, which began at `since` and is written, did not show:
    /// what its pages hold, what a reading recorded as its own, or what it names itself ([`Origin::entity`]). Never
    /// what another page or another origin shows too, nor what a later reading saw. Nothing, with the reason, if
    /// `guard` refuses.
    async fn drop_unseen(
        &self,
        source: SourceId,
        origin: &Origin,
        since: Timestamp,
        guard: Option<RemovalGuard>,
        now: Timestamp,
    ) -> Answer<Dropped>;
}

/// The catalog and its change feed, for readers.
#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// Live entities.
    async fn list_entities(&self, filter: &EntityFilter) -> Answer<Vec<EntityRecord>>;

    /// Live entities of these references (at most 1,000), one for each source that owns it, by source.
    async fn find_entities(&self, references: &[EntityRef]) -> Answer<Vec<EntityRecord>>;

    /// Changes after `position` in commit order: the newest state of each entity, and tombstones. At most `limit` (1 to
    /// 10,000), and none after those whose bodies have 8 MiB together. `StartOver`: tombstones that the reader has not seen were pruned, or the feed has yet to come so far.
    async fn list_changes(&self, position: FeedPosition, limit: u32) -> Answer<FeedReading>;

    /// The newest change of a reference in each source that owns it or owned it (as long as its tombstone is kept),
    /// newest first; at most `limit`.
    async fn list_entity_changes(&self, reference: &EntityRef, limit: u32) -> Answer<Vec<Change>>;

    /// Deletes up to `limit` tombstones from before `before`; returns how many. From then on, readers that may have
    /// missed one are told.
    async fn prune_tombstones(&self, before: Timestamp, limit: u32) -> Answer<u64>;
}

/// Upkeep: keeps the store small and its timestamps sane.
#[async_trait]
pub trait UpkeepStore: Send + Sync {
    /// Examines the `limit` jobs after `after` and deletes those that belong to no source and were done or cancelled
    /// before `before`.
    async fn prune_jobs(&self, after: JobId, limit: u32, before: Timestamp) -> Answer<PrunedJobs>;

    /// Deletes up to `limit` cycles that ended before `before`, except the newest ten of each source and held ones;
    /// returns how many.
    async fn prune_cycles(&self, limit: u32, before: Timestamp) -> Answer<u64>;

    /// Repairs timestamps written by a clock that ran ahead and was set back: waiting jobs written more than a minute
    /// in the future become due now, holds of more than thirty days end, and no lease lasts longer than the longest
    /// that can be configured. Returns the number of rows changed.
    async fn forget_future(&self, now: Timestamp) -> Answer<u64>;
}

/// Operators' views and acts.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// Jobs.
    async fn list_jobs(&self, filter: &JobFilter) -> Answer<Vec<JobRecord>>;

    /// A parked, cancelled or waiting job becomes due now, on rung 0. A cycle that already ended is not reopened:
    /// `Refused`.
    async fn retry_job(&self, job: JobId, now: Timestamp) -> Answer<()>;

    /// Cycles of a source, newest first.
    async fn list_cycles(&self, source: SourceId, limit: u32) -> Answer<Vec<CycleRecord>>;

    /// The newest malformed items of a source.
    async fn list_malformed(&self, source: SourceId, limit: u32) -> Answer<Vec<MalformedRecord>>;

    /// References that more than one page of a source shows, as its newest complete cycle found it; in order.
    async fn list_collisions(&self, source: SourceId, limit: u32) -> Answer<Vec<Collision>>;

    /// Live entities that the newest cycles of a source did not see: those that wait for another cycle without them,
    /// that an unreadable part of the source may own, or whose removal is held or was rejected. By reference, after
    /// `after`.
    async fn list_unseen_entities(
        &self,
        source: SourceId,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Answer<Vec<UnseenEntity>>;

    /// Workers with a lease.
    async fn list_workers(&self) -> Answer<Vec<WorkerRecord>>;

    /// Statistics of the whole store.
    async fn stats(&self, now: Timestamp) -> Answer<StoreStats>;

    /// A small read that proves the store can be reached and the schema is right.
    async fn ping(&self) -> Answer<()>;
}

/// Acts of people and programs, and the log of them.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Performs an operator's act and records who did it, in one transaction. A refused act (`NotFound`, `Refused`,
    /// `Changed`, `KeyReused`) is recorded too. An act whose idempotency key its actor has used before is not repeated:
    /// the first result is returned.
    async fn perform(&self, act: &OperatorAct, now: Timestamp) -> Answer<Performed>;

    /// Performed and refused acts, newest first.
    async fn list_audit(&self, filter: &AuditFilter) -> Answer<Vec<AuditRecord>>;

    /// Deletes up to `limit` acts from before `acts` and as many idempotency keys from before `keys`; returns how many.
    async fn prune_audit(&self, acts: Timestamp, keys: Timestamp, limit: u32) -> Answer<u64>;
}

/// API tokens. They are created and revoked by [`AuditStore::perform`].
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// The token of this id, revoked or not.
    async fn find_token(&self, id: &str) -> Answer<Option<TokenRecord>>;

    /// All tokens by creation time, including revoked ones; at most 10,000.
    async fn list_tokens(&self) -> Answer<Vec<TokenRecord>>;

    /// Records that the token was used; a time before the last one changes nothing.
    async fn note_token_use(&self, id: &str, now: Timestamp) -> Answer<()>;
}
