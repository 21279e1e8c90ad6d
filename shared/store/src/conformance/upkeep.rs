//! Cases: pruning, and timestamps written by a clock that ran ahead.

use std::sync::Arc;
use std::time::Duration;

use super::deltas::seen;
use super::ingest::next_cycle;
use super::*;
use crate::{PrunedJobs, SourceCommand, Store};
use tideline_core::words::{DeltaOutcome, JobId, Settlement, Timestamp, Trigger};

const TWO_YEARS: i64 = 2 * 365 * 86_400_000;

async fn ask(store: &Arc<dyn Store>, command: SourceCommand, now: Timestamp) {
    store.command_source("s", command, now).await.unwrap();
}

pub async fn jobs_that_ended_long_ago_are_forgotten_and_no_others(store: Arc<dyn Store>) {
    for key in ["old", "new", "waiting"] {
        enqueue(&store, new_job(key, "{}"), T0).await;
    }
    let claimed = claim(&store, "w", 2, T0).await;
    assert_eq!((claimed[0].key.as_str(), claimed[1].key.as_str()), ("old", "new"));
    settle(&store, claimed[0].lease(), Settlement::Done, t(10)).await;
    settle(&store, claimed[1].lease(), Settlement::Done, t(20)).await;
    let reader = begin(&store, "s", 1).await;
    let pruned = store.prune_jobs(JobId(0), 100, t(20)).await.unwrap();
    assert_eq!(pruned.pruned, 1);
    assert_eq!(pruned.last, Some(reader.job.id), "it looked at all of them");
    let PrunedJobs { pruned, last } = store.prune_jobs(reader.job.id, 100, t(20)).await.unwrap();
    assert_eq!((pruned, last), (0, None));
    // A forgotten job may come again, one that is remembered is unchanged.
    let again = store
        .enqueue(&[new_job("old", "{}"), new_job("new", "{}")], t(30))
        .await
        .unwrap();
    assert!(again[0].claimable && !again[1].claimable, "{again:?}");
}

pub async fn a_pass_over_the_jobs_goes_on_where_it_was(store: Arc<dyn Store>) {
    for key in ["1", "2", "3"] {
        enqueue(&store, new_job(key, "{}"), T0).await;
        let lease = claim_one(&store, "w", T0).await.lease();
        settle(&store, lease, Settlement::Done, t(1)).await;
    }
    let (mut after, mut pruned) = (JobId(0), vec![]);
    loop {
        let step = store.prune_jobs(after, 2, t(2)).await.unwrap();
        pruned.push(step.pruned);
        let Some(last) = step.last else { break };
        after = last;
    }
    assert_eq!(pruned, [2, 1, 0]);
}

pub async fn old_cycles_are_forgotten_but_for_the_newest_ten(store: Arc<dyn Store>) {
    let id = add_source(&store, "s", 1).await;
    for number in 1..=13 {
        if number > 1 {
            ask(&store, SourceCommand::Refresh(Trigger::Manual), t(number)).await;
        }
        start_cycle(&store, t(number)).await;
        ask(&store, SourceCommand::Cancel, t(number)).await;
    }
    assert_eq!(store.prune_cycles(100, t(2)).await.unwrap(), 1, "one ended before");
    assert_eq!(store.prune_cycles(1, t(1_000)).await.unwrap(), 1, "the limit holds");
    assert_eq!(store.prune_cycles(100, t(1_000)).await.unwrap(), 1);
    let cycles = store.list_cycles(id, 100).await.unwrap();
    assert_eq!(cycles.len(), 10);
    assert_eq!(cycles[0].number.0, 13);
}

