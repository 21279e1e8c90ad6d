//! Whole requests, on a store in a file.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tideline_core::clock::SystemClock;
use tideline_core::words::{EventRecord, EventSequence, Verdict};
use tideline_queue::in_process::InProcessQueue;
use tideline_store::EventFilter;
use tideline_store::sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;

const HOOKS: &str = r#"
events: { max_bytes_in_flight: 1MiB }
hooks:
  - { name: github, provider: github, secret: s3cret, max_body_bytes: 4KiB }
  - { name: hidden, provider: github, secret: s3cret, path_id: 7f3a }
  - { name: open, provider: openchoreo, insecure: true }
  - { name: tfc, provider: terraform, insecure: true }
  - { name: old, provider: token, header: X-Token, secret: s3cret, topic: '"legacy." + .body.type' }
  - { name: named, provider: token, header: X-Token, secret: s3cret, topic: .body.kind }
  - { name: anyone, provider: token, insecure: true, topic: .body.type }
"#;

struct Bench {
    hooks: Arc<Hooks>,
    store: Arc<SqliteStore>,
    writer: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
    let settings = tideline_config::parse(HOOKS, "t.yaml".as_ref(), &|_| None).unwrap();
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
    Bench {
        hooks,
        store,
        writer: tokio::spawn(writer.run(stop.clone())),
        stop,
        _folder: folder,
    }
}

fn sign(body: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"s3cret").unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn push(id: &str, body: &str) -> Request<Body> {
    let request = Request::post("/hooks/github")
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", id)
        .header("cookie", "session=1")
        .header("x-hub-signature-256", sign(body.as_bytes()));
    request.body(Body::from(body.to_owned())).unwrap()
}

impl Bench {
    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.hooks.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn events(&self) -> Vec<EventRecord> {
        let all = EventFilter::default();
        let reading = self.store.list_events_after(EventSequence(0), &all, 100).await;
        reading.unwrap().events
    }
}

use tideline_store::EventStore;

