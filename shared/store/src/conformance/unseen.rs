//! Cases: removal of entities that a reading outside of cycles no longer shows; and what must stay.

use std::sync::Arc;

use super::deltas::{gone, seen};
use super::ingest::{catalog, next_cycle};
use super::{
    Reader, begin, changes_after, claim_ingest, entities, made_by, only, read_at, source, t, touched, written,
};
use crate::Store;
use tideline_core::rules::RemovalGuard;
use tideline_core::words::{
    ChangeKind, Commit, Delta, DeltaOutcome, Dropped, Entity, KeyHash, Origin, Settlement, SourceId, item_hash,
};

fn part(job: &str) -> Origin {
    Origin {
        partition: Some(job.into()),
        item: None,
        entity: None,
    }
}

fn item(name: &str) -> KeyHash {
    item_hash("things", [("name", name)])
}

fn of_item(name: &str) -> Origin {
    Origin {
        partition: Some("s".into()),
        item: Some(item(name)),
        entity: None,
    }
}

/// The item of this name on the list of a partition, whose entity has this number.
fn naming(partition: Option<&str>, name: &str, number: u32) -> Origin {
    Origin {
        partition: partition.map(str::to_owned),
        item: Some(item(name)),
        entity: Some(one(number).key_hash),
    }
}

fn one(number: u32) -> Entity {
    only(entities(number, 1, 1))
}

/// Writes what a reading of the origin that began then shows.
async fn reading(
    store: &Arc<dyn Store>,
    id: SourceId,
    origin: &Origin,
    shown: &[u32],
    began: i64,
) -> Vec<DeltaOutcome> {
    store.expect_deltas(id).await.unwrap();
    let deltas: Vec<Delta> = shown.iter().map(|number| seen(one(*number), t(began))).collect();
    let hash = Some(origin.hash());
    store.write_reading(id, hash, &deltas, t(began + 1)).await.unwrap()
}

async fn dropped(store: &Arc<dyn Store>, id: SourceId, origin: &Origin, since: i64) -> Dropped {
    store
        .drop_unseen(id, origin, t(since), None, t(since + 2))
        .await
        .unwrap()
}

/// Reads an origin completely.
async fn read(store: &Arc<dyn Store>, id: SourceId, origin: &Origin, shown: &[u32], began: i64) -> u64 {
    reading(store, id, origin, shown, began).await;
    dropped(store, id, origin, began).await.removed
}

async fn names(store: &Arc<dyn Store>) -> Vec<u32> {
    let catalog = catalog(store).await;
    let number = |reference: &String| {
        let digits = reference.trim_start_matches("component:default/c");
        digits.get(..7).unwrap().parse().unwrap()
    };
    catalog.iter().map(number).collect()
}

/// A source whose one page, read at 1, holds the entities 0 to 3; its cycle is over.
async fn one_page(store: &Arc<dyn Store>) -> Reader {
    let mut root = begin(store, "s", 1).await;
    root.commit(store, vec![read_at(written(0, entities(0, 4, 1)), t(1))], None, t(2))
        .await;
    root.settle(store, Settlement::Done, t(3)).await;
    root
}

/// A source whose partitions a and b, read at 2, hold the entities 0 and 1, and 1 and 2.
async fn two_partitions(store: &Arc<dyn Store>) -> SourceId {
    let mut root = begin(store, "s", 4).await;
    root.reveal_and_finish(store, &["a", "b"], t(1)).await;
    let mut jobs = claim_ingest(store, "w", 2, t(2)).await;
    jobs.sort_by(|a, b| a.key.cmp(&b.key));
    for (job, first) in jobs.into_iter().zip([0, 1]) {
        let mut reader = Reader::new(job);
        let page = read_at(written(0, entities(first, 2, 1)), t(2));
        reader.commit(store, vec![page], None, t(3)).await;
        reader.settle(store, Settlement::Done, t(4)).await;
    }
    root.source()
}

pub async fn what_a_partition_no_longer_shows_goes_with_its_reading(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    assert_eq!(read(&store, root.source(), &part("s"), &[0, 7], 10).await, 3);
    assert_eq!(names(&store).await, [0, 7]);
    assert_eq!(source(&store, "s").await.entities, 2);
    let told = changes_after(&store, 4, 10).await;
    let removed = told.iter().filter(|change| change.change == ChangeKind::Removed);
    assert_eq!(removed.count(), 3);
    // What only a reading showed goes with the next one; and the same again is nothing.
    assert_eq!(read(&store, root.source(), &part("s"), &[0], 20).await, 1);
    assert_eq!(read(&store, root.source(), &part("s"), &[0], 30).await, 0);
    // The next cycle agrees: nothing is missed any more.
    let mut root = next_cycle(&store, &root, 40).await;
    root.commit(&store, vec![read_at(written(0, entities(0, 1, 1)), t(41))], None, t(42))
        .await;
    assert_eq!(names(&store).await, [0]);
}

