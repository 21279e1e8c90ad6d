//! Cases: the places of partitions (`parallel_partitions`).

use std::sync::Arc;

use super::*;
use crate::{JobFilter, SourceCommand, Store};
use tideline_core::words::{Commit, JobRecord, JobState, Settlement};

/// All partitions, by row.
async fn partitions(store: &Arc<dyn Store>) -> Vec<JobRecord> {
    let filter = JobFilter {
        kind: Some("ingest".to_owned()),
        limit: 1_000,
        ..Default::default()
    };
    store.list_jobs(&filter).await.unwrap()
}

/// How many partitions have a place: running, or waiting with a due time.
async fn open(store: &Arc<dyn Store>) -> usize {
    let all = partitions(store).await;
    let has_place = |job: &&JobRecord| job.state == JobState::Running || job.due_at.is_some();
    all.iter().filter(has_place).count()
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("p{n:03}")).collect()
}

/// A source with `places` places, whose root partition has revealed `count` children and is done.
async fn revealed(store: &Arc<dyn Store>, places: u32, count: usize) -> Reader {
    let mut root = begin(store, "s", places).await;
    let keys = keys(count);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    root.reveal_and_finish(store, &keys, T0).await;
    root
}

pub async fn children_get_places_in_the_order_of_their_rows(store: Arc<dyn Store>) {
    revealed(&store, 2, 5).await;
    let due = |all: &[JobRecord]| -> Vec<String> {
        all.iter()
            .filter(|job| job.due_at.is_some())
            .map(|job| job.key.clone())
            .collect()
    };
    assert_eq!(due(&partitions(&store).await), ["s/p000", "s/p001"]);
    let claimed = claim_ingest(&store, "w", 10, t(1)).await;
    assert_eq!(claimed.len(), 2, "the others wait for a place");
    let mut first = Reader::new(claimed[0].clone());
    first.write(&store, entities(0, 3, 1), None, t(2)).await;
    first.settle(&store, Settlement::Done, t(2)).await;
    let all = partitions(&store).await;
    assert_eq!(due(&all), ["s/p002"], "the place went to the next one");
    let third = all.iter().find(|job| job.key == "s/p002").unwrap();
    assert_eq!(third.due_at, Some(t(2)), "which is due at once");
}

pub async fn the_root_partition_takes_a_place_itself(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let page = written_with(0, vec![], vec![child("a"), child("b")], vec![], vec![]);
    root.commit(&store, vec![page], Some("1"), T0).await;
    assert_eq!(open(&store).await, 1, "children wait while their parent goes on");
    assert!(claim_ingest(&store, "w", 10, T0).await.is_empty());
    root.settle(&store, Settlement::Done, T0).await;
    assert_eq!(only(claim_ingest(&store, "w", 10, T0).await).key, "s/a");
}

pub async fn a_partition_between_two_bursts_keeps_its_place(store: Arc<dyn Store>) {
    revealed(&store, 1, 2).await;
    for settlement in [
        Settlement::Again { due_at: t(10) },
        Settlement::Postponed {
            due_at: t(10),
            reason: "r".to_owned(),
        },
    ] {
        let first = only(claim_ingest(&store, "w", 10, t(10)).await);
        assert_eq!(first.key, "s/p000");
        Reader::new(first).settle(&store, settlement, t(10)).await;
        assert_eq!(open(&store).await, 1);
    }
}

pub async fn a_partition_on_its_ladder_gives_its_place_to_a_sibling(store: Arc<dyn Store>) {
    revealed(&store, 1, 3).await;
    let retry = |due_at| Settlement::Retry {
        due_at,
        rung: 1,
        error: "500".to_owned(),
    };
    let failing = only(claim_ingest(&store, "w", 10, t(1)).await);
    assert_eq!(failing.key, "s/p000");
    Reader::new(failing.clone()).settle(&store, retry(t(100)), t(1)).await;
    for key in ["s/p001", "s/p002"] {
        let sibling = only(claim_ingest(&store, "w", 10, t(2)).await);
        assert_eq!(sibling.key, key);
        assert_eq!(open(&store).await, 1);
        assert_eq!(job(&store, failing.id).await.due_at, None, "it waits for a place");
        Reader::new(sibling).settle(&store, Settlement::Done, t(2)).await;
    }
    // No other partition wants the place: it gets it back, and runs when its wait is over, not before.
    assert_eq!(job(&store, failing.id).await.due_at, Some(t(100)));
    assert_eq!(store.next_due(t(4)).await.unwrap(), Some(t(100)));
    assert!(claim_ingest(&store, "w", 10, t(99)).await.is_empty());
    let again = only(claim_ingest(&store, "w", 10, t(100)).await);
    assert_eq!((again.id, again.rung), (failing.id, 1));
}

