use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Sequence, Timestamp};

/// `kind:namespace/name`, lower-cased as Backstage compares entity references.
/// Source: Backstage, "Entity References", String References.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntityRef(String);

/// Why a text is not an entity reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not an entity reference: {reason}; write kind:namespace/name, and percent-encode `:`, `/`, `%`, blanks and \
     control characters in each part"
)]
pub struct EntityRefError {
    text: String,
    reason: &'static str,
}

impl EntityRef {
    /// The longest reference in bytes; longer ones are malformed (an index row of either store must hold it).
    pub const MAX_BYTES: usize = 1024;

    /// Joins the three parts as a source has them: any text may be part of a reference. What is not allowed in one
    /// (`:`, `/`, white space, control characters, and `%` itself) is percent-encoded, so that `@babel/core` becomes
    /// `@babel%2fcore` and different texts stay different.
    ///
    /// # Errors
    /// A part is empty, or the whole is too long.
    pub fn encode(kind: &str, namespace: &str, name: &str) -> Result<Self, EntityRefError> {
        Self::new(&encode_part(kind), &encode_part(namespace), &encode_part(name))
    }

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
            if part.contains(needs_encoding) {
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

    /// This reference with namespace and name as a source has them; none: they are of another one, or have no upper
    /// case.
    pub(crate) fn as_written(&self, kind: &str, namespace: &str, name: &str) -> Option<String> {
        let [kind, namespace, name] = [kind, namespace, name].map(encode_part);
        let written = format!("{}:{namespace}/{name}", kind.to_lowercase());
        (written != self.0 && written.to_lowercase() == self.0).then_some(written)
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

    /// The part between the colon and the slash.
    #[must_use]
    pub fn namespace(&self) -> &str {
        let rest = self.0.split_once(':').map_or("", |(_, rest)| rest);
        rest.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The part after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

fn needs_encoding(c: char) -> bool {
    c == ':' || c == '/' || c.is_whitespace() || c.is_control()
}

fn encode_part(part: &str) -> Cow<'_, str> {
    let wrong = |c: char| c == '%' || needs_encoding(c);
    if !part.contains(wrong) {
        return Cow::Borrowed(part);
    }
    let mut out = String::with_capacity(part.len() + 8);
    for c in part.chars() {
        if wrong(c) {
            out.extend(utf8_percent_encode(c.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
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
    /// Of 64 hex digits; none: the text is something else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).ok()?.try_into().ok().map(Self)
    }

    /// For `serialize_with`: hex digits, which are shorter than a list of numbers.
    pub(super) fn as_hex<S: Serializer>(this: &Option<Self>, to: S) -> Result<S::Ok, S::Error> {
        this.map(|this| this.to_string()).serialize(to)
    }

    /// For `deserialize_with`: an invalid fingerprint becomes none.
    pub(super) fn of_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.and_then(|text| Self::from_hex(&text)))
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

/// The first 64 bits of the SHA-256 of an entity reference: what a page's manifest keeps per entity. A collision can
/// only make an orphan stay, never delete a live entity.
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

impl ChangeKind {
    /// As in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Removed => "removed",
        }
    }
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

impl Change {
    /// Of its body.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use percent_encoding::percent_decode_str;

    use super::*;

    #[test]
    fn names_with_slashes_colons_and_blanks_are_encoded_and_can_be_read_back() {
        let names = [
            "@babel/core",
            "owner/repo",
            "arn:aws:s3:::bucket/key",
            "a b",
            "a%20b",
            "100%",
            "ä\u{a0}ö",
            "line\nbreak",
            "plain-name_1.x",
        ];
        let mut seen = HashSet::new();
        for name in names {
            let reference = EntityRef::encode("component", "default", name).unwrap();
            let encoded = reference.as_str().strip_prefix("component:default/").unwrap();
            assert_eq!(percent_decode_str(encoded).decode_utf8().unwrap(), name);
            assert_eq!(reference.as_str().parse::<EntityRef>().unwrap(), reference);
            assert!(seen.insert(reference), "{name}");
        }
        let reference = EntityRef::encode("npm", "default", "@babel/core").unwrap();
        assert_eq!(reference.as_str(), "npm:default/@babel%2fcore");
        let error = EntityRef::encode("npm", "default", "").unwrap_err().to_string();
        assert!(error.contains("the name is empty"), "{error}");
    }
}
