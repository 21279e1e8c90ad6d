//! The `files` source: entities in YAML (many documents), JSON and NDJSON files below a folder, in pages of files in
//! sorted order; the cursor is the last file's path. The names, sizes and times of its files are a page's validators:
//! an unchanged page is not read. A document whose `apiVersion` marks it as mock configuration is not an entity. It is
//! unknown which entity a broken document held, so it counts as a malformed item without a name; the other documents of
//! its file are read.

mod document;
mod list;
pub(crate) mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tideline_config::settings::{FilesSettings, SourceSettings};
use tideline_core::clock::Clock;
use tideline_core::words::{Fingerprint, MalformedItem, Validators};

use self::list::{Format, Listed, Listing};
use super::backstage;
use super::redact::Redactor;
use crate::source::{Document, DocumentPlace, ErrorClass, Item, Page, PageContent, PageRequest, Source, SourceError};

/// A file that changed this recently may change again within the same tick of the file system's clock; its page is read
/// again next time.
const SETTLED_MS: i64 = 2_000;

/// Documents that configure mocks, by the group of their `apiVersion` and their kind: `microcks.yaml`, and Microcks'
/// artifacts.
const MOCKS: [(&str, &str); 3] = [
    ("bcgov.dev", "MicrocksSync"),
    ("mocks.microcks.io", "APIMetadata"),
    ("mocks.microcks.io", "APIExamples"),
];

/// Sample of a malformed item, in bytes.
const SAMPLE_BYTES: usize = 500;

/// The `files` source.
pub struct FilesSource {
    folder: PathBuf,
    page_size: usize,
    max_file_bytes: u64,
    exclude: Vec<String>,
    salt: String,
    clock: Arc<dyn Clock>,
}

impl FilesSource {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(source: &SourceSettings, settings: &FilesSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder: settings.path.clone(),
            page_size: usize::try_from(settings.page_size.max(1)).unwrap_or(1),
            max_file_bytes: settings.max_file_bytes,
            exclude: settings.exclude.clone(),
            salt: format!("{settings:?} {:?} {}", source.volatile, env!("CARGO_PKG_VERSION")),
            clock,
        }
    }

    fn request_print(&self, after: Option<&str>) -> Fingerprint {
        let text = format!("files\n{}\n{after:?}", self.salt);
        Fingerprint(Sha256::digest(text.as_bytes()).into())
    }

    /// None if a file changed just now.
    fn content_print(&self, listing: &Listing) -> Option<Fingerprint> {
        let now = self.clock.now().0;
        let settled = |file: &Listed| now.saturating_sub(file.changed_ms) >= SETTLED_MS;
        listing.files.iter().all(settled).then_some(Fingerprint(listing.print))
    }
}

#[async_trait]
impl Source for FilesSource {
    async fn read_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let after = match request.cursor {
            None => None,
            Some(Value::String(path)) => Some(path.clone()),
            Some(_) => {
                let text = "the cursor was made by another kind of source".to_owned();
                return Err(SourceError::new(ErrorClass::CursorExpired, text));
            }
        };
        let print = self.request_print(after.as_deref());
        let (folder, page_size, max_bytes) = (self.folder.clone(), self.page_size, self.max_file_bytes);
        let exclude = self.exclude.clone();
        let listing = move || list::list(&folder, &exclude, after.as_deref(), (page_size, max_bytes));
        let listing = blocking(listing).await??;
        let content = self.content_print(&listing);
        let validators = Validators {
            request: Some(print),
            content,
            ..Validators::default()
        };
        let remembered = request.memory.map(|memory| &memory.validators);
        if content.is_some() && remembered == Some(&validators) {
            return Ok(page(PageContent::Unchanged, None, validators));
        }
        let next = listing
            .files
            .last()
            .filter(|_| listing.more)
            .map(|file| Value::from(file.name.as_str()));
        let (items, whole) = blocking(move || read_all(&listing.files, max_bytes)).await?;
        let validators = Validators {
            // The reason why a file could not be read may disappear without changing the file.
            content: validators.content.filter(|_| whole),
            ..validators
        };
        Ok(page(PageContent::Items(items), next, validators))
    }

    async fn read_document(&self, place: &DocumentPlace, max_bytes: u64) -> Result<Document, SourceError> {
        let DocumentPlace::File(path) = place else {
            return Ok(Document::Elsewhere);
        };
        let (folder, path) = (self.folder.clone(), PathBuf::from(path));
        blocking(move || document::read(&folder, &path, max_bytes)).await?
    }
}

