use std::time::Duration;

use serde_json::Value;
use tideline_core::clock::SystemClock;
use tideline_core::rules::fingerprint;
use tideline_core::words::{CycleEnd, CycleState, SourceSpec};
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::{Pace, Wake};
use tideline_store::SourceCommand;
use tideline_store::conformance::{Reader, claim_ingest, entities, only, start_cycle};
use tideline_store::sqlite::SqliteStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

pub(super) struct Bench {
    pub(super) address: SocketAddr,
    pub(super) store: Arc<dyn Store>,
    runtime: Runtime,
    pub(super) state: Arc<GatewayState>,
    _folder: tempfile::TempDir,
}

pub(super) async fn bench(listen: &str, token: Option<&str>) -> Bench {
    limited(listen, token, ConnectionLimits::default()).await
}

/// With a configuration.
pub(super) async fn configured(listen: &str, settings: Arc<Settings>) -> Bench {
    with(listen, None, ConnectionLimits::default(), Some(settings)).await
}

async fn limited(listen: &str, token: Option<&str>, limits: ConnectionLimits) -> Bench {
    with(listen, token, limits, None).await
}

async fn with(listen: &str, token: Option<&str>, limits: ConnectionLimits, settings: Option<Arc<Settings>>) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
    let spec = SourceSpec {
        name: "platform one".into(),
        source_type: "http".into(),
        identity: fingerprint(b"1"),
        parallel_partitions: 1,
    };
    store.sync_sources(&[spec], SystemClock.now()).await.unwrap();
    let runtime = Runtime::new(Arc::new(SystemClock));
    let parts = GatewayParts {
        store: Arc::clone(&store),
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(SystemClock),
        runtime: runtime.clone(),
        metrics: MetricsPage::default(),
        api: true,
        token: token.map(Secret::new),
        settings,
        planner: None,
        hooks: None,
    };
    let mut gateway = Gateway::bind(listen, parts).await.unwrap();
    gateway.limits = limits;
    let (address, state) = (gateway.address(), Arc::clone(&gateway.state));
    runtime.spawn(gateway.serve());
    Bench {
        address,
        store,
        runtime,
        state,
        _folder: folder,
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Bench {
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(method, path, headers, "").await
    }

    /// Sends a request as it is written, and reads until the connection is closed.
    async fn exchange(&self, request: &str) -> String {
        let to = SocketAddr::from(([127, 0, 0, 1], self.address.port()));
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let reading = stream.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .unwrap()
            .unwrap();
        text
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        let text = self.exchange(&request).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }
}

#[tokio::test]
async fn sources_are_listed_shown_and_commanded() {
    let bench = bench("127.0.0.1:0", None).await;
    let listed = bench.get("/v1/sources").await;
    assert_eq!(listed.status, 200);
    assert_eq!(listed.json()["items"][0]["name"], "platform one");
    for (command, state) in [("pause", "paused"), ("resume", "active")] {
        let path = format!("/v1/sources/platform%20one/{command}");
        assert_eq!(bench.ask("POST", &path, "").await.status, 202);
        let shown = bench.get("/v1/sources/platform%20one").await;
        assert_eq!(shown.json()["state"], state);
    }
    let refreshed = bench.ask("POST", "/v1/sources/platform%20one/refresh", "").await;
    assert_eq!(refreshed.status, 202);
    let source = bench.store.find_source("platform one").await.unwrap().unwrap();
    assert!(source.requested.is_some());
}

