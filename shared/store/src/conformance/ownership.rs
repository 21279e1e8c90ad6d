//! Cases: what the sweep keeps because a partition that failed, or an item without a name, may own it; and approvals.

use std::sync::Arc;

use super::ingest::catalog;
use super::sweep::{held, next, plan, read, sweep};
use super::{Reader, begin, child, claim_ingest, entities, entity, job, source, t, written_with};
use crate::{SourceCommand, Store, StoreError};
use tideline_core::words::{CycleNumber, MalformedItem, Settlement};

/// Claims what is due, in the order of the keys.
async fn claimed(store: &Arc<dyn Store>, at: i64) -> Vec<Reader> {
    let mut jobs = claim_ingest(store, "w", 10, t(at)).await;
    jobs.sort_by(|a, b| a.key.cmp(&b.key));
    jobs.into_iter().map(Reader::new).collect()
}

/// The next cycle, whose root reveals `a` and `b`.
async fn next_family(store: &Arc<dyn Store>, at: i64) -> (Reader, Reader, Reader) {
    let mut root = next(store, at).await;
    root.reveal_and_finish(store, &["a", "b"], t(at)).await;
    let mut children = claimed(store, at).await;
    let b = children.pop().unwrap();
    (root, children.pop().unwrap(), b)
}

async fn park(store: &Arc<dyn Store>, reader: &Reader, at: i64) {
    let error = "410 Gone".to_owned();
    reader.settle(store, Settlement::Parked { error }, t(at)).await;
}

/// A complete cycle in which partition `a` had entities 0 to 3, and `b` 10 to 13.
async fn family(store: &Arc<dyn Store>) {
    let mut root = begin(store, "s", 4).await;
    root.reveal_and_finish(store, &["a", "b"], t(1)).await;
    for (mut reader, first) in claimed(store, 2).await.into_iter().zip([0, 10]) {
        read(store, &mut reader, vec![entities(first, 4, 1)], 2).await;
    }
    assert_eq!(plan(store, &root, t(3), 1).await.candidates, 0);
    sweep(store, &root, t(3), 1).await;
}

pub async fn a_failed_partition_keeps_what_it_owns_and_the_rest_is_swept(store: Arc<dyn Store>) {
    family(&store).await;
    let (root, a, mut b) = next_family(&store, 10).await;
    park(&store, &a, 11).await;
    read(&store, &mut b, vec![entities(10, 2, 1)], 11).await;
    let planned = plan(&store, &root, t(12), 1).await;
    assert_eq!((planned.candidates, planned.kept), (2, 4));
    assert_eq!(sweep(&store, &root, t(12), 1).await, 2);
    assert_eq!(catalog(&store).await.len(), 6);
    let cycle = store.list_cycles(root.source(), 1).await.unwrap().remove(0);
    assert_eq!((cycle.totals.kept, cycle.totals.partitions_parked), (4, 1));
    assert!(cycle.totals.has_gaps());
    // Read again, it loses what it no longer has.
    let (root, mut a, mut b) = next_family(&store, 20).await;
    read(&store, &mut a, vec![entities(0, 3, 1)], 21).await;
    read(&store, &mut b, vec![entities(10, 2, 1)], 21).await;
    let planned = plan(&store, &root, t(22), 1).await;
    assert_eq!((planned.candidates, planned.kept), (1, 0));
}

pub async fn what_a_failed_partition_dropped_waits_until_it_is_read_to_its_end(store: Arc<dyn Store>) {
    family(&store).await;
    let (root, mut a, mut b) = next_family(&store, 10).await;
    a.write(&store, entities(0, 1, 1), Some("1"), t(11)).await;
    park(&store, &a, 11).await;
    read(&store, &mut b, vec![entities(10, 4, 1)], 11).await;
    let planned = plan(&store, &root, t(12), 1).await;
    assert_eq!((planned.candidates, planned.kept), (0, 3));
    assert_eq!(sweep(&store, &root, t(12), 1).await, 0);
    let (root, mut a, mut b) = next_family(&store, 20).await;
    // One of them was on the page that was not reached.
    read(&store, &mut a, vec![entities(0, 1, 1), entities(3, 1, 1)], 21).await;
    read(&store, &mut b, vec![entities(10, 4, 1)], 21).await;
    let planned = plan(&store, &root, t(22), 1).await;
    assert_eq!((planned.candidates, planned.kept), (2, 0));
    assert_eq!(sweep(&store, &root, t(22), 1).await, 2);
}

