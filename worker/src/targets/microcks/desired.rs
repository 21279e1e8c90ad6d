//! The desired state of an entity in Microcks: its `microcks.yaml` and artifacts are read, stamped and fingerprinted.
//! Unreadable, invalid and missing content are distinguished: only missing content removes mocks.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tideline_config::settings::MicrocksSettings;
use tideline_core::rules::fingerprint;
use tideline_core::words::{EntityRef, Fingerprint};
use tokio::sync::OnceCell;

use super::super::documents::{DocumentError, Documents, Limit, location, resolve, same_file, shown};
use super::definition::{Definition, placeholder, stands_alone};
use super::{
    ArtifactKind, ConfigReference, Identity, MockSpec, Recognized, SyncFile, file_names, owned_version, stamp,
};
use crate::source::DocumentPlace;
use crate::sources::files::yaml;

/// Maximum size of `microcks.yaml`.
const MAX_FILE_BYTES: u64 = 1 << 20;
const FILE_LIMIT: Limit = Limit {
    bytes: MAX_FILE_BYTES,
    key: "",
};

/// The desired state of an entity.
#[derive(Debug, Default)]
pub(super) struct Desired {
    /// The entity is there and names a file, which may be one that does not exist yet.
    pub(super) is_annotated: bool,
    /// Mocks that can be made.
    pub(super) mocks: Vec<Mock>,
    /// Parts that stay as they are, because their desired state is unknown or invalid; none: all of them do.
    pub(super) keep: Keep,
    /// What is wrong.
    pub(super) problems: Vec<DocumentError>,
    /// The entity's definition, for its readers.
    pub(super) definition: Definition,
}

/// Mocks that are kept although they are not currently desired.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Keep {
    /// Those with these ids.
    These(BTreeSet<String>),
    /// All of them.
    All,
    /// None.
    #[default]
    None,
}

/// The desired state of a mock.
#[derive(Debug)]
pub(super) struct Mock {
    pub(super) mock_id: String,
    /// The API's definition in the catalog shall name it.
    pub(super) in_swagger: bool,
    /// Of the service in Microcks.
    pub(super) name: String,
    pub(super) version: String,
    /// The main one first.
    pub(super) artifacts: Vec<Artifact>,
    /// Over all that decides the result.
    pub(super) fingerprint: Fingerprint,
}

impl Mock {
    /// The full name of the service, which nothing else has.
    pub(super) fn object(&self) -> String {
        format!("{}:{}", self.name, self.version)
    }

    /// Whether it sends messages, rather than answer requests.
    pub(super) fn is_event(&self) -> bool {
        let main = self.artifacts.first();
        main.is_some_and(|artifact| artifact.kind == ArtifactKind::AsyncApi)
    }
}

/// An artifact as it is uploaded.
#[derive(Debug)]
pub(super) struct Artifact {
    /// As its author named it.
    pub(super) path: String,
    pub(super) file_name: String,
    pub(super) kind: ArtifactKind,
    pub(super) text: String,
    pub(super) hash: String,
}

/// An entity, and whose it is.
pub(super) struct Owned<'e> {
    pub(super) source: &'e str,
    pub(super) reference: &'e EntityRef,
    pub(super) body: &'e Value,
}

/// Files already read for other entities of the same job: many entities may name the same file.
#[derive(Default)]
pub(super) struct SyncFiles(Mutex<HashMap<(String, DocumentPlace), SyncFile>>);

/// Reads the desired state of an entity. `delete_invalid`: invalid parts are not kept.
pub(super) async fn desired(
    (documents, files): (&Documents, &SyncFiles),
    settings: &MicrocksSettings,
    entity: &Owned<'_>,
    delete_invalid: bool,
) -> Desired {
    let reader = Reader {
        documents,
        files,
        settings,
        entity,
        elsewhere: OnceCell::new(),
        recognized: OnceLock::new(),
    };
    let desired = match reader.file().await {
        Ok(Named::Nothing) => Desired::default(),
        Ok(Named::Missing(place)) => Desired {
            problems: vec![wrong(format!(
                "{} is not there, so there are no mocks; add it, or remove the annotation {}",
                shown(&place),
                settings.annotation
            ))],
            ..Desired::default()
        },
        Ok(Named::File(place, file)) => {
            let desired = reader.mocks(&place, file, delete_invalid).await;
            Desired {
                definition: reader.definition().await,
                ..desired
            }
        }
        Err(error) => Desired {
            definition: Definition::Unknown,
            keep: if delete_invalid && matches!(error, DocumentError::Wrong(_)) {
                Keep::None
            } else {
                Keep::All
            },
            problems: vec![error],
            ..Desired::default()
        },
    };
    Desired {
        is_annotated: !entity.body["metadata"]["annotations"][settings.annotation.as_str()].is_null(),
        ..desired
    }
}

