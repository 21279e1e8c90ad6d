//! The leases that this worker holds. The response to a claim may be lost after the store executed it: jobs are then
//! leased to a worker that does not know of them, and since it is alive, no scheduler rescues them. So after such a
//! claim it checks for a while whether the store has leased it more than it knows of, and hands that back. Conversely,
//! a job that it holds may have been leased to another worker: such attempts are cancelled.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use tideline_core::words::{Lease, Settlement, Timestamp, WorkerId};
use tideline_store::{SettleRequest, Store, StoreError};
use tokio_util::sync::CancellationToken;

/// The server may still be executing a claim after its connection was lost, but not for longer than this.
const DOUBT: Duration = Duration::from_secs(90);

/// The store selects jobs due by its own clock; ours may be slightly behind.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

/// Siblings have no due time of their own that is over.
const EVER: Timestamp = Timestamp(i64::MAX);

/// Leases in use, each with the token that cancels its attempt, and until when there may be unknown ones.
#[derive(Default)]
pub(crate) struct Holding {
    held: Mutex<HashMap<Lease, CancellationToken>>,
    /// Read in the place of a lead, and given up with its attempt.
    siblings: Mutex<HashSet<Lease>>,
    doubt: Mutex<Option<Doubt>>,
}

#[derive(Clone, Copy)]
struct Doubt {
    next_look: Timestamp,
    until: Timestamp,
}

impl Holding {
    /// Adds a lease; the returned token is cancelled when the lease is lost.
    pub(crate) fn take(&self, lease: Lease) -> CancellationToken {
        let lost = CancellationToken::new();
        self.held.lock().insert(lease, lost.clone());
        lost
    }

    /// Like [`Holding::take`], for a partition that is read in the place of another: both belong to the same worker.
    pub(crate) fn take_along(&self, sibling: Lease) {
        self.siblings.lock().insert(sibling);
    }

    /// Removes a lease that was settled or lost.
    pub(crate) fn let_go(&self, lease: Lease) {
        self.held.lock().remove(&lease);
        self.siblings.lock().remove(&lease);
    }

    fn knows(&self, lease: &Lease) -> bool {
        self.held.lock().contains_key(lease) || self.siblings.lock().contains(lease)
    }

    /// Cancels the attempts whose jobs are no longer ours according to the store; returns how many.
    pub(crate) async fn cancel_lost(
        &self,
        store: &dyn Store,
        worker: &WorkerId,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        // Later claims are not in the answer.
        let held: Vec<Lease> = self.held.lock().keys().copied().collect();
        if held.is_empty() {
            return Ok(0);
        }
        let ours = store.held_leases(worker, now.plus(CLOCKS_DIFFER)).await?;
        let mut lost = 0;
        for lease in held.iter().filter(|lease| !ours.contains(lease)) {
            // An attempt that ended meanwhile was let go, or is being settled and has nothing left to cancel.
            if let Some(token) = self.held.lock().get(lease)
                && !token.is_cancelled()
            {
                token.cancel();
                lost += 1;
            }
        }
        Ok(lost)
    }

    /// The store may have leased us jobs that we do not know of.
    pub(crate) fn doubt(&self, now: Timestamp) {
        *self.doubt.lock() = Some(Doubt {
            next_look: now,
            until: now.plus(DOUBT),
        });
    }

    /// Whether it is time to check.
    pub(crate) fn wants_a_look(&self, now: Timestamp) -> bool {
        self.doubt.lock().is_some_and(|doubt| doubt.next_look <= now)
    }

    /// Hands back jobs that the store has leased to us without our knowledge; returns how many. No claim of ours may be
    /// in flight.
    pub(crate) async fn hand_back_unknown(
        &self,
        store: &dyn Store,
        worker: &WorkerId,
        now: Timestamp,
        every: Duration,
    ) -> Result<usize, StoreError> {
        // Whatever the outcome: this runs in the claim loop.
        if let Some(doubt) = &mut *self.doubt.lock() {
            doubt.next_look = now.plus(every);
        }
        let leases = store.held_leases(worker, EVER).await?;
        let unknown: Vec<_> = leases
            .into_iter()
            .filter(|lease| !self.knows(lease))
            .map(|lease| SettleRequest {
                lease,
                settlement: Settlement::HandedBack,
            })
            .collect();
        if !unknown.is_empty() {
            store.settle(&unknown, now).await?;
            tracing::warn!(
                jobs = unknown.len(),
                "the response to a claim was lost; handing its jobs back"
            );
        }
        let mut doubt = self.doubt.lock();
        *doubt = doubt.filter(|doubt| doubt.until > now);
        Ok(unknown.len())
    }
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{Fingerprint, JobState, NewJob, Trigger};
    use tideline_store::sqlite::SqliteStore;
    use tideline_store::{ClaimRequest, JobFilter, JobStore, OperatorStore, WorkerStore};

