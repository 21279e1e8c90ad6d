//! Cases: sources and commands on them.

use std::sync::Arc;

use super::*;
use crate::{SourceCommand, Store, StoreError};
use tideline_core::words::{
    Commit, CycleEnd, CycleNumber, CycleState, Entity, EntityRef, Fingerprint, JobState, Settled, Settlement,
    SourceSpec, SourceState, Timestamp, Trigger,
};

/// An approval of a sweep that is not held.
const APPROVE: SourceCommand = SourceCommand::ApproveSweep {
    cycle: CycleNumber(1),
    removals: 1,
};

async fn command(store: &Arc<dyn Store>, name: &str, command: SourceCommand, now: Timestamp) {
    store.command_source(name, command, now).await.unwrap();
}

async fn refused(store: &Arc<dyn Store>, name: &str, command: SourceCommand) {
    let answer = store.command_source(name, command, t(1)).await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{command:?}: {answer:?}");
}

async fn states(store: &Arc<dyn Store>, name: &str) -> Vec<CycleState> {
    let id = source(store, name).await.id;
    store
        .list_cycles(id, 100)
        .await
        .unwrap()
        .iter()
        .map(|cycle| cycle.state)
        .collect()
}

/// Nothing that this worker still does for its partition is kept.
async fn assert_fenced(store: &Arc<dyn Store>, reader: &mut Reader) {
    let page = written(reader.progress.next_page, entities(900, 3, 9));
    assert_eq!(reader.commit(store, vec![page], None, t(5)).await, Commit::LeaseLost);
    assert!(!store.checkpoint(reader.job.lease(), "1", t(5)).await.unwrap());
    assert_eq!(
        store.restart_partition(reader.job.lease(), t(5)).await.unwrap(),
        Commit::LeaseLost
    );
    assert_eq!(reader.settle(store, Settlement::Done, t(5)).await, Settled::LeaseLost);
}

/// Reads one cycle of source `s` that consists of this one page, and sweeps it.
async fn whole_cycle(store: &Arc<dyn Store>, page: Vec<Entity>, now: Timestamp) -> u64 {
    start_cycle(store, now).await;
    let mut reader = Reader::new(only(claim_ingest(store, "w", 1, now).await));
    reader.write(store, page, None, now).await;
    reader.settle(store, Settlement::Done, now).await;
    let (id, cycle) = (reader.source(), reader.cycle());
    end(store, &reader, CycleState::Sweeping, now).await;
    store.plan_sweep(id, cycle, 1).await.unwrap().unwrap();
    let removed = store.sweep(id, cycle, 1, 100, now).await.unwrap();
    end(store, &reader, CycleState::Complete, now).await;
    removed
}

async fn end(store: &Arc<dyn Store>, reader: &Reader, state: CycleState, now: Timestamp) {
    let end = CycleEnd {
        state,
        reason: None,
        next_cycle_at: Some(Timestamp(now.0 + 1_000)),
    };
    assert!(
        store
            .end_cycle(reader.source(), reader.cycle(), &end, now)
            .await
            .unwrap()
    );
}

pub async fn a_new_source_asks_for_its_first_cycle(store: Arc<dyn Store>) {
    let sync = store.sync_sources(&[spec("b", 2), spec("a", 1)], T0).await.unwrap();
    assert_eq!(sync.added, ["b", "a"]);
    assert_eq!(
        sync.ids.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["b", "a"]
    );
    assert!(sync.restarted.is_empty() && sync.orphaned.is_empty());
    let all = store.list_sources().await.unwrap();
    assert_eq!(
        all.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
        ["a", "b"],
        "by name"
    );
    let a = source(&store, "a").await;
    assert_eq!(
        (a.id, a.state, a.requested),
        (sync.ids[1].1, SourceState::Active, Some(Trigger::Start))
    );
    assert_eq!((a.cycle.0, a.entities, a.source_type.as_str()), (0, 0, "http"));
    assert!(a.held.is_none() && a.hold_until.is_none() && a.blocked_reason.is_none() && a.next_cycle_at.is_none());
    assert!(store.find_source("c").await.unwrap().is_none());
}

