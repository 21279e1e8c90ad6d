//! A static HTTP source that costs next to nothing per page: all answers are in memory before the first request.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::RwLock;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::content::{Content, Generation, Shape};

/// How a page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// A cursor in the body: stable.
    Cursor,
    /// Page numbers: what stands on a page shifts.
    Number,
}

/// The running source. It stops when this is dropped.
pub struct StaticSource {
    state: Arc<Served>,
    shape: Shape,
    address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

struct Served {
    /// Answers by partition and page.
    pages: RwLock<Arc<Vec<Vec<Answer>>>>,
    latency_ms: AtomicU64,
    validators: AtomicBool,
    requests: AtomicU64,
}

struct Answer {
    body: Bytes,
    etag: HeaderValue,
}

impl StaticSource {
    /// Makes all answers and serves them on a free port of the loopback address.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start(shape: Shape) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("a port for the source")?;
        let address = listener.local_addr()?;
        let state = Arc::new(Served {
            pages: RwLock::default(),
            latency_ms: AtomicU64::new(0),
            validators: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/partitions", get(partitions))
            .route("/partitions/{partition}/entities", get(entities))
            .with_state(Arc::clone(&state));
        let server = tokio::spawn(async move {
            // Ends with this process only; a listener that fails would show as failing requests.
            let _ = axum::serve(listener, router).await;
        });
        let source = Self {
            state,
            shape,
            address,
            _server: AbortOnDropHandle::new(server),
        };
        source.show(Generation::default());
        Ok(source)
    }

    /// From now on this is what it holds.
    pub fn show(&self, generation: Generation) {
        let content = Content {
            shape: self.shape,
            generation,
        };
        let pages = (0..self.shape.partitions)
            .map(|partition| {
                (0..content.pages())
                    .map(|page| Answer::new(content.body(partition, page)))
                    .collect()
            })
            .collect();
        *self
            .state
            .pages
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(pages);
    }

    /// Delays every response by `latency`.
    pub fn answer_after(&self, latency: Duration) {
        let latency = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.state.latency_ms.store(latency, Ordering::Relaxed);
    }

    /// Whether answers have an `ETag` (RFC 9110, 8.8.3) and conditional requests are answered with 304.
    pub fn send_validators(&self, on: bool) {
        self.state.validators.store(on, Ordering::Relaxed);
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// The item of the configuration's `sources` that reads it; `more` are further lines of it, each indented by four.
    #[must_use]
    pub fn yaml(&self, name: &str, paging: Paging, more: &str) -> String {
        let address = self.address;
        let pagination = match paging {
            Paging::Cursor => "{ type: cursor, next: .next, parameter: cursor }".to_owned(),
            Paging::Number => format!(
                "{{ type: page, parameter: cursor, first: 0, size: {{ parameter: size, value: {} }} }}",
                self.shape.page
            ),
        };
        let head = format!(
            "  - name: {name}\n    type: http\n    base_url: http://{address}\n    rest: 1d\n{more}    resources:\n"
        );
        if self.shape.partitions == 1 {
            return format!(
                "{head}      - name: entities\n        path: /partitions/0/entities\n        items: .items\n        \
                 pagination: {pagination}\n"
            );
        }
        format!(
            "{head}      - name: partitions\n        path: /partitions\n        items: .items\n        entity: none\n      \
             - name: entities\n        parent: partitions\n        values: {{ partition: .number }}\n        \
             path: /partitions/{{partition}}/entities\n        items: .items\n        pagination: {pagination}\n"
        )
    }
}

impl Answer {
    fn new(body: String) -> Self {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let etag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish()));
        Self {
            body: Bytes::from(body),
            etag: etag.unwrap_or_else(|_| HeaderValue::from_static("\"none\"")),
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    cursor: u32,
}

async fn partitions(State(state): State<Arc<Served>>) -> Response {
    let count = state.pages().len();
    let items: Vec<_> = (0..count)
        .map(|number| serde_json::json!({ "number": number }))
        .collect();
    axum::Json(serde_json::json!({ "items": items })).into_response()
}

async fn entities(
    State(state): State<Arc<Served>>,
    Path(partition): Path<usize>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    state.requests.fetch_add(1, Ordering::Relaxed);
    let latency = state.latency_ms.load(Ordering::Relaxed);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let pages = state.pages();
    let Some(partition) = pages.get(partition) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let Some(page) = partition.get(asked.cursor as usize) else {
        // Past the last page, as page numbers go.
        return ([json], "{\"items\":[],\"next\":null}").into_response();
    };
    if !state.validators.load(Ordering::Relaxed) {
        return ([json], page.body.clone()).into_response();
    }
    let etag = (ETAG, page.etag.clone());
    if headers.get(IF_NONE_MATCH) == Some(&page.etag) {
        return (StatusCode::NOT_MODIFIED, [etag]).into_response();
    }
    ([json, etag], page.body.clone()).into_response()
}

impl Served {
    fn pages(&self) -> Arc<Vec<Vec<Answer>>> {
        let pages = self.pages.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(&pages)
    }
}
