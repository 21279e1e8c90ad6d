use sha2::{Digest, Sha256};

use crate::words::{Entity, Fingerprint, KeyHash, MalformedItem};

/// Fingerprint of a page: over what it marks and what it would write, in order. If it equals the remembered one, the
/// page's entities need not be looked up.
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

/// The fingerprint of a page whose entities are known to be made by these items: another item that makes the same
/// entity is a change of the page.
#[must_use]
pub fn made_fingerprint(page: Fingerprint, makers: &[KeyHash]) -> Fingerprint {
    if makers.is_empty() {
        return page;
    }
    let mut hasher = Sha256::new();
    hasher.update(page.0);
    for maker in makers {
        hasher.update(maker.0.to_be_bytes());
    }
    Fingerprint(hasher.finalize().into())
}
