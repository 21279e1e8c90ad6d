//! Cases: entities written outside a cycle's pages, and their races with pages, sweeps and one another.

use std::sync::Arc;

use super::ingest::{catalog, last_sequence, next_cycle};
use super::sweep::{end, plan};
use super::{
    Reader, T0, add_source, begin, changes_after, claim_ingest, entities, entity, only, read_at, source, start_cycle,
    t, touched, written,
};
use crate::{EntityFilter, Store, StoreError};
use tideline_core::words::{
    ChangeKind, Commit, CycleState, Delta, DeltaBasis, DeltaChange, DeltaOutcome, Entity, PageMemory, PageWrite,
    Sequence, Settlement, SourceId, Timestamp,
};

const NAME: &str = "component:default/x";

/// The entity, as a reading saw it that began then.
pub fn seen(entity: Entity, began: Timestamp) -> Delta {
    Delta {
        change: DeltaChange::Upsert(entity),
        basis: DeltaBasis::Read(began),
    }
}

/// The entity is gone, as a reading found that began then.
pub fn gone(reference: &str, began: Timestamp) -> Delta {
    Delta {
        change: DeltaChange::Remove(reference.parse().unwrap()),
        basis: DeltaBasis::Read(began),
    }
}

fn pushed(change: DeltaChange, version: Option<i64>) -> Delta {
    Delta {
        change,
        basis: DeltaBasis::Pushed(version),
    }
}

fn x(body: &str) -> Entity {
    entity(NAME, body)
}

async fn write(store: &Arc<dyn Store>, source: SourceId, delta: Delta, at: i64) -> DeltaOutcome {
    store.expect_deltas(source).await.unwrap();
    only(store.write_deltas(source, &[delta], t(at)).await.unwrap())
}

/// What the catalog has of [`NAME`].
async fn body(store: &Arc<dyn Store>) -> Option<String> {
    let filter = EntityFilter {
        reference: Some(NAME.parse().unwrap()),
        limit: 1,
        ..Default::default()
    };
    let found = store.list_entities(&filter).await.unwrap();
    found.into_iter().next().map(|entity| entity.body)
}

async fn memory(store: &Arc<dyn Store>, reader: &Reader) -> PageMemory {
    only(store.list_page_memories(reader.job.id, 0, 10).await.unwrap())
}

/// A source whose one page, read at 1, holds [`NAME`] with the body 1, in its second cycle, which began at 10.
async fn second_cycle(store: &Arc<dyn Store>) -> Reader {
    let mut root = begin(store, "s", 1).await;
    let page = read_at(written(0, vec![x("1")]), t(1));
    root.commit(store, vec![page], None, t(2)).await;
    next_cycle(store, &root, 10).await
}

/// Sweeps and completes the cycle; returns the number of deleted entities.
async fn sweep(store: &Arc<dyn Store>, root: &Reader, at: i64) -> u64 {
    let removed = store.sweep(root.source(), root.cycle(), 1, 100, t(at)).await.unwrap();
    let complete = end(CycleState::Complete, t(at));
    assert!(
        store
            .end_cycle(root.source(), root.cycle(), &complete, t(at))
            .await
            .unwrap()
    );
    removed
}

