//! A small HTTP API for tests, and readers that go through all pages of a source.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tideline_config::settings::{
    AnswerFormat, Auth, EntityShape, FailIf, HttpSettings, NextUrls, PageEnd, PageSize, Pagination, RateLimitHeaders,
    Resource, SourceKind, SourceSettings,
};
use tideline_core::clock::SystemClock;
use tideline_core::words::{ChildPartition, Fingerprint, PageMemory, Timestamp};
use tideline_expression::{Evaluator, Limits};
use tideline_worker::sources::http::HttpSource;
use tideline_worker::{Item, Page, PageContent, PageRequest, Source, SourceError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

/// A request as the API got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) raw_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.query(name).and_then(|text| text.parse().ok())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The API: where it is, and what it was asked.
pub(crate) struct Api {
    pub(crate) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Api {
    /// Answers as the function says.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let answer = Arc::new(answer);
        let handler = move |request: Request| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap();
                let query = parts.uri.query().unwrap_or_default();
                let seen = Seen {
                    method: parts.method,
                    path: parts.uri.path().to_owned(),
                    raw_query: query.to_owned(),
                    query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
                    headers: parts.headers,
                    body: String::from_utf8(body.to_vec()).unwrap(),
                };
                log.lock().push(seen.clone());
                answer(&seen)
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let router = axum::Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen }
    }

    /// Sends these bytes on every connection, then closes it.
    pub(crate) async fn start_raw(bytes: Vec<u8>) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        });
        url
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().len()
    }
}

pub(crate) fn answer(value: Value) -> Response {
    axum::Json(value).into_response()
}

pub(crate) fn status(code: u16, headers: &[(&'static str, &str)], body: &str) -> Response {
    let mut response = Response::builder().status(StatusCode::from_u16(code).unwrap());
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_owned())).unwrap()
}

/// A Backstage-like entity.
pub(crate) fn component(name: &str) -> Value {
    json!({"kind": "Component", "metadata": {"name": name}, "spec": {"type": "service"}})
}

pub(crate) fn components(from: usize, to: usize) -> Vec<Value> {
    (from..to).map(|number| component(&format!("c{number}"))).collect()
}

pub(crate) fn size(size: u32) -> Option<PageSize> {
    Some(PageSize {
        parameter: "limit".into(),
        size,
    })
}

pub(crate) fn resource(name: &str, path: &str, pagination: Pagination) -> Resource {
    Resource {
        name: name.into(),
        parent: None,
        each: None,
        parent_values: BTreeMap::new(),
        post: false,
        path: path.into(),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        body: None,
        end: end_of(&pagination),
        stable: false,
        absent: Vec::new(),
        fail_if: FailIf::Default,
        format: AnswerFormat::Auto,
        pagination,
        items: None,
        entity: EntityShape::AsIs,
        item: None,
        item_values: BTreeMap::new(),
        lookup: None,
        alternative: None,
        version: None,
        download: None,
    }
}

/// As the configuration has it by default.
fn end_of(pagination: &Pagination) -> PageEnd {
    PageEnd {
        status: if pagination.counts() { vec![404] } else { Vec::new() },
        ..PageEnd::default()
    }
}

pub(crate) fn rest(base_url: &Url, resources: Vec<Resource>) -> HttpSettings {
    HttpSettings {
        base_url: base_url.clone(),
        headers: BTreeMap::new(),
        auth: Auth::None,
        max_body_bytes: 1 << 20,
        cursor_expired: Vec::new(),
        rate_limit: RateLimitHeaders::default(),
        max_requests_per_second: None,
        next_urls: NextUrls::default(),
        conditional: true,
        resources,
        definitions: None,
        variables: Vec::new(),
        alternatives: Vec::new(),
        download_hosts: Vec::new(),
    }
}

/// One resource at `/things`.
pub(crate) fn things(base_url: &Url, pagination: Pagination) -> HttpSettings {
    rest(base_url, vec![resource("things", "/things", pagination)])
}

pub(crate) fn open(settings: HttpSettings) -> HttpSource {
    open_within(settings, Duration::from_secs(20))
}

pub(crate) fn open_within(settings: HttpSettings, page_timeout: Duration) -> HttpSource {
    let source = SourceSettings {
        page_timeout,
        kind: SourceKind::Http(Box::new(settings.clone())),
        ..SourceSettings::new("test")
    };
    HttpSource::new(
        &source,
        &settings,
        Arc::new(SystemClock),
        Arc::new(Evaluator::new(Limits::default())),
    )
    .unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub(crate) async fn first(source: &HttpSource) -> Result<Page, SourceError> {
    page(source, None, None).await
}

pub(crate) async fn page(
    source: &HttpSource,
    cursor: Option<&Value>,
    memory: Option<&PageMemory>,
) -> Result<Page, SourceError> {
    let request = PageRequest {
        partition: "test",
        args: &json!({}),
        cursor,
        memory,
        pass: tideline_worker::Pass::Trial,
    };
    source.read_page(request).await
}

/// What the store would remember of the page.
pub(crate) fn memory(page: &Page) -> PageMemory {
    PageMemory {
        page: 0,
        fingerprint: Fingerprint::default(),
        entities: 0,
        kept: 0,
        unidentified: 0,
        lost: vec![],
        next: page.next.as_ref().map(Value::to_string),
        children: page.children.clone(),
        validators: page.validators.clone(),
        read_at: Timestamp::default(),
    }
}

pub(crate) fn references(page: &Page) -> Vec<String> {
    items(page)
        .iter()
        .filter_map(|item| match item {
            Item::Entity { reference, .. } => Some(reference.to_string()),
            Item::MadeBy(_) => None,
            item => panic!("{item:?}"),
        })
        .collect()
}

pub(crate) fn items(page: &Page) -> &[Item] {
    match &page.content {
        PageContent::Items(items) => items,
        PageContent::Unchanged => panic!("unchanged"),
    }
}

/// Everything that going through a source found.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    pub(crate) names: Vec<String>,
    pub(crate) cursors: Vec<Value>,
    pub(crate) partitions: Vec<ChildPartition>,
    pub(crate) pages: usize,
}

/// Goes through all pages of all partitions.
pub(crate) async fn pass(source: &HttpSource) -> Pass {
    let mut pass = Pass::default();
    let mut open = vec![ChildPartition {
        key: "test".into(),
        args: json!({}),
    }];
    while let Some(partition) = open.pop() {
        let mut cursor = None;
        loop {
            let request = PageRequest {
                partition: &partition.key,
                args: &partition.args,
                cursor: cursor.as_ref(),
                memory: None,
                pass: tideline_worker::Pass::Trial,
            };
            let page = source.read_page(request).await.unwrap();
            assert!(page.failure.is_none(), "{:?}", page.failure);
            pass.pages += 1;
            assert!(pass.pages < 1000, "pages without end");
            pass.names.extend(references(&page).iter().map(|reference| {
                let (_, name) = reference.rsplit_once('/').unwrap();
                name.to_owned()
            }));
            open.extend(page.children.iter().cloned());
            pass.partitions.extend(page.children);
            cursor = page.next;
            match &cursor {
                Some(cursor) => pass.cursors.push(cursor.clone()),
                None => break,
            }
        }
    }
    pass
}

pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("c{number}")).collect()
}
