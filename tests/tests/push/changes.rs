//! Subscriptions to the change feed that are pushed.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;
use tideline_core::words::ChangesSpec;
use tideline_store::conformance::{begin, entities, t};

use super::stage::{Stage, Subscriber, settings};
use super::{refused, until_got};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_pushed_in_order_and_a_batch_that_fails_comes_again_with_the_same_id() {
    let subscriber = Subscriber::start(|_, before| match before {
        0 => refused(StatusCode::BAD_GATEWAY),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let stage = Stage::start(settings(), 2).await;
    let mut root = begin(&stage.store, "web", 1).await;
    root.write(&stage.store, entities(0, 3, 1), Some("next"), t(1)).await;
    let mut spec = stage.spec(&subscriber.url(), 1);
    spec.topics = vec![];
    spec.changes = Some(ChangesSpec::default());
    stage.put(&spec).await;
    let got = until_got(&subscriber, 2).await;
    assert_eq!(got[0].headers["webhook-id"], got[1].headers["webhook-id"]);
    let body = got[1].json();
    assert_eq!(
        (&body["type"], &body["data"]["start_over"]),
        (&json!("changes"), &json!(false))
    );
    let sequences: Vec<_> = body["data"]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["sequence"].clone())
        .collect();
    assert_eq!(sequences, [json!(1), json!(2), json!(3)]);
    assert_eq!(body["data"]["changes"][0]["ref"], "component:default/c0000000");
    root.write(&stage.store, entities(3, 1, 1), None, t(2)).await;
    stage.queue.wake().await;
    let got = until_got(&subscriber, 3).await;
    assert_eq!(got[2].json()["data"]["changes"][0]["sequence"], 4);
    stage.stop().await;
}
