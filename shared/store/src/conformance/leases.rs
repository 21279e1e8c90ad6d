//! Cases: heartbeats, rescue, retire.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::{Rescued, Store};
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{ClaimedJob, JobState, Lease, Settled, Settlement, Timestamp};

const POLICY: RescuePolicy = RescuePolicy {
    free: 2,
    delay: Duration::from_millis(700),
    park_after: 4,
};

async fn rescue(store: &Arc<dyn Store>, now: Timestamp) -> Vec<Rescued> {
    store.rescue(POLICY, 100, now).await.unwrap().jobs
}

/// Claims the due job for a worker that dies at once; the next moment at which it can be rescued.
async fn claim_and_die(store: &Arc<dyn Store>, name: &str, now: Timestamp) -> (Lease, Timestamp) {
    let lease = claim_one(store, name, now).await.lease();
    (lease, Timestamp(now.0 + 5_001))
}

pub async fn jobs_of_a_live_worker_are_left_alone(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    assert!(
        rescue(&store, t(5_000)).await.is_empty(),
        "the lease lasts to its last millisecond"
    );
    store.heartbeat(&worker("w"), t(9_000), t(4_000)).await.unwrap();
    assert!(rescue(&store, t(9_000)).await.is_empty());
    assert_eq!(
        settle(&store, lease, Settlement::Done, t(9_000)).await,
        Settled::Settled
    );
}

pub async fn a_look_for_dead_workers_says_when_the_next_lease_ends(store: Arc<dyn Store>) {
    let next_end = async |now| store.rescue(POLICY, 100, now).await.unwrap().next_end;
    assert_eq!(next_end(T0).await, None);
    store.heartbeat(&worker("w"), t(9_000), T0).await.unwrap();
    store.heartbeat(&worker("v"), t(5_000), T0).await.unwrap();
    assert_eq!(next_end(t(5_000)).await, Some(t(5_000)));
    assert_eq!(next_end(t(5_001)).await, Some(t(9_000)));
    store.retire(&worker("w"), t(5_002)).await.unwrap();
    assert_eq!(next_end(t(5_003)).await, None);
}

pub async fn a_heartbeat_never_shortens_a_lease(store: Arc<dyn Store>) {
    store.heartbeat(&worker("w"), t(9_000), T0).await.unwrap();
    store.heartbeat(&worker("w"), t(5_000), t(1)).await.unwrap();
    let workers = store.list_workers().await.unwrap();
    assert_eq!((workers[0].alive_until, workers[0].started_at), (t(9_000), T0));
}

pub async fn jobs_of_a_dead_worker_run_elsewhere_from_where_they_stopped(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let (old, late) = claim_and_die(&store, "w", T0).await;
    assert!(store.checkpoint(old, "5", T0).await.unwrap());
    let rescued = only(rescue(&store, late).await);
    assert_eq!(
        (rescued.job, rescued.worker, rescued.parked),
        (old.job, worker("w"), false)
    );
    let next = claim_one(&store, "w2", late).await;
    assert_eq!((next.id, next.cursor.as_deref()), (old.job, Some("5")));
    assert!(next.token > old.token);
    // The worker was only asleep: whatever it does now, it writes nothing.
    assert!(!store.checkpoint(old, "6", late).await.unwrap());
    assert_eq!(settle(&store, old, Settlement::Done, late).await, Settled::LeaseLost);
    assert_eq!(job(&store, old.job).await.cursor.as_deref(), Some("5"));
}

pub async fn a_rescued_job_cannot_be_settled_even_before_anybody_claims_it(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let (old, late) = claim_and_die(&store, "w", T0).await;
    rescue(&store, late).await;
    assert_eq!(settle(&store, old, Settlement::Done, late).await, Settled::LeaseLost);
    assert_eq!(job(&store, old.job).await.state, JobState::Waiting);
}

pub async fn a_worker_without_a_lease_row_is_dead(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let claimed = store.claim(&claim_request("ghost", &[KIND], 1), T0).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(only(rescue(&store, T0).await).worker, worker("ghost"));
}

pub async fn rescues_in_a_row_wait_longer_and_park_the_job_in_the_end(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let mut now = T0;
    for rescues in 1..=4 {
        let (lease, late) = claim_and_die(&store, &format!("w{rescues}"), now).await;
        let rescued = only(rescue(&store, late).await);
        let row = job(&store, lease.job).await;
        assert_eq!(rescued.parked, rescues == 4, "rescue {rescues}");
        match rescues {
            1 | 2 => assert_eq!((row.state, row.due_at), (JobState::Waiting, Some(late))),
            3 => assert_eq!(
                (row.state, row.due_at),
                (JobState::Waiting, Some(Timestamp(late.0 + 700)))
            ),
            _ => {
                assert_eq!((row.state, row.due_at), (JobState::Parked, None));
                assert!(row.last_error.is_some(), "it says why");
            }
        }
        assert_eq!(row.worker, None);
        now = Timestamp(late.0 + 700);
    }
}

