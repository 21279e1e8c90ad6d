//! Cases: enqueue, claim, due jobs.

use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::{ClaimRequest, StoreError};
use tideline_core::words::{EnqueueOutcome, JobId, NewJob, Settlement, Token, Trigger};

pub async fn an_enqueued_job_is_claimed_with_all_it_was_given(store: Arc<dyn Store>) {
    let job = NewJob {
        trace: Some("00-1-2-01".to_owned()),
        trigger: Trigger::Webhook,
        ..new_job("a", r#"{"x":"é\n"}"#)
    };
    let enqueued = enqueue(&store, job.clone(), T0).await;
    assert_eq!(enqueued.outcome, EnqueueOutcome::Inserted);
    assert!(enqueued.claimable);
    let claimed = claim_one(&store, "w", t(7)).await;
    assert_eq!(
        (claimed.id, claimed.kind.as_str(), claimed.key.as_str()),
        (enqueued.job, KIND, "a")
    );
    assert_eq!((claimed.args, claimed.fingerprint), (job.args, job.fingerprint));
    assert_eq!((claimed.trigger, claimed.trace), (Trigger::Webhook, job.trace));
    assert_eq!((claimed.attempt, claimed.rung, claimed.due_at), (1, 0, T0));
    assert_eq!(
        (claimed.cursor, claimed.progress, claimed.source, claimed.cycle),
        (None, None, None, None)
    );
    assert!(claimed.token > enqueued.token, "each claim raises the token");
}

pub async fn a_batch_is_answered_in_its_order(store: Arc<dyn Store>) {
    let jobs: Vec<NewJob> = (0..1_000)
        .rev()
        .map(|n| new_job(&format!("{n}"), &format!("{n}")))
        .collect();
    let first = store.enqueue(&jobs, T0).await.unwrap();
    assert!(
        first
            .iter()
            .all(|answer| answer.outcome == EnqueueOutcome::Inserted && answer.claimable)
    );
    let mut again = jobs.clone();
    again.reverse();
    let second = store.enqueue(&again, T0).await.unwrap();
    for (place, answer) in second.iter().enumerate() {
        assert_eq!(answer.job, first[999 - place].job);
        assert_eq!(answer.outcome, EnqueueOutcome::Unchanged);
        assert!(!answer.claimable);
    }
    assert_eq!(job(&store, first[3].job).await.key, "996");
    assert!(store.enqueue(&[], T0).await.unwrap().is_empty());
}

pub async fn a_batch_that_breaks_a_rule_is_refused_as_a_whole(store: Arc<dyn Store>) {
    let twice = [new_job("a", "1"), new_job("a", "2")];
    let long = [new_job("b", "1"), new_job(&"k".repeat(513), "1")];
    let partition = [NewJob {
        kind: "ingest".to_owned(),
        ..new_job("c", "{}")
    }];
    let many: Vec<NewJob> = (0..1_001).map(|n| new_job(&format!("{n}"), "1")).collect();
    for batch in [&twice[..], &long, &partition, &many] {
        let refused = store.enqueue(batch, T0).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
    assert!(claim(&store, "w", 10, T0).await.is_empty());
}

pub async fn a_job_runs_when_it_is_due_and_not_before(store: Arc<dyn Store>) {
    let later = NewJob {
        due_at: t(500),
        ..new_job("a", "1")
    };
    enqueue(&store, later, T0).await;
    assert!(claim(&store, "w", 1, t(499)).await.is_empty());
    assert_eq!(claim(&store, "w", 1, t(500)).await.len(), 1);
}

pub async fn a_claim_takes_what_has_been_due_longest_up_to_its_limit(store: Arc<dyn Store>) {
    for (key, due) in [("c", 30), ("a", 10), ("b", 20), ("d", 40)] {
        let job = NewJob {
            due_at: t(due),
            ..new_job(key, "1")
        };
        enqueue(&store, job, T0).await;
    }
    let keys = |jobs: Vec<tideline_core::words::ClaimedJob>| jobs.into_iter().map(|job| job.key).collect::<Vec<_>>();
    assert_eq!(keys(claim(&store, "w", 2, t(100)).await), ["a", "b"]);
    assert_eq!(keys(claim(&store, "w", 9, t(100)).await), ["c", "d"]);
}

pub async fn a_claim_takes_only_kinds_that_the_worker_knows(store: Arc<dyn Store>) {
    enqueue(&store, new_job("a", "1"), T0).await;
    let other = claim_request("w", &["other", "more"], 10);
    assert!(store.claim(&other, T0).await.unwrap().is_empty());
    let none = claim_request("w", &[], 10);
    assert!(store.claim(&none, T0).await.unwrap().is_empty());
    let both = claim_request("w", &["other", KIND], 10);
    assert_eq!(store.claim(&both, T0).await.unwrap().len(), 1);
}

pub async fn a_hint_claims_its_jobs_and_no_others(store: Arc<dyn Store>) {
    let a = enqueue(&store, new_job("a", "1"), T0).await;
    let b = enqueue(&store, new_job("b", "1"), T0).await;
    let hint = ClaimRequest {
        hinted: Some(vec![(b.job, b.token), (JobId(b.job.0 + 1_000), Token(0))]),
        ..claim_request("w", &[KIND], 10)
    };
    assert_eq!(only(store.claim(&hint, T0).await.unwrap()).id, b.job);
    assert_eq!(claim_one(&store, "w", T0).await.id, a.job);
}

pub async fn a_hint_with_a_stale_token_claims_nothing(store: Arc<dyn Store>) {
    let a = enqueue(&store, new_job("a", "1"), T0).await;
    let claimed = claim_one(&store, "w", T0).await;
    settle(&store, claimed.lease(), Settlement::Again { due_at: T0 }, T0).await;
    let stale = ClaimRequest {
        hinted: Some(vec![(a.job, a.token)]),
        ..claim_request("w", &[KIND], 10)
    };
    assert!(store.claim(&stale, T0).await.unwrap().is_empty());
    let fresh = ClaimRequest {
        hinted: Some(vec![(a.job, claimed.token)]),
        ..stale
    };
    assert_eq!(store.claim(&fresh, T0).await.unwrap().len(), 1);
    assert!(
        store.claim(&fresh, T0).await.unwrap().is_empty(),
        "a doubled hint claims once"
    );
}

pub async fn a_hint_does_not_make_a_job_due_or_fit_another_kind(store: Arc<dyn Store>) {
    let job = NewJob {
        due_at: t(500),
        ..new_job("a", "1")
    };
    let a = enqueue(&store, job, T0).await;
    let hinted = Some(vec![(a.job, a.token)]);
    let hint = ClaimRequest {
        hinted: hinted.clone(),
        ..claim_request("w", &[KIND], 10)
    };
    assert!(store.claim(&hint, T0).await.unwrap().is_empty());
    let other = ClaimRequest {
        hinted,
        ..claim_request("w", &["other"], 10)
    };
    assert!(store.claim(&other, t(500)).await.unwrap().is_empty());
    assert_eq!(store.claim(&hint, t(500)).await.unwrap().len(), 1);
}

pub async fn many_workers_that_claim_at_once_never_get_the_same_job(store: Arc<dyn Store>) {
    let jobs: Vec<NewJob> = (0..200).map(|n| new_job(&format!("{n}"), "1")).collect();
    store.enqueue(&jobs, T0).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = claim(&store, &format!("w{n}"), 7, T0).await;
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed.into_iter().map(|job| job.id));
            }
        });
    }
    let all: Vec<JobId> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<JobId> = all.iter().copied().collect();
    assert_eq!(all.len(), distinct.len(), "a job was claimed twice");
    // Who skips jobs that another claim is just taking may find none for a moment; they are there for the next one.
    let rest = claim(&store, "last", 200, T0).await;
    assert_eq!(all.len() + rest.len(), 200);
    assert!(rest.iter().all(|job| !distinct.contains(&job.id)));
}

