//! Cases: checks of sources.

use std::sync::Arc;

use super::{T0, add_source, t};
use crate::{CheckToken, EventFilter, KEPT_CHECKS, Store};
use tideline_core::words::{CheckRecord, DriftDifference, DriftKind, DriftTotals, EventSequence, SourceId};

fn found(at: i64, diverged: u64) -> CheckRecord {
    let differences = (0..diverged.min(100)).map(|number| DriftDifference {
        reference: format!("component:default/x{number}").parse().unwrap(),
        drift: DriftKind::Diverged,
    });
    CheckRecord {
        began_at: t(at),
        ended_at: t(at + 1),
        totals: DriftTotals {
            diverged,
            ..DriftTotals::default()
        },
        unconfirmed: diverged * 2,
        differences: differences.collect(),
        failure: (diverged == 0).then(|| "500".to_owned()),
    }
}

/// Begins a check at this moment, for ten of them.
async fn begin(store: &Arc<dyn Store>, source: SourceId, at: i64) -> Option<CheckToken> {
    store.begin_check(source, t(at + 10), t(at)).await.unwrap()
}

/// Begins and ends one.
async fn check(store: &Arc<dyn Store>, source: SourceId, found: &CheckRecord) {
    let at = found.began_at;
    let token = store.begin_check(source, at, at).await.unwrap().unwrap();
    assert!(store.end_check(source, token, found, at).await.unwrap());
}

pub async fn a_check_is_due_when_it_was_set_and_moved_only_from_where_it_stands(store: Arc<dyn Store>) {
    let source = add_source(&store, "s", 1).await;
    assert_eq!(store.next_check(source).await.unwrap(), None);
    assert_eq!(begin(&store, source, 100).await, None, "it was never set");
    assert!(
        !store.move_check(source, Some(T0), t(1)).await.unwrap(),
        "it was never set"
    );
    assert!(store.move_check(source, None, t(1)).await.unwrap());
    assert!(!store.move_check(source, None, t(2)).await.unwrap(), "it is set");
    assert!(store.move_check(source, Some(t(1)), t(5)).await.unwrap());
    assert!(!store.move_check(source, Some(t(1)), t(6)).await.unwrap());
    assert_eq!(store.next_check(source).await.unwrap(), Some(t(5)));
    assert_eq!(begin(&store, source, 4).await, None, "it is not due");
    assert!(begin(&store, source, 5).await.is_some());
}

pub async fn a_check_is_made_by_one_and_by_another_one_if_that_falls_silent(store: Arc<dyn Store>) {
    let source = add_source(&store, "s", 1).await;
    store.move_check(source, None, t(1)).await.unwrap();
    let one = begin(&store, source, 1).await.unwrap();
    assert_eq!(begin(&store, source, 5).await, None, "it is being made");
    assert!(store.extend_check(source, one, t(20)).await.unwrap());
    assert_eq!(begin(&store, source, 12).await, None, "it was extended");
    let other = begin(&store, source, 20).await.unwrap();
    assert!(!store.extend_check(source, one, t(99)).await.unwrap(), "it is lost");
    assert!(!store.end_check(source, one, &found(1, 3), t(99)).await.unwrap());
    assert_eq!(store.list_checks(source, 10).await.unwrap(), []);
    assert!(store.end_check(source, other, &found(20, 3), t(50)).await.unwrap());
    assert!(
        !store.end_check(source, other, &found(21, 3), t(60)).await.unwrap(),
        "it is ended once"
    );
    assert_eq!(store.next_check(source).await.unwrap(), Some(t(50)));
    assert_eq!(begin(&store, source, 49).await, None);
    let given_back = begin(&store, source, 50).await.unwrap();
    assert!(store.extend_check(source, given_back, t(50)).await.unwrap());
    assert!(begin(&store, source, 50).await.is_some(), "it was given back");
}

pub async fn what_a_check_finds_is_kept_and_told_once(store: Arc<dyn Store>) {
    let source = add_source(&store, "s", 1).await;
    store.move_check(source, None, t(1)).await.unwrap();
    check(&store, source, &found(1, 0)).await;
    check(&store, source, &found(2, 3)).await;
    assert_eq!(store.list_checks(source, 10).await.unwrap(), [found(2, 3), found(1, 0)]);
    assert_eq!(store.list_checks(source, 1).await.unwrap(), [found(2, 3)]);
    let filter = EventFilter {
        topics: vec!["drift.found".parse().unwrap()],
        ..EventFilter::default()
    };
    let told = store.list_events_after(EventSequence(0), &filter, 100).await.unwrap();
    assert_eq!(told.events.len(), 1, "nothing found is no event");
    let body: serde_json::Value = serde_json::from_slice(&told.events[0].body).unwrap();
    assert_eq!(
        (&body["source"], &body["diverged"], &body["check"]),
        (&"s".into(), &3.into(), &true.into())
    );
    assert_eq!(body["differences"][0]["ref"], "component:default/x0");
}

pub async fn the_newest_hundred_checks_of_a_source_are_kept(store: Arc<dyn Store>) {
    let source = add_source(&store, "s", 1).await;
    let other = add_source(&store, "other", 1).await;
    for source in [source, other] {
        store.move_check(source, None, t(1)).await.unwrap();
    }
    check(&store, other, &found(1, 0)).await;
    let most = i64::from(KEPT_CHECKS);
    for at in 1..=most + 20 {
        check(&store, source, &found(at, 0)).await;
    }
    let kept = store.list_checks(source, 1_000).await.unwrap();
    assert_eq!((kept.len(), kept[99].began_at), (100, t(21)));
    assert_eq!(store.list_checks(other, 1_000).await.unwrap().len(), 1);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_checks {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            checks: a_check_is_due_when_it_was_set_and_moved_only_from_where_it_stands,
            a_check_is_made_by_one_and_by_another_one_if_that_falls_silent,
            what_a_check_finds_is_kept_and_told_once,
            the_newest_hundred_checks_of_a_source_are_kept,
        );
    };
}
