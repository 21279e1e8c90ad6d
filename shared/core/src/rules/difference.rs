//! What differs between two JSON documents, by path, for people and programs. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One place at which two documents differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// A jq path: `.metadata.labels["tier"]`, `.spec.tags[2]`; `.` is the whole document.
    pub path: String,
    /// The old value; none: added.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Value>,
    /// The new value; none: removed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<Value>,
}

/// Every place at which the documents differ, in the order of their keys. Of two lists, the elements between the common
/// beginning and the common end are compared one by one.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut String::new(), before, after, &mut found);
    found
}

fn compare(path: &mut String, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => objects(path, before, after, found),
        (Value::Array(before), Value::Array(after)) => lists(path, before, after, found),
        _ if before == after => {}
        _ => found.push(difference(path, Some(before), Some(after))),
    }
}

fn objects(path: &mut String, before: &Map<String, Value>, after: &Map<String, Value>, found: &mut Vec<Difference>) {
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        within(path, &member(key), before.get(key), after.get(key), found);
    }
}

fn lists(path: &mut String, before: &[Value], after: &[Value], found: &mut Vec<Difference>) {
    let start = before.iter().zip(after).take_while(|(one, other)| one == other).count();
    let (before_tail, after_tail) = (&before[start..], &after[start..]);
    let pairs = before_tail.iter().rev().zip(after_tail.iter().rev());
    let end = pairs.take_while(|(one, other)| one == other).count();
    let (before_middle, after_middle) = (
        &before_tail[..before_tail.len() - end],
        &after_tail[..after_tail.len() - end],
    );
    for place in 0..before_middle.len().max(after_middle.len()) {
        let step = format!("[{}]", start + place);
        within(path, &step, before_middle.get(place), after_middle.get(place), found);
    }
}

fn within(path: &mut String, step: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    let length = path.len();
    path.push_str(step);
    match (before, after) {
        (Some(before), Some(after)) => compare(path, before, after, found),
        (before, after) => found.push(difference(path, before, after)),
    }
    path.truncate(length);
}

fn difference(path: &str, before: Option<&Value>, after: Option<&Value>) -> Difference {
    Difference {
        path: if path.starts_with('.') {
            path.to_owned()
        } else {
            format!(".{path}")
        },
        before: before.cloned(),
        after: after.cloned(),
    }
}

/// A member as jq names it.
fn member(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        format!(".{key}")
    } else {
        format!("[{}]", Value::from(key))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(before: &Value, after: &Value) -> Vec<String> {
        differences(before, after)
            .into_iter()
            .map(|difference| difference.path)
            .collect()
    }

    #[test]
    fn equal_documents_do_not_differ() {
        let document = json!({"a": [1, {"b": null}]});
        assert_eq!(differences(&document, &document), []);
    }

    #[test]
    fn a_difference_names_its_path_as_jq_does() {
        let before = json!({"spec": {"owner": "a", "old": 1}, "labels": {"app/tier": "x"}});
        let after = json!({"spec": {"owner": "b"}, "labels": {"app/tier": "y"}, "new": null});
        assert_eq!(
            paths(&before, &after),
            [".labels[\"app/tier\"]", ".new", ".spec.old", ".spec.owner"]
        );
        let owner = &differences(&before, &after)[3];
        assert_eq!((&owner.before, &owner.after), (&Some(json!("a")), &Some(json!("b"))));
    }

    #[test]
    fn an_element_put_in_front_of_a_list_is_one_difference() {
        assert_eq!(paths(&json!({"t": [1, 2, 3]}), &json!({"t": [0, 1, 2, 3]})), [".t[0]"]);
        assert_eq!(paths(&json!([1, {"a": 1}, 3]), &json!([1, {"a": 2}, 3])), [".[1].a"]);
        assert_eq!(paths(&json!([1, 1]), &json!([1])), [".[1]"]);
    }

    #[test]
    fn documents_of_other_types_differ_as_a_whole() {
        assert_eq!(paths(&json!({"a": 1}), &json!([1])), ["."]);
    }
}
