//! Writes the results of a reading, and removes what it no longer shows.

use tideline_core::words::{Delta, DeltaOutcome, Origin, Timestamp};
use tideline_runtime::telemetry::metrics;

use super::{Ready, RefreshHandler};
use crate::handler::HandlerError;

impl RefreshHandler {
    /// Writes deltas. `false`: one of them was overtaken.
    pub(super) async fn write(
        &self,
        ready: &Ready<'_>,
        origin: Option<&Origin>,
        deltas: &[Delta],
    ) -> Result<bool, HandlerError> {
        let origin = origin.map(Origin::hash);
        let now = self.clock.now();
        let outcomes = self.store.write_reading(ready.source, origin, deltas, now).await?;
        let name = &ready.readable.settings.name;
        for (outcome, word) in [
            (DeltaOutcome::Added, "added"),
            (DeltaOutcome::Modified, "modified"),
            (DeltaOutcome::Removed, "removed"),
            (DeltaOutcome::Unchanged, "unchanged"),
        ] {
            let count = outcomes.iter().filter(|one| **one == outcome).count();
            if count > 0 {
                metrics::entities(name, word, count as u64);
            }
        }
        if outcomes.iter().any(|outcome| outcome.is_change()) {
            // Followers of the change feed look now.
            self.queue.wake().await;
        }
        Ok(!outcomes.contains(&DeltaOutcome::Overtaken))
    }

    /// Removes what the origin made and its complete reading, which began `since`, did not show. The source's removal
    /// guard does not apply to what an event said is gone.
    pub(super) async fn drop_unseen(
        &self,
        ready: &Ready<'_>,
        origin: &Origin,
        since: Timestamp,
        removed: bool,
    ) -> Result<(), HandlerError> {
        let settings = &ready.readable.settings;
        let guard = (!removed).then_some(settings.guard);
        let now = self.clock.now();
        let dropped = self.store.drop_unseen(ready.source, origin, since, guard, now).await?;
        if let Some(why) = dropped.held {
            tracing::warn!(
                source = settings.name,
                why,
                "a refresh would remove too much: left to the next complete cycle"
            );
        }
        if dropped.removed > 0 {
            metrics::entities(&settings.name, "removed", dropped.removed);
            self.queue.wake().await;
        }
        Ok(())
    }
}
