//! Cases: enrichments of entities by targets.

use std::sync::Arc;

use super::sweep::{next, plan, read, sweep};
use super::*;
use crate::{Additions, Enrichment, EntityFilter, OriginalEntity, Store};
use tideline_core::words::{Change, ChangeKind, DriftTotals, EntityRef};

const REF: &str = "api:default/pet";
const GIVEN: &str = r#"{"definition":"a"}"#;
const CHANGED: &str = r#"{"definition":"b"}"#;
const SHOWN: &str = r#"{"definition":"a","servers":["x"]}"#;

fn api() -> EntityRef {
    REF.parse().unwrap()
}

/// A source with one entity, whose first cycle is complete.
async fn filled(store: &Arc<dyn Store>) -> Reader {
    let mut root = begin(store, "s", 1).await;
    read(store, &mut root, vec![vec![entity(REF, GIVEN)]], 1).await;
    plan(store, &root, t(2), 1).await;
    sweep(store, &root, t(2), 1).await;
    root
}

async fn original(store: &Arc<dyn Store>) -> OriginalEntity {
    only(store.list_originals(&[api()]).await.unwrap())
}

/// What readers of the catalog see, with its fingerprint; and the newest change.
async fn seen(store: &Arc<dyn Store>) -> (String, String, Change) {
    let filter = EntityFilter {
        reference: Some(api()),
        limit: 10,
        ..EntityFilter::default()
    };
    let entity = only(store.list_entities(&filter).await.unwrap());
    let change = only(changes_after(store, 0, 10).await);
    assert_eq!(
        (entity.sequence, Some(&entity.body)),
        (change.sequence, change.body.as_ref())
    );
    (entity.body, entity.fingerprint, change)
}

fn additions() -> Additions {
    [("mocks".to_owned(), vec!["x".to_owned()])].into()
}

fn enrichment(of: &OriginalEntity, body: Option<&str>) -> Enrichment {
    Enrichment {
        source: of.source.clone(),
        reference: of.reference.clone(),
        sequence: of.sequence,
        additions: body.map(|_| additions()).unwrap_or_default(),
        body: body.map(str::to_owned),
    }
}

async fn enrich(store: &Arc<dyn Store>, body: Option<&str>, ms: i64) {
    let of = original(store).await;
    assert!(store.enrich_entity(&enrichment(&of, body), t(ms)).await.unwrap());
}

