#![allow(clippy::unwrap_used, reason = "this is test code")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{EventRecord, NewEvent};
use tideline_queue::in_process::InProcessQueue;
use tideline_store::sqlite::SqliteStore;
use tideline_store::{EventFilter, EventStore};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::hooks::HooksParts;

/// What GitHub sent, as its API tells it: two deliveries a page.
#[derive(Default)]
struct Fake {
    /// By number: id, status, age in seconds.
    sent: Mutex<BTreeMap<u64, (String, u16, i64)>>,
    fetched: Mutex<Vec<u64>>,
    tokens: Mutex<Vec<String>>,
}

async fn list(
    State(fake): State<Arc<Fake>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    fake.tokens
        .lock()
        .push(headers["authorization"].to_str().unwrap().to_owned());
    let before: u64 = query
        .get("cursor")
        .map_or(u64::MAX, |cursor| cursor[1..].parse().unwrap());
    let only_failures = query.get("status").is_some_and(|status| status == "failure");
    let now = SystemClock.now();
    let sent = fake.sent.lock();
    let matching = sent
        .iter()
        .rev()
        .filter(|(number, (_, status, _))| **number < before && (!only_failures || *status >= 400));
    let page: Vec<_> = matching.clone().take(2).collect();
    let items: Vec<Value> = (page.iter())
        .map(|(number, (id, status, age))| {
            let at = Timestamp(now.0 - age * 1_000).to_string();
            json!({"id": number, "guid": id, "delivered_at": at, "redelivery": false, "duration": 0.1, "status": "x",
                "status_code": status, "event": "push", "action": null, "installation_id": null, "repository_id": 7})
        })
        .collect();
    let mut response = axum::Json(items).into_response();
    if matching.count() > 2 {
        // Another host: only the cursor may be taken of it.
        let last = page[1].0;
        let link = format!("<https://elsewhere.example.com/x?per_page=100&cursor=v{last}>; rel=\"next\"");
        response.headers_mut().insert("link", link.parse().unwrap());
    }
    response
}

async fn detail(State(fake): State<Arc<Fake>>, Path(number): Path<u64>) -> Response {
    fake.fetched.lock().push(number);
    let Some((id, ..)) = fake.sent.lock().get(&number).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = json!({"X-GitHub-Event": "push", "X-GitHub-Delivery": id, "X-Hub-Signature-256": "sha256=00"});
    let payload = json!({"repository": {"id": 7}, "number": number});
    axum::Json(json!({"id": number, "guid": id, "request": {"headers": headers, "payload": payload}, "response": {}}))
        .into_response()
}

struct Bench {
    fake: Arc<Fake>,
    store: Arc<SqliteStore>,
    repair: Repair,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

async fn serve(fake: &Arc<Fake>) -> SocketAddr {
    let router = Router::new()
        .route("/api/v3/repos/o/r/hooks/9/deliveries", get(list))
        .route("/api/v3/repos/o/r/hooks/9/deliveries/{number}", get(detail))
        .with_state(Arc::clone(fake));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn bench() -> Bench {
    let fake = Arc::new(Fake::default());
    let address = serve(&fake).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
    let yaml = format!(
        "hooks:\n  - name: github\n    provider: github\n    secret: s3cret\n    repair: {{ api_url: \"http://{address}/api/v3\", \
         repository: o/r, hook_id: 9, token: t0ken }}\n"
    );
    let settings = tideline_config::parse(&yaml, "t.yaml".as_ref(), &|_| None).unwrap();
    let parts = HooksParts {
        store: Arc::clone(&store) as Arc<dyn Store>,
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(SystemClock),
        hooks: settings.hooks,
        events: settings.events,
        sealer: Arc::default(),
        expressions: settings.expressions,
    };
    let (hooks, writer) = Hooks::new(parts);
    let stop = CancellationToken::new();
    tokio::spawn(writer.run(stop.clone()));
    let dynamic: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let repair = hooks.hooks["github"].repair(&hooks, &dynamic).unwrap();
    Bench {
        fake,
        store,
        repair,
        stop,
        _folder: folder,
    }
}

impl Bench {
    fn send(&self, number: u64, id: &str, status: u16, age: i64) {
        self.fake.sent.lock().insert(number, (id.to_owned(), status, age));
    }

    async fn received(&self, id: &str) {
        let event = NewEvent {
            topic: "github.push".to_owned(),
            key: String::new(),
            delivery: Some(DeliveryId {
                hook: "github".to_owned(),
                id: id.to_owned(),
            }),
            verdict: Verdict::Verified,
            malformed: false,
            headers: vec![],
            body: b"{}".to_vec(),
            trace: None,
        };
        self.store.append_events(&[event], SystemClock.now()).await.unwrap();
    }

    async fn run(&self) -> Repaired {
        self.repair.run_once(Duration::ZERO).await.unwrap().unwrap()
    }

    async fn fetched_events(&self) -> Vec<EventRecord> {
        let all = EventFilter::default();
        let reading = self.store.list_events_after(EventSequence(0), &all, 100).await.unwrap();
        let is_fetched = |event: &EventRecord| event.head.verdict == Verdict::Fetched;
        reading.events.into_iter().filter(is_fetched).collect()
    }
}

#[tokio::test]
async fn deliveries_that_never_arrived_are_taken_from_githubs_list_once_each() {
    let bench = bench().await;
    // Received; failed and redelivered under another number; failed; "delivered", but not to us; too old.
    bench.send(1, "ancient", 502, 4 * 86_400);
    bench.send(2, "received", 200, 300);
    bench.send(3, "failed", 502, 200);
    bench.send(4, "failed", 502, 150);
    bench.send(5, "lost", 200, 100);
    bench.send(6, "received-late", 502, 90);
    bench.received("received").await;
    bench.received("received-late").await;
    let repaired = bench.run().await;
    assert_eq!(repaired, Repaired { listed: 4, taken: 2 });
    let mut ids: Vec<String> = Vec::new();
    for event in bench.fetched_events().await {
        assert_eq!(
            (event.head.topic.as_str(), event.head.key.as_str()),
            ("github.push", "repository/7")
        );
        assert!(
            event.headers.iter().all(|(name, _)| !name.contains("signature")),
            "{:?}",
            event.headers
        );
        ids.push(event.head.delivery.unwrap().id);
    }
    ids.sort();
    assert_eq!(ids, ["failed", "lost"]);
    assert_eq!(bench.fake.fetched.lock().len(), 2, "what is known is not fetched");
    assert!(bench.fake.tokens.lock().iter().all(|token| token == "Bearer t0ken"));
    bench.send(7, "newer", 500, 1);
    assert_eq!(bench.run().await.taken, 1);
    assert_eq!(bench.run().await.taken, 0);
    assert_eq!(bench.fetched_events().await.len(), 3);
    bench.stop.cancel();
}

#[tokio::test]
async fn one_gateway_at_a_time_asks_for_missed_deliveries() {
    let bench = bench().await;
    let every = Duration::from_secs(600);
    assert!(bench.repair.run_once(every).await.unwrap().is_some());
    assert!(
        bench.repair.run_once(every).await.unwrap().is_none(),
        "somebody has just asked"
    );
    bench.stop.cancel();
}