pub async fn partitions_are_listed_by_what_their_keys_begin_with(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    root.reveal_and_finish(&store, &["files/a/1", "files/a/2", "files/ab/1", "links/a/1"], t(1))
        .await;
    let listed = async |prefix: &str, limit| {
        let found = store.list_partitions(root.source(), prefix, None, limit).await.unwrap();
        found.into_iter().map(|partition| partition.key).collect::<Vec<_>>()
    };
    assert_eq!(listed("files/a/", 10).await, ["files/a/1", "files/a/2"]);
    assert_eq!(listed("files/a/", 1).await, ["files/a/1"]);
    let rest = store
        .list_partitions(root.source(), "files/a", Some("files/a/1"), 10)
        .await
        .unwrap();
    assert_eq!(
        rest.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(),
        ["files/a/2", "files/ab/1"]
    );
    assert_eq!(listed("links/a/1", 10).await, ["links/a/1"]);
    assert_eq!(listed("links/b", 10).await, [""; 0]);
    let args = store.list_partitions(root.source(), "links/", None, 1).await.unwrap();
    assert_eq!(args[0].args, super::child("links/a/1").args);
}

pub async fn what_another_partition_shows_too_stays(store: Arc<dyn Store>) {
    let id = two_partitions(&store).await;
    assert_eq!(read(&store, id, &part("s/a"), &[], 10).await, 1);
    assert_eq!(names(&store).await, [1, 2]);
    assert_eq!(
        read(&store, id, &part("s/b"), &[2], 20).await,
        0,
        "a still has it on its page"
    );
}

pub async fn what_moved_to_another_partition_stays_whichever_is_read_first(store: Arc<dyn Store>) {
    let id = two_partitions(&store).await;
    // 0 moved from a to b, and b is read first.
    assert_eq!(read(&store, id, &part("s/b"), &[0, 1, 2], 10).await, 0);
    assert_eq!(read(&store, id, &part("s/a"), &[1], 12).await, 0);
    assert_eq!(names(&store).await, [0, 1, 2]);
    // 2 moves from b to a, and b is read first: it is gone until a is read.
    assert_eq!(read(&store, id, &part("s/b"), &[0, 1], 20).await, 1);
    assert_eq!(read(&store, id, &part("s/a"), &[1, 2], 22).await, 0);
    assert_eq!(names(&store).await, [0, 1, 2]);
}

pub async fn what_two_origins_showed_is_not_removed_for_one_of_them(store: Arc<dyn Store>) {
    let id = two_partitions(&store).await;
    reading(&store, id, &part("s/a"), &[7], 10).await;
    reading(&store, id, &part("s/b"), &[7], 11).await;
    assert_eq!(read(&store, id, &part("s/b"), &[1, 2], 20).await, 0);
    assert!(names(&store).await.contains(&7));
}

pub async fn an_item_takes_along_what_it_made_and_nothing_of_its_neighbours(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let page = made_by(
        written(0, entities(0, 4, 1)),
        &[item("a"), item("a"), item("b"), KeyHash(0)],
    );
    root.commit(&store, vec![read_at(page, t(1))], None, t(2)).await;
    let id = root.source();
    assert_eq!(read(&store, id, &of_item("a"), &[1], 10).await, 1);
    assert_eq!(names(&store).await, [1, 2, 3]);
    // What is gone altogether.
    assert_eq!(read(&store, id, &of_item("b"), &[], 20).await, 1);
    // What it gained between cycles, and lost again.
    assert_eq!(read(&store, id, &of_item("a"), &[1, 8], 30).await, 0);
    assert_eq!(read(&store, id, &of_item("a"), &[1], 40).await, 1);
    assert_eq!(names(&store).await, [1, 3]);
    assert_eq!(read(&store, id, &of_item("nobody"), &[], 50).await, 0);
}

pub async fn a_page_without_makers_is_left_to_the_next_cycle(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    assert_eq!(read(&store, root.source(), &of_item("a"), &[0], 10).await, 0);
    assert_eq!(names(&store).await, [0, 1, 2, 3]);
}