pub async fn readers_see_what_was_added_as_a_change_and_the_original_stays_known(store: Arc<dyn Store>) {
    filled(&store).await;
    let (_, print, before) = seen(&store).await;
    assert_eq!(store.find_originals(&[before.sequence]).await.unwrap(), []);
    enrich(&store, Some(SHOWN), 10).await;
    let (body, same, change) = seen(&store).await;
    assert_eq!(
        (body.as_str(), same),
        (SHOWN, print),
        "the fingerprint is that of what the source gave"
    );
    assert_eq!((change.change, change.changed_at), (ChangeKind::Modified, t(10)));
    assert!(change.sequence > before.sequence);
    let of = original(&store).await;
    assert_eq!((of.body.as_str(), &of.additions), (GIVEN, &additions()));
    let originals = store.find_originals(&[before.sequence, change.sequence]).await.unwrap();
    assert_eq!(originals, [(change.sequence, GIVEN.to_owned())]);
    // Something else is added: the original stays what it was.
    enrich(&store, Some(r#"{"definition":"a","servers":["y"]}"#), 11).await;
    assert_eq!(original(&store).await.body, GIVEN);
    // And nothing any more.
    enrich(&store, None, 12).await;
    assert_eq!(seen(&store).await.0, GIVEN);
    let of = original(&store).await;
    assert_eq!((of.body.as_str(), of.additions), (GIVEN, Additions::new()));
    assert_eq!(store.find_originals(&[of.sequence]).await.unwrap(), []);
}

pub async fn what_the_source_writes_replaces_what_was_added(store: Arc<dyn Store>) {
    filled(&store).await;
    enrich(&store, Some(SHOWN), 3).await;
    let mut root = next(&store, 10).await;
    read(&store, &mut root, vec![vec![entity(REF, CHANGED)]], 11).await;
    assert_eq!(seen(&store).await.0, CHANGED);
    let of = original(&store).await;
    assert_eq!((of.body.as_str(), of.additions), (CHANGED, Additions::new()));
}

pub async fn an_enrichment_of_an_older_state_is_refused(store: Arc<dyn Store>) {
    filled(&store).await;
    let old = original(&store).await;
    let mut root = next(&store, 10).await;
    read(&store, &mut root, vec![vec![entity(REF, CHANGED)]], 11).await;
    assert!(
        !store
            .enrich_entity(&enrichment(&old, Some(SHOWN)), t(12))
            .await
            .unwrap()
    );
    assert_eq!(seen(&store).await.0, CHANGED);
    let of = original(&store).await;
    plan(&store, &root, t(13), 1).await;
    sweep(&store, &root, t(13), 1).await;
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![vec![]], 21).await;
    plan(&store, &root, t(22), 1).await;
    assert_eq!(sweep(&store, &root, t(22), 1).await, 1);
    assert!(
        !store.enrich_entity(&enrichment(&of, Some(SHOWN)), t(23)).await.unwrap(),
        "it is gone"
    );
    assert_eq!(store.list_originals(&[api()]).await.unwrap(), []);
}

pub async fn a_cycle_does_not_take_an_addition_for_drift_nor_for_a_change(store: Arc<dyn Store>) {
    filled(&store).await;
    enrich(&store, Some(SHOWN), 3).await;
    let mut root = next(&store, 10).await;
    enrich(&store, None, 11).await;
    enrich(&store, Some(SHOWN), 12).await;
    read(&store, &mut root, vec![vec![entity(REF, GIVEN)]], 13).await;
    assert_eq!(seen(&store).await.0, SHOWN, "the source still gives the same");
    plan(&store, &root, t(14), 1).await;
    let drift = store.note_drift(root.source(), root.cycle(), 1, t(14)).await.unwrap();
    assert_eq!(drift, Some(DriftTotals::default()));
    sweep(&store, &root, t(15), 1).await;
    // What the source changed is drift, also if something was added since.
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![vec![entity(REF, CHANGED)]], 21).await;
    enrich(&store, Some(SHOWN), 22).await;
    plan(&store, &root, t(23), 1).await;
    let drift = store.note_drift(root.source(), root.cycle(), 1, t(23)).await.unwrap();
    let diverged = DriftTotals {
        diverged: 1,
        ..DriftTotals::default()
    };
    assert_eq!(drift, Some(diverged));
}

pub async fn an_entity_that_goes_takes_what_was_added_with_it(store: Arc<dyn Store>) {
    filled(&store).await;
    enrich(&store, Some(SHOWN), 3).await;
    let mut root = next(&store, 10).await;
    read(&store, &mut root, vec![vec![]], 11).await;
    plan(&store, &root, t(12), 1).await;
    assert_eq!(sweep(&store, &root, t(12), 1).await, 1);
    let change = only(changes_after(&store, 0, 10).await);
    assert_eq!((change.change, change.body), (ChangeKind::Removed, None));
    store.forget_target_entity("mocks", &api()).await.unwrap();
    let mut root = next(&store, 20).await;
    read(&store, &mut root, vec![vec![entity(REF, GIVEN)]], 21).await;
    assert_eq!(seen(&store).await.0, GIVEN, "it comes back as its source gives it");
    assert_eq!(original(&store).await.additions, Additions::new());
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_enrichments {
    ($open:path) => {
        $crate::store_conformance_cases!($open, enrichments:
            readers_see_what_was_added_as_a_change_and_the_original_stays_known,
            what_the_source_writes_replaces_what_was_added,
            an_enrichment_of_an_older_state_is_refused,
            a_cycle_does_not_take_an_addition_for_drift_nor_for_a_change,
            an_entity_that_goes_takes_what_was_added_with_it,
        );
    };
}
