//! Gauges of the whole store, measured when `/metrics` is read: of the queue in every process, of each source,
//! subscription and target only where the API is served, so that a fleet of workers does not read them once per worker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use tideline_core::words::{CycleState, SourceRecord, SourceState, Timestamp};
use tideline_runtime::telemetry::metrics;
use tideline_store::{Store, StoreError};

/// Number of a source's cycles that are searched for a complete one.
const CYCLES: u32 = 20;
/// Sources and subscriptions that are shown, each.
const MOST: usize = 500;

/// What the gauges remember between two scrapes.
#[derive(Default)]
pub(super) struct Gauges {
    /// When the newest complete cycle of a source ended; before the first one, when the wait for it began.
    complete: Mutex<BTreeMap<String, Timestamp>>,
    /// Subscriptions that were reported: a deleted one is set to 0, or its last value would stay.
    subscriptions: Mutex<BTreeSet<String>>,
    /// The same of targets.
    targets: Mutex<BTreeSet<String>>,
}

impl Gauges {
    /// The current state of the queue.
    pub(super) async fn queue(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let stats = store.stats(now).await?;
        let oldest = stats.oldest_due_at.map(|due| now.since(due)).unwrap_or_default();
        metrics::due_jobs(stats.due, oldest);
        metrics::held_sweeps(stats.held_sweeps);
        metrics::jobs(stats.running, stats.parked);
        Ok(())
    }

    /// The current state of each source, subscription and target.
    pub(super) async fn each(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        for source in store.list_sources().await?.iter().take(MOST) {
            let age = self.cycle_age(store, source, now).await?;
            let blocked = source.state == SourceState::Blocked;
            metrics::source(&source.name, source.entities, age, blocked);
        }
        let last = store.event_bounds().await?.last;
        let subscriptions = store.list_subscriptions().await?;
        let mut shown = BTreeSet::new();
        for subscription in subscriptions.into_iter().take(MOST) {
            let behind = u64::try_from(last.0 - subscription.position.0).unwrap_or(0);
            metrics::subscription(&subscription.name, behind, subscription.dead_letters);
            shown.insert(subscription.name);
        }
        let before = std::mem::replace(&mut *self.subscriptions.lock(), shown.clone());
        for gone in before.difference(&shown) {
            metrics::subscription(gone, 0, 0);
        }
        self.targets(store, now).await
    }

    async fn targets(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        let targets = store.list_targets().await?;
        let mut shown = BTreeSet::new();
        if targets.iter().any(|target| target.configured) {
            let (counts, last) = (store.count_targets().await?, store.stats(now).await?.last_sequence);
            for target in targets.into_iter().filter(|target| target.configured).take(MOST) {
                let counts = counts.iter().find(|counts| counts.name == target.name);
                let (failing, objects) = counts.map_or((0, 0), |counts| (counts.failing, counts.objects));
                let lag = u64::try_from(last.0 - target.place.position.sequence().0).unwrap_or(0);
                let held = target.hold.is_some_and(|hold| hold.until > now);
                metrics::target(&target.name, lag, failing, objects, held);
                shown.insert(target.name);
            }
        }
        let before = std::mem::replace(&mut *self.targets.lock(), shown.clone());
        for gone in before.difference(&shown) {
            metrics::target(gone, 0, 0, 0, false);
        }
        Ok(())
    }

    /// Time since the latest complete cycle; without one, the minimum time for which it has been missing. Nothing is
    /// expected of a source that is paused, no longer configured, or without cycles.
    async fn cycle_age(
        &self,
        store: &dyn Store,
        source: &SourceRecord,
        now: Timestamp,
    ) -> Result<Duration, StoreError> {
        let expected = matches!(source.state, SourceState::Active | SourceState::Blocked);
        if !expected || source.cycle.0 == 0 {
            self.complete.lock().remove(&source.name);
            return Ok(Duration::ZERO);
        }
        let cycles = store.list_cycles(source.id, CYCLES).await?;
        let complete = cycles.iter().find(|cycle| cycle.state == CycleState::Complete);
        let mut known = self.complete.lock();
        let since = match complete.and_then(|cycle| cycle.ended_at) {
            Some(ended) => ended,
            None => {
                let oldest = cycles.last().map_or(now, |cycle| cycle.started_at);
                known.get(&source.name).map_or(oldest, |known| oldest.min(*known))
            }
        };
        known.insert(source.name.clone(), since);
        Ok(now.since(since))
    }
}