pub async fn deltas_of_callers_at_the_same_time_are_each_answered_with_their_own_outcome(store: Arc<dyn Store>) {
    let id = add_source(&store, "s", 1).await;
    let before = entities(0, 30, 1).into_iter().map(|entity| seen(entity, t(1)));
    store.write_deltas(id, &before.collect::<Vec<_>>(), t(2)).await.unwrap();
    let mut callers = Vec::new();
    for number in 0..40 {
        let one = |version| seen(entities(number, 1, version).remove(0), t(3));
        let (delta, outcome) = match number {
            0..10 => (one(2), DeltaOutcome::Modified),
            10..20 => (one(1), DeltaOutcome::Unchanged),
            20..30 => (
                gone(&format!("component:default/c{number:07}"), t(3)),
                DeltaOutcome::Removed,
            ),
            _ => (one(1), DeltaOutcome::Added),
        };
        callers.push((delta, outcome));
    }
    // Of one entity, each differing from the one before, whichever comes first.
    let of_one: Vec<Delta> = (0..5).map(|number| seen(x(&number.to_string()), t(3))).collect();
    let writing = callers.iter().map(|(delta, _)| delta).chain(&of_one).map(|delta| {
        let (store, delta) = (Arc::clone(&store), delta.clone());
        async move { only(store.write_deltas(id, &[delta], t(4)).await.unwrap()) }
    });
    let nobody = store.write_deltas(SourceId(4_711), &of_one[..1], t(4));
    let (outcomes, nobody) = futures::join!(futures::future::join_all(writing), nobody);
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })), "{nobody:?}");
    for ((delta, wanted), outcome) in callers.iter().zip(&outcomes) {
        assert_eq!(outcome, wanted, "{}", delta.change.reference());
    }
    let added = outcomes[40..]
        .iter()
        .filter(|outcome| **outcome == DeltaOutcome::Added)
        .count();
    let modified = outcomes[40..]
        .iter()
        .filter(|outcome| **outcome == DeltaOutcome::Modified)
        .count();
    assert_eq!((added, modified), (1, 4), "{outcomes:?}");
    assert_eq!(source(&store, "s").await.entities, 31);
    let changes = changes_after(&store, 30, 100).await;
    assert_eq!(changes.len(), 31, "{changes:?}");
    assert!(changes.is_sorted_by_key(|change| change.sequence), "{changes:?}");
}

pub async fn deltas_add_modify_and_remove_with_changes_in_the_feed(store: Arc<dyn Store>) {
    let id = add_source(&store, "s", 1).await;
    let three = entities(0, 3, 1).into_iter().map(|entity| seen(entity, t(1)));
    let outcomes = store.write_deltas(id, &three.collect::<Vec<_>>(), t(2)).await.unwrap();
    assert_eq!(outcomes, [DeltaOutcome::Added; 3]);
    assert_eq!(source(&store, "s").await.entities, 3);
    let mixed = [
        seen(entities(0, 1, 2).remove(0), t(3)),
        seen(entities(1, 1, 1).remove(0), t(3)),
        gone("component:default/c0000002", t(3)),
        gone("component:default/nobody", t(3)),
        seen(entities(7, 1, 1).remove(0), t(3)),
    ];
    let outcomes = store.write_deltas(id, &mixed, t(4)).await.unwrap();
    assert_eq!(
        outcomes,
        [
            DeltaOutcome::Modified,
            DeltaOutcome::Unchanged,
            DeltaOutcome::Removed,
            DeltaOutcome::Unchanged,
            DeltaOutcome::Added
        ]
    );
    assert_eq!(source(&store, "s").await.entities, 3);
    assert_eq!(catalog(&store).await.len(), 3);
    let mut told: Vec<_> = changes_after(&store, 3, 10)
        .await
        .into_iter()
        .map(|change| (change.reference.to_string(), change.change, change.changed_at))
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let told: Vec<_> = told
        .iter()
        .map(|(name, kind, at)| (name.as_str(), *kind, *at))
        .collect();
    assert_eq!(
        told,
        [
            ("component:default/c0000000", ChangeKind::Modified, t(4)),
            ("component:default/c0000002", ChangeKind::Removed, t(4)),
            ("component:default/c0000007", ChangeKind::Added, t(4)),
        ]
    );
    // The same again is nothing.
    assert_eq!(
        write(&store, id, gone("component:default/c0000002", t(5)), 6).await,
        DeltaOutcome::Unchanged
    );
    assert_eq!(
        write(&store, id, seen(entities(0, 1, 2).remove(0), t(5)), 6).await,
        DeltaOutcome::Unchanged
    );
    assert_eq!(last_sequence(&store).await, Sequence(6));
}

