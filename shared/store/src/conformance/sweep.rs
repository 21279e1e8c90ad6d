//! Cases: misses and the sweep.

use std::sync::Arc;

use super::ingest::{catalog, last_sequence};
use super::{
    Reader, begin, changes_after, claim_ingest, entities, entity, only, source, start_cycle, t, touched, written,
    written_with,
};
use crate::{SourceCommand, Store};
use tideline_core::rules::key_hash;
use tideline_core::words::{ChangeKind, CycleEnd, CycleState, Entity, Sequence, Settlement, SweepPlan, Timestamp};

/// An end of a cycle in this state; the next one starts at once.
pub(super) fn end(state: CycleState, now: Timestamp) -> CycleEnd {
    CycleEnd {
        state,
        reason: None,
        next_cycle_at: (state != CycleState::Sweeping).then_some(now),
    }
}

/// Moves the cycle on to sweeping and plans its sweep.
pub(super) async fn plan(store: &Arc<dyn Store>, root: &Reader, now: Timestamp, confirm: u32) -> SweepPlan {
    let sweeping = end(CycleState::Sweeping, now);
    assert!(
        store
            .end_cycle(root.source(), root.cycle(), &sweeping, now)
            .await
            .unwrap()
    );
    let planned = store.plan_sweep(root.source(), root.cycle(), confirm).await.unwrap();
    planned.expect("the cycle sweeps")
}

/// Sweeps to the end and completes the cycle; returns the number of deleted entities.
pub(super) async fn sweep(store: &Arc<dyn Store>, root: &Reader, now: Timestamp, confirm: u32) -> u64 {
    let mut removed = 0;
    loop {
        let step = store.sweep(root.source(), root.cycle(), confirm, 2, now).await.unwrap();
        assert!(step <= 2);
        removed += step;
        if step == 0 {
            break;
        }
    }
    let complete = end(CycleState::Complete, now);
    assert!(
        store
            .end_cycle(root.source(), root.cycle(), &complete, now)
            .await
            .unwrap()
    );
    removed
}

/// Starts the next cycle and claims its root.
pub(super) async fn next(store: &Arc<dyn Store>, at: i64) -> Reader {
    start_cycle(store, t(at)).await;
    Reader::new(only(claim_ingest(store, "w", 1, t(at)).await))
}

/// Writes these pages as the whole cycle.
pub(super) async fn read(store: &Arc<dyn Store>, root: &mut Reader, pages: Vec<Vec<Entity>>, at: i64) {
    let last = pages.len() - 1;
    for (number, page) in pages.into_iter().enumerate() {
        let cursor = (number < last).then_some("1");
        root.write(store, page, cursor, t(at)).await;
    }
    root.settle(store, Settlement::Done, t(at)).await;
}

pub async fn what_cycles_added_since_the_candidates_were_last_seen_is_counted_apart(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 4, 1)], 1).await;
    plan(&store, &root, t(2), 2).await;
    sweep(&store, &root, t(2), 2).await;
    // Three are gone, and three are new.
    let mut root = next(&store, 10).await;
    read(&store, &mut root, vec![entities(0, 1, 1), entities(10, 3, 1)], 11).await;
    let planned = plan(&store, &root, t(12), 1).await;
    assert_eq!((planned.owned, planned.candidates, planned.fresh), (7, 3, 3));
    assert_eq!(planned.owned_before(), 4);
    let planned = store.plan_sweep(root.source(), root.cycle(), 2).await.unwrap().unwrap();
    assert_eq!(planned.candidates, 0, "one cycle without them is not enough");
    sweep(&store, &root, t(12), 2).await;
    // One more is new when they are missed again.
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![entities(0, 1, 1), entities(10, 4, 1)], 21).await;
    let planned = plan(&store, &root, t(22), 2).await;
    assert_eq!((planned.owned, planned.candidates, planned.fresh), (8, 3, 4));
}

