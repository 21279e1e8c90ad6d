//! Cases: enqueueing over a row that exists. The last wanted state wins, no update is lost.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::Store;
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{EnqueueOutcome, JobId, JobState, NewJob, Settled, Settlement};

/// The same key with newer args, due at `t(100)`.
fn newer() -> NewJob {
    NewJob {
        due_at: t(100),
        ..new_job("a", "newer")
    }
}

/// A job that failed once, with a cursor, and then got into its state by this settlement.
async fn settled_as(store: &Arc<dyn Store>, settlement: Settlement) -> JobId {
    let job = enqueue(store, new_job("a", "older"), T0).await.job;
    let lease = claim_one(store, "w", T0).await.lease();
    let retry = Settlement::Retry {
        due_at: T0,
        rung: 1,
        error: "e".to_owned(),
    };
    settle(store, lease, retry, T0).await;
    let lease = claim_one(store, "w", T0).await.lease();
    assert!(store.checkpoint(lease, "5", T0).await.unwrap());
    assert_eq!(settle(store, lease, settlement, T0).await, Settled::Settled);
    job
}

pub async fn the_same_fingerprint_changes_nothing_in_any_state(store: Arc<dyn Store>) {
    let id = enqueue(&store, new_job("a", "1"), T0).await.job;
    let same = NewJob {
        due_at: t(999),
        trace: Some("other".to_owned()),
        ..new_job("a", "1")
    };
    let mut endings = vec![
        Settlement::Cancelled { error: "e".to_owned() },
        Settlement::Parked { error: "e".to_owned() },
        Settlement::Done,
        Settlement::Again { due_at: t(5) },
    ];
    while let Some(ending) = endings.pop() {
        let lease = only(claim(&store, "w", 1, t(5)).await).lease();
        for settled in [false, true] {
            if settled {
                settle(&store, lease, ending.clone(), t(5)).await;
            }
            let before = job(&store, id).await;
            let answer = enqueue(&store, same.clone(), t(6)).await;
            assert_eq!((answer.job, answer.token), (id, before.token));
            assert_eq!((answer.outcome, answer.claimable), (EnqueueOutcome::Unchanged, false));
            let after = job(&store, id).await;
            assert_eq!(
                serde_json::to_value(&before).unwrap(),
                serde_json::to_value(&after).unwrap()
            );
        }
        if !matches!(ending, Settlement::Again { .. } | Settlement::Done) {
            store.retry_job(id, t(5)).await.unwrap();
        } else if ending == Settlement::Done {
            // Another fingerprint, and back: due again.
            enqueue(&store, new_job("a", "2"), t(5)).await;
            enqueue(&store, new_job("a", "1"), t(5)).await;
        }
    }
}

pub async fn newer_args_take_the_place_of_older_ones_in_every_state_but_running(store: Arc<dyn Store>) {
    for settlement in [
        Settlement::Again { due_at: t(7) },
        Settlement::Done,
        Settlement::Parked { error: "p".to_owned() },
        Settlement::Cancelled { error: "c".to_owned() },
    ] {
        let id = settled_as(&store, settlement.clone()).await;
        let answer = enqueue(&store, newer(), t(10)).await;
        assert_eq!(
            (answer.job, answer.outcome, answer.claimable),
            (id, EnqueueOutcome::Superseded, true)
        );
        let row = job(&store, id).await;
        assert_eq!(
            (row.state, row.due_at, row.token),
            (JobState::Waiting, Some(t(100)), answer.token),
            "{settlement:?}"
        );
        assert_eq!((row.args.as_str(), row.attempt, row.rung), ("newer", 0, 0));
        assert_eq!(
            (row.cursor, row.progress),
            (None, None),
            "the old cursor means nothing for new args"
        );
        let claimed = claim_one(&store, "w", t(100)).await;
        assert_eq!((claimed.args.as_str(), claimed.attempt), ("newer", 1));
        settle(&store, claimed.lease(), Settlement::Done, t(100)).await;
        // Back to the start for the next state.
        enqueue(&store, new_job("a", "between"), T0).await;
        let lease = claim_one(&store, "w", T0).await.lease();
        settle(&store, lease, Settlement::Done, T0).await;
    }
}

pub async fn superseding_while_it_runs_runs_it_again_with_the_newest_args(store: Arc<dyn Store>) {
    for settlement in [
        Settlement::Done,
        Settlement::Again { due_at: t(900) },
        Settlement::Retry {
            due_at: t(900),
            rung: 2,
            error: "e".to_owned(),
        },
        Settlement::Postponed {
            due_at: t(900),
            reason: "r".to_owned(),
        },
        Settlement::Parked { error: "e".to_owned() },
        Settlement::Cancelled { error: "e".to_owned() },
        Settlement::HandedBack,
    ] {
        enqueue(&store, new_job("a", "older"), T0).await;
        let running = claim_one(&store, "w", T0).await;
        for (args, outcome) in [
            ("old", EnqueueOutcome::Superseded),
            ("newest", EnqueueOutcome::Superseded),
            ("newest", EnqueueOutcome::Unchanged),
        ] {
            let answer = enqueue(&store, new_job("a", args), t(1)).await;
            assert_eq!((answer.outcome, answer.claimable), (outcome, false));
        }
        assert_eq!(
            job(&store, running.id).await.state,
            JobState::Running,
            "the attempt goes on"
        );
        assert!(store.checkpoint(running.lease(), "9", t(1)).await.unwrap());
        assert!(claim(&store, "w2", 1, t(1)).await.is_empty());
        assert_eq!(
            settle(&store, running.lease(), settlement.clone(), t(2)).await,
            Settled::RunsAgain,
            "{settlement:?}"
        );
        let row = job(&store, running.id).await;
        assert_eq!(
            (row.state, row.due_at, row.attempt, row.rung),
            (JobState::Waiting, Some(t(2)), 0, 0)
        );
        let next = claim_one(&store, "w2", t(2)).await;
        assert_eq!(
            (next.args.as_str(), next.fingerprint),
            ("newest", new_job("a", "newest").fingerprint)
        );
        assert_eq!(
            (next.cursor.as_deref(), next.progress.as_deref()),
            (None, None),
            "both were for the old args"
        );
        assert_eq!(
            settle(&store, next.lease(), Settlement::Done, t(3)).await,
            Settled::Settled,
            "once is enough"
        );
    }
}

