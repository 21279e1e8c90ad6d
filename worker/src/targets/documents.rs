//! Reads documents beside an entity, or at an address that it names. Only from configured locations: the entity's own
//! source, with that source's credentials, or a host that the target allows, without credentials.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tideline_config::settings::Auth;
use tideline_core::clock::Clock;
use url::Url;

use crate::source::{Document, DocumentPlace, ErrorClass, Source, SourceError};
use crate::sources::http::client::{Call, HttpClient};

/// Annotations that say where an entity was read from, the first one present counts. Source: Backstage, "Well-known
/// Annotations".
const LOCATIONS: [&str; 3] = [
    "backstage.io/managed-by-location",
    "backstage.io/managed-by-origin-location",
    "backstage.io/source-location",
];

/// Reads documents.
pub(super) struct Documents {
    sources: HashMap<String, Arc<dyn Source>>,
    /// Those of them that read a folder.
    folders: HashSet<String>,
    /// `name` or `name:port`, in lower case.
    hosts: Vec<String>,
    client: HttpClient,
    timeout: Duration,
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    /// It is unknown whether the document exists.
    #[error("{message}")]
    Unreadable {
        message: String,
        /// It may be readable later.
        transient: bool,
        retry_after: Option<Duration>,
    },
    /// Its location is wrong or not allowed.
    #[error("{0}")]
    Wrong(String),
}

/// Limit on the size of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) bytes: u64,
    /// The configuration key of the limit.
    pub(super) key: &'static str,
}

impl Limit {
    fn exceeded(self, what: &str) -> DocumentError {
        let key = if self.key.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.key)
        };
        wrong(format!("{what} has more than {} bytes{key}", self.bytes))
    }
}

fn wrong(text: impl Into<String>) -> DocumentError {
    DocumentError::Wrong(text.into())
}

impl From<SourceError> for DocumentError {
    fn from(error: SourceError) -> Self {
        let (transient, retry_after) = match error.class {
            ErrorClass::Transient { retry_after } => (true, retry_after),
            _ => (false, None),
        };
        Self::Unreadable {
            message: error.message,
            transient,
            retry_after,
        }
    }
}

impl Documents {
    /// A reader of what these sources have, and of these hosts.
    pub(super) fn new(
        (sources, folders): (HashMap<String, Arc<dyn Source>>, HashSet<String>),
        hosts: Vec<String>,
        (max_bytes, timeout): (u64, Duration),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let nowhere = Url::parse("http://document-hosts.invalid/").map_err(|error| error.to_string())?;
        let client = HttpClient::new(&nowhere, &Auth::None, [], max_bytes, timeout, clock);
        let client = client.map_err(|problems| format!("{problems:?}"))?;
        Ok(Self {
            sources,
            folders,
            hosts,
            client,
            timeout,
        })
    }

    /// Whether the source of this name reads a folder.
    pub(super) fn has_folder(&self, source: &str) -> bool {
        self.folders.contains(source)
    }

    /// The document, as an entity of this source has it. None: there is none.
    pub(super) async fn read(
        &self,
        source: &str,
        place: &DocumentPlace,
        limit: Limit,
    ) -> Result<Option<Vec<u8>>, DocumentError> {
        let longest = self.timeout;
        let read = tokio::time::timeout(longest, self.read_unlimited(source, place, limit)).await;
        read.unwrap_or_else(|_| {
            Err(DocumentError::Unreadable {
                message: format!("{} was not read within {longest:?}", shown(place)),
                transient: true,
                retry_after: None,
            })
        })
    }

    async fn read_unlimited(
        &self,
        source: &str,
        place: &DocumentPlace,
        limit: Limit,
    ) -> Result<Option<Vec<u8>>, DocumentError> {
        if let Some(source) = self.sources.get(source) {
            match source.read_document(place, limit.bytes).await? {
                Document::Found(bytes) => return Ok(Some(bytes)),
                Document::TooLong => return Err(limit.exceeded(&shown(place))),
                Document::Missing => return Ok(None),
                Document::Elsewhere => {}
            }
        }
        match place {
            DocumentPlace::File(path) => Err(wrong(format!("{path} is not in the folder of the source"))),
            DocumentPlace::Url(url) => self.fetch(url, limit).await,
        }
    }

    /// Without credentials, from an allowed host.
    async fn fetch(&self, url: &Url, limit: Limit) -> Result<Option<Vec<u8>>, DocumentError> {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let is_allowed = self.hosts.iter().any(|allowed| match allowed.contains(':') {
            true => *allowed == with_port,
            false => *allowed == host && url.port().is_none(),
        });
        if !is_allowed {
            return Err(wrong(format!(
                "{} may not be read: it is not on the host of the entity's source; add the host to document_hosts of \
                 the target to allow it",
                shown_url(url)
            )));
        }
        let mut call = Call::new(Method::GET, url.clone());
        call.headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("*/*"))]);
        let reply = self
            .client
            .send(call)
            .await
            .map_err(|error| DocumentError::Unreadable {
                message: error.to_string(),
                transient: true,
                retry_after: None,
            })?;
        match reply.status {
            status if status.is_success() => {
                if reply.endless || reply.body.len() as u64 > limit.bytes {
                    return Err(limit.exceeded(&shown_url(url)));
                }
                Ok(Some(reply.body.to_vec()))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status => Err(DocumentError::Unreadable {
                message: format!("GET {} answered {status}", shown_url(url)),
                transient: matches!(status.as_u16(), 408 | 425 | 429 | 500..=599),
                retry_after: reply.retry_after,
            }),
        }
    }
}

