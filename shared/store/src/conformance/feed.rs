//! Cases: the change feed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ingest::{catalog, last_sequence, next_cycle};
use super::{Reader, begin, changes_after, claim_ingest, entities, entity, padded, t};
use crate::{FeedReading, SourceCommand, Store, StoreError};
use tideline_core::words::{Change, ChangeKind, FeedGap, FeedPosition, Sequence};

pub async fn the_feed_holds_the_newest_state_of_each_entity_in_order(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 3, 1), None, t(1)).await;
    let mut root = next_cycle(&store, &root, 10).await;
    root.write(&store, [entities(0, 1, 2), entities(1, 2, 1)].concat(), None, t(11))
        .await;
    let feed = changes_after(&store, 0, 10).await;
    assert_eq!(feed.len(), 3);
    assert!(feed.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    let last = feed.last().unwrap();
    assert_eq!(
        (last.sequence, last.change, last.changed_at),
        (Sequence(4), ChangeKind::Modified, t(11))
    );
    assert_eq!(
        (last.reference.as_str(), last.source.as_str()),
        ("component:default/c0000000", "s")
    );
    assert_eq!(last.body.as_deref(), Some("{\"n\":0,\"version\":2}"));
    let first_two = changes_after(&store, 0, 2).await;
    assert_eq!(first_two.len(), 2);
    assert_eq!(
        &super::only(changes_after(&store, first_two[1].sequence.0, 10).await),
        last
    );
    assert!(changes_after(&store, 4, 10).await.is_empty());
}

