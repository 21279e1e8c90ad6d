//! Decides whether a target's jobs may run: how many at a time, and not while it is paused or held back. Holds are in
//! the store, so they apply to the whole fleet and outlive this process.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{EntityRef, Fingerprint, TargetHold, TargetRecord, TargetState};
use tideline_queue::Queue;
use tideline_store::{Store, StoreError, TargetSettled};

use crate::batches::Batches;
use crate::handler::Outcome;
use crate::places::{Admission, Places};

/// The first hold of a target that cannot be reached; each further one in a row is twice as long …
const FIRST_HOLD: Duration = Duration::from_secs(15);
/// … up to this.
const LONGEST_HOLD: Duration = Duration::from_secs(600);
/// How long a job waits whose target is not in the store yet.
const UNKNOWN: Duration = Duration::from_secs(5);
/// How long a job waits whose target is paused; resuming makes it due.
const PAUSED: Duration = Duration::from_secs(3_600);

/// The gate of one target.
pub(super) struct Gate {
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) clock: Arc<dyn Clock>,
    target: String,
    kind: &'static str,
    places: Places,
    records: Batches<(), Option<TargetRecord>>,
    settled: Batches<TargetSettled, bool>,
}

/// The right to send something to the target.
pub(super) struct Pass {
    /// Holds in a row before this.
    holds: u32,
    /// How often the target's feed started over.
    pub(super) starts: u32,
}

impl Gate {
    pub(super) fn new(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        (target, kind): (&str, &'static str),
        jobs: u32,
    ) -> Self {
        Self {
            places: Places::new(jobs, Arc::clone(&clock)),
            records: Batches::default(),
            settled: Batches::default(),
            store,
            queue,
            clock,
            target: target.to_owned(),
            kind,
        }
    }

    /// Where the next job runs.
    pub(super) fn admit(&self) -> Admission {
        self.places.admit(&format!("target {}", self.target))
    }

    /// The right to send something; or until when, and why, nothing may be sent.
    pub(super) async fn enter(&self) -> Result<Result<Pass, Outcome>, StoreError> {
        let now = self.clock.now();
        let postpone = |wait: Duration, why: &str| Ok(Err(Outcome::Postpone(now.plus(wait), why.to_owned())));
        let find = async |waiting: Vec<()>| {
            let record = self.store.find_target(&self.target).await?;
            Ok(vec![record; waiting.len()])
        };
        let Some(record) = self.records.call((), find).await? else {
            return postpone(UNKNOWN, "its target is not in the store yet");
        };
        let TargetRecord { state, hold, place, .. } = record;
        if state == TargetState::Paused {
            return postpone(PAUSED, "its target is paused");
        }
        Ok(match hold {
            Some(hold) if hold.until > now => {
                let why = format!("its target is held back: {}", hold.reason);
                Err(Outcome::Postpone(hold.until, why))
            }
            hold => Ok(Pass {
                holds: hold.map_or(0, |hold| hold.count),
                starts: place.starts,
            }),
        })
    }

    /// The target cannot be reached: all of its jobs wait.
    pub(super) async fn hold_back(&self, pass: &Pass, reason: &str) -> Result<Outcome, StoreError> {
        let wait = FIRST_HOLD.saturating_mul(1 << pass.holds.min(16)).min(LONGEST_HOLD);
        let hold = TargetHold {
            until: self.clock.now().plus(wait),
            count: pass.holds.saturating_add(1),
            reason: reason.to_owned(),
        };
        let mut until = hold.until;
        if self.store.hold_target(&self.target, &hold).await? {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(target = self.target, reason, wait_ms, "a target is held back");
        } else if let Some(held) = self
            .store
            .find_target(&self.target)
            .await?
            .and_then(|record| record.hold)
        {
            // Another job has just found it unreachable.
            until = held.until;
        }
        Ok(Outcome::Postpone(until, format!("its target is held back: {reason}")))
    }

    /// Records the outcome of an attempt for an entity; without an error it is in sync.
    pub(super) async fn settle(&self, reference: &EntityRef, error: Option<String>) -> Result<(), StoreError> {
        let settled = TargetSettled {
            reference: reference.clone(),
            error,
            sent: None,
        };
        self.keep(settled).await.map(drop)
    }

    /// Records that an entity was sent. `true`: the target had something else before, and a change back to that may
    /// have been skipped meanwhile.
    pub(super) async fn sent(&self, reference: &EntityRef, sent: Fingerprint) -> Result<bool, StoreError> {
        let settled = TargetSettled {
            reference: reference.clone(),
            error: None,
            sent: Some(sent),
        };
        self.keep(settled).await
    }

    async fn keep(&self, settled: TargetSettled) -> Result<bool, StoreError> {
        let settle = async |settled: Vec<TargetSettled>| {
            let now = self.clock.now();
            let replaced = self.store.settle_target_entities(&self.target, &settled, now).await?;
            let replaced: HashSet<EntityRef> = replaced.into_iter().collect();
            Ok(settled.iter().map(|one| replaced.contains(&one.reference)).collect())
        };
        let went_well = settled.error.is_none();
        let is_replaced = self.settled.call(settled, settle).await?;
        if went_well {
            self.refill().await;
        }
        Ok(is_replaced)
    }

    /// Records that these entities, which had no error, are in sync.
    pub(super) async fn confirm(&self, references: &[EntityRef]) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store
            .confirm_target_entities(&self.target, references, now)
            .await?;
        self.refill().await;
        Ok(())
    }

