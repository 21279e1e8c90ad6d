//! Cases: references that more than one page of a source shows, and entities that were not seen.

use std::sync::Arc;

use super::sweep::{next, plan, read, sweep};
use super::{Reader, begin, claim_ingest, entities, entity, read_at, t, touched, written, written_with};
use crate::{EntityFilter, SourceCommand, Store};
use tideline_core::words::{
    Collision, Entity, EntityRef, Fingerprint, PageMemory, Settlement, Trigger, UnseenEntity, Validators,
};

fn shared() -> EntityRef {
    "component:default/shared".parse().unwrap()
}

/// The shared entity as this partition has it.
fn of(partition: &str) -> Entity {
    entity(shared().as_str(), &format!("{{\"of\":\"{partition}\"}}"))
}

async fn body(store: &Arc<dyn Store>) -> String {
    let filter = EntityFilter {
        reference: Some(shared()),
        limit: 10,
        ..EntityFilter::default()
    };
    super::only(store.list_entities(&filter).await.unwrap()).body
}

/// Reveals `a` and `b`.
async fn family(store: &Arc<dyn Store>, root: &mut Reader, at: i64) -> (Reader, Reader) {
    root.reveal_and_finish(store, &["a", "b"], t(at)).await;
    let mut jobs = claim_ingest(store, "w", 10, t(at)).await;
    jobs.sort_by(|a, b| b.key.cmp(&a.key));
    let [b, a] = jobs.try_into().unwrap();
    (Reader::new(a), Reader::new(b))
}

async fn memory(store: &Arc<dyn Store>, reader: &Reader) -> PageMemory {
    super::only(store.list_page_memories(reader.job.id, 0, 10).await.unwrap())
}

/// What is remembered of a page that is to be compared again.
fn is_forgotten(memory: &PageMemory) -> bool {
    memory.fingerprint == Fingerprint([0; 32]) && memory.validators == Validators::default()
}

/// A complete cycle in which both partitions show the shared entity, `b` last.
async fn collided(store: &Arc<dyn Store>) -> Reader {
    let mut root = begin(store, "s", 4).await;
    let (mut a, mut b) = family(store, &mut root, 1).await;
    read(store, &mut a, vec![vec![of("a")]], 1).await;
    read(store, &mut b, vec![vec![of("b")]], 2).await;
    assert_eq!(plan(store, &root, t(3), 1).await.collisions, 1);
    sweep(store, &root, t(3), 1).await;
    root
}

pub async fn of_two_places_with_one_reference_the_lowest_wins_whoever_was_last(store: Arc<dyn Store>) {
    let root = collided(&store).await;
    let expected = Collision {
        reference: shared(),
        places: 2,
        partition: "s/a".to_owned(),
        page: 0,
    };
    assert_eq!(store.list_collisions(root.source(), 10).await.unwrap(), [expected]);
    let cycle = store.list_cycles(root.source(), 1).await.unwrap().remove(0);
    assert_eq!(cycle.totals.collisions, 1);
    // The winner is compared again although it is what it was; the loser's item is marked, and not written.
    let mut root = next(&store, 10).await;
    let (mut a, mut b) = family(&store, &mut root, 10).await;
    assert!(is_forgotten(&memory(&store, &a).await));
    assert_eq!(memory(&store, &b).await.lost, [of("b").key_hash]);
    read(&store, &mut a, vec![vec![of("a")]], 11).await;
    let page = written_with(0, entities(10, 1, 1), vec![], vec![of("b").key_hash], vec![]);
    b.commit(&store, vec![page], None, t(12)).await;
    b.settle(&store, Settlement::Done, t(12)).await;
    let planned = plan(&store, &root, t(13), 1).await;
    assert_eq!((planned.collisions, planned.candidates), (1, 0));
    sweep(&store, &root, t(13), 1).await;
    assert_eq!(body(&store).await, "{\"of\":\"a\"}");
    assert!(!is_forgotten(&memory(&store, &a).await), "it is settled");
}

