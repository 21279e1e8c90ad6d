//! What `/metrics` tells of the whole store and of hooks. In a separate process, since instruments are made once per
//! process.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tideline_config::settings::{SourceSettings, TelemetrySettings};
use tideline_core::clock::{Clock, ManualClock};
use tideline_core::words::{CycleEnd, CycleNumber, CycleState, SourceId, Timestamp};
use tideline_producer::gateway::{Gateway, GatewayParts};
use tideline_producer::hooks::{Hooks, HooksParts};
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::Runtime;
use tideline_runtime::telemetry::{Guard, init};
use tideline_store::conformance::{Reader, claim_ingest};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{SourceCommand, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const START: Timestamp = Timestamp(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const HOOKS: &str =
    "hooks: [{ name: open, provider: openchoreo, insecure: true }, { name: shut, provider: github, secret: s }]";

async fn ask(to: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .unwrap()
        .unwrap();
    answer
}

async fn end_cycle(store: &dyn Store, source: SourceId, cycle: i64, state: CycleState, now: Timestamp) {
    let end = CycleEnd {
        state,
        reason: None,
        next_cycle_at: Some(now),
    };
    assert!(store.end_cycle(source, CycleNumber(cycle), &end, now).await.unwrap());
}

struct Bench {
    address: SocketAddr,
    clock: ManualClock,
    store: Arc<dyn Store>,
    guard: Guard,
    _folder: tempfile::TempDir,
}

async fn bench() -> Bench {
    let guard = init(&TelemetrySettings::default(), "test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&path.to_string_lossy(), "test").await.unwrap());
    let clock = ManualClock::new(START);
    let runtime = Runtime::new(Arc::new(clock.clone()));
    let settings = tideline_config::parse(HOOKS, "t.yaml".as_ref(), &|_| None).unwrap();
    let hooks = HooksParts {
        store: Arc::clone(&store),
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(clock.clone()),
        hooks: settings.hooks,
        events: settings.events,
        sealer: Arc::default(),
        expressions: settings.expressions,
    };
    let parts = GatewayParts {
        store: Arc::clone(&store),
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(clock.clone()),
        runtime: runtime.clone(),
        metrics: guard.metrics_page(),
        api: true,
        token: None,
        settings: None,
        planner: None,
        hooks: Some(Hooks::start(hooks, &runtime)),
    };
    let gateway = Gateway::bind("127.0.0.1:0", parts).await.unwrap();
    let address = gateway.address();
    runtime.spawn(gateway.serve());
    Bench {
        address,
        clock,
        store,
        guard,
        _folder: folder,
    }
}

impl Bench {
    async fn has(&self, lines: &[&str]) {
        let page = ask(self.address, "GET", "/metrics", "").await;
        for line in lines {
            assert!(page.lines().any(|l| l == *line), "{line} is not in\n{page}");
        }
    }
}

#[tokio::test]
async fn the_metrics_page_tells_of_each_source_subscription_and_hook() {
    let bench = bench().await;
    let (to, store) = (bench.address, &bench.store);
    let specs = ["read", "never"].map(|name| SourceSettings::new(name).spec());
    let ids = store.sync_sources(&specs, bench.clock.now()).await.unwrap().ids;
    let id = |name: &str| ids.iter().find(|(n, _)| n == name).unwrap().1;
    let now = bench.clock.now();
    store.start_cycles(10, now).await.unwrap();
    for job in claim_ingest(store, "w", 10, now).await {
        let mut root = Reader::new(job);
        if root.source() == id("read") {
            root.reveal_and_finish(store, &[], now).await;
            for state in [CycleState::Sweeping, CycleState::Complete] {
                end_cycle(&**store, root.source(), 1, state, now).await;
            }
        }
    }
    end_cycle(&**store, id("never"), 1, CycleState::Cancelled, now).await;
    let wanted = r#"{"topics": ["open.*"], "from": "beginning"}"#;
    let put = ask(to, "PUT", "/v1/subscriptions/slow", wanted).await;
    assert!(put.starts_with("HTTP/1.1 20"), "{put}");
    let sent = ask(
        to,
        "POST",
        "/hooks/open",
        r#"{"kind":"Component","name":"a","action":"created"}"#,
    )
    .await;
    assert!(sent.starts_with("HTTP/1.1 202"), "{sent}");
    for (hook, status) in [("shut", 401), ("nobody", 404)] {
        let refused = ask(to, "POST", &format!("/hooks/{hook}"), "{}").await;
        assert!(refused.starts_with(&format!("HTTP/1.1 {status}")), "{refused}");
    }

    // Cancelled again and again, more often than one look goes back: that is no complete cycle.
    for cycle in 2..=26 {
        bench.clock.advance(HOUR);
        store.start_cycles(10, bench.clock.now()).await.unwrap();
        end_cycle(&**store, id("never"), cycle, CycleState::Cancelled, bench.clock.now()).await;
        bench.has(&[]).await;
    }
    bench
        .has(&[
            r#"tideline_source_cycle_age_seconds{tideline_source="read"} 90000"#,
            r#"tideline_source_cycle_age_seconds{tideline_source="never"} 90000"#,
            r#"tideline_source_entities{tideline_source="read"} 0"#,
            r#"tideline_source_blocked{tideline_source="read"} 0"#,
            r#"tideline_subscription_dead_letters{tideline_subscription="slow"} 0"#,
            r#"tideline_hook_request_duration_seconds_count{tideline_hook="open",tideline_outcome="stored"} 1"#,
            r#"tideline_hook_request_duration_seconds_count{tideline_hook="shut",tideline_outcome="unproven"} 1"#,
            "tideline_jobs_parked 0",
        ])
        .await;
    let page = bench.guard.metrics_page().render();
    assert!(!page.contains("nobody"), "a stranger made a time series:\n{page}");
    let lag = page
        .lines()
        .find(|line| line.starts_with(r#"tideline_subscription_lag{tideline_subscription="slow"}"#));
    assert!(lag.is_some_and(|line| !line.ends_with(" 0")), "{lag:?}");

    // What is paused or gone is no reason for an alert.
    store
        .command_source("read", SourceCommand::Pause, bench.clock.now())
        .await
        .unwrap();
    let deleted = ask(to, "DELETE", "/v1/subscriptions/slow", "").await;
    assert!(deleted.starts_with("HTTP/1.1 20"), "{deleted}");
    bench
        .has(&[
            r#"tideline_source_cycle_age_seconds{tideline_source="read"} 0"#,
            r#"tideline_subscription_lag{tideline_subscription="slow"} 0"#,
        ])
        .await;
}
