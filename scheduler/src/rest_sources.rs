//! Keeps the rests of sources as the configuration wants them: a changed `rest` or `schedule` moves the next cycle of a
//! source that rests already, and a cycle that a person cancelled is followed by a rest, which nobody else would set.
//!
//! Everything follows from what is stored (when the newest cycle ended, when the next one starts), so a scheduler that
//! starts again with the same configuration moves nothing, and of several schedulers one does it. While two configurations
//! are in use at once, each scheduler sets its own; what stays is what the schedulers that stay want.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tideline_config::settings::{SourceKind, SourceSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::resting_until;
use tideline_core::words::{SourceRecord, SourceState, Timestamp};
use tideline_queue::Queue;
use tideline_runtime::Pace;
use tideline_store::{Store, StoreError};

use crate::scheduler::Task;

/// See the module.
pub struct RestSources {
    /// Knows which sources rest.
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
    /// Moves the next cycle of every resting source to where it belongs.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let mut changed = false;
        for source in self.store.list_sources().await? {
            let Some(settings) = self.sources.get(&source.name) else {
                continue;
            };
            let Some(next) = moved(&source, settings, self.clock.now()) else {
                continue;
            };
            let (id, cycle, from) = (source.id, source.cycle, source.next_cycle_at);
            if self.store.move_next_cycle(id, cycle, from, next).await? {
                changed = true;
                tracing::info!(source = source.name, ?from, to = ?next, "next cycle moved");
            }
        }
        if changed {
            self.queue.wake().await;
        }
        Ok(Pace::Idle)
    }
}

/// Where the next cycle of a source belongs, if it is not there. One that is due already starts when it can, and one that
/// was due with the end of the cycle before (given up after the last rung) knows no rest.
fn moved(source: &SourceRecord, settings: &SourceSettings, now: Timestamp) -> Option<Option<Timestamp>> {
    if matches!(settings.kind, SourceKind::Push) {
        return None;
    }
    let ended_at = source.cycle_ended_at?;
    let waits = source.next_cycle_at.is_none_or(|next| next > now && next > ended_at);
    if source.state != SourceState::Active || source.requested.is_some() || !waits {
        return None;
    }
    let next = resting_until(ended_at, now, settings.rest, settings.schedule.as_ref());
    (next != source.next_cycle_at).then_some(next)
}