pub async fn a_partition_on_its_ladder_yields_to_one_that_is_revealed_later(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 2).await;
    let page = |number, key: &str| written_with(number, vec![], vec![child(key)], vec![], vec![]);
    root.commit(&store, vec![page(0, "a")], Some("1"), T0).await;
    let failing = only(claim_ingest(&store, "w", 10, T0).await);
    let retry = Settlement::Retry {
        due_at: t(100),
        rung: 1,
        error: "500".to_owned(),
    };
    Reader::new(failing.clone()).settle(&store, retry, T0).await;
    assert_eq!(job(&store, failing.id).await.due_at, Some(t(100)));
    root.commit(&store, vec![page(1, "b")], Some("2"), t(1)).await;
    let later = only(claim_ingest(&store, "w", 10, t(1)).await);
    assert_eq!(later.key, "s/b");
    assert_eq!(open(&store).await, 2);
    // Its wait is over before a place is free: it is due as soon as there is one.
    assert!(claim_ingest(&store, "w", 10, t(150)).await.is_empty());
    Reader::new(later).settle(&store, Settlement::Done, t(160)).await;
    assert_eq!(only(claim_ingest(&store, "w", 10, t(160)).await).id, failing.id);
}

pub async fn a_parked_or_cancelled_partition_leaves_its_place(store: Arc<dyn Store>) {
    revealed(&store, 1, 3).await;
    for (key, settlement) in [
        ("s/p000", Settlement::Parked { error: "e".to_owned() }),
        ("s/p001", Settlement::Cancelled { error: "e".to_owned() }),
        ("s/p002", Settlement::Done),
    ] {
        let job = only(claim_ingest(&store, "w", 10, T0).await);
        assert_eq!(job.key, key);
        Reader::new(job).settle(&store, settlement, T0).await;
    }
    assert_eq!(open(&store).await, 0);
}

pub async fn a_partition_parked_for_killing_its_workers_leaves_its_place(store: Arc<dyn Store>) {
    revealed(&store, 1, 2).await;
    let job = only(claim_ingest(&store, "w", 10, T0).await);
    let policy = tideline_core::rules::RescuePolicy {
        free: 0,
        delay: std::time::Duration::ZERO,
        park_after: 1,
    };
    assert!(only(store.rescue(policy, 10, t(6_000)).await.unwrap().jobs).parked);
    let next = only(claim_ingest(&store, "w", 10, t(6_000)).await);
    assert_ne!(next.id, job.id);
    assert_eq!(next.key, "s/p001");
}

pub async fn more_places_in_the_configuration_open_partitions_at_once(store: Arc<dyn Store>) {
    revealed(&store, 1, 4).await;
    store.sync_sources(&[spec("s", 3)], t(5)).await.unwrap();
    assert_eq!(claim_ingest(&store, "w", 10, t(5)).await.len(), 3);
}

pub async fn places_of_different_sources_are_counted_apart(store: Arc<dyn Store>) {
    store.sync_sources(&[spec("a", 1), spec("b", 2)], T0).await.unwrap();
    assert_eq!(store.start_cycles(10, T0).await.unwrap().len(), 2);
    for job in claim_ingest(&store, "w", 10, T0).await {
        Reader::new(job).reveal_and_finish(&store, &["x", "y", "z"], T0).await;
    }
    let mut keys: Vec<String> = claim_ingest(&store, "w", 10, T0)
        .await
        .into_iter()
        .map(|job| job.key)
        .collect();
    keys.sort();
    assert_eq!(keys, ["a/x", "b/x", "b/y"]);
}

