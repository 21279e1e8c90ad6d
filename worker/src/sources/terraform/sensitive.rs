//! What of a state may be shown. Three rules, each of which is enough to leave a value out: Terraform marks it (paths of
//! `sensitive_attributes`, `sensitive` outputs), its name or the type of its resource sounds secret, or a pattern of the
//! configuration names it. A mark that cannot be followed hides the whole of what it points into.

use serde_json::{Map, Value};
use tideline_core::rules::{scrub_tokens, scrub_urls};

use super::glob::Globs;

/// A name that contains one of these, written in lower case with `_` for `-`, is never shown.
const SECRET_NAMES: [&str; 26] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
    "privatekey",
    "access_key",
    "accesskey",
    "client_key",
    "ssh_key",
    "signing_key",
    "encryption_key",
    "account_key",
    "shared_key",
    "primary_key",
    "secondary_key",
    "credential",
    "authorization",
    "connection_string",
    "kube_config",
    "kubeconfig",
    "key_pem",
];

/// Names that often hold programs or variables with secrets in them.
const SECRET_HOLDERS: [&str; 7] = [
    "environment",
    "env",
    "user_data",
    "user_data_base64",
    "custom_data",
    "startup_script",
    "sas",
];

/// Resources whose attributes are secrets, or make one: `random_string.id` is the string.
const SECRET_TYPES: [&str; 6] = ["random_", "password", "secret", "token", "private_key", "access_key"];

/// Whether a name sounds like that of a secret.
pub(super) fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_HOLDERS.contains(&name.as_str()) || SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Whether resources of a type are about secrets as such.
pub(super) fn holds_secrets(resource_type: &str) -> bool {
    SECRET_TYPES.iter().any(|word| resource_type.contains(word))
}

/// Takes out of attributes what Terraform marked and what sounds secret.
pub(super) fn strip(attributes: &mut Map<String, Value>, marks: Option<&Value>, denied: &Globs) {
    match marks {
        None | Some(Value::Null) => {}
        Some(Value::Array(paths)) => {
            for path in paths {
                strip_path(attributes, path);
            }
        }
        // A mark of a form that nobody knows: it may mean any of them.
        Some(_) => attributes.clear(),
    }
    strip_names(attributes, denied);
}

