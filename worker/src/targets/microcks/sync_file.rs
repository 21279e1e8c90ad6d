//! `microcks.yaml`: the mocks of one API. A mistake in one mock stops that mock and none of the others.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the file must say it is.
const API_VERSION: &str = "bcgov.dev/v1alpha1";
const KIND: &str = "MicrocksSync";

/// Maximum length of `mockId`, in characters.
const MAX_ID: usize = 128;
/// Maximum number of mocks of one file, and artifacts of one mock.
const MAX_LIST: usize = 200;
/// Keys of a mock.
const MOCK_KEYS: [&str; 4] = ["mockId", "includeInSwagger", "openapi", "artifacts"];

/// The file, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SyncFile {
    /// The mocks that can be made.
    pub(super) mocks: Vec<MockSpec>,
    /// What is wrong with the others, and what of them is ignored.
    pub(super) problems: Vec<MockProblem>,
}

/// One mock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MockSpec {
    /// Unique in the file, 1 to 128 characters.
    pub(super) mock_id: String,
    /// Whether the API's definition in the catalog shall name the mock as a server.
    pub(super) include_in_swagger: bool,
    /// Where the main artifact is, if it is not the entity's own definition.
    pub(super) main: Option<String>,
    /// The other artifacts, in order.
    pub(super) artifacts: Vec<ArtifactSpec>,
}

/// One artifact besides the main one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArtifactSpec {
    /// What the file says that it is; what it is really is found in its content.
    pub(super) kind: Option<String>,
    /// Relative to the file, or an http(s) address.
    pub(super) path: String,
}

/// Why a mock of the file cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("microcks.yaml: {place}: {problem}")]
pub(super) struct MockProblem {
    /// Its `mockId`, if it has one.
    pub(super) mock_id: Option<String>,
    /// `spec.mocks[2].artifacts[0].path`.
    pub(super) place: String,
    /// What is wrong and what would be right.
    pub(super) problem: String,
}

/// The file does not describe mocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("microcks.yaml: {0}")]
pub(super) struct SyncFileError(String);

impl SyncFile {
    /// Takes a document apart.
    ///
    /// # Errors
    /// It is not of kind `MicrocksSync`, or has no list of mocks. An empty list is fine: then there are no mocks.
    pub(super) fn from_document(document: &Value) -> Result<Self, SyncFileError> {
        let says = |key: &str| document[key].as_str().unwrap_or("nothing").to_owned();
        if says("apiVersion") != API_VERSION || says("kind") != KIND {
            return Err(SyncFileError(format!(
                "expected apiVersion {API_VERSION} and kind {KIND}, but it says {} and {}",
                says("apiVersion"),
                says("kind")
            )));
        }
        let Value::Array(mocks) = &document["spec"]["mocks"] else {
            return Err(SyncFileError("spec.mocks must be a list of mocks".to_owned()));
        };
        if mocks.len() > MAX_LIST {
            return Err(SyncFileError(format!(
                "spec.mocks has {} mocks, but {MAX_LIST} is the limit",
                mocks.len()
            )));
        }
        let mut file = Self::default();
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, mock) in mocks.iter().enumerate() {
            if let Some(id) = mock["mockId"].as_str() {
                places.entry(id).or_default().push(index);
            }
        }
        for (index, mock) in mocks.iter().enumerate() {
            let place = format!("spec.mocks[{index}]");
            let id = mock["mockId"].as_str();
            let read = match id.and_then(|id| places.get(id)) {
                Some(uses) if uses.len() > 1 => {
                    let id = id.unwrap_or_default();
                    Err((
                        ".mockId".to_owned(),
                        format!("{id:?} is used {} times; every mock needs its own id", uses.len()),
                    ))
                }
                _ => read_mock(mock),
            };
            match read {
                Ok(read) => {
                    file.problems.extend(misspelled(mock, &read.mock_id, &place));
                    file.mocks.push(read);
                }
                Err((key, problem)) => file.problems.push(MockProblem {
                    mock_id: id.map(str::to_owned),
                    place: format!("{place}{key}"),
                    problem,
                }),
            }
        }
        Ok(file)
    }
}