pub async fn while_a_sweep_is_held_what_is_new_stays_new_however_many_cycles_pass(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 4, 1)], 1).await;
    plan(&store, &root, t(2), 1).await;
    sweep(&store, &root, t(2), 1).await;
    // All four are gone; others take their place, and more come in each cycle.
    for (at, more) in [(10, 20), (20, 21), (30, 22), (40, 23)] {
        let mut root = next(&store, at).await;
        read(&store, &mut root, vec![entities(10, more, 1)], at).await;
        let planned = plan(&store, &root, t(at + 1), 1).await;
        assert_eq!((planned.candidates, planned.owned_before()), (4, 4), "at {at}");
        let (id, cycle) = (root.source(), root.cycle());
        let held = store.hold_sweep(id, cycle, planned, "all are gone", Some(t(at + 5)), t(at + 1));
        assert!(held.await.unwrap());
    }
}

pub async fn what_a_complete_cycle_did_not_see_is_removed(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 4, 1), entities(4, 4, 1)], 1).await;
    assert_eq!(plan(&store, &root, t(2), 1).await.candidates, 0);
    assert_eq!(sweep(&store, &root, t(2), 1).await, 0);
    // Entity 1 goes from the first page, 7 from the second.
    let mut root = next(&store, 10).await;
    let mut first = entities(0, 4, 1);
    first.remove(1);
    read(&store, &mut root, vec![first, entities(4, 3, 1)], 11).await;
    let planned = plan(&store, &root, t(12), 1).await;
    assert_eq!(
        (planned.owned, planned.marked, planned.candidates, planned.approved),
        (8, 6, 2, None)
    );
    assert_eq!(
        store.plan_sweep(root.source(), root.cycle(), 1).await.unwrap(),
        Some(planned)
    );
    assert_eq!(sweep(&store, &root, t(13), 1).await, 2);
    assert_eq!(catalog(&store).await.len(), 6);
    assert_eq!(source(&store, "s").await.entities, 6);
    let changes = changes_after(&store, 8, 10).await;
    let mut gone: Vec<_> = changes.iter().map(|c| c.reference.as_str()).collect();
    gone.sort_unstable();
    assert_eq!(gone, ["component:default/c0000001", "component:default/c0000007"]);
    for change in &changes {
        assert_eq!(
            (change.change, change.body.as_deref(), change.changed_at),
            (ChangeKind::Removed, None, t(13))
        );
    }
    assert_eq!(last_sequence(&store).await, Sequence(10));
    let cycle = store.list_cycles(root.source(), 1).await.unwrap().remove(0);
    assert_eq!(
        (cycle.state, cycle.totals.removed, cycle.totals.entities),
        (CycleState::Complete, 2, 6)
    );
}

pub async fn pages_that_are_gone_are_swept_with_all_they_marked(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(
        &store,
        &mut root,
        vec![entities(0, 2, 1), entities(2, 2, 1), entities(4, 2, 1)],
        1,
    )
    .await;
    plan(&store, &root, t(2), 1).await;
    sweep(&store, &root, t(2), 1).await;
    let mut root = next(&store, 10).await;
    read(&store, &mut root, vec![entities(0, 2, 1)], 11).await;
    assert_eq!(plan(&store, &root, t(12), 1).await.candidates, 4);
    // What was not reached is not remembered: it is looked up afresh when it comes back.
    assert_eq!(store.list_page_memories(root.job.id, 0, 10).await.unwrap().len(), 1);
    assert_eq!(sweep(&store, &root, t(13), 1).await, 4);
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![entities(0, 2, 1), entities(2, 2, 1)], 21).await;
    assert_eq!(root.progress.added, 2);
    assert_eq!(plan(&store, &root, t(22), 1).await.candidates, 0);
    assert_eq!(catalog(&store).await.len(), 4);
}

pub async fn an_entity_that_moved_between_pages_is_not_swept(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 3, 1), entities(3, 3, 1)], 1).await;
    plan(&store, &root, t(2), 1).await;
    sweep(&store, &root, t(2), 1).await;
    let mut root = next(&store, 10).await;
    // Shifted by one: each page drops what the page before it has now, and the other way round.
    read(
        &store,
        &mut root,
        vec![entities(1, 4, 1), [entities(5, 1, 1), entities(0, 1, 1)].concat()],
        11,
    )
    .await;
    assert_eq!(plan(&store, &root, t(12), 1).await.candidates, 0);
    assert_eq!(sweep(&store, &root, t(13), 1).await, 0);
    assert_eq!(last_sequence(&store).await, Sequence(6));
}

