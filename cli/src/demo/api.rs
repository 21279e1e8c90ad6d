//! The demo's HTTP API over a [`World`]: three levels, three kinds of pagination, latency, ETags, and now and then a
//! 500 or a 429 with Retry-After. It moves to the next generation after a while without requests, so a cycle sees one
//! generation and the next cycle another one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::world::{Component, World, mix};

/// Silence after which the world takes a step.
const QUIET: Duration = Duration::from_secs(3);
/// One in this many requests is answered with 500 …
const BROKEN_EVERY: u64 = 89;
/// … and one in this many with 429. Both are larger than the length of any retry ladder.
const BUSY_EVERY: u64 = 151;
/// `Retry-After` of a 429, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// What the API needs to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiSettings {
    /// The world it serves.
    pub(crate) world: World,
    /// Its first generation.
    pub(crate) generation: u64,
    /// Mean latency of an answer.
    pub(crate) latency: Duration,
    /// Whether 500 and 429 happen.
    pub(crate) faults: bool,
}

struct Api {
    settings: ApiSettings,
    requests: AtomicU64,
    faults: AtomicU64,
    present: Mutex<Present>,
}

struct Present {
    generation: u64,
    components: Arc<Vec<Vec<Component>>>,
    last_request: Instant,
}

#[derive(Deserialize)]
struct PageQuery {
    cursor: Option<String>,
    after: Option<usize>,
    limit: Option<usize>,
}

/// What `/stats` tells.
#[derive(Serialize)]
struct Stats {
    generation: u64,
    entities: usize,
    requests: u64,
    faults: u64,
}

/// Serves until `stop`.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: ApiSettings,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(settings))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

fn router(settings: ApiSettings) -> Router {
    let api = Arc::new(Api {
        settings,
        requests: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        present: Mutex::new(Present {
            generation: settings.generation,
            components: Arc::new(settings.world.components(settings.generation)),
            last_request: Instant::now(),
        }),
    });
    Router::new()
        .route("/v1/organisations", get(organisations))
        .route("/v1/organisations/{organisation}/projects", get(projects))
        .route(
            "/v1/organisations/{organisation}/projects/{project}/components",
            get(components),
        )
        .layer(middleware::from_fn_with_state(api.clone(), hardships))
        .route("/stats", get(stats))
        .route("/livez", get(|| async { "ok\n" }))
        .with_state(api)
}

/// Latency, faults, and the step of the world before the first request after a silence.
async fn hardships(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    api.step_after_silence().await;
    let number = api.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let mean_ms = u64::try_from(api.settings.latency.as_millis()).unwrap_or(0);
    // Between half and one and a half of the mean.
    tokio::time::sleep(Duration::from_millis(mean_ms / 2 + mix(number) % (mean_ms + 1))).await;
    if api.settings.faults && number.is_multiple_of(BROKEN_EVERY) {
        api.faults.fetch_add(1, Ordering::Relaxed);
        return (StatusCode::INTERNAL_SERVER_ERROR, "the demo fails now and then\n").into_response();
    }
    if api.settings.faults && number.is_multiple_of(BUSY_EVERY) {
        api.faults.fetch_add(1, Ordering::Relaxed);
        return (
            StatusCode::TOO_MANY_REQUESTS,
            [(header::RETRY_AFTER, RETRY_AFTER)],
            "the demo is rate-limited now and then\n",
        )
            .into_response();
    }
    next.run(request).await
}

impl Api {
    async fn step_after_silence(&self) {
        let mut present = self.present.lock().await;
        if self.requests.load(Ordering::Relaxed) > 0 && present.last_request.elapsed() >= QUIET {
            present.generation += 1;
            present.components = Arc::new(self.settings.world.components(present.generation));
        }
        present.last_request = Instant::now();
    }

    async fn components_now(&self) -> Arc<Vec<Vec<Component>>> {
        self.present.lock().await.components.clone()
    }
}

