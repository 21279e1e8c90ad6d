//! Keys and arguments of child partitions.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tideline_core::words::ChildPartition;

use super::template::scalar_text;

/// Longer keys are hashed; [`ChildPartition::key`] allows 400 bytes.
const MAX_KEY_BYTES: usize = 400;

/// Where a partition stands: which resource, with which values of its parents.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Name of the resource; none: the root's.
    pub(super) resource: Option<String>,
    /// Values of the parents, by name.
    pub(super) values: Map<String, Value>,
    /// What its key says of the parents, for the keys of its children.
    trail: String,
}

impl Place {
    /// Reads key and arguments of a partition, as [`Place::child`] made them.
    pub(super) fn of(partition: &str, args: &Value) -> Self {
        let resource = args.get("resource").and_then(Value::as_str).map(str::to_owned);
        let values = args
            .get("values")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let trail = match &resource {
            None => String::new(),
            Some(name) if name == partition => String::new(),
            Some(name) => partition
                .strip_prefix(name.as_str())
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(partition)
                .to_owned(),
        };
        Self {
            resource,
            values,
            trail,
        }
    }

    /// The partition of `resource` below an item of this one with these values. The key names the resource and all
    /// values on the way: unique also if two levels use the same name for a value.
    pub(super) fn child(&self, resource: &str, own: &[(String, Value)]) -> ChildPartition {
        let mut key = resource.to_owned();
        for part in std::iter::once(self.trail.clone())
            .filter(|trail| !trail.is_empty())
            .chain(own.iter().map(|(_, value)| key_part(value)))
        {
            key.push('/');
            key.push_str(&part);
        }
        if key.len() > MAX_KEY_BYTES {
            let digest = hex::encode(Sha256::digest(key.as_bytes()));
            key = if resource.len() + digest.len() + 2 <= MAX_KEY_BYTES {
                format!("{resource}/~{digest}")
            } else {
                format!("~{digest}")
            };
        }
        let mut values = self.values.clone();
        values.extend(own.iter().cloned());
        ChildPartition {
            key,
            args: json!({"resource": resource, "values": values}),
        }
    }
}

/// What the keys of a resource's partitions begin with, of which these values are known, from the farthest ancestor on.
pub(super) fn key_prefix<'v>(resource: &str, known: impl Iterator<Item = &'v Value>) -> String {
    let parts = known.map(|value| format!("{}/", key_part(value)));
    format!("{resource}/{}", parts.collect::<String>())
}

/// Whether two values are one in keys and addresses: an event may write as a text what the API writes as a number.
pub(crate) fn is_same_value(one: &Value, other: &Value) -> bool {
    one == other || scalar_text(one).is_some_and(|text| scalar_text(other) == Some(text))
}

/// A value as part of a key: `/`, `%`, `~`, white space and control characters percent-encoded.
fn key_part(value: &Value) -> String {
    let text = scalar_text(value).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() || matches!(c, '/' | '%' | '~') {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own(name: &str, value: &str) -> Vec<(String, Value)> {
        vec![(name.to_owned(), json!(value))]
    }

    #[test]
    fn a_key_names_the_resource_and_all_parents() {
        let root = Place::of("platform", &json!({}));
        let project = root.child("projects", &own("org", "acme"));
        assert_eq!(project.key, "projects/acme");
        let below = Place::of(&project.key, &project.args).child("components", &own("project", "web/x"));
        assert_eq!(below.key, "components/acme/web%2Fx");
        assert_eq!(
            below.args,
            json!({"resource": "components", "values": {"org": "acme", "project": "web/x"}})
        );
    }

    #[test]
    fn a_number_of_the_api_is_the_text_of_an_event() {
        assert!(is_same_value(&json!(7), &json!("7")));
        assert!(is_same_value(&json!("true"), &json!(true)));
        assert!(is_same_value(&json!("a"), &json!("a")));
        assert!(!is_same_value(&json!(7), &json!("07")));
        assert!(!is_same_value(&json!(null), &json!("null")));
    }

    #[test]
    fn levels_that_use_the_same_name_do_not_mix() {
        let root = Place::of("s", &json!({}));
        let keys: Vec<String> = ["a", "b"]
            .map(|org| {
                let parent = root.child("projects", &own("name", org));
                Place::of(&parent.key, &parent.args)
                    .child("components", &own("name", "x"))
                    .key
            })
            .to_vec();
        assert_eq!(keys, ["components/a/x", "components/b/x"]);
    }

    #[test]
    fn a_long_key_is_hashed_and_its_children_stay_unique() {
        let root = Place::of("s", &json!({}));
        let one = root.child("projects", &own("name", &"x".repeat(500)));
        let two = root.child("projects", &own("name", &"x".repeat(501)));
        assert!(one.key.len() <= MAX_KEY_BYTES && one.key != two.key);
        let below = |parent: &ChildPartition| Place::of(&parent.key, &parent.args).child("c", &own("n", "1")).key;
        assert_ne!(below(&one), below(&two));
    }

    proptest! {
        #[test]
        fn different_values_make_different_keys(a in ".{0,200}", b in ".{0,200}", c in ".{0,200}", d in ".{0,200}") {
            let root = Place::of("s", &json!({}));
            let pair = |x: &str, y: &str| root.child("r", &[("x".into(), json!(x)), ("y".into(), json!(y))]).key;
            prop_assert!(pair(&a, &b).len() <= MAX_KEY_BYTES);
            prop_assert_eq!(pair(&a, &b) == pair(&c, &d), (&a, &b) == (&c, &d));
        }
    }
}