pub async fn a_sign_of_progress_starts_the_count_of_rescues_afresh(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let mut now = T0;
    for n in 0..10 {
        let (lease, late) = claim_and_die(&store, &format!("w{n}"), now).await;
        if n % 2 == 0 {
            assert!(store.checkpoint(lease, "1", now).await.unwrap());
        }
        let rescued = only(rescue(&store, late).await);
        assert!(!rescued.parked, "rescue {n}");
        assert_eq!(
            job(&store, lease.job).await.due_at,
            Some(late),
            "rescue {n} is a free one"
        );
        now = late;
    }
}

pub async fn rescue_takes_no_more_than_its_limit(store: Arc<dyn Store>) {
    let jobs: Vec<_> = (0..10).map(|n| new_job(&format!("{n}"), "1")).collect();
    store.enqueue(&jobs, T0).await.unwrap();
    claim(&store, "w", 10, T0).await;
    assert_eq!(store.rescue(POLICY, 4, t(6_000)).await.unwrap().jobs.len(), 4);
    assert_eq!(store.rescue(POLICY, 100, t(6_000)).await.unwrap().jobs.len(), 6);
    assert!(rescue(&store, t(3_600_000)).await.is_empty());
    let workers = store.list_workers().await.unwrap();
    assert!(workers.is_empty(), "a worker dead for long, without jobs, is forgotten");
}

pub async fn schedulers_that_rescue_at_once_take_each_job_once(store: Arc<dyn Store>) {
    let jobs: Vec<_> = (0..50).map(|n| new_job(&format!("{n}"), "1")).collect();
    store.enqueue(&jobs, T0).await.unwrap();
    claim(&store, "w", 50, T0).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { rescue(&store, t(6_000)).await.len() });
    }
    let first: usize = tasks.join_all().await.into_iter().sum();
    let rest = rescue(&store, t(6_000)).await.len();
    assert_eq!(first + rest, 50);
    let claimed = claim(&store, "w2", 50, t(6_000)).await;
    assert_eq!(claimed.len(), 50, "rescued once, so due at once");
}

pub async fn a_worker_that_retires_hands_everything_back_at_once(store: Arc<dyn Store>) {
    store
        .enqueue(&[new_job("a", "1"), new_job("b", "1")], T0)
        .await
        .unwrap();
    let claimed = claim(&store, "w", 2, T0).await;
    let other = {
        enqueue(&store, new_job("c", "1"), T0).await;
        claim_one(&store, "other", T0).await
    };
    store.retire(&worker("w"), t(10)).await.unwrap();
    for old in &claimed {
        let row = job(&store, old.id).await;
        assert_eq!(
            (row.state, row.due_at, row.attempt, row.worker),
            (JobState::Waiting, Some(t(10)), 0, None)
        );
        assert_eq!(
            settle(&store, old.lease(), Settlement::Done, t(10)).await,
            Settled::LeaseLost
        );
    }
    assert_eq!(
        job(&store, other.id).await.state,
        JobState::Running,
        "of another worker"
    );
    let workers = store.list_workers().await.unwrap();
    assert_eq!(
        workers.iter().map(|row| row.worker.0.as_str()).collect::<Vec<_>>(),
        ["other"]
    );
    let again = claim(&store, "w2", 10, t(10)).await;
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|job| job.attempt == 1), "no attempt was spent");
}

pub async fn a_worker_sees_what_it_holds_although_it_does_not_know(store: Arc<dyn Store>) {
    let jobs: Vec<_> = (0..4).map(|n| new_job(&format!("{n}"), "1")).collect();
    store.enqueue(&jobs, T0).await.unwrap();
    let mine = claim(&store, "w", 2, T0).await;
    claim(&store, "other", 1, T0).await;
    let held = async || -> HashSet<Lease> {
        let leases = store.held_leases(&worker("w"), t(1)).await.unwrap();
        leases.into_iter().collect()
    };
    assert_eq!(held().await, mine.iter().map(ClaimedJob::lease).collect());
    settle(&store, mine[0].lease(), Settlement::Done, t(1)).await;
    assert_eq!(held().await, HashSet::from([mine[1].lease()]));
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_leases {
    ($open:path) => {
        $crate::store_conformance_cases!($open, leases:
            jobs_of_a_live_worker_are_left_alone,
            a_look_for_dead_workers_says_when_the_next_lease_ends,
            a_heartbeat_never_shortens_a_lease,
            jobs_of_a_dead_worker_run_elsewhere_from_where_they_stopped,
            a_rescued_job_cannot_be_settled_even_before_anybody_claims_it,
            a_worker_without_a_lease_row_is_dead,
            rescues_in_a_row_wait_longer_and_park_the_job_in_the_end,
            a_sign_of_progress_starts_the_count_of_rescues_afresh,
            rescue_takes_no_more_than_its_limit,
            schedulers_that_rescue_at_once_take_each_job_once,
            a_worker_that_retires_hands_everything_back_at_once,
            a_worker_sees_what_it_holds_although_it_does_not_know,
        );
    };
}
