//! Plans for the API and for `tideline plan`: reads the source, compares it with the catalog, sums up.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tideline_config::settings::{Settings, SourceKind, SourceSettings};
use tideline_core::rules::{DriftDecision, SweepDecision, decide_drift, decide_sweep, differences};
use tideline_core::words::{ChangeKind, CycleState, DriftTotals, SourceRecord, SweepPlan};
use tideline_producer::api::types::{Difference, PlanLine, PlanProgress, PlanStep, PlanSummary, PlannedSweep};
use tideline_producer::api::{Code, PlanRequest, Planner, Problem};
use tideline_store::{CatalogStore, EntityRecord, OperatorStore, Store};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::compare::{Comparison, Step};
use super::rehearsal::{Fleet, Rehearsal, read_apart};
use super::scratch::stopped;
use super::unseen::Unseen;
use crate::exit::{Code as Exit, Failure};
use crate::output::count;

/// Number of cycles that are examined for their additions.
const CYCLES: u32 = 100;

/// Interval between progress messages while there is progress.
const PROGRESS: Duration = Duration::from_millis(500);

/// Interval between progress messages in any case: proxies cut silent connections, and this is how a disconnected
/// client is noticed.
const SILENCE: Duration = Duration::from_secs(5);

/// Plans the sources of a configuration.
pub(crate) struct SourcePlanner {
    settings: Arc<Settings>,
    /// None: there is no store yet, and everything is added.
    store: Option<Arc<dyn Store>>,
}

impl SourcePlanner {
    /// Compares with this store.
    pub(crate) fn new(settings: Arc<Settings>, store: Option<Arc<dyn Store>>) -> Self {
        Self { settings, store }
    }

    fn source(&self, name: &str) -> Result<&SourceSettings, Problem> {
        configured(&self.settings, name).map_err(|failure| Problem::new(Code::Conflict, failure.to_string()))
    }

    /// The source, read to its end. Sends progress meanwhile.
    async fn read(
        &self,
        source: &SourceSettings,
        record: Option<&SourceRecord>,
        lines: &mpsc::Sender<PlanLine>,
        stop: &CancellationToken,
    ) -> Result<Rehearsal, Problem> {
        // A plan changes nothing: it does not even share the source's limits with the fleet.
        let fleet = self.store.as_deref().zip(record);
        let fleet = fleet.map(|(store, record)| Fleet::listening(store, record));
        let (sender, mut progress) = watch::channel(PlanProgress::default());
        let mut reading = pin!(read_apart(&self.settings, source, fleet, sender, stop));
        let mut sent = Instant::now();
        loop {
            tokio::select! {
                read = &mut reading => return read,
                () = tokio::time::sleep(PROGRESS) => {}
            }
            let changed = progress.has_changed().unwrap_or(false);
            if changed || sent.elapsed() >= SILENCE {
                let progress = progress.borrow_and_update().clone();
                send(lines, PlanLine::Progress { progress }).await?;
                sent = Instant::now();
            }
        }
    }

    async fn compare(
        &self,
        source: &SourceSettings,
        (wanted, record): (&PlanRequest, Option<&SourceRecord>),
        rehearsal: &Rehearsal,
        lines: &mpsc::Sender<PlanLine>,
    ) -> Result<PlanSummary, Problem> {
        let catalog = self.store.as_deref().map(|store| store as &dyn CatalogStore);
        let mut comparison = Comparison::new(catalog, rehearsal.store(), &source.name);
        let mut totals = Totals::default();
        let store = self.store.as_deref().map(|store| store as &dyn OperatorStore);
        let mut unseen = Unseen::new(store.zip(record.map(|record| record.id)));
        while let Some(step) = comparison.next().await? {
            let mut is_confirmed = true;
            if let Step::Missing(missing) = &step {
                let known = unseen.find(&missing.reference).await?;
                // A removal that a person rejected is not proposed again.
                if known.is_some_and(|known| known.rejected) {
                    continue;
                }
                is_confirmed = known.map_or(0, |known| known.cycles) + 1 >= source.confirm_cycles;
            }
            let Some(step) = totals.take(step, rehearsal) else {
                continue;
            };
            totals.unconfirmed += u64::from(!is_confirmed);
            if wanted.wants(&step.reference) {
                send(lines, PlanLine::Step(step)).await?;
            }
        }
        let owned = Owned {
            now: record.map_or(0, |record| record.entities),
            fresh: self.fresh(record, source.confirm_cycles).await?,
        };
        Ok(totals.summary(source, owned, rehearsal))
    }

    /// Additions of cycles since the candidates of the next one were last seen, as the next cycle will count them: see
    /// [`SweepPlan::fresh`].
    async fn fresh(&self, record: Option<&SourceRecord>, confirm_cycles: u32) -> Result<u64, Problem> {
        let (Some(store), Some(record)) = (&self.store, record) else {
            return Ok(0);
        };
        let (mut added, mut complete) = (0, 0);
        for cycle in store.list_cycles(record.id, CYCLES).await? {
            complete += u32::from(cycle.state == CycleState::Complete);
            if complete >= confirm_cycles.max(1) {
                break;
            }
            added += cycle.totals.added;
        }
        let held = record
            .held
            .as_ref()
            .map_or(0, |held| record.entities.saturating_sub(held.owned));
        Ok(held.max(added))
    }
}

#[async_trait]
impl Planner for SourcePlanner {
    fn check(&self, source: &str) -> Result<(), Problem> {
        self.source(source).map(drop)
    }

