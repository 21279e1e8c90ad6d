//! Sources as a configuration writes them, and servers whose answers are written out, for unit tests.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tideline_config::settings::{HttpSettings, SourceKind, SourceSettings};
use tideline_core::clock::SystemClock;
use tideline_core::words::{Fingerprint, PageMemory, Timestamp};
use tideline_expression::{Evaluator, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::HttpSource;
use crate::source::{Item, Page, PageContent, PageRequest, Pass, Source, SourceError};

/// What a server answers: status, lines of headers, body.
pub(super) type Told = (u16, &'static str, String);

pub(super) fn ok(body: &Value) -> Told {
    (200, "", body.to_string())
}

/// Answers each request by its path and query; answers where it is.
pub(super) async fn serve(answer: impl Fn(&str) -> Told + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            talk(stream, &answer).await;
        }
    });
    base
}

async fn talk(mut stream: TcpStream, answer: &(impl Fn(&str) -> Told + Send + Sync)) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let (status, headers, body) = answer(request.split(' ').nth(1).unwrap());
    let told = format!("HTTP/1.1 {status} Told\r\nconnection: close\r\n{headers}\r\n{body}");
    let _ = stream.write_all(told.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A source with these resources, in YAML.
pub(super) fn settings(base: &str, resources: &str) -> SourceSettings {
    let yaml = format!("sources: [{{ name: a, type: http, base_url: \"{base}\", resources: [{resources}] }}]");
    let read = tideline_config::parse(&yaml, Path::new("t.yaml"), &|_| None);
    read.unwrap_or_else(|errors| panic!("{errors}")).sources.remove(0)
}

pub(super) fn http_of(settings: &SourceSettings) -> &HttpSettings {
    match &settings.kind {
        SourceKind::Http(http) => http,
        kind => panic!("{kind:?}"),
    }
}

pub(super) fn source(base: &str, resources: &str) -> HttpSource {
    let settings = settings(base, resources);
    let evaluator = Arc::new(Evaluator::new(Limits::default()));
    HttpSource::new(&settings, http_of(&settings), Arc::new(SystemClock), evaluator)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// A page of the partition with these arguments.
pub(super) async fn page(
    source: &HttpSource,
    (partition, args): (&str, &Value),
    cursor: Option<&Value>,
    memory: Option<&PageMemory>,
) -> Result<Page, SourceError> {
    let request = PageRequest {
        partition,
        args,
        cursor,
        memory,
        pass: Pass::Trial,
    };
    source.read_page(request).await
}

/// What the store would remember of the page.
pub(super) fn memory_of(page: &Page) -> PageMemory {
    PageMemory {
        page: 0,
        fingerprint: Fingerprint::default(),
        entities: u32::try_from(names_of(page).len()).unwrap(),
        kept: 0,
        unidentified: 0,
        lost: Vec::new(),
        next: page.next.as_ref().map(Value::to_string),
        children: page.children.clone(),
        validators: page.validators.clone(),
        read_at: Timestamp::default(),
    }
}

/// The names of a page's entities.
pub(super) fn names_of(page: &Page) -> Vec<String> {
    let PageContent::Items(items) = &page.content else {
        panic!("unchanged");
    };
    let names = items.iter().filter_map(|item| match item {
        Item::Entity { reference, .. } => Some(reference.to_string().rsplit('/').next()?.to_owned()),
        Item::MadeBy(_) | Item::Malformed(_) => None,
    });
    names.collect()
}

/// The names on all pages of the root partition, and what ended them before their end.
pub(super) async fn read_all(source: &HttpSource) -> (Vec<String>, Option<SourceError>) {
    let (mut names, mut cursor) = (Vec::new(), None);
    for _ in 0..100 {
        let page = page(source, ("", &Value::Null), cursor.as_ref(), None).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => return (names, Some(error)),
        };
        names.extend(names_of(&page));
        cursor = match (page.failure, page.next) {
            (None, Some(next)) => Some(next),
            (failure, _) => return (names, failure),
        };
    }
    panic!("pages without end");
}
