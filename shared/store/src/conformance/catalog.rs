//! Cases: listing entities.

use std::sync::Arc;

use super::deltas::gone;
use super::{Reader, T0, changes_after, claim_ingest, entity, spec, t};
use crate::{EntityFilter, EntityRecord, Store};
use tideline_core::words::{ChangeKind, EntityRef};

/// Two sources with a few entities each.
async fn filled(store: &Arc<dyn Store>) {
    store.sync_sources(&[spec("a", 1), spec("b", 1)], T0).await.unwrap();
    store.start_cycles(10, T0).await.unwrap();
    for job in claim_ingest(store, "w", 10, T0).await {
        let mut root = Reader::new(job);
        let all = [
            "api:default/x",
            "component:default/x",
            "component:default/y",
            "component:other/a",
            "components:d/z",
        ];
        let all = all
            .iter()
            .map(|name| entity(name, &format!("{{\"name\":\"{name}\"}}")))
            .collect();
        root.write(store, all, None, t(1)).await;
    }
}

async fn list(store: &Arc<dyn Store>, filter: EntityFilter) -> Vec<(String, String)> {
    let listed = store
        .list_entities(&EntityFilter { limit: 100, ..filter })
        .await
        .unwrap();
    listed
        .into_iter()
        .map(|e| (e.source, e.reference.to_string()))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(s, r)| ((*s).to_owned(), (*r).to_owned()))
        .collect()
}

pub async fn entities_are_listed_by_source_kind_and_reference(store: Arc<dyn Store>) {
    filled(&store).await;
    let everything = list(&store, EntityFilter::default()).await;
    assert_eq!(everything.len(), 10);
    let mut sorted = everything.clone();
    sorted.sort();
    assert_eq!(everything, sorted);
    let filter = EntityFilter {
        source: Some("b".to_owned()),
        kind: Some("component".to_owned()),
        ..Default::default()
    };
    let expected = [
        ("b", "component:default/x"),
        ("b", "component:default/y"),
        ("b", "component:other/a"),
    ];
    assert_eq!(list(&store, filter).await, pairs(&expected));
    let filter = EntityFilter {
        reference: Some("api:default/x".parse().unwrap()),
        ..Default::default()
    };
    assert_eq!(
        list(&store, filter).await,
        pairs(&[("a", "api:default/x"), ("b", "api:default/x")])
    );
    let filter = EntityFilter {
        source: Some("none".to_owned()),
        ..Default::default()
    };
    assert!(list(&store, filter).await.is_empty());
}

pub async fn pages_of_entities_follow_one_another_without_gap_or_overlap(store: Arc<dyn Store>) {
    filled(&store).await;
    let everything = list(&store, EntityFilter::default()).await;
    let mut collected: Vec<EntityRecord> = vec![];
    loop {
        let filter = EntityFilter {
            after: collected
                .last()
                .map(|last| (last.source.clone(), last.reference.clone())),
            limit: 3,
            ..Default::default()
        };
        let page = store.list_entities(&filter).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        collected.extend(page);
    }
    let collected: Vec<_> = collected
        .into_iter()
        .map(|e| (e.source, e.reference.to_string()))
        .collect();
    assert_eq!(collected, everything);
}

pub async fn an_entity_is_shown_with_body_fingerprint_and_newest_change(store: Arc<dyn Store>) {
    filled(&store).await;
    let filter = EntityFilter {
        source: Some("a".to_owned()),
        reference: Some("component:default/y".parse().unwrap()),
        limit: 10,
        ..Default::default()
    };
    let shown = super::only(store.list_entities(&filter).await.unwrap());
    let body = "{\"name\":\"component:default/y\"}";
    assert_eq!((shown.body.as_str(), shown.changed_at), (body, t(1)));
    assert_eq!(
        shown.fingerprint,
        tideline_core::rules::fingerprint(body.as_bytes()).to_string()
    );
    let feed = changes_after(&store, shown.sequence.0 - 1, 1).await;
    assert_eq!(super::only(feed).reference, shown.reference);
}

pub async fn entities_are_found_by_reference_in_each_source_that_owns_them(store: Arc<dyn Store>) {
    filled(&store).await;
    let references = ["component:default/y", "component:default/none"].map(|name| name.parse::<EntityRef>().unwrap());
    let found = store.find_entities(&references).await.unwrap();
    let mut listed = vec![];
    for source in ["a", "b"] {
        let filter = EntityFilter {
            source: Some(source.to_owned()),
            reference: Some(references[0].clone()),
            limit: 10,
            ..Default::default()
        };
        listed.extend(store.list_entities(&filter).await.unwrap());
    }
    assert_eq!((found.len(), &found), (2, &listed));
    let a = store.find_source("a").await.unwrap().unwrap();
    store.expect_deltas(a.id).await.unwrap();
    store
        .write_deltas(a.id, &[gone("component:default/y", t(5))], t(5))
        .await
        .unwrap();
    assert_eq!(store.find_entities(&references).await.unwrap(), listed[1..]);
    assert_eq!(store.find_entities(&[]).await.unwrap(), []);
}

pub async fn the_changes_of_a_reference_are_the_newest_of_each_source_and_tombstones_stay(store: Arc<dyn Store>) {
    filled(&store).await;
    let y: EntityRef = "component:default/y".parse().unwrap();
    let a = store.find_source("a").await.unwrap().unwrap();
    store.expect_deltas(a.id).await.unwrap();
    store.write_deltas(a.id, &[gone(y.as_str(), t(5))], t(5)).await.unwrap();
    let changes = store.list_entity_changes(&y, 10).await.unwrap();
    let kinds: Vec<_> = changes
        .iter()
        .map(|change| (change.source.as_str(), change.change, change.body.is_some()))
        .collect();
    assert_eq!(
        kinds,
        [("a", ChangeKind::Removed, false), ("b", ChangeKind::Added, true)]
    );
    assert_eq!(store.list_entity_changes(&y, 1).await.unwrap(), changes[..1]);
    let none = "component:default/none".parse().unwrap();
    assert_eq!(store.list_entity_changes(&none, 10).await.unwrap(), []);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_catalog {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            catalog: entities_are_listed_by_source_kind_and_reference,
            pages_of_entities_follow_one_another_without_gap_or_overlap,
            an_entity_is_shown_with_body_fingerprint_and_newest_change,
            entities_are_found_by_reference_in_each_source_that_owns_them,
            the_changes_of_a_reference_are_the_newest_of_each_source_and_tombstones_stay,
        );
    };
}
