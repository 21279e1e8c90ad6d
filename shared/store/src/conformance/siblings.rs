//! Cases: small partitions that are read in the place of another one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::deltas::seen;
use super::ingest::{catalog, next_cycle};
use super::sweep::{next, plan, sweep};
use super::*;
use crate::{JobFilter, Sibling, SourceCommand, Store};
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{Commit, JobRecord, JobState, PageBatch, PageMemory, Settlement, Timestamp};

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("p{n:03}")).collect()
}

/// A root partition that has revealed `count` children and is done.
async fn revealed(store: &Arc<dyn Store>, root: &mut Reader, count: usize, now: Timestamp) {
    let keys = keys(count);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    root.reveal_and_finish(store, &keys, now).await;
}

/// A source with one place and `count` children, the first of which is claimed.
async fn lead(store: &Arc<dyn Store>, count: usize) -> Reader {
    let mut root = begin(store, "s", 1).await;
    revealed(store, &mut root, count, T0).await;
    Reader::new(only(claim_ingest(store, "w", 10, t(1)).await))
}

async fn siblings(store: &Arc<dyn Store>, lead: &Reader, limit: u32, at: i64) -> Vec<Sibling> {
    store.claim_siblings(lead.job.lease(), limit, t(at)).await.unwrap()
}

fn keys_of(siblings: &[Sibling]) -> Vec<&str> {
    siblings.iter().map(|sibling| sibling.job.key.as_str()).collect()
}

/// The whole of a sibling: `count` entities from `first` on.
fn whole(sibling: &Sibling, first: u32, count: u32, version: u32) -> PageBatch {
    Reader::new(sibling.job.clone()).batch(vec![written(0, entities(first, count, version))], None)
}

fn as_remembered(sibling: &Sibling, read_at: Timestamp) -> PageBatch {
    let memory = sibling.memory.clone().expect("the page is remembered");
    let memory = PageMemory { read_at, ..memory };
    Reader::new(sibling.job.clone()).batch(vec![touched(memory)], None)
}

async fn commit(store: &Arc<dyn Store>, batches: &[PageBatch], at: i64) -> Vec<bool> {
    let committed = store.commit_siblings(batches, t(at)).await.unwrap();
    committed.done.iter().map(Option::is_some).collect()
}

async fn in_state(store: &Arc<dyn Store>, state: JobState) -> Vec<JobRecord> {
    let filter = JobFilter {
        kind: Some("ingest".to_owned()),
        state: Some(state),
        limit: 1_000,
        ..Default::default()
    };
    store.list_jobs(&filter).await.unwrap()
}

pub async fn siblings_are_half_of_an_even_share_of_what_waits(store: Arc<dyn Store>) {
    let lead = lead(&store, 21).await;
    assert_eq!(
        siblings(&store, &lead, 4, 2).await.len(),
        4,
        "never more than asked for"
    );
    let half = siblings(&store, &lead, 100, 2).await;
    assert_eq!(half.len(), 8, "half of the sixteen that wait still");
    assert_eq!(
        keys_of(&half)[0],
        "s/p005",
        "in the order in which they would get a place"
    );
    assert!(half.iter().all(|sibling| sibling.memory.is_none()));
    let ids: BTreeSet<_> = half.iter().map(|sibling| sibling.job.id).collect();
    assert_eq!(ids.len(), 8);
}

pub async fn siblings_take_no_place(store: Arc<dyn Store>) {
    let lead = lead(&store, 9).await;
    assert_eq!(siblings(&store, &lead, 4, 2).await.len(), 4);
    assert!(
        claim_ingest(&store, "v", 10, t(3)).await.is_empty(),
        "the lead has the only one"
    );
    lead.settle(&store, Settlement::Done, t(4)).await;
    let next = only(claim_ingest(&store, "v", 10, t(5)).await);
    assert_eq!(next.key, "s/p005", "it goes to one that nobody reads");
}

