//! Cases: drift.

use std::sync::Arc;

use super::deltas::{gone, seen};
use super::sweep::{next, plan, read, sweep};
use super::{Reader, begin, entities, entity, read_at, t, written};
use crate::{EventFilter, Store};
use tideline_core::words::{DriftKind, DriftTotals, Entity, EventSequence, Settlement};

/// A source of entities 0 to 5, whose first cycle is complete, in its second cycle, which began at 10.
async fn second_cycle(store: &Arc<dyn Store>) -> Reader {
    let mut root = begin(store, "s", 1).await;
    read(store, &mut root, vec![entities(0, 6, 1)], 1).await;
    plan(store, &root, t(2), 1).await;
    assert_eq!(note(store, &root, 2).await, None, "the first cycle adds everything");
    sweep(store, &root, t(2), 1).await;
    next(store, 10).await
}

async fn note(store: &Arc<dyn Store>, root: &Reader, at: i64) -> Option<DriftTotals> {
    store.note_drift(root.source(), root.cycle(), 1, t(at)).await.unwrap()
}

/// Entity 0 changed, 1 is gone, 9 is new.
fn changed() -> Vec<Entity> {
    let mut page = entities(0, 1, 2);
    page.extend(entities(2, 4, 1));
    page.extend(entities(9, 1, 1));
    page
}

const ONE_OF_EACH: DriftTotals = DriftTotals {
    missing: 1,
    extra: 1,
    diverged: 1,
};

/// Bodies of the events `drift.found`.
async fn told(store: &Arc<dyn Store>) -> Vec<serde_json::Value> {
    let filter = EventFilter {
        topics: vec!["drift.*".parse().unwrap()],
        ..EventFilter::default()
    };
    let found = store.list_events_after(EventSequence(0), &filter, 100).await.unwrap();
    let bodies = found
        .events
        .iter()
        .map(|event| serde_json::from_slice(&event.body).unwrap());
    bodies.collect()
}

pub async fn a_cycle_notes_what_it_changed_and_no_event_told_of_and_tells_it_with_its_end(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    read(&store, &mut root, vec![changed()], 11).await;
    assert_eq!(plan(&store, &root, t(12), 1).await.candidates, 1);
    assert_eq!(note(&store, &root, 13).await, Some(ONE_OF_EACH));
    assert_eq!(note(&store, &root, 14).await, Some(ONE_OF_EACH), "noted once");
    assert!(told(&store).await.is_empty(), "the cycle has not ended");
    assert_eq!(sweep(&store, &root, t(15), 1).await, 1);

    let drift = store.list_drifts(root.source(), 10).await.unwrap().remove(0);
    assert_eq!(
        (drift.cycle, drift.found_at, drift.totals),
        (root.cycle(), t(13), ONE_OF_EACH)
    );
    let differences: Vec<_> = drift
        .differences
        .iter()
        .map(|one| (one.reference.as_str(), one.drift))
        .collect();
    assert_eq!(
        differences,
        [
            ("component:default/c0000001", DriftKind::Extra),
            ("component:default/c0000000", DriftKind::Diverged),
            ("component:default/c0000009", DriftKind::Missing),
        ]
    );
    let events = told(&store).await;
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["source"], &events[0]["cycle"]), (&"s".into(), &2.into()));
    assert_eq!(events[0]["differences"][0]["drift"], "extra");

    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![changed()], 21).await;
    plan(&store, &root, t(22), 1).await;
    assert_eq!(note(&store, &root, 23).await, Some(DriftTotals::default()));
    sweep(&store, &root, t(24), 1).await;
    assert_eq!(told(&store).await.len(), 1, "nothing drifted since");
}