/// What an entity's annotation leads to.
enum Named {
    /// There is none.
    Nothing,
    /// The file does not exist.
    Missing(DocumentPlace),
    File(DocumentPlace, SyncFile),
}

struct Reader<'r> {
    documents: &'r Documents,
    files: &'r SyncFiles,
    settings: &'r MicrocksSettings,
    entity: &'r Owned<'r>,
    /// The text of a definition that is in another file.
    elsewhere: OnceCell<String>,
    /// What the entity's own definition is, of which several mocks may be made.
    recognized: OnceLock<Option<Recognized<'r>>>,
}

fn wrong(text: impl Into<String>) -> DocumentError {
    DocumentError::Wrong(text.into())
}

/// The same error, with where it was.
fn at(place: &str, error: DocumentError) -> DocumentError {
    match error {
        DocumentError::Wrong(text) => DocumentError::Wrong(format!("{place}: {text}")),
        DocumentError::Unreadable {
            message,
            transient,
            retry_after,
        } => DocumentError::Unreadable {
            message: format!("{place}: {message}"),
            transient,
            retry_after,
        },
    }
}

impl<'r> Reader<'r> {
    /// The entity's `microcks.yaml` and its place.
    async fn file(&self) -> Result<Named, DocumentError> {
        let name = &self.settings.annotation;
        let annotation = match &self.entity.body["metadata"]["annotations"][name.as_str()] {
            Value::Null => return Ok(Named::Nothing),
            Value::String(text) => text,
            _ => return Err(wrong(format!("annotation {name} must be a text"))),
        };
        let reference =
            ConfigReference::parse(annotation).map_err(|error| wrong(format!("annotation {name}: {error}")))?;
        let base = self.location();
        let place = match &reference {
            ConfigReference::Absolute(url) => DocumentPlace::Url(url.clone()),
            ConfigReference::Relative(path) => {
                let base = base.as_ref().ok_or_else(|| {
                    wrong(format!(
                        "annotation {name}: dir: counts from the file of the entity, but no annotation \
                         (backstage.io/managed-by-location) says where that is; use url:"
                    ))
                })?;
                resolve(base, path)?
            }
        };
        let key = (self.entity.source.to_owned(), place.clone());
        let known = self.files.0.lock().get(&key).cloned();
        if let Some(file) = known {
            return Ok(Named::File(place, file));
        }
        let Some(bytes) = self.documents.read(self.entity.source, &place, FILE_LIMIT).await? else {
            return self.missing(place, &reference, base.as_ref()).await;
        };
        let file = parse(&bytes).map_err(|error| at(&shown(&place), error))?;
        let file = SyncFile::from_document(&file).map_err(|error| wrong(format!("{}: {error}", shown(&place))))?;
        self.files.0.lock().insert(key, file.clone());
        Ok(Named::File(place, file))
    }

    fn location(&self) -> Option<DocumentPlace> {
        let in_folder = || DocumentPlace::File(String::new());
        // Entities of a folder need not say that they are in it.
        location(self.entity.body).or_else(|| self.documents.has_folder(self.entity.source).then(in_folder))
    }

    /// A missing file. Over HTTP that may be a lost right, so it counts only if the document beside it can be read.
    async fn missing(
        &self,
        place: DocumentPlace,
        reference: &ConfigReference,
        base: Option<&DocumentPlace>,
    ) -> Result<Named, DocumentError> {
        if matches!(place, DocumentPlace::File(_)) {
            return Ok(Named::Missing(place));
        }
        if let (ConfigReference::Relative(path), Some(base)) = (reference, base)
            && self.is_beside(base, path).await?
        {
            return Ok(Named::Missing(place));
        }
        Err(DocumentError::Unreadable {
            message: format!(
                "{} is not there, or not shown; its mocks stay until the annotation is removed or the file is there",
                shown(&place)
            ),
            transient: false,
            retry_after: None,
        })
    }