pub async fn nobody_gets_siblings_without_the_leads_lease(store: Arc<dyn Store>) {
    let lead = lead(&store, 9).await;
    store.command_source("s", SourceCommand::Pause, t(2)).await.unwrap();
    assert!(siblings(&store, &lead, 4, 3).await.is_empty(), "the source is paused");
    store.command_source("s", SourceCommand::Resume, t(4)).await.unwrap();
    store.hold_back(lead.source(), t(10)).await.unwrap();
    assert!(siblings(&store, &lead, 4, 9).await.is_empty(), "it wants no request");
    assert_eq!(siblings(&store, &lead, 2, 10).await.len(), 2);
    lead.settle(&store, Settlement::HandedBack, t(11)).await;
    assert!(siblings(&store, &lead, 4, 12).await.is_empty(), "the lease is gone");
}

pub async fn a_group_is_committed_and_done_at_once(store: Arc<dyn Store>) {
    let lead = lead(&store, 9).await;
    let group = siblings(&store, &lead, 4, 2).await;
    let batches: Vec<PageBatch> = (0..)
        .zip(&group)
        .map(|(n, sibling)| whole(sibling, n * 10, 3, 1))
        .collect();
    let committed = store.commit_siblings(&batches, t(3)).await.unwrap();
    assert!(committed.go_on);
    for progress in &committed.done {
        let progress = progress.expect("it is committed");
        assert_eq!((progress.pages, progress.entities, progress.added), (1, 3, 3));
        assert!(progress.finished);
    }
    assert_eq!(catalog(&store).await.len(), 12);
    assert_eq!(
        in_state(&store, JobState::Done).await.len(),
        1 + 4,
        "the root, and the siblings"
    );
    assert_eq!(changes_after(&store, 0, 100).await.len(), 12);
    assert_eq!(commit(&store, &batches, 4).await, [false; 4], "twice is once");
    assert_eq!(changes_after(&store, 0, 100).await.len(), 12);
}

pub async fn the_next_cycle_marks_siblings_that_are_as_remembered(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    revealed(&store, &mut root, 9, T0).await;
    let mut leading = Reader::new(only(claim_ingest(&store, "w", 10, t(1)).await));
    let group = siblings(&store, &leading, 4, 2).await;
    let batches: Vec<PageBatch> = (0..)
        .zip(&group)
        .map(|(n, sibling)| whole(sibling, n * 10, 3, 1))
        .collect();
    assert_eq!(commit(&store, &batches, 3).await, [true; 4]);
    leading.write(&store, entities(900, 1, 1), None, t(4)).await;
    leading.settle(&store, Settlement::Done, t(4)).await;
    for _ in 0..4 {
        let mut rest = Reader::new(only(claim_ingest(&store, "w", 1, t(5)).await));
        rest.write(&store, vec![], None, t(5)).await;
        rest.settle(&store, Settlement::Done, t(5)).await;
    }
    let mut root = next_cycle(&store, &root, 10).await;
    revealed(&store, &mut root, 9, t(20)).await;
    let leading = Reader::new(only(claim_ingest(&store, "w", 10, t(21)).await));
    let mut group = siblings(&store, &leading, 4, 22).await;
    // One of them differs; the others are unchanged.
    let changed = whole(&group.remove(1), 10, 3, 2);
    let mut batches: Vec<PageBatch> = group.iter().map(|sibling| as_remembered(sibling, t(22))).collect();
    batches.push(changed);
    let committed = store.commit_siblings(&batches, t(23)).await.unwrap();
    let progress: Vec<_> = committed
        .done
        .iter()
        .map(|progress| progress.map(|progress| (progress.pages_unchanged, progress.unchanged, progress.modified)))
        .collect();
    let same = Some((1, 3, 0));
    assert_eq!(progress, [same, same, same, Some((0, 0, 3))]);
    assert_eq!(
        changes_after(&store, 13, 100).await.len(),
        3,
        "only what differs is told"
    );
}