pub async fn a_reader_that_follows_misses_no_change_while_many_commit(store: Arc<dyn Store>) {
    const TASKS: u32 = 6;
    const PAGES: u32 = 12;
    let mut root = begin(&store, "s", TASKS).await;
    let keys: Vec<String> = (0..TASKS).map(|n| format!("p{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    root.reveal_and_finish(&store, &keys, t(1)).await;
    let children = claim_ingest(&store, "w", TASKS, t(2)).await;
    assert_eq!(children.len(), TASKS as usize);
    let over = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(follow(Arc::clone(&store), Arc::clone(&over)));
    let writers: Vec<_> = (0..TASKS)
        .zip(children)
        .map(|(task, job)| tokio::spawn(write_pages(Arc::clone(&store), task, Reader::new(job), PAGES)))
        .collect();
    let mut changes = 0;
    for writer in writers {
        changes += writer.await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    assert_eq!(
        last_sequence(&store).await,
        Sequence(changes),
        "each number belongs to one change"
    );
    let truth = changes_after(&store, 0, 10_000).await;
    assert_eq!(truth.len(), seen.len());
    for change in truth {
        assert_eq!(
            seen.get(change.reference.as_str()),
            change.body.as_ref(),
            "{}",
            change.reference
        );
    }
}

/// Writes pages of its own entities and of one that all tasks share; returns the number of changes.
async fn write_pages(store: Arc<dyn Store>, task: u32, mut reader: Reader, pages: u32) -> i64 {
    for page in 0..pages {
        let mut page_entities = entities(task * 1_000 + page * 5, 5, 1);
        page_entities.push(entity(
            "component:default/shared",
            &format!("{{\"by\":{task},\"page\":{page}}}"),
        ));
        reader.write(&store, page_entities, Some("1"), t(3)).await;
    }
    i64::try_from(reader.progress.added + reader.progress.modified).unwrap()
}

/// Follows the feed as a target does, from the last number seen; returns the newest body of each entity.
async fn follow(store: Arc<dyn Store>, over: Arc<AtomicBool>) -> HashMap<String, String> {
    let mut position = FeedPosition::START;
    let mut after = Sequence(0);
    let mut seen = HashMap::new();
    loop {
        let last_look = over.load(Ordering::SeqCst);
        let changes = read_on(&store, &mut position, 7).await;
        let nothing_new = changes.is_empty();
        for change in changes {
            assert!(change.sequence > after, "in order");
            after = change.sequence;
            seen.insert(change.reference.to_string(), change.body.unwrap());
        }
        if last_look && nothing_new {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

pub async fn old_tombstones_are_pruned_in_steps_and_nothing_else(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 5, 1), None, t(1)).await;
    store
        .command_source("s", SourceCommand::ResetAndDelete, t(2))
        .await
        .unwrap();
    assert_eq!(store.delete_source_entities("s", 3, t(10)).await.unwrap(), 2);
    assert_eq!(store.delete_source_entities("s", 3, t(20)).await.unwrap(), 0);
    assert!(catalog(&store).await.is_empty());
    let feed = changes_after(&store, 0, 10).await;
    assert_eq!(feed.len(), 5);
    assert!(
        feed.iter()
            .all(|change| change.change == ChangeKind::Removed && change.body.is_none())
    );
    assert_eq!(last_sequence(&store).await, Sequence(10));
    assert_eq!(store.prune_tombstones(t(10), 10).await.unwrap(), 0);
    assert_eq!(store.prune_tombstones(t(20), 2).await.unwrap(), 2);
    assert_eq!(store.prune_tombstones(t(20), 2).await.unwrap(), 1);
    assert_eq!(store.prune_tombstones(t(20), 2).await.unwrap(), 0);
    assert_eq!(changes_after(&store, 0, 10).await.len(), 2);
}

/// Five entities, of which three are removed at the moment 10 as the changes 6 to 8.
async fn three_of_five_removed(store: &Arc<dyn Store>) {
    let mut root = begin(store, "s", 1).await;
    root.write(store, entities(0, 5, 1), None, t(1)).await;
    remove_three(store).await;
}

async fn remove_three(store: &Arc<dyn Store>) {
    let reset = SourceCommand::ResetAndDelete;
    store.command_source("s", reset, t(2)).await.unwrap();
    assert_eq!(store.delete_source_entities("s", 3, t(10)).await.unwrap(), 2);
}

/// The next changes of a reader, which may go on.
async fn read_on(store: &Arc<dyn Store>, position: &mut FeedPosition, limit: u32) -> Vec<Change> {
    let reading = store.list_changes(*position, limit).await.unwrap();
    *position = reading.next;
    reading.changes
}

/// Why a reader may not go on.
async fn gap(store: &Arc<dyn Store>, position: FeedPosition) -> FeedGap {
    match store.list_changes(position, 10).await {
        Err(StoreError::StartOver(gap)) => gap,
        answer => panic!("{position}: {answer:?}"),
    }
}

pub async fn a_reader_that_missed_a_pruned_tombstone_is_told_to_start_over(store: Arc<dyn Store>) {
    three_of_five_removed(&store).await;
    assert_eq!(changes_after(&store, 5, 10).await.len(), 3, "nothing is pruned yet");
    assert_eq!(store.prune_tombstones(t(20), 2).await.unwrap(), 2);
    assert_eq!(store.prune_tombstones(t(20), 2).await.unwrap(), 1);
    for after in [1, 5, 7] {
        let after = FeedPosition::after(Sequence(after));
        let pruned_to = Sequence(8);
        assert_eq!(gap(&store, after).await, FeedGap::Pruned { after, pruned_to });
    }
    assert!(changes_after(&store, 8, 10).await.is_empty());
    let mut position = FeedPosition::START;
    assert_eq!(read_on(&store, &mut position, 10).await.len(), 2);
    let end = FeedPosition::after(Sequence(8));
    assert_eq!(position, end, "it is at the end, though no change says so");
    // An older tombstone that is pruned later does not make the store forget the newer one.
    assert_eq!(store.delete_source_entities("s", 1, t(40)).await.unwrap(), 1);
    assert_eq!(store.delete_source_entities("s", 1, t(30)).await.unwrap(), 0);
    for (before, left) in [(35, 1), (45, 0)] {
        assert_eq!(store.prune_tombstones(t(before), 10).await.unwrap(), 1);
        assert_eq!(changes_after(&store, 0, 10).await.len(), left);
        let after = FeedPosition::after(Sequence(9));
        let pruned_to = Sequence(10);
        assert_eq!(gap(&store, after).await, FeedGap::Pruned { after, pruned_to });
    }
}

pub async fn a_first_reading_is_not_disturbed_by_what_was_removed_before_it_began(store: Arc<dyn Store>) {
    three_of_five_removed(&store).await;
    let mut early = FeedPosition::START;
    assert_eq!(read_on(&store, &mut early, 1).await.len(), 1);
    assert_eq!(store.prune_tombstones(t(20), 10).await.unwrap(), 3);
    let all = store.list_changes(FeedPosition::START, 10).await.unwrap();
    let next: Vec<_> = all.each(FeedPosition::START).map(|(_, next)| next).collect();
    assert_eq!(next, [early, FeedPosition::after(Sequence(8))]);
    let mut late = FeedPosition::START;
    assert_eq!(read_on(&store, &mut late, 1).await.len(), 1);
    assert_eq!(early, late);
    assert!(
        late.sequence() < Sequence(8) && late.complete_to() == Sequence(8),
        "{late}"
    );
    assert_eq!(read_on(&store, &mut late, 1).await.len(), 1);
    assert!(read_on(&store, &mut late, 1).await.is_empty());
    assert_eq!(late, FeedPosition::after(Sequence(8)));
}

pub async fn a_first_reading_that_rests_while_tombstones_come_and_go_starts_over(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 5, 1), None, t(1)).await;
    let mut position = FeedPosition::START;
    assert_eq!(read_on(&store, &mut position, 2).await.len(), 2);
    assert_eq!(position, FeedPosition::in_first_reading(Sequence(2), Sequence(5)));
    remove_three(&store).await;
    assert_eq!(store.prune_tombstones(t(20), 10).await.unwrap(), 3);
    let (after, pruned_to) = (position, Sequence(8));
    let rest = FeedReading {
        changes: changes_after(&store, 0, 2).await,
        next: FeedPosition::after(Sequence(8)),
        more: false,
    };
    let (_, next) = rest.each(position).next().unwrap();
    assert_eq!(next.complete_to(), Sequence(5), "it began before the removals");
    assert_eq!(gap(&store, position).await, FeedGap::Pruned { after, pruned_to });
}

pub async fn a_reading_of_the_feed_ends_where_its_bodies_are_large(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, padded(0, 5, 3 << 20), None, t(1)).await;
    let first = store.list_changes(FeedPosition::START, 10).await.unwrap();
    assert_eq!((first.changes.len(), first.more), (3, true), "9 MiB");
    assert_eq!(first.next, FeedPosition::in_first_reading(Sequence(3), Sequence(5)));
    let rest = store.list_changes(first.next, 10).await.unwrap();
    assert_eq!((rest.changes.len(), rest.more), (2, false));
    assert_eq!(rest.next, FeedPosition::after(Sequence(5)));
}

pub async fn a_reader_ahead_of_the_feed_is_told_to_start_over(store: Arc<dyn Store>) {
    let ahead = |after, last| {
        let last = Sequence(last);
        FeedGap::Ahead { after, last }
    };
    let one = FeedPosition::after(Sequence(1));
    assert_eq!(gap(&store, one).await, ahead(one, 0));
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 3, 1), None, t(1)).await;
    assert_eq!(changes_after(&store, 1, 10).await.len(), 2);
    assert!(changes_after(&store, 3, 10).await.is_empty(), "at the end it waits");
    let four = FeedPosition::after(Sequence(4));
    assert_eq!(gap(&store, four).await, ahead(four, 3));
    let first_reading = FeedPosition::in_first_reading(Sequence(1), Sequence(4));
    assert_eq!(gap(&store, first_reading).await, ahead(first_reading, 3));
}