pub async fn synchronising_twice_changes_nothing(store: Arc<dyn Store>) {
    let first = store.sync_sources(&[spec("a", 1)], T0).await.unwrap();
    start_cycle(&store, T0).await;
    let second = store.sync_sources(&[spec("a", 1)], t(1)).await.unwrap();
    assert_eq!(second.ids, first.ids);
    assert!(second.added.is_empty() && second.restarted.is_empty() && second.orphaned.is_empty());
    assert_eq!(states(&store, "a").await, [CycleState::Bursting]);
    assert_eq!(source(&store, "a").await.requested, None);
}

pub async fn another_identity_cancels_the_cycle_and_keeps_the_entities(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "a", 1).await;
    reader.write(&store, entities(0, 5, 1), Some("1"), T0).await;
    let changed = SourceSpec {
        identity: Fingerprint([9; 32]),
        ..spec("a", 1)
    };
    let sync = store.sync_sources(&[changed], t(1)).await.unwrap();
    assert_eq!(sync.restarted, ["a"]);
    assert_eq!(states(&store, "a").await, [CycleState::Cancelled]);
    assert_fenced(&store, &mut reader).await;
    let row = source(&store, "a").await;
    assert_eq!((row.requested, row.entities), (Some(Trigger::Start), 5));
    let fresh = start_cycle(&store, t(2)).await;
    assert_eq!((fresh.number.0, fresh.trigger), (2, Trigger::Start));
    let root = only(claim_ingest(&store, "w", 1, t(2)).await);
    assert_eq!(
        (root.cursor, root.progress, root.attempt),
        (None, None, 1),
        "it starts from the first page"
    );
    assert!(root.token > reader.job.token, "the token never goes down");
}

pub async fn a_source_that_left_the_configuration_is_an_orphan_and_keeps_its_entities(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "a", 1).await;
    reader.write(&store, entities(0, 5, 1), Some("1"), T0).await;
    let sync = store.sync_sources(&[spec("b", 1)], t(1)).await.unwrap();
    assert_eq!(
        (sync.orphaned, sync.added),
        (vec!["a".to_owned()], vec!["b".to_owned()])
    );
    assert_fenced(&store, &mut reader).await;
    let row = source(&store, "a").await;
    assert_eq!(
        (row.state, row.entities, row.next_cycle_at),
        (SourceState::Orphaned, 5, None)
    );
    assert_eq!(start_cycle(&store, t(1_000_000)).await.source_name, "b");
    for command in [
        SourceCommand::Refresh(Trigger::Manual),
        SourceCommand::Pause,
        SourceCommand::Resume,
        APPROVE,
    ] {
        refused(&store, "a", command).await;
    }
    let again = store.sync_sources(&[spec("b", 1)], t(2)).await.unwrap();
    assert!(again.orphaned.is_empty(), "it is an orphan already");
}

pub async fn an_orphan_that_comes_back_runs_again(store: Arc<dyn Store>) {
    let id = add_source(&store, "a", 1).await;
    start_cycle(&store, T0).await;
    store.sync_sources(&[], t(1)).await.unwrap();
    let sync = store.sync_sources(&[spec("a", 1)], t(2)).await.unwrap();
    assert_eq!(sync.ids, [("a".to_owned(), id)]);
    assert_eq!(source(&store, "a").await.state, SourceState::Active);
    let cycle = start_cycle(&store, t(2)).await;
    assert_eq!((cycle.number.0, cycle.trigger), (2, Trigger::Start));
}

pub async fn a_refresh_starts_a_cycle_as_soon_as_none_is_running(store: Arc<dyn Store>) {
    let reader = begin(&store, "a", 1).await;
    command(&store, "a", SourceCommand::Refresh(Trigger::Webhook), t(1)).await;
    assert_eq!(source(&store, "a").await.requested, Some(Trigger::Webhook));
    assert!(store.start_cycles(10, t(1)).await.unwrap().is_empty(), "one is running");
    reader.settle(&store, Settlement::Done, t(2)).await;
    end(&store, &reader, CycleState::Incomplete, t(2)).await;
    let cycle = start_cycle(&store, t(3)).await;
    assert_eq!((cycle.number.0, cycle.trigger), (2, Trigger::Webhook));
    assert_eq!(source(&store, "a").await.requested, None);
}

