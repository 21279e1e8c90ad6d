//! The current state of an entity in the catalog, as a target sees it.

use std::collections::HashMap;

use tideline_config::settings::Follow;
use tideline_core::words::EntityRef;
use tideline_store::{EntityRecord, OriginalEntity, Store, StoreError};

use crate::batches::Batches;

/// The entity as its source gave it, without what targets added; none: it is gone, or does not concern the target.
pub(super) async fn find_original(
    store: &dyn Store,
    follow: &Follow,
    reference: &EntityRef,
) -> Result<Option<OriginalEntity>, StoreError> {
    if !follow.allows(reference) {
        return Ok(None);
    }
    let found = store.list_originals(std::slice::from_ref(reference)).await?;
    Ok(followed(follow, &found).cloned())
}

/// Of the entities that sources have under one reference, the one that concerns the target.
pub(super) fn followed<'e>(follow: &Follow, entities: &'e [OriginalEntity]) -> Option<&'e OriginalEntity> {
    let found = entities
        .iter()
        .filter(|entity| follow.allows(&entity.reference) && follow.allows_source(&entity.source));
    found.min_by_key(|entity| follow.rank(&entity.source))
}

/// The entity as readers see it; none: it is gone, or does not concern the target. Concurrent callers share a store
/// call.
pub(super) async fn find(
    store: &dyn Store,
    shared: &Batches<EntityRef, Vec<EntityRecord>>,
    follow: &Follow,
    reference: &EntityRef,
) -> Result<Option<EntityRecord>, StoreError> {
    if !follow.allows(reference) {
        return Ok(None);
    }
    let find = async |references: Vec<EntityRef>| {
        let mut found: HashMap<EntityRef, Vec<EntityRecord>> = HashMap::new();
        for entity in store.find_entities(&references).await? {
            found.entry(entity.reference.clone()).or_default().push(entity);
        }
        let own = references
            .iter()
            .map(|reference| found.get(reference).cloned().unwrap_or_default());
        Ok(own.collect())
    };
    let found = shared.call(reference.clone(), find).await?;
    let found = found.into_iter().filter(|entity| follow.allows_source(&entity.source));
    Ok(found.min_by(|one, other| follow.rank(&one.source).cmp(&follow.rank(&other.source))))
}
