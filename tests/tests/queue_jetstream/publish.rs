//! What happens is published on NATS, in order, and nothing of it is lost while NATS is away.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use futures::StreamExt;
use serde_json::Value;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{NatsAddress, NewEvent, Verdict};
use tideline_queue::jetstream::Outlet;
use tideline_scheduler::{PublishChanges, PublishEvents, Task};
use tideline_store::Store;
use tideline_store::conformance::{begin, entities, t};
use tideline_store::sqlite::SqliteStore;
use tideline_tests::servers::own_nats;
use tideline_tests::wait_until;

const LIMIT: Duration = Duration::from_secs(30);

async fn append(store: &Arc<dyn Store>, from: u32, to: u32) {
    let event = |number: u32| NewEvent {
        topic: format!("ci.{}", if number.is_multiple_of(2) { "even" } else { "odd" }),
        key: String::new(),
        delivery: None,
        verdict: Verdict::Published,
        malformed: false,
        headers: vec![],
        body: format!(r#"{{"number":{number}}}"#).into_bytes(),
        trace: None,
    };
    let events: Vec<NewEvent> = (from..to).map(event).collect();
    store.append_events(&events, SystemClock.now()).await.unwrap();
}

/// Runs a task until the stream has so many messages, and reads them.
async fn until_published(task: &dyn Task, url: &str, stream: &str, count: usize) -> Vec<(String, Value)> {
    let found = wait_until("messages", LIMIT, async || {
        task.run_once().await?;
        let context = jetstream::new(async_nats::connect(url).await?);
        let mut stream = context.get_stream(stream).await?;
        let state = stream.info().await?.state.clone();
        anyhow::ensure!(state.messages >= count as u64, "{} of {count} messages", state.messages);
        let consumer = stream
            .create_consumer(jetstream::consumer::pull::Config::default())
            .await?;
        let mut messages = consumer
            .fetch()
            .max_messages(state.messages as usize)
            .messages()
            .await?;
        let mut found = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| anyhow::anyhow!(error))?;
            found.push((message.subject.to_string(), serde_json::from_slice(&message.payload)?));
        }
        anyhow::Ok(found)
    });
    found.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_and_change_is_published_on_nats_in_order_also_after_nats_was_away() {
    let test = "every_event_and_change_is_published_on_nats_in_order_also_after_nats_was_away";
    let Some(nats) = own_nats(test).await.unwrap() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("t.db").display());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&url, "test").await.unwrap());
    let address = NatsAddress::parse(&nats.url()).unwrap();
    let outlet = Arc::new(Outlet::open(&address).await.unwrap());
    let events = PublishEvents::new(Arc::clone(&store), Arc::clone(&outlet), Arc::new(SystemClock));
    let other = PublishEvents::new(Arc::clone(&store), Arc::clone(&outlet), Arc::new(SystemClock));
    // It begins where the log ends now.
    append(&store, 1_000, 1_002).await;
    events.run_once().await.unwrap();
    append(&store, 0, 700).await;
    other.run_once().await.unwrap();
    let published = until_published(&events, &nats.url(), "TIDELINE_EVENTS", 700).await;
    let numbers: Vec<u64> = published
        .iter()
        .map(|(_, event)| event["body"]["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..700).collect::<Vec<_>>());
    assert_eq!(published[0].0, "tideline.events.ci.even");
    nats.stop(true).await.unwrap();
    append(&store, 700, 720).await;
    events.run_once().await.unwrap();
    nats.launch().await.unwrap();
    let published = until_published(&events, &nats.url(), "TIDELINE_EVENTS", 720).await;
    let mut numbers: Vec<u64> = published
        .iter()
        .map(|(_, event)| event["body"]["number"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    numbers.dedup();
    assert_eq!(numbers.len(), 720);

    let mut root = begin(&store, "web", 1).await;
    root.write(&store, entities(0, 5, 1), Some("next"), t(1)).await;
    let changes = PublishChanges {
        store: Arc::clone(&store),
        outlet,
        clock: Arc::new(SystemClock),
    };
    let published = until_published(&changes, &nats.url(), "TIDELINE_CHANGES", 5).await;
    let sequences: Vec<i64> = published
        .iter()
        .map(|(_, change)| change["sequence"].as_i64().unwrap())
        .collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
    assert_eq!(published[0].0, "tideline.changes.web.component");
}
