use std::time::Duration;

use serde_json::Value;
use tideline_core::clock::SystemClock;
use tideline_core::rules::fingerprint;
use tideline_core::words::SourceSpec;
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::{Pace, Wake};
use tideline_store::SourceCommand;
use tideline_store::conformance::{Reader, claim_ingest, entities, only, start_cycle};
use tideline_store::sqlite::SqliteStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

struct Bench {
    address: SocketAddr,
    store: Arc<dyn Store>,
    runtime: Runtime,
    state: Arc<GatewayState>,
    _folder: tempfile::TempDir,
}

async fn bench(listen: &str, token: Option<&str>) -> Bench {
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
    };
    let gateway = Gateway::bind(listen, parts).await.unwrap();
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

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Bench {
    async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let to = SocketAddr::from(([127, 0, 0, 1], self.address.port()));
        let mut stream = TcpStream::connect(to).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let reading = stream.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .unwrap()
            .unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
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
        ("POST", "/v1/sources/platform%20one/approve", 400),
        ("POST", "/v1/sources/platform%20one/approve?cycle=1&removals=5", 409),
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
        while bench.state.api.state.waiters.available_permits() == MAX_WAITERS {
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
    };
    let error = Gateway::bind(&bench.address.to_string(), parts).await.err().unwrap();
    assert!(
        error.to_string().starts_with("listen: cannot listen on 127.0.0.1:"),
        "{error}"
    );
}