pub async fn a_command_to_nobody_is_not_found(store: Arc<dyn Store>) {
    let answer = store.command_source("nobody", SourceCommand::Pause, T0).await;
    assert!(
        matches!(answer, Err(StoreError::NotFound { what: "source", .. })),
        "{answer:?}"
    );
    let answer = store.delete_source_entities("nobody", 10, T0).await;
    assert!(matches!(answer, Err(StoreError::NotFound { .. })), "{answer:?}");
}

pub async fn a_command_that_does_not_fit_is_refused(store: Arc<dyn Store>) {
    add_source(&store, "a", 1).await;
    for command in [
        SourceCommand::Resume,
        SourceCommand::Cancel,
        APPROVE,
        SourceCommand::RejectSweep,
    ] {
        refused(&store, "a", command).await;
    }
}

pub async fn a_pause_stops_a_burst_after_its_page_and_starts_no_cycle(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "a", 1).await;
    command(&store, "a", SourceCommand::Pause, t(1)).await;
    command(&store, "a", SourceCommand::Pause, t(1)).await;
    let commit = reader
        .commit(&store, vec![written(0, entities(0, 2, 1))], Some("1"), t(2))
        .await;
    assert!(matches!(commit, Commit::Committed { paused: true, .. }), "{commit:?}");
    reader.settle(&store, Settlement::Again { due_at: t(2) }, t(2)).await;
    assert!(claim_ingest(&store, "w", 1, t(3)).await.is_empty());
    assert_eq!(store.next_due(t(1)).await.unwrap(), None, "nothing of it comes due");
    command(&store, "a", SourceCommand::Resume, t(4)).await;
    assert_eq!(source(&store, "a").await.state, SourceState::Active);
    let next = only(claim_ingest(&store, "w", 1, t(4)).await);
    assert_eq!(next.cursor.as_deref(), Some("1"), "it goes on where it was");

    command(&store, "a", SourceCommand::Cancel, t(5)).await;
    command(&store, "a", SourceCommand::Pause, t(5)).await;
    command(&store, "a", SourceCommand::Refresh(Trigger::Manual), t(5)).await;
    assert!(store.start_cycles(10, t(6)).await.unwrap().is_empty());
    command(&store, "a", SourceCommand::Resume, t(7)).await;
    assert_eq!(start_cycle(&store, t(7)).await.number.0, 2);
}

pub async fn cancelling_fences_off_a_running_burst(store: Arc<dyn Store>) {
    let mut root = begin(&store, "a", 2).await;
    let page = written_with(0, entities(0, 3, 1), vec![child("x"), child("y")], vec![], vec![]);
    root.commit(&store, vec![page], Some("1"), T0).await;
    let mut running = Reader::new(only(claim_ingest(&store, "w", 1, T0).await));
    command(&store, "a", SourceCommand::Cancel, t(1)).await;
    assert_eq!(states(&store, "a").await, [CycleState::Cancelled]);
    assert_fenced(&store, &mut root).await;
    assert_fenced(&store, &mut running).await;
    for key in ["a", "a/x", "a/y"] {
        let row = job_of(&store, "ingest", key).await;
        assert_eq!(
            (row.state, row.worker, row.due_at),
            (JobState::Cancelled, None, None),
            "{key}"
        );
    }
    let id = source(&store, "a").await.id;
    let cycle = only(store.list_cycles(id, 10).await.unwrap());
    assert_eq!(
        (cycle.ended_at, cycle.totals.entities, cycle.totals.partitions),
        (Some(t(1)), 3, 3)
    );
    assert!(cycle.reason.is_some(), "it says why");
    assert_eq!(source(&store, "a").await.entities, 3, "what was read stays");
    assert!(
        changes_after(&store, 0, 10)
            .await
            .iter()
            .all(|change| change.body.is_some())
    );
}

