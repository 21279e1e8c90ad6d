//! Cases: starting and ending cycles.

use std::sync::Arc;

use super::sweep::end;
use super::{Reader, T0, add_source, begin, claim_ingest, entities, job, job_of, only, source, spec, start_cycle, t};
use crate::{CycleTrace, SourceCommand, Store};
use tideline_core::words::{Commit, CycleNumber, CycleState, JobState, Settled, Settlement, Token, Trigger};

pub async fn a_started_cycle_s_root_counts_as_hinted_at(store: Arc<dyn Store>) {
    add_source(&store, "s", 1).await;
    let started = start_cycle(&store, T0).await;
    assert!(
        store.take_due(10, 1_000, t(999)).await.unwrap().is_empty(),
        "whoever started it did it"
    );
    let lost = only(store.take_due(10, 1_000, t(1_000)).await.unwrap());
    assert_eq!((lost.job, lost.token, lost.resent), (started.root, started.token, true));
}

pub async fn a_new_source_starts_its_first_cycle_at_once(store: Arc<dyn Store>) {
    let id = add_source(&store, "s", 1).await;
    assert_eq!(source(&store, "s").await.requested, Some(Trigger::Start));
    let started = start_cycle(&store, t(5)).await;
    assert_eq!((started.source, started.source_name.as_str()), (id, "s"));
    assert_eq!(
        (started.number, started.trigger, started.due_at),
        (CycleNumber(1), Trigger::Start, None)
    );
    let record = source(&store, "s").await;
    assert_eq!(
        (record.cycle, record.requested, record.next_cycle_at),
        (CycleNumber(1), None, None)
    );
    let root = only(claim_ingest(&store, "w", 10, t(5)).await);
    assert_eq!(
        (root.id, root.key.as_str(), root.trigger),
        (started.root, "s", Trigger::Start)
    );
    assert_eq!((root.source, root.cycle), (Some(id), Some(CycleNumber(1))));
    assert!(root.token > started.token);
    let args: serde_json::Value = serde_json::from_str(&root.args).unwrap();
    assert_eq!(args, serde_json::json!({ "partition": "s", "args": {} }));
}

pub async fn a_cycle_is_started_once_however_many_schedulers_try(store: Arc<dyn Store>) {
    let specs: Vec<_> = (0..6).map(|n| spec(&format!("s{n}"), 1)).collect();
    store.sync_sources(&specs, T0).await.unwrap();
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.start_cycles(10, T0).await.unwrap() })
        })
        .collect();
    let mut started = vec![];
    for task in tries {
        started.extend(task.await.unwrap().into_iter().map(|cycle| cycle.source));
    }
    started.extend(
        store
            .start_cycles(10, T0)
            .await
            .unwrap()
            .into_iter()
            .map(|cycle| cycle.source),
    );
    started.sort_unstable();
    started.dedup();
    assert_eq!(started.len(), 6);
    assert_eq!(claim_ingest(&store, "w", 100, T0).await.len(), 6);
    for name in 0..6 {
        assert_eq!(source(&store, &format!("s{name}")).await.cycle, CycleNumber(1));
    }
}

pub async fn no_second_cycle_starts_while_one_runs(store: Arc<dyn Store>) {
    let root = begin(&store, "s", 1).await;
    store
        .command_source("s", SourceCommand::Refresh(Trigger::Manual), t(1))
        .await
        .unwrap();
    assert!(store.start_cycles(10, t(2)).await.unwrap().is_empty());
    let over = end(CycleState::Cancelled, t(100));
    assert!(store.end_cycle(root.source(), root.cycle(), &over, t(3)).await.unwrap());
    // What was asked for meanwhile starts now, before the rest is over.
    let started = start_cycle(&store, t(4)).await;
    assert_eq!(
        (started.number, started.trigger, started.due_at),
        (CycleNumber(2), Trigger::Manual, None)
    );
}

pub async fn a_rest_is_waited_for(store: Arc<dyn Store>) {
    let root = begin(&store, "s", 1).await;
    let over = end(CycleState::Incomplete, t(100));
    assert!(store.end_cycle(root.source(), root.cycle(), &over, t(3)).await.unwrap());
    assert_eq!(source(&store, "s").await.next_cycle_at, Some(t(100)));
    assert_eq!(store.next_due(t(4)).await.unwrap(), Some(t(100)));
    assert!(store.start_cycles(10, t(99)).await.unwrap().is_empty());
    let started = start_cycle(&store, t(107)).await;
    assert_eq!((started.trigger, started.due_at), (Trigger::Schedule, Some(t(100))));
}