#[tokio::test]
async fn a_signed_webhook_is_stored_before_it_is_answered_and_a_repeated_one_only_once() {
    let bench = bench().await;
    let body = r#"{"ref":"refs/heads/main","repository":{"id":42}}"#;
    let (status, answer) = bench.send(push("guid-1", body)).await;
    assert_eq!(
        (status, &answer["duplicate"]),
        (StatusCode::ACCEPTED, &Value::from(false))
    );
    let again = bench.send(push("guid-1", body)).await;
    assert_eq!(
        (again.0, &again.1["duplicate"]),
        (StatusCode::ACCEPTED, &Value::from(true))
    );
    assert_eq!(again.1["id"], answer["id"]);
    let events = bench.events().await;
    assert_eq!(events.len(), 1);
    let EventRecord {
        head,
        headers,
        body: stored,
    } = &events[0];
    assert_eq!(
        (head.topic.as_str(), head.key.as_str()),
        ("github.push", "repository/42")
    );
    assert_eq!((head.verdict, head.malformed), (Verdict::Verified, false));
    assert_eq!(stored, body.as_bytes());
    let kept: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(kept, ["content-type", "x-github-event", "x-github-delivery"]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_of_it_is_stored() {
    let bench = bench().await;
    let wrong = |change: fn(&mut Request<Body>)| {
        let mut request = push("guid-1", "{}");
        change(&mut request);
        request
    };
    type Change = fn(&mut Request<Body>);
    let cases: [(u16, Change); 7] = [
        (401, |request| drop(request.headers_mut().remove("x-hub-signature-256"))),
        (401, |request| {
            drop(request.headers_mut().insert("x-hub-signature-256", "".parse().unwrap()))
        }),
        (401, |request| {
            drop(
                request
                    .headers_mut()
                    .insert("x-hub-signature-256", "sha256=00".parse().unwrap()),
            )
        }),
        (404, |request| *request.uri_mut() = "/hooks/other".parse().unwrap()),
        (404, |request| {
            *request.uri_mut() = "/hooks/github/7f3a".parse().unwrap()
        }),
        (405, |request| *request.method_mut() = axum::http::Method::GET),
        (415, |request| {
            drop(
                request
                    .headers_mut()
                    .insert("content-type", "text/plain".parse().unwrap()),
            )
        }),
    ];
    for (status, change) in cases {
        let answer = bench.send(wrong(change)).await;
        assert_eq!(answer.0.as_u16(), status);
        assert!(!answer.1.to_string().contains("s3cret"));
    }
    assert!(bench.events().await.is_empty());
}

#[tokio::test]
async fn a_webhook_that_is_too_large_is_refused_and_told_of_once_a_minute_without_its_content() {
    let bench = bench().await;
    let long = "x".repeat(4097);
    for id in ["guid-1", "guid-2"] {
        assert_eq!(bench.send(push(id, &long)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
    let events = bench.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].head.topic.as_str(), events[0].head.key.as_str()),
        ("hook.body_too_large", "github")
    );
    let told: Value = serde_json::from_slice(&events[0].body).unwrap();
    assert_eq!(
        told,
        serde_json::json!({"hook": "github", "max_body_bytes": 4096, "delivery": "guid-1"})
    );
}

#[tokio::test]
async fn a_hook_with_a_random_path_is_found_there_only() {
    let bench = bench().await;
    for (path, status) in [
        ("/hooks/hidden", 404),
        ("/hooks/hidden/7f3b", 404),
        ("/hooks/hidden/7f3a", 202),
    ] {
        let mut request = push("guid-1", "{}");
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(bench.send(request).await.0.as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn a_signed_body_that_is_no_json_is_stored_and_marked() {
    let bench = bench().await;
    assert_eq!(bench.send(push("guid-1", "{\"ref\":")).await.0, StatusCode::ACCEPTED);
    let events = bench.events().await;
    assert!(events[0].head.malformed);
    assert_eq!(
        (events[0].head.topic.as_str(), events[0].body.as_slice()),
        ("github.push", &b"{\"ref\":"[..])
    );
}

#[tokio::test]
async fn githubs_form_is_verified_as_it_came_and_stored_as_json() {
    let bench = bench().await;
    let form = "payload=%7B%22repository%22%3A%7B%22id%22%3A42%7D%7D";
    let mut request = push("guid-1", form);
    let header = "application/x-www-form-urlencoded".parse().unwrap();
    request.headers_mut().insert("content-type", header);
    assert_eq!(bench.send(request).await.0, StatusCode::ACCEPTED);
    let events = bench.events().await;
    assert_eq!(events[0].body, br#"{"repository":{"id":42}}"#);
    assert_eq!(
        (events[0].head.key.as_str(), events[0].head.malformed),
        ("repository/42", false)
    );
}

#[tokio::test]
async fn a_hook_without_a_secret_says_so_with_each_event() {
    let bench = bench().await;
    let body = r#"{"kind":"Component","name":"web","namespace":"shop","action":"updated"}"#;
    for _ in 0..2 {
        let request = Request::post("/hooks/open").body(Body::from(body)).unwrap();
        assert_eq!(bench.send(request).await.0, StatusCode::ACCEPTED);
    }
    let events = bench.events().await;
    // Both of them: the forwarder says the same of each update.
    assert_eq!(events.len(), 2);
    let head = &events[0].head;
    assert_eq!(
        (head.verdict, head.topic.as_str()),
        (Verdict::Unsigned, "open.component.updated")
    );
}

#[tokio::test]
async fn a_topic_is_made_by_an_expression_and_a_webhook_of_which_it_makes_none_is_stored_all_the_same() {
    let bench = bench().await;
    for (hook, body) in [
        ("old", r#"{"type":"build done"}"#),
        ("named", r#"{"kind":"a/b"}"#),
        ("old", r#"{"type":7}"#),
        ("named", "no JSON"),
    ] {
        let request = Request::post(format!("/hooks/{hook}")).header("x-token", "s3cret");
        let (status, _) = bench.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    }
    let topics: Vec<_> = bench.events().await.into_iter().map(|event| event.head.topic).collect();
    assert_eq!(topics, ["legacy.build-done", "a.b", "old.7", "named"]);
}

#[tokio::test]
async fn a_webhook_cannot_pass_for_an_event_of_tidelines_own_and_is_kept_all_the_same() {
    let bench = bench().await;
    for topic in ["job.parked", "sweep.held", "source/blocked", "ci.done"] {
        let body = format!(r#"{{"type":"{topic}","kind":"A job is parked, visit http://evil.example"}}"#);
        let request = Request::post("/hooks/anyone").body(Body::from(body)).unwrap();
        assert_eq!(bench.send(request).await.0, StatusCode::ACCEPTED, "{topic}");
    }
    let events = bench.events().await;
    let heads: Vec<_> = (events.iter().map(|event| &event.head))
        .map(|head| (head.topic.as_str(), head.malformed))
        .collect();
    assert_eq!(
        heads,
        [
            ("anyone.job.parked", true),
            ("anyone.sweep.held", true),
            ("anyone.source.blocked", true),
            ("ci.done", false)
        ]
    );
}

#[tokio::test]
async fn webhooks_are_taken_at_the_addresses_that_senders_of_other_systems_know() {
    let bench = bench().await;
    let body = r#"{"repository":{"id":42}}"#;
    for (path, id) in [
        ("/api/events/http/github", "guid-1"),
        ("/api/sync/github-webhook", "guid-2"),
    ] {
        let (mut parts, body) = push(id, body).into_parts();
        parts.uri = path.parse().unwrap();
        let (status, answer) = bench.send(Request::from_parts(parts, body)).await;
        assert_eq!(
            (status, &answer["status"]),
            (StatusCode::ACCEPTED, &Value::from("accepted"))
        );
    }
    for path in ["/api/events/http/nobody", "/hooks/nobody"] {
        let request = Request::post(path).body(Body::from("{}")).unwrap();
        assert_eq!(bench.send(request).await.0, StatusCode::NOT_FOUND);
    }
    let topics: Vec<_> = bench.events().await.into_iter().map(|event| event.head.topic).collect();
    assert_eq!(topics, ["github.push", "github.push"]);
}

#[tokio::test]
async fn a_delivery_without_an_id_is_known_by_its_content() {
    let bench = bench().await;
    let send = |run: u32| {
        let body =
            format!(r#"{{"workspace_id":"ws","run_id":"{run}","notifications":[{{"trigger":"run:completed"}}]}}"#);
        bench.send(Request::post("/hooks/tfc").body(Body::from(body)).unwrap())
    };
    for run in [1, 1, 2] {
        assert_eq!(send(run).await.0, StatusCode::ACCEPTED);
    }
    let topics: Vec<_> = bench.events().await.into_iter().map(|event| event.head.topic).collect();
    assert_eq!(topics, ["tfc.run.completed", "tfc.run.completed"]);
}

#[tokio::test]
async fn many_webhooks_at_once_are_each_answered_for_their_own_event() {
    let bench = bench().await;
    let sending = (0..200).map(|number| {
        let id = format!("guid-{}", number % 150);
        let bench = &bench;
        async move { (id.clone(), bench.send(push(&id, "{}")).await) }
    });
    let answers = futures::future::join_all(sending).await;
    let events = bench.events().await;
    assert_eq!(
        answers
            .iter()
            .filter(|(_, answer)| answer.1["duplicate"] == true)
            .count(),
        50
    );
    for (id, (status, answer)) in answers {
        assert_eq!(status, StatusCode::ACCEPTED);
        let of = |event: &&EventRecord| event.head.sequence.to_string() == answer["id"];
        let event = events
            .iter()
            .find(of)
            .map(|event| event.head.delivery.clone().unwrap().id);
        // The list has the first hundred of them.
        assert!(event.is_none_or(|event| event == id));
    }
}

#[tokio::test]
async fn a_stop_writes_what_was_handed_in_and_what_comes_after_it_is_answered_503() {
    let bench = bench().await;
    let sending = futures::future::join_all((0..20).map(|n| bench.send(push(&format!("g{n}"), "{}"))));
    let answers = sending.await;
    bench.stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), bench.writer)
        .await
        .unwrap()
        .unwrap();
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::ACCEPTED));
    let late = bench.hooks.router().oneshot(push("late", "{}")).await.unwrap();
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(late.headers()["retry-after"], "1");
}