type Wrong = (String, String);

fn wrong<T>(key: impl Into<String>, problem: impl Into<String>) -> Result<T, Wrong> {
    Err((key.into(), problem.into()))
}

/// Keys that are none, but nearly are: the mock is made without what they say. Keys of other programs are not errors.
fn misspelled(mock: &Value, mock_id: &str, place: &str) -> Vec<MockProblem> {
    let keys = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect()
    };
    let nearest = |key: &str, known: &[&'static str]| -> Option<&'static str> {
        let is_near = |known: &&&str| {
            let distance = strsim::damerau_levenshtein(&key.to_lowercase(), &known.to_lowercase());
            distance <= 1.max(known.len() / 4)
        };
        if known.contains(&key) {
            None
        } else {
            known.iter().find(is_near).copied()
        }
    };
    let mut problems = Vec::new();
    let mut look = |value: &Value, known: &[&'static str], place: &str| {
        for key in keys(value) {
            problems.extend(nearest(&key, known).map(|known| MockProblem {
                mock_id: Some(mock_id.to_owned()),
                place: format!("{place}.{key}"),
                problem: format!("unknown key, which is ignored; did you mean {known:?}?"),
            }));
        }
    };
    look(mock, &MOCK_KEYS, place);
    look(&mock["openapi"], &["path"], &format!("{place}.openapi"));
    for (index, artifact) in mock["artifacts"].as_array().into_iter().flatten().enumerate() {
        look(artifact, &["kind", "path"], &format!("{place}.artifacts[{index}]"));
    }
    problems
}

fn read_mock(mock: &Value) -> Result<MockSpec, Wrong> {
    let mock_id = match &mock["mockId"] {
        Value::String(id) => id.as_str(),
        Value::Null => {
            return wrong(
                ".mockId",
                "is missing; give the mock a short name that is unique in this file",
            );
        }
        other => {
            return wrong(
                ".mockId",
                format!("must be a text; write it in quotes: \"{}\"", scalar(other)),
            );
        }
    };
    let length = mock_id.chars().count();
    if length == 0 || length > MAX_ID || mock_id.chars().any(|c| c.is_control() || c == '/') {
        return wrong(
            ".mockId",
            format!("must be 1 to {MAX_ID} characters without control characters and without /"),
        );
    }
    let include_in_swagger = match &mock["includeInSwagger"] {
        Value::Null => true,
        Value::Bool(include) => *include,
        _ => return wrong(".includeInSwagger", "must be true or false"),
    };
    let main = match &mock["openapi"] {
        Value::Null => None,
        openapi => Some(read_path(&openapi["path"], ".openapi.path")?),
    };
    let artifacts = match &mock["artifacts"] {
        Value::Null => Vec::new(),
        Value::Array(artifacts) if artifacts.len() <= MAX_LIST => {
            let artifacts = artifacts.iter().enumerate();
            artifacts
                .map(|(index, artifact)| read_artifact(artifact, index))
                .collect::<Result<_, _>>()?
        }
        Value::Array(artifacts) => {
            return wrong(
                ".artifacts",
                format!("has {} entries, but {MAX_LIST} is the limit", artifacts.len()),
            );
        }
        _ => return wrong(".artifacts", "must be a list of { kind, path }"),
    };
    Ok(MockSpec {
        mock_id: mock_id.to_owned(),
        include_in_swagger,
        main,
        artifacts,
    })
}

/// A value as it may stand in quotes.
fn scalar(value: &Value) -> String {
    match value {
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => "…".to_owned(),
    }
}

fn read_artifact(artifact: &Value, index: usize) -> Result<ArtifactSpec, Wrong> {
    Ok(ArtifactSpec {
        kind: artifact["kind"].as_str().map(str::to_owned),
        path: read_path(&artifact["path"], &format!(".artifacts[{index}].path"))?,
    })
}

