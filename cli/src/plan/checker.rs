//! Checks for the scheduler: reads a source as for a plan, and counts the differences from the catalog.

use std::sync::Arc;

use async_trait::async_trait;
use tideline_config::settings::Settings;
use tideline_core::clock::Clock;
use tideline_core::words::{CheckRecord, DriftDifference, DriftKind, DriftTotals, EntityRef, SourceRecord, Timestamp};
use tideline_producer::api::types::PlanProgress;
use tideline_producer::api::{Code, Problem};
use tideline_scheduler::SourceChecker;
use tideline_store::{CatalogStore, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::compare::{Comparison, Step};
use super::planner::configured;
use super::rehearsal::{Fleet, Rehearsal, read_apart};
use super::scratch::stopped;
use super::unseen::Unseen;

/// Maximum number of differences that are kept by name.
const SHOWN: usize = 100;

/// Maximum number of catalog changes of one reference: one for each source that owns it.
const CHANGES: u32 = 1_000;

/// Checks the sources of a configuration.
pub(crate) struct PlanChecker {
    settings: Arc<Settings>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl PlanChecker {
    /// Compares with this store.
    pub(crate) fn new(settings: Arc<Settings>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, store, clock }
    }

    async fn found(
        &self,
        source: &SourceRecord,
        began_at: Timestamp,
        stop: &CancellationToken,
    ) -> Result<CheckRecord, Problem> {
        let settings = configured(&self.settings, &source.name)
            .map_err(|failure| Problem::new(Code::Conflict, failure.to_string()))?;
        let (progress, _) = watch::channel(PlanProgress::default());
        let fleet = Fleet::both_ways(&*self.store, source);
        let rehearsal = read_apart(&self.settings, settings, Some(fleet), progress, stop).await?;
        let mut found = record(began_at, failure(&rehearsal));
        let catalog: &dyn CatalogStore = &*self.store;
        let mut comparison = Comparison::new(Some(catalog), rehearsal.store(), &source.name);
        let mut unseen = Unseen::new(Some((&*self.store, source.id)));
        while let Some(step) = comparison.next().await? {
            if stop.is_cancelled() {
                return Err(stopped());
            }
            let difference = self.difference(source, step, began_at, &rehearsal).await?;
            let Some((drift, reference)) = difference else {
                continue;
            };
            // A check counts as one more cycle that has missed it.
            let is_confirmed = drift != DriftKind::Extra
                || settings.confirm_cycles <= 1
                || unseen.find(&reference).await?.map_or(0, |known| known.cycles) + 1 >= settings.confirm_cycles;
            if !is_confirmed {
                found.unconfirmed += 1;
            } else {
                note(&mut found, drift, reference);
            }
        }
        Ok(found)
    }

    /// How an entity differs; none: uncertain. Writes since the reading began are newer than the reading.
    async fn difference(
        &self,
        source: &SourceRecord,
        step: Step,
        began_at: Timestamp,
        rehearsal: &Rehearsal,
    ) -> Result<Option<(DriftKind, EntityRef)>, StoreError> {
        Ok(match step {
            Step::Added(read) => {
                let changes = self.store.list_entity_changes(&read.reference, CHANGES).await?;
                let own = changes.iter().find(|change| change.source == source.name);
                let overtaken = own.is_some_and(|change| change.changed_at >= began_at);
                (!overtaken).then_some((DriftKind::Missing, read.reference))
            }
            Step::Modified { before, .. } if before.changed_at >= began_at => None,
            Step::Modified { before, .. } => Some((DriftKind::Diverged, before.reference)),
            // A named malformed item keeps what the catalog has, and unread parts may contain the entity.
            Step::Missing(kept) => {
                let known = kept.changed_at < began_at && rehearsal.is_complete();
                (known && !rehearsal.kept.contains(&kept.reference)).then_some((DriftKind::Extra, kept.reference))
            }
        })
    }
}

#[async_trait]
impl SourceChecker for PlanChecker {
    async fn check(&self, source: &SourceRecord, stop: &CancellationToken) -> Option<CheckRecord> {
        let began_at = self.clock.now();
        let mut found = match self.found(source, began_at, stop).await {
            Ok(found) => found,
            Err(_) if stop.is_cancelled() => return None,
            Err(problem) => record(began_at, Some(problem.detail)),
        };
        found.ended_at = self.clock.now();
        Some(found)
    }
}

fn record(began_at: Timestamp, failure: Option<String>) -> CheckRecord {
    CheckRecord {
        began_at,
        ended_at: began_at,
        totals: DriftTotals::default(),
        unconfirmed: 0,
        differences: Vec::new(),
        failure,
    }
}

fn note(found: &mut CheckRecord, drift: DriftKind, reference: EntityRef) {
    match drift {
        DriftKind::Missing => found.totals.missing += 1,
        DriftKind::Extra => found.totals.extra += 1,
        DriftKind::Diverged => found.totals.diverged += 1,
    }
    if found.differences.len() < SHOWN {
        found.differences.push(DriftDifference { reference, drift });
    }
}

/// Why removals cannot be determined.
fn failure(rehearsal: &Rehearsal) -> Option<String> {
    if rehearsal.is_complete() {
        return None;
    }
    let reason = rehearsal.cycle.reason.as_deref();
    let reason = reason.unwrap_or("parts of it could not be read");
    Some(format!(
        "the source was not read completely, so nothing counts as extra: {reason}"
    ))
}