    use super::*;

    fn job(key: &str) -> NewJob {
        NewJob {
            kind: "k".into(),
            key: key.into(),
            fingerprint: Fingerprint([1; 32]),
            args: "{}".into(),
            due_at: Timestamp(0),
            trigger: Trigger::Manual,
            trace: None,
        }
    }

    #[tokio::test]
    async fn a_claim_whose_answer_was_lost_is_handed_back_and_what_is_held_stays() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let store = SqliteStore::open(&url).await.unwrap();
        let (now, worker) = (Timestamp(1_000), WorkerId("us/1".into()));
        store.heartbeat(&worker, Timestamp(60_000), now).await.unwrap();
        store.enqueue(&[job("known"), job("lost")], now).await.unwrap();
        let request = ClaimRequest {
            worker: worker.clone(),
            kinds: vec!["k".into()],
            hinted: None,
            limit: 2,
        };
        let claimed = store.claim(&request, now).await.unwrap();
        let holding = Holding::default();
        for job in claimed.iter().filter(|job| job.key == "known") {
            let _ = holding.take(job.lease());
        }
        assert!(!holding.wants_a_look(now), "there is no doubt");
        holding.doubt(now);
        assert!(holding.wants_a_look(now));
        let every = Duration::from_secs(1);
        let handed_back = holding.hand_back_unknown(&store, &worker, now, every).await.unwrap();
        assert_eq!(handed_back, 1);
        let jobs = store
            .list_jobs(&JobFilter {
                limit: 10,
                ..JobFilter::default()
            })
            .await
            .unwrap();
        let states: Vec<_> = jobs
            .iter()
            .map(|job| (job.key.as_str(), job.state, job.attempt))
            .collect();
        assert_eq!(
            states,
            [("known", JobState::Running, 1), ("lost", JobState::Waiting, 0)]
        );
        assert!(!holding.wants_a_look(now), "the next look comes later");
        assert!(
            holding.wants_a_look(now.plus(every)),
            "a slow server may do the claim only now"
        );
        let late = now.plus(DOUBT);
        holding.hand_back_unknown(&store, &worker, late, every).await.unwrap();
        assert!(!holding.wants_a_look(late.plus(every)), "the doubt is over");
    }

    #[tokio::test]
    async fn a_lost_lease_cancels_its_attempt_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let store = SqliteStore::open(&url).await.unwrap();
        let (now, worker) = (Timestamp(1_000), WorkerId("us/1".into()));
        store.heartbeat(&worker, Timestamp(60_000), now).await.unwrap();
        store.enqueue(&[job("kept"), job("lost")], now).await.unwrap();
        let request = ClaimRequest {
            worker: worker.clone(),
            kinds: vec!["k".into()],
            hinted: None,
            limit: 2,
        };
        let holding = Holding::default();
        let claimed = store.claim(&request, now).await.unwrap();
        let tokens: Vec<_> = claimed
            .iter()
            .map(|job| (job.key.clone(), job.lease(), holding.take(job.lease())))
            .collect();
        assert_eq!(holding.cancel_lost(&store, &worker, now).await.unwrap(), 0);
        let (_, lease, _) = tokens.iter().find(|(key, ..)| key == "lost").unwrap();
        let taken = SettleRequest {
            lease: *lease,
            settlement: Settlement::HandedBack,
        };
        store.settle(&[taken], now).await.unwrap();
        assert_eq!(holding.cancel_lost(&store, &worker, now).await.unwrap(), 1);
        for (key, _, token) in &tokens {
            assert_eq!(token.is_cancelled(), key == "lost", "{key}");
        }
    }
}