pub async fn the_end_of_a_rest_is_moved_only_from_where_it_was_seen(store: Arc<dyn Store>) {
    let root = begin(&store, "s", 1).await;
    let (id, first) = (root.source(), root.cycle());
    assert_eq!(source(&store, "s").await.cycle_ended_at, None);
    assert!(
        !store.move_next_cycle(id, first, None, Some(t(9))).await.unwrap(),
        "it runs"
    );
    assert_eq!(source(&store, "s").await.next_cycle_at, None);
    let over = end(CycleState::Incomplete, t(100));
    assert!(store.end_cycle(id, first, &over, t(3)).await.unwrap());
    assert_eq!(source(&store, "s").await.cycle_ended_at, Some(t(3)));

    assert!(
        store
            .move_next_cycle(id, first, Some(t(100)), Some(t(50)))
            .await
            .unwrap()
    );
    // Another scheduler that saw the same moment comes too late.
    assert!(
        !store
            .move_next_cycle(id, first, Some(t(100)), Some(t(70)))
            .await
            .unwrap()
    );
    assert!(!store.move_next_cycle(id, first, None, Some(t(70))).await.unwrap());
    assert_eq!(source(&store, "s").await.next_cycle_at, Some(t(50)));
    assert_eq!(store.next_due(t(4)).await.unwrap(), Some(t(50)));
    assert!(store.move_next_cycle(id, first, Some(t(50)), None).await.unwrap());
    assert!(store.start_cycles(10, t(1_000)).await.unwrap().is_empty());
    assert!(store.move_next_cycle(id, first, None, Some(t(60))).await.unwrap());
    assert_eq!(start_cycle(&store, t(60)).await.number, CycleNumber(2));

    // The rest that it was about is over.
    assert!(!store.move_next_cycle(id, first, None, Some(t(80))).await.unwrap());
    assert_eq!(source(&store, "s").await.next_cycle_at, None);
}

pub async fn a_paused_source_starts_nothing(store: Arc<dyn Store>) {
    add_source(&store, "s", 1).await;
    store.command_source("s", SourceCommand::Pause, t(1)).await.unwrap();
    assert!(store.start_cycles(10, t(2)).await.unwrap().is_empty());
    store.command_source("s", SourceCommand::Resume, t(3)).await.unwrap();
    start_cycle(&store, t(4)).await;
}

pub async fn a_cycle_is_finished_when_its_last_partition_is(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 2).await;
    root.write(&store, entities(0, 3, 1), Some("1"), t(1)).await;
    assert!(store.list_finished_cycles(10).await.unwrap().is_empty());
    root.reveal_and_finish(&store, &["a"], t(2)).await;
    assert!(store.list_finished_cycles(10).await.unwrap().is_empty());
    let mut child = Reader::new(only(claim_ingest(&store, "w", 10, t(3)).await));
    child.write(&store, entities(3, 2, 1), None, t(4)).await;
    assert!(store.list_finished_cycles(10).await.unwrap().is_empty());
    child.settle(&store, Settlement::Done, t(5)).await;
    let finished = only(store.list_finished_cycles(10).await.unwrap());
    assert_eq!(
        (finished.source, finished.number, finished.error),
        (root.source(), root.cycle(), None)
    );
    let totals = finished.totals;
    assert_eq!((totals.partitions, totals.partitions_done, totals.pages), (2, 2, 3));
    assert_eq!((totals.entities, totals.added), (5, 5));
    let sweeping = end(CycleState::Sweeping, t(6));
    assert!(
        store
            .end_cycle(root.source(), root.cycle(), &sweeping, t(6))
            .await
            .unwrap()
    );
    assert!(store.list_finished_cycles(10).await.unwrap().is_empty());
    let listed = only(store.list_sweeping_cycles(10).await.unwrap());
    assert_eq!((listed.number, listed.totals.entities), (root.cycle(), 5));
}

