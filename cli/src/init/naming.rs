//! Finds the members that identify items. Entities with equal references would replace each other, so a name must be
//! present and unique in every item of the sample.

use std::collections::BTreeSet;

use serde_json::Value;

use super::member;

/// Members that identify an item, safer ones first: a display name may be given twice.
const NAMES: [&str; 18] = [
    "id",
    "uuid",
    "uid",
    "guid",
    "_id",
    "Id",
    "ID",
    "key",
    "slug",
    "identifier",
    "login",
    "full_name",
    "sha",
    "code",
    "sys_id",
    "name",
    "Name",
    "title",
];

/// Endings of other members that identify an item.
const ENDINGS: [&str; 9] = ["id", "Id", "ID", "key", "Key", "number", "Number", "name", "Name"];

/// What an item is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    /// jq expression; none: nothing was found.
    pub(crate) name: Option<String>,
    /// jq expression; none: the default.
    pub(crate) namespace: Option<String>,
    /// Items of the sample share a name.
    pub(crate) ambiguous: bool,
}

pub(super) fn naming(items: &[Value]) -> Naming {
    if let Some(naming) = kubernetes(items) {
        return naming;
    }
    let Some(first) = items.first().and_then(Value::as_object) else {
        return Naming::default();
    };
    let others = ENDINGS.iter().flat_map(|ending| {
        let names = first.keys().map(String::as_str);
        names.filter(move |name| name.ends_with(ending))
    });
    let names = || NAMES.into_iter().chain(others.clone());
    let distinct = names().find(|name| is_distinct(items.iter().map(|item| text(&item[*name]))));
    let present = || names().find(|name| first.get(*name).and_then(text).is_some());
    Naming {
        name: distinct.or_else(present).map(member),
        namespace: None,
        ambiguous: distinct.is_none() && items.len() > 1,
    }
}

/// `metadata.name`, within `metadata.namespace` if there are namespaces.
fn kubernetes(items: &[Value]) -> Option<Naming> {
    let metadata = |item: &Value, name: &str| text(&item["metadata"][name]);
    if items.is_empty() || items.iter().any(|item| metadata(item, "name").is_none()) {
        return None;
    }
    let namespaced = items
        .iter()
        .filter(|item| metadata(item, "namespace").is_some())
        .count();
    let namespace = match namespaced {
        0 => None,
        some if some == items.len() => Some(".metadata.namespace".to_owned()),
        _ => Some(".metadata.namespace // \"default\"".to_owned()),
    };
    let whole = |item: &Value| {
        let namespace = metadata(item, "namespace").unwrap_or_else(|| "default".to_owned());
        Some(format!("{namespace}/{}", metadata(item, "name")?))
    };
    Some(Naming {
        name: Some(".metadata.name".to_owned()),
        namespace,
        ambiguous: !is_distinct(items.iter().map(whole)),
    })
}

/// References are compared without case.
fn is_distinct(texts: impl Iterator<Item = Option<String>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut texts = texts;
    texts.all(|text| text.is_some_and(|text| seen.insert(text.to_lowercase())))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
