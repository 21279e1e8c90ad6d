use std::path::Path;

use tideline_core::words::{SubscriptionKind, SubscriptionSpec, Timestamp};
use tideline_store::{EventStart, Follower, FollowerSample};

use super::*;

async fn bench_with_key() -> Bench {
    let yaml = format!("secret_key: \"{}\"\n", "07".repeat(32));
    bench_with(Some(
        tideline_config::parse(&yaml, Path::new("t.yaml"), &|_| None).unwrap(),
    ))
    .await
}

impl Bench {
    async fn put(&self, name: &str, body: Value) -> Answered {
        let path = format!("/v1/subscriptions/{name}");
        self.ask(holder(Role::Operate, &[]), "PUT", &path, Some(body), &[])
            .await
    }
}

#[tokio::test]
async fn a_subscription_tells_how_far_it_came_in_the_last_hours() {
    let bench = bench_with_key().await;
    let ago = |minutes: i64| Timestamp(SystemClock.now().0 - minutes * 60_000);
    let spec = SubscriptionSpec {
        name: "audit".to_owned(),
        kind: SubscriptionKind::Pull,
        topics: vec![],
        max_outstanding: 10,
        filter: None,
        push: None,
        changes: None,
    };
    let make = bench.store.put_subscription(&spec, EventStart::Beginning, ago(270));
    make.await.unwrap();
    bench.append(&[json!(1), json!(2), json!(3)]).await;
    let sample = |minutes: i64, position: i64| {
        let sample = FollowerSample {
            name: "audit".to_owned(),
            minute: ago(minutes),
            position,
            behind: 7,
        };
        (Follower::Subscription, sample)
    };
    // The first is of an older one of this name; between the last but one and the last it was replayed.
    let samples = [(300, 5_000), (240, 10), (62, 30), (20, 40), (15, 90), (10, -1)];
    let samples = samples.map(|(minutes, position)| sample(minutes, position));
    bench.store.add_follower_samples(&samples, ago(0)).await.unwrap();
    let steps = |answer: &Answered| -> Vec<(u64, u64)> {
        let items = answer.json()["items"].as_array().unwrap().clone();
        let number = |item: &Value, field: &str| item[field].as_u64().unwrap();
        (items
            .iter()
            .map(|item| (number(item, "passed"), number(item, "behind"))))
        .collect()
    };
    let history = bench.get("/v1/subscriptions/audit/history").await;
    assert_eq!(
        steps(&history),
        [(0, 7), (20, 7), (10, 7), (50, 7), (0, 7)],
        "{}",
        history.body
    );
    let history = bench.get("/v1/subscriptions/audit/history?hours=1").await;
    assert_eq!(steps(&history), [(10, 7), (50, 7), (0, 7)]);
    let shown = bench.get("/v1/subscriptions/audit").await.json();
    assert_eq!((&shown["last_hour"], &shown["lag"]), (&json!(51), &json!(3)), "{shown}");
    let listed = bench.get("/v1/subscriptions").await.json();
    assert_eq!(listed["items"][0]["last_hour"], json!(51));
    assert_eq!(bench.get("/v1/subscriptions/none/history").await.status, 404);
}

#[tokio::test]
async fn the_secret_of_a_push_is_made_and_shown_once_and_kept_when_it_is_put_again() {
    let bench = bench_with_key().await;
    let push =
        json!({"push": {"url": "https://example.com/in?key=hidden", "in_flight": 3, "headers": {"x-a": "hidden"}}});
    let made = bench.put("audit", push.clone()).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(
        secret.starts_with("whsec_") && !made.body.contains("hidden"),
        "{}",
        made.body
    );
    assert_eq!(
        made.json()["push"],
        json!({"url": "https://example.com/in", "format": "event", "in_flight": 3})
    );
    let record = bench.store.find_subscription("audit").await.unwrap().unwrap();
    let again = bench.put("audit", push).await;
    assert_eq!((again.status, &again.json()["secret"]), (200, &Value::Null));
    let same = bench.store.find_subscription("audit").await.unwrap().unwrap();
    assert_eq!(
        (same.push, same.generation),
        (record.push, record.generation),
        "nothing changed"
    );
    let shown = bench.get("/v1/subscriptions/audit").await;
    assert!(
        !shown.body.contains("hidden") && !shown.body.contains(&secret),
        "{}",
        shown.body
    );
    let shown = shown.json();
    assert_eq!(
        (&shown["lag"], &shown["next_try"], &shown["kind"]),
        (&json!(0), &Value::Null, &json!("push"))
    );
}