pub async fn with_two_confirm_cycles_an_entity_goes_after_two_cycles_without_it(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 3, 1)], 1).await;
    plan(&store, &root, t(2), 2).await;
    sweep(&store, &root, t(2), 2).await;
    let mut root = next(&store, 10).await;
    read(&store, &mut root, vec![entities(0, 1, 1)], 11).await;
    assert_eq!(plan(&store, &root, t(12), 2).await.candidates, 0);
    assert_eq!(sweep(&store, &root, t(12), 2).await, 0);
    // Number 1 is back, number 2 is missing for the second time.
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![entities(0, 2, 1)], 21).await;
    assert_eq!(plan(&store, &root, t(22), 2).await.candidates, 1);
    assert_eq!(sweep(&store, &root, t(22), 2).await, 1);
    assert_eq!(
        catalog(&store).await,
        ["component:default/c0000000", "component:default/c0000001"]
    );
    // Number 1 begins to count anew.
    let mut root = next(&store, 30).await;
    read(&store, &mut root, vec![entities(0, 1, 1)], 31).await;
    assert_eq!(plan(&store, &root, t(32), 2).await.candidates, 0);
}

pub async fn an_incomplete_or_cancelled_cycle_sweeps_nothing(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 4, 1)], 1).await;
    plan(&store, &root, t(2), 1).await;
    sweep(&store, &root, t(2), 1).await;
    for (at, state) in [(10, CycleState::Incomplete), (20, CycleState::Cancelled)] {
        let mut root = next(&store, at).await;
        read(&store, &mut root, vec![entities(0, 1, 1)], at + 1).await;
        let over = end(state, t(at + 2));
        assert!(
            store
                .end_cycle(root.source(), root.cycle(), &over, t(at + 2))
                .await
                .unwrap()
        );
        assert_eq!(store.plan_sweep(root.source(), root.cycle(), 1).await.unwrap(), None);
        assert_eq!(
            store
                .sweep(root.source(), root.cycle(), 1, 10, t(at + 3))
                .await
                .unwrap(),
            0
        );
        assert_eq!(catalog(&store).await.len(), 4);
    }
    // The misses of those cycles count for nothing: a complete one that sees all sweeps nothing.
    let mut root = next(&store, 30).await;
    read(&store, &mut root, vec![entities(0, 4, 1)], 31).await;
    assert_eq!(root.progress.unchanged, 4);
    assert_eq!(plan(&store, &root, t(32), 1).await.candidates, 0);
}

pub async fn a_cycle_with_an_unfinished_partition_does_not_sweep(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 2).await;
    root.reveal_and_finish(&store, &["a"], t(1)).await;
    let sweeping = end(CycleState::Sweeping, t(2));
    assert!(
        !store
            .end_cycle(root.source(), root.cycle(), &sweeping, t(2))
            .await
            .unwrap()
    );
    let child = Reader::new(only(claim_ingest(&store, "w", 1, t(3)).await));
    assert!(
        !store
            .end_cycle(root.source(), root.cycle(), &sweeping, t(3))
            .await
            .unwrap()
    );
    let cancelled = Settlement::Cancelled { error: "no".to_owned() };
    child.settle(&store, cancelled, t(4)).await;
    assert!(
        !store
            .end_cycle(root.source(), root.cycle(), &sweeping, t(4))
            .await
            .unwrap()
    );
    store.retry_job(child.job.id, t(5)).await.unwrap();
    let child = Reader::new(only(claim_ingest(&store, "w", 1, t(6)).await));
    child.settle(&store, Settlement::Done, t(7)).await;
    assert!(
        store
            .end_cycle(root.source(), root.cycle(), &sweeping, t(8))
            .await
            .unwrap()
    );
    assert!(
        !store
            .end_cycle(root.source(), root.cycle(), &sweeping, t(9))
            .await
            .unwrap()
    );
}