pub async fn an_older_page_leaves_what_a_delta_wrote_alone(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    assert_eq!(
        write(&store, root.source(), seen(x("3"), t(12)), 13).await,
        DeltaOutcome::Modified
    );
    let page = read_at(written(0, vec![x("2"), entity("component:default/y", "1")]), t(11));
    root.commit(&store, vec![page], None, t(14)).await;
    assert_eq!(body(&store).await.as_deref(), Some("3"));
    assert_eq!(catalog(&store).await.len(), 2, "the rest of the page is written");
    // It was seen by this cycle all the same.
    root.settle(&store, Settlement::Done, t(15)).await;
    let planned = plan(&store, &root, t(15), 1).await;
    assert_eq!((planned.marked, planned.candidates), (2, 0));
}

pub async fn a_page_that_began_to_be_read_after_a_delta_overwrites_it(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    write(&store, root.source(), seen(x("3"), t(11)), 13).await;
    let page = read_at(written(0, vec![x("2")]), t(12));
    root.commit(&store, vec![page], None, t(14)).await;
    assert_eq!(body(&store).await.as_deref(), Some("2"));
}

pub async fn a_delta_does_not_overwrite_what_a_page_read_later(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    let page = read_at(written(0, vec![x("2")]), t(12));
    root.commit(&store, vec![page], Some("1"), t(13)).await;
    assert_eq!(
        write(&store, root.source(), seen(x("3"), t(11)), 14).await,
        DeltaOutcome::Overtaken
    );
    assert_eq!(body(&store).await.as_deref(), Some("2"));
    assert_eq!(
        write(&store, root.source(), seen(x("3"), t(12)), 15).await,
        DeltaOutcome::Modified
    );
}

pub async fn a_delta_does_not_overwrite_what_an_unchanged_page_read_later(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    let page = read_at(touched(memory(&store, &root).await), t(12));
    root.commit(&store, vec![page], None, t(13)).await;
    assert_eq!(
        write(&store, root.source(), seen(x("3"), t(11)), 14).await,
        DeltaOutcome::Overtaken
    );
    assert_eq!(body(&store).await.as_deref(), Some("1"));
    // Not even when the cycle has ended meanwhile.
    let end = end(CycleState::Incomplete, t(20));
    assert!(store.end_cycle(root.source(), root.cycle(), &end, t(20)).await.unwrap());
    assert_eq!(
        write(&store, root.source(), seen(x("3"), t(11)), 21).await,
        DeltaOutcome::Overtaken
    );
    assert_eq!(
        write(&store, root.source(), seen(x("3"), t(21)), 22).await,
        DeltaOutcome::Modified
    );
}

pub async fn an_unchanged_page_does_not_hide_a_delta(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let page = read_at(written(0, vec![x("1")]), t(1));
    root.commit(&store, vec![page], None, t(2)).await;
    let before = memory(&store, &root).await;
    assert_eq!(
        write(&store, root.source(), seen(x("3"), t(5)), 6).await,
        DeltaOutcome::Modified
    );
    let mut root = next_cycle(&store, &root, 10).await;
    let listed = memory(&store, &root).await;
    assert_eq!(
        listed,
        before.without_content(),
        "nothing equals the page, and no validator is sent"
    );
    // The source has what it had: the page is written, and the delta undone.
    let page = read_at(written(0, vec![x("1")]), t(11));
    root.commit(&store, vec![page], None, t(12)).await;
    assert_eq!(body(&store).await.as_deref(), Some("1"));
    // When a complete cycle has compared all, pages are remembered again.
    root.settle(&store, Settlement::Done, t(13)).await;
    plan(&store, &root, t(13), 1).await;
    assert_eq!(memory(&store, &root).await.validators.request, listed_request(&root));
}

/// What [`written`] keeps as the request of a page.
fn listed_request(root: &Reader) -> Option<tideline_core::words::Fingerprint> {
    match written(root.progress.next_page, vec![]) {
        PageWrite::Written { memory, .. } | PageWrite::Touched { memory, .. } => memory.validators.request,
    }
}

