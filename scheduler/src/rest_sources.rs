//! Keeps the rests of sources in line with the configuration: a changed `rest` or `schedule` moves the next cycle of a
//! source that is already resting, and a cycle that a person cancelled is followed by a rest, which no other task would
//! set.
//!
//! Everything is derived from stored state (when the newest cycle ended, when the next one starts), so a scheduler that
//! restarts with the same configuration moves nothing, and only one of several schedulers makes a move. While two
//! configurations are in use, each scheduler applies its own; the schedulers that stay win.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tideline_config::settings::{SourceKind, SourceSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::resting_until;
use tideline_core::words::{SourceRecord, SourceState, Timestamp};
use tideline_queue::Queue;
use tideline_runtime::Pace;
use tideline_store::{Store, StoreError};

use crate::scheduler::Task;

/// A cycle that ended this far in the future ended by a clock that has since been set back.
const CLOCK_WAS_AHEAD: Duration = Duration::from_secs(60);

/// See the module.
pub struct RestSources {
    /// Knows which sources rest.
    pub store: Arc<dyn Store>,
    /// Wakes the tasks that wait for the next cycle.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings of the sources, by name.
    pub sources: Arc<HashMap<String, SourceSettings>>,
}

#[async_trait]
impl Task for RestSources {
    /// Moves the next cycle of every resting source to its proper time.
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

/// Where the next cycle of a source should be, if it has to move. One that is already due starts when it can, and one
/// that became due with the end of the previous cycle (given up after the last rung) has no rest.
fn moved(source: &SourceRecord, settings: &SourceSettings, now: Timestamp) -> Option<Option<Timestamp>> {
    if matches!(settings.kind, SourceKind::Push) {
        return None;
    }
    let ended_at = source.cycle_ended_at?;
    if ended_at > now.plus(CLOCK_WAS_AHEAD) {
        // Ended by a clock that has since been set back. The rest counts from now, once.
        let latest = resting_until(now, now, settings.rest, settings.schedule.as_ref());
        let too_late = source.next_cycle_at.is_none() || source.next_cycle_at > latest;
        let rests = source.state == SourceState::Active && source.requested.is_none();
        return (rests && too_late && latest.is_some()).then_some(latest);
    }
    let waits = source.next_cycle_at.is_none_or(|next| next > now && next > ended_at);
    if source.state != SourceState::Active || source.requested.is_some() || !waits {
        return None;
    }
    let next = resting_until(ended_at, now, settings.rest, settings.schedule.as_ref());
    (next != source.next_cycle_at).then_some(next)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tideline_core::words::{CycleNumber, SourceId};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_clock_that_was_years_ahead_for_a_while_makes_no_source_rest_until_then() {
        let yaml = "sources: [{name: a, type: files, path: ., rest: 30m}]";
        let settings = tideline_config::parse(yaml, Path::new("tideline.yaml"), &|_| None).unwrap();
        let settings = &settings.sources[0];
        let now = Timestamp(1_000_000_000);
        let ahead = now.plus(2 * 365 * 24 * HOUR);
        let rests = |next_cycle_at| SourceRecord {
            id: SourceId(1),
            name: "a".into(),
            source_type: "files".into(),
            state: SourceState::Active,
            blocked_reason: None,
            cycle: CycleNumber(1),
            cycle_ended_at: Some(ahead),
            next_cycle_at: Some(next_cycle_at),
            requested: None,
            hold_until: None,
            entities: 0,
            held: None,
        };
        let rest = settings.rest.unwrap();
        let moved_to = moved(&rests(ahead.plus(rest)), settings, now);
        assert_eq!(moved_to, Some(Some(now.plus(rest))));
        // Later runs must not keep moving it.
        assert_eq!(moved(&rests(now.plus(rest)), settings, now.plus(rest / 2)), None);
        assert_eq!(moved(&rests(now.plus(rest)), settings, now.plus(2 * rest)), None);
    }
}
