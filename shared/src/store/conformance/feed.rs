//! Cases: the change feed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ingest::{catalog, last_sequence, next_cycle};
use super::{Reader, begin, claim_ingest, entities, entity, t};
use crate::store::{SourceCommand, Store};
use crate::words::{ChangeKind, Sequence};

pub async fn the_feed_holds_the_newest_state_of_each_entity_in_order(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 3, 1), None, t(1)).await;
    let mut root = next_cycle(&store, &root, 10).await;
    root.write(&store, [entities(0, 1, 2), entities(1, 2, 1)].concat(), None, t(11))
        .await;
    let feed = store.list_changes(Sequence(0), 10).await.unwrap();
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
    let first_two = store.list_changes(Sequence(0), 2).await.unwrap();
    assert_eq!(first_two.len(), 2);
    assert_eq!(
        &super::only(store.list_changes(first_two[1].sequence, 10).await.unwrap()),
        last
    );
    assert!(store.list_changes(Sequence(4), 10).await.unwrap().is_empty());
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
    let truth = store.list_changes(Sequence(0), 10_000).await.unwrap();
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

/// Writes pages of its own entities and of one that all tasks share; says how many changes that were.
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
    let mut after = Sequence(0);
    let mut seen = HashMap::new();
    loop {
        let last_look = over.load(Ordering::SeqCst);
        let changes = store.list_changes(after, 7).await.unwrap();
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
    let feed = store.list_changes(Sequence(0), 10).await.unwrap();
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
    assert_eq!(store.list_changes(Sequence(0), 10).await.unwrap().len(), 2);
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
    let feed = store.list_changes(Sequence(0), 10).await.unwrap();
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
            the_feed_names_a_source_that_is_forgotten,
        );
    };
}
