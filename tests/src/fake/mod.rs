//! Fakes of the APIs that connectors read: seeded, hostile, and held to the providers' own OpenAPI documents. An API is
//! a [`FakeApi`]; [`FakeServer`] serves it, lets faults happen, and checks every exchange against its [`Contract`].

mod contract;
pub mod github;
pub mod openchoreo;
pub mod terraform;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::contract::Contract;
use crate::hostile::{Fault, FaultRates};

/// A request to a fake.
#[derive(Clone, Debug)]
pub struct FakeRequest {
    /// `GET`.
    pub method: String,
    /// Without the query, not decoded.
    pub path: String,
    /// Decoded.
    pub query: Vec<(String, String)>,
    /// As they came.
    pub headers: HeaderMap,
    /// As it came.
    pub body: Bytes,
    /// `http://127.0.0.1:PORT`.
    pub base: String,
}

impl FakeRequest {
    /// A parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The segments of the path, percent-decoded.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        let decode = |part: &str| {
            let pair = format!("k={}", part.replace('+', "%2B"));
            let value = url::form_urlencoded::parse(pair.as_bytes())
                .next()
                .map(|(_, value)| value.into_owned());
            value.unwrap_or_default()
        };
        self.path.trim_matches('/').split('/').map(decode).collect()
    }
}

/// What a fake answers.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Besides those that the server adds.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// An API in memory.
pub trait FakeApi: Send + Sync + 'static {
    /// Answers a request.
    fn answer(&self, request: &FakeRequest) -> Reply;

    /// Answers a request that meets a fault, if the API has an answer of its own for it.
    fn fault(&self, fault: Fault, request: &FakeRequest) -> Option<Reply>;

    /// Whether answers have an `ETag`.
    fn has_etags(&self) -> bool {
        false
    }
}

/// How often a fake did what.
#[derive(Debug, Default)]
pub struct FakeCounts {
    /// Requests, all of them.
    pub requests: AtomicU64,
    /// Requests with a fault.
    pub faults: AtomicU64,
    /// 304 answers.
    pub not_modified: AtomicU64,
}

struct Shared<A> {
    api: Arc<A>,
    contract: Option<Contract>,
    seed: u64,
    faults: FaultRates,
    faults_on: AtomicBool,
    asked: Mutex<HashMap<String, u64>>,
    violations: Mutex<Vec<String>>,
    counts: FakeCounts,
    address: SocketAddr,
}

/// A running fake. It stops when it is dropped.
pub struct FakeServer<A> {
    shared: Arc<Shared<A>>,
    _stop: DropGuard,
}

impl<A: FakeApi> FakeServer<A> {
    /// Starts on a free port of the loopback address. The faults of a request follow the seed and what is asked for.
    ///
    /// # Errors
    /// No port.
    pub async fn start(api: Arc<A>, contract: Option<Contract>, seed: u64, faults: FaultRates) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the fake")?;
        let shared = Arc::new(Shared {
            api,
            contract,
            seed,
            faults,
            faults_on: AtomicBool::new(true),
            asked: Mutex::default(),
            violations: Mutex::default(),
            counts: FakeCounts::default(),
            address: listener.local_addr()?,
        });
        let stop = CancellationToken::new();
        let app = axum::Router::new().fallback(serve::<A>).with_state(Arc::clone(&shared));
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                ended = axum::serve(listener, app) => {
                    if let Err(error) = ended {
                        eprintln!("the fake ended: {error}");
                    }
                }
            }
        });
        Ok(Self {
            shared,
            _stop: stop.drop_guard(),
        })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// The API itself.
    #[must_use]
    pub fn api(&self) -> &A {
        &self.shared.api
    }

    /// No more faults.
    pub fn stop_faults(&self) {
        self.shared.faults_on.store(false, Ordering::SeqCst);
    }

    /// How often it did what.
    #[must_use]
    pub fn counts(&self) -> &FakeCounts {
        &self.shared.counts
    }

    /// How often this was asked for, by the beginning of `GET /path?query`.
    #[must_use]
    pub fn times_asked(&self, what: &str) -> u64 {
        let asked = self.shared.asked.lock();
        asked
            .iter()
            .filter(|(asked, _)| asked.starts_with(what))
            .map(|(_, times)| times)
            .sum()
    }

    /// Whether every exchange was as the provider's document has it.
    ///
    /// # Errors
    /// The first exchanges that were not.
    pub fn check_contract(&self) -> Result<()> {
        let violations = self.shared.violations.lock();
        let first: Vec<&String> = violations.iter().take(5).collect();
        ensure!(
            violations.is_empty(),
            "{} exchanges break the contract: {first:#?}",
            violations.len()
        );
        Ok(())
    }
}

async fn serve<A: FakeApi>(
    State(shared): State<Arc<Shared<A>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.counts.requests.fetch_add(1, Ordering::Relaxed);
    let request = FakeRequest {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect(),
        headers,
        body,
        base: format!("http://{}", shared.address),
    };
    let fault = decide(
        &shared,
        format!("{method} {uri}"),
        request.parameter("cursor").is_some(),
    )
    .await;
    let refused = fault.and_then(|fault| shared.api.fault(fault, &request));
    let reply = refused.unwrap_or_else(|| shared.api.answer(&request));
    if let Some(contract) = &shared.contract
        && let Err(why) = contract.check(&request, &reply)
    {
        shared.violations.lock().push(format!("{method} {uri}: {why}"));
    }
    let reply = if shared.api.has_etags() {
        conditional(&shared.counts, &request, reply)
    } else {
        reply
    };
    deliver(reply, fault == Some(Fault::Cut))
}

async fn decide<A>(shared: &Shared<A>, what: String, has_cursor: bool) -> Option<Fault> {
    let times = {
        let mut asked = shared.asked.lock();
        let times = asked.entry(what.clone()).or_default();
        *times += 1;
        *times
    };
    if !shared.faults_on.load(Ordering::SeqCst) {
        return None;
    }
    let (latency, fault) = shared.faults.decide(shared.seed, &what, times, has_cursor);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if fault.is_some() {
        shared.counts.faults.fetch_add(1, Ordering::Relaxed);
    }
    fault
}

fn conditional(counts: &FakeCounts, request: &FakeRequest, reply: Reply) -> Reply {
    if reply.status != 200 {
        return reply;
    }
    let mut hasher = DefaultHasher::new();
    (&reply.body, &reply.headers).hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    if request.header("if-none-match") == Some(etag.as_str()) {
        counts.not_modified.fetch_add(1, Ordering::Relaxed);
        let (status, body) = (304, Vec::new());
        return Reply { status, body, ..reply }.with("etag", etag);
    }
    reply.with("etag", etag)
}

fn deliver(reply: Reply, cut: bool) -> Response {
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK));
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let whole = reply.body.len();
    let body = if cut && whole > 1 {
        response = response.header("content-length", whole);
        half(&reply.body)
    } else {
        Body::from(reply.body)
    };
    response.body(body).unwrap_or_default()
}

/// Half of the body, and then the connection breaks.
fn half(body: &[u8]) -> Body {
    use futures::stream::{self, StreamExt};

    let first = Bytes::copy_from_slice(&body[..body.len() / 2]);
    let first = stream::once(async move { Ok(first) });
    let rest = stream::once(async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(std::io::Error::other("cut on purpose"))
    });
    Body::from_stream(first.chain(rest))
}
