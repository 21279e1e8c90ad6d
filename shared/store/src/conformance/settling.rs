//! Cases: checkpoints and settlements.

use std::sync::Arc;

use super::*;
use crate::{SettleRequest, Store};
use tideline_core::words::{CycleEnd, CycleState, JobId, JobState, Lease, NewJob, Settled, Settlement, Token};

pub async fn a_checkpoint_is_kept_for_the_next_attempt(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    assert!(store.checkpoint(lease, "1", T0).await.unwrap());
    assert!(store.checkpoint(lease, "2", T0).await.unwrap());
    settle(&store, lease, Settlement::HandedBack, T0).await;
    let next = claim_one(&store, "w", T0).await;
    assert_eq!(next.cursor.as_deref(), Some("2"));
}

pub async fn a_stale_token_checkpoints_and_settles_nothing(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let old = claim_one(&store, "w", T0).await.lease();
    settle(&store, old, Settlement::HandedBack, T0).await;
    assert!(!store.checkpoint(old, "1", T0).await.unwrap(), "settled");
    let new = claim_one(&store, "w2", T0).await.lease();
    assert!(!store.checkpoint(old, "1", T0).await.unwrap(), "claimed by another");
    for settlement in [
        Settlement::Done,
        Settlement::HandedBack,
        Settlement::Cancelled { error: "e".to_owned() },
    ] {
        assert_eq!(settle(&store, old, settlement, t(1)).await, Settled::LeaseLost);
    }
    let row = job(&store, new.job).await;
    assert_eq!(
        (row.state, row.token, row.cursor, row.last_error),
        (JobState::Running, new.token, None, None)
    );
    let unknown = Lease {
        job: JobId(new.job.0 + 999),
        token: Token(1),
    };
    assert_eq!(settle(&store, unknown, Settlement::Done, T0).await, Settled::LeaseLost);
    assert_eq!(settle(&store, new, Settlement::Done, T0).await, Settled::Settled);
    assert_eq!(
        settle(&store, new, Settlement::Done, T0).await,
        Settled::LeaseLost,
        "an attempt ends once"
    );
}

pub async fn a_batch_of_settlements_is_answered_in_its_order(store: Arc<dyn Store>) {
    let jobs: Vec<NewJob> = (0..100).map(|n| new_job(&format!("{n:03}"), "1")).collect();
    store.enqueue(&jobs, T0).await.unwrap();
    let claimed = claim(&store, "w", 100, T0).await;
    assert_eq!(claimed.len(), 100);
    let mut batch: Vec<SettleRequest> = (claimed.iter().rev().enumerate())
        .map(|(n, job)| {
            let mut lease = job.lease();
            if n % 3 == 0 {
                lease.token = Token(lease.token.0 - 1);
            }
            SettleRequest {
                lease,
                settlement: Settlement::Done,
            }
        })
        .collect();
    // The same lease twice in one batch: one end of one attempt.
    batch.push(SettleRequest {
        settlement: Settlement::HandedBack,
        ..batch[1].clone()
    });
    let answers = store.settle(&batch, T0).await.unwrap();
    for (n, answer) in answers.iter().enumerate().take(100) {
        let expected = if n % 3 == 0 {
            Settled::LeaseLost
        } else {
            Settled::Settled
        };
        assert_eq!(*answer, expected, "settlement {n}");
    }
    assert_eq!(answers[100], Settled::LeaseLost);
    assert_eq!(job(&store, batch[1].lease.job).await.state, JobState::Done);
    assert!(store.settle(&[], T0).await.unwrap().is_empty());
}

pub async fn done_and_again_return_to_attempt_and_rung_zero(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    let retry = Settlement::Retry {
        due_at: t(10),
        rung: 1,
        error: "first".to_owned(),
    };
    settle(&store, lease, retry, T0).await;
    let second = claim_one(&store, "w", t(10)).await;
    assert_eq!((second.attempt, second.rung), (2, 1));
    settle(&store, second.lease(), Settlement::Again { due_at: t(20) }, t(11)).await;
    let row = job(&store, lease.job).await;
    assert_eq!(
        (row.state, row.due_at, row.attempt, row.rung),
        (JobState::Waiting, Some(t(20)), 0, 0)
    );
    assert_eq!((row.worker, row.last_error, row.updated_at), (None, None, t(11)));
    let third = claim_one(&store, "w", t(20)).await;
    assert_eq!(third.attempt, 1);
    settle(&store, third.lease(), Settlement::Done, t(21)).await;
    let row = job(&store, lease.job).await;
    assert_eq!((row.state, row.due_at, row.attempt), (JobState::Done, None, 0));
    assert!(claim(&store, "w", 1, t(1_000_000)).await.is_empty());
}

