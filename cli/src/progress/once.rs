use std::collections::BTreeMap;

use tideline_core::words::{CycleNumber, CycleState, SourceState, Timestamp, Trigger};
use tideline_store::{SourceCommand, Store, StoreError};

use super::Snapshot;
use crate::exit::Code;

/// Waits for one complete cycle of every source (`--once`).
#[derive(Debug)]
pub(crate) struct Once {
    targets: BTreeMap<String, Target>,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    cycle: CycleNumber,
    ended: Option<Code>,
}

impl Once {
    /// Picks the running cycle of each source (an interrupted one continues), or requests one. A cycle that only
    /// sweeps, because its held sweep was approved, has read the source before: a fresh one follows it.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn ask(store: &dyn Store, names: &[String], now: Timestamp) -> Result<Self, StoreError> {
        let mut targets = BTreeMap::new();
        for name in names {
            let Some(source) = store.find_source(name).await? else {
                continue;
            };
            let newest = store.list_cycles(source.id, 1).await?.into_iter().next();
            let reads = newest.is_some_and(|cycle| cycle.state == CycleState::Bursting);
            let cycle = if reads && source.state == SourceState::Active {
                source.cycle
            } else {
                if source.state == SourceState::Blocked
                    || source.state == SourceState::Active && source.requested.is_none()
                {
                    store
                        .command_source(name, SourceCommand::Refresh(Trigger::Manual), now)
                        .await?;
                }
                CycleNumber(source.cycle.0 + 1)
            };
            targets.insert(name.clone(), Target { cycle, ended: None });
        }
        Ok(Self { targets })
    }

    /// Records a snapshot. Of several cycles the last one counts: it is the one that holds a sweep, or completed what
    /// the previous one left.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot) {
        for ended in &snapshot.ended {
            if let Some(target) = self.targets.get_mut(&ended.source)
                && ended.cycle.number >= target.cycle
            {
                target.ended = Some(match ended.cycle.state {
                    CycleState::Complete if ended.cycle.totals.has_gaps() => Code::Failed,
                    CycleState::Complete => Code::Done,
                    CycleState::Held => Code::Held,
                    _ => Code::Failed,
                });
            }
        }
        for progress in &snapshot.sources {
            if let Some(target) = self.targets.get_mut(&progress.source.name)
                && target.ended.is_none()
                && progress.source.state != SourceState::Active
            {
                target.ended = Some(Code::Failed);
            }
        }
    }

    /// Once all have ended: the worst code.
    pub(crate) fn outcome(&self) -> Option<Code> {
        self.targets
            .values()
            .try_fold(Code::Done, |worst, target| Some(worst.max(target.ended?)))
    }
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{CycleRecord, CycleTotals, SourceId};

    use super::super::EndedCycle;
    use super::*;

    fn once(names: &[&str]) -> Once {
        Once {
            targets: names
                .iter()
                .map(|name| {
                    let target = Target {
                        cycle: CycleNumber(2),
                        ended: None,
                    };
                    ((*name).to_owned(), target)
                })
                .collect(),
        }
    }

    fn ended(source: &str, number: i64, state: CycleState) -> Snapshot {
        Snapshot {
            now: Timestamp(0),
            sources: Vec::new(),
            ended: vec![EndedCycle {
                source: source.into(),
                cycle: CycleRecord {
                    source: SourceId(1),
                    number: CycleNumber(number),
                    state,
                    trigger: Trigger::Manual,
                    started_at: Timestamp(0),
                    ended_at: Some(Timestamp(1)),
                    reason: None,
                    totals: CycleTotals::default(),
                },
                held: 0,
            }],
        }
    }

    #[test]
    fn it_waits_for_every_source() {
        let mut once = once(&["a", "b"]);
        once.observe(&ended("a", 2, CycleState::Complete));
        assert_eq!(once.outcome(), None);
        once.observe(&ended("b", 2, CycleState::Complete));
        assert_eq!(once.outcome(), Some(Code::Done));
    }

    #[test]
    fn a_cycle_from_before_does_not_count() {
        let mut once = once(&["a"]);
        once.observe(&ended("a", 1, CycleState::Complete));
        assert_eq!(once.outcome(), None);
    }

    #[test]
    fn a_sweep_that_a_later_cycle_holds_is_not_overlooked() {
        let mut once = once(&["a"]);
        let mut both = ended("a", 2, CycleState::Complete);
        both.ended.extend(ended("a", 3, CycleState::Held).ended);
        once.observe(&both);
        assert_eq!(once.outcome(), Some(Code::Held));
    }

    #[test]
    fn a_failed_source_is_worse_than_a_held_sweep() {
        let mut once = once(&["a", "b"]);
        once.observe(&ended("a", 2, CycleState::Incomplete));
        once.observe(&ended("b", 2, CycleState::Held));
        assert_eq!(once.outcome(), Some(Code::Failed));
    }
}
