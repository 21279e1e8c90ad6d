//! Cases: operators' views and acts.

use std::sync::Arc;

use super::*;
use crate::{JobFilter, SourceCommand, Store, StoreError};
use tideline_core::words::{
    CycleEnd, CycleState, EntityRef, JobId, JobState, MalformedItem, NewJob, REFRESH_KIND, Sequence, Settlement,
    Trigger,
};

async fn keys(store: &Arc<dyn Store>, filter: JobFilter) -> Vec<String> {
    let jobs = store.list_jobs(&filter).await.unwrap();
    jobs.into_iter().map(|job| job.key).collect()
}

pub async fn jobs_are_listed_by_what_was_asked_page_by_page(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 2).await;
    root.reveal_and_finish(&store, &["x", "y"], T0).await;
    store
        .enqueue(&[new_job("a", "1"), new_job("b", "1")], T0)
        .await
        .unwrap();
    let all = JobFilter {
        limit: 100,
        ..Default::default()
    };
    assert_eq!(keys(&store, all.clone()).await, ["s", "s/x", "s/y", "a", "b"]);
    let kind = JobFilter {
        kind: Some(KIND.to_owned()),
        ..all.clone()
    };
    assert_eq!(keys(&store, kind).await, ["a", "b"]);
    let state = JobFilter {
        state: Some(JobState::Done),
        ..all.clone()
    };
    assert_eq!(keys(&store, state).await, ["s"]);
    let of_source = JobFilter {
        source: Some("s".to_owned()),
        ..all.clone()
    };
    assert_eq!(keys(&store, of_source).await, ["s", "s/x", "s/y"]);
    let key = JobFilter {
        key: Some("b".to_owned()),
        ..all.clone()
    };
    assert_eq!(keys(&store, key).await, ["b"]);
    let none = JobFilter {
        source: Some("t".to_owned()),
        ..all.clone()
    };
    assert!(keys(&store, none).await.is_empty());
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = JobFilter {
            after,
            limit: 2,
            ..all.clone()
        };
        let jobs = store.list_jobs(&page).await.unwrap();
        let Some(last) = jobs.last() else { break };
        after = Some(last.id);
        seen.extend(jobs.into_iter().map(|job| job.key));
    }
    assert_eq!(seen, ["s", "s/x", "s/y", "a", "b"]);
    // What an event asked for is read from the source too.
    for source in ["s", "so"] {
        let job = NewJob {
            kind: REFRESH_KIND.to_owned(),
            ..new_job(&format!("{source}/item"), "1")
        };
        store.enqueue(&[job], T0).await.unwrap();
    }
    for state in [None, Some(JobState::Waiting)] {
        let of_source = JobFilter {
            kind: Some(REFRESH_KIND.to_owned()),
            source: Some("s".to_owned()),
            state,
            ..all.clone()
        };
        assert_eq!(keys(&store, of_source).await, ["s/item"], "{state:?}");
    }
}