pub async fn a_retried_partition_waits_for_a_place(store: Arc<dyn Store>) {
    revealed(&store, 1, 2).await;
    let first = only(claim_ingest(&store, "w", 10, T0).await);
    let parked = Settlement::Parked { error: "e".to_owned() };
    Reader::new(first.clone()).settle(&store, parked, T0).await;
    let second = only(claim_ingest(&store, "w", 10, T0).await);
    store.retry_job(first.id, T0).await.unwrap();
    assert!(
        claim_ingest(&store, "w", 10, t(1)).await.is_empty(),
        "the one place is taken"
    );
    Reader::new(second).settle(&store, Settlement::Done, t(2)).await;
    assert_eq!(only(claim_ingest(&store, "w", 10, t(2)).await).id, first.id);
}

pub async fn places_are_never_exceeded_however_many_settle_and_reveal_at_once(store: Arc<dyn Store>) {
    const PLACES: u32 = 3;
    revealed(&store, PLACES, 40).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..6 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut finished = 0;
            let mut idle = 0;
            while idle < 50 {
                let claimed = claim_ingest(&store, &format!("w{n}"), 2, t(1)).await;
                idle = if claimed.is_empty() { idle + 1 } else { 0 };
                assert!(
                    open(&store).await <= PLACES as usize,
                    "more partitions are open than allowed"
                );
                for job in claimed {
                    let mut reader = Reader::new(job);
                    let revealed = format!("{}-child", reader.job.key);
                    let children = if reader.job.key.ends_with('0') {
                        vec![child(&revealed)]
                    } else {
                        vec![]
                    };
                    let page = written_with(0, vec![], children, vec![], vec![]);
                    let commit = reader.commit(&store, vec![page], None, t(1)).await;
                    assert!(matches!(commit, Commit::Committed { .. }));
                    reader.settle(&store, Settlement::Done, t(1)).await;
                    finished += 1;
                }
                tokio::task::yield_now().await;
            }
            finished
        });
    }
    let finished: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(finished, 44, "nobody waits for a place for ever");
}

pub async fn a_paused_source_runs_nothing_and_goes_on_where_it_was(store: Arc<dyn Store>) {
    revealed(&store, 2, 3).await;
    store.command_source("s", SourceCommand::Pause, T0).await.unwrap();
    assert!(claim_ingest(&store, "w", 10, t(1)).await.is_empty());
    let hinted = partitions(&store).await.iter().map(|job| (job.id, job.token)).collect();
    let hint = crate::ClaimRequest {
        hinted: Some(hinted),
        ..claim_request("w", &["ingest"], 10)
    };
    assert!(
        store.claim(&hint, t(1)).await.unwrap().is_empty(),
        "a hint does not run it either"
    );
    assert!(store.take_due(10, 0, t(1)).await.unwrap().is_empty(), "nor is one sent");
    store.command_source("s", SourceCommand::Resume, t(2)).await.unwrap();
    assert_eq!(store.take_due(10, 0, t(2)).await.unwrap().len(), 2);
    assert_eq!(claim_ingest(&store, "w", 10, t(2)).await.len(), 2);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_places {
    ($open:path) => {
        $crate::store_conformance_cases!($open, places:
            children_get_places_in_the_order_of_their_rows,
            the_root_partition_takes_a_place_itself,
            a_partition_between_two_bursts_keeps_its_place,
            a_partition_on_its_ladder_gives_its_place_to_a_sibling,
            a_partition_on_its_ladder_yields_to_one_that_is_revealed_later,
            a_parked_or_cancelled_partition_leaves_its_place,
            a_partition_parked_for_killing_its_workers_leaves_its_place,
            more_places_in_the_configuration_open_partitions_at_once,
            places_of_different_sources_are_counted_apart,
            a_retried_partition_waits_for_a_place,
            places_are_never_exceeded_however_many_settle_and_reveal_at_once,
            a_paused_source_runs_nothing_and_goes_on_where_it_was,
        );
    };
}