pub async fn a_malformed_entity_that_has_a_name_is_kept(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 2, 1)], 1).await;
    plan(&store, &root, t(2), 1).await;
    sweep(&store, &root, t(2), 1).await;
    let mut root = next(&store, 10).await;
    let kept = key_hash(&"component:default/c0000001".parse().unwrap());
    let page = written_with(0, entities(0, 1, 1), vec![], vec![kept], vec![]);
    root.commit(&store, vec![page], None, t(11)).await;
    root.settle(&store, Settlement::Done, t(12)).await;
    assert_eq!(plan(&store, &root, t(13), 1).await.candidates, 0);
}

pub async fn a_rejected_sweep_keeps_its_entities_until_they_are_seen_and_dropped_again(store: Arc<dyn Store>) {
    let root = held(&store).await;
    store
        .command_source("s", SourceCommand::RejectSweep, t(14))
        .await
        .unwrap();
    assert_eq!(source(&store, "s").await.held, None);
    let cycle = store.list_cycles(root.source(), 1).await.unwrap().remove(0);
    assert_eq!(
        (cycle.state, cycle.reason.as_deref()),
        (CycleState::Complete, Some("sweep rejected"))
    );
    // Still missing: kept.
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![entities(0, 1, 1)], 21).await;
    assert_eq!(plan(&store, &root, t(22), 1).await.candidates, 0);
    assert_eq!(sweep(&store, &root, t(22), 1).await, 0);
    assert_eq!(catalog(&store).await.len(), 4);
    // Back, then gone again: swept.
    let mut root = next(&store, 30).await;
    read(&store, &mut root, vec![entities(0, 4, 1)], 31).await;
    assert_eq!(plan(&store, &root, t(32), 1).await.candidates, 0);
    sweep(&store, &root, t(32), 1).await;
    let mut root = next(&store, 40).await;
    read(&store, &mut root, vec![entities(0, 1, 1)], 41).await;
    assert_eq!(plan(&store, &root, t(42), 1).await.candidates, 3);
}

/// Four entities, then a cycle with one of them whose sweep is held.
pub(super) async fn held(store: &Arc<dyn Store>) -> Reader {
    let mut root = begin(store, "s", 1).await;
    read(store, &mut root, vec![entities(0, 4, 1)], 1).await;
    plan(store, &root, t(2), 1).await;
    sweep(store, &root, t(2), 1).await;
    let mut root = next(store, 10).await;
    read(store, &mut root, vec![entities(0, 1, 1)], 11).await;
    let planned = plan(store, &root, t(12), 1).await;
    assert_eq!(planned.candidates, 3);
    let (id, cycle) = (root.source(), root.cycle());
    let hold = store
        .hold_sweep(id, cycle, planned, "would remove 75 %", Some(t(20)), t(13))
        .await;
    assert!(hold.unwrap());
    assert!(
        !store
            .hold_sweep(id, cycle, planned, "again", None, t(13))
            .await
            .unwrap()
    );
    root
}

/// Approves the sweep that [`held`] left.
async fn approve(store: &Arc<dyn Store>, root: &Reader, now: Timestamp) {
    let cycle = root.cycle();
    let command = SourceCommand::ApproveSweep { cycle, removals: 3 };
    store.command_source("s", command, now).await.unwrap();
}

pub async fn a_held_sweep_is_shown_and_nothing_is_deleted(store: Arc<dyn Store>) {
    let root = held(&store).await;
    let shown = source(&store, "s").await;
    assert_eq!(shown.next_cycle_at, Some(t(20)));
    let held_events = crate::EventFilter {
        topics: vec!["sweep.held".parse().unwrap()],
        ..Default::default()
    };
    let told = store.list_events_before(None, &held_events, 10).await.unwrap();
    assert_eq!(only(told.events).created_at, t(13));
    let sweep_held = shown.held.unwrap();
    assert_eq!(
        (sweep_held.cycle, sweep_held.would_remove, sweep_held.owned),
        (root.cycle(), 3, 4)
    );
    assert_eq!((sweep_held.held_at, sweep_held.approved), (t(13), false));
    assert_eq!(store.sweep(root.source(), root.cycle(), 1, 10, t(14)).await.unwrap(), 0);
    assert_eq!(store.plan_sweep(root.source(), root.cycle(), 1).await.unwrap(), None);
    assert_eq!(catalog(&store).await.len(), 4);
    assert_eq!(store.stats(t(14)).await.unwrap().held_sweeps, 1);
}

