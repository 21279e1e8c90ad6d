//! The seam to statistics over time, and to the size of the store. They are for charts: no decision depends on them.

use std::time::Duration;

use async_trait::async_trait;
use tideline_core::words::{CycleNumber, EntityRef, EventSequence, JobId, Sequence, SourceId, Timestamp};

use super::StoreError;

/// The store's statistics at a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The minute.
    pub minute: Timestamp,
    /// Waiting jobs that were due.
    pub due: u64,
    /// How long the oldest of them had waited, in milliseconds.
    pub lag_ms: u64,
    /// Running jobs.
    pub running: u64,
    /// Parked jobs.
    pub parked: u64,
    /// Events that were given up.
    pub dead_letters: u64,
    /// The number of the last change.
    pub last_sequence: Sequence,
    /// The number of the last event.
    pub last_event: EventSequence,
    /// Entities that cycles marked which ended in the minute before.
    pub entities: u64,
    /// Cycles that ended in the minute before and did not complete.
    pub failed_cycles: u64,
}

impl Sample {
    /// How long samples are kept.
    pub const KEPT: Duration = Duration::from_secs(86_400);
    /// Interval between samples.
    pub const EVERY: Duration = Duration::from_secs(60);
}

/// A follower of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follower {
    /// A subscription, to events or changes.
    Subscription,
    /// A target, which follows changes.
    Target,
}

impl Follower {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Target => "target",
        }
    }
}

/// The position of a follower at a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerSample {
    /// Its unique name.
    pub name: String,
    /// The minute.
    pub minute: Timestamp,
    /// The number, in the log that it follows, up to which it had looked at everything.
    pub position: i64,
    /// The follower's backlog.
    pub behind: u64,
}

impl FollowerSample {
    /// How long samples are kept.
    pub const KEPT: Duration = Duration::from_secs(86_400);
    /// How far apart they are.
    pub const EVERY: Duration = Duration::from_secs(300);
}

/// A hook's webhooks in an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookHour {
    /// The hook.
    pub hook: String,
    /// When the hour began.
    pub hour: Timestamp,
    /// Webhooks that were stored.
    pub stored: u64,
    /// Webhooks that were stored before.
    pub duplicates: u64,
    /// Webhooks without a signature that fits.
    pub unproven: u64,
    /// Webhooks refused for another reason.
    pub refused: u64,
    /// Webhooks that could not be stored, and that their sender sends again.
    pub unavailable: u64,
    /// When the newest one was stored.
    pub last_stored_at: Option<Timestamp>,
    /// When the newest one was not.
    pub last_error_at: Option<Timestamp>,
    /// Why.
    pub last_error: Option<String>,
}

impl HookHour {
    /// How long hours are kept.
    pub const KEPT: Duration = Duration::from_secs(7 * 86_400);
}

/// The size of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// Bytes, with its indexes.
    pub bytes: u64,
    /// Rows, about; none: counting them would take long.
    pub rows: Option<u64>,
}

/// The size of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// Total size in bytes.
    pub bytes: u64,
    /// By table, largest first; none: finding out would read the whole of a large file.
    pub tables: Vec<TableSize>,
}

/// Where an entity was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Pages that mark it; the first few.
    pub pages: Vec<OriginPage>,
    /// When the reading began that wrote it outside of a cycle's pages, until a complete cycle has compared it.
    pub delta_read_at: Option<Timestamp>,
}

/// A page that marks an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPage {
    /// The job that reads its partition.
    pub job: JobId,
    /// The partition.
    pub partition: String,
    /// The page, from 0.
    pub page: u32,
    /// The newest cycle that read it.
    pub cycle: CycleNumber,
    /// When that reading began.
    pub read_at: Option<Timestamp>,
}

/// Statistics over time, and the size of the store.
#[async_trait]
pub trait ObservationStore: Send + Sync {
    /// Records the statistics of this minute, unless another process already has, and deletes those older than
    /// [`Sample::KEPT`].
    async fn take_sample(&self, now: Timestamp) -> Result<(), StoreError>;

    /// The statistics since a time, oldest first.
    async fn list_samples(&self, since: Timestamp) -> Result<Vec<Sample>, StoreError>;

    /// Records the positions of followers, each once a minute, and deletes those older than [`FollowerSample::KEPT`].
    async fn add_follower_samples(
        &self,
        samples: &[(Follower, FollowerSample)],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Positions of followers of a kind, or of the one with this name, since a time; by name, oldest first.
    async fn list_follower_samples(
        &self,
        of: Follower,
        name: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<FollowerSample>, StoreError>;

    /// Adds to the webhook counts of hooks by hour, and deletes those older than [`HookHour::KEPT`].
    async fn add_hook_hours(&self, hours: &[HookHour], now: Timestamp) -> Result<(), StoreError>;

    /// Webhook counts since a time, by hook, oldest hour first.
    async fn list_hook_hours(&self, since: Timestamp) -> Result<Vec<HookHour>, StoreError>;

    /// Where an entity was read. Scans the manifests of its source, so it is meant for a single entity that a person
    /// inspects.
    async fn find_origin(&self, source: SourceId, reference: &EntityRef) -> Result<Origin, StoreError>;

    /// What the store takes.
    async fn measure(&self) -> Result<StoreSize, StoreError>;
}

/// The start of the retention period that ends at `now`.
pub(super) fn before(now: Timestamp, kept: Duration) -> i64 {
    let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    now.0.saturating_sub(kept)
}

/// The minute of a moment.
pub(super) fn minute(now: Timestamp) -> i64 {
    now.0 - now.0.rem_euclid(60_000)
}
