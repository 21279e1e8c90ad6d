//! The configuration in effect, key by key: what the file says, with variables by their names, and the defaults of what it does
//! not say. Secrets are hidden.

use std::collections::HashMap;

use serde_json::Value;

use super::fields::URL;
use super::reader::{Context, Spec};
use super::yaml::{Kind, Node};

/// Stands for what is not shown.
const REDACTED: &str = "[redacted]";

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveKey {
    /// Its path, such as `sources[0].burst.length`.
    pub key: String,
    /// As the file gives it, or the default as documented.
    pub value: Value,
    /// The file gives it, or the preset that it names.
    pub given: bool,
}

impl EffectiveKey {
    /// What a declaration and the file say of a key; none: it only holds others.
    pub(super) fn new(key: String, spec: &Spec, node: Option<&Node>) -> Option<Self> {
        if matches!(spec.kind.as_str(), "section" | "list of sections") {
            return None;
        }
        let value = match node {
            Some(node) if may_be_secret(&spec.kind) => redacted(node),
            Some(node) => shown(node, is_url(spec)),
            None => Value::from(spec.default.as_str()),
        };
        let given = node.is_some();
        Some(Self { key, value, given })
    }
}

/// All keys, each once.
#[derive(Default)]
pub(super) struct Effective {
    keys: Vec<EffectiveKey>,
    places: HashMap<String, usize>,
}

impl Effective {
    /// The last word counts.
    pub(super) fn note(&mut self, key: EffectiveKey) {
        let next = self.keys.len();
        let place = *self.places.entry(key.key.clone()).or_insert(next);
        match self.keys.get_mut(place) {
            Some(known) => *known = key,
            None => self.keys.push(key),
        }
    }
}

impl Context<'_> {
    /// Notes what a declaration and the file say of a key. What a preset expands to is read last, and counts.
    pub(super) fn note_effective(&self, key: String, spec: &Spec, node: Option<&Node>) {
        if let Some(key) = EffectiveKey::new(key, spec, node) {
            self.effective.borrow_mut().note(key);
        }
    }

    /// Every key that was read, in the order of their declarations.
    pub(super) fn take_effective(&self) -> Vec<EffectiveKey> {
        self.effective.take().keys
    }
}

/// Values of headers, queries and bodies are often keys of an API.
fn may_be_secret(kind: &str) -> bool {
    kind.contains("secret") || kind == "any YAML" || (kind.starts_with("mapping of") && !kind.contains("jq"))
}

/// It may have a user, a password and a query.
fn is_url(spec: &Spec) -> bool {
    spec.kind == URL || spec.kind.contains("://")
}

fn redacted(node: &Node) -> Value {
    match &node.kind {
        Kind::Map(entries) => (entries.iter())
            .map(|entry| (entry.key.clone(), Value::from(REDACTED)))
            .collect(),
        _ => Value::from(REDACTED),
    }
}

fn shown(node: &Node, url: bool) -> Value {
    match &node.kind {
        Kind::List(items) => items.iter().map(|item| shown(item, url)).collect(),
        Kind::Map(entries) => (entries.iter())
            .map(|entry| (entry.key.clone(), shown(&entry.value, url)))
            .collect(),
        Kind::Scalar { text, .. } if url => Value::from(without_credentials(text)),
        Kind::Scalar { text, .. } => Value::from(text.as_str()),
    }
}

/// Without user, password and parameters. Rather shows too little.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.split(['?', '@']).next().unwrap_or_default().to_owned();
    };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{}", place.split(['?', '#']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_configuration_in_effect_has_every_key_and_no_secret() {
        let yaml = "store: postgres://me:hunter2@db/tideline?password=hunter3
worker: { concurrency: 3 }
sources:
  - name: api
    type: http
    base_url: https://api.example.com/v1
    auth: { bearer: hunter6 }
    headers: { x-api-key: hunter7 }
    resources: [{ name: r, path: r, query: { key: hunter8, token: '${TOKEN}' }, pagination: { type: none }, entity: { kind: '\"x\"', name: .name } }]
";
        let settings = crate::parse(yaml, Path::new("t.yaml"), &|name| {
            (name == "TOKEN").then(|| "hunter9".to_owned())
        });
        let settings = match settings {
            Ok(settings) => settings,
            Err(errors) => panic!("{errors}"),
        };
        let value = |key: &str| {
            let found = settings.effective.iter().find(|one| one.key == key);
            found.map(|one| (one.value.clone(), one.given))
        };
        let text = format!("{:?}", settings.effective);
        assert!(!text.contains("hunter"), "{text}");
        assert_eq!(value("store"), Some((Value::from("postgres://db/tideline"), true)));
        assert_eq!(value("worker.concurrency"), Some((Value::from("3"), true)));
        assert_eq!(value("worker.lease"), Some((Value::from("5s"), false)));
        assert_eq!(
            value("sources[0].base_url"),
            Some((Value::from("https://api.example.com/v1"), true))
        );
        assert_eq!(value("sources[0].burst.length"), Some((Value::from("10s"), false)));
        let mut keys: Vec<&str> = settings.effective.iter().map(|one| one.key.as_str()).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all, "a key is there twice");
    }
}