pub async fn a_sibling_that_was_taken_over_writes_nothing_and_the_others_do(store: Arc<dyn Store>) {
    let lead = lead(&store, 9).await;
    let group = siblings(&store, &lead, 4, 2).await;
    settle(&store, group[1].job.lease(), Settlement::HandedBack, t(3)).await;
    let batches: Vec<PageBatch> = (0..)
        .zip(&group)
        .map(|(n, sibling)| whole(sibling, n * 10, 3, 1))
        .collect();
    let mut done = commit(&store, &batches, 4).await;
    assert!(!done[1]);
    // A store may refuse a group for one of them: then each is committed by itself.
    for (place, batch) in batches.iter().enumerate() {
        if done[place] {
            continue;
        }
        let committed = store.commit_pages(batch, t(5)).await.unwrap();
        done[place] = matches!(committed, Commit::Committed { .. });
    }
    assert_eq!(done, [true, false, true, true]);
    let names: Vec<String> = catalog(&store).await;
    assert_eq!(names.len(), 9);
    assert!(!names.iter().any(|name| name.contains("c0000010")), "{names:?}");
}

pub async fn a_partition_of_several_pages_is_no_sibling(store: Arc<dyn Store>) {
    let lead = lead(&store, 9).await;
    let group = siblings(&store, &lead, 2, 2).await;
    let reader = Reader::new(group[0].job.clone());
    let more = reader.batch(vec![written(0, entities(0, 3, 1))], Some("1"));
    let parent = reader.batch(
        vec![written_with(0, entities(0, 3, 1), vec![child("q")], vec![], vec![])],
        None,
    );
    assert_eq!(commit(&store, &[more], 3).await, [false]);
    assert_eq!(commit(&store, &[parent], 3).await, [false]);
    assert!(catalog(&store).await.is_empty());
}

pub async fn two_siblings_that_give_one_reference_leave_one_entity(store: Arc<dyn Store>) {
    let lead = lead(&store, 9).await;
    let group = siblings(&store, &lead, 2, 2).await;
    let batches = [whole(&group[0], 0, 3, 1), whole(&group[1], 2, 3, 2)];
    let done = commit(&store, &batches, 3).await;
    assert!(done[0]);
    for (sibling, batch) in group.iter().zip(&batches).skip(1).filter(|_| !done[1]) {
        store.commit_pages(batch, t(4)).await.unwrap();
        settle(&store, sibling.job.lease(), Settlement::Done, t(4)).await;
    }
    assert_eq!(catalog(&store).await.len(), 5);
    assert_eq!(in_state(&store, JobState::Done).await.len(), 3);
}

/// A cycle that is read to its end: four siblings show these entities, all others nothing. Returns which of them were
/// committed together.
async fn cycle(store: &Arc<dyn Store>, root: &mut Reader, pages: [Vec<u32>; 4], at: i64) -> Vec<bool> {
    revealed(store, root, 9, t(at)).await;
    let mut lead = Reader::new(only(claim_ingest(store, "w", 1, t(at)).await));
    let group = siblings(store, &lead, 4, at).await;
    lead.write(store, vec![], None, t(at)).await;
    let batches: Vec<PageBatch> = (group.iter().zip(pages))
        .map(|(sibling, numbers)| {
            let shown = numbers.iter().flat_map(|n| entities(*n, 1, 1)).collect();
            Reader::new(sibling.job.clone()).batch(vec![written(0, shown)], None)
        })
        .collect();
    let done = commit(store, &batches, at).await;
    for (batch, _) in batches.iter().zip(&done).filter(|(_, done)| !**done) {
        store.commit_pages(batch, t(at)).await.unwrap();
        settle(store, batch.lease, Settlement::Done, t(at)).await;
    }
    lead.settle(store, Settlement::Done, t(at)).await;
    for _ in 0..4 {
        let mut rest = Reader::new(only(claim_ingest(store, "w", 1, t(at)).await));
        rest.write(store, vec![], None, t(at)).await;
        rest.settle(store, Settlement::Done, t(at)).await;
    }
    done
}

