//! The seam to checks: sources that are read only to compare them with the catalog.

use async_trait::async_trait;

use super::StoreError;
use tideline_core::words::{CheckRecord, DriftTotals, SourceId, Timestamp};

/// Checks that are kept of a source.
pub const KEPT_CHECKS: u32 = 100;

/// The right to a check that was begun. It rises with every beginning, so that a scheduler whose lease ran out writes
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckToken(pub i64);

/// When sources are checked, by which scheduler, and the results. The scheduler that begins a due check runs it; if it
/// dies, its lease expires and another one begins the same check.
#[async_trait]
pub trait CheckStore: Send + Sync {
    /// When the next check of a source is due; `None`: not set yet. It does not move while the check runs.
    async fn next_check(&self, source: SourceId) -> Result<Option<Timestamp>, StoreError>;

    /// Moves the next check of a source from one moment to another. `false`: it is no longer at that moment.
    async fn move_check(&self, source: SourceId, from: Option<Timestamp>, to: Timestamp) -> Result<bool, StoreError>;

    /// Begins the check of a source. None: it is not due, or another scheduler is running it.
    async fn begin_check(
        &self,
        source: SourceId,
        leased_until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<CheckToken>, StoreError>;

    /// Extends the lease of a check until then; a time in the past gives it back. `false`: the scheduler has lost it.
    async fn extend_check(&self, source: SourceId, token: CheckToken, until: Timestamp) -> Result<bool, StoreError>;

    /// Ends a check: keeps what it found, writes the event `drift.found` if it found anything, sets when the next one
    /// is due, and deletes all but the newest [`KEPT_CHECKS`]. `false`: the scheduler has lost it, and nothing was
    /// written.
    async fn end_check(
        &self,
        source: SourceId,
        token: CheckToken,
        found: &CheckRecord,
        next_at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// What the newest checks of a source found, newest first, at most `limit` (1–100).
    async fn list_checks(&self, source: SourceId, limit: u32) -> Result<Vec<CheckRecord>, StoreError>;
}

/// How they are stored.
pub(crate) fn counts(totals: DriftTotals) -> [i64; 3] {
    [totals.missing, totals.extra, totals.diverged].map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}