/// Where the file of an entity is. Entities of a folder may not say; then it is the folder.
pub(super) fn location(entity: &Value) -> Option<DocumentPlace> {
    let annotations = &entity["metadata"]["annotations"];
    let text = LOCATIONS.iter().find_map(|name| annotations[*name].as_str())?;
    if let Some(url) = text.strip_prefix("url:") {
        return Url::parse(url).ok().map(DocumentPlace::Url);
    }
    text.strip_prefix("file:")
        .map(|path| DocumentPlace::File(path.to_owned()))
}

/// What a reference in a document at `base` names: an address, or a path that does not lead out of the document's
/// folder.
pub(super) fn resolve(base: &DocumentPlace, reference: &str) -> Result<DocumentPlace, DocumentError> {
    if reference.starts_with("http://") || reference.starts_with("https://") {
        let url = Url::parse(reference).map_err(|error| {
            wrong(format!(
                "{reference:?} is not a valid address \
        ({error})"
            ))
        })?;
        return Ok(DocumentPlace::Url(url));
    }
    let leads_out = || {
        wrong(format!(
            "{reference:?} leads out of the folder of the file that names it"
        ))
    };
    if reference.starts_with('/') || reference.contains('\\') || reference.split('/').any(|part| part == "..") {
        return Err(leads_out());
    }
    match base {
        DocumentPlace::File(path) => {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let joined = if folder.is_empty() {
                reference.to_owned()
            } else {
                format!("{folder}/{reference}")
            };
            Ok(DocumentPlace::File(joined))
        }
        DocumentPlace::Url(base) => {
            let folder = base
                .path()
                .rsplit_once('/')
                .map_or("/", |(folder, _)| folder)
                .to_owned()
                + "/";
            // As a path, whatever is in it: `?` and `:` are parts of names here.
            let mut url = base.clone();
            let encoded: Vec<String> = reference.split('/').map(encode_segment).collect();
            url.set_path(&format!("{folder}{}", encoded.join("/")));
            let is_within = url.origin() == base.origin() && url.path().starts_with(&folder);
            is_within.then_some(DocumentPlace::Url(url)).ok_or_else(leads_out)
        }
    }
}

/// The file that a path names, the same for every way to write it.
pub(super) fn same_file(base: &DocumentPlace, reference: &str) -> Option<String> {
    let parts = |text: &str| -> String {
        let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
        parts.collect::<Vec<_>>().join("/")
    };
    let reference = match reference.contains("://") {
        true => reference.to_owned(),
        false => parts(reference),
    };
    Some(match resolve(base, &reference).ok()? {
        DocumentPlace::File(path) => parts(&path),
        DocumentPlace::Url(url) => url.to_string(),
    })
}

/// Escapes already written are kept, since catalogs hold both forms; `%2e%2e` is found by the check that follows.
fn encode_segment(segment: &str) -> String {
    segment.replace('?', "%3F").replace('#', "%23")
}

/// For people; a query may hold a signature.
pub(super) fn shown(place: &DocumentPlace) -> String {
    match place {
        DocumentPlace::Url(url) => shown_url(url),
        DocumentPlace::File(path) => path.clone(),
    }
}

fn shown_url(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DocumentPlace {
        DocumentPlace::Url(text.parse().unwrap())
    }

    #[test]
    fn a_file_is_one_however_its_path_is_written() {
        let file = DocumentPlace::File("apis/.mocks/microcks.yaml".into());
        let beside = url("https://git.example/o/r/.mocks/microcks.yaml");
        for base in [&file, &beside] {
            let one = same_file(base, "ex.yaml");
            assert!(one.is_some());
            assert_eq!(same_file(base, "./ex.yaml"), one);
            assert_eq!(same_file(base, "a/.//b/ex.yaml"), same_file(base, "a/b/ex.yaml"));
            assert_ne!(same_file(base, "a/ex.yaml"), one);
        }
        let entity = DocumentPlace::File("apis/catalog-info.yaml".into());
        assert_eq!(same_file(&entity, "./.mocks/ex.yaml"), same_file(&file, "ex.yaml"));
        let address = "https://git.example/o/r/.mocks/ex.yaml";
        assert_eq!(same_file(&file, address), same_file(&beside, "ex.yaml"));
    }

    #[test]
    fn a_reference_stays_in_the_folder_of_the_document_that_makes_it() {
        let base = url("https://git.example/o/r/blob/main/catalog-info.yaml?token=x");
        let found = resolve(&base, "mocks/microcks.yaml").unwrap();
        assert_eq!(
            found,
            url("https://git.example/o/r/blob/main/mocks/microcks.yaml?token=x")
        );
        assert!(!shown(&found).contains("token"));
        let file = DocumentPlace::File("apis/pet/catalog-info.yaml".into());
        assert_eq!(
            resolve(&file, "m/a.yaml").unwrap(),
            DocumentPlace::File("apis/pet/m/a.yaml".into())
        );
        for out in ["../x", "a/../../x", "/etc/passwd", "%2e%2e/%2e%2e/x", "a\\b"] {
            assert!(resolve(&base, out).is_err(), "{out}");
        }
        assert_eq!(
            resolve(&base, "https://x.example/a").unwrap(),
            url("https://x.example/a")
        );
    }
}
