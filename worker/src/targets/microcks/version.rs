//! Names of the versions that mocks get in Microcks: the same as the Backstage plugin gives, so that it can be replaced
//! without making a mock anew.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use tideline_core::words::EntityRef;
use url::Url;

/// In a path, everything else is escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The first 16 hex digits of SHA-256 over the entity's reference in lower case, as Backstage writes it.
#[must_use]
pub(super) fn entity_hash(entity: &EntityRef) -> String {
    let digest = Sha256::digest(entity.as_str().to_lowercase().as_bytes());
    hex::encode(&digest[..8])
}

/// Where the mock of a REST API answers. Source: Microcks' documentation, "REST Mocks": a space is written as `+`.
#[must_use]
pub(super) fn mock_url(base: &Url, name: &str, version: &str) -> String {
    below(base, "rest", name, version)
}

/// Where the mock of an AsyncAPI definition sends its messages; the channel follows. Source: Microcks' documentation,
/// "AsyncAPI Mocking Guide", WebSocket.
#[must_use]
pub(super) fn events_url(base: &Url, name: &str, version: &str) -> String {
    below(base, "api/ws", name, version)
}

fn below(base: &Url, path: &str, name: &str, version: &str) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, SEGMENT).to_string().replace("%20", "+");
    let base = base.as_str().trim_end_matches('/');
    format!("{base}/{path}/{}/{}", escaped(name), escaped(version))
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
    fn the_address_of_a_mock_is_the_one_that_the_backstage_plugin_names() {
        let base: Url = "https://m.example/microcks/".parse().unwrap();
        assert_eq!(
            mock_url(&base, "Pet Shop/2", "bk-1-a b"),
            "https://m.example/microcks/rest/Pet+Shop%2F2/bk-1-a+b"
        );
    }

    #[test]
    fn mocks_b_and_a_b_have_versions_that_differ_as_whole_texts() {
        let entity: EntityRef = "api:default/petstore".parse().unwrap();
        assert_ne!(owned_version(&entity, "b"), owned_version(&entity, "a-b"));
    }
}
