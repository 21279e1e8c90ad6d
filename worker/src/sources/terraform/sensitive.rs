//! What of a state may be shown. Three rules, each of which is enough to leave a value out: Terraform marks it (paths
//! of `sensitive_attributes`, `sensitive` outputs), its name or the type of its resource sounds secret, or a pattern of
//! the configuration names it. A mark that cannot be followed hides the whole of what it points into.

use serde_json::{Map, Value};

use super::super::secret_names::{self, words};
use super::glob::Globs;
use super::secret_texts::strip_plain_text;

/// Names that often hold programs or variables with secrets in them, as their words run together.
const SECRET_HOLDERS: [&str; 12] = [
    "environment",
    "environmentvariables",
    "env",
    "envs",
    "envvars",
    "userdata",
    "userdatabase",
    "customdata",
    "startupscript",
    "metadatastartupscript",
    "cloudinit",
    "sas",
];

/// Resources whose attributes are secrets, or make one: `random_string.id` is the string.
const SECRET_TYPES: [&str; 6] = ["random_", "password", "secret", "token", "private_key", "access_key"];

/// Whether a name sounds like that of a secret, or of what often holds some.
pub(super) fn sounds_secret(name: &str) -> bool {
    let together: String = words(name).into_iter().filter(|word| !is_number(word)).collect();
    SECRET_HOLDERS.contains(&together.as_str()) || secret_names::sounds_secret(name)
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
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
        // A mark of unknown form: it may mean any attribute.
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
    strip_plain_text(text, denied)
}

/// Whether a member tells how another one is called: `name`, `Key`, `parameter_name`.
pub(super) fn names_value(name: &str) -> bool {
    words(name).last().is_some_and(|last| last == "name" || last == "key")
}

/// Whether a member is what is called so: `value`, `ParameterValue`, `valueFrom`.
pub(super) fn is_value(name: &str) -> bool {
    words(name).iter().any(|word| word == "value" || word == "values")
}

fn strip_names(members: &mut Map<String, Value>, denied: &Globs) {
    // `{name: "DB_PASSWORD", value: "…"}`, as lists of variables have it.
    let names_a_secret = members.iter().any(|(name, value)| {
        let value = value.as_str().filter(|_| names_value(name));
        value.is_some_and(|called| sounds_secret(called) || denied.matches(called))
    });
    members.retain(|name, _| {
        let hidden = sounds_secret(name) || denied.matches(name);
        !(hidden || (names_a_secret && is_value(name)))
    });
    members.values_mut().for_each(|value| strip_value(value, denied));
}

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

/// Steps are `{type: get_attr, value: NAME}` and `{type: index, value: {value: KEY, type: string | number}}`; an index
/// into a set, whose key is the element, leads nowhere that can be found again.
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
            "database": "host=db password=x dbname=app", "broken": "{\"password\":\"",
        });
        let left = json!({
            "definitions": r#"[{"name":"web"}]"#, "settings": "Server=tcp:h,1433;User=sa;Password=;Timeout=3",
            "database": "host=db password= dbname=app", "broken": "",
        });
        assert_eq!(stripped(attributes, json!([])), left);
    }

    #[test]
    fn what_sounds_secret_is_left_out_at_any_depth_without_a_mark() {
        let attributes = json!({
            "id": "1", "master_password": "x", "db": [{"Client-Secret": "x", "port": 5432}],
            "variables": [{"name": "API_TOKEN", "value": "x"}, {"name": "REGION", "value": "eu"}],
            "Tags": [{"Key": "token", "Value": "x"}, {"Name": "DB_PASSWORD", "Value": "x"}], "key_name": "k", "userData": "x",
            "url": "postgres://me:x@db.example/app", "file": "-----BEGIN PRIVATE KEY----- x",
        });
        let left = json!({
            "id": "1", "db": [{"port": 5432}], "variables": [{"name": "API_TOKEN"}, {"name": "REGION", "value": "eu"}],
            "Tags": [{"Key": "token"}, {"Name": "DB_PASSWORD"}], "key_name": "k",
            "url": "postgres://db.example/app", "file": "",
        });
        assert_eq!(stripped(attributes, json!([])), left);
        assert!(holds_secrets("random_string") && holds_secrets("aws_secretsmanager_secret_version"));
        assert!(!holds_secrets("aws_instance"));
    }
}