pub async fn partitions_that_a_failed_one_did_not_reveal_are_kept_with_their_entities(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    root.reveal_and_finish(&store, &["a"], t(1)).await;
    claimed(&store, 1)
        .await
        .remove(0)
        .reveal_and_finish(&store, &["x"], t(2))
        .await;
    read(
        &store,
        &mut claimed(&store, 2).await.remove(0),
        vec![entities(0, 4, 1)],
        2,
    )
    .await;
    plan(&store, &root, t(3), 1).await;
    sweep(&store, &root, t(3), 1).await;
    for at in [10, 20] {
        let mut root = next(&store, at).await;
        root.reveal_and_finish(&store, &["a"], t(at)).await;
        park(&store, &claimed(&store, at).await.remove(0), at).await;
        let planned = plan(&store, &root, t(at + 1), 1).await;
        assert_eq!((planned.candidates, planned.kept), (0, 4));
        assert_eq!(sweep(&store, &root, t(at + 1), 1).await, 0);
    }
    // Its parent is read and does not show it: now it is gone.
    let mut root = next(&store, 30).await;
    root.reveal_and_finish(&store, &["a"], t(30)).await;
    claimed(&store, 30)
        .await
        .remove(0)
        .reveal_and_finish(&store, &[], t(30))
        .await;
    assert_eq!(plan(&store, &root, t(31), 1).await.candidates, 4);
    assert_eq!(sweep(&store, &root, t(31), 1).await, 4);
}

pub async fn partitions_that_are_revealed_without_a_page_are_swept_although_the_one_that_reveals_them_fails(
    store: Arc<dyn Store>,
) {
    let mut root = begin(&store, "s", 4).await;
    let page = written_with(0, entities(0, 2, 1), vec![child("a")], vec![], vec![]);
    root.commit(&store, vec![page], None, t(1)).await;
    root.settle(&store, Settlement::Done, t(1)).await;
    read(
        &store,
        &mut claimed(&store, 2).await.remove(0),
        vec![entities(10, 2, 1)],
        2,
    )
    .await;
    plan(&store, &root, t(3), 1).await;
    sweep(&store, &root, t(3), 1).await;
    let root = next(&store, 10).await;
    let before = job(&store, root.job.id).await;
    let reveal = async || {
        let lease = root.job.lease();
        store
            .reveal_partitions(lease, &[child("a"), child("b")], t(11))
            .await
            .unwrap()
    };
    assert!(reveal().await);
    let after = job(&store, root.job.id).await;
    assert_eq!((after.cursor, after.progress), (before.cursor, before.progress));
    let mut children = claimed(&store, 12).await;
    assert!(reveal().await, "again: nothing more");
    assert!(claimed(&store, 12).await.is_empty());
    park(&store, &root, 13).await;
    assert!(!reveal().await, "the lease is over");
    read(&store, &mut children.remove(0), vec![entities(10, 1, 1)], 13).await;
    children.remove(0).reveal_and_finish(&store, &[], t(13)).await;
    // What `a` lost goes; what the failed one owns stays.
    let planned = plan(&store, &root, t(14), 1).await;
    assert_eq!((planned.candidates, planned.kept), (1, 2));
    assert_eq!(sweep(&store, &root, t(14), 1).await, 1);
    assert_eq!(catalog(&store).await.len(), 3);
}

pub async fn a_partition_of_several_parents_is_kept_while_one_of_them_fails(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    root.reveal_and_finish(&store, &["a", "b"], t(1)).await;
    for mut parent in claimed(&store, 1).await {
        parent.reveal_and_finish(&store, &["x"], t(2)).await;
    }
    read(
        &store,
        &mut claimed(&store, 2).await.remove(0),
        vec![entities(0, 4, 1)],
        2,
    )
    .await;
    plan(&store, &root, t(3), 1).await;
    sweep(&store, &root, t(3), 1).await;
    // `a` does not show it any more, and `b` may.
    let (root, mut a, b) = next_family(&store, 10).await;
    a.reveal_and_finish(&store, &[], t(11)).await;
    park(&store, &b, 11).await;
    let planned = plan(&store, &root, t(12), 1).await;
    assert_eq!((planned.candidates, planned.kept), (0, 4));
}

pub async fn an_item_without_a_name_keeps_only_what_its_partition_owns(store: Arc<dyn Store>) {
    family(&store).await;
    let (root, mut a, mut b) = next_family(&store, 10).await;
    let page = written_with(0, entities(0, 2, 1), vec![], vec![], vec![nameless()]);
    a.commit(&store, vec![page], None, t(11)).await;
    a.settle(&store, Settlement::Done, t(11)).await;
    read(&store, &mut b, vec![entities(10, 2, 1)], 11).await;
    let planned = plan(&store, &root, t(12), 1).await;
    assert_eq!((planned.candidates, planned.kept), (2, 2));
    assert_eq!(sweep(&store, &root, t(12), 1).await, 2);
    // Once it recovers, what is still missing is deleted.
    let (root, mut a, mut b) = next_family(&store, 20).await;
    read(&store, &mut a, vec![entities(0, 3, 1)], 21).await;
    read(&store, &mut b, vec![entities(10, 2, 1)], 21).await;
    assert_eq!(plan(&store, &root, t(22), 1).await.candidates, 1);
}

fn nameless() -> MalformedItem {
    MalformedItem {
        reference: None,
        error: "it has no name".to_owned(),
        sample: "null".to_owned(),
    }
}

