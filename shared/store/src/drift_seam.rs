//! The seam to drift: what full cycles found changed without an event.

use async_trait::async_trait;

use super::StoreError;
use tideline_core::words::{CycleNumber, DriftRecord, DriftTotals, SourceId, Timestamp};

/// Drift: changes that a complete cycle found without an event.
#[async_trait]
pub trait DriftStore: Send + Sync {
    /// Notes, once per cycle, what the cycle changed or would remove although no delta since it began tells of it. Call
    /// it when the sweep is planned and before anything is deleted. The event `drift.found` is written with the end of
    /// the cycle, or when its sweep is held. Costs as much as there were changes since the cycle began. What a
    /// cancelled cycle had changed is not counted again. None: it is the first cycle that came to its end, an older
    /// release began it, or it does not sweep.
    async fn note_drift(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        confirm_cycles: u32,
        now: Timestamp,
    ) -> Result<Option<DriftTotals>, StoreError>;

    /// Drift that the newest cycles of a source found, newest first, at most `limit` (1–1,000). Kept as long as the
    /// cycles.
    async fn list_drifts(&self, source: SourceId, limit: u32) -> Result<Vec<DriftRecord>, StoreError>;
}
