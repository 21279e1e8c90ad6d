//! Cases: earlier states of entities.

use std::sync::Arc;

use tideline_core::words::{EntityRef, SourceId, Timestamp};

use super::{begin, entities, entity, t};
use crate::{Store, Version};

async fn bodies(store: &Arc<dyn Store>, source: SourceId, reference: &EntityRef) -> Vec<String> {
    let versions = store.list_versions(source, reference, 10).await.unwrap();
    versions.into_iter().map(|version| version.body).collect()
}

pub async fn what_an_entity_was_is_kept_when_it_is_modified_and_forgotten_after_a_while(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    let reference: EntityRef = "component:default/a".parse().unwrap();
    for (place, body) in ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"].into_iter().enumerate() {
        let now = t(i64::try_from(place).unwrap() * 1_000);
        let next = format!("page-{place}");
        root.write(&store, vec![entity(reference.as_str(), body)], Some(&next), now)
            .await;
    }
    let source = root.source();
    assert_eq!(bodies(&store, source, &reference).await, ["{\"n\":2}", "{\"n\":1}"]);
    let versions = store.list_versions(source, &reference, 1).await.unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].changed_at, t(1_000));
    assert_eq!(
        store.prune_versions(t(1_000), 10).await.unwrap(),
        0,
        "they were replaced at that moment and later"
    );
    assert_eq!(store.prune_versions(t(1_001), 10).await.unwrap(), 1);
    assert_eq!(bodies(&store, source, &reference).await, ["{\"n\":2}"]);
    assert_eq!(store.prune_versions(Timestamp(i64::MAX), 10).await.unwrap(), 1);
    assert!(bodies(&store, source, &reference).await.is_empty());
}

pub async fn a_commit_that_modifies_very_many_entities_keeps_none_of_them(store: Arc<dyn Store>) {
    let count = u32::try_from(Version::MAX_TOGETHER).unwrap() + 1;
    let mut root = begin(&store, "s", 4).await;
    root.write(&store, entities(0, count, 1), Some("again"), t(0)).await;
    root.write(&store, entities(0, count, 2), Some("few"), t(1)).await;
    let reference = entities(0, 1, 1)[0].reference.clone();
    assert!(bodies(&store, root.source(), &reference).await.is_empty());
    root.write(&store, entities(0, 1, 3), None, t(2)).await;
    assert_eq!(bodies(&store, root.source(), &reference).await.len(), 1);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_versions {
    ($open:path) => {
        $crate::store_conformance_cases!($open, versions:
            what_an_entity_was_is_kept_when_it_is_modified_and_forgotten_after_a_while,
            a_commit_that_modifies_very_many_entities_keeps_none_of_them,
        );
    };
}