pub async fn what_a_partition_owned_that_is_revealed_no_more_goes_although_another_one_has_an_item_without_a_name(
    store: Arc<dyn Store>,
) {
    family(&store).await;
    for (at, missed) in [(10, (0, 4)), (20, (4, 0))] {
        let mut root = next(&store, at).await;
        root.reveal_and_finish(&store, &["b"], t(at)).await;
        let mut b = claimed(&store, at).await.remove(0);
        let page = written_with(0, entities(10, 4, 1), vec![], vec![], vec![nameless()]);
        b.commit(&store, vec![page], None, t(at)).await;
        b.settle(&store, Settlement::Done, t(at)).await;
        let planned = plan(&store, &root, t(at + 1), 2).await;
        assert_eq!((planned.candidates, planned.unconfirmed), missed, "at {at}");
        assert_eq!(sweep(&store, &root, t(at + 1), 2).await, missed.0);
    }
    assert_eq!(catalog(&store).await.len(), 4);
}

pub async fn what_a_partition_owned_waits_while_a_new_one_that_failed_may_be_the_same(store: Arc<dyn Store>) {
    family(&store).await;
    for at in [10, 20] {
        let mut root = next(&store, at).await;
        root.reveal_and_finish(&store, &["b", "renamed"], t(at)).await;
        let mut children = claimed(&store, at).await;
        read(&store, &mut children[0], vec![entities(10, 4, 1)], at).await;
        park(&store, &children[1], at).await;
        let planned = plan(&store, &root, t(at + 1), 1).await;
        assert_eq!((planned.candidates, planned.kept), (0, 4), "at {at}");
        sweep(&store, &root, t(at + 1), 1).await;
    }
    // It is read, and has all of them but one.
    let mut root = next(&store, 30).await;
    root.reveal_and_finish(&store, &["b", "renamed"], t(30)).await;
    let pages = [entities(10, 4, 1), entities(0, 3, 1)];
    for (child, page) in claimed(&store, 30).await.iter_mut().zip(pages) {
        read(&store, child, vec![page], 30).await;
    }
    assert_eq!(plan(&store, &root, t(31), 1).await.candidates, 1);
}

pub async fn an_entity_that_two_partitions_dropped_is_kept_if_one_of_them_failed(store: Arc<dyn Store>) {
    let shared = || entity("component:default/shared", "{}");
    let with_shared = |first| {
        let mut page = entities(first, 1, 1);
        page.push(shared());
        page
    };
    let mut root = begin(&store, "s", 4).await;
    root.reveal_and_finish(&store, &["a", "b"], t(1)).await;
    for (mut reader, first) in claimed(&store, 2).await.into_iter().zip([0, 10]) {
        read(&store, &mut reader, vec![with_shared(first)], 2).await;
    }
    plan(&store, &root, t(3), 1).await;
    sweep(&store, &root, t(3), 1).await;
    let (root, mut a, mut b) = next_family(&store, 10).await;
    b.write(&store, entities(10, 1, 1), Some("1"), t(11)).await;
    park(&store, &b, 11).await;
    read(&store, &mut a, vec![entities(0, 1, 1)], 11).await;
    let planned = plan(&store, &root, t(12), 1).await;
    assert_eq!((planned.candidates, planned.kept), (0, 1));
}

pub async fn an_approval_of_another_sweep_than_the_held_one_is_refused(store: Arc<dyn Store>) {
    let root = held(&store).await;
    let cycle = root.cycle();
    for (cycle, removals) in [(cycle, 2), (cycle, 4), (CycleNumber(cycle.0 - 1), 3)] {
        let command = SourceCommand::ApproveSweep { cycle, removals };
        let refused = store.command_source("s", command, t(14)).await;
        assert!(
            matches!(&refused, Err(StoreError::Refused(why)) if why.contains("would remove 3 entities")),
            "{refused:?}"
        );
        assert!(!source(&store, "s").await.held.unwrap().approved);
    }
    let command = SourceCommand::ApproveSweep { cycle, removals: 3 };
    store.command_source("s", command, t(15)).await.unwrap();
    assert!(source(&store, "s").await.held.unwrap().approved);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_ownership {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            ownership: a_failed_partition_keeps_what_it_owns_and_the_rest_is_swept,
            what_a_failed_partition_dropped_waits_until_it_is_read_to_its_end,
            partitions_that_a_failed_one_did_not_reveal_are_kept_with_their_entities,
            partitions_that_are_revealed_without_a_page_are_swept_although_the_one_that_reveals_them_fails,
            a_partition_of_several_parents_is_kept_while_one_of_them_fails,
            an_item_without_a_name_keeps_only_what_its_partition_owns,
            what_a_partition_owned_that_is_revealed_no_more_goes_although_another_one_has_an_item_without_a_name,
            what_a_partition_owned_waits_while_a_new_one_that_failed_may_be_the_same,
            an_entity_that_two_partitions_dropped_is_kept_if_one_of_them_failed,
            an_approval_of_another_sweep_than_the_held_one_is_refused,
        );
    };
}
