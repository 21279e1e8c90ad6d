//! Prunes tombstones that every subscriber has had time to see (`changes.retention`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tideline_core::clock::Clock;
use tideline_runtime::Pace;
use tideline_store::{Store, StoreError};

use crate::scheduler::Task;

/// Tombstones deleted with one statement.
const BATCH: u32 = 5_000;

/// See the module.
pub struct PruneChanges {
    /// Has the tombstones.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// `changes.retention`.
    pub retention: Duration,
    /// `changes.unseen_retention`.
    pub unseen_retention: Duration,
}

#[async_trait]
impl Task for PruneChanges {
    /// Deletes one batch of old tombstones.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        let mut before = now.minus(self.retention);
        if let Some(unseen) = self.store.find_oldest_unseen_removal().await? {
            before = before.min(unseen.max(now.minus(self.unseen_retention)));
        }
        let pruned = self.store.prune_tombstones(before, BATCH).await?;
        Ok(if pruned >= u64::from(BATCH) {
            Pace::Again
        } else {
            Pace::Idle
        })
    }
}
