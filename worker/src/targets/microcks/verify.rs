//! Whether Microcks made of the artifacts what they say. It answers 201 also to what it skips, so it is read back.

use serde_json::Value;

use super::ArtifactKind;
use super::client::{Operation, ServiceView};
use super::desired::{Artifact, Mock};
use super::record::Given;
use crate::sources::files::yaml;

/// Methods of an OpenAPI path.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// Maximum number of missing things that are reported.
const MAX_TOLD: usize = 5;

/// What is out of sync.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// In words.
    pub(super) missing: Vec<String>,
    /// Some of it comes from APIMetadata.
    pub(super) metadata: bool,
}

impl Verdict {
    fn miss(&mut self, artifact: &Artifact, what: String) {
        self.metadata |= artifact.kind == ArtifactKind::ApiMetadata;
        self.missing.push(format!("{}: {what}", artifact.file_name));
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut told: Vec<&str> = self.missing.iter().take(MAX_TOLD).map(String::as_str).collect();
        let more = format!("and {} more", self.missing.len().saturating_sub(MAX_TOLD));
        if self.missing.len() > MAX_TOLD {
            told.push(&more);
        }
        format!(
            "Microcks accepted the artifacts without an error, but skipped a part of them: {}",
            told.join("; ")
        )
    }
}

/// Compares.
pub(super) fn verify(mock: &Mock, view: &ServiceView) -> Verdict {
    let mut verdict = Verdict::default();
    for artifact in &mock.artifacts {
        let Some(document) = document(artifact) else { continue };
        match artifact.kind {
            ArtifactKind::OpenApi => operations_of(artifact, &document, view, &mut verdict),
            ArtifactKind::ApiMetadata => metadata_of(artifact, &document, view, &mut verdict),
            ArtifactKind::ApiExamples => examples_of(artifact, &document, view, &mut verdict),
            _ => {}
        }
    }
    verdict
}

/// What the artifacts set that outlives a new import: labels, and how operations answer. Of the extensions of OpenAPI
/// also to what, as a new import does not change what they set before.
pub(super) fn given(mock: &Mock) -> Given {
    let mut given = Given::new();
    for artifact in &mock.artifacts {
        let Some(document) = document(artifact) else { continue };
        match artifact.kind {
            ArtifactKind::ApiMetadata => {
                for (label, _) in members(&document["metadata"]["labels"]) {
                    given.insert((String::new(), label.clone()));
                }
                for (name, operation) in members(&document["operations"]) {
                    let keys = members(operation).filter(|(_, value)| !is_empty(value));
                    given.extend(keys.map(|(key, _)| (name.clone(), key.clone())));
                }
            }
            ArtifactKind::OpenApi => {
                for (label, _) in members(&document["info"]["x-microcks"]["labels"]) {
                    given.insert((String::new(), label.clone()));
                }
                for (name, operation) in operations(&document) {
                    let set = members(&operation["x-microcks-operation"]);
                    given
                        .extend(set.map(|(key, value)| (name.clone(), format!("x-microcks-operation.{key}: {value}"))));
                }
            }
            _ => {}
        }
    }
    given
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Operations whose parameter constraints Microcks has more than once, as it appends them again at every import.
pub(super) fn doubled(mock: &Mock, view: &ServiceView) -> Vec<Operation> {
    let metadata = mock
        .artifacts
        .iter()
        .filter(|artifact| artifact.kind == ArtifactKind::ApiMetadata);
    let mut doubled = Vec::new();
    for document in metadata.filter_map(document) {
        for (name, wanted) in members(&document["operations"]) {
            let Some(wanted) = wanted["parameterConstraints"].as_array() else {
                continue;
            };
            let found = operation(view, name);
            let has = found
                .and_then(|found| found.parameter_constraints.as_ref())
                .map_or(0, Vec::len);
            if let Some(found) = found
                && has > wanted.len()
            {
                doubled.push(Operation {
                    parameter_constraints: Some(wanted.clone()),
                    ..found.clone()
                });
            }
        }
    }
    doubled
}

fn document(artifact: &Artifact) -> Option<Value> {
    let limit = (artifact.text.len() as u64).saturating_mul(4).max(1 << 20);
    let first = yaml::documents(artifact.text.as_bytes(), limit).into_iter().next()?;
    serde_json::from_str(&first.ok()?).ok()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn operation<'v>(view: &'v ServiceView, name: &str) -> Option<&'v Operation> {
    view.service.operations.iter().find(|operation| operation.name == name)
}

/// The operations of an OpenAPI document, with the names that Microcks gives them.
fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    members(&document["paths"]).flat_map(|(path, item)| {
        let methods = members(item).filter(|(method, _)| METHODS.contains(&method.as_str()));
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    })
}

fn operations_of(artifact: &Artifact, document: &Value, view: &ServiceView, verdict: &mut Verdict) {
    for (name, _) in operations(document) {
        if operation(view, &name).is_none() {
            verdict.miss(artifact, format!("there is no operation {name}"));
        }
    }
}

fn metadata_of(artifact: &Artifact, document: &Value, view: &ServiceView, verdict: &mut Verdict) {
    let has = view.service.metadata.labels.clone().unwrap_or_default();
    for (label, wanted) in members(&document["metadata"]["labels"]) {
        if has.get(label).map(plain) != Some(plain(wanted)) {
            verdict.miss(artifact, format!("label {label} is not {}", plain(wanted)));
        }
    }
    for (name, wanted) in members(&document["operations"]) {
        let Some(found) = operation(view, name) else {
            verdict.miss(artifact, format!("there is no operation {name}"));
            continue;
        };
        for (key, has) in [
            ("dispatcher", &found.dispatcher),
            ("dispatcherRules", &found.dispatcher_rules),
        ] {
            if let Some(wanted) = wanted[key].as_str()
                && has.as_deref().map(str::trim) != Some(wanted.trim())
            {
                verdict.miss(artifact, format!("{key} of {name} is not applied"));
            }
        }
        if let Some(delay) = wanted["delay"].as_i64()
            && found.default_delay != Some(delay)
        {
            verdict.miss(artifact, format!("delay of {name} is not applied"));
        }
    }
}

fn examples_of(artifact: &Artifact, document: &Value, view: &ServiceView, verdict: &mut Verdict) {
    for (name, examples) in members(&document["operations"]) {
        if operation(view, name).is_none() {
            verdict.miss(artifact, format!("there is no operation {name}"));
            continue;
        }
        let messages = view.messages_map.get(name).and_then(Value::as_array);
        let has = |example: &str| {
            messages.into_iter().flatten().any(|message| {
                let parts = [
                    message,
                    &message["request"],
                    &message["response"],
                    &message["eventMessage"],
                ];
                parts.iter().any(|part| part["name"].as_str() == Some(example))
            })
        };
        for (example, _) in members(examples).filter(|(example, _)| !has(example)) {
            verdict.miss(artifact, format!("example {example:?} of {name} is not there"));
        }
    }
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
