//! The routes of Backstage's event bus, over HTTP.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::MAX_REQUESTS;
use super::tests::{Answer, Bench, bench};
use crate::api::MAX_WAITERS;

const BASE: &str = "/api/events/bus/v1";
const JSON: &str = "content-type: application/json\r\n";

async fn publish(bench: &Bench, topic: &str, payload: Value, notified: &[&str]) -> u16 {
    let body = json!({"event": {"topic": topic, "payload": payload}, "notifiedSubscribers": notified});
    let path = format!("{BASE}/events");
    bench.send("POST", &path, JSON, &body.to_string()).await.status
}

async fn subscribe(bench: &Bench, id: &str, topics: &[&str]) {
    let path = format!("{BASE}/subscriptions/{id}");
    let body = json!({ "topics": topics }).to_string();
    assert_eq!(bench.send("PUT", &path, JSON, &body).await.status, 201);
}

async fn read(bench: &Bench, id: &str) -> Answer {
    bench.get(&format!("{BASE}/subscriptions/{id}/events")).await
}

fn payloads(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let events = answer.json();
    let events = events["events"].as_array().unwrap();
    events.iter().map(|event| event["payload"].clone()).collect()
}

#[tokio::test]
async fn a_plugin_of_backstage_publishes_subscribes_and_reads_as_from_backstages_own_bus() {
    let bench = bench("127.0.0.1:0", None).await;
    assert_eq!(
        read(&bench, "catalog.x").await.status,
        404,
        "the client subscribes again"
    );
    for _ in 0..2 {
        subscribe(&bench, "catalog.x%3Aproduction", &["github.push"]).await;
    }
    for number in 0..12 {
        assert_eq!(publish(&bench, "github.push", json!({ "n": number }), &[]).await, 201);
    }
    let first = payloads(&read(&bench, "catalog.x%3Aproduction").await);
    assert_eq!(
        (first.len(), &first[0], &first[9]),
        (10, &json!({"n": 0}), &json!({"n": 9}))
    );
    let second = payloads(&read(&bench, "catalog.x%3Aproduction").await);
    assert_eq!(second, [json!({"n": 10}), json!({"n": 11})]);
    // It is a subscription like any other, and what was read is done with when the reader comes back.
    let shown = bench.get("/v1/subscriptions/bus.catalog.x=3Aproduction").await.json();
    assert_eq!((&shown["outstanding"], &shown["kind"]), (&json!(2), &json!("pull")));
    let audit = bench.get("/v1/audit?act=subscriptions.put").await.json();
    assert_eq!(
        audit["items"].as_array().unwrap().len(),
        1,
        "only what changes something is an act: {audit}"
    );
}

#[tokio::test]
async fn what_a_publisher_has_told_its_own_subscribers_they_do_not_get_again_and_others_do() {
    let bench = bench("127.0.0.1:0", None).await;
    subscribe(&bench, "a", &["t"]).await;
    assert_eq!(publish(&bench, "t", json!(1), &["a"]).await, 204, "nobody else follows");
    subscribe(&bench, "b", &["t"]).await;
    assert_eq!(publish(&bench, "t", json!(2), &["a"]).await, 201);
    assert_eq!(publish(&bench, "t", json!(3), &["b"]).await, 201);
    assert_eq!(payloads(&read(&bench, "a").await), [json!(3)]);
    assert_eq!(payloads(&read(&bench, "b").await), [json!(2)]);
    let wrong = publish(&bench, "not a topic", json!(1), &[]).await;
    assert_eq!(wrong, 400);
}

#[tokio::test]
async fn a_publisher_cannot_speak_as_tideline() {
    let bench = bench("127.0.0.1:0", None).await;
    let body = json!({"event": {"topic": "source.blocked", "payload": {"source": "web"}}}).to_string();
    let refused = bench.send("POST", &format!("{BASE}/events"), JSON, &body).await;
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        refused.status == 400 && detail.starts_with("event.topic is reserved for "),
        "{detail}"
    );
    assert_eq!(publish(&bench, "sources.blocked", json!(1), &[]).await, 201);
}

#[tokio::test]
async fn who_publishes_events_is_written_down_and_not_for_each_of_them() {
    let bench = bench("127.0.0.1:0", None).await;
    for topic in ["t", "t", "other"] {
        assert_eq!(publish(&bench, topic, json!(1), &[]).await, 201);
    }
    let audit = bench.get("/v1/audit?act=events.publish").await.json();
    let records = audit["items"].as_array().unwrap();
    assert_eq!((records.len(), &records[0]["target"]), (1, &json!("t")), "{audit}");
}

#[tokio::test]
async fn a_reader_without_events_is_held_until_there_are_some() {
    let bench = bench("127.0.0.1:0", None).await;
    subscribe(&bench, "a", &["t"]).await;
    let began = Instant::now();
    let publishing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        publish(&bench, "other", json!(0), &[]).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        publish(&bench, "t", json!(1), &[]).await
    };
    let (held, published) = tokio::join!(read(&bench, "a"), publishing);
    assert_eq!((held.status, published), (202, 201));
    assert!(
        held.head.contains("backstage-events-notify-timeout: 55000"),
        "{}",
        held.head
    );
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(15),
        "{took:?}"
    );
    assert_eq!(payloads(&read(&bench, "a").await), [json!(1)]);
}

#[tokio::test]
async fn requests_that_wait_for_events_leave_their_place_to_others() {
    let bench = bench("127.0.0.1:0", None).await;
    let made = bench.send("PUT", "/v1/subscriptions/s", JSON, "{}").await;
    assert_eq!(made.status, 200, "{}", made.body);
    let pulling = bench.send("POST", "/v1/subscriptions/s/pull", JSON, r#"{"wait": 10}"#);
    let looking = async {
        let deadline = Instant::now() + Duration::from_secs(10);
        let waits = || bench.state.api.state.waiters.available_permits() < MAX_WAITERS;
        while !(waits() && bench.state.requests.available_permits() == MAX_REQUESTS) {
            assert!(Instant::now() < deadline, "it keeps its place");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        publish(&bench, "t", json!(1), &[]).await
    };
    let (pulled, published) = tokio::join!(pulling, looking);
    assert_eq!((pulled.json()["events"].as_array().unwrap().len(), published), (1, 201));
}