pub async fn a_page_that_is_called_unchanged_in_spite_of_a_delta_is_read_again(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    // Remembered before the delta, asked for after it.
    let memory = memory(&store, &root).await;
    write(&store, root.source(), seen(x("3"), t(11)), 12).await;
    let batch = root.batch(vec![read_at(touched(memory.clone()), t(13))], Some("1"));
    assert_eq!(store.commit_pages(&batch, t(14)).await.unwrap(), Commit::ReadAgain);
    assert_eq!(
        super::job(&store, root.job.id).await.progress,
        None,
        "nothing was written"
    );
    // Asked for before the delta, the page has nothing to say about it.
    let commit = root
        .commit(&store, vec![read_at(touched(memory), t(10))], Some("1"), t(15))
        .await;
    assert!(matches!(commit, Commit::Committed { .. }), "{commit:?}");
    assert_eq!(body(&store).await.as_deref(), Some("3"));
}

pub async fn a_removal_by_event_wins_over_an_older_page_that_is_about_to_commit(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    assert_eq!(
        write(&store, root.source(), gone(NAME, t(12)), 13).await,
        DeltaOutcome::Removed
    );
    let page = read_at(written(0, vec![x("2")]), t(11));
    root.commit(&store, vec![page], Some("1"), t(14)).await;
    assert_eq!(body(&store).await, None);
    // Shown by a page that was read later, it is back.
    let page = read_at(written(1, vec![x("2")]), t(13));
    root.commit(&store, vec![page], None, t(15)).await;
    assert_eq!(body(&store).await.as_deref(), Some("2"));
    assert_eq!(source(&store, "s").await.entities, 1);
}

pub async fn of_two_deltas_the_one_that_began_later_wins(store: Arc<dyn Store>) {
    let id = add_source(&store, "s", 1).await;
    assert_eq!(write(&store, id, seen(x("2"), t(5)), 6).await, DeltaOutcome::Added);
    assert_eq!(write(&store, id, seen(x("1"), t(4)), 7).await, DeltaOutcome::Overtaken);
    assert_eq!(write(&store, id, gone(NAME, t(4)), 7).await, DeltaOutcome::Overtaken);
    assert_eq!(body(&store).await.as_deref(), Some("2"));
    assert_eq!(write(&store, id, gone(NAME, t(8)), 9).await, DeltaOutcome::Removed);
    assert_eq!(write(&store, id, seen(x("2"), t(7)), 10).await, DeltaOutcome::Overtaken);
    assert_eq!(body(&store).await, None);
}

pub async fn what_only_a_delta_saw_is_swept_by_a_complete_cycle_that_began_later(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    // New at the source after its page was read: this cycle cannot know it.
    write(&store, root.source(), seen(x("1"), t(1)), 2).await;
    root.write(&store, entities(0, 2, 1), None, t(3)).await;
    root.settle(&store, Settlement::Done, t(4)).await;
    assert_eq!(plan(&store, &root, t(4), 1).await.candidates, 0);
    assert_eq!(sweep(&store, &root, 5).await, 0);
    start_cycle(&store, t(10)).await;
    let mut root = Reader::new(only(claim_ingest(&store, "w", 1, t(10)).await));
    root.write(&store, entities(0, 2, 1), None, t(11)).await;
    root.settle(&store, Settlement::Done, t(12)).await;
    assert_eq!(plan(&store, &root, t(12), 1).await.candidates, 1);
    assert_eq!(sweep(&store, &root, 13).await, 1);
    assert_eq!(body(&store).await, None);
}

pub async fn what_a_delta_sees_is_no_longer_a_candidate_of_a_planned_sweep(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, vec![x("1")], None, t(1)).await;
    let mut root = next_cycle(&store, &root, 10).await;
    root.write(&store, entities(0, 2, 1), None, t(11)).await;
    root.settle(&store, Settlement::Done, t(12)).await;
    assert_eq!(plan(&store, &root, t(12), 1).await.candidates, 1);
    assert_eq!(
        write(&store, root.source(), seen(x("1"), t(13)), 14).await,
        DeltaOutcome::Unchanged
    );
    assert_eq!(sweep(&store, &root, 15).await, 0);
    assert_eq!(body(&store).await.as_deref(), Some("1"));
}