#[tokio::test]
async fn a_subscription_that_cannot_work_is_refused_with_the_place_of_the_mistake() {
    let bench = bench_with_key().await;
    let url = "https://example.com/";
    for (body, place) in [
        (json!({"filter": ".body.a ="}), "filter: "),
        (json!({"topics": ["not a topic"]}), "topics: "),
        (
            json!({"push": {"url": "http://example.com/"}}),
            "push.url must start with https://",
        ),
        (
            json!({"push": {"url": "https://10.0.0.1/"}}),
            "push.url: 10.0.0.1 is a private",
        ),
        (
            json!({"push": {"url": url, "secret": "short"}}),
            "push.secret must be whsec_",
        ),
        (json!({"push": {"url": url, "in_flight": 0}}), "push.in_flight takes"),
        (
            json!({"push": {"url": url, "headers": {"webhook-id": "1"}}}),
            "push.headers.webhook-id is set by tideline",
        ),
        (
            json!({"push": {"url": url}, "notify": {"url": url, "format": "slack"}}),
            "push and notify exclude",
        ),
        (json!({"notify": {"url": url, "format": "pigeon"}}), "pigeon"),
        (
            json!({"notify": {"url": url, "format": "slack"}, "topics": ["*.held", "github.*"]}),
            "topics: notify tells of Tideline's own events only, and github.* is none of them",
        ),
        (
            json!({"from": "yesterday"}),
            "from: takes now, beginning or a time such as 2026-01-31T08:00:00Z, not yesterday",
        ),
    ] {
        let answer = bench.put("s", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(place), "{body}: {detail}");
    }
    assert!(bench.store.list_subscriptions().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_key_no_push_can_be_made_and_the_answer_says_what_to_set() {
    let bench = bench().await;
    let answer = bench.put("s", json!({"push": {"url": "https://example.com/"}})).await;
    assert_eq!(answer.status, 409);
    assert!(
        answer.body.contains("TIDELINE_SECRET_KEY is not set"),
        "{}",
        answer.body
    );
    assert_eq!(bench.put("s", json!({"topics": ["ci.*"]})).await.status, 200);
}

#[tokio::test]
async fn a_notification_follows_what_waits_for_people_unless_it_says_otherwise() {
    let bench = bench_with_key().await;
    let notify = json!({"notify": {"url": "https://hooks.example.com/T0/B0/hidden", "format": "slack"}});
    let made = bench.put("chat", notify).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(
        made.json()["push"],
        json!({"url": "https://hooks.example.com/…", "format": "slack", "in_flight": 1})
    );
    let topics = made.json()["topics"].to_string();
    assert!(
        topics.contains("sweep.held") && topics.contains("source.failing") && !topics.contains("subscription.failing"),
        "{topics}"
    );
}

#[tokio::test]
async fn a_pull_gets_what_its_filter_wants_and_moves_past_the_rest() {
    let bench = bench().await;
    bench
        .append(&[json!({"n": 1}), json!({"n": 2}), json!({"n": 3}), json!({"m": 4})])
        .await;
    let body = json!({"topics": ["ci.*"], "from": "beginning", "filter": ".body.n > 1"});
    assert_eq!(bench.put("s", body).await.status, 200);
    let pulled = bench.post("/v1/subscriptions/s/pull", Some(json!({}))).await.json();
    let numbers: Vec<_> = pulled["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["body"]["n"].clone())
        .collect();
    assert_eq!(numbers, [json!(2), json!(3)]);
    let ids: Vec<_> = pulled["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["ack_id"].clone())
        .collect();
    let acked = bench
        .post("/v1/subscriptions/s/ack", Some(json!({ "ack_ids": ids })))
        .await
        .json();
    assert_eq!(acked["settled"], 2);
    let shown = bench.get("/v1/subscriptions/s").await.json();
    assert_eq!(
        (&shown["lag"], &shown["outstanding"], &shown["filter"]),
        (&json!(0), &json!(0), &json!(".body.n > 1"))
    );
}

#[tokio::test]
async fn changes_are_pulled_batch_by_batch_and_come_again_until_they_are_acknowledged() {
    let bench = bench().await;
    bench.some_entities(3).await;
    let refused = bench.put("c", json!({"changes": {}, "topics": ["ci.*"]})).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let made = bench
        .put("c", json!({"changes": {"sources": ["platform"]}, "from": "beginning"}))
        .await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(
        (&made.json()["changes"]["sources"], &made.json()["lag"]),
        (&json!(["platform"]), &json!(3))
    );
    let pull = async || {
        bench
            .post("/v1/subscriptions/c/pull", Some(json!({"max": 2})))
            .await
            .json()
    };
    let first = pull().await;
    assert_eq!(
        (first["changes"].as_array().unwrap().len(), &first["more"]),
        (2, &json!(true))
    );
    assert_eq!(pull().await["changes"], json!([]), "one batch at a time");
    let ids = json!({"ack_ids": [first["ack_id"]]});
    assert_eq!(
        bench.post("/v1/subscriptions/c/nack", Some(ids.clone())).await.json()["settled"],
        1
    );
    let again = pull().await;
    assert_eq!(again["changes"], first["changes"]);
    assert_eq!(
        bench.post("/v1/subscriptions/c/ack", Some(ids)).await.json()["settled"],
        0,
        "that one is stale"
    );
    let ids = json!({"ack_ids": [again["ack_id"]]});
    assert_eq!(
        bench.post("/v1/subscriptions/c/ack", Some(ids)).await.json()["settled"],
        1
    );
    assert_eq!(pull().await["changes"].as_array().unwrap().len(), 1);
    assert_eq!(bench.put("c", json!({"topics": ["ci.*"]})).await.status, 409);
}

#[tokio::test]
async fn a_delivery_tells_what_it_caused_or_that_nobody_follows_its_topic() {
    let yaml = "sources:\n  - name: services\n    type: http\n    base_url: http://127.0.0.1:1\n    resources:\n      - { name: services, \
                path: /s, item: \"/s/{id}\", values: { id: .id } }\n    on:\n      - { topic: \"ci.*\", refresh: item, values: { id: \
                .body.id } }\n";
    let bench = bench_with(Some(
        tideline_config::parse(yaml, Path::new("t.yaml"), &|_| None).unwrap(),
    ))
    .await;
    bench.append(&[json!({"id": 42})]).await;
    let told = bench.get("/v1/deliveries/1").await.json();
    assert_eq!(
        (&told["sources"], &told["topic"]),
        (&json!(["services"]), &json!("ci.done"))
    );
    assert_eq!(told["summary"], "stored; services: the rules have not reached it yet");
    let target = json!({"refresh": "item", "resource": null, "values": {"id": 42}, "removed": false});
    let job = tideline_core::words::NewJob {
        kind: "refresh".to_owned(),
        key: "services/42".to_owned(),
        fingerprint: fingerprint(b"1"),
        args: json!({"source": "services", "target": target, "event": 1}).to_string(),
        due_at: SystemClock.now(),
        trigger: tideline_core::words::Trigger::Webhook,
        trace: None,
    };
    bench.store.enqueue(&[job], SystemClock.now()).await.unwrap();
    bench.put("all", json!({"from": "beginning"})).await;
    bench.put("other", json!({"topics": ["github.*"]})).await;
    let told = bench.get("/v1/deliveries/1").await.json();
    assert_eq!(told["refreshed"][0]["key"], "services/42");
    assert_eq!(told["subscriptions"], json!([{"name": "all", "state": "ahead"}]));
    let summary = told["summary"].as_str().unwrap();
    assert!(
        summary.contains("the refresh of services/42 of source services is Waiting"),
        "{summary}"
    );
    assert!(summary.contains("not yet handed out to all"), "{summary}");
    let nobody = super::bench().await;
    nobody.append(&[json!({})]).await;
    let told = nobody.get("/v1/deliveries/1").await.json();
    assert_eq!(told["summary"], "stored; nothing follows this topic");
    assert_eq!(nobody.get("/v1/deliveries/7").await.status, 404);
}

impl Bench {
    /// What the audit log has, oldest first: act, target, why it was refused.
    async fn audited(&self) -> Vec<(String, String, Option<String>)> {
        let listed = self.get("/v1/audit").await.json();
        let text = |entry: &Value, name: &str| entry[name].as_str().map(str::to_owned);
        let entries = listed["items"].as_array().unwrap().iter().rev();
        entries
            .map(|entry| {
                (
                    text(entry, "act").unwrap(),
                    text(entry, "target").unwrap(),
                    text(entry, "detail"),
                )
            })
            .collect()
    }
}

#[tokio::test]
async fn a_key_that_was_used_with_another_secret_query_or_header_is_refused() {
    let bench = bench_with_key().await;
    let put = async |push: Value| {
        let body = json!({"topics": ["ci.*"], "push": push});
        let headers = [("idempotency-key", "k1")];
        let asked = bench.ask(
            holder(Role::Operate, &[]),
            "PUT",
            "/v1/subscriptions/ci",
            Some(body),
            &headers,
        );
        asked.await.status
    };
    let secret = format!("whsec_{}", "A".repeat(43) + "=");
    let push = json!({"url": "https://a.example.com/in?k=1", "secret": secret, "headers": {"x-team": "web"}});
    assert_eq!((put(push.clone()).await, put(push.clone()).await), (200, 200));
    for (name, value) in [
        ("url", json!("https://a.example.com/in?k=2")),
        ("secret", json!(format!("whsec_{}", "B".repeat(42) + "A="))),
        ("headers", json!({"x-team": "api"})),
    ] {
        let mut other = push.clone();
        other[name] = value;
        assert_eq!(put(other).await, 422, "{name}");
    }
}

#[tokio::test]
async fn a_key_that_was_used_for_a_token_with_another_life_is_refused() {
    let bench = bench().await;
    let create = async |life: u64| {
        let body = json!({"name": "ci", "role": "read", "expires_in_seconds": life});
        let headers = [("idempotency-key", "k1")];
        bench
            .ask(holder(Role::Admin, &[]), "POST", "/v1/tokens", Some(body), &headers)
            .await
            .status
    };
    assert_eq!((create(60).await, create(60).await, create(61).await), (201, 201, 422));
}

#[tokio::test]
async fn whatever_is_done_to_a_subscription_is_in_the_audit_log_with_its_reason_and_done_once_for_its_key() {
    let bench = bench().await;
    let operator = || holder(Role::Operate, &[]);
    assert_eq!(bench.put("ci", json!({"topics": ["ci.*"]})).await.status, 200);
    let read = bench.get("/v1/subscriptions/ci").await;
    let etag = read.etag.unwrap();
    let because = [
        ("tideline-reason", "noise%20%E2%9C%93"),
        ("idempotency-key", "k1"),
        ("if-match", etag.as_str()),
    ];
    for _ in 0..2 {
        let paused = bench
            .ask(operator(), "POST", "/v1/subscriptions/ci/pause", None, &because)
            .await;
        assert_eq!(
            (paused.status, paused.json()["state"].as_str().unwrap()),
            (200, "paused")
        );
    }
    let stale = [("if-match", etag.as_str())];
    let refused = bench
        .ask(operator(), "POST", "/v1/subscriptions/ci/resume", None, &stale)
        .await;
    assert_eq!(
        (refused.status, refused.code()),
        (412, "precondition_failed".to_owned())
    );
    bench.post("/v1/subscriptions/ci/resume", None).await;
    bench
        .post("/v1/subscriptions/ci/replay", Some(json!({"from": "beginning"})))
        .await;
    for act in ["retry", "drop"] {
        let path = format!("/v1/subscriptions/ci/dead-letters/{act}");
        assert_eq!(bench.post(&path, Some(json!({}))).await.status, 200);
        assert_eq!(bench.post(&path, Some(json!({"id": "4711"}))).await.status, 404);
    }
    let deleted = bench.ask(operator(), "DELETE", "/v1/subscriptions/ci", None, &[]).await;
    assert_eq!(deleted.status, 204);
    let audited = bench.audited().await;
    let acts: Vec<(&str, bool)> = (audited.iter())
        .map(|(act, target, refused)| {
            assert_eq!(target, "ci");
            (act.as_str(), refused.is_none())
        })
        .collect();
    assert_eq!(
        acts,
        [
            ("subscriptions.put", true),
            ("subscriptions.pause", true),
            ("subscriptions.resume", false),
            ("subscriptions.resume", true),
            ("subscriptions.replay", true),
            ("dead_letters.retry", true),
            ("dead_letters.retry", false),
            ("dead_letters.drop", true),
            ("dead_letters.drop", false),
            ("subscriptions.delete", true),
        ]
    );
    let paused = bench.get("/v1/audit?act=subscriptions.pause").await.json();
    assert!(paused.to_string().contains("noise ✓"), "{paused}");
}

#[tokio::test]
async fn a_reader_changes_nothing_of_a_subscription_and_replays_nothing() {
    let bench = bench().await;
    assert_eq!(bench.put("ci", json!({})).await.status, 200);
    bench.append(&[json!({"n": 1})]).await;
    let empty = || Some(json!({}));
    for (method, path, body) in [
        ("PUT", "/v1/subscriptions/ci", empty()),
        ("DELETE", "/v1/subscriptions/ci", None),
        ("POST", "/v1/subscriptions/ci/pause", None),
        ("POST", "/v1/subscriptions/ci/resume", None),
        ("POST", "/v1/subscriptions/ci/replay", Some(json!({"from": "now"}))),
        ("POST", "/v1/subscriptions/ci/dead-letters/retry", empty()),
        ("POST", "/v1/subscriptions/ci/dead-letters/drop", empty()),
        ("POST", "/v1/events/1/replay", None),
    ] {
        for principal in [holder(Role::Read, &[]), holder(Role::Operate, &["team-*"])] {
            let answer = bench.ask(principal, method, path, body.clone(), &[]).await;
            assert_eq!(
                (answer.status, answer.code()),
                (403, "forbidden".to_owned()),
                "{method} {path}"
            );
        }
    }
    let done = async || {
        let mut audited = bench.audited().await;
        audited.retain(|(.., refused)| refused.is_none());
        audited
    };
    assert_eq!(done().await.len(), 1, "only the put");
    let replayed = bench
        .ask(holder(Role::Operate, &[]), "POST", "/v1/events/1/replay", None, &[])
        .await;
    assert_eq!((replayed.status, &replayed.json()["id"]), (202, &json!("2")));
    let audited = done().await;
    assert_eq!((audited[1].0.as_str(), audited[1].1.as_str()), ("events.replay", "1"));
}

#[tokio::test]
async fn the_subscription_that_publishes_changes_on_nats_cannot_be_replaced_or_pulled() {
    let bench = bench_with_key().await;
    let put = bench.put("nats-changes", json!({})).await;
    assert_eq!(
        (put.status, put.code().as_str()),
        (400, "invalid_request"),
        "{}",
        put.body
    );
    assert!(put.body.contains("the name nats-changes is reserved"), "{}", put.body);
    let path = "/v1/subscriptions/nats-changes/pull";
    let pulled = bench
        .ask(holder(Role::Operate, &[]), "POST", path, Some(json!({})), &[])
        .await;
    assert_eq!(pulled.status, 400, "{}", pulled.body);
    assert_eq!(bench.put("nats-changes-2", json!({})).await.status, 200);
}