pub async fn what_siblings_drop_gain_and_share_is_found_as_if_each_were_committed_alone(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let shared = [vec![0, 1], vec![1, 2], vec![10, 11], vec![20, 21]];
    let done = cycle(&store, &mut root, shared, 1).await;
    assert!(done[0] && done[2] && done[3]);
    assert_eq!(plan(&store, &root, t(2), 1).await.collisions, 1);
    sweep(&store, &root, t(2), 1).await;
    // Two drop 1, one drops 11, and 21 moves, all in one commit.
    let mut root = next(&store, 10).await;
    let done = cycle(&store, &mut root, [vec![0], vec![2], vec![10, 21], vec![20]], 11).await;
    assert_eq!(done, [true; 4]);
    let planned = plan(&store, &root, t(12), 1).await;
    assert_eq!((planned.candidates, planned.collisions), (2, 0));
    assert_eq!(sweep(&store, &root, t(12), 1).await, 2);
    let expected = [0, 2, 10, 20, 21].map(|n| format!("component:default/c{n:07}"));
    assert_eq!(catalog(&store).await, expected);
    // One gains what another one, which is not in the commit, has.
    let mut root = next(&store, 20).await;
    let done = cycle(&store, &mut root, [vec![0, 21], vec![2], vec![10, 21], vec![20]], 21).await;
    assert!(done[0]);
    let planned = plan(&store, &root, t(22), 1).await;
    assert_eq!((planned.candidates, planned.collisions), (0, 1));
}

pub async fn an_unchanged_sibling_does_not_hide_a_delta(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    revealed(&store, &mut root, 3, T0).await;
    for n in 0..3 {
        let mut reader = Reader::new(only(claim_ingest(&store, "w", 1, t(2)).await));
        reader.write(&store, entities(n * 10, 2, 1), None, t(2)).await;
        reader.settle(&store, Settlement::Done, t(2)).await;
    }
    let mut root = next_cycle(&store, &root, 10).await;
    store.expect_deltas(root.source()).await.unwrap();
    let keys = keys(9);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    root.reveal_and_finish(&store, &keys, t(20)).await;
    let leading = Reader::new(only(claim_ingest(&store, "w", 10, t(21)).await));
    let group = siblings(&store, &leading, 2, 22).await;
    let name = entities(10, 1, 1).remove(0).reference.to_string();
    let delta = seen(entity(&name, "{\"n\":\"delta\"}"), t(23));
    store.write_deltas(root.source(), &[delta], t(23)).await.unwrap();
    // Both began to be read after the delta; the first of them holds what it wrote.
    let batches = [as_remembered(&group[0], t(24)), as_remembered(&group[1], t(24))];
    assert_eq!(commit(&store, &batches, 25).await, [false, true]);
}

pub async fn siblings_of_a_dead_worker_wait_for_a_place_again(store: Arc<dyn Store>) {
    let lead = lead(&store, 9).await;
    let group = siblings(&store, &lead, 4, 2).await;
    let policy = RescuePolicy {
        free: 3,
        delay: std::time::Duration::ZERO,
        park_after: 9,
    };
    let rescued = store.rescue(policy, 100, t(60_000)).await.unwrap();
    assert_eq!(rescued.jobs.len(), 5, "the lead and its siblings");
    let again = only(claim_ingest(&store, "v", 10, t(60_001)).await);
    assert_eq!(again.id, lead.job.id, "there is one place, and it is the lead's");
    let next = siblings(&store, &Reader::new(again), 4, 60_002).await;
    let dead: Vec<&str> = keys_of(&group);
    assert!(
        keys_of(&next).iter().all(|key| !dead.contains(key)),
        "what was in the hands of a worker that died is read alone: {next:?}"
    );
    assert!(!next.is_empty());
}