    async fn mocks(&self, place: &DocumentPlace, file: SyncFile, delete_invalid: bool) -> Desired {
        let mut desired = Desired::default();
        let mut keep = BTreeSet::new();
        let mut keep_all = false;
        for problem in file.problems {
            match &problem.mock_id {
                Some(id) => drop(keep.insert(id.clone())),
                // It may be any of them.
                None => keep_all = true,
            }
            desired.problems.push(wrong(problem.to_string()));
        }
        if delete_invalid {
            keep.clear();
            keep_all = false;
        }
        for spec in file.mocks {
            match self.mock(place, &spec).await {
                Ok(mock) => desired.mocks.push(mock),
                Err(error) => {
                    if !delete_invalid || matches!(error, DocumentError::Unreadable { .. }) {
                        keep.insert(spec.mock_id.clone());
                    }
                    desired.problems.push(at(&format!("mock {:?}", spec.mock_id), error));
                }
            }
        }
        desired.keep = if keep_all { Keep::All } else { Keep::These(keep) };
        desired
    }

    async fn mock(&self, place: &DocumentPlace, spec: &MockSpec) -> Result<Mock, DocumentError> {
        let (main_name, main_text) = self.main(place, spec).await?;
        let mut files = BTreeSet::from_iter(self.main_file(place, spec));
        let mut texts = vec![(main_name, main_text)];
        for artifact in &spec.artifacts {
            let text = self.text(place, &artifact.path).await?;
            // A file that is listed again, however its path is written, is uploaded once.
            if same_file(place, &artifact.path).is_none_or(|file| files.insert(file)) {
                texts.push((artifact.path.clone(), Cow::Owned(text)));
            }
        }
        let paths: Vec<&str> = texts.iter().map(|(path, _)| path.as_str()).collect();
        let names = file_names(&paths);
        let name = self.entity.body["metadata"]["name"]
            .as_str()
            .unwrap_or(self.entity.reference.name());
        let version = owned_version(self.entity.reference, &spec.mock_id);
        let identity = Identity {
            name,
            version: &version,
        };
        let mut artifacts = Vec::with_capacity(texts.len());
        for (index, ((path, text), file_name)) in texts.iter().zip(names).enumerate() {
            artifacts.push(self.artifact((path, text), file_name, identity, index == 0)?);
        }
        Ok(Mock {
            mock_id: spec.mock_id.clone(),
            in_swagger: spec.include_in_swagger,
            name: name.to_owned(),
            fingerprint: print(name, &version, &artifacts),
            version,
            artifacts,
        })
    }

