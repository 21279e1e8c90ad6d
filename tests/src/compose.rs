//! `docker-compose.yml` as tests read it: services with commands, environment and mounts, merge keys and variables
//! filled in. Only what our own file uses of the compose format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

/// The folder of the workspace.
///
/// # Errors
/// There is none above this crate.
pub fn workspace() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.map(Path::to_owned).context("the workspace")
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    /// `command`, word by word.
    pub command: Vec<String>,
    /// `environment`.
    pub environment: BTreeMap<String, String>,
    /// `healthcheck.test` without its first word; empty: switched off, or the image's own.
    pub health: Vec<String>,
    /// Files and folders of the host: (in the repository, in the container).
    pub mounts: Vec<(String, String)>,
    /// `deploy.replicas`, default 1.
    pub replicas: u64,
    /// All of it.
    pub all: Value,
}

/// Reads the services of `docker-compose.yml`. Variables have the values of `variables`, else their defaults.
///
/// # Errors
/// The file cannot be read, or has something that this reader does not know.
pub fn services(variables: &BTreeMap<String, String>) -> Result<BTreeMap<String, Service>> {
    let path = workspace()?.join("docker-compose.yml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let documents = Yaml::load_from_str(&text).context("docker-compose.yml")?;
    let document = documents.first().context("docker-compose.yml is empty")?;
    let document = fill_in(merge(to_json(document)?), variables)?;
    let services = document["services"].as_object().context("no services")?;
    services
        .iter()
        .map(|(name, service)| Ok((name.clone(), read_service(service).with_context(|| name.clone())?)))
        .collect()
}

fn read_service(service: &Value) -> Result<Service> {
    let environment = service["environment"].as_object().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut health = words(&service["healthcheck"]["test"])?;
    if !health.is_empty() {
        health.remove(0);
    }
    let mut mounts = Vec::new();
    for mount in words(&service["volumes"])? {
        let mut parts = mount.split(':');
        let (from, to) = (
            parts.next().unwrap_or_default(),
            parts.next().context("a mount without a place")?,
        );
        // A name without a path is a volume.
        if from.starts_with('.') || from.starts_with('/') {
            mounts.push((from.to_owned(), to.to_owned()));
        }
    }
    Ok(Service {
        command: words(&service["command"])?,
        environment: environment
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        health,
        mounts,
        replicas: service["deploy"]["replicas"].as_u64().unwrap_or(1),
        all: service.clone(),
    })
}

fn words(list: &Value) -> Result<Vec<String>> {
    let Some(list) = list.as_array() else {
        return Ok(Vec::new());
    };
    let word = |value: &Value| value.as_str().map(str::to_owned).context("a list may hold texts only");
    list.iter().map(word).collect()
}

pub(crate) fn to_json(node: &Yaml<'_>) -> Result<Value> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
        Yaml::Sequence(items) => Value::Array(items.iter().map(to_json).collect::<Result<_>>()?),
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                let number = key.as_integer().map(|number| number.to_string());
                let key = key.as_str().map(str::to_owned).or(number);
                object.insert(key.context("a key that is no text")?, to_json(value)?);
            }
            Value::Object(object)
        }
        other => bail!("not understood: {other:?}"),
    })
}

/// `<<`: what the mapping does not say itself comes from there.
fn merge(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(merge).collect(),
        Value::Object(mut object) => {
            if let Some(Value::Object(base)) = object.remove("<<") {
                for (key, value) in base {
                    object.entry(key).or_insert(value);
                }
            }
            object.into_iter().map(|(key, value)| (key, merge(value))).collect()
        }
        other => other,
    }
}

fn fill_in(value: Value, variables: &BTreeMap<String, String>) -> Result<Value> {
    Ok(match value {
        Value::String(text) => fill_in_text(&text, variables)?.into(),
        Value::Array(items) => {
            let items = items.into_iter().map(|item| fill_in(item, variables));
            Value::Array(items.collect::<Result<_>>()?)
        }
        Value::Object(object) => {
            let members = object
                .into_iter()
                .map(|(key, value)| Ok((key, fill_in(value, variables)?)));
            Value::Object(members.collect::<Result<_>>()?)
        }
        other => other,
    })
}

/// `${NAME:-default}`; a variable without a default must be given.
fn fill_in_text(text: &str, variables: &BTreeMap<String, String>) -> Result<String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = after.split_once('}').context("a variable without an end")?;
        let (name, default) = match variable.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (variable, None),
        };
        let value = variables.get(name).map(String::as_str).or(default);
        filled.push_str(before);
        filled.push_str(value.with_context(|| format!("{name} has no default"))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_keys_anchors_and_variables_are_filled_in() {
        let text = "x-base: &base { a: 1, b: \"${B:-two}\" }\nservice: { <<: *base, a: 3, c: ['${C}'] }\n";
        let documents = Yaml::load_from_str(text).unwrap();
        let value = merge(to_json(&documents[0]).unwrap());
        let variables = BTreeMap::from([("C".to_owned(), "four".to_owned())]);
        let filled = fill_in(value.clone(), &variables).unwrap();
        assert_eq!(filled["service"], json!({"a": 3, "b": "two", "c": ["four"]}));
        let error = fill_in(value, &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("C has no default"), "{error}");
    }

    #[test]
    fn our_file_is_read() {
        let services = services(&BTreeMap::new()).unwrap();
        assert_eq!(services["worker"].command, ["worker"]);
        assert_eq!(services["scheduler"].replicas, 2);
        assert!(services["producer"].environment["TIDELINE_STORE"].starts_with("postgres://"));
    }
}