pub async fn a_page_that_was_read_later_keeps_what_it_shows(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    let mut root = next_cycle(&store, &root, 10).await;
    reading(&store, root.source(), &part("s"), &[0], 11).await;
    let page = read_at(written(0, entities(0, 4, 1)), t(12));
    root.commit(&store, vec![page], None, t(13)).await;
    assert_eq!(dropped(&store, root.source(), &part("s"), 11).await.removed, 0);
    assert_eq!(names(&store).await, [0, 1, 2, 3]);
}

pub async fn a_page_that_was_read_before_does_not_bring_back_what_was_dropped(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    let mut root = next_cycle(&store, &root, 10).await;
    assert_eq!(read(&store, root.source(), &part("s"), &[0, 1, 2], 12).await, 1);
    let page = read_at(written(0, entities(0, 4, 1)), t(11));
    root.commit(&store, vec![page], Some("1"), t(15)).await;
    assert_eq!(names(&store).await, [0, 1, 2]);
    // One that was read later does.
    let page = read_at(written(1, entities(0, 4, 1)), t(16));
    root.commit(&store, vec![page], None, t(17)).await;
    assert_eq!(names(&store).await, [0, 1, 2, 3]);
}

pub async fn an_unchanged_page_does_not_hide_that_something_was_dropped(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    let mut root = next_cycle(&store, &root, 10).await;
    let memory = only(store.list_page_memories(root.job.id, 0, 10).await.unwrap());
    assert_eq!(read(&store, root.source(), &part("s"), &[0, 1, 2], 12).await, 1);
    let batch = root.batch(vec![read_at(touched(memory), t(14))], None);
    assert_eq!(store.commit_pages(&batch, t(15)).await.unwrap(), Commit::ReadAgain);
    let page = read_at(written(0, entities(0, 4, 1)), t(16));
    root.commit(&store, vec![page], None, t(17)).await;
    assert_eq!(names(&store).await, [0, 1, 2, 3]);
}

pub async fn a_reading_from_before_another_one_removes_nothing_that_it_saw(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    let id = root.source();
    // The later reading is written first.
    reading(&store, id, &part("s"), &[0, 1, 2, 3], 12).await;
    assert_eq!(
        reading(&store, id, &part("s"), &[0], 11).await,
        [DeltaOutcome::Overtaken]
    );
    assert_eq!(dropped(&store, id, &part("s"), 11).await.removed, 0);
    assert_eq!(names(&store).await, [0, 1, 2, 3]);
}

pub async fn a_reading_from_before_a_complete_cycle_began_removes_nothing(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    store.expect_deltas(root.source()).await.unwrap();
    let mut root = next_cycle(&store, &root, 10).await;
    root.commit(&store, vec![read_at(written(0, entities(0, 4, 1)), t(11))], None, t(12))
        .await;
    root.settle(&store, Settlement::Done, t(12)).await;
    super::sweep::plan(&store, &root, t(13), 1).await;
    assert_eq!(dropped(&store, root.source(), &part("s"), 9).await.removed, 0);
    assert_eq!(names(&store).await, [0, 1, 2, 3]);
}

pub async fn the_guard_of_the_source_holds_a_drop_that_is_too_large(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    let id = root.source();
    let guard = |percent| {
        Some(RemovalGuard {
            reject_above_percent: Some(percent),
            reject_empty: true,
        })
    };
    reading(&store, id, &part("s"), &[0, 1, 2], 10).await;
    let held = store
        .drop_unseen(id, &part("s"), t(10), guard(20.0), t(11))
        .await
        .unwrap();
    assert!(
        held.removed == 0 && held.held.as_deref().is_some_and(|why| why.contains("25.0 %")),
        "{held:?}"
    );
    assert_eq!(names(&store).await, [0, 1, 2, 3]);
    let done = store
        .drop_unseen(id, &part("s"), t(10), guard(25.0), t(11))
        .await
        .unwrap();
    assert_eq!(done, Dropped { removed: 1, held: None });
    let all = store
        .drop_unseen(id, &part("s"), t(20), guard(100.0), t(21))
        .await
        .unwrap();
    assert!(
        all.removed == 0 && all.held.is_some(),
        "an empty source is held: {all:?}"
    );
}

pub async fn what_a_reading_removed_and_another_brings_back_is_that_ones(store: Arc<dyn Store>) {
    let id = two_partitions(&store).await;
    store
        .write_reading(
            id,
            Some(part("s/a").hash()),
            &[gone("component:default/c0000000", t(10))],
            t(11),
        )
        .await
        .unwrap();
    reading(&store, id, &part("s/b"), &[0, 1, 2], 12).await;
    assert_eq!(dropped(&store, id, &part("s/a"), 14).await.removed, 0);
    assert_eq!(names(&store).await, [0, 1, 2]);
}