pub async fn a_due_job_is_hinted_once_per_resend_time(store: Arc<dyn Store>) {
    let soon = NewJob {
        due_at: t(1),
        ..new_job("a", "1")
    };
    let a = enqueue(&store, soon, T0).await;
    let later = NewJob {
        due_at: t(10_000),
        ..new_job("b", "1")
    };
    enqueue(&store, later, T0).await;
    let first = only(store.take_due(10, 1_000, t(1)).await.unwrap());
    assert_eq!((first.job, first.token, first.kind.as_str()), (a.job, a.token, KIND));
    assert_eq!((first.due_at, first.resent), (t(1), false));
    assert!(store.take_due(10, 1_000, t(900)).await.unwrap().is_empty());
    assert!(store.take_due(10, 1_000, t(1_000)).await.unwrap().is_empty());
    let second = only(store.take_due(10, 1_000, t(1_001)).await.unwrap());
    assert_eq!((second.job, second.resent), (a.job, true));
    assert!(store.take_due(10, 1_000, t(1_500)).await.unwrap().is_empty());
    let claimed = claim_one(&store, "w", t(1_500)).await;
    assert!(
        store.take_due(10, 0, t(1_501)).await.unwrap().is_empty(),
        "a running job needs no hint"
    );
    settle(
        &store,
        claimed.lease(),
        Settlement::Again { due_at: t(1_502) },
        t(1_502),
    )
    .await;
    let third = only(store.take_due(10, 1_000, t(1_502)).await.unwrap());
    assert_eq!(
        (third.token, third.resent),
        (claimed.token, false),
        "never hinted at this token"
    );
}