pub async fn a_cycle_that_a_partition_gave_up_is_finished_at_once(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 3).await;
    root.reveal_and_finish(&store, &["a", "b"], t(1)).await;
    let children = claim_ingest(&store, "w", 10, t(2)).await;
    let (given_up, mut running) = (Reader::new(children[0].clone()), Reader::new(children[1].clone()));
    let error = "the last rung failed".to_owned();
    given_up
        .settle(&store, Settlement::Cancelled { error: error.clone() }, t(3))
        .await;
    let finished = only(store.list_finished_cycles(10).await.unwrap());
    assert_eq!(finished.error, Some(error));
    assert_eq!(
        (finished.totals.partitions_done, finished.totals.partitions_cancelled),
        (1, 1)
    );
    let over = end(CycleState::Cancelled, t(4));
    assert!(store.end_cycle(root.source(), root.cycle(), &over, t(4)).await.unwrap());
    // The one that still runs is fenced off.
    let record = job(&store, running.job.id).await;
    assert_eq!((record.state, record.worker), (JobState::Cancelled, None));
    assert_eq!(record.token, Token(running.job.token.0 + 1));
    let page = super::written(0, entities(0, 1, 1));
    assert_eq!(running.commit(&store, vec![page], None, t(5)).await, Commit::LeaseLost);
    assert_eq!(running.settle(&store, Settlement::Done, t(6)).await, Settled::LeaseLost);
    let cycle = only(store.list_cycles(root.source(), 10).await.unwrap());
    assert_eq!((cycle.state, cycle.ended_at), (CycleState::Cancelled, Some(t(4))));
    assert!(!store.end_cycle(root.source(), root.cycle(), &over, t(7)).await.unwrap());
}

pub async fn a_cycle_with_a_parked_partition_is_finished_and_shows_the_error(store: Arc<dyn Store>) {
    let root = begin(&store, "s", 1).await;
    root.settle(
        &store,
        Settlement::Parked {
            error: "not JSON".to_owned(),
        },
        t(1),
    )
    .await;
    let finished = only(store.list_finished_cycles(10).await.unwrap());
    assert_eq!(
        (finished.totals.partitions_parked, finished.error.as_deref()),
        (1, Some("not JSON"))
    );
    let mut over = end(CycleState::Incomplete, t(9));
    over.reason = Some("1 partition is parked".to_owned());
    assert!(store.end_cycle(root.source(), root.cycle(), &over, t(2)).await.unwrap());
    let cycle = only(store.list_cycles(root.source(), 10).await.unwrap());
    assert_eq!((cycle.state, cycle.reason), (CycleState::Incomplete, over.reason));
    assert_eq!((cycle.totals.partitions, cycle.totals.partitions_parked), (1, 1));
}

pub async fn a_cycle_goes_from_bursting_to_sweeping_to_complete_only(store: Arc<dyn Store>) {
    let root = begin(&store, "s", 1).await;
    let (id, cycle) = (root.source(), root.cycle());
    let complete = end(CycleState::Complete, t(100));
    assert!(!store.end_cycle(id, cycle, &complete, t(1)).await.unwrap());
    assert_eq!(job(&store, root.job.id).await.state, JobState::Running);
    root.settle(&store, Settlement::Done, t(2)).await;
    assert!(
        store
            .end_cycle(id, cycle, &end(CycleState::Sweeping, t(3)), t(3))
            .await
            .unwrap()
    );
    assert_eq!(only(store.list_cycles(id, 10).await.unwrap()).ended_at, None);
    assert!(store.end_cycle(id, cycle, &complete, t(4)).await.unwrap());
    assert!(!store.end_cycle(id, cycle, &complete, t(5)).await.unwrap());
    let other = CycleNumber(cycle.0 + 1);
    assert!(!store.end_cycle(id, other, &complete, t(6)).await.unwrap());
    let record = only(store.list_cycles(id, 10).await.unwrap());
    assert_eq!(
        (record.state, record.ended_at, record.started_at),
        (CycleState::Complete, Some(t(4)), T0)
    );
}

