//! Cases: page commits.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Reader, T0, begin, changes_after, child, claim_ingest, claim_one, entities, job, new_job, only, padded, source,
    start_cycle, t, touched, written, written_with,
};
use crate::{EntityFilter, SourceCommand, Store};
use tideline_core::rules;
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{ChangeKind, Commit, CycleEnd, CycleState, Progress, Sequence, Settlement, Timestamp};

/// References of the live entities, in order.
pub(super) async fn catalog(store: &Arc<dyn Store>) -> Vec<String> {
    let filter = EntityFilter {
        limit: 1_000,
        ..Default::default()
    };
    let listed = store.list_entities(&filter).await.unwrap();
    listed.into_iter().map(|entity| entity.reference.to_string()).collect()
}

/// The last sequence number given.
pub(super) async fn last_sequence(store: &Arc<dyn Store>) -> Sequence {
    store.stats(T0).await.unwrap().last_sequence
}

/// Ends the running cycle of this partition without a sweep and starts the next one; its root is claimed by `w`.
pub(super) async fn next_cycle(store: &Arc<dyn Store>, before: &Reader, at: i64) -> Reader {
    let end = CycleEnd {
        state: CycleState::Incomplete,
        reason: None,
        next_cycle_at: Some(t(at)),
    };
    assert!(
        store
            .end_cycle(before.source(), before.cycle(), &end, t(at))
            .await
            .unwrap()
    );
    start_cycle(store, t(at)).await;
    Reader::new(only(claim_ingest(store, "w", 1, t(at)).await))
}

pub async fn a_commit_returns_to_rung_zero(store: Arc<dyn Store>) {
    /// Its attempt failed for the second time, and it was claimed again.
    async fn on_rung_two(store: &Arc<dyn Store>, reader: &Reader, at: Timestamp) -> Reader {
        let retry = Settlement::Retry {
            due_at: at,
            rung: 2,
            error: "e".to_owned(),
        };
        reader.settle(store, retry, at).await;
        let again = Reader::new(only(claim_ingest(store, "w", 1, at).await));
        assert_eq!(again.job.rung, 2);
        again
    }
    let first = begin(&store, "s", 1).await;
    let mut first = on_rung_two(&store, &first, t(1)).await;
    first.write(&store, entities(0, 1, 1), None, t(1)).await;
    assert_eq!(job(&store, first.job.id).await.rung, 0, "written");
    let second = next_cycle(&store, &first, 10).await;
    let mut second = on_rung_two(&store, &second, t(11)).await;
    let memories = store.list_page_memories(second.job.id, 0, 10).await.unwrap();
    second
        .commit(&store, memories.into_iter().map(touched).collect(), None, t(11))
        .await;
    assert_eq!(job(&store, second.job.id).await.rung, 0, "touched");
}

pub async fn a_page_is_committed_with_entities_cursor_and_progress(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 3, 1), Some("{\"after\":3}"), t(1)).await;
    assert_eq!(catalog(&store).await.len(), 3);
    let row = job(&store, root.job.id).await;
    assert_eq!(row.cursor.as_deref(), Some("{\"after\":3}"));
    let stored: tideline_core::words::Progress = serde_json::from_str(&row.progress.unwrap()).unwrap();
    assert_eq!(stored, root.progress);
    assert_eq!(
        (stored.next_page, stored.pages, stored.entities, stored.added),
        (1, 1, 3, 3)
    );
    assert!(!stored.finished);
    root.write(&store, entities(3, 2, 1), None, t(2)).await;
    assert!(root.progress.finished);
    assert_eq!((root.progress.next_page, root.progress.entities), (2, 5));
    assert_eq!(last_sequence(&store).await, Sequence(5));
    assert_eq!(source(&store, "s").await.entities, 5);
}

pub async fn several_pages_are_committed_together(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let pages = vec![
        written(0, entities(0, 3, 1)),
        written(1, entities(3, 3, 1)),
        written(2, entities(6, 1, 1)),
    ];
    root.commit(&store, pages, Some("3"), t(1)).await;
    assert_eq!(
        (root.progress.next_page, root.progress.pages, root.progress.added),
        (3, 3, 7)
    );
    let memories = store.list_page_memories(root.job.id, 0, 10).await.unwrap();
    assert_eq!(
        memories.iter().map(|m| (m.page, m.entities)).collect::<Vec<_>>(),
        [(0, 3), (1, 3), (2, 1)]
    );
    assert_eq!(catalog(&store).await.len(), 7);
}

