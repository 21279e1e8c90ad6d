//! Where the list of items is in a response, and what a response without one says.

use serde_json::Value;

use super::member;

/// Members that hold the list of items, likelier ones first.
const LISTS: [&str; 12] = [
    "items",
    "data",
    "results",
    "value",
    "values",
    "records",
    "entries",
    "nodes",
    "objects",
    "elements",
    "Resources",
    "content",
];

/// Objects in which APIs wrap what they return.
const WRAPPERS: [&str; 5] = ["_embedded", "data", "result", "response", "message"];

/// Members that say that a request failed.
const ERRORS: [&str; 2] = ["errors", "error"];

/// Members of an error that say what is wrong.
const MESSAGES: [&str; 4] = ["message", "detail", "description", "title"];

/// A list of items.
pub(super) struct List<'b> {
    /// The object that wraps it, if that is not the response itself.
    pub(super) wrapper: Option<&'static str>,
    /// jq path.
    pub(super) path: String,
    pub(super) items: &'b [Value],
}

/// The list in a response. Where there are several, one that is named like the resource is likeliest.
pub(super) fn find_list<'b>(body: &'b Value, resource: &str) -> Option<List<'b>> {
    if let Value::Array(items) = body {
        return Some(List {
            wrapper: None,
            path: ".".to_owned(),
            items,
        });
    }
    let here = list_in(body, resource).map(|(name, items)| List {
        wrapper: None,
        path: member(name),
        items,
    });
    here.or_else(|| {
        WRAPPERS.into_iter().find_map(|wrapper| {
            let (name, items) = list_in(body.get(wrapper)?, resource)?;
            Some(List {
                wrapper: Some(wrapper),
                path: format!("{}{}", member(wrapper), member(name)),
                items,
            })
        })
    })
}

fn list_in<'b>(object: &'b Value, resource: &str) -> Option<(&'b str, &'b [Value])> {
    let lists = object.as_object()?.iter().filter_map(|(name, value)| {
        let list = value.as_array()?;
        let fits = !ERRORS.contains(&name.as_str()) && list.iter().all(Value::is_object);
        fits.then_some((name.as_str(), list.as_slice()))
    });
    // `schemas` of SCIM and the like are lists too; an empty one is the last to be taken.
    lists.min_by_key(|(name, list)| {
        let known = LISTS.iter().position(|known| known == name);
        let rank = if *name == resource {
            0
        } else {
            known.map_or(LISTS.len() + 1, |at| at + 1)
        };
        (rank, list.is_empty(), usize::MAX - list.len())
    })
}

/// What a response without a list says is wrong; none: it does not say that anything is.
pub(crate) fn error_in(body: &Value) -> Option<String> {
    let said = ERRORS.iter().filter_map(|name| body.get(name));
    let error = said.into_iter().find(|error| match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(errors) => !errors.is_empty(),
        _ => true,
    })?;
    let first = error.get(0).unwrap_or(error);
    let text = MESSAGES.iter().find_map(|name| first.get(name)?.as_str());
    let text = text
        .or_else(|| first.as_str())
        .map_or_else(|| first.to_string(), str::to_owned);
    Some(text.chars().take(200).collect())
}