pub async fn each_end_of_a_cycle_is_done_by_one_scheduler(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 1, 1), None, t(1)).await;
    root.settle(&store, Settlement::Done, t(1)).await;
    for state in [CycleState::Sweeping, CycleState::Complete] {
        let tries: Vec<_> = (0..6)
            .map(|_| {
                let (store, id, cycle) = (Arc::clone(&store), root.source(), root.cycle());
                tokio::spawn(async move { store.end_cycle(id, cycle, &end(state, t(9)), t(2)).await.unwrap() })
            })
            .collect();
        let mut done = 0;
        for task in tries {
            done += usize::from(task.await.unwrap());
        }
        assert_eq!(done, 1, "{state:?}");
    }
}

pub async fn the_next_cycle_begins_without_cursors_and_with_higher_tokens(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 1, 1), Some("1"), t(1)).await;
    let over = end(CycleState::Cancelled, t(2));
    assert!(store.end_cycle(root.source(), root.cycle(), &over, t(2)).await.unwrap());
    let started = start_cycle(&store, t(3)).await;
    assert_eq!((started.root, started.number), (root.job.id, CycleNumber(2)));
    assert!(started.token > root.job.token);
    let second = only(claim_ingest(&store, "w", 10, t(3)).await);
    assert_eq!(
        (second.cursor.as_deref(), second.progress.as_deref(), second.attempt),
        (None, None, 1)
    );
    assert!(second.token > started.token);
    // The old burst wakes up now.
    let page = super::written(1, entities(1, 1, 1));
    assert_eq!(root.commit(&store, vec![page], None, t(4)).await, Commit::LeaseLost);
}

pub async fn the_trace_of_a_start_goes_to_every_partition_of_its_cycle_only(store: Arc<dyn Store>) {
    let specs = ["a", "b"].map(|name| spec(name, 1));
    store.sync_sources(&specs, T0).await.unwrap();
    let started = store.start_cycles(10, T0).await.unwrap();
    let trace_of = |name: &str| format!("00-{name}-1-01");
    let traces: Vec<_> = (started.iter())
        .map(|cycle| CycleTrace {
            root: cycle.root,
            number: cycle.number,
            trace: trace_of(&cycle.source_name),
        })
        .collect();
    store.trace_cycles(&traces).await.unwrap();
    store.trace_cycles(&[]).await.unwrap();

    let roots = claim_ingest(&store, "w", 10, t(1)).await;
    assert_eq!(roots.len(), 2);
    for root in roots {
        let (name, trace) = (root.key.clone(), Some(trace_of(&root.key)));
        assert_eq!(root.trace, trace);
        Reader::new(root).reveal_and_finish(&store, &["child"], t(2)).await;
        assert_eq!(job_of(&store, "ingest", &format!("{name}/child")).await.trace, trace);
    }

    // The next cycle has no trace until it gets its own; that of the old one comes too late.
    let over = end(CycleState::Cancelled, t(10));
    let a = &started[0];
    assert!(store.end_cycle(a.source, a.number, &over, t(3)).await.unwrap());
    let again = start_cycle(&store, t(10)).await;
    assert_eq!(again.root, a.root);
    store.trace_cycles(&traces).await.unwrap();
    assert_eq!(job(&store, a.root).await.trace, None);
    let child = &format!("{}/child", a.source_name);
    let claimed = claim_ingest(&store, "w", 10, t(11)).await;
    let root = claimed.into_iter().find(|job| job.id == a.root).unwrap();
    Reader::new(root).reveal_and_finish(&store, &["child"], t(12)).await;
    assert_eq!(job_of(&store, "ingest", child).await.trace, None, "nor has its child");
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_cycles {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            cycles: a_new_source_starts_its_first_cycle_at_once,
            a_started_cycle_s_root_counts_as_hinted_at,
            a_cycle_is_started_once_however_many_schedulers_try,
            no_second_cycle_starts_while_one_runs,
            a_rest_is_waited_for,
            the_end_of_a_rest_is_moved_only_from_where_it_was_seen,
            a_paused_source_starts_nothing,
            a_cycle_is_finished_when_its_last_partition_is,
            a_cycle_that_a_partition_gave_up_is_finished_at_once,
            a_cycle_with_a_parked_partition_is_finished_and_shows_the_error,
            a_cycle_goes_from_bursting_to_sweeping_to_complete_only,
            each_end_of_a_cycle_is_done_by_one_scheduler,
            the_next_cycle_begins_without_cursors_and_with_higher_tokens,
            the_trace_of_a_start_goes_to_every_partition_of_its_cycle_only,
        );
    };
}
