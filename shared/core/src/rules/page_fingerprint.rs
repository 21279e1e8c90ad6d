use sha2::{Digest, Sha256};

use crate::words::{Entity, Fingerprint, KeyHash, MalformedItem};

/// Fingerprint of a page: over what it marks and what it would write, in order. Equal to the remembered one, the page needs
/// no look-up of its entities.
#[must_use]
pub fn page_fingerprint(entities: &[Entity], kept: &[KeyHash], malformed: &[MalformedItem]) -> Fingerprint {
    let mut hasher = Sha256::new();
    for entity in entities {
        hasher.update(entity.key_hash.0.to_be_bytes());
        hasher.update(entity.fingerprint.0);
    }
    hasher.update([0xff]);
    for key in kept {
        hasher.update(key.0.to_be_bytes());
    }
    hasher.update([0xff]);
    for item in malformed {
        hasher.update(item.error.as_bytes());
        hasher.update([0]);
        hasher.update(item.sample.as_bytes());
        hasher.update([0]);
    }
    Fingerprint(hasher.finalize().into())
}