pub async fn what_an_event_told_of_is_no_drift(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    let source = root.source();
    store.expect_deltas(source).await.unwrap();
    // Entity 0 and 1: told of before the cycle sees them; 9: told of after it did.
    let deltas = [
        seen(entities(0, 1, 2).remove(0), t(10)),
        gone("component:default/c0000001", t(10)),
    ];
    store.write_deltas(source, &deltas, t(10)).await.unwrap();
    read(&store, &mut root, vec![changed()], 11).await;
    let late = seen(entities(9, 1, 1).remove(0), t(12));
    store.write_deltas(source, &[late], t(12)).await.unwrap();
    assert_eq!(plan(&store, &root, t(13), 1).await.candidates, 0);
    assert_eq!(note(&store, &root, 13).await, Some(DriftTotals::default()));
    sweep(&store, &root, t(14), 1).await;
    assert!(told(&store).await.is_empty());
}

pub async fn what_was_being_read_when_the_cycle_began_is_no_drift(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    let source = root.source();
    store.expect_deltas(source).await.unwrap();
    // It was read before the cycle began, and written after that.
    let slow = seen(entities(0, 1, 2).remove(0), t(9));
    store.write_deltas(source, &[slow], t(11)).await.unwrap();
    let mut page = entities(0, 1, 2);
    page.extend(entities(1, 5, 1));
    read(&store, &mut root, vec![page], 12).await;
    plan(&store, &root, t(13), 1).await;
    assert_eq!(note(&store, &root, 13).await, Some(DriftTotals::default()));
    sweep(&store, &root, t(14), 1).await;
    // It tells nothing of the next cycle.
    let mut root = next(&store, 20).await;
    let page = read_at(written(0, entities(0, 6, 1)), t(21));
    root.commit(&store, vec![page], None, t(21)).await;
    root.settle(&store, Settlement::Done, t(21)).await;
    plan(&store, &root, t(22), 1).await;
    assert_eq!(note(&store, &root, 22).await.unwrap().diverged, 1);
}

pub async fn a_held_sweep_tells_of_its_drift_once(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    read(&store, &mut root, vec![changed()], 11).await;
    let planned = plan(&store, &root, t(12), 1).await;
    note(&store, &root, 12).await;
    let (source, cycle) = (root.source(), root.cycle());
    let held = store
        .hold_sweep(source, cycle, planned, "why", None, t(13))
        .await
        .unwrap();
    assert!(held);
    assert_eq!(told(&store).await.len(), 1);
    let approve = crate::SourceCommand::ApproveSweep { cycle, removals: 1 };
    store.command_source("s", approve, t(14)).await.unwrap();
    assert_eq!(note(&store, &root, 15).await, Some(ONE_OF_EACH));
    assert_eq!(sweep(&store, &root, t(15), 1).await, 1);
    assert_eq!(told(&store).await.len(), 1);
}

pub async fn of_much_drift_a_hundred_differences_are_kept_those_that_are_gone_first(store: Arc<dyn Store>) {
    let mut root = second_cycle(&store).await;
    let mut page = entities(100, 150, 1);
    page.push(entity("component:default/a", "1"));
    read(&store, &mut root, vec![page], 11).await;
    plan(&store, &root, t(12), 1).await;
    let totals = note(&store, &root, 12).await.unwrap();
    assert_eq!(
        (totals.missing, totals.extra, totals.diverged, totals.sum()),
        (151, 6, 0, 157)
    );
    let drift = store.list_drifts(root.source(), 10).await.unwrap().remove(0);
    assert_eq!(drift.differences.len(), 100);
    assert_eq!(drift.differences[5].drift, DriftKind::Extra);
    assert_eq!(drift.differences[6].reference.as_str(), "component:default/a");
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_drift {
    ($open:path) => {
        $crate::store_conformance_cases!($open, drift:
            a_cycle_notes_what_it_changed_and_no_event_told_of_and_tells_it_with_its_end,
            what_an_event_told_of_is_no_drift,
            what_was_being_read_when_the_cycle_began_is_no_drift,
            a_held_sweep_tells_of_its_drift_once,
            of_much_drift_a_hundred_differences_are_kept_those_that_are_gone_first,
        );
    };
}