#[tokio::test]
async fn what_cannot_be_done_is_a_problem_document() {
    let bench = bench("127.0.0.1:0", None).await;
    for (method, path, status) in [
        ("GET", "/v1/sources/nowhere", 404),
        ("POST", "/v1/sources/nowhere/refresh", 404),
        ("POST", "/v1/sources/platform%20one/explode", 404),
        ("POST", "/v1/sources/platform%20one/approve", 415),
        ("GET", "/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/sources", 405),
        ("GET", "/v1/changes?after=x", 400),
        ("GET", "/v1/changes?limit=0", 400),
        ("GET", "/v1/changes?limit=1001", 400),
        ("GET", "/v1/changes?wait=31", 400),
        ("GET", "/v1/changes?colour=red", 400),
        ("GET", "/v1/entities?ref=no-reference", 400),
        ("GET", "/v1/entities?after=x", 400),
    ] {
        let answer = bench.ask(method, path, "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(
            answer.head.contains("application/problem+json"),
            "{method} {path}: {}",
            answer.head
        );
        assert_eq!(answer.json()["status"], status, "{method} {path}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let bench = bench("127.0.0.1:0", None).await;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let request = "POST /v1/sources/x/pause HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000000\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_problem_document_and_only_to_whoever_may_ask() {
    let bench = bench("127.0.0.1:0", Some("s3cr3t")).await;
    let right = "authorization: Bearer s3cr3t\r\n";
    for (headers, status) in [(right, 413), ("", 401)] {
        let request = format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: 2000000\r\n\r\n"
        );
        let text = bench.exchange(&request).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        assert!(text.contains("application/problem+json"), "{text}");
    }
}

#[tokio::test]
async fn the_change_feed_answers_at_once_or_waits_as_long_as_asked() {
    let bench = bench("127.0.0.1:0", None).await;
    let now = bench.get("/v1/changes?after=0").await;
    assert_eq!(now.json(), serde_json::json!({"changes": [], "next": "0"}));
    let started = tokio::time::Instant::now();
    let waited = bench.get("/v1/changes?wait=1").await;
    assert_eq!(waited.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(900));
}

/// Five entities of the source, which are the changes 1 to 5, and of which three were removed as 6 to 8.
async fn three_of_five_removed(store: &Arc<dyn Store>) {
    start_cycle(store, SystemClock.now()).await;
    let now = SystemClock.now();
    let mut root = Reader::new(only(claim_ingest(store, "w", 1, now).await));
    root.write(store, entities(0, 5, 1), None, now).await;
    let reset = SourceCommand::ResetAndDelete;
    store.command_source("platform one", reset, now).await.unwrap();
    store.delete_source_entities("platform one", 3, now).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_missed_removals_is_answered_410_and_starts_over() {
    let bench = bench("127.0.0.1:0", None).await;
    three_of_five_removed(&bench.store).await;
    assert_eq!(bench.get("/v1/changes?after=5").await.status, 200);
    let later = SystemClock.now().plus(Duration::from_secs(60));
    assert_eq!(bench.store.prune_tombstones(later, 10).await.unwrap(), 3);
    for path in [
        "/v1/changes?after=5",
        "/v1/changes?after=9",
        "/v1/changes?after=9&wait=30",
    ] {
        let gone = bench.get(path).await;
        assert_eq!(gone.status, 410, "{path}: {}", gone.body);
        assert!(gone.head.contains("application/problem+json"), "{}", gone.head);
        let detail = gone.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("start over with after=0"), "{detail}");
    }
    let mut after = "0".to_owned();
    for (changes, next) in [(1, "8"), (1, "8"), (0, "8")] {
        let read = bench.get(&format!("/v1/changes?limit=1&after={after}")).await;
        assert_eq!(read.status, 200, "{after}: {}", read.body);
        assert_eq!(read.json()["changes"].as_array().unwrap().len(), changes);
        after = read.json()["next"].as_str().unwrap().to_owned();
        assert!(after.ends_with(next), "{after}");
    }
    assert_eq!(after, "8");
}

#[tokio::test]
async fn a_shutdown_answers_who_waits_and_ends() {
    let bench = bench("127.0.0.1:0", None).await;
    let runtime = bench.runtime.clone();
    let started = tokio::time::Instant::now();
    let waiting = bench.get("/v1/changes?wait=30");
    let stopping = async {
        while bench.state.api.state.waiters.available_permits() == crate::api::MAX_WAITERS {
            tokio::task::yield_now().await;
        }
        runtime.shut_down(Duration::from_secs(10)).await
    };
    let (answer, _) = tokio::join!(waiting, stopping);
    assert_eq!(answer.status, 200);
    assert!(started.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn health_and_metrics_are_open_where_the_api_is_closed() {
    let bench = bench("0.0.0.0:0", None).await;
    assert_eq!(bench.get("/v1/sources").await.status, 403);
    let ready = bench.get("/readyz").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (200, Some("ready")));
    assert_eq!(bench.get("/livez").await.status, 200);
    let metrics = bench.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.head.contains("text/plain; version=0.0.4"));
}

#[tokio::test]
async fn a_token_opens_the_api_anywhere() {
    let bench = bench("0.0.0.0:0", Some("s3cr3t")).await;
    let refused = bench.get("/v1/sources").await;
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("www-authenticate: bearer"));
    let header = "authorization: Bearer s3cr3t\r\n";
    assert_eq!(bench.ask("GET", "/v1/sources", header).await.status, 200);
}

#[tokio::test]
async fn live_means_that_no_loop_has_ended_or_hangs() {
    let bench = bench("127.0.0.1:0", None).await;
    let failing = async || Err::<Pace, _>("no store".into());
    bench
        .runtime
        .spawn_loop("failing", Duration::from_secs(1), Wake::Never, failing);
    let live = bench.get("/livez").await;
    assert_eq!(live.status, 200, "failing is no reason for a restart: {}", live.body);
    assert_eq!(live.json()["loops"][0]["name"], "failing");
}

#[tokio::test]
async fn an_address_in_use_is_a_clear_error() {
    let bench = bench("127.0.0.1:0", None).await;
    let parts = GatewayParts {
        store: Arc::clone(&bench.store),
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(SystemClock),
        runtime: bench.runtime.clone(),
        metrics: MetricsPage::default(),
        api: true,
        token: None,
        settings: None,
        planner: None,
        hooks: None,
    };
    let error = Gateway::bind(&bench.address.to_string(), parts).await.err().unwrap();
    assert!(
        error.to_string().starts_with("listen: cannot listen on 127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn a_half_request_does_not_hold_the_shutdown() {
    let bench = bench("127.0.0.1:0", None).await;
    let mut half = Vec::new();
    for text in [
        "",
        "GET /v1/sour",
        "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        half.push(stream);
    }
    assert_eq!(bench.get("/livez").await.status, 200);
    let started = tokio::time::Instant::now();
    let outcome = bench.runtime.shut_down(Duration::from_secs(10)).await;
    assert_eq!(outcome, tideline_runtime::ShutdownOutcome::Finished);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_client_that_sends_no_head_or_no_body_is_cut_off() {
    let limits = ConnectionLimits {
        head: Duration::from_millis(200),
        body: Duration::from_millis(200),
        ..ConnectionLimits::default()
    };
    let bench = limited("127.0.0.1:0", None, limits).await;
    for (text, answer) in [
        ("GET /livez HT", ""),
        (
            "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
            "HTTP/1.1 408",
        ),
    ] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        let reading = stream.read_to_end(&mut read);
        let ended = tokio::time::timeout(Duration::from_secs(10), reading).await;
        assert!(ended.is_ok(), "{text} holds the connection");
        let read = String::from_utf8_lossy(&read).into_owned();
        assert!(read.starts_with(answer), "{text}: {read}");
    }
}

#[tokio::test]
async fn health_is_answered_above_the_limit_of_connections() {
    let limits = ConnectionLimits {
        per_address: 1,
        ..ConnectionLimits::default()
    };
    let bench = limited("127.0.0.1:0", None, limits).await;
    let held = TcpStream::connect(bench.address).await.unwrap();
    let refused = bench.get("/v1/sources").await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (503, &Value::from("overloaded"))
    );
    assert_eq!(bench.get("/livez").await.status, 200);
    assert_eq!(bench.get("/readyz").await.status, 200);
    drop(held);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while bench.get("/v1/sources").await.status != 200 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the place of the closed connection is not free"
        );
    }
}

