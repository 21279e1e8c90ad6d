//! The log of events, deliveries and subscriptions by command.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::json;
use support::Home;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{DeliveryId, NewEvent, Verdict};
use tideline_store::EventStore;
use tideline_store::sqlite::SqliteStore;

/// A folder whose source was read, and that got a webhook.
fn home_with_delivery() -> Home {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let path = home.path("t.db").display().to_string();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open_existing(&path).await.unwrap();
        let event = NewEvent {
            topic: "github.push".to_owned(),
            key: "acme/web".to_owned(),
            delivery: Some(DeliveryId {
                hook: "github".to_owned(),
                id: "72d3162e".to_owned(),
            }),
            verdict: Verdict::Verified,
            malformed: false,
            headers: vec![("x-github-event".to_owned(), "push".to_owned())],
            body: br#"{"ref":"refs/heads/main","big":123456789012345678901234567890}"#.to_vec(),
            trace: None,
        };
        store.append_events(&[event], SystemClock.now()).await.unwrap();
    });
    home
}

#[test]
fn events_are_listed_by_topic_and_followed_from_a_moment() {
    let home = home_with_delivery();
    let all = home.run(&["events", "--json"]).with_code(0).json();
    let topics: Vec<&str> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["topic"].as_str().unwrap())
        .collect();
    assert_eq!(topics, ["github.push", "cycle.completed", "cycle.started"]);
    let cycles = home.run(&["events", "--topic", "cycle.*", "--limit", "1"]).with_code(0);
    assert!(
        cycles.out.contains("cycle.completed") && cycles.out.contains("--page-token"),
        "{cycles:?}"
    );
    let future = home
        .run(&["events", "--since", "2100-01-01T00:00:00Z", "--json"])
        .with_code(0)
        .json();
    assert_eq!(future, json!({"items": []}));
    let followed = home
        .run(&["events", "--follow", "--since", "1h", "--limit", "3", "--json"])
        .with_code(0);
    assert_eq!(followed.out.lines().count(), 3);
    assert!(followed.out.contains("123456789012345678901234567890"), "{followed:?}");
    home.run(&["events", "--topic", "no topic"]).with_code(2);
}

#[test]
fn a_delivery_is_shown_and_replayed_under_an_id_of_its_own() {
    let home = home_with_delivery();
    let list = home.run(&["deliveries", "--json"]).with_code(0).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let shown = home.run(&["deliveries", "show", &id]).with_code(0);
    assert!(
        shown.out.contains("x-github-event") && shown.out.contains("refs/heads/main"),
        "{shown:?}"
    );
    let copy = home.run(&["deliveries", "replay", &id, "--json"]).with_code(0).json();
    assert_eq!(
        (&copy["topic"], &copy["hook"]),
        (&json!("github.push"), &json!("github"))
    );
    assert!(copy["delivery"].as_str().unwrap().starts_with("72d3162e~"), "{copy}");
    let list = home
        .run(&["deliveries", "list", "--hook", "github", "--json"])
        .with_code(0)
        .json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    // What Tideline tells of itself is not a delivery.
    let refused = home.run(&["deliveries", "replay", "1"]).with_code(6);
    assert!(refused.err.contains("cannot be replayed"), "{refused:?}");
    home.run(&["deliveries", "show", "999"]).with_code(5);
}

#[test]
fn a_subscription_is_made_paused_replayed_and_forgotten() {
    let home = home_with_delivery();
    let none = home.run(&["subscriptions"]).with_code(0);
    assert!(none.out.contains("No subscriptions yet"), "{none:?}");
    home.run(&[
        "subscriptions",
        "create",
        "ci",
        "--topic",
        "github.*",
        "--from",
        "beginning",
    ])
    .with_code(0);
    let shown = home.run(&["subscriptions", "show", "ci", "--json"]).with_code(0).json();
    assert_eq!(
        (&shown["topics"], &shown["state"]),
        (&json!(["github.*"]), &json!("active"))
    );
    home.run(&["subscriptions", "pause", "ci"]).with_code(0);
    let listed = home.run(&["subscriptions"]).with_code(0);
    assert!(listed.out.contains("paused"), "{listed:?}");
    home.run(&["subscriptions", "resume", "ci", "--quiet"]).with_code(0);
    home.run(&["subscriptions", "replay", "ci", "--from", "now"])
        .with_code(0);
    home.run(&["subscriptions", "replay", "ci", "--from", "yesterday"])
        .with_code(2);
    let letters = home.run(&["dead-letters", "list", "ci"]).with_code(0);
    assert!(letters.out.contains("No dead letters."), "{letters:?}");
    let replayed = home
        .run(&["dead-letters", "replay", "ci", "--all", "--json"])
        .with_code(0)
        .json();
    assert_eq!(replayed, json!({"retried": 0}));
    home.run(&["dead-letters", "drop", "ci", "--all"]).with_code(6);
    home.run(&["dead-letters", "drop", "ci", "4711", "--yes"]).with_code(5);
    home.run(&["subscriptions", "delete", "ci"]).with_code(6);
    home.run(&["subscriptions", "delete", "ci", "--yes"]).with_code(0);
    home.run(&["subscriptions", "show", "ci"]).with_code(5);
    let audit = home.run(&["audit", "--json"]).with_code(0).out;
    for act in [
        "subscriptions.put",
        "subscriptions.pause",
        "subscriptions.replay",
        "subscriptions.delete",
    ] {
        assert!(audit.contains(act), "{act}: {audit}");
    }
}