pub async fn a_clock_that_ran_years_ahead_and_was_set_back_holds_nothing_up(store: Arc<dyn Store>) {
    let ahead = t(TWO_YEARS);
    let reader = begin(&store, "s", 1).await;
    enqueue(&store, new_job("for later", "{}"), T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    store
        .heartbeat(&worker("w"), ahead.plus(Duration::from_secs(5)), ahead)
        .await
        .unwrap();
    let wait = Settlement::Again {
        due_at: ahead.plus(Duration::from_secs(30)),
    };
    reader.settle(&store, wait, ahead).await;
    settle(&store, lease, Settlement::Again { due_at: ahead }, t(1)).await;
    store.hold_back(reader.source(), ahead).await.unwrap();
    // The clock is set back.
    assert_eq!(store.forget_future(t(10)).await.unwrap(), 3);
    assert_eq!(store.forget_future(t(10)).await.unwrap(), 0);
    let workers = store.list_workers().await.unwrap();
    assert!(workers[0].alive_until <= t(300_010), "{workers:?}");
    assert_eq!(claim_ingest(&store, "w", 2, t(10)).await.len(), 1);
    assert!(
        claim(&store, "w", 1, t(10)).await.is_empty(),
        "what was put off on purpose waits"
    );
}

pub async fn a_clock_that_was_set_back_gives_no_partition_a_place(store: Arc<dyn Store>) {
    let ahead = t(TWO_YEARS);
    let mut root = begin(&store, "s", 1).await;
    root.reveal_and_finish(&store, &["a", "b", "c"], ahead).await;
    let first = only(claim_ingest(&store, "w", 10, ahead).await);
    // It leaves its place for its ladder.
    let retry = Settlement::Retry {
        due_at: ahead.plus(Duration::from_secs(60)),
        rung: 1,
        error: "no".to_owned(),
    };
    settle(&store, first.lease(), retry, ahead).await;
    assert!(store.forget_future(t(10)).await.unwrap() > 0);
    let mut keys = vec![];
    for number in 0..3 {
        let claimed = claim_ingest(&store, "w", 10, t(10)).await;
        assert_eq!(claimed.len(), 1, "one place: {claimed:?}");
        keys.push(claimed[0].key.clone());
        let mut reader = Reader::new(claimed[0].clone());
        reader.write(&store, entities(number, 1, 1), None, t(10)).await;
        reader.settle(&store, Settlement::Done, t(10)).await;
    }
    keys.sort();
    assert_eq!(keys, ["s/a", "s/b", "s/c"], "and none waits on its ladder for years");
}

pub async fn a_clock_that_was_set_back_makes_no_delta_come_too_late(store: Arc<dyn Store>) {
    let ahead = t(TWO_YEARS);
    let mut root = begin(&store, "s", 1).await;
    let source = root.source();
    store.expect_deltas(source).await.unwrap();
    let page = read_at(written(0, entities(0, 2, 1)), ahead);
    root.commit(&store, vec![page], None, ahead).await;
    let delta = |number, version, began| seen(entities(number, 1, version).remove(0), began);
    store.write_deltas(source, &[delta(1, 2, ahead)], ahead).await.unwrap();
    root.settle(&store, Settlement::Done, ahead).await;
    let root = next_cycle(&store, &root, TWO_YEARS + 10).await;
    store.forget_future(t(10)).await.unwrap();
    let deltas = [delta(0, 3, t(20)), delta(1, 3, t(20))];
    let outcomes = store.write_deltas(source, &deltas, t(21)).await.unwrap();
    assert_eq!(outcomes, [DeltaOutcome::Modified; 2], "{:?}", root.job);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_upkeep {
    ($open:path) => {
        $crate::store_conformance_cases!($open, upkeep:
            jobs_that_ended_long_ago_are_forgotten_and_no_others,
            a_pass_over_the_jobs_goes_on_where_it_was,
            old_cycles_are_forgotten_but_for_the_newest_ten,
            a_clock_that_ran_years_ahead_and_was_set_back_holds_nothing_up,
            a_clock_that_was_set_back_gives_no_partition_a_place,
            a_clock_that_was_set_back_makes_no_delta_come_too_late,
        );
    };
}
