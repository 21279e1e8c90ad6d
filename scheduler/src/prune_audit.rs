//! Prunes old acts of the audit log, and idempotency keys that are too old to be repeated.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tideline_core::clock::Clock;
use tideline_runtime::Pace;
use tideline_store::{AuditStore, StoreError};

use crate::scheduler::Task;

/// How long acts are kept.
const ACTS: Duration = Duration::from_secs(365 * 86_400);

/// How long an idempotency key counts.
const KEYS: Duration = Duration::from_secs(86_400);

/// Rows of each kind deleted in one statement.
const BATCH: u32 = 1_000;

/// Prunes the audit log.
pub struct PruneAudit {
    /// Where it is.
    pub store: Arc<dyn AuditStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Task for PruneAudit {
    /// Deletes one batch.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        let pruned = self.store.prune_audit(now.minus(ACTS), now.minus(KEYS), BATCH).await?;
        Ok(if pruned >= u64::from(BATCH) {
            Pace::Again
        } else {
            Pace::Idle
        })
    }
}
