//! What Microcks makes of an artifact.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use super::{Operation, Service, State};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// MAX_UPLOAD_FILE_SIZE.
pub(super) const MAX_BYTES: usize = 2 << 20;

/// Imports an artifact. Says `name:version`; an error is the text of a 400.
pub(super) fn import(state: &State, file: &str, text: &str, is_main: bool) -> Result<String, String> {
    let document = yaml(text).ok_or_else(|| format!("{file} could not be parsed"))?;
    let kind = document["kind"].as_str().unwrap_or_default();
    if document["openapi"].is_string() || document["asyncapi"].is_string() {
        return main(state, file, &document, is_main);
    }
    if !matches!(kind, "APIMetadata" | "APIExamples") {
        // As anything else, it is taken for an HTTP archive.
        return Err(format!("{file} is no valid HAR: unrecognized token"));
    }
    let (name, version) = (&document["metadata"]["name"], &document["metadata"]["version"]);
    let (Some(name), Some(version)) = (name.as_str(), version.as_str()) else {
        return Err(format!("{file}: metadata.name and metadata.version are mandatory"));
    };
    let mut services = state.services.lock();
    let found = services
        .values_mut()
        .find(|service| service.name == name && service.version == version);
    if let Some(service) = found {
        if kind == "APIMetadata" {
            metadata(service, &document)
        } else {
            examples(service, file, &document)
        }
    }
    // Also if there is no such service.
    Ok(format!("{name}:{version}"))
}

fn main(state: &State, file: &str, document: &Value, is_main: bool) -> Result<String, String> {
    let (name, version) = (&document["info"]["title"], &document["info"]["version"]);
    let (Some(name), Some(version)) = (name.as_str(), version.as_str()) else {
        return Err(format!("{file}: info.title and info.version are mandatory"));
    };
    if !is_main {
        return Err(format!("{file} must be a main artifact"));
    }
    let paths = document["paths"].as_object();
    if let Some((path, _)) = paths.into_iter().flatten().find(|(_, item)| !item.is_object()) {
        return Err(format!("{file}: path {path} could not be parsed"));
    }
    let mut services = state.services.lock();
    let known = services
        .values()
        .find(|service| service.name == name && service.version == version);
    let mut service = known.cloned().unwrap_or_else(|| Service {
        id: state.fresh_id(),
        name: name.to_owned(),
        version: version.to_owned(),
        ..Service::default()
    });
    let mut old = std::mem::take(&mut service.operations);
    for operation in operations(document) {
        let mut kept = old.remove(&operation).unwrap_or_default();
        if !kept.overridden {
            kept.properties = Map::new();
            kept.properties.insert("dispatcher".to_owned(), Value::Null);
            kept.properties.insert("defaultDelay".to_owned(), json!(0));
        }
        kept.messages.retain(|(_, from)| from != file);
        service.operations.insert(operation, kept);
    }
    service.source_artifact = file.to_owned();
    service.imports += 1;
    services.insert(service.id.clone(), service);
    Ok(format!("{name}:{version}"))
}

/// Of OpenAPI 3 those of the paths, of AsyncAPI 2 those of the channels.
fn operations(document: &Value) -> Vec<String> {
    let (members, methods): (_, &[&str]) = match document["openapi"].is_string() {
        true => (&document["paths"], &METHODS),
        false => (&document["channels"], &["publish", "subscribe"]),
    };
    let mut operations = Vec::new();
    for (path, item) in members.as_object().into_iter().flatten() {
        let methods = methods.iter().filter(|method| !item[**method].is_null());
        operations.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    operations
}

fn metadata(service: &mut Service, document: &Value) {
    for (label, value) in document["metadata"]["labels"].as_object().into_iter().flatten() {
        service.labels.insert(label.clone(), value.clone());
    }
    for (name, wanted) in document["operations"].as_object().into_iter().flatten() {
        let Some(Operation {
            properties, overridden, ..
        }) = service.operations.get_mut(name)
        else {
            continue;
        };
        *overridden = true;
        for (from, to) in [
            ("dispatcher", "dispatcher"),
            ("dispatcherRules", "dispatcherRules"),
            ("delay", "defaultDelay"),
        ] {
            if !wanted[from].is_null() {
                properties.insert(to.to_owned(), wanted[from].clone());
            }
        }
        let constraints = properties.entry("parameterConstraints").or_insert_with(|| json!([]));
        if let Value::Array(constraints) = constraints {
            constraints.extend(wanted["parameterConstraints"].as_array().into_iter().flatten().cloned());
        }
    }
}

fn examples(service: &mut Service, file: &str, document: &Value) {
    for operation in service.operations.values_mut() {
        operation.messages.retain(|(_, from)| from != file);
    }
    for (name, examples) in document["operations"].as_object().into_iter().flatten() {
        let Some(operation) = service.operations.get_mut(name) else {
            continue;
        };
        let names = examples
            .as_object()
            .into_iter()
            .flatten()
            .map(|(example, _)| example.clone());
        operation
            .messages
            .extend(names.map(|example| (example, file.to_owned())));
    }
}

fn yaml(text: &str) -> Option<Value> {
    let documents = Yaml::load_from_str(text).ok()?;
    documents.first().map(to_json)
}

fn to_json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::Boolean(flag)) => json!(flag),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries
                .iter()
                .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), to_json(value))));
            Value::Object(entries.collect())
        }
        _ => Value::Null,
    }
}