pub async fn a_retry_climbs_and_keeps_its_error(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    let retry = Settlement::Retry {
        due_at: t(30),
        rung: 3,
        error: "the full text\nof it".to_owned(),
    };
    assert_eq!(settle(&store, lease, retry, T0).await, Settled::Settled);
    let row = job(&store, lease.job).await;
    assert_eq!(
        (row.state, row.due_at, row.attempt, row.rung),
        (JobState::Waiting, Some(t(30)), 1, 3)
    );
    assert_eq!(row.last_error.as_deref(), Some("the full text\nof it"));
    assert!(claim(&store, "w", 1, t(29)).await.is_empty());
}

pub async fn an_error_of_any_text_is_stored_and_holds_up_no_other(store: Arc<dyn Store>) {
    store
        .enqueue(&[new_job("a", "1"), new_job("b", "1")], T0)
        .await
        .unwrap();
    let claimed = claim(&store, "w", 2, T0).await;
    let text = "before\0after \u{1F600}\u{200B}\n\x1b[31m";
    let ends = [Settlement::Parked { error: text.to_owned() }, Settlement::Done];
    let requests: Vec<_> = claimed
        .iter()
        .zip(ends)
        .map(|(job, settlement)| SettleRequest {
            lease: job.lease(),
            settlement,
        })
        .collect();
    assert_eq!(
        store.settle(&requests, t(1)).await.unwrap(),
        [Settled::Settled, Settled::Settled]
    );
    let error = job(&store, claimed[0].id).await.last_error.unwrap();
    assert!(
        error.starts_with("before") && error.ends_with("after \u{1F600}\u{200B}\n\x1b[31m"),
        "{error:?}"
    );
    assert_eq!(job(&store, claimed[1].id).await.state, JobState::Done);
    let reader = begin(&store, "s", 1).await;
    store.block_source(reader.source(), text).await.unwrap();
    let end = CycleEnd {
        state: CycleState::Incomplete,
        reason: Some(text.to_owned()),
        next_cycle_at: None,
    };
    assert!(
        store
            .end_cycle(reader.source(), reader.cycle(), &end, t(2))
            .await
            .unwrap()
    );
}

pub async fn postponing_and_handing_back_spend_no_attempt_and_keep_the_rung(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    let retry = Settlement::Retry {
        due_at: T0,
        rung: 1,
        error: "e".to_owned(),
    };
    settle(&store, lease, retry, T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    let postponed = Settlement::Postponed {
        due_at: t(50),
        reason: "the source is held back".to_owned(),
    };
    settle(&store, lease, postponed, T0).await;
    let row = job(&store, lease.job).await;
    assert_eq!((row.attempt, row.rung, row.due_at), (1, 1, Some(t(50))));
    assert_eq!(row.last_error.as_deref(), Some("the source is held back"));
    let lease = claim_one(&store, "w", t(50)).await.lease();
    settle(&store, lease, Settlement::HandedBack, t(60)).await;
    let row = job(&store, lease.job).await;
    assert_eq!(
        (row.state, row.attempt, row.rung, row.due_at),
        (JobState::Waiting, 1, 1, Some(t(60)))
    );
}

pub async fn a_parked_or_cancelled_job_runs_no_more_by_itself(store: Arc<dyn Store>) {
    for (key, settlement, state) in [
        ("a", Settlement::Parked { error: "p".to_owned() }, JobState::Parked),
        (
            "b",
            Settlement::Cancelled { error: "c".to_owned() },
            JobState::Cancelled,
        ),
    ] {
        enqueue(&store, new_job(key, "1"), T0).await;
        let lease = claim_one(&store, "w", T0).await.lease();
        settle(&store, lease, settlement, T0).await;
        let row = job(&store, lease.job).await;
        assert_eq!((row.state, row.due_at, row.worker), (state, None, None));
        assert_eq!(row.last_error.map(|error| error.len()), Some(1));
    }
    assert!(claim(&store, "w", 10, t(1_000_000)).await.is_empty());
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_settling {
    ($open:path) => {
        $crate::store_conformance_cases!($open, settling:
            a_checkpoint_is_kept_for_the_next_attempt,
            a_stale_token_checkpoints_and_settles_nothing,
            a_batch_of_settlements_is_answered_in_its_order,
            done_and_again_return_to_attempt_and_rung_zero,
            a_retry_climbs_and_keeps_its_error,
            an_error_of_any_text_is_stored_and_holds_up_no_other,
            postponing_and_handing_back_spend_no_attempt_and_keep_the_rung,
            a_parked_or_cancelled_job_runs_no_more_by_itself,
        );
    };
}