/// `Link` header, RFC 8288.
async fn organisations(State(api): State<Arc<Api>>, Query(query): Query<PageQuery>, headers: HeaderMap) -> Response {
    let all = api.settings.world.organisations();
    let (page, next) = slice(&all, &query);
    let mut response = answer(&headers, &json!(page));
    if let Some(next) = next
        && let Ok(link) = HeaderValue::from_str(&format!(
            "</v1/organisations?after={next}&limit={}>; rel=\"next\"",
            limit(&query)
        ))
    {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// Next URL in the body.
async fn projects(
    State(api): State<Arc<Api>>,
    Path(organisation): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    let Some(all) = api.settings.world.projects(&organisation) else {
        return not_found("organisation");
    };
    let (page, next) = slice(&all, &query);
    let next = next.map(|next| {
        format!(
            "/v1/organisations/{organisation}/projects?after={next}&limit={}",
            limit(&query)
        )
    });
    answer(&headers, &json!({"projects": page, "next_url": next}))
}

/// Cursor in the body: the number of the last component, so that nothing is missed when others come or go.
async fn components(
    State(api): State<Arc<Api>>,
    Path((organisation, project)): Path<(String, String)>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    let all = api.components_now().await;
    let Some(project) = api
        .settings
        .world
        .project_index(&organisation, &project)
        .and_then(|index| all.get(index))
    else {
        return not_found("project");
    };
    let after: Option<u64> = match query.cursor.as_deref().map(str::parse).transpose() {
        Ok(after) => after,
        Err(_) => return (StatusCode::BAD_REQUEST, "the cursor is a number\n").into_response(),
    };
    let from = after.map_or(0, |after| {
        project.partition_point(|component| component.number <= after)
    });
    let page: Vec<&Component> = project.iter().skip(from).take(limit(&query)).collect();
    let next = page
        .last()
        .filter(|_| from + page.len() < project.len())
        .map(|component| component.number.to_string());
    answer(&headers, &json!({"components": page, "next": next}))
}

async fn stats(State(api): State<Arc<Api>>) -> Response {
    let present = api.present.lock().await;
    let organisations = api.settings.world.organisations();
    let projects: usize = organisations.iter().map(|organisation| organisation.projects).sum();
    let components: usize = present.components.iter().map(Vec::len).sum();
    axum::Json(Stats {
        generation: present.generation,
        entities: organisations.len() + projects + components,
        requests: api.requests.load(Ordering::Relaxed),
        faults: api.faults.load(Ordering::Relaxed),
    })
    .into_response()
}

fn limit(query: &PageQuery) -> usize {
    query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
}

fn slice<'a, T>(all: &'a [T], query: &PageQuery) -> (Vec<&'a T>, Option<usize>) {
    let from = query.after.unwrap_or(0);
    let page: Vec<&T> = all.iter().skip(from).take(limit(query)).collect();
    let end = from.saturating_add(page.len());
    (page, (end < all.len()).then_some(end))
}

fn not_found(what: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("there is no such {what}\n")).into_response()
}

/// The body with an ETag, or 304 if the client has it (RFC 9110, section 13.1.2).
fn answer(headers: &HeaderMap, body: &serde_json::Value) -> Response {
    let body = Bytes::from(body.to_string());
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|value| value.as_bytes() == etag.as_bytes());
    if known {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    (
        [
            (header::ETAG, etag),
            (header::CONTENT_TYPE, "application/json".to_owned()),
        ],
        body,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn start(faults: bool) -> (std::net::SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let settings = ApiSettings {
            world: World::new(42, 2_000),
            generation: 0,
            latency: Duration::ZERO,
            faults,
        };
        tokio::spawn(serve(listener, settings, stop.clone()));
        (address, stop)
    }

    /// Head and body of a GET.
    async fn fetch(address: std::net::SocketAddr, path: &str, extra: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n{extra}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn following_the_cursor_reads_every_component_of_a_project_once() {
        let (address, _stop) = start(false).await;
        let world = World::new(42, 2_000);
        let organisation = world.organisations().remove(0).name;
        let project = world.projects(&organisation).unwrap().remove(0).name;
        let expected = world.components(0)[world.project_index(&organisation, &project).unwrap()].len();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/organisations/{organisation}/projects/{project}/components?limit=10{cursor}");
            let page: serde_json::Value = serde_json::from_str(&fetch(address, &path, "").await.1).unwrap();
            seen.extend(
                page["components"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item["name"].to_string()),
            );
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let all = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((seen.len(), all), (expected, expected));
    }

    #[tokio::test]
    async fn the_same_page_again_is_not_modified() {
        let (address, _stop) = start(false).await;
        let (head, _) = fetch(address, "/v1/organisations", "").await;
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let (head, body) = fetch(address, "/v1/organisations", &format!("if-none-match: {etag}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 304"), "{head}");
        assert_eq!(body, "");
    }

    #[tokio::test]
    async fn now_and_then_it_stumbles_and_asks_for_patience() {
        let (address, _stop) = start(true).await;
        let mut answers = std::collections::BTreeMap::<String, u64>::new();
        for _ in 0..BUSY_EVERY {
            let (head, _) = fetch(address, "/v1/organisations", "").await;
            let status = head.split(' ').nth(1).unwrap().to_owned();
            if status == "429" {
                assert!(head.contains("retry-after: 1"), "{head}");
            }
            *answers.entry(status).or_default() += 1;
        }
        assert_eq!((answers["500"], answers["429"]), (1, 1), "{answers:?}");
    }
}