pub async fn a_held_back_source_runs_nothing_until_then(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "a", 1).await;
    let id = reader.source();
    store.hold_back(id, t(500)).await.unwrap();
    store.hold_back(id, t(300)).await.unwrap();
    assert_eq!(
        source(&store, "a").await.hold_until,
        Some(t(500)),
        "a longer hold is never shortened"
    );
    let commit = reader
        .commit(&store, vec![written(0, entities(0, 1, 1))], Some("1"), t(1))
        .await;
    assert!(
        matches!(commit, Commit::Committed { hold_until: Some(until), .. } if until == t(500)),
        "{commit:?}"
    );
    reader.settle(&store, Settlement::Again { due_at: t(10) }, t(1)).await;
    assert!(claim_ingest(&store, "w", 1, t(499)).await.is_empty());
    assert!(store.take_due(10, 0, t(499)).await.unwrap().is_empty());
    assert_eq!(
        store.next_due(t(100)).await.unwrap(),
        Some(t(500)),
        "its due job counts as due then"
    );
    let mut next = Reader::new(only(claim_ingest(&store, "w", 1, t(500)).await));
    let commit = next.commit(&store, vec![written(1, vec![])], None, t(501)).await;
    assert!(
        matches!(commit, Commit::Committed { hold_until: None, .. }),
        "{commit:?}"
    );
}

pub async fn a_refresh_lifts_a_hold(store: Arc<dyn Store>) {
    let reader = begin(&store, "a", 1).await;
    store.hold_back(reader.source(), t(500)).await.unwrap();
    reader.settle(&store, Settlement::Again { due_at: t(500) }, t(1)).await;
    command(&store, "a", SourceCommand::Refresh(Trigger::Manual), t(2)).await;
    assert_eq!(source(&store, "a").await.hold_until, None);
    let claimed = claim_ingest(&store, "w", 1, t(2)).await;
    assert_eq!(claimed.len(), 1, "what waited for the end of the hold is due");
}

pub async fn a_blocked_source_runs_nothing_until_it_is_refreshed(store: Arc<dyn Store>) {
    let reader = begin(&store, "a", 1).await;
    reader.settle(&store, Settlement::HandedBack, T0).await;
    store
        .block_source(reader.source(), "401: the token is wrong")
        .await
        .unwrap();
    let row = source(&store, "a").await;
    assert_eq!(
        (row.state, row.blocked_reason.as_deref()),
        (SourceState::Blocked, Some("401: the token is wrong"))
    );
    assert!(claim_ingest(&store, "w", 1, t(1)).await.is_empty());
    command(&store, "a", SourceCommand::Refresh(Trigger::Manual), t(2)).await;
    let row = source(&store, "a").await;
    assert_eq!((row.state, row.blocked_reason), (SourceState::Active, None));
    assert_eq!(claim_ingest(&store, "w", 1, t(2)).await.len(), 1);
}

pub async fn a_blocked_source_runs_again_when_its_identity_changes(store: Arc<dyn Store>) {
    let id = add_source(&store, "a", 1).await;
    store.block_source(id, "no such host").await.unwrap();
    assert!(store.start_cycles(10, T0).await.unwrap().is_empty());
    let changed = SourceSpec {
        identity: Fingerprint([9; 32]),
        ..spec("a", 1)
    };
    store.sync_sources(&[changed], t(1)).await.unwrap();
    assert_eq!(start_cycle(&store, t(1)).await.source_name, "a");
}

pub async fn a_blocked_source_is_tried_again_when_the_configuration_is_read_anew(store: Arc<dyn Store>) {
    let id = add_source(&store, "a", 1).await;
    store.block_source(id, "401: the token is wrong").await.unwrap();
    assert!(store.start_cycles(10, T0).await.unwrap().is_empty());
    // Another token changes nothing that identifies the source.
    let sync = store.sync_sources(&[spec("a", 1)], t(1)).await.unwrap();
    assert!(sync.restarted.is_empty(), "{sync:?}");
    let row = source(&store, "a").await;
    assert_eq!((row.state, row.blocked_reason), (SourceState::Active, None));
    assert_eq!(start_cycle(&store, t(1)).await.source_name, "a");
}