pub async fn when_the_winner_goes_the_other_place_is_compared_again_although_it_is_unchanged(store: Arc<dyn Store>) {
    collided(&store).await;
    let mut root = next(&store, 10).await;
    let (mut a, mut b) = family(&store, &mut root, 10).await;
    read(&store, &mut a, vec![vec![]], 11).await;
    let remembered = memory(&store, &b).await;
    b.commit(&store, vec![touched(remembered)], None, t(12)).await;
    b.settle(&store, Settlement::Done, t(12)).await;
    let planned = plan(&store, &root, t(13), 1).await;
    assert_eq!((planned.collisions, planned.candidates), (0, 0));
    sweep(&store, &root, t(13), 1).await;
    assert_eq!(store.list_collisions(root.source(), 10).await.unwrap(), []);
    let forgotten = memory(&store, &b).await;
    assert!(is_forgotten(&forgotten) && forgotten.lost.is_empty(), "{forgotten:?}");
}

/// Three partitions show the shared entity one after the other, and go one after the other.
pub async fn the_lowest_place_wins_against_a_third_one_and_is_what_is_left(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    let mut at = 0;
    // What `a`, `b` and `c` show in each cycle, and what the catalog has two cycles later.
    for (shown, wanted) in [
        ("ab", "a"),
        ("abc", "a"),
        ("ab", "a"),
        ("a", "a"),
        ("ac", "a"),
        ("bc", "b"),
        ("c", "c"),
    ] {
        for _ in 0..2 {
            at += 10;
            root.reveal_and_finish(&store, &["a", "b", "c"], t(at)).await;
            for job in claim_ingest(&store, "w", 10, t(at)).await {
                let mut reader = Reader::new(job);
                let name = reader.job.key.rsplit('/').next().unwrap().to_owned();
                reread(&store, &mut reader, shown.contains(&name).then(|| of(&name)), at).await;
            }
            plan(&store, &root, t(at), 1).await;
            sweep(&store, &root, t(at), 1).await;
            root = next(&store, at + 5).await;
        }
        assert_eq!(body(&store).await, format!("{{\"of\":\"{wanted}\"}}"), "{shown}");
    }
}

/// Reads the only page of a partition as a source does: one that is as remembered is touched, and what it lost is kept.
async fn reread(store: &Arc<dyn Store>, reader: &mut Reader, shown: Option<Entity>, at: i64) {
    let remembered = store.list_page_memories(reader.job.id, 0, 10).await.unwrap().pop();
    let (shown, kept): (Vec<Entity>, Vec<Entity>) = (shown.into_iter()).partition(|entity| {
        remembered
            .as_ref()
            .is_none_or(|memory| !memory.lost.contains(&entity.key_hash))
    });
    let kept = kept.iter().map(|entity| entity.key_hash).collect();
    let page = read_at(written_with(0, shown, vec![], kept, vec![]), t(at));
    let page = match remembered.filter(|memory| memory.fingerprint == page.memory().fingerprint) {
        Some(memory) => touched(memory),
        None => page,
    };
    reader.commit(store, vec![page], None, t(at)).await;
    reader.settle(store, Settlement::Done, t(at)).await;
}

pub async fn what_a_place_wrote_in_a_cycle_that_was_cancelled_is_compared_when_it_is_gone(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    let (mut a, mut b) = family(&store, &mut root, 1).await;
    read(&store, &mut a, vec![vec![of("a")]], 1).await;
    read(&store, &mut b, vec![vec![]], 1).await;
    plan(&store, &root, t(2), 1).await;
    sweep(&store, &root, t(2), 1).await;
    let mut root = next(&store, 10).await;
    let (_, mut b) = family(&store, &mut root, 10).await;
    read(&store, &mut b, vec![vec![of("b")]], 11).await;
    for command in [SourceCommand::Cancel, SourceCommand::Refresh(Trigger::Manual)] {
        store.command_source("s", command, t(12)).await.unwrap();
    }
    let mut root = next(&store, 20).await;
    let (mut a, mut b) = family(&store, &mut root, 20).await;
    read(&store, &mut b, vec![vec![]], 21).await;
    let remembered = memory(&store, &a).await;
    a.commit(&store, vec![touched(remembered)], None, t(22)).await;
    a.settle(&store, Settlement::Done, t(22)).await;
    assert_eq!(plan(&store, &root, t(23), 1).await.collisions, 0);
    sweep(&store, &root, t(23), 1).await;
    assert_eq!(body(&store).await, "{\"of\":\"b\"}");
    assert!(
        is_forgotten(&memory(&store, &a).await),
        "its own is written with the next cycle"
    );
}

