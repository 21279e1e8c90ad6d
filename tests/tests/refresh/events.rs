//! From an event in the log to a change in the feed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use tideline_config::settings::{RefreshRule, RefreshScope, SourceSettings};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{EventSequence, JobState, NewEvent, Verdict};
use tideline_runtime::backends::{Mode, open_queue, open_store};
use tideline_store::EventFilter;
use tideline_tests::{servers, wait_until};

use super::stage::{LIMIT, Stage};
use super::{job_state, settings};

fn rule(id: &str) -> RefreshRule {
    RefreshRule {
        topics: vec!["ci.thing.*".into()],
        when: Some(".body.environment == \"production\"".into()),
        refresh: RefreshScope::Item,
        resource: None,
        each: None,
        values: BTreeMap::from([("id".into(), id.into())]),
        removed: Some(".body.action == \"deleted\"".into()),
        look_again: None,
        only_known: false,
        deep: false,
        fetch: None,
    }
}

fn following(rules: Vec<RefreshRule>) -> SourceSettings {
    SourceSettings {
        on: rules,
        refresh_spacing: Duration::from_millis(200),
        ..settings()
    }
}

fn event(topic: &str, body: &Value) -> NewEvent {
    NewEvent {
        topic: topic.into(),
        key: String::new(),
        delivery: None,
        verdict: Verdict::Published,
        malformed: false,
        headers: vec![],
        body: body.to_string().into_bytes(),
        trace: None,
    }
}

async fn publish(stage: &Stage, events: &[NewEvent]) {
    stage.store.append_events(events, SystemClock.now()).await.unwrap();
    stage.queue.wake().await;
}

fn changed(id: &str) -> Value {
    json!({ "id": id, "environment": "production", "action": "changed" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_becomes_a_change_in_the_feed_by_the_rule_that_covers_it() {
    let stage = Stage::start(following(vec![rule(".body.id")]), &["a", "b"]).await;
    stage.set("a", Some(2));
    stage.set("b", Some(2));
    let mut other = changed("b");
    other["environment"] = json!("test");
    let started = Instant::now();
    publish(
        &stage,
        &[
            event("ci.thing.changed", &changed("a")),
            event("ci.thing.changed", &other),
            event("ci.other", &changed("b")),
        ],
    )
    .await;
    stage.has("a", Some(2)).await;
    println!("event to change: {:?}", started.elapsed());
    let mut gone = changed("a");
    gone["action"] = json!("deleted");
    stage.set("a", None);
    publish(&stage, &[event("ci.thing.deleted", &gone)]).await;
    stage.has("a", None).await;
    stage.has("b", Some(1)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thing_whose_deletion_is_followed_by_another_event_within_the_spacing_leaves_the_catalog() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut source = following(vec![rule(".body.id")]);
    source.refresh_spacing = Duration::from_secs(1);
    let stage = Stage::start(source, &names).await;
    stage.set("a", Some(2));
    publish(&stage, &[event("ci.thing.changed", &changed("a"))]).await;
    stage.has("a", Some(2)).await;
    stage.set("a", None);
    let mut gone = changed("a");
    gone["action"] = json!("deleted");
    publish(&stage, &[event("ci.thing.deleted", &gone)]).await;
    publish(&stage, &[event("ci.thing.changed", &changed("a"))]).await;
    stage.has("a", None).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_about_ten_things_are_some_tens_of_readings_the_last_after_the_last_event() {
    let names: Vec<String> = (0..10).map(|number| format!("t{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let stage = Stage::start(following(vec![rule(".body.id")]), &names).await;
    for burst in 0..20_u32 {
        for name in &names {
            stage.set(name, Some(100 + burst));
        }
        let events: Vec<NewEvent> = (0..500)
            .map(|number| event("ci.thing.changed", &changed(names[number % 10])))
            .collect();
        publish(&stage, &events).await;
    }
    for name in &names {
        stage.has(name, Some(119)).await;
    }
    println!("{} readings", stage.readings());
    assert!(stage.readings() <= 200, "{} readings", stage.readings());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_its_sender_held_back_is_found_by_looking_again() {
    let mut patient = rule(".body.id");
    patient.look_again = Some(Duration::from_secs(1));
    let stage = Stage::start(following(vec![patient]), &["a"]).await;
    stage.set("a", Some(2));
    publish(&stage, &[event("ci.thing.changed", &changed("a"))]).await;
    stage.has("a", Some(2)).await;
    // Within the sender's window: it says nothing of this one.
    stage.set("a", Some(3));
    stage.has("a", Some(3)).await;
    assert_eq!(stage.readings(), 2);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_fails_on_every_event_is_shown_and_holds_up_no_other() {
    let stage = Stage::start(following(vec![rule(".body.nothing"), rule(".body.id")]), &["a"]).await;
    for value in 2..5 {
        stage.set("a", Some(value));
        publish(&stage, &[event("ci.thing.changed", &changed("a"))]).await;
        stage.has("a", Some(value)).await;
    }
    // Each of the events has a job that tells of it.
    let all = EventFilter::default();
    let events = stage.store.list_events_after(EventSequence(0), &all, 1_000);
    let events = events.await.unwrap().events.into_iter().map(|event| event.head);
    let failed: Vec<_> = events.filter(|head| head.topic == "ci.thing.changed").collect();
    assert_eq!(failed.len(), 3);
    for head in failed {
        let shown = wait_until("the rule to be shown", LIMIT, async || {
            let state = job_state(&stage, &format!("things/rule/0/{}", head.sequence)).await;
            let parked =
                matches!(&state, Some((JobState::Parked, Some(why))) if why.contains("values.id is absent or null"));
            ensure!(parked, "{state:?}");
            Ok(())
        });
        shown.await.unwrap();
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_an_event_becomes_a_change_as_on_sqlite() {
    let test = "on_postgres_an_event_becomes_a_change_as_on_sqlite";
    let Some(database) = servers::database(test).await.unwrap() else {
        return;
    };
    // On NATS too, where there is one.
    let nats = servers::nats(test).await.unwrap();
    let queue = match &nats {
        Some((url, _)) => format!("{url}?prefix=t{:x}&max_bytes=1048576", rand::random::<u64>()),
        None => "in-process".to_owned(),
    };
    let yaml = format!("store: {}\nqueue: \"{queue}\"\n", database.url());
    let fleet = tideline_config::parse(&yaml, Path::new("t.yaml"), &|_| None).unwrap();
    let role = Mode::Role {
        command: "test".to_owned(),
    };
    let opened = open_store(&fleet, &role).await.unwrap();
    let queue = open_queue(&fleet).await.unwrap();
    let stage = Stage::on(
        Arc::clone(&opened.store),
        queue,
        following(vec![rule(".body.id")]),
        &["a", "b"],
    )
    .await;
    for value in 2..7 {
        stage.set("a", Some(value));
        let started = Instant::now();
        publish(&stage, &[event("ci.thing.changed", &changed("a"))]).await;
        stage.has("a", Some(value)).await;
        println!("event to change: {:?}", started.elapsed());
    }
    stage.stop().await;
    drop(nats);
}