pub async fn a_job_shows_who_holds_it_and_until_when(store: Arc<dyn Store>) {
    let job = NewJob {
        trace: Some("00-1-2-01".to_owned()),
        ..new_job("a", r#"{"x":1}"#)
    };
    enqueue(&store, job, t(-5)).await;
    let before = job_of(&store, KIND, "a").await;
    assert_eq!(
        (before.state, before.due_at, before.worker),
        (JobState::Waiting, Some(T0), None)
    );
    assert_eq!(
        (before.leased_until, before.created_at, before.attempt),
        (None, t(-5), 0)
    );
    let claimed = claim_one(&store, "w", t(1)).await;
    let row = job_of(&store, KIND, "a").await;
    assert_eq!(
        (row.state, row.worker, row.leased_until),
        (JobState::Running, Some(worker("w")), Some(t(5_001)))
    );
    assert_eq!(
        (row.token, row.attempt, row.trigger),
        (claimed.token, 1, Trigger::Manual)
    );
    assert_eq!(
        (row.args.as_str(), row.trace.as_deref()),
        (r#"{"x":1}"#, Some("00-1-2-01"))
    );
    assert_eq!((row.source, row.cycle, row.updated_at), (None, None, t(1)));
}

pub async fn a_partition_shows_its_source_cycle_and_args(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let row = job_of(&store, "ingest", "s").await;
    assert_eq!((row.source.as_deref(), row.cycle), (Some("s"), Some(root.cycle())));
    assert_eq!(json(&row.args), serde_json::json!({"partition": "s", "args": {}}));
    root.reveal_and_finish(&store, &["x"], T0).await;
    let row = job_of(&store, "ingest", "s/x").await;
    assert_eq!(
        json(&row.args),
        serde_json::json!({"partition": "x", "args": {"of": "x"}})
    );
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

pub async fn a_retried_job_is_due_now_on_rung_zero(store: Arc<dyn Store>) {
    for settlement in [
        Settlement::Retry {
            due_at: t(90_000),
            rung: 2,
            error: "e".to_owned(),
        },
        Settlement::Parked { error: "e".to_owned() },
        Settlement::Cancelled { error: "e".to_owned() },
    ] {
        enqueue(&store, new_job("a", "1"), T0).await;
        let lease = only(claim(&store, "w", 1, T0).await).lease();
        assert!(store.checkpoint(lease, "7", T0).await.unwrap());
        settle(&store, lease, settlement, T0).await;
        store.retry_job(lease.job, t(3)).await.unwrap();
        let row = job(&store, lease.job).await;
        assert_eq!((row.state, row.due_at, row.rung), (JobState::Waiting, Some(t(3)), 0));
        let claimed = claim_one(&store, "w", t(3)).await;
        assert_eq!(
            (claimed.attempt, claimed.cursor.as_deref()),
            (1, Some("7")),
            "it goes on where it was"
        );
        settle(&store, claimed.lease(), Settlement::Again { due_at: T0 }, T0).await;
    }
}

pub async fn only_a_job_that_waits_or_gave_up_can_be_retried(store: Arc<dyn Store>) {
    let answer = store.retry_job(JobId(12_345), T0).await;
    assert!(
        matches!(answer, Err(StoreError::NotFound { what: "job", .. })),
        "{answer:?}"
    );
    enqueue(&store, new_job("a", "1"), T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    let running = store.retry_job(lease.job, T0).await;
    assert!(matches!(running, Err(StoreError::Refused(_))), "{running:?}");
    settle(&store, lease, Settlement::Done, T0).await;
    let done = store.retry_job(lease.job, T0).await;
    assert!(matches!(done, Err(StoreError::Refused(_))), "{done:?}");
}

pub async fn a_partition_of_an_ended_cycle_cannot_be_retried(store: Arc<dyn Store>) {
    let reader = begin(&store, "s", 1).await;
    reader
        .settle(&store, Settlement::Parked { error: "e".to_owned() }, T0)
        .await;
    let end = CycleEnd {
        state: CycleState::Incomplete,
        reason: None,
        next_cycle_at: None,
    };
    assert!(
        store
            .end_cycle(reader.source(), reader.cycle(), &end, T0)
            .await
            .unwrap()
    );
    let answer = store.retry_job(reader.job.id, T0).await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    assert_eq!(job(&store, reader.job.id).await.state, JobState::Parked);
}

pub async fn cycles_are_listed_newest_first_with_live_totals(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "s", 1).await;
    reader.write(&store, entities(0, 3, 1), Some("1"), t(1)).await;
    store.command_source("s", SourceCommand::Cancel, t(2)).await.unwrap();
    store
        .command_source("s", SourceCommand::Refresh(Trigger::Manual), t(2))
        .await
        .unwrap();
    start_cycle(&store, t(3)).await;
    let mut reader = Reader::new(only(claim_ingest(&store, "w", 1, t(3)).await));
    reader.write(&store, entities(0, 2, 1), Some("1"), t(3)).await;
    let cycles = store.list_cycles(reader.source(), 10).await.unwrap();
    assert_eq!(cycles.iter().map(|cycle| cycle.number.0).collect::<Vec<_>>(), [2, 1]);
    let live = &cycles[0];
    assert_eq!(
        (live.state, live.trigger, live.started_at),
        (CycleState::Bursting, Trigger::Manual, t(3))
    );
    assert_eq!(
        (live.totals.entities, live.totals.unchanged, live.totals.pages),
        (2, 2, 1)
    );
    assert_eq!(
        (live.ended_at, live.totals.partitions, live.totals.partitions_done),
        (None, 1, 0)
    );
    assert_eq!(
        (cycles[1].state, cycles[1].ended_at),
        (CycleState::Cancelled, Some(t(2)))
    );
    assert_eq!((cycles[1].totals.added, cycles[1].totals.partitions_cancelled), (3, 1));
    assert_eq!(store.list_cycles(reader.source(), 1).await.unwrap().len(), 1);
}

pub async fn malformed_items_are_listed_newest_first(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "s", 1).await;
    let item = |n: u32, reference: Option<&str>| MalformedItem {
        reference: reference.map(|text| text.parse::<EntityRef>().unwrap()),
        error: format!("wrong {n}"),
        sample: "{\"é\"".to_owned(),
    };
    let items = vec![item(1, None), item(2, Some("component:default/x"))];
    let page = written_with(0, vec![], vec![], vec![], items.clone());
    reader.commit(&store, vec![page], None, t(4)).await;
    let listed = store.list_malformed(reader.source(), 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|row| row.item.clone()).rev().collect::<Vec<_>>(),
        items
    );
    let first = &listed[0];
    assert_eq!(
        (first.source.as_str(), first.partition.as_str(), first.page),
        ("s", "s", 0)
    );
    assert_eq!((first.cycle, first.seen_at), (reader.cycle(), t(4)));
    assert_eq!(store.list_malformed(reader.source(), 1).await.unwrap().len(), 1);
}

pub async fn workers_are_listed_with_what_they_run(store: Arc<dyn Store>) {
    store
        .enqueue(&[new_job("a", "1"), new_job("b", "1")], T0)
        .await
        .unwrap();
    claim(&store, "w2", 2, T0).await;
    store.heartbeat(&worker("w1"), t(9), t(1)).await.unwrap();
    let workers = store.list_workers().await.unwrap();
    assert_eq!(workers.len(), 2);
    assert_eq!((workers[0].worker.clone(), workers[0].running), (worker("w1"), 0));
    assert_eq!((workers[0].alive_until, workers[0].started_at), (t(9), t(1)));
    assert_eq!((workers[1].worker.clone(), workers[1].running), (worker("w2"), 2));
}

pub async fn the_stats_count_what_waits_runs_and_needs_a_person(store: Arc<dyn Store>) {
    assert_eq!(store.stats(T0).await.unwrap(), crate::StoreStats::default());
    let later = NewJob {
        due_at: t(1_000),
        ..new_job("later", "1")
    };
    let jobs = [new_job("a", "1"), new_job("b", "1"), new_job("c", "1"), later];
    store.enqueue(&jobs, T0).await.unwrap();
    let claimed = claim(&store, "w", 2, T0).await;
    settle(
        &store,
        claimed[0].lease(),
        Settlement::Parked { error: "e".to_owned() },
        T0,
    )
    .await;
    let mut reader = begin(&store, "s", 1).await;
    reader.write(&store, entities(0, 4, 1), Some("1"), T0).await;
    let stats = store.stats(t(5)).await.unwrap();
    assert_eq!(
        (stats.due, stats.oldest_due_at, stats.running, stats.parked),
        (1, Some(T0), 2, 1)
    );
    assert_eq!((stats.held_sweeps, stats.last_sequence), (0, Sequence(4)));
    assert_eq!(store.stats(t(1_000)).await.unwrap().due, 2);
}

pub async fn a_ping_finds_the_store_in_order(store: Arc<dyn Store>) {
    store.ping().await.unwrap();
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_operators {
    ($open:path) => {
        $crate::store_conformance_cases!($open, operators:
            jobs_are_listed_by_what_was_asked_page_by_page,
            a_job_shows_who_holds_it_and_until_when,
            a_partition_shows_its_source_cycle_and_args,
            a_retried_job_is_due_now_on_rung_zero,
            only_a_job_that_waits_or_gave_up_can_be_retried,
            a_partition_of_an_ended_cycle_cannot_be_retried,
            cycles_are_listed_newest_first_with_live_totals,
            malformed_items_are_listed_newest_first,
            workers_are_listed_with_what_they_run,
            the_stats_count_what_waits_runs_and_needs_a_person,
            a_ping_finds_the_store_in_order,
        );
    };
}
