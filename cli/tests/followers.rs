//! Commands that run until Ctrl-C, while the gateway restarts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{BufRead, BufReader};

use nix::sys::signal::Signal;
use support::{FILES, Home, free_address};

#[test]
fn a_follower_goes_on_where_it_stood_when_the_gateway_is_back() {
    let address = free_address();
    let home = Home::with(&FILES.replace("listen: none", &format!("listen: {address}")));
    let url = format!("http://{address}");
    let ready = || home.wait_for(&["health", &format!("{url}/livez")], |said| said.code == 0);
    home.record(0, "first");
    let run = home.start(&["run"]);
    ready();

    let follow = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--json", "--server", &url]);
        home.start(&all)
    };
    let mut changes = follow(&["changes", "--follow", "--limit", "2"]);
    // Its first line shows that it follows.
    let mut lines = BufReader::new(changes.child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("c0"));
    let mut errors = BufReader::new(changes.child.stderr.take().unwrap()).lines();

    run.signal(Signal::SIGTERM);
    run.end();
    let lost = errors.next().unwrap().unwrap();
    assert!(lost.contains("lost the server"), "{lost}");
    home.record(1, "second");
    let _run = home.start(&["run"]);
    ready();
    home.run(&["sources", "refresh", "folder", "--server", &url])
        .with_code(0);
    let second = lines.next().unwrap().unwrap();
    assert!(second.contains("c1"), "{second}");
    let back = errors.next().unwrap().unwrap();
    assert!(back.contains("the server is back"), "{back}");
    assert_eq!(changes.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_follower_of_a_server_that_never_answered_ends_at_once() {
    let home = Home::empty();
    let url = format!("http://{}", free_address());
    for command in [
        &["changes", "--follow"][..],
        &["events", "--follow"],
        &["status", "--watch"],
    ] {
        let mut all = command.to_vec();
        all.extend(["--server", &url]);
        let said = home.run(&all).with_code(1);
        assert!(said.err.contains("cannot be reached"), "{said:?}");
    }
}

#[test]
fn migrate_refuses_a_server_and_makes_no_store() {
    let home = Home::empty();
    let said = home.run(&["migrate", "--server", "http://127.0.0.1:9"]).with_code(2);
    assert!(said.err.contains("not through a gateway"), "{said:?}");
    assert!(!home.path("tideline.db").exists());
}

#[test]
fn a_server_that_is_given_with_v1_says_what_to_check() {
    let address = free_address();
    let home = Home::with(&FILES.replace("listen: none", &format!("listen: {address}")));
    let _run = home.start(&["run"]);
    let url = format!("http://{address}");
    home.wait_for(&["health", &format!("{url}/livez")], |said| said.code == 0);
    let said = home.run(&["status", "--server", &format!("{url}/v1")]).with_code(1);
    assert!(said.err.contains("check --server"), "{said:?}");
}