pub async fn an_approved_sweep_is_done_at_once_while_the_source_rests(store: Arc<dyn Store>) {
    let root = held(&store).await;
    approve(&store, &root, t(14)).await;
    assert_eq!(store.stats(t(14)).await.unwrap().held_sweeps, 0, "it waits for nobody");
    // No other cycle starts before it is done.
    assert!(store.start_cycles(10, t(30)).await.unwrap().is_empty());
    assert_eq!(only(store.list_sweeping_cycles(10).await.unwrap()).number, root.cycle());
    assert!(source(&store, "s").await.held.unwrap().approved);
    let planned = store.plan_sweep(root.source(), root.cycle(), 1).await.unwrap().unwrap();
    assert_eq!((planned.candidates, planned.approved), (3, Some(3)));
    assert_eq!(sweep(&store, &root, t(31), 1).await, 3);
    assert_eq!(source(&store, "s").await.held, None);
    assert_eq!(catalog(&store).await, ["component:default/c0000000"]);
}

pub async fn an_approval_during_the_next_cycle_covers_no_more_than_was_seen(store: Arc<dyn Store>) {
    let first = held(&store).await;
    let mut root = next(&store, 20).await;
    approve(&store, &first, t(21)).await;
    // The sweep has grown meanwhile: the last one is gone too, and a new one came.
    read(&store, &mut root, vec![vec![entity("component:default/new", "{}")]], 22).await;
    let planned = plan(&store, &root, t(23), 1).await;
    assert_eq!((planned.candidates, planned.approved), (4, Some(3)));
    let (id, cycle) = (root.source(), root.cycle());
    assert!(
        store
            .hold_sweep(id, cycle, planned, "grown", None, t(24))
            .await
            .unwrap()
    );
    let shown = source(&store, "s").await.held.unwrap();
    assert_eq!((shown.cycle, shown.would_remove, shown.approved), (cycle, 4, false));
    // A person has decided on the older one.
    assert_eq!((shown.held_at, shown.since_cycle), (t(24), Some(cycle)));
    let cycles = store.list_cycles(id, 10).await.unwrap();
    let older = cycles.iter().find(|c| c.number == first.cycle()).unwrap();
    assert_eq!(older.state, CycleState::Complete);
    assert_eq!(older.reason, Some(format!("superseded by cycle {cycle}")));
    assert_eq!(catalog(&store).await.len(), 5);
}

pub async fn a_hold_that_goes_on_with_the_next_cycle_keeps_its_age(store: Arc<dyn Store>) {
    let first = held(&store).await;
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![entities(0, 1, 1)], 22).await;
    let planned = plan(&store, &root, t(23), 1).await;
    let (id, cycle) = (root.source(), root.cycle());
    let hold = store.hold_sweep(id, cycle, planned, "still", None, t(24)).await;
    assert!(hold.unwrap());
    let shown = source(&store, "s").await.held.unwrap();
    assert_eq!((shown.cycle, shown.held_at), (cycle, t(13)));
    assert_eq!(shown.since_cycle, Some(first.cycle()));
    let filter = crate::EventFilter {
        topics: vec!["sweep.held".parse().unwrap()],
        ..Default::default()
    };
    let told = store.list_events_before(None, &filter, 10).await.unwrap().events;
    let told: Vec<_> = told.iter().map(|event| event.created_at).collect();
    assert_eq!(told, [t(24), t(13)]);
}