pub async fn a_superseded_job_of_a_dead_worker_starts_afresh(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "older"), T0).await;
    let running = claim_one(&store, "w", T0).await;
    store.checkpoint(running.lease(), "9", T0).await.unwrap();
    enqueue(&store, new_job("a", "newer"), T0).await;
    let policy = RescuePolicy {
        free: 2,
        delay: Duration::from_secs(1),
        park_after: 5,
    };
    assert_eq!(store.rescue(policy, 10, t(6_000)).await.unwrap().jobs.len(), 1);
    let next = claim_one(&store, "w2", t(6_000)).await;
    assert_eq!(
        (next.args.as_str(), &next.cursor, &next.progress),
        ("newer", &None, &None)
    );
    assert_eq!(
        settle(&store, next.lease(), Settlement::Done, t(6_000)).await,
        Settled::Settled
    );
}

pub async fn a_superseded_job_of_a_retired_worker_starts_afresh(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "older"), T0).await;
    let running = claim_one(&store, "w", T0).await;
    store.checkpoint(running.lease(), "9", T0).await.unwrap();
    enqueue(&store, new_job("a", "newer"), T0).await;
    store.retire(&worker("w"), t(1)).await.unwrap();
    let next = claim_one(&store, "w2", t(1)).await;
    assert_eq!(
        (next.args.as_str(), &next.cursor, &next.progress),
        ("newer", &None, &None)
    );
    assert_eq!(
        settle(&store, next.lease(), Settlement::Done, t(1)).await,
        Settled::Settled
    );
}

pub async fn a_job_superseded_while_it_ran_waits_until_the_newest_wish_is_due(store: Arc<dyn Store>) {
    let policy = RescuePolicy {
        free: 2,
        delay: Duration::from_secs(1),
        park_after: 5,
    };
    for ended_by in ["settlement", "handing back", "rescue", "retirement"] {
        enqueue(&store, new_job("a", "older"), T0).await;
        let running = claim_one(&store, ended_by, T0).await;
        let wish = NewJob {
            due_at: t(90_000),
            ..newer()
        };
        enqueue(&store, wish, t(1)).await;
        match ended_by {
            "settlement" => drop(settle(&store, running.lease(), Settlement::Done, t(1)).await),
            "handing back" => drop(settle(&store, running.lease(), Settlement::HandedBack, t(1)).await),
            "rescue" => assert_eq!(store.rescue(policy, 10, t(6_000)).await.unwrap().jobs.len(), 1),
            _ => store.retire(&worker(ended_by), t(1)).await.unwrap(),
        }
        let row = job(&store, running.id).await;
        assert_eq!(
            (row.state, row.due_at),
            (JobState::Waiting, Some(t(90_000))),
            "{ended_by}"
        );
        assert!(claim(&store, "later", 1, t(89_999)).await.is_empty(), "{ended_by}");
        let next = claim_one(&store, "later", t(90_000)).await;
        settle(&store, next.lease(), Settlement::Done, t(90_000)).await;
    }
}

pub async fn no_update_is_lost_between_enqueueing_and_settling(store: Arc<dyn Store>) {
    let producer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..100 {
                enqueue(&store, new_job("a", &format!("{n}")), T0).await;
            }
        })
    };
    let mut last = String::new();
    let deadline = std::time::Duration::from_secs(60);
    tokio::time::timeout(deadline, async {
        while last != "99" {
            for job in claim(&store, "w", 1, T0).await {
                last = job.args.clone();
                settle(&store, job.lease(), Settlement::Done, T0).await;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the newest args run in the end");
    producer.await.unwrap();
    let row = job_of(&store, KIND, "a").await;
    assert_eq!((row.args.as_str(), row.state), ("99", JobState::Done));
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_supersede {
    ($open:path) => {
        $crate::store_conformance_cases!($open, supersede:
            the_same_fingerprint_changes_nothing_in_any_state,
            newer_args_take_the_place_of_older_ones_in_every_state_but_running,
            superseding_while_it_runs_runs_it_again_with_the_newest_args,
            a_superseded_job_of_a_dead_worker_starts_afresh,
            a_superseded_job_of_a_retired_worker_starts_afresh,
            a_job_superseded_while_it_ran_waits_until_the_newest_wish_is_due,
            no_update_is_lost_between_enqueueing_and_settling,
        );
    };
}
