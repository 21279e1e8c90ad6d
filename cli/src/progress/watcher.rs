use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tideline_core::clock::Clock;
use tideline_core::words::{CycleNumber, CycleRecord, CycleState, SourceRecord, Timestamp};
use tideline_store::{Store, StoreError};

use tideline_core::rules::Why;
use tideline_producer::api::reason_of_source;

/// Number of cycles read per source: more cannot end between two snapshots.
const CYCLES: u32 = 5;
/// The speed is averaged over this window.
const SPEED_WINDOW: Duration = Duration::from_secs(2);

/// One snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// When.
    pub(crate) now: Timestamp,
    /// One per source, by name.
    pub(crate) sources: Vec<SourceProgress>,
    /// Cycles that ended since the look before.
    pub(crate) ended: Vec<EndedCycle>,
}

/// One source.
#[derive(Debug)]
pub(crate) struct SourceProgress {
    /// Its row.
    pub(crate) source: SourceRecord,
    /// Its newest cycle.
    pub(crate) cycle: Option<CycleRecord>,
    /// Entities per second just now.
    pub(crate) speed: u64,
    /// What it waits for, if it reads nothing just now.
    pub(crate) waits: Option<Why>,
}

/// A cycle that ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EndedCycle {
    /// Name of its source.
    #[serde(rename = "source_name")]
    pub(crate) source: String,
    /// The cycle.
    #[serde(flatten)]
    pub(crate) cycle: CycleRecord,
    /// Entities that its held sweep would delete.
    pub(crate) held: u64,
}

/// Polls the store and reports what is new.
pub(crate) struct Watcher {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    reported: BTreeMap<String, CycleNumber>,
    speeds: BTreeMap<String, VecDeque<(Timestamp, CycleNumber, u64)>>,
}

impl Watcher {
    /// Cycles that ended before this moment are not new.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let mut watcher = Self {
            store,
            clock,
            reported: BTreeMap::new(),
            speeds: BTreeMap::new(),
        };
        for source in watcher.store.list_sources().await? {
            let cycles = watcher.store.list_cycles(source.id, CYCLES).await?;
            if let Some(newest) = cycles
                .iter()
                .filter(|cycle| has_ended(cycle))
                .map(|cycle| cycle.number)
                .max()
            {
                watcher.reported.insert(source.name, newest);
            }
        }
        Ok(watcher)
    }

    /// Takes one snapshot.
    pub(crate) async fn look(&mut self) -> Result<Snapshot, StoreError> {
        let now = self.clock.now();
        let mut snapshot = Snapshot {
            now,
            sources: Vec::new(),
            ended: Vec::new(),
        };
        for source in self.store.list_sources().await? {
            let cycles = self.store.list_cycles(source.id, CYCLES).await?;
            self.note_ended(&source, &cycles, &mut snapshot.ended);
            let cycle = cycles.into_iter().max_by_key(|cycle| cycle.number);
            let speed = cycle.as_ref().map_or(0, |cycle| self.speed(&source.name, cycle, now));
            let stands = speed == 0 && cycle.as_ref().is_some_and(|cycle| cycle.state == CycleState::Bursting);
            let waits = if stands {
                Some(reason_of_source(&*self.store, &source, cycle.as_ref(), now).await?)
            } else {
                None
            };
            snapshot.sources.push(SourceProgress {
                source,
                cycle,
                speed,
                waits: waits.filter(|why| !matches!(why, Why::Bursting { .. })),
            });
        }
        Ok(snapshot)
    }

    fn note_ended(&mut self, source: &SourceRecord, cycles: &[CycleRecord], ended: &mut Vec<EndedCycle>) {
        let before = self.reported.get(&source.name).copied().unwrap_or_default();
        let mut new: Vec<&CycleRecord> = cycles
            .iter()
            .filter(|cycle| cycle.number > before && has_ended(cycle))
            .collect();
        new.sort_by_key(|cycle| cycle.number);
        for cycle in new {
            let held = source.held.as_ref().filter(|held| held.cycle == cycle.number);
            ended.push(EndedCycle {
                source: source.name.clone(),
                cycle: cycle.clone(),
                held: held.map_or(0, |held| held.would_remove),
            });
            self.reported.insert(source.name.clone(), cycle.number);
        }
    }

    fn speed(&mut self, name: &str, cycle: &CycleRecord, now: Timestamp) -> u64 {
        let samples = self.speeds.entry(name.to_owned()).or_default();
        if samples.back().is_some_and(|(_, number, _)| *number != cycle.number) {
            samples.clear();
        }
        samples.push_back((now, cycle.number, cycle.totals.entities));
        while samples.len() > 2 && samples.front().is_some_and(|(at, _, _)| now.since(*at) > SPEED_WINDOW) {
            samples.pop_front();
        }
        let Some((at, _, entities)) = samples.front() else {
            return 0;
        };
        let ms = now.since(*at).as_millis();
        let read = u128::from(cycle.totals.entities.saturating_sub(*entities));
        (read * 1000)
            .checked_div(ms)
            .and_then(|speed| u64::try_from(speed).ok())
            .unwrap_or(0)
    }
}

/// Whether only a person's decision is left of the cycle.
pub(crate) fn has_ended(cycle: &CycleRecord) -> bool {
    !matches!(cycle.state, CycleState::Bursting | CycleState::Sweeping)
}
