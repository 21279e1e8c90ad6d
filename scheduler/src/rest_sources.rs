//! Gives a source its rest that has none: after a person cancelled or reset its cycle, nobody else says when the next one
//! starts.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tideline_shared::clock::Clock;
use tideline_shared::config::settings::SourceSettings;
use tideline_shared::queue::Queue;
use tideline_shared::runtime::Pace;
use tideline_shared::store::{Store, StoreError};
use tideline_shared::words::{SourceRecord, SourceState};

use crate::end_cycles::next_cycle_of;
use crate::scheduler::Task;

/// See the module.
pub struct RestSources {
    /// Knows which sources stand still.
    pub store: Arc<dyn Store>,
    /// Wakes whoever waits for the next cycle.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings of the sources, by name.
    pub sources: Arc<HashMap<String, SourceSettings>>,
}

#[async_trait]
impl Task for RestSources {
    /// Sets the next cycle of every active source whose newest cycle has ended and that waits for nothing.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let mut changed = false;
        for source in self
            .store
            .list_sources()
            .await?
            .iter()
            .filter(|source| waits_for_nothing(source))
        {
            let newest = self.store.list_cycles(source.id, 1).await?;
            if newest.first().is_none_or(|cycle| cycle.ended_at.is_none()) {
                continue;
            }
            if let Some(next) = next_cycle_of(&self.sources, &source.name, self.clock.now()) {
                self.store.set_next_cycle(source.id, Some(next)).await?;
                changed = true;
            }
        }
        if changed {
            self.queue.wake().await;
        }
        Ok(Pace::Idle)
    }
}

fn waits_for_nothing(source: &SourceRecord) -> bool {
    source.state == SourceState::Active && source.next_cycle_at.is_none() && source.requested.is_none()
}
