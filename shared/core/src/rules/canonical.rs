//! Canonical JSON: object keys sorted by their bytes, no white space, strings escaped the one way `serde_json` does it,
//! numbers as 64-bit integers or IEEE 754 doubles in their shortest form (as in RFC 8785). A number of which neither
//! keeps all digits stays as it is written: ids beyond 2^64 must not become one. Texts that differ only in key order or
//! white space become equal; of a key that occurs twice the last one counts. Written for speed: one borrowed tree, no
//! map.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::words::{EntityRef, Fingerprint, KeyHash};

/// Annotations (below `metadata.annotations`) that are stored but left out of the fingerprint, because they change
/// without meaning. A trailing `*` stands for any rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volatile {
    names: Vec<String>,
}

impl Volatile {
    /// These names and `prefix*` patterns.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    fn covers(&self, annotation: &str) -> bool {
        self.names.iter().any(|name| match name.strip_suffix('*') {
            Some(prefix) => annotation.starts_with(prefix),
            None => name == annotation,
        })
    }
}

/// Why a text has no canonical form.
#[derive(Debug, thiserror::Error)]
#[error("not valid JSON")]
pub struct CanonicalError(#[from] serde_json::Error);

/// The first 64 bits of the SHA-256 of a reference.
#[must_use]
pub fn key_hash(reference: &EntityRef) -> KeyHash {
    let digest: [u8; 32] = Sha256::digest(reference.as_str().as_bytes()).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    KeyHash(i64::from_be_bytes(first))
}

/// SHA-256 of the bytes.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(bytes).into())
}

/// Canonical form of a JSON text.
///
/// # Errors
/// The text is not JSON, or nested deeper than 128 levels.
pub fn canonical_json(text: &str) -> Result<String, CanonicalError> {
    let mut tree = Node::read(text)?;
    tree.sort();
    let mut out = String::with_capacity(text.len());
    tree.write(&mut out);
    Ok(out)
}

/// Canonical body of an entity and its fingerprint without the volatile annotations.
///
/// # Errors
/// As [`canonical_json`].
pub fn canonical_entity(text: &str, volatile: &Volatile) -> Result<(String, Fingerprint), CanonicalError> {
    let mut tree = Node::read(text)?;
    tree.sort();
    let mut body = String::with_capacity(text.len());
    tree.write(&mut body);
    if volatile.names.is_empty() || !tree.drop_annotations(volatile) {
        let print = fingerprint(body.as_bytes());
        return Ok((body, print));
    }
    let mut stable = String::with_capacity(body.len());
    tree.write(&mut stable);
    let print = fingerprint(stable.as_bytes());
    Ok((body, print))
}

enum Node<'a> {
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    Array(Vec<Node<'a>>),
    Text(Cow<'a, str>),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    /// A number as it is written, because a double would lose digits.
    Digits(&'a str),
    Bool(bool),
    Null,
}

impl<'a> Node<'a> {
    fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut tree: Self = serde_json::from_str(text)?;
        if tree.has_float() {
            tree.keep_digits(&mut Numbers(text));
        }
        Ok(tree)
    }

    fn has_float(&self) -> bool {
        match self {
            Node::Object(fields) => fields.iter().any(|(_, value)| value.has_float()),
            Node::Array(items) => items.iter().any(Node::has_float),
            Node::Float(_) => true,
            _ => false,
        }
    }

    /// Goes through the numbers in the order of the text.
    fn keep_digits(&mut self, numbers: &mut Numbers<'a>) {
        match self {
            Node::Object(fields) => fields.iter_mut().for_each(|(_, value)| value.keep_digits(numbers)),
            Node::Array(items) => items.iter_mut().for_each(|item| item.keep_digits(numbers)),
            Node::Integer(_) | Node::Unsigned(_) => {
                numbers.next();
            }
            Node::Float(number) => {
                if let Some(digits) = numbers.next()
                    && decimal(digits) != decimal(&shortest(*number))
                {
                    *self = Node::Digits(digits);
                }
            }
            _ => {}
        }
    }
}

/// The numbers of a JSON text, in order.
struct Numbers<'a>(&'a str);

impl<'a> Iterator for Numbers<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let mut at = 0;
        loop {
            match bytes.get(at)? {
                b'"' => {
                    at += 1;
                    while *bytes.get(at)? != b'"' {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                b'-' | b'0'..=b'9' => break,
                _ => at += 1,
            }
        }
        let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
        let (number, rest) = self.0[at..].split_at(length);
        self.0 = rest;
        Some(number)
    }
}

/// Sign, digits without zeros at either end, and the power of ten of the first one: equal for equal values.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (mantissa, power) = match number.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa
        .trim_start_matches('-')
        .split_once('.')
        .unwrap_or((mantissa.trim_start_matches('-'), ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return Some((false, String::new(), 0));
    }
    let leading = i64::try_from(all.len() - digits.len()).ok()?;
    let first = i64::try_from(whole.len())
        .ok()?
        .checked_sub(leading)?
        .checked_add(power)?;
    Some((
        mantissa.starts_with('-'),
        digits.trim_end_matches('0').to_owned(),
        first,
    ))
}