pub async fn a_delta_from_before_a_complete_cycle_began_comes_too_late(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    store.expect_deltas(root.source()).await.unwrap();
    root.write(&store, entities(0, 1, 1), None, t(1)).await;
    let mut root = next_cycle(&store, &root, 10).await;
    root.write(&store, entities(0, 1, 1), None, t(11)).await;
    root.settle(&store, Settlement::Done, t(12)).await;
    plan(&store, &root, t(12), 1).await;
    sweep(&store, &root, 13).await;
    assert_eq!(
        write(&store, root.source(), seen(x("1"), t(9)), 14).await,
        DeltaOutcome::Overtaken
    );
    assert_eq!(body(&store).await, None);
    assert_eq!(
        write(&store, root.source(), seen(x("1"), t(14)), 15).await,
        DeltaOutcome::Added
    );
}

pub async fn a_version_that_was_pushed_may_not_go_back(store: Arc<dyn Store>) {
    let id = add_source(&store, "s", 1).await;
    let upsert = |body: &str, version| pushed(DeltaChange::Upsert(x(body)), version);
    let remove = |version| pushed(DeltaChange::Remove(NAME.parse().unwrap()), version);
    assert_eq!(write(&store, id, upsert("2", Some(2)), 1).await, DeltaOutcome::Added);
    assert_eq!(
        write(&store, id, upsert("2", Some(2)), 2).await,
        DeltaOutcome::Unchanged
    );
    assert_eq!(write(&store, id, upsert("1", Some(1)), 3).await, DeltaOutcome::Outdated);
    assert_eq!(write(&store, id, remove(Some(1)), 4).await, DeltaOutcome::Outdated);
    assert_eq!(body(&store).await.as_deref(), Some("2"));
    assert_eq!(write(&store, id, upsert("2b", None), 5).await, DeltaOutcome::Modified);
    assert_eq!(write(&store, id, upsert("1", Some(1)), 6).await, DeltaOutcome::Outdated);
    assert_eq!(write(&store, id, remove(Some(3)), 7).await, DeltaOutcome::Removed);
    assert_eq!(write(&store, id, upsert("2", Some(2)), 8).await, DeltaOutcome::Outdated);
    assert_eq!(body(&store).await, None);
    assert_eq!(write(&store, id, upsert("4", Some(4)), 9).await, DeltaOutcome::Added);
}

pub async fn deltas_of_a_source_that_does_not_exist_are_refused(store: Arc<dyn Store>) {
    let error = store
        .write_deltas(SourceId(4_711), &[seen(x("1"), T0)], T0)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "source", .. }), "{error}");
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_deltas {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            deltas: deltas_add_modify_and_remove_with_changes_in_the_feed,
            deltas_of_callers_at_the_same_time_are_each_answered_with_their_own_outcome,
            an_older_page_leaves_what_a_delta_wrote_alone,
            a_page_that_began_to_be_read_after_a_delta_overwrites_it,
            a_delta_does_not_overwrite_what_a_page_read_later,
            a_delta_does_not_overwrite_what_an_unchanged_page_read_later,
            an_unchanged_page_does_not_hide_a_delta,
            a_page_that_is_called_unchanged_in_spite_of_a_delta_is_read_again,
            a_removal_by_event_wins_over_an_older_page_that_is_about_to_commit,
            of_two_deltas_the_one_that_began_later_wins,
            what_only_a_delta_saw_is_swept_by_a_complete_cycle_that_began_later,
            what_a_delta_sees_is_no_longer_a_candidate_of_a_planned_sweep,
            a_delta_from_before_a_complete_cycle_began_comes_too_late,
            a_version_that_was_pushed_may_not_go_back,
            deltas_of_a_source_that_does_not_exist_are_refused,
        );
    };
}