pub async fn bodies_of_every_size_are_stored_as_they_are(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let mut all = vec![];
    for (page, (count, bytes)) in [(3, 0), (200, 1_000), (300, 2_000), (2, 300_000), (1, 2_000_000)]
        .into_iter()
        .enumerate()
    {
        let page = padded(1_000 * u32::try_from(page).unwrap(), count, bytes);
        all.extend(page.clone());
        root.write(&store, page, Some("next"), t(1)).await;
    }
    let filter = EntityFilter {
        limit: 1_000,
        ..Default::default()
    };
    let stored = store.list_entities(&filter).await.unwrap();
    assert_eq!(stored.len(), all.len());
    for (stored, given) in stored.iter().zip(&all) {
        assert_eq!(stored.reference, given.reference);
        assert!(stored.body == given.body, "{} has another body", given.reference);
    }
}

pub async fn a_batch_that_is_sent_again_is_answered_as_the_first_time(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let batch = root.batch(vec![written(0, entities(0, 3, 1))], Some("1"));
    let first = store.commit_pages(&batch, t(1)).await.unwrap();
    let second = store.commit_pages(&batch, t(2)).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(last_sequence(&store).await, Sequence(3));
    let Commit::Committed { progress, .. } = first else {
        panic!("the lease holds");
    };
    root.progress = progress;
    // The same for unchanged pages.
    let root = next_cycle(&store, &root, 10).await;
    let memory = only(store.list_page_memories(root.job.id, 0, 5).await.unwrap());
    let batch = root.batch(vec![touched(memory)], Some("1"));
    let first = store.commit_pages(&batch, t(11)).await.unwrap();
    assert_eq!(store.commit_pages(&batch, t(12)).await.unwrap(), first);
}

pub async fn another_batch_at_an_old_place_is_an_error_and_writes_nothing(store: Arc<dyn Store>) {
    let root = begin(&store, "s", 1).await;
    let batch = root.batch(vec![written(0, entities(0, 3, 1))], Some("1"));
    store.commit_pages(&batch, t(1)).await.unwrap();
    let others = [
        root.batch(vec![written(0, entities(3, 3, 1))], None),
        root.batch(
            vec![written(0, entities(3, 1, 1)), written(1, entities(4, 1, 1))],
            Some("1"),
        ),
    ];
    for other in others {
        let error = store.commit_pages(&other, t(2)).await.unwrap_err();
        assert!(!error.may_retry(), "{error}");
    }
    assert_eq!(last_sequence(&store).await, Sequence(3));
}

pub async fn an_entity_on_several_pages_of_a_batch_changes_once_at_most(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 2, 1), Some("1"), t(1)).await;
    let counts = |progress: &Progress| (progress.added, progress.modified, progress.unchanged);
    // Something else for a moment, and then as it was: no change.
    let pages = vec![written(1, entities(0, 2, 2)), written(2, entities(0, 2, 1))];
    root.commit(&store, pages, Some("3"), t(2)).await;
    assert_eq!(counts(&root.progress), (2, 0, 4));
    assert_eq!(last_sequence(&store).await, Sequence(2));
    let pages = vec![written(3, entities(0, 3, 2)), written(4, entities(0, 3, 3))];
    root.commit(&store, pages, Some("5"), t(3)).await;
    assert_eq!(counts(&root.progress), (3, 2, 7));
    assert_eq!(last_sequence(&store).await, Sequence(5), "as many as were counted");
    let filter = EntityFilter {
        limit: 10,
        ..Default::default()
    };
    for entity in store.list_entities(&filter).await.unwrap() {
        assert!(entity.body.contains("\"version\":3"), "{entity:?}");
    }
}

