//! Prunes old versions of entities.

use std::sync::Arc;

use async_trait::async_trait;
use tideline_core::clock::Clock;
use tideline_runtime::Pace;
use tideline_store::{StoreError, Version, VersionStore};

use crate::scheduler::Task;

/// Versions looked at with one statement.
const BATCH: u32 = 5_000;

/// See the module.
pub struct PruneVersions {
    /// Has the versions.
    pub store: Arc<dyn VersionStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Task for PruneVersions {
    /// Forgets one batch.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let before = self.clock.now().minus(Version::KEPT);
        let pruned = self.store.prune_versions(before, BATCH).await?;
        Ok(if pruned >= u64::from(BATCH) {
            Pace::Again
        } else {
            Pace::Idle
        })
    }
}