pub async fn the_feed_names_a_source_that_is_forgotten(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 2, 1), None, t(1)).await;
    store.sync_sources(&[], t(2)).await.unwrap();
    store
        .command_source("s", SourceCommand::ResetAndDelete, t(3))
        .await
        .unwrap();
    assert_eq!(store.delete_source_entities("s", 10, t(4)).await.unwrap(), 0);
    assert!(store.find_source("s").await.unwrap().is_none());
    assert!(store.list_sources().await.unwrap().is_empty());
    let feed = changes_after(&store, 0, 10).await;
    let told: Vec<_> = feed
        .iter()
        .map(|change| (change.source.as_str(), change.change))
        .collect();
    assert_eq!(told, [("s", ChangeKind::Removed), ("s", ChangeKind::Removed)]);
    // It comes back as a new one.
    let sync = store.sync_sources(&[super::spec("s", 1)], t(5)).await.unwrap();
    assert_eq!(sync.added, ["s"]);
    super::start_cycle(&store, t(6)).await;
    let mut root = Reader::new(super::only(claim_ingest(&store, "w", 1, t(6)).await));
    root.write(&store, entities(0, 2, 1), None, t(7)).await;
    assert_eq!(root.progress.added, 2);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_feed {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            feed: the_feed_holds_the_newest_state_of_each_entity_in_order,
            a_reader_that_follows_misses_no_change_while_many_commit,
            old_tombstones_are_pruned_in_steps_and_nothing_else,
            a_reader_that_missed_a_pruned_tombstone_is_told_to_start_over,
            a_first_reading_is_not_disturbed_by_what_was_removed_before_it_began,
            a_reading_of_the_feed_ends_where_its_bodies_are_large,
            a_first_reading_that_rests_while_tombstones_come_and_go_starts_over,
            a_reader_ahead_of_the_feed_is_told_to_start_over,
            the_feed_names_a_source_that_is_forgotten,
        );
    };
}