fn shortest(number: f64) -> String {
    serde_json::Value::from(number).to_string()
}

impl Node<'_> {
    fn sort(&mut self) {
        match self {
            Node::Object(fields) => {
                for (_, value) in fields.iter_mut() {
                    value.sort();
                }
                if !fields.is_sorted_by(|(a, _), (b, _)| a < b) {
                    // Stable, so that after reversing the last of equal keys comes first and survives.
                    fields.reverse();
                    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                    fields.dedup_by(|(later, _), (earlier, _)| later == earlier);
                }
            }
            Node::Array(items) => items.iter_mut().for_each(Node::sort),
            _ => {}
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Node::Object(fields) => {
                out.push('{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Node::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Node::Text(text) => write_text(text, out),
            Node::Integer(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Node::Unsigned(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Node::Float(number) => out.push_str(&shortest(*number)),
            Node::Digits(digits) => out.push_str(digits),
            Node::Bool(true) => out.push_str("true"),
            Node::Bool(false) => out.push_str("false"),
            Node::Null => out.push_str("null"),
        }
    }

    /// Removes the volatile annotations; returns true if there were any.
    fn drop_annotations(&mut self, volatile: &Volatile) -> bool {
        let Some(Node::Object(annotations)) = self
            .field("metadata")
            .and_then(|metadata| metadata.field("annotations"))
        else {
            return false;
        };
        let before = annotations.len();
        annotations.retain(|(name, _)| !volatile.covers(name));
        annotations.len() != before
    }

    fn field(&mut self, name: &str) -> Option<&mut Self> {
        match self {
            Node::Object(fields) => fields.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Plain characters in one piece; only what JSON must escape goes through `serde_json`.
fn write_text(text: &str, out: &mut String) {
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Node::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Node::Integer(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Node::Unsigned(value))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Node::Float(value))
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Node::Text(Cow::Borrowed(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Node::Text(Cow::Owned(value.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Node::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Node::Array(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((Key(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(Node::Object(fields))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}

/// A key, borrowed where it has no escapes (a plain `Cow` would always be owned).
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(value.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn key_order_and_white_space_make_no_difference() {
        let one = canonical_json(r#"{ "b": [1, {"y":2.50,"x":null}], "a": "t\u00e9\n" }"#).unwrap();
        let other = canonical_json("{\"a\":\"té\\n\",\"b\":[1,{\"x\":null,\"y\":2.5}]}").unwrap();
        assert_eq!(one, other);
        assert_eq!(one, "{\"a\":\"té\\n\",\"b\":[1,{\"x\":null,\"y\":2.5}]}");
    }

    #[test]
    fn of_a_key_that_occurs_twice_the_last_one_counts() {
        assert_eq!(canonical_json(r#"{"a":1,"b":2,"a":3}"#).unwrap(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn volatile_annotations_are_stored_but_change_no_fingerprint() {
        let volatile = Volatile::new(vec!["seen".into(), "tmp/*".into()]);
        let with =
            |seen| format!(r#"{{"metadata":{{"annotations":{{"seen":"{seen}","tmp/x":"{seen}","stay":"1"}}}}}}"#);
        let (one, print_one) = canonical_entity(&with("1"), &volatile).unwrap();
        let (two, print_two) = canonical_entity(&with("2"), &volatile).unwrap();
        assert_ne!(one, two);
        assert_eq!(print_one, print_two);
        let (_, other) = canonical_entity(&with("1").replace("stay", "gone"), &volatile).unwrap();
        assert_ne!(print_one, other);
    }

    #[test]
    fn numbers_beyond_64_bits_keep_their_digits_and_ordinary_ones_their_form() {
        for (text, canonical) in [
            (
                "[18446744073709551616,18446744073709551617]",
                "[18446744073709551616,18446744073709551617]",
            ),
            (
                r#"{"b":"\"1.5","a":-123456789012345678901234567890}"#,
                r#"{"a":-123456789012345678901234567890,"b":"\"1.5"}"#,
            ),
            ("[0.12345678901234567890123, 1]", "[0.12345678901234567890123,1]"),
            (
                "[1.10, 1e2, 100.0, 0.1, -0, 18446744073709551615, 1E-7, 0.0]",
                "[1.1,100.0,100.0,0.1,-0.0,18446744073709551615,1e-7,0.0]",
            ),
            ("[10000000000000000000000]", "[1e+22]"),
        ] {
            let found = canonical_json(text).unwrap();
            assert_eq!(found, canonical, "{text}");
            assert_eq!(canonical_json(&found).unwrap(), found, "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_an_error_and_no_crash() {
        assert!(canonical_json(&"[".repeat(100_000)).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9_f64..1e9).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_form_means_the_same_and_is_its_own_canonical_form(value in any_json()) {
            let canonical = canonical_json(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(&canonical).unwrap(), &value);
            prop_assert_eq!(&canonical_json(&canonical).unwrap(), &canonical);
        }
    }
}
