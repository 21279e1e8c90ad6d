use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Sequence, Timestamp};

/// `kind:namespace/name`, lower-cased as Backstage compares entity references.
/// Source: Backstage, "Entity References", String References.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntityRef(String);

/// Why a text is no entity reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not an entity reference: {reason}; write kind:namespace/name")]
pub struct EntityRefError {
    text: String,
    reason: &'static str,
}

impl EntityRef {
    /// The longest reference in bytes; longer ones are malformed (an index row of either store must hold it).
    pub const MAX_BYTES: usize = 1024;

    /// Joins the three parts. Each must be non-empty and free of `:`, `/`, white space and control characters.
    ///
    /// # Errors
    /// Says which part is wrong.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Result<Self, EntityRefError> {
        let joined = format!("{kind}:{namespace}/{name}");
        let wrong = |reason| EntityRefError {
            text: joined.chars().take(200).collect(),
            reason,
        };
        for (part, empty, bad) in [
            (
                kind,
                "the kind is empty",
                "the kind has a character that is not allowed",
            ),
            (
                namespace,
                "the namespace is empty",
                "the namespace has a character that is not allowed",
            ),
            (
                name,
                "the name is empty",
                "the name has a character that is not allowed",
            ),
        ] {
            if part.is_empty() {
                return Err(wrong(empty));
            }
            if part
                .chars()
                .any(|c| c == ':' || c == '/' || c.is_whitespace() || c.is_control())
            {
                return Err(wrong(bad));
            }
        }
        if joined.len() > Self::MAX_BYTES {
            return Err(wrong("it is longer than 1024 bytes"));
        }
        Ok(Self(if joined.bytes().any(|b| b.is_ascii_uppercase() || b >= 0x80) {
            joined.to_lowercase()
        } else {
            joined
        }))
    }

    /// The whole reference.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the colon.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or("", |(kind, _)| kind)
    }
}

impl FromStr for EntityRef {
    type Err = EntityRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| EntityRefError {
            text: text.chars().take(200).collect(),
            reason,
        };
        let (kind, rest) = text.split_once(':').ok_or_else(|| wrong("it has no colon"))?;
        let (namespace, name) = rest.split_once('/').ok_or_else(|| wrong("it has no slash"))?;
        Self::new(kind, namespace, name)
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over canonical bytes. Equal fingerprint = nothing to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// For `serialize_with`: hex digits, which are shorter than a list of numbers.
    pub(super) fn as_hex<S: Serializer>(this: &Option<Self>, to: S) -> Result<S::Ok, S::Error> {
        this.map(|this| this.to_string()).serialize(to)
    }

    /// For `deserialize_with`: what is no fingerprint is none.
    pub(super) fn of_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let bytes = text.and_then(|text| hex::decode(text).ok());
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Self))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The first 64 bits of the SHA-256 of an entity reference: what a page's manifest keeps per entity. A collision can only
/// make an orphan stay, never delete a live entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(pub i64);

/// One catalog record as a source read it, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Its reference.
    pub reference: EntityRef,
    /// [`KeyHash`] of the reference.
    pub key_hash: KeyHash,
    /// Over the canonical body without the volatile parts.
    pub fingerprint: Fingerprint,
    /// Canonical JSON text.
    pub body: String,
}

/// What happened to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was not in the catalog (of this source) before.
    Added,
    /// Its fingerprint differs from before.
    Modified,
    /// It is gone; only a tombstone is left.
    Removed,
}

/// One record of the change feed: the newest state of one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Place in the feed.
    pub sequence: Sequence,
    /// What happened.
    pub change: ChangeKind,
    /// Name of the owning source.
    pub source: String,
    /// Whose change it is.
    #[serde(rename = "ref")]
    pub reference: EntityRef,
    /// When it was committed.
    pub changed_at: Timestamp,
    /// Canonical JSON text; none for a removed entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}