    async fn plan(
        &self,
        wanted: &PlanRequest,
        lines: &mpsc::Sender<PlanLine>,
        stop: &CancellationToken,
    ) -> Result<PlanSummary, Problem> {
        let source = self.source(&wanted.source)?;
        let record = match &self.store {
            Some(store) => store.find_source(&source.name).await?,
            None => None,
        };
        let rehearsal = self.read(source, record.as_ref(), lines, stop).await?;
        let mut comparing = pin!(self.compare(source, (wanted, record.as_ref()), &rehearsal, lines));
        loop {
            tokio::select! {
                compared = &mut comparing => return compared,
                () = tokio::time::sleep(SILENCE) => {}
                () = stop.cancelled() => return Err(stopped()),
            }
            let progress = rehearsal.progress();
            // No room: the client is behind.
            let _ = lines.try_send(PlanLine::Progress { progress });
        }
    }
}

async fn send(lines: &mpsc::Sender<PlanLine>, line: PlanLine) -> Result<(), Problem> {
    lines.send(line).await.map_err(|_| stopped())
}

/// The source of this name, if it can be read.
///
/// # Errors
/// It is not configured (the text names those that are), or programs write it.
pub(crate) fn configured<'a>(settings: &'a Settings, name: &str) -> Result<&'a SourceSettings, Failure> {
    let found = settings.sources.iter().find(|source| source.name == name);
    if found.is_some_and(|source| matches!(source.kind, SourceKind::Push)) {
        let message = format!("the entities of {name} are written by programs (type push): there is nothing to read");
        return Err(Failure::new(Exit::Refused, message));
    }
    found.ok_or_else(|| {
        let names: Vec<&str> = settings.sources.iter().map(|source| source.name.as_str()).collect();
        let known = if names.is_empty() {
            "it has no sources".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        let message = format!("source {name} is not in the configuration; {known}");
        Failure::new(Exit::NotFound, message)
    })
}

/// The catalog's entities of the source.
#[derive(Clone, Copy)]
struct Owned {
    now: u64,
    fresh: u64,
}

#[derive(Default)]
struct Totals {
    added: u64,
    modified: u64,
    removed: u64,
    /// Of the removed, those that the next cycle only begins to miss.
    unconfirmed: u64,
}

impl Totals {
    /// Counts a step; none: it is not a step after all.
    fn take(&mut self, step: Step, rehearsal: &Rehearsal) -> Option<PlanStep> {
        let (change, reference, found) = match step {
            Step::Added(record) => (ChangeKind::Added, record.reference, Vec::new()),
            Step::Modified { before, after } => {
                let found = differences(&body(&before), &body(&after));
                let found = found.into_iter().map(Difference::from).collect();
                (ChangeKind::Modified, after.reference, found)
            }
            // A named malformed item keeps what the catalog has.
            Step::Missing(record) if rehearsal.kept.contains(&record.reference) => return None,
            Step::Missing(record) => (ChangeKind::Removed, record.reference, Vec::new()),
        };
        match change {
            ChangeKind::Added => self.added += 1,
            ChangeKind::Modified => self.modified += 1,
            ChangeKind::Removed => self.removed += 1,
        }
        Some(PlanStep {
            change,
            reference,
            differences: found,
        })
    }

    fn summary(self, settings: &SourceSettings, owned: Owned, rehearsal: &Rehearsal) -> PlanSummary {
        let totals = &rehearsal.cycle.totals;
        PlanSummary {
            source: settings.name.clone(),
            entities: totals.added,
            owned: owned.now,
            added: self.added,
            modified: self.modified,
            unchanged: totals.added.saturating_sub(self.added + self.modified),
            removed: self.removed,
            malformed: totals.malformed,
            pages: totals.pages,
            partitions: totals.partitions,
            sweep: self.sweep(settings, owned, rehearsal),
        }
    }

    /// What becomes of the removals.
    fn sweep(&self, settings: &SourceSettings, owned: Owned, rehearsal: &Rehearsal) -> PlannedSweep {
        let totals = &rehearsal.cycle.totals;
        if rehearsal.cycle.state != CycleState::Complete {
            let reason = rehearsal.cycle.reason.clone().unwrap_or_default();
            return PlannedSweep::Incomplete { reason };
        }
        if totals.has_gaps() {
            let (parked, unnamed) = (count(totals.partitions_parked), count(totals.unidentified));
            let reason = format!("{parked} partitions failed, {unnamed} items have no name");
            return PlannedSweep::Incomplete { reason };
        }
        if self.removed == 0 {
            return PlannedSweep::Nothing;
        }
        let candidates = self.removed - self.unconfirmed;
        let plan = SweepPlan {
            owned: owned.now,
            marked: totals.entities,
            candidates,
            fresh: owned.fresh,
            ..SweepPlan::default()
        };
        // No event reported them so far, or they would be gone.
        let drift = DriftTotals {
            extra: candidates,
            ..DriftTotals::default()
        };
        let drifted = settings
            .drift
            .map_or(DriftDecision::Follow, |policy| decide_drift(policy, drift, plan));
        match (drifted, decide_sweep(settings.guard, plan)) {
            (DriftDecision::Keep, _) => PlannedSweep::Keep,
            (_, SweepDecision::Hold(reason)) | (DriftDecision::Hold(reason), _) => PlannedSweep::Hold { reason },
            (DriftDecision::Follow, SweepDecision::Sweep) if self.unconfirmed > 0 => PlannedSweep::Confirm {
                cycles: settings.confirm_cycles,
                waiting: self.unconfirmed,
            },
            (DriftDecision::Follow, SweepDecision::Sweep) => PlannedSweep::Sweep,
        }
    }
}

fn body(record: &EntityRecord) -> Value {
    serde_json::from_str(&record.body).unwrap_or_else(|_| Value::from(record.body.as_str()))
}
