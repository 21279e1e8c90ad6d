//! `tideline targets`: beside the store and over HTTP the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::net::TcpListener;

use serde_json::json;
use support::{FILES, Home};

/// A process with a target that nothing listens for.
#[test]
fn a_target_is_listed_shown_paused_and_resumed() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, nobody) = (free(), free());
    let config = format!(
        "{}targets:\n  - name: mocks\n    type: microcks\n    base_url: http://{nobody}\n",
        FILES.replace("listen: none", &format!("listen: {address}"))
    );
    let home = Home::with(&config);
    home.record(1, "first");
    let none = home.run(&["migrate"]).with_code(0);
    assert!(none.err.is_empty(), "{none:?}");
    let empty = home.run(&["targets"]).with_code(0);
    assert!(empty.out.contains("No targets yet"), "{empty:?}");

    let _run = home.start(&["run"]);
    home.wait_for(&["targets", "show", "mocks"], |said| said.code == 0);
    let url = format!("http://{address}");
    home.wait_for(&["health", &format!("{url}/livez")], |said| said.code == 0);
    let paused = home
        .run(&["targets", "pause", "mocks", "--reason", "upgrade", "--server", &url])
        .with_code(0);
    assert!(paused.out.contains("tideline targets resume"), "{paused:?}");
    for place in [&["targets"][..], &["targets", "--server", &url]] {
        let listed = home.run(place).with_code(0);
        assert!(
            listed.out.contains("mocks") && listed.out.contains("paused"),
            "{listed:?}"
        );
    }
    let shown = home.run(&["targets", "show", "mocks", "--json"]).with_code(0).json();
    assert_eq!(
        (&shown["target"]["state"], &shown["failing"], &shown["objects"]),
        (&json!("paused"), &json!([]), &json!([]))
    );
    let resumed = home.run(&["targets", "resume", "mocks", "--json"]).with_code(0).json();
    assert_eq!(resumed, json!({"target": "mocks", "act": "resume"}));
    let twice = home.run(&["targets", "resume", "mocks"]).with_code(6);
    assert!(twice.err.contains("is not paused"), "{twice:?}");
    home.run(&["targets", "resync", "mocks"]).with_code(0);
    let unknown = home.run(&["targets", "show", "moks"]).with_code(5);
    assert!(unknown.err.contains("did you mean mocks?"), "{unknown:?}");
    let log = home.run(&["audit", "--json"]).with_code(0).json();
    let acts: Vec<&str> = (log["items"].as_array().unwrap().iter())
        .map(|entry| entry["act"].as_str().unwrap())
        .collect();
    assert_eq!(
        acts,
        ["targets.resync", "targets.resume", "targets.resume", "targets.pause"]
    );
    assert_eq!(log["items"][3]["arguments"]["reason"], "upgrade");
}