pub async fn a_job_that_is_enqueued_as_due_counts_as_hinted_at(store: Arc<dyn Store>) {
    let job = enqueue(&store, new_job("a", "1"), T0).await;
    assert!(
        store.take_due(10, 1_000, t(999)).await.unwrap().is_empty(),
        "the producer did it"
    );
    let lost = only(store.take_due(10, 1_000, t(1_000)).await.unwrap());
    assert_eq!((lost.job, lost.resent), (job.job, true), "but nobody heard");
    enqueue(&store, new_job("a", "2"), t(1_500)).await;
    assert!(store.take_due(10, 1_000, t(2_499)).await.unwrap().is_empty());
    let claimed = claim_one(&store, "w", t(2_500)).await;
    enqueue(&store, new_job("a", "3"), t(2_600)).await;
    settle(&store, claimed.lease(), Settlement::Done, t(2_700)).await;
    let again = only(store.take_due(10, 1_000, t(2_700)).await.unwrap());
    assert_eq!(
        (again.job, again.resent),
        (job.job, false),
        "superseded while it ran: nobody hinted at it yet"
    );
}

pub async fn schedulers_that_take_due_jobs_at_once_share_them(store: Arc<dyn Store>) {
    let jobs: Vec<NewJob> = (0..100).map(|n| new_job(&format!("{n}"), "1")).collect();
    store.enqueue(&jobs, t(-1)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut mine = Vec::new();
            for _ in 0..5 {
                mine.extend(store.take_due(10, 1_000, T0).await.unwrap());
            }
            mine
        });
    }
    let mut all: Vec<JobId> = (tasks.join_all().await.into_iter().flatten())
        .map(|due| due.job)
        .collect();
    all.extend(store.take_due(100, 1_000, T0).await.unwrap().iter().map(|due| due.job));
    assert_eq!(all.len(), 100);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 100);
}

pub async fn the_next_due_time_is_the_nearest_one_to_come(store: Arc<dyn Store>) {
    assert_eq!(store.next_due(T0).await.unwrap(), None);
    for (key, due) in [("past", 0), ("far", 900), ("near", 300)] {
        let job = NewJob {
            due_at: t(due),
            ..new_job(key, "1")
        };
        enqueue(&store, job, T0).await;
    }
    assert_eq!(store.next_due(t(1)).await.unwrap(), Some(t(300)));
    assert_eq!(store.next_due(t(300)).await.unwrap(), Some(t(900)));
    assert_eq!(store.next_due(t(900)).await.unwrap(), None);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_jobs {
    ($open:path) => {
        $crate::store_conformance_cases!($open, jobs:
            an_enqueued_job_is_claimed_with_all_it_was_given,
            a_batch_is_answered_in_its_order,
            a_batch_that_breaks_a_rule_is_refused_as_a_whole,
            a_job_runs_when_it_is_due_and_not_before,
            a_claim_takes_what_has_been_due_longest_up_to_its_limit,
            a_claim_takes_only_kinds_that_the_worker_knows,
            a_hint_claims_its_jobs_and_no_others,
            a_hint_with_a_stale_token_claims_nothing,
            a_hint_does_not_make_a_job_due_or_fit_another_kind,
            many_workers_that_claim_at_once_never_get_the_same_job,
            a_due_job_is_hinted_once_per_resend_time,
            a_job_that_is_enqueued_as_due_counts_as_hinted_at,
            schedulers_that_take_due_jobs_at_once_share_them,
            the_next_due_time_is_the_nearest_one_to_come,
        );
    };
}