pub async fn an_item_that_is_gone_leaves_what_another_list_shows_too(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    root.reveal_and_finish(&store, &["a", "b"], t(1)).await;
    let mut jobs = claim_ingest(&store, "w", 2, t(2)).await;
    jobs.sort_by(|a, b| a.key.cmp(&b.key));
    // The list a does not tell which items made its entities.
    let told = made_by(written(0, entities(1, 2, 1)), &[item("x"), item("y")]);
    for (job, page) in jobs.into_iter().zip([written(0, entities(0, 2, 1)), told]) {
        let mut reader = Reader::new(job);
        reader.commit(&store, vec![read_at(page, t(2))], None, t(3)).await;
        reader.settle(&store, Settlement::Done, t(4)).await;
    }
    let id = root.source();
    store.expect_deltas(id).await.unwrap();
    assert_eq!(dropped(&store, id, &naming(Some("s/b"), "x", 1), 10).await.removed, 0);
    assert_eq!(names(&store).await, [0, 1, 2], "a shows it still");
    // Another item of the same list makes it, or another item was read since.
    assert_eq!(dropped(&store, id, &naming(Some("s/b"), "x", 2), 10).await.removed, 0);
    reading(&store, id, &naming(Some("s/a"), "z", 5), &[5], 11).await;
    assert_eq!(dropped(&store, id, &naming(Some("s/b"), "x", 5), 12).await.removed, 0);
    assert_eq!(dropped(&store, id, &naming(Some("s/b"), "y", 2), 13).await.removed, 1);
    assert_eq!(names(&store).await, [0, 1, 5]);
}

pub async fn an_item_that_is_gone_takes_along_what_it_names_although_its_list_tells_no_makers(store: Arc<dyn Store>) {
    let root = one_page(&store).await;
    let id = root.source();
    store.expect_deltas(id).await.unwrap();
    assert_eq!(dropped(&store, id, &naming(Some("s"), "a", 0), 10).await.removed, 1);
    assert_eq!(names(&store).await, [1, 2, 3]);
    // It is unknown on which list it is, so any list may show it for another reason.
    assert_eq!(dropped(&store, id, &naming(None, "b", 1), 20).await.removed, 0);
    // A reading of its whole list saw it.
    reading(&store, id, &part("s"), &[7], 30).await;
    assert_eq!(dropped(&store, id, &naming(Some("s"), "c", 7), 29).await.removed, 0);
    assert_eq!(dropped(&store, id, &naming(Some("s"), "c", 7), 40).await.removed, 1);
    assert_eq!(names(&store).await, [1, 2, 3]);
    let mut root = next_cycle(&store, &root, 50).await;
    let page = made_by(written(0, entities(1, 3, 1)), &[item("b"), item("c"), KeyHash(0)]);
    root.commit(&store, vec![read_at(page, t(51))], None, t(52)).await;
    assert_eq!(
        dropped(&store, id, &naming(None, "b", 1), 50).await.removed,
        0,
        "it was read later"
    );
    assert_eq!(
        dropped(&store, id, &naming(None, "b", 1), 60).await.removed,
        1,
        "its page names it"
    );
    assert_eq!(names(&store).await, [2, 3]);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_unseen {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            unseen: what_a_partition_no_longer_shows_goes_with_its_reading,
            partitions_are_listed_by_what_their_keys_begin_with,
            what_another_partition_shows_too_stays,
            what_moved_to_another_partition_stays_whichever_is_read_first,
            what_two_origins_showed_is_not_removed_for_one_of_them,
            an_item_takes_along_what_it_made_and_nothing_of_its_neighbours,
            a_page_without_makers_is_left_to_the_next_cycle,
            a_page_that_was_read_later_keeps_what_it_shows,
            a_page_that_was_read_before_does_not_bring_back_what_was_dropped,
            an_unchanged_page_does_not_hide_that_something_was_dropped,
            a_reading_from_before_another_one_removes_nothing_that_it_saw,
            a_reading_from_before_a_complete_cycle_began_removes_nothing,
            the_guard_of_the_source_holds_a_drop_that_is_too_large,
            what_a_reading_removed_and_another_brings_back_is_that_ones,
            an_item_that_is_gone_leaves_what_another_list_shows_too,
            an_item_that_is_gone_takes_along_what_it_names_although_its_list_tells_no_makers,
        );
    };
}
