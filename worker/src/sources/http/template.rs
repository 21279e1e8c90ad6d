//! Paths, queries and bodies with `{name}` for a value of the parent.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// A text with places for values.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Value(String),
}

impl Template {
    /// Takes it apart. What stands in braces is a place only if it looks like a name.
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            literal.push_str(before);
            match after[1..].split_once('}') {
                Some((name, tail)) if is_name(name) => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Value(name.to_owned()));
                    rest = tail;
                }
                _ => {
                    literal.push('{');
                    rest = &after[1..];
                }
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Self { parts }
    }

    /// Names it asks for that are not among those known.
    pub(super) fn unknown(&self, known: &BTreeSet<String>) -> Vec<String> {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Value(name) if !known.contains(name) => Some(name.clone()),
                _ => None,
            })
            .collect()
    }

    /// With the values filled in as they are.
    ///
    /// # Errors
    /// Names a value that is missing.
    pub(super) fn fill(&self, values: &Map<String, Value>) -> Result<String, String> {
        self.fill_with(values, |text| Ok(text.to_owned()))
    }

    /// With the values percent-encoded for a path (RFC 3986, section 3.3). A value of only dots is refused: it would
    /// climb to another path.
    ///
    /// # Errors
    /// Names a value that is missing or refused.
    pub(super) fn fill_path(&self, values: &Map<String, Value>) -> Result<String, String> {
        self.fill_with(values, |text| {
            if text.is_empty() || text == "." || text == ".." {
                Err(format!("the value \"{text}\" cannot stand in a path"))
            } else {
                Ok(utf8_percent_encode(text, RESERVED).to_string())
            }
        })
    }

    fn fill_with(
        &self,
        values: &Map<String, Value>,
        write: impl Fn(&str) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Value(name) => {
                    let value = values.get(name).and_then(scalar_text);
                    let value = value.ok_or_else(|| format!("the parent has no value \"{name}\""))?;
                    out.push_str(&write(&value)?);
                }
            }
        }
        Ok(out)
    }
}

/// The body with `{name}` in its strings filled in; a string that is only `{name}` becomes the value itself, so that
/// numbers stay numbers. Names without a value stay as they are (GraphQL is full of braces).
pub(super) fn fill_body(body: &Value, values: &Map<String, Value>) -> Value {
    match body {
        Value::String(text) => {
            let whole = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            if let Some(value) = whole.and_then(|name| values.get(name)) {
                return value.clone();
            }
            let mut filled = text.clone();
            for (name, value) in values {
                if let Some(value) = scalar_text(value) {
                    filled = filled.replace(&format!("{{{name}}}"), &value);
                }
            }
            Value::String(filled)
        }
        Value::Array(items) => items.iter().map(|item| fill_body(item, values)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), fill_body(member, values)))
            .collect(),
        other => other.clone(),
    }
}

/// Sets a member of a JSON body; dots lead into inner objects (`variables.after`).
pub(super) fn set_member(body: &mut Value, name: &str, value: Value) {
    let mut at = body;
    let mut names = name.split('.').peekable();
    while let Some(part) = names.next() {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(members) = at else { return };
        if names.peek().is_none() {
            members.insert(part.to_owned(), value);
            return;
        }
        at = members.entry(part.to_owned()).or_insert(Value::Null);
    }
}

/// A text, number or boolean as text.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Map<String, Value> {
        json!({"org": "a b/c", "id": 7}).as_object().unwrap().clone()
    }

    #[test]
    fn values_in_a_path_are_percent_encoded() {
        let template = Template::parse("/orgs/{org}/items/{id}");
        assert_eq!(template.fill_path(&values()).unwrap(), "/orgs/a%20b%2Fc/items/7");
    }

    #[test]
    fn a_value_of_dots_cannot_climb_to_another_path() {
        let values = json!({"org": ".."}).as_object().unwrap().clone();
        assert!(Template::parse("/orgs/{org}").fill_path(&values).is_err());
    }

    #[test]
    fn braces_around_what_is_no_name_are_text_as_the_configuration_says() {
        for text in ["{a-b}", "{}", "{a b}", "{"] {
            assert!(Template::parse(text).unknown(&BTreeSet::new()).is_empty(), "{text}");
            assert_eq!(Template::parse(text).fill(&values()).unwrap(), text);
        }
    }

    #[test]
    fn a_missing_value_is_named() {
        let error = Template::parse("{nope}").fill(&values()).unwrap_err();
        assert!(error.contains("nope"), "{error}");
        let known = BTreeSet::from(["org".to_owned()]);
        assert_eq!(Template::parse("{org}/{x}").unknown(&known), ["x"]);
    }

    #[test]
    fn a_body_keeps_numbers_and_foreign_braces() {
        let body = json!({"query": "query{viewer{login}}", "variables": {"id": "{id}", "title": "of {org}"}});
        assert_eq!(
            fill_body(&body, &values()),
            json!({"query": "query{viewer{login}}", "variables": {"id": 7, "title": "of a b/c"}})
        );
    }

    #[test]
    fn a_member_with_dots_leads_into_inner_objects() {
        let mut body = json!({"variables": {"first": 1}});
        set_member(&mut body, "variables.after", json!("x"));
        set_member(&mut body, "a.b", json!(2));
        assert_eq!(body, json!({"variables": {"first": 1, "after": "x"}, "a": {"b": 2}}));
    }
}