    /// Brings back jobs that were postponed while the target seemed slower than it is. They come back by themselves if
    /// this fails.
    async fn refill(&self) {
        let Some(wanted) = self.places.wanted() else { return };
        let now = self.clock.now();
        let hasten = self
            .store
            .hasten_target_jobs(&self.target, self.kind, wanted.count, wanted.until, now);
        match hasten.await {
            Ok(hastened) => {
                if hastened < u64::from(wanted.count) {
                    self.places.had_less(&wanted);
                }
                if hastened > 0 {
                    self.queue.wake().await;
                }
            }
            Err(error) => tracing::debug!(error = full_text(&error), "jobs could not be brought back early"),
        }
    }

    /// The target responded.
    pub(super) async fn answered(&self, pass: &Pass) {
        if pass.holds == 0 {
            return;
        }
        match self
            .store
            .release_target(&self.target, self.kind, self.clock.now())
            .await
        {
            Ok(()) => self.queue.wake().await,
            // The hold is over anyway; only its count stays.
            Err(error) => tracing::debug!(error = full_text(&error), "a hold could not be ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tideline_core::clock::ManualClock;
    use tideline_core::rules::fingerprint;
    use tideline_core::words::{MICROCKS_KIND, NewJob, TargetSpec, Timestamp, Trigger};
    use tideline_queue::in_process::InProcessQueue;
    use tideline_store::JobFilter;
    use tideline_store::sqlite::SqliteStore;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[tokio::test]
    async fn a_job_that_was_put_off_comes_back_when_the_target_turns_out_to_be_quick() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&url).await.unwrap());
        let (clock, queue) = (ManualClock::new(NOW), Arc::new(InProcessQueue::default()));
        let spec = TargetSpec {
            name: "m".to_owned(),
            target_type: "microcks".to_owned(),
        };
        store.sync_targets(&[spec], NOW).await.unwrap();
        let gate = Gate::new(
            Arc::clone(&store),
            Arc::clone(&queue) as Arc<dyn Queue>,
            Arc::new(clock.clone()),
            ("m", MICROCKS_KIND),
            1,
        );
        let (Admission::Own(first), Admission::Own(second)) = (gate.admit(), gate.admit()) else {
            panic!("one runs and one waits");
        };
        let later = (0..20).map(|_| match gate.admit() {
            Admission::Later(due_at, _) => due_at,
            _ => panic!("no more may wait"),
        });
        let due_at = later.last().unwrap();
        let put_off = NewJob {
            kind: MICROCKS_KIND.to_owned(),
            key: "m/api:default/a".to_owned(),
            fingerprint: fingerprint(b"a"),
            args: "{}".to_owned(),
            due_at,
            trigger: Trigger::Manual,
            trace: None,
        };
        store.enqueue(&[put_off], NOW).await.unwrap();
        let due = async || {
            let all = JobFilter {
                limit: 10,
                ..JobFilter::default()
            };
            store.list_jobs(&all).await.unwrap()[0].due_at
        };
        let reference = "api:default/b".parse().unwrap();
        clock.advance(Duration::from_millis(60));
        gate.settle(&reference, None).await.unwrap();
        assert_eq!(due().await, Some(due_at), "another one waits for the place");
        drop(second);
        gate.settle(&reference, Some("it is down".to_owned())).await.unwrap();
        assert_eq!(due().await, Some(due_at), "a target that fails gets no more");
        let mut wakeups = queue.wakeups();
        gate.settle(&reference, None).await.unwrap();
        assert_eq!(due().await, Some(clock.now()));
        let woken = tokio::time::timeout(Duration::from_secs(20), wakeups.next());
        woken.await.unwrap();
        drop(first);
    }
}
