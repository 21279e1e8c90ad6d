use sha2::{Digest, Sha256};

use super::KeyHash;

/// What made entities, as a reading outside of cycles knows it: a whole partition, or one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Key of the partition's job. None: it is unknown on which list the item is; then only entities written by
    /// readings outside of cycles are known to be its own.
    pub partition: Option<String>,
    /// The item ([`item_hash`]); none: the whole partition.
    pub item: Option<KeyHash>,
    /// The key of the item's entity, where the values that name the item tell it: known whether or not pages tell what
    /// the item made.
    pub entity: Option<KeyHash>,
}

impl Origin {
    /// Names the origin in what deltas leave behind. Never 0, which means several.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        match (self.item, &self.partition) {
            (Some(item), _) => item,
            (None, Some(partition)) => hash_of(["partition", partition].into_iter()),
            (None, None) => KeyHash(0),
        }
    }

    /// Names the whole partition likewise, if it is known.
    #[must_use]
    pub fn partition_hash(&self) -> Option<KeyHash> {
        let partition = self.partition.as_deref()?;
        Some(hash_of(["partition", partition].into_iter()))
    }
}

/// Names an item of a resource by the values that tell it apart, in the order of their names. Never 0, which means
/// none.
pub fn item_hash<'a>(resource: &'a str, values: impl IntoIterator<Item = (&'a str, &'a str)>) -> KeyHash {
    let values = values.into_iter().flat_map(|(name, value)| [name, value]);
    hash_of(["item", resource].into_iter().chain(values))
}

/// The first 64 bits of the SHA-256 of the parts, each after its length.
fn hash_of<'a>(parts: impl Iterator<Item = &'a str>) -> KeyHash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    KeyHash(i64::from_be_bytes(first) | 1)
}

/// The outcome for the entities that a complete reading of their origin no longer showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Entities that were removed.
    pub removed: u64,
    /// Why they were kept instead: the removal guard, which leaves them to the next complete cycle.
    pub held: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_differ_by_partition_item_and_value() {
        let partition = |key: &str| Origin {
            partition: Some(key.into()),
            item: None,
            entity: None,
        };
        assert_ne!(partition("s/a").hash(), partition("s/b").hash());
        let item = |name: &str| item_hash("things", [("name", name)]);
        assert_ne!(item("a"), item("b"));
        assert_ne!(item("a"), item_hash("others", [("name", "a")]));
        assert_ne!(item("a").0, 0);
        let of_item = Origin {
            item: Some(item("a")),
            ..partition("s/a")
        };
        assert_eq!(of_item.hash(), item("a"));
        assert_eq!(of_item.partition_hash(), Some(partition("s/a").hash()));
    }
}