fn page(content: PageContent, next: Option<Value>, validators: Validators) -> Page {
    Page {
        content,
        next,
        children: Vec::new(),
        validators,
        hold: None,
        failure: None,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SourceError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        let text = "reading the files was stopped".to_owned();
        SourceError::new(ErrorClass::Transient { retry_after: None }, text)
    })
}

/// The content of the files, and whether all of them could be read.
fn read_all(files: &[Listed], max_bytes: u64) -> (Vec<Item>, bool) {
    let redactor = Redactor::default();
    let mut items = Vec::new();
    let mut whole = true;
    for file in files {
        let read = match &file.unreadable {
            Some(why) => Err(why.clone()),
            None => read_file(&file.path, max_bytes),
        };
        match read {
            Ok(bytes) if bytes.len() as u64 > max_bytes => {
                let why = format!("has more than {max_bytes} bytes (max_file_bytes)");
                items.push(malformed(file, &why, b"", &redactor));
            }
            Ok(bytes) => read_items(file, &bytes, max_bytes, &redactor, &mut items),
            Err(why) => {
                whole = false;
                items.push(malformed(file, &why, b"", &redactor));
            }
        }
    }
    (items, whole)
}

/// The file's bytes, of a larger one than `max_bytes` one more than that.
fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;

    let file = std::fs::File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    Ok(bytes)
}

/// YAML documents and NDJSON lines are read independently; a JSON file is read as a whole or not at all.
fn read_items(file: &Listed, bytes: &[u8], max_bytes: u64, redactor: &Redactor, items: &mut Vec<Item>) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let documents: Vec<Result<String, String>> = match file.format {
        Format::Yaml => yaml::documents(bytes, max_bytes.saturating_mul(2))
            .into_iter()
            .map(|document| document.map_err(|why| format!("has YAML that cannot be read: {why}")))
            .collect(),
        Format::Json => {
            match utf8(bytes).and_then(|text| json_documents(text).map_err(|why| format!("is not JSON: {why}"))) {
                Ok(documents) => documents.into_iter().map(Ok).collect(),
                Err(why) => vec![Err(why)],
            }
        }
        Format::Lines => bytes
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| match utf8(line) {
                Ok(line) => Ok(line.to_owned()),
                Err(why) => Err(format!("line {} {why}", index + 1)),
            })
            .collect(),
    };
    for document in documents {
        if document.as_deref().is_ok_and(configures_mocks) {
            continue;
        }
        items.push(match document {
            Ok(body) => match backstage::reference(&body) {
                Ok(reference) => Item::Entity { reference, body },
                Err(why) => malformed(file, &why, body.as_bytes(), redactor),
            },
            Err(why) => malformed(file, &why, bytes, redactor),
        });
    }
}

/// Whether a document says that it is not an entity but configures mocks: it lies beside the entity whose API it mocks.
fn configures_mocks(body: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "apiVersion")]
        api_version: Option<String>,
        kind: Option<String>,
    }
    let Ok(Head {
        api_version: Some(version),
        kind: Some(kind),
    }) = serde_json::from_str(body)
    else {
        return false;
    };
    let group = version.split('/').next().unwrap_or_default();
    MOCKS.contains(&(group, kind.as_str()))
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))
}

/// One object, or a list of objects.
fn json_documents(text: &str) -> Result<Vec<String>, serde_json::Error> {
    if text.trim_start().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(text)?;
        return Ok(list.into_iter().map(|item| item.get().to_owned()).collect());
    }
    let one: &RawValue = serde_json::from_str(text)?;
    Ok(vec![one.get().to_owned()])
}

fn malformed(file: &Listed, why: &str, bytes: &[u8], redactor: &Redactor) -> Item {
    Item::Malformed(MalformedItem {
        reference: None,
        error: redactor.sample(format!("{}: {why}", file.name).as_bytes(), SAMPLE_BYTES),
        sample: redactor.sample(bytes, SAMPLE_BYTES),
    })
}