#[tokio::test]
async fn a_busy_gateway_still_answers_health() {
    let bench = bench("127.0.0.1:0", None).await;
    let _all = bench
        .state
        .requests
        .acquire_many(u32::try_from(MAX_REQUESTS).unwrap())
        .await
        .unwrap();
    assert_eq!(bench.get("/v1/sources").await.status, 503);
    assert_eq!(bench.get("/livez").await.status, 200);
    assert_eq!(bench.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_large_ones_are_compressed() {
    let bench = bench("127.0.0.1:0", None).await;
    let given = bench.ask("GET", "/v1/sources", "x-request-id: r-7\r\n").await;
    assert!(given.head.contains("x-request-id: r-7"), "{}", given.head);
    let random = bench.get("/nothing").await;
    assert!(random.head.contains("x-request-id: "), "{}", random.head);
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let request = "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept-encoding: gzip\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    let head = String::from_utf8_lossy(&read[..400]).to_lowercase();
    assert!(head.contains("content-encoding: gzip"), "{head}");
}

#[tokio::test]
async fn while_sources_fail_health_is_not_healthy_and_says_why() {
    let bench = bench("127.0.0.1:0", None).await;
    let path = "/api/catalog/incremental/health";
    let started = start_cycle(&bench.store, SystemClock.now()).await;
    assert_eq!(bench.get(path).await.json()["healthy"], true);
    let end = CycleEnd {
        state: CycleState::Cancelled,
        reason: Some("503 from the source".into()),
        next_cycle_at: None,
    };
    let now = SystemClock.now();
    assert!(
        bench
            .store
            .end_cycle(started.source, started.number, &end, now)
            .await
            .unwrap()
    );
    let health = bench.get(path).await.json();
    let failing = serde_json::json!([{"provider": "platform one", "reason": "503 from the source"}]);
    assert_eq!(
        (&health["healthy"], &health["failing"]),
        (&Value::Bool(false), &failing)
    );
    bench
        .store
        .block_source(started.source, "the token is refused")
        .await
        .unwrap();
    assert_eq!(
        bench.get(path).await.json()["failing"][0]["reason"],
        "the token is refused"
    );
}

#[tokio::test]
async fn old_scripts_find_their_routes() {
    let bench = bench("127.0.0.1:0", None).await;
    let base = "/api/catalog/incremental";
    let provider = format!("{base}/providers/platform%20one");
    let listed = bench.get(&format!("{base}/providers")).await.json();
    assert_eq!(
        listed,
        serde_json::json!({"success": true, "providers": ["platform one"]})
    );
    assert_eq!(bench.get(&format!("{base}/health")).await.json()["healthy"], true);
    let shown = bench.get(&provider).await.json();
    assert_eq!(shown["status"]["current_action"], "rest complete, waiting to start");
    assert_eq!(shown, bench.get(&format!("{provider}/status")).await.json());
    for (method, path, status) in [
        ("POST", format!("{provider}/trigger"), 200),
        ("POST", format!("{provider}/refresh"), 200),
        ("POST", format!("{provider}/start"), 200),
        ("POST", format!("{provider}/cancel"), 409),
        ("POST", format!("{provider}/reset"), 200),
        ("GET", format!("{provider}/marks"), 200),
        ("DELETE", format!("{provider}/marks"), 200),
        ("DELETE", provider.clone(), 200),
        ("POST", format!("{base}/cleanup"), 200),
        ("POST", format!("{base}/health"), 200),
        ("GET", format!("{base}/providers/nowhere"), 404),
        ("POST", format!("{base}/providers/nowhere/trigger"), 404),
    ] {
        let answer = bench.ask(method, &path, "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(
            answer.json()["success"],
            status == 200,
            "{method} {path}: {}",
            answer.body
        );
    }
    let audit = bench.get("/v1/audit").await.json();
    let acts = audit["items"].as_array().unwrap().iter().rev();
    let acts: Vec<(&str, bool)> = acts
        .map(|act| (act["act"].as_str().unwrap(), act["done"].as_bool().unwrap()))
        .collect();
    let (refresh, reset) = (("sources.refresh", true), ("sources.reset", true));
    let cancel = ("sources.cancel", false);
    assert_eq!(
        acts,
        [refresh, refresh, refresh, cancel, reset, reset, reset, reset, reset],
        "each old route that writes is in the audit log"
    );
}

#[tokio::test]
async fn a_browser_at_an_address_that_is_none_gets_a_page_and_a_program_a_problem_document() {
    let browser = "accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
    let open = bench("127.0.0.1:0", None).await;
    for path in ["/nope", "/sources", "/sources/none"] {
        let page = open.ask("GET", path, browser).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.head.contains("content-type: text/html") && page.head.contains("content-security-policy"));
        assert!(
            page.body.contains("may be misspelled") && !page.body.contains('`'),
            "{}",
            page.body
        );
    }
    for (path, headers) in [("/nope", ""), ("/v1/nope", browser)] {
        let problem = open.ask("GET", path, headers).await;
        assert_eq!(problem.json()["code"], "not_found", "{path}");
    }
    let closed = bench("127.0.0.1:0", Some("t0ken")).await;
    let door = closed.ask("GET", "/nope", browser).await;
    assert_eq!(door.status, 303);
    assert!(door.head.contains("location: /sign-in?next=%2fnope"), "{}", door.head);
    assert_eq!(closed.get("/nope").await.json()["code"], "unauthenticated");
}
