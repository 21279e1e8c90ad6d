//! Extracts a few texts from a body without building a tree: a webhook may have 25 MB.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON body. A body that is not an object has no members.
#[derive(Debug, Default)]
pub(super) struct Document<'b>(HashMap<String, &'b RawValue>);

impl<'b> Document<'b> {
    /// None: it is not JSON.
    pub(super) fn parse(body: &'b [u8]) -> Option<Self> {
        let raw: &RawValue = serde_json::from_slice(body).ok()?;
        Some(Self::of(raw))
    }

    fn of(raw: &'b RawValue) -> Self {
        Self(serde_json::from_str(raw.get()).unwrap_or_default())
    }

    /// The text or number at a path of members.
    pub(super) fn text(&self, path: &[&str]) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Scalar {
            Text(String),
            Number(serde_json::Number),
        }
        let (first, rest) = path.split_first()?;
        let raw = self.0.get(*first)?;
        if !rest.is_empty() {
            return Self::of(raw).text(rest);
        }
        let text = match serde_json::from_str(raw.get()).ok()? {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// The same of the last element of an array.
    pub(super) fn text_of_last(&self, array: &str, member: &str) -> Option<String> {
        let elements: Vec<&'b RawValue> = serde_json::from_str(self.0.get(array)?.get()).ok()?;
        Self::of(elements.last()?).text(&[member])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_found_and_nothing_else_is_taken_for_one() {
        let body = br#"{"a":{"b":7,"c":"x","d":null,"e":[{"f":"1"},{"f":"2"}]},"n":[{"t":"u"},{"t":"v"}],"s":""}"#;
        let document = Document::parse(body).unwrap();
        assert_eq!(document.text(&["a", "b"]).as_deref(), Some("7"));
        assert_eq!(document.text(&["a", "c"]).as_deref(), Some("x"));
        assert_eq!(document.text_of_last("n", "t").as_deref(), Some("v"));
        for path in [
            &["a"][..],
            &["a", "d"],
            &["a", "e"],
            &["a", "x", "y"],
            &["s"],
            &["a", "c", "z"],
        ] {
            assert_eq!(document.text(path), None, "{path:?}");
        }
        assert!(Document::parse(b"[1]").unwrap().text(&["a"]).is_none());
        assert!(Document::parse(b"{").is_none());
        assert!(Document::parse(b"{} x").is_none());
        assert!(Document::parse(b"\xff").is_none());
    }
}
