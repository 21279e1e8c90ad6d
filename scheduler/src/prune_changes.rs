//! Forgets tombstones that every subscriber has had time to see (`changes.retention`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tideline_core::clock::Clock;
use tideline_core::words::Timestamp;
use tideline_runtime::Pace;
use tideline_store::{CatalogStore, StoreError};

use crate::scheduler::Task;

/// Tombstones deleted with one statement.
const BATCH: u32 = 5_000;

/// See the module.
pub struct PruneChanges {
    /// Has the tombstones.
    pub store: Arc<dyn CatalogStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// `changes.retention`.
    pub retention: Duration,
}

#[async_trait]
impl Task for PruneChanges {
    /// Deletes one batch of old tombstones.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let retention = i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp(self.clock.now().0.saturating_sub(retention));
        let pruned = self.store.prune_tombstones(before, BATCH).await?;
        Ok(if pruned >= u64::from(BATCH) {
            Pace::Again
        } else {
            Pace::Idle
        })
    }
}