pub async fn a_lost_lease_commits_nothing(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 2, 1), Some("1"), t(1)).await;
    let memory = only(store.list_page_memories(root.job.id, 0, 5).await.unwrap());
    let policy = RescuePolicy {
        free: 3,
        delay: Duration::ZERO,
        park_after: 10,
    };
    assert_eq!(store.rescue(policy, 10, t(60_000)).await.unwrap().jobs.len(), 1);
    let taken = Reader::new(only(claim_ingest(&store, "other", 1, t(60_001)).await));
    let before = job(&store, root.job.id).await;

    let pages = vec![written_with(1, entities(2, 2, 1), vec![child("c")], vec![], vec![])];
    assert_eq!(
        root.commit(&store, pages, Some("2"), t(60_002)).await,
        Commit::LeaseLost
    );
    let mut touching = root.batch(vec![touched(memory)], None);
    touching.progress.next_page = 0;
    assert_eq!(
        store.commit_pages(&touching, t(60_003)).await.unwrap(),
        Commit::LeaseLost
    );
    assert_eq!(
        store.restart_partition(root.job.lease(), t(60_004)).await.unwrap(),
        Commit::LeaseLost
    );

    let after = job(&store, root.job.id).await;
    assert_eq!((&after.cursor, &after.progress), (&before.cursor, &before.progress));
    assert_eq!(after.token, taken.job.token);
    assert_eq!(catalog(&store).await.len(), 2);
    assert_eq!(last_sequence(&store).await, Sequence(2));
    assert_eq!(store.list_page_memories(root.job.id, 0, 5).await.unwrap().len(), 1);
}

pub async fn a_cancelled_cycle_commits_nothing_more(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 2, 1), Some("1"), t(1)).await;
    store.command_source("s", SourceCommand::Cancel, t(2)).await.unwrap();
    let commit = root
        .commit(&store, vec![written(1, entities(2, 2, 1))], Some("2"), t(3))
        .await;
    assert_eq!(commit, Commit::LeaseLost);
    assert_eq!(catalog(&store).await.len(), 2);
}

pub async fn a_token_of_another_job_kind_commits_nothing(store: Arc<dyn Store>) {
    let root = begin(&store, "s", 1).await;
    super::enqueue(&store, new_job("other", "{}"), T0).await;
    let other = claim_one(&store, "w", T0).await;
    let mut batch = root.batch(vec![written(0, entities(0, 2, 1))], None);
    batch.lease = other.lease();
    assert_eq!(store.commit_pages(&batch, t(1)).await.unwrap(), Commit::LeaseLost);
    assert!(catalog(&store).await.is_empty());
}

pub async fn equal_entities_change_nothing_and_others_are_modified(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 4, 1), None, t(1)).await;
    let mut root = next_cycle(&store, &root, 10).await;
    let mut page = entities(0, 3, 1);
    page.extend(entities(3, 1, 2));
    page.extend(entities(4, 1, 1));
    root.write(&store, page, None, t(11)).await;
    let progress = root.progress;
    assert_eq!(
        (progress.entities, progress.added, progress.modified, progress.unchanged),
        (5, 1, 1, 3)
    );
    assert_eq!(last_sequence(&store).await, Sequence(6));
    let changes = changes_after(&store, 4, 10).await;
    let mut kinds: Vec<_> = changes
        .iter()
        .map(|c| (c.change, c.reference.as_str().to_owned()))
        .collect();
    kinds.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(
        kinds,
        [
            (ChangeKind::Modified, "component:default/c0000003".to_owned()),
            (ChangeKind::Added, "component:default/c0000004".to_owned()),
        ]
    );
    assert_eq!(source(&store, "s").await.entities, 5);
}

pub async fn a_restart_keeps_marks_and_goes_on_counting_pages(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 2, 1), Some("1"), t(1)).await;
    root.write(&store, entities(2, 2, 1), Some("2"), t(2)).await;
    assert_eq!(root.progress.kept_cursor, Some(rules::fingerprint(b"2")));
    let Commit::Committed { progress, .. } = store.restart_partition(root.job.lease(), t(3)).await.unwrap() else {
        panic!("the lease holds");
    };
    assert_eq!((progress.restarts, progress.next_page, progress.pages), (1, 2, 2));
    assert_eq!(progress.kept_cursor, None, "the same cursors come again");
    assert!(!progress.finished);
    assert_eq!(job(&store, root.job.id).await.cursor, None);
    root.progress = progress;
    // Of the four entities the source now shows two; the others were seen in this cycle and stay.
    root.write(&store, entities(0, 2, 1), None, t(4)).await;
    assert_eq!(root.progress.next_page, 3);
    root.settle(&store, Settlement::Done, t(5)).await;
    assert_eq!(super::sweep::plan(&store, &root, t(6), 1).await.candidates, 0);
    assert_eq!(catalog(&store).await.len(), 4);
}

