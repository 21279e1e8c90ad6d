//! Drops events that are too old, or that exceed the size of the log (`events.retention`, `events.max_bytes`).

use std::sync::Arc;

use async_trait::async_trait;
use tideline_config::hooks::EventSettings;
use tideline_core::clock::Clock;
use tideline_core::rules::EventRetention;
use tideline_runtime::Pace;
use tideline_store::{EventStore, StoreError};

use crate::scheduler::Task;

/// Events looked at with one act.
const BATCH: u32 = 5_000;

/// See the module.
pub struct PruneEvents {
    /// Has the log.
    pub store: Arc<dyn EventStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// `events`.
    pub settings: EventSettings,
    /// Followers whose position protects events that they have not seen.
    pub followers: Vec<&'static str>,
}

#[async_trait]
impl Task for PruneEvents {
    /// Drops one batch of old events.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        let retention = EventRetention {
            before: now.minus(self.settings.retention),
            max_bytes: self.settings.max_bytes,
            unseen_before: now.minus(self.settings.unseen_retention),
            unseen_max_bytes: self.settings.unseen_max_bytes,
        };
        let pruned = self.store.prune_events(&retention, &self.followers, BATCH).await?;
        Ok(if pruned >= u64::from(BATCH) {
            Pace::Again
        } else {
            Pace::Idle
        })
    }
}
