use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::fingerprint;
use tideline_core::words::SourceSpec;
use tideline_queue::in_process::InProcessQueue;
use tideline_store::Store;
use tideline_store::sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiParts, Principal};

async fn api() -> (tempfile::TempDir, Api) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
    let spec = |name: &str, kind: &str| SourceSpec {
        name: name.into(),
        source_type: kind.into(),
        identity: fingerprint(name.as_bytes()),
        parallel_partitions: 1,
    };
    let specs = [spec("inventory", "push"), spec("read", "http")];
    store.sync_sources(&specs, SystemClock.now()).await.unwrap();
    let parts = ApiParts {
        store,
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(SystemClock),
        stop: CancellationToken::new(),
        settings: None,
        planner: None,
    };
    (folder, Api::new(parts))
}

async fn put(api: &Api, source: &str, body: &Value) -> (u16, Value) {
    put_text(api, source, &body.to_string()).await
}

async fn put_text(api: &Api, source: &str, body: &str) -> (u16, Value) {
    let request = Request::put(format!("/v1/sources/{source}/entities"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = api.call(Principal::local("test"), request).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn outcomes(answer: &Value, list: &str) -> Vec<String> {
    let results = answer[list].as_array().unwrap().iter();
    results
        .map(|result| result["outcome"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn pushed_entities_are_written_once_and_an_older_version_is_not() {
    let (_folder, api) = api().await;
    let web = json!({ "kind": "Component", "metadata": { "name": "Web" } });
    let first = json!({ "upserts": [{ "body": web, "version": 7 }, { "ref": "component:default/old", "body": {} }] });
    let (status, answer) = put(&api, "inventory", &first).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(outcomes(&answer, "upserts"), ["added", "added"]);
    assert_eq!(answer["upserts"][0]["ref"], "component:default/web");
    let (_, answer) = put(&api, "inventory", &first).await;
    assert_eq!(outcomes(&answer, "upserts"), ["unchanged", "unchanged"]);
    let next = json!({
        "upserts": [{ "ref": "component:default/web", "body": { "older": true }, "version": 6 }],
        "removals": [{ "ref": "component:default/old" }, { "ref": "component:default/nobody" }],
    });
    let (_, answer) = put(&api, "inventory", &next).await;
    assert_eq!(outcomes(&answer, "upserts"), ["outdated"]);
    assert_eq!(outcomes(&answer, "removals"), ["removed", "unchanged"]);
}

#[tokio::test]
async fn pushed_numbers_keep_all_their_digits() {
    let (_folder, api) = api().await;
    let body = r#"{"upserts":[{"ref":"component:default/a","body":{"n":12345678901234567890123456789,"d":0.10000000000000000555}}]}"#;
    let (status, answer) = put_text(&api, "inventory", body).await;
    assert_eq!(status, 200, "{answer}");
    let found = api
        .state
        .store
        .find_entities(&["component:default/a".parse().unwrap()])
        .await
        .unwrap();
    assert_eq!(
        found[0].body,
        r#"{"d":0.10000000000000000555,"n":12345678901234567890123456789}"#
    );
}

#[tokio::test]
async fn what_cannot_be_pushed_is_a_problem_that_says_where_and_nothing_is_written() {
    let (_folder, api) = api().await;
    let good = json!({ "ref": "component:default/a", "body": {} });
    for (source, body, status, told) in [
        (
            "inventory",
            json!({ "upserts": [good, { "body": {} }] }),
            400,
            "upserts[1]: give ref",
        ),
        (
            "inventory",
            json!({ "upserts": [good, good] }),
            400,
            "component:default/a is in the request twice",
        ),
        (
            "inventory",
            json!({ "removals": [{ "ref": "nonsense" }] }),
            400,
            "removals[0].ref",
        ),
        ("inventory", json!({ "upsert": [] }), 400, "did you mean upserts?"),
        ("read", json!({ "upserts": [good] }), 409, "is of type http"),
        ("inventry", json!({}), 404, "inventory"),
    ] {
        let (found, problem) = put(&api, source, &body).await;
        assert_eq!(found, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    }
    assert_eq!(
        api.state
            .store
            .find_source("inventory")
            .await
            .unwrap()
            .unwrap()
            .entities,
        0
    );
}

#[tokio::test]
async fn who_writes_to_a_push_source_is_written_down_once_an_hour_before_the_first_write() {
    let (_folder, api) = api().await;
    for name in ["a", "b"] {
        let body = json!({"upserts": [{"ref": format!("component:default/{name}"), "body": {}}]});
        assert_eq!(put(&api, "inventory", &body).await.0, 200);
    }
    let request = Request::get("/v1/audit?source=inventory").body(Body::empty()).unwrap();
    let response = api.call(Principal::local("reader"), request).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let listed: Value = serde_json::from_slice(&body).unwrap();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{listed}");
    assert_eq!(
        (&items[0]["act"], &items[0]["target"]),
        (&json!("entities.push"), &json!("inventory"))
    );
    assert!(items[0].to_string().contains("\"test\""), "{listed}");
}