pub async fn a_block_outlasts_a_pause(store: Arc<dyn Store>) {
    let id = add_source(&store, "a", 1).await;
    command(&store, "a", SourceCommand::Pause, T0).await;
    store.block_source(id, "no such host").await.unwrap();
    assert_eq!(source(&store, "a").await.state, SourceState::Paused);
    command(&store, "a", SourceCommand::Resume, T0).await;
    assert_eq!(source(&store, "a").await.state, SourceState::Blocked);
}

pub async fn a_reset_forgets_pages_and_cursors_and_keeps_the_entities(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "s", 1).await;
    reader.write(&store, entities(0, 5, 1), Some("1"), T0).await;
    let partition = reader.job.id;
    assert_eq!(store.list_page_memories(partition, 0, 10).await.unwrap().len(), 1);
    command(&store, "s", SourceCommand::Reset, t(1)).await;
    assert_fenced(&store, &mut reader).await;
    assert_eq!(states(&store, "s").await, [CycleState::Cancelled]);
    assert_eq!(source(&store, "s").await.entities, 5);
    command(&store, "s", SourceCommand::Refresh(Trigger::Manual), t(2)).await;
    start_cycle(&store, t(2)).await;
    let root = only(claim_ingest(&store, "w", 1, t(2)).await);
    assert_eq!((root.cursor.as_deref(), root.progress.as_deref()), (None, None));
    assert!(store.list_page_memories(root.id, 0, 10).await.unwrap().is_empty());
}

pub async fn what_a_source_dropped_around_a_reset_is_still_swept(store: Arc<dyn Store>) {
    add_source(&store, "s", 1).await;
    assert_eq!(whole_cycle(&store, entities(0, 5, 1), T0).await, 0);
    command(&store, "s", SourceCommand::Reset, t(1)).await;
    command(&store, "s", SourceCommand::Refresh(Trigger::Manual), t(1)).await;
    assert_eq!(whole_cycle(&store, entities(0, 3, 1), t(2)).await, 2);
    assert_eq!(source(&store, "s").await.entities, 3);
}

pub async fn deleting_a_sources_entities_goes_in_steps_with_tombstones(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "s", 1).await;
    reader.write(&store, entities(0, 5, 1), Some("1"), T0).await;
    command(&store, "s", SourceCommand::ResetAndDelete, t(1)).await;
    assert_eq!(store.delete_source_entities("s", 3, t(2)).await.unwrap(), 2);
    assert_eq!(source(&store, "s").await.entities, 2);
    assert_eq!(store.delete_source_entities("s", 3, t(3)).await.unwrap(), 0);
    assert_eq!(store.delete_source_entities("s", 3, t(3)).await.unwrap(), 0);
    let changes = changes_after(&store, 0, 100).await;
    assert_eq!(changes.len(), 5);
    assert!(
        changes
            .iter()
            .all(|change| change.body.is_none() && change.source == "s")
    );
    assert_eq!(
        changes.iter().map(|change| change.sequence.0).collect::<Vec<_>>(),
        [6, 7, 8, 9, 10]
    );
    assert!(
        store.find_source("s").await.unwrap().is_some(),
        "it is in the configuration, so it stays"
    );
    // The same content again is added again: no page of it counts as unchanged.
    command(&store, "s", SourceCommand::Refresh(Trigger::Manual), t(4)).await;
    assert_eq!(whole_cycle(&store, entities(0, 5, 1), t(4)).await, 0);
    assert_eq!(source(&store, "s").await.entities, 5);
}