    fn artifact(
        &self,
        (path, text): (&str, &Cow<'r, str>),
        file_name: String,
        identity: Identity<'_>,
        is_main: bool,
    ) -> Result<Artifact, DocumentError> {
        let read;
        let recognized = match text {
            Cow::Borrowed(definition) => self.recognized.get_or_init(|| Recognized::detect(definition)),
            Cow::Owned(text) => {
                read = Recognized::detect(text);
                &read
            }
        };
        let recognized = recognized.as_ref().ok_or_else(|| {
            wrong(format!(
                "{path} is not a type that Microcks accepts: OpenAPI 3, Swagger 2, AsyncAPI, APIMetadata, \
                 APIExamples, a Postman \
                 collection, a SoapUI project, a GraphQL schema or an HTTP archive with a microcksId"
            ))
        })?;
        let kind = recognized.kind;
        if is_main && !kind.can_be_main() {
            return Err(wrong(format!(
                "{path} is {kind:?}, which cannot be the main artifact of a service; list it under artifacts"
            )));
        }
        let text = stamp(recognized, identity).map_err(|error| wrong(format!("{path}: {error}")))?;
        if text.len() as u64 > self.settings.max_artifact_bytes {
            return Err(wrong(format!(
                "{path} has {} bytes, but max_artifact_bytes is {}",
                text.len(),
                self.settings.max_artifact_bytes
            )));
        }
        Ok(Artifact {
            path: path.to_owned(),
            file_name,
            kind,
            hash: hex::encode(Sha256::digest(text.as_bytes())),
            text,
        })
    }

    /// The main artifact: the one of the file, or the entity's own definition.
    async fn main(&self, place: &DocumentPlace, spec: &MockSpec) -> Result<(String, Cow<'r, str>), DocumentError> {
        if let Some(path) = &spec.main {
            return Ok((path.clone(), Cow::Owned(self.text(place, path).await?)));
        }
        let definition = &self.entity.body["spec"]["definition"];
        match (definition, placeholder(definition)) {
            (Value::String(text), _) => Ok(("definition.yaml".to_owned(), Cow::Borrowed(text))),
            (_, Some((_, reference))) => {
                let text = self.elsewhere(reference).await?.clone();
                Ok((reference.to_owned(), Cow::Owned(text)))
            }
            (Value::Null, _) => Err(wrong("has no openapi.path, and the entity has no spec.definition")),
            _ => Err(wrong(
                "spec.definition must be a text, or name a file as in { $text: ./openapi.yaml }; or set openapi.path of the mock",
            )),
        }
    }

    /// The file of the main artifact; none: the definition is in the entity.
    fn main_file(&self, place: &DocumentPlace, spec: &MockSpec) -> Option<String> {
        if let Some(path) = &spec.main {
            return same_file(place, path);
        }
        let (_, reference) = placeholder(&self.entity.body["spec"]["definition"])?;
        same_file(&self.location()?, reference)
    }

    /// What is in the file that the entity's definition names.
    async fn elsewhere(&self, reference: &str) -> Result<&String, DocumentError> {
        let read = async || {
            let base = self.location().ok_or_else(|| {
                wrong("spec.definition refers to another file, but no annotation says where the entity's own file is")
            })?;
            self.text(&base, reference).await
        };
        self.elsewhere.get_or_try_init(read).await
    }

    /// The definition as readers of the catalog can be shown it.
    async fn definition(&self) -> Definition {
        let definition = &self.entity.body["spec"]["definition"];
        match placeholder(definition).filter(|_| self.settings.enrich.is_some()) {
            None => Definition::Own,
            Some((key, reference)) => match self.elsewhere(reference).await {
                Ok(text) if stands_alone(key, text) => Definition::Elsewhere(text.clone()),
                _ => Definition::Unknown,
            },
        }
    }

    async fn text(&self, base: &DocumentPlace, reference: &str) -> Result<String, DocumentError> {
        let place = resolve(base, reference)?;
        let limit = Limit {
            bytes: self.settings.max_artifact_bytes,
            key: "max_artifact_bytes",
        };
        let bytes = self.documents.read(self.entity.source, &place, limit).await?;
        let Some(bytes) = bytes else {
            let is_gone = match &place {
                DocumentPlace::File(_) => true,
                DocumentPlace::Url(_) => self.is_beside(base, reference).await?,
            };
            return Err(if is_gone {
                wrong(format!("{} is not there", shown(&place)))
            } else {
                unshown(&place)
            });
        };
        String::from_utf8(bytes).map_err(|_| wrong(format!("{} is not UTF-8", shown(&place))))
    }

    /// Whether the document that refers to a file beside it is readable now. Then the file is missing, not hidden by
    /// lost rights.
    async fn is_beside(&self, base: &DocumentPlace, reference: &str) -> Result<bool, DocumentError> {
        let is_relative = !reference.starts_with("http://") && !reference.starts_with("https://");
        if !is_relative {
            return Ok(false);
        }
        match self.documents.read(self.entity.source, base, FILE_LIMIT).await {
            Ok(found) => Ok(found.is_some()),
            Err(DocumentError::Wrong(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Over HTTP, 404 may be a lost right.
fn unshown(place: &DocumentPlace) -> DocumentError {
    DocumentError::Unreadable {
        message: format!("{} is not there, or not shown", shown(place)),
        transient: false,
        retry_after: None,
    }
}

/// A file that holds one document.
fn parse(bytes: &[u8]) -> Result<Value, DocumentError> {
    let documents = yaml::documents(bytes, 2 * MAX_FILE_BYTES);
    let [document] = documents.as_slice() else {
        return Err(wrong(format!(
            "must hold one YAML document, but holds {}",
            documents.len()
        )));
    };
    let document = document.as_ref().map_err(|why| wrong(format!("is not YAML: {why}")))?;
    serde_json::from_str(document).map_err(|error| wrong(format!("is not YAML: {error}")))
}

fn print(name: &str, version: &str, artifacts: &[Artifact]) -> Fingerprint {
    let mut text = format!("microcks 1\n{name}\n{version}");
    for artifact in artifacts {
        text.push_str(&format!("\n{}\n{}", artifact.file_name, artifact.hash));
    }
    fingerprint(text.as_bytes())
}
