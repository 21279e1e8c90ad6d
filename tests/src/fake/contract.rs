use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use jsonschema::Validator;
use parking_lot::Mutex;
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Value, json};

use super::{FakeRequest, Reply};

/// An API's own OpenAPI document (3.0): what a fake is held to, and what is asked of it.
pub struct Contract {
    document: Value,
    base: String,
    validators: Mutex<HashMap<String, std::sync::Arc<Validator>>>,
}

impl Contract {
    /// Reads a document of the folder of kept documents, such as `openchoreo/openchoreo-api.yaml`. None if the folder
    /// is not there: it is `shared/data` beside the repository (or what `TIDELINE_API_DOCUMENTS` names).
    ///
    /// # Errors
    /// The document cannot be read.
    pub fn find(name: &str) -> Result<Option<Self>> {
        let Some(path) = folder().map(|folder| folder.join(name)).filter(|path| path.is_file()) else {
            println!("{name} is not kept here: exchanges are not checked against it");
            return Ok(None);
        };
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let document = if name.ends_with(".json") {
            serde_json::from_str(&text)?
        } else {
            let documents = Yaml::load_from_str(&text)?;
            crate::compose::to_json(documents.first().context("an empty document")?)?
        };
        Ok(Some(Self {
            document: modern(document),
            base: String::new(),
            validators: Mutex::default(),
        }))
    }

    /// For an API whose paths are below `base`, which the document leaves out. What is elsewhere is not in the
    /// document.
    #[must_use]
    pub fn below(self, base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ..self
        }
    }

    /// Checks one exchange: the path, the parameters and the body of the answer.
    ///
    /// # Errors
    /// What the document does not know or does not allow.
    pub fn check(&self, request: &FakeRequest, reply: &Reply) -> Result<()> {
        let Some(path) = request.path.strip_prefix(&self.base).filter(|_| reply.status != 304) else {
            return Ok(());
        };
        let operation = self.operation(path, &request.method)?;
        self.check_parameters(operation, request)?;
        let status = reply.status.to_string();
        let responses = &operation["responses"];
        let response = match &responses[&status] {
            Value::Null if !responses["default"].is_null() => self.resolve(&responses["default"]),
            // Responses of proxies on the way are undocumented.
            Value::Null if matches!(reply.status, 429 | 500 | 502 | 503) => return Ok(()),
            Value::Null => bail!("the status {status} is not in the document"),
            found => self.resolve(found),
        };
        let kind = reply
            .headers
            .iter()
            .find(|(name, _)| name == "content-type")
            .map(|(_, kind)| kind.as_str());
        let content = &response["content"];
        if content.is_null() || kind.is_some_and(|kind| !kind.contains("json") || kind.contains("raw")) {
            return Ok(());
        }
        let schema = content
            .as_object()
            .and_then(|kinds| kinds.iter().find(|(kind, _)| kind.contains("json")))
            .map(|(_, media)| &media["schema"]);
        let Some(schema) = schema else { return Ok(()) };
        // What is not JSON was broken on purpose: the fakes make their answers of values.
        match serde_json::from_slice::<Value>(&reply.body) {
            Ok(body) => self.validate(schema, &body),
            Err(_) => Ok(()),
        }
    }

    fn operation(&self, path: &str, method: &str) -> Result<&Value> {
        let asked: Vec<&str> = path.trim_matches('/').split('/').collect();
        let paths = self.document["paths"].as_object().context("no paths")?;
        let fits = |template: &str| {
            let parts: Vec<&str> = template.trim_matches('/').split('/').collect();
            let literal = |part: &&str| !part.starts_with('{');
            let same = parts
                .iter()
                .zip(&asked)
                .all(|(part, asked)| !literal(part) || part == asked);
            (parts.len() == asked.len() && same).then(|| parts.iter().filter(|part| literal(part)).count())
        };
        let best = paths
            .iter()
            .filter_map(|(template, item)| Some((fits(template)?, item)))
            .max_by_key(|(literals, _)| *literals);
        let (_, item) = best.with_context(|| format!("the document has no path {path}"))?;
        let operation = &item[method.to_ascii_lowercase()];
        ensure!(!operation.is_null(), "the document has no {method} of it");
        Ok(operation)
    }

    fn check_parameters(&self, operation: &Value, request: &FakeRequest) -> Result<()> {
        let declared: Vec<&Value> = operation["parameters"]
            .as_array()
            .map(|parameters| parameters.iter().map(|parameter| self.resolve(parameter)).collect())
            .unwrap_or_default();
        for (name, value) in &request.query {
            let parameter = declared
                .iter()
                .find(|parameter| parameter["in"] == "query" && parameter["name"] == json!(name));
            let parameter = parameter.with_context(|| format!("the parameter {name} is not in the document"))?;
            let value = match parameter["schema"]["type"].as_str() {
                Some("integer") => json!(value.parse::<i64>().with_context(|| format!("{name}={value}"))?),
                Some("boolean") => json!(value == "true"),
                Some("array") => value.split(',').collect(),
                _ => json!(value),
            };
            self.validate(&parameter["schema"], &value)
                .with_context(|| format!("the parameter {name}"))?;
        }
        Ok(())
    }

    fn resolve<'d>(&'d self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
            Some(pointer) => self.document.pointer(pointer).unwrap_or(value),
            None => value,
        }
    }

    fn validate(&self, schema: &Value, body: &Value) -> Result<()> {
        let key = schema.to_string();
        let known = self.validators.lock().get(&key).cloned();
        let validator = match known {
            Some(validator) => validator,
            None => {
                let mut whole = schema.clone();
                whole["components"] = self.document["components"].clone();
                let validator = jsonschema::validator_for(&whole).map_err(|error| anyhow::anyhow!("{error}"))?;
                let validator = std::sync::Arc::new(validator);
                self.validators.lock().insert(key, std::sync::Arc::clone(&validator));
                validator
            }
        };
        let errors = validator.iter_errors(body).take(3);
        let errors: Vec<String> = errors.map(|error| describe(&error)).collect();
        ensure!(errors.is_empty(), "{}", errors.join("; "));
        Ok(())
    }
}

/// Where the error is and what it is; of alternatives, what each of them lacks.
fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    use jsonschema::error::ValidationErrorKind::{AnyOf, OneOfNotValid};

    let text: String = match error.kind() {
        AnyOf { context } | OneOfNotValid { context } => {
            let each = context
                .iter()
                .map(|errors| errors.iter().take(3).map(describe).collect::<Vec<_>>().join(", "));
            each.collect::<Vec<_>>().join(" | ")
        }
        _ => error.to_string().chars().take(300).collect(),
    };
    format!("{}: {text}", error.instance_path())
}

/// Where kept documents are: `shared/data` in a folder above the workspace.
fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("TIDELINE_API_DOCUMENTS") {
        return Some(PathBuf::from(folder));
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let above = here.ancestors().skip(1).take(3);
    above
        .map(|folder| folder.join("shared/data"))
        .find(|folder| folder.is_dir())
}

/// `nullable` of OpenAPI 3.0 as JSON Schema has it.
fn modern(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(modern).collect(),
        Value::Object(members) => {
            let mut members: serde_json::Map<String, Value> = members
                .into_iter()
                .map(|(name, member)| (name, modern(member)))
                .collect();
            let is_schema = members.get("nullable") == Some(&Value::Bool(true));
            if is_schema {
                members.remove("nullable");
                return json!({ "anyOf": [Value::Object(members), { "type": "null" }] });
            }
            Value::Object(members)
        }
        other => other,
    }
}