pub async fn a_commit_says_that_the_source_is_held_back_or_paused(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let said = |commit: Commit| match commit {
        Commit::Committed { hold_until, paused, .. } => (hold_until, paused),
        Commit::LeaseLost | Commit::ReadAgain => panic!("the lease holds"),
    };
    let page = |n: u32| vec![written(n, entities(n, 1, 1))];
    assert_eq!(said(root.commit(&store, page(0), Some("1"), t(1)).await), (None, false));
    store.hold_back(root.source(), t(100)).await.unwrap();
    store.hold_back(root.source(), t(50)).await.unwrap();
    assert_eq!(
        said(root.commit(&store, page(1), Some("2"), t(2)).await),
        (Some(t(100)), false)
    );
    store.command_source("s", SourceCommand::Pause, t(3)).await.unwrap();
    assert_eq!(
        said(root.commit(&store, page(2), Some("3"), t(200)).await),
        (None, true)
    );
}

pub async fn children_are_revealed_exactly_once_per_cycle(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    let page = |n: u32| vec![written_with(n, vec![], vec![child("a"), child("b")], vec![], vec![])];
    root.commit(&store, page(0), Some("1"), t(1)).await;
    let first = only(claim_ingest(&store, "w", 1, t(2)).await);
    assert_eq!(first.key, "s/a");
    let args: serde_json::Value = serde_json::from_str(&first.args).unwrap();
    assert_eq!(args, serde_json::json!({ "partition": "a", "args": { "of": "a" } }));
    let reader = Reader::new(first);
    reader.settle(&store, Settlement::Done, t(3)).await;
    // Revealed again by another page of the same cycle: not opened again.
    root.commit(&store, page(1), None, t(4)).await;
    let left = claim_ingest(&store, "w", 10, t(5)).await;
    assert_eq!(left.iter().map(|job| job.key.as_str()).collect::<Vec<_>>(), ["s/b"]);
    Reader::new(only(left)).settle(&store, Settlement::Done, t(6)).await;
    root.settle(&store, Settlement::Done, t(7)).await;

    // The next cycle reveals them by an unchanged page, with fresh cursors and tokens that only rise.
    let mut root = next_cycle(&store, &root, 10).await;
    let memories = store.list_page_memories(root.job.id, 0, 10).await.unwrap();
    root.commit(&store, memories.into_iter().map(touched).collect(), None, t(11))
        .await;
    let again = claim_ingest(&store, "w", 10, t(12)).await;
    assert_eq!(
        again.iter().map(|job| job.key.as_str()).collect::<Vec<_>>(),
        ["s/a", "s/b"]
    );
    assert_eq!(again[0].id, reader.job.id);
    assert!(again[0].token > reader.job.token);
    assert_eq!(
        (
            again[0].cursor.as_deref(),
            again[0].progress.as_deref(),
            again[0].attempt
        ),
        (None, None, 1)
    );
    assert_eq!(again[0].cycle, Some(root.cycle()));
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_ingest {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            ingest: a_page_is_committed_with_entities_cursor_and_progress,
            several_pages_are_committed_together,
            a_commit_returns_to_rung_zero,
            bodies_of_every_size_are_stored_as_they_are,
            a_batch_that_is_sent_again_is_answered_as_the_first_time,
            another_batch_at_an_old_place_is_an_error_and_writes_nothing,
            an_entity_on_several_pages_of_a_batch_changes_once_at_most,
            a_lost_lease_commits_nothing,
            a_cancelled_cycle_commits_nothing_more,
            a_token_of_another_job_kind_commits_nothing,
            equal_entities_change_nothing_and_others_are_modified,
            a_restart_keeps_marks_and_goes_on_counting_pages,
            a_commit_says_that_the_source_is_held_back_or_paused,
            children_are_revealed_exactly_once_per_cycle,
        );
    };
}