/// A value without the members that sound secret, and with texts without credentials in them.
pub(super) fn strip_value(value: &mut Value, denied: &Globs) {
    match value {
        Value::Object(members) => strip_names(members, denied),
        Value::Array(items) => items.iter_mut().for_each(|item| strip_value(item, denied)),
        Value::String(text) => *text = strip_text(text, denied),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text that may be a JSON document, as policies and definitions of containers are, or the settings of a connection.
fn strip_text(text: &str, denied: &Globs) -> String {
    if text.trim_start().starts_with(['{', '[']) {
        match serde_json::from_str::<Value>(text) {
            Ok(mut document) => {
                strip_value(&mut document, denied);
                return document.to_string();
            }
            Err(_) if sounds_secret(text) => return String::new(),
            Err(_) => {}
        }
    }
    scrub_text(&strip_settings(text, denied))
}

/// `name=value` pairs without the values of those whose name sounds secret. Between `;` a value may have blanks in it.
fn strip_settings(text: &str, denied: &Globs) -> String {
    let ends: &[char] = match text.contains(';') {
        true => &[';', '\n'],
        false => &[' ', ',', '&', '\n'],
    };
    let pairs = text.split_inclusive(ends).map(|pair| match pair.split_once('=') {
        Some((name, value)) if sounds_secret(name.trim()) || denied.matches(name.trim()) => {
            let end = value.chars().next_back().filter(|end| ends.contains(end));
            format!("{name}={}", end.map(String::from).unwrap_or_default())
        }
        _ => pair.to_owned(),
    });
    pairs.collect()
}

/// A text without what is known to be a credential: tokens by their form, user names, passwords and queries of URLs.
pub(super) fn scrub_text(text: &str) -> String {
    if text.contains("-----BEGIN") {
        return String::new();
    }
    scrub_tokens(&scrub_urls(text))
}

fn strip_names(members: &mut Map<String, Value>, denied: &Globs) {
    // `{name: "DB_PASSWORD", value: "…"}`, as lists of variables have it.
    let names_a_secret = ["name", "key"].iter().any(|key| {
        let name = members.get(*key).and_then(Value::as_str);
        name.is_some_and(|name| sounds_secret(name) || denied.matches(name))
    });
    members.retain(|name, _| {
        let hidden = sounds_secret(name) || denied.matches(name);
        !(hidden || (names_a_secret && name.starts_with("value")))
    });
    members.values_mut().for_each(|value| strip_value(value, denied));
}

/// Removes what a path leads to. Where it cannot be followed to its end, what was reached last is removed instead.
fn strip_path(attributes: &mut Map<String, Value>, path: &Value) {
    let steps = path.as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(Place::Member(first)) = steps.first().and_then(place) else {
        attributes.clear();
        return;
    };
    let Some(value) = attributes.get_mut(&first) else {
        return;
    };
    if !strip_below(value, &steps[1..]) {
        attributes.remove(&first);
    }
}

/// `false`: the value itself must go.
fn strip_below(value: &mut Value, steps: &[Value]) -> bool {
    let Some(step) = steps.first() else { return false };
    let rest = &steps[1..];
    match (value, place(step)) {
        (Value::Object(members), Some(Place::Member(name))) => {
            let Some(inner) = members.get_mut(&name) else {
                // Nothing there: a path of another form of the object hides all of it.
                return false;
            };
            if !strip_below(inner, rest) {
                members.remove(&name);
            }
            true
        }
        (Value::Array(items), Some(Place::Index(index))) => {
            let Some(inner) = items.get_mut(index) else {
                return false;
            };
            if !strip_below(inner, rest) {
                // The places of the others must stay, for the next path.
                *inner = Value::Null;
            }
            true
        }
        _ => false,
    }
}

/// Where a step of a path leads.
enum Place {
    Member(String),
    Index(usize),
}

/// Steps are `{type: get_attr, value: NAME}` and `{type: index, value: {value: KEY, type: string | number}}`; an index into a
/// set, whose key is the element, leads nowhere that can be found again.
fn place(step: &Value) -> Option<Place> {
    let value = step.get("value")?;
    match step.get("type")?.as_str()? {
        "get_attr" => value.as_str().map(|name| Place::Member(name.to_owned())),
        "index" => {
            let key = value.get("value").unwrap_or(value);
            let is_number = value.get("type").and_then(Value::as_str) != Some("string");
            match key {
                Value::String(text) if is_number && value.get("type").is_some() => text.parse().ok().map(Place::Index),
                Value::String(text) => Some(Place::Member(text.clone())),
                Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()).map(Place::Index),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stripped(attributes: Value, marks: Value) -> Value {
        let Value::Object(mut attributes) = attributes else {
            panic!("attributes are an object")
        };
        strip(&mut attributes, Some(&marks), &Globs::default());
        Value::Object(attributes)
    }

    fn get(name: &str) -> Value {
        json!({"type": "get_attr", "value": name})
    }

    fn index(value: Value, kind: &str) -> Value {
        json!({"type": "index", "value": {"value": value, "type": kind}})
    }

    #[test]
    fn a_marked_attribute_is_left_out_whatever_steps_lead_to_it() {
        let attributes = json!({
            "id": "1", "content": "x", "list": [{"a": "x", "b": "y"}, {"a": "x"}], "map": {"k/1": "x", "k2": "y"},
        });
        let marks = json!([
            [get("content")],
            [get("list"), index(json!(0), "number"), get("a")],
            [get("list"), index(json!("1"), "number"), get("a")],
            [get("map"), index(json!("k/1"), "string")],
        ]);
        let left = json!({"id": "1", "list": [{"b": "y"}, {}], "map": {"k2": "y"}});
        assert_eq!(stripped(attributes, marks), left);
    }

    #[test]
    fn a_mark_that_cannot_be_followed_hides_what_it_points_into() {
        let attributes = || json!({"id": "1", "set": [{"p": "x"}], "other": {"a": "x"}});
        let set = json!([[get("set"), index(json!({"p": "x"}), "object"), get("p")]]);
        assert_eq!(stripped(attributes(), set), json!({"id": "1", "other": {"a": "x"}}));
        let unknown_step = json!([[get("other"), {"type": "splat", "value": "a"}]]);
        assert_eq!(
            stripped(attributes(), unknown_step),
            json!({"id": "1", "set": [{"p": "x"}]})
        );
        for marks in [
            json!([[]]),
            json!([[{"type": "splat"}]]),
            json!(["set"]),
            json!({"set": true}),
        ] {
            assert_eq!(stripped(attributes(), marks.clone()), json!({}), "{marks}");
        }
    }

    #[test]
    fn what_sounds_secret_is_left_out_of_texts_that_are_documents_or_settings() {
        let attributes = json!({
            "definitions": r#"[{"name":"web","environment":[{"name":"A","value":"x"}],"password":"x"}]"#,
            "settings": "Server=tcp:h,1433;User=sa;Password=x y;Timeout=3",
            "dsn": "host=db password=x dbname=app", "broken": "{\"password\":\"",
        });
        let left = json!({
            "definitions": r#"[{"name":"web"}]"#, "settings": "Server=tcp:h,1433;User=sa;Password=;Timeout=3",
            "dsn": "host=db password= dbname=app", "broken": "",
        });
        assert_eq!(stripped(attributes, json!([])), left);
    }

    #[test]
    fn what_sounds_secret_is_left_out_at_any_depth_without_a_mark() {
        let attributes = json!({
            "id": "1", "master_password": "x", "db": [{"Client-Secret": "x", "port": 5432}],
            "variables": [{"name": "API_TOKEN", "value": "x"}, {"name": "REGION", "value": "eu"}],
            "url": "postgres://me:x@db.example/app", "pem": "-----BEGIN PRIVATE KEY----- x",
        });
        let left = json!({
            "id": "1", "db": [{"port": 5432}], "variables": [{"name": "API_TOKEN"}, {"name": "REGION", "value": "eu"}],
            "url": "postgres://db.example/app", "pem": "",
        });
        assert_eq!(stripped(attributes, json!([])), left);
        assert!(holds_secrets("random_string") && holds_secrets("aws_secretsmanager_secret_version"));
        assert!(!holds_secrets("aws_instance"));
    }
}