pub async fn siblings_of_a_worker_that_retires_wait_for_a_place_again(store: Arc<dyn Store>) {
    let lead = lead(&store, 9).await;
    let group = siblings(&store, &lead, 4, 2).await;
    // The lead is done; what it took along is not.
    lead.settle(&store, Settlement::Done, t(3)).await;
    let other = only(claim_ingest(&store, "v", 10, t(4)).await);
    Reader::new(other).settle(&store, Settlement::Done, t(5)).await;
    store.retire(&worker("w"), t(6)).await.unwrap();
    let mut finished = BTreeSet::new();
    while let Some(job) = claim_ingest(&store, "v", 10, t(7)).await.pop() {
        finished.insert(job.key.clone());
        Reader::new(job).settle(&store, Settlement::Done, t(7)).await;
    }
    assert!(
        keys_of(&group).iter().all(|key| finished.contains(*key)),
        "{finished:?}"
    );
    assert!(
        in_state(&store, JobState::Waiting).await.is_empty(),
        "nobody waits for ever"
    );
}

pub async fn a_sibling_that_is_handed_back_last_gets_the_place_that_is_free(store: Arc<dyn Store>) {
    let lead = lead(&store, 3).await;
    let group = siblings(&store, &lead, 4, 2).await;
    assert_eq!(group.len(), 1);
    lead.settle(&store, Settlement::Done, t(3)).await;
    let other = only(claim_ingest(&store, "v", 10, t(4)).await);
    Reader::new(other).settle(&store, Settlement::Done, t(5)).await;
    assert!(claim_ingest(&store, "v", 10, t(6)).await.is_empty());
    settle(&store, group[0].job.lease(), Settlement::HandedBack, t(7)).await;
    let again = only(claim_ingest(&store, "v", 10, t(8)).await);
    assert_eq!((again.id, again.attempt), (group[0].job.id, 1), "no attempt was spent");
}

pub async fn a_sibling_that_fails_climbs_its_ladder_without_a_place(store: Arc<dyn Store>) {
    let lead = lead(&store, 5).await;
    let group = siblings(&store, &lead, 1, 2).await;
    let retry = Settlement::Retry {
        due_at: t(100),
        rung: 1,
        error: "500".to_owned(),
    };
    settle(&store, group[0].job.lease(), retry, t(3)).await;
    assert!(
        claim_ingest(&store, "v", 10, t(50)).await.is_empty(),
        "the lead has the place"
    );
    let next = siblings(&store, &lead, 100, 101).await;
    assert!(
        !keys_of(&next).contains(&group[0].job.key.as_str()),
        "it runs by itself"
    );
    let found = job(&store, group[0].job.id).await;
    assert_eq!((found.rung, found.last_error.as_deref()), (1, Some("500")));
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_siblings {
    ($open:path) => {
        $crate::store_conformance_cases!($open, siblings:
            siblings_are_half_of_an_even_share_of_what_waits,
            siblings_take_no_place,
            nobody_gets_siblings_without_the_leads_lease,
            a_group_is_committed_and_done_at_once,
            the_next_cycle_marks_siblings_that_are_as_remembered,
            a_sibling_that_was_taken_over_writes_nothing_and_the_others_do,
            a_partition_of_several_pages_is_no_sibling,
            two_siblings_that_give_one_reference_leave_one_entity,
            what_siblings_drop_gain_and_share_is_found_as_if_each_were_committed_alone,
            an_unchanged_sibling_does_not_hide_a_delta,
            siblings_of_a_dead_worker_wait_for_a_place_again,
            siblings_of_a_worker_that_retires_wait_for_a_place_again,
            a_sibling_that_is_handed_back_last_gets_the_place_that_is_free,
            a_sibling_that_fails_climbs_its_ladder_without_a_place,
        );
    };
}