pub async fn an_entity_that_moved_to_another_partition_collides_with_nothing(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    let (mut a, mut b) = family(&store, &mut root, 1).await;
    read(&store, &mut a, vec![vec![of("a")]], 1).await;
    read(&store, &mut b, vec![vec![]], 2).await;
    assert_eq!(plan(&store, &root, t(3), 1).await.collisions, 0);
    sweep(&store, &root, t(3), 1).await;
    let mut root = next(&store, 10).await;
    let (mut a, mut b) = family(&store, &mut root, 10).await;
    read(&store, &mut b, vec![vec![of("a")]], 11).await;
    read(&store, &mut a, vec![vec![]], 12).await;
    let planned = plan(&store, &root, t(13), 1).await;
    assert_eq!((planned.collisions, planned.candidates), (0, 0));
    assert!(!is_forgotten(&memory(&store, &b).await));
}

pub async fn a_reference_on_two_pages_of_a_batch_is_a_collision(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let pages = vec![written(0, vec![of("a")]), written(1, vec![of("b")])];
    root.commit(&store, pages, None, t(1)).await;
    root.settle(&store, Settlement::Done, t(1)).await;
    assert_eq!(plan(&store, &root, t(2), 1).await.collisions, 1);
    let found = store.list_collisions(root.source(), 10).await.unwrap();
    assert_eq!((found[0].partition.as_str(), found[0].page), ("s", 0));
}

pub async fn entities_that_wait_for_their_second_confirmation_are_shown(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    read(&store, &mut root, vec![entities(0, 4, 1)], 1).await;
    assert_eq!(plan(&store, &root, t(2), 2).await.unconfirmed, 0);
    sweep(&store, &root, t(2), 2).await;
    let mut root = next(&store, 10).await;
    read(&store, &mut root, vec![entities(0, 3, 1)], 11).await;
    let planned = plan(&store, &root, t(12), 2).await;
    assert_eq!((planned.candidates, planned.unconfirmed), (0, 1));
    sweep(&store, &root, t(12), 2).await;
    let unseen = UnseenEntity {
        reference: "component:default/c0000003".parse().unwrap(),
        cycles: 1,
        rejected: false,
    };
    assert_eq!(
        store.list_unseen_entities(root.source(), None, 10).await.unwrap(),
        std::slice::from_ref(&unseen)
    );
    let last = &unseen.reference;
    assert_eq!(
        store.list_unseen_entities(root.source(), Some(last), 10).await.unwrap(),
        []
    );
    let cycle = store.list_cycles(root.source(), 1).await.unwrap().remove(0);
    assert_eq!(cycle.totals.unconfirmed, 1);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_collisions {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            collisions: of_two_places_with_one_reference_the_lowest_wins_whoever_was_last,
            when_the_winner_goes_the_other_place_is_compared_again_although_it_is_unchanged,
            the_lowest_place_wins_against_a_third_one_and_is_what_is_left,
            what_a_place_wrote_in_a_cycle_that_was_cancelled_is_compared_when_it_is_gone,
            an_entity_that_moved_to_another_partition_collides_with_nothing,
            a_reference_on_two_pages_of_a_batch_is_a_collision,
            entities_that_wait_for_their_second_confirmation_are_shown,
        );
    };
}
