//! What the catalog has of an entity now, as a target sees it.

use tideline_config::settings::Follow;
use tideline_core::words::EntityRef;
use tideline_store::{EntityFilter, EntityRecord, OriginalEntity, Store, StoreError};

/// Sources that can own one entity.
const MAX_OWNERS: u32 = 1_000;

/// The entity as its source gave it, without what targets added; none: it is gone, or does not concern the target.
pub(super) async fn find_original(
    store: &dyn Store,
    follow: &Follow,
    reference: &EntityRef,
) -> Result<Option<OriginalEntity>, StoreError> {
    if !follow.allows(reference) {
        return Ok(None);
    }
    let found = store.list_originals(reference).await?;
    let found = found.into_iter().filter(|entity| follow.allows_source(&entity.source));
    Ok(found.min_by(|one, other| follow.rank(&one.source).cmp(&follow.rank(&other.source))))
}

/// The entity as readers see it; none: it is gone, or does not concern the target.
pub(super) async fn find(
    store: &dyn Store,
    follow: &Follow,
    reference: &EntityRef,
) -> Result<Option<EntityRecord>, StoreError> {
    if !follow.allows(reference) {
        return Ok(None);
    }
    let filter = EntityFilter {
        reference: Some(reference.clone()),
        limit: MAX_OWNERS,
        ..EntityFilter::default()
    };
    let found = store.list_entities(&filter).await?;
    let found = found.into_iter().filter(|entity| follow.allows_source(&entity.source));
    Ok(found.min_by(|one, other| follow.rank(&one.source).cmp(&follow.rank(&other.source))))
}