pub async fn a_removed_entity_that_comes_back_is_added_again(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 2, 1)], 1).await;
    plan(&store, &root, t(2), 1).await;
    sweep(&store, &root, t(2), 1).await;
    let mut root = next(&store, 10).await;
    read(&store, &mut root, vec![entities(0, 1, 1)], 11).await;
    plan(&store, &root, t(12), 1).await;
    assert_eq!(sweep(&store, &root, t(12), 1).await, 1);
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![entities(0, 2, 1)], 21).await;
    assert_eq!(
        (root.progress.added, root.progress.modified, root.progress.unchanged),
        (1, 0, 1)
    );
    let change = only(changes_after(&store, 3, 10).await);
    assert_eq!((change.sequence, change.change), (Sequence(4), ChangeKind::Added));
    assert_eq!(change.body.as_deref(), Some("{\"n\":1,\"version\":1}"));
    assert_eq!(source(&store, "s").await.entities, 2);
    assert_eq!(plan(&store, &root, t(22), 1).await.candidates, 0);
}

pub async fn partitions_that_are_not_revealed_again_go_with_their_entities(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    root.reveal_and_finish(&store, &["a", "b"], t(1)).await;
    for (job, first) in claim_ingest(&store, "w", 10, t(2)).await.into_iter().zip([0, 10]) {
        read(&store, &mut Reader::new(job), vec![entities(first, 3, 1)], 3).await;
    }
    plan(&store, &root, t(4), 1).await;
    sweep(&store, &root, t(4), 1).await;
    let mut root = next(&store, 10).await;
    root.reveal_and_finish(&store, &["b"], t(11)).await;
    let mut only_b = Reader::new(only(claim_ingest(&store, "w", 10, t(12)).await));
    let memory = only(store.list_page_memories(only_b.job.id, 0, 5).await.unwrap());
    only_b.commit(&store, vec![touched(memory)], None, t(13)).await;
    only_b.settle(&store, Settlement::Done, t(13)).await;
    let planned = plan(&store, &root, t(14), 1).await;
    assert_eq!((planned.owned, planned.marked, planned.candidates), (6, 3, 3));
    assert_eq!(sweep(&store, &root, t(14), 1).await, 3);
    let filter = crate::JobFilter {
        source: Some("s".to_owned()),
        limit: 10,
        ..Default::default()
    };
    let keys: Vec<_> = store
        .list_jobs(&filter)
        .await
        .unwrap()
        .into_iter()
        .map(|job| job.key)
        .collect();
    assert_eq!(keys, ["s", "s/b"]);
}

pub async fn a_reset_source_misses_what_vanished_meanwhile(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 3, 1)], 1).await;
    plan(&store, &root, t(2), 1).await;
    sweep(&store, &root, t(2), 1).await;
    store.command_source("s", SourceCommand::Reset, t(3)).await.unwrap();
    let mut root = next(&store, 10).await;
    assert!(store.list_page_memories(root.job.id, 0, 5).await.unwrap().is_empty());
    let page = written(0, entities(0, 2, 1));
    root.commit(&store, vec![page], None, t(11)).await;
    assert_eq!(root.progress.unchanged, 2);
    root.settle(&store, Settlement::Done, t(11)).await;
    assert_eq!(plan(&store, &root, t(12), 1).await.candidates, 1);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_sweep {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            sweep: what_a_complete_cycle_did_not_see_is_removed,
            what_cycles_added_since_the_candidates_were_last_seen_is_counted_apart,
            while_a_sweep_is_held_what_is_new_stays_new_however_many_cycles_pass,
            pages_that_are_gone_are_swept_with_all_they_marked,
            an_entity_that_moved_between_pages_is_not_swept,
            with_two_confirm_cycles_an_entity_goes_after_two_cycles_without_it,
            an_incomplete_or_cancelled_cycle_sweeps_nothing,
            a_cycle_with_an_unfinished_partition_does_not_sweep,
            a_malformed_entity_that_has_a_name_is_kept,
            a_rejected_sweep_keeps_its_entities_until_they_are_seen_and_dropped_again,
            a_held_sweep_is_shown_and_nothing_is_deleted,
            an_approved_sweep_is_done_at_once_while_the_source_rests,
            an_approval_during_the_next_cycle_covers_no_more_than_was_seen,
            a_hold_that_goes_on_with_the_next_cycle_keeps_its_age,
            a_removed_entity_that_comes_back_is_added_again,
            partitions_that_are_not_revealed_again_go_with_their_entities,
            a_reset_source_misses_what_vanished_meanwhile,
        );
    };
}
