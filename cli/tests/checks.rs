//! A source is compared with the catalog without a cycle, on a schedule of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};
use support::{FILES, Home};

fn entities(home: &Home) -> usize {
    let list = home.run(&["entities", "list", "--json"]).with_code(0).json();
    list["items"].as_array().unwrap().len()
}

#[test]
fn a_check_finds_drift_between_two_cycles_and_changes_nothing() {
    let config = FILES.replace("rest: 1h", "rest: 1h\n    check: { schedule: \"* * * * * *\" }");
    let home = Home::with(&config);
    for number in 0..10 {
        home.record(number, "first");
    }
    home.run(&["run", "--once"]).with_code(0);
    home.record(10, "new");
    home.record(3, "second");
    home.remove_record(7);
    let _run = home.start(&["run"]);
    // A check may have been due before anything was changed.
    let newest = check(&home, |newest| newest["missing"] != 0 && newest["failure"].is_null());
    assert_eq!(
        (&newest["missing"], &newest["extra"], &newest["diverged"]),
        (&json!(1), &json!(1), &json!(1)),
        "{newest}"
    );
    assert_eq!(
        newest["differences"][0],
        json!({"ref": "component:default/c10", "drift": "missing"})
    );
    assert_eq!(entities(&home), 10, "a check changed the catalog");
    let told = home
        .run(&["events", "--topic", "drift.found", "--json"])
        .with_code(0)
        .json();
    assert!(!told["items"].as_array().unwrap().is_empty(), "{told}");
    let shown = home.run(&["drift", "folder", "--checks"]).with_code(0);
    assert!(
        shown.out.contains("component:default/c10") && shown.out.contains("missing"),
        "{shown:?}"
    );
}

/// The newest check of the folder that is as wanted.
fn check(home: &Home, wanted: impl Fn(&Value) -> bool) -> Value {
    let checks = home.wait_for(&["drift", "folder", "--checks", "--json"], |said| {
        said.code == 0 && said.json()["items"][0].is_object() && wanted(&said.json()["items"][0])
    });
    checks.json()["items"][0].clone()
}

#[test]
fn what_one_check_alone_has_missed_is_unconfirmed_and_not_extra() {
    let two = "rest: 1h\n    removals: { confirm_cycles: 2 }\n    check: { schedule: \"* * * * * *\" }";
    let home = Home::with(&FILES.replace("rest: 1h", two));
    for number in 0..10 {
        home.record(number, "first");
    }
    home.run(&["run", "--once"]).with_code(0);
    home.remove_record(7);
    let running = home.start(&["run"]);
    // The process before may have made a check, too.
    let newest = check(&home, |check| check["unconfirmed"] == 1);
    assert_eq!(
        (&newest["extra"], &newest["unconfirmed"], &newest["differences"]),
        (&json!(0), &json!(1), &json!([])),
        "{newest}"
    );
    let shown = home.run(&["drift", "folder", "--checks"]).with_code(0);
    assert!(shown.out.contains("UNCONFIRMED"), "{shown:?}");
    let told = home.run(&["events", "--topic", "drift.found", "--json"]).with_code(0);
    assert_eq!(told.json()["items"], json!([]), "nothing is known to be gone");
    // A cycle that misses it too: now the next check is the second reading without it.
    home.run(&["sources", "refresh", "folder"]).with_code(0);
    let newest = check(&home, |check| check["extra"] == 1);
    assert_eq!(
        (&newest["unconfirmed"], &newest["differences"]),
        (&json!(0), &json!([{"ref": "component:default/c7", "drift": "extra"}])),
        "{newest}"
    );
    drop(running);
    assert_eq!(entities(&home), 10, "one cycle without it removes nothing");
}

/// An API of one page of one item. While it is busy it wants to be left alone for an hour.
struct Busy {
    url: String,
    busy: Arc<AtomicBool>,
    refused: Arc<AtomicU32>,
}

impl Busy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            busy: Arc::default(),
            refused: Arc::default(),
        };
        let (busy, refused) = (Arc::clone(&api.busy), Arc::clone(&api.refused));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 8192]);
                let (head, body) = if busy.load(Ordering::SeqCst) {
                    refused.fetch_add(1, Ordering::SeqCst);
                    ("429 Too Many Requests\r\nretry-after: 3600", "")
                } else {
                    ("200 OK\r\ncontent-type: application/json", r#"[{"name":"a"}]"#)
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        api
    }
}

#[test]
fn what_a_source_asks_of_a_check_holds_for_the_fleet_too() {
    let api = Busy::start();
    let home = Home::with(&format!(
        "store: sqlite://t.db
listen: none
sources:
  - name: api
    type: http
    base_url: {}
    rest: 1h
    check: {{ schedule: \"* * * * * *\" }}
    resources:
      - name: items
        path: items
        items: .[]
        pagination: {{ type: none }}
        entity: {{ kind: '\"component\"', name: .name }}
",
        api.url
    ));
    home.run(&["run", "--once"]).with_code(0);
    assert_eq!(entities(&home), 1);
    api.busy.store(true, Ordering::SeqCst);
    let _run = home.start(&["run"]);
    let held = home.wait_for(&["sources", "show", "api", "--json"], |said| {
        said.code == 0 && said.json()["source"]["hold_until"].is_string()
    });
    assert_eq!(held.json()["source"]["cycle"], 1, "only a check can have met the limit");
    assert_eq!(api.refused.load(Ordering::SeqCst), 1, "the source was not left alone");
    let plan = home.run(&["plan", "api", "--timeout", "2"]).with_code(7);
    assert!(plan.err.contains("2 s"), "{plan:?}");
    assert_eq!(
        api.refused.load(Ordering::SeqCst),
        1,
        "a plan asked although the fleet is to wait"
    );
}

#[test]
fn a_source_that_cannot_be_read_is_recorded_and_nothing_counts_as_extra() {
    let home = Home::with(&FILES.replace("rest: 1h", "rest: 1h\n    check: { schedule: \"* * * * * *\" }"));
    home.record(1, "first");
    home.run(&["run", "--once"]).with_code(0);
    std::fs::rename(home.path("records"), home.path("elsewhere")).unwrap();
    let _run = home.start(&["run"]);
    // The run before may have had the time for a check, which found the folder.
    let checks = home.wait_for(&["drift", "folder", "--checks", "--json"], |said| {
        said.code == 0 && said.json()["items"][0]["failure"].is_string()
    });
    let newest = checks.json()["items"][0].clone();
    assert_eq!(
        (&newest["extra"], &newest["missing"]),
        (&json!(0), &json!(0)),
        "{newest}"
    );
    assert_eq!(entities(&home), 1);
}