fn read_path(path: &Value, key: &str) -> Result<String, Wrong> {
    let Some(path) = path.as_str().map(str::trim).filter(|path| !path.is_empty()) else {
        return wrong(
            key,
            "is missing; use a path relative to microcks.yaml, or an http(s) address",
        );
    };
    let address = path.starts_with("http://") || path.starts_with("https://");
    if !address && (path.starts_with('/') || path.contains('\\') || path.split('/').any(|part| part == "..")) {
        return wrong(key, format!("{path:?} leads out of the folder of microcks.yaml"));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(mocks: Value) -> Result<SyncFile, SyncFileError> {
        SyncFile::from_document(&json!({
            "apiVersion": "bcgov.dev/v1alpha1", "kind": "MicrocksSync", "spec": { "mocks": mocks }
        }))
    }

    #[test]
    fn a_mock_has_what_the_file_says_and_the_documented_defaults() {
        let read = file(json!([
            { "mockId": "a" },
            { "mockId": "b", "includeInSwagger": false, "openapi": { "path": "openapi.yaml" },
              "artifacts": [{ "kind": "APIMetadata", "path": "meta/dispatch.yaml" }, { "path": "https://x.example/e.yaml" }] }
        ]))
        .unwrap();
        assert_eq!(read.problems, []);
        assert_eq!(
            read.mocks[0],
            MockSpec {
                mock_id: "a".into(),
                include_in_swagger: true,
                main: None,
                artifacts: vec![],
            }
        );
        let b = &read.mocks[1];
        assert_eq!(
            (b.main.as_deref(), b.include_in_swagger, b.artifacts.len()),
            (Some("openapi.yaml"), false, 2)
        );
    }

    #[test]
    fn a_mistake_in_one_mock_leaves_the_others() {
        let read = file(json!([
            { "mockId": "good" },
            { "includeInSwagger": true },
            { "mockId": "twice" },
            { "mockId": "twice" },
            { "mockId": "out", "openapi": { "path": "../secret.yaml" } },
            { "mockId": "long".repeat(40) },
            { "mockId": "list", "artifacts": "no" },
            { "mockId": "x".repeat(128) }
        ]))
        .unwrap();
        let ids: Vec<usize> = read.mocks.iter().map(|mock| mock.mock_id.len()).collect();
        assert_eq!(ids, [4, 128]);
        let texts: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 6, "{texts:?}");
        assert!(
            texts[0].contains("spec.mocks[1].mockId") && texts[0].contains("missing"),
            "{texts:?}"
        );
        assert!(
            texts[1].contains("used 2 times") && texts[2].contains("used 2 times"),
            "{texts:?}"
        );
        assert!(texts[3].contains("spec.mocks[4].openapi.path"), "{texts:?}");
    }

    #[test]
    fn a_misspelled_key_is_told_and_stops_nothing() {
        let read = file(json!([
            { "mockId": "a", "artefacts": [{ "path": "x.yaml" }], "description": "of another program" },
            { "mockId": "b", "artifacts": [{ "Path": "x.yaml", "path": "y.yaml" }] },
            { "mockId": 1 }
        ]))
        .unwrap();
        assert_eq!(read.mocks.len(), 2);
        let texts: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(
            texts[0].contains("spec.mocks[0].artefacts") && texts[0].contains("did you mean \"artifacts\""),
            "{texts:?}"
        );
        assert!(texts[1].contains("spec.mocks[1].artifacts[0].Path"), "{texts:?}");
        assert!(
            texts[2].contains("must be a text") && texts[2].contains("\"1\""),
            "{texts:?}"
        );
    }

    #[test]
    fn a_file_of_another_kind_is_an_error_and_not_an_empty_list() {
        let other = json!({ "apiVersion": "v1", "kind": "Deployment", "spec": { "mocks": [] } });
        let text = SyncFile::from_document(&other).unwrap_err().to_string();
        assert!(text.contains("MicrocksSync") && text.contains("Deployment"), "{text}");
        assert!(file(Value::Null).is_err());
        assert_eq!(file(json!([])), Ok(SyncFile::default()));
    }
}