pub async fn deleting_entities_forgets_the_pages_that_had_them(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "s", 1).await;
    reader.write(&store, entities(0, 5, 1), Some("1"), T0).await;
    store.delete_source_entities("s", 2, t(1)).await.unwrap();
    let memories = store.list_page_memories(reader.job.id, 0, 10).await.unwrap();
    assert!(
        memories.is_empty(),
        "or a page would be touched and its entities never come back"
    );
    // Nor may a page that is being read bring back the memory of what was deleted.
    let late = written(reader.progress.next_page, entities(5, 1, 1));
    assert_eq!(reader.commit(&store, vec![late], None, t(2)).await, Commit::LeaseLost);
}

pub async fn an_orphan_is_forgotten_with_its_last_entity(store: Arc<dyn Store>) {
    let mut reader = begin(&store, "s", 1).await;
    reader.write(&store, entities(0, 2, 1), Some("1"), T0).await;
    store.sync_sources(&[], t(1)).await.unwrap();
    command(&store, "s", SourceCommand::ResetAndDelete, t(2)).await;
    assert_eq!(store.delete_source_entities("s", 1, t(2)).await.unwrap(), 1);
    assert!(store.find_source("s").await.unwrap().is_some());
    assert_eq!(store.delete_source_entities("s", 1, t(2)).await.unwrap(), 0);
    assert!(store.find_source("s").await.unwrap().is_none());
    let changes = changes_after(&store, 0, 10).await;
    assert_eq!(changes.len(), 2);
    assert!(
        changes.iter().all(|change| change.source == "s"),
        "the feed still says whose they were"
    );
    // The name is free again.
    let sync = store.sync_sources(&[spec("s", 1)], t(3)).await.unwrap();
    assert_eq!(sync.added, ["s"], "as if it had never been there");
    let row = source(&store, "s").await;
    assert_eq!((row.entities, row.requested), (0, Some(Trigger::Start)));
    start_cycle(&store, t(3)).await;
    let root = only(claim_ingest(&store, "w", 1, t(3)).await);
    assert_eq!((root.cursor, root.progress), (None, None));
}

pub async fn two_sources_may_own_the_same_reference(store: Arc<dyn Store>) {
    store.sync_sources(&[spec("a", 1), spec("b", 1)], T0).await.unwrap();
    store.start_cycles(10, T0).await.unwrap();
    for job in claim_ingest(&store, "w", 10, T0).await {
        Reader::new(job).write(&store, entities(0, 1, 1), None, T0).await;
    }
    assert_eq!(store.delete_source_entities("a", 10, t(1)).await.unwrap(), 0);
    let filter = crate::EntityFilter {
        reference: Some("component:default/c0000000".parse::<EntityRef>().unwrap()),
        limit: 10,
        ..Default::default()
    };
    assert_eq!(only(store.list_entities(&filter).await.unwrap()).source, "b");
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_sources {
    ($open:path) => {
        $crate::store_conformance_cases!($open, sources:
            a_new_source_asks_for_its_first_cycle,
            synchronising_twice_changes_nothing,
            another_identity_cancels_the_cycle_and_keeps_the_entities,
            a_source_that_left_the_configuration_is_an_orphan_and_keeps_its_entities,
            an_orphan_that_comes_back_runs_again,
            a_refresh_starts_a_cycle_as_soon_as_none_is_running,
            a_command_to_nobody_is_not_found,
            a_command_that_does_not_fit_is_refused,
            a_pause_stops_a_burst_after_its_page_and_starts_no_cycle,
            cancelling_fences_off_a_running_burst,
            a_held_back_source_runs_nothing_until_then,
            a_refresh_lifts_a_hold,
            a_blocked_source_runs_nothing_until_it_is_refreshed,
            a_blocked_source_runs_again_when_its_identity_changes,
            a_blocked_source_is_tried_again_when_the_configuration_is_read_anew,
            a_block_outlasts_a_pause,
            a_reset_forgets_pages_and_cursors_and_keeps_the_entities,
            what_a_source_dropped_around_a_reset_is_still_swept,
            deleting_a_sources_entities_goes_in_steps_with_tombstones,
            deleting_entities_forgets_the_pages_that_had_them,
            an_orphan_is_forgotten_with_its_last_entity,
            two_sources_may_own_the_same_reference,
        );
    };
}
