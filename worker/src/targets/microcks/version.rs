//! Names of the versions that mocks get in Microcks: the same as the Backstage plugin gives, so that it can be replaced without
//! making a mock anew.

use sha2::{Digest, Sha256};
use tideline_core::words::EntityRef;

/// The first 16 hex digits of SHA-256 over the entity's reference in lower case, as Backstage writes it.
#[must_use]
pub(super) fn entity_hash(entity: &EntityRef) -> String {
    let digest = Sha256::digest(entity.as_str().to_lowercase().as_bytes());
    hex::encode(&digest[..8])
}

/// `bk-<entity hash>-<mockId>`. Ownership is never concluded from it: that is a record in the store.
#[must_use]
pub(super) fn owned_version(entity: &EntityRef, mock_id: &str) -> String {
    format!("bk-{}-{mock_id}", entity_hash(entity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_one_that_the_backstage_plugin_gives() {
        let entity: EntityRef = "api:default/petstore".parse().unwrap();
        // printf %s api:default/petstore | sha256sum
        assert_eq!(owned_version(&entity, "a-b"), "bk-ac940b38f46428ca-a-b");
    }

    #[test]
    fn mocks_b_and_a_b_have_versions_that_differ_as_whole_texts() {
        let entity: EntityRef = "api:default/petstore".parse().unwrap();
        assert_ne!(owned_version(&entity, "b"), owned_version(&entity, "a-b"));
    }
}
