//! Drift: what a full cycle finds changed although no event told of it, and what becomes of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::{Value, json};
use support::{FILES, Home};

/// A source with this policy, whose first cycle is over and whose folder has changed since: one record is new, one is
/// gone, one differs.
fn changed_home(policy: &str) -> Home {
    let home = Home::with(&format!("{FILES}    drift: {policy}\n"));
    for number in 0..10 {
        home.record(number, "first");
    }
    home.run(&["run", "--once"]).with_code(0);
    home.record(10, "new");
    home.record(3, "second");
    home.remove_record(7);
    home
}

fn entities(home: &Home) -> usize {
    let all = home.run(&["entities", "list", "--all", "--json"]).with_code(0).json();
    all["items"].as_array().unwrap().len()
}

fn found(home: &Home) -> Value {
    home.run(&["drift", "folder", "--json"]).with_code(0).json()["items"][0].clone()
}

#[test]
fn drift_is_shown_told_and_reconciled() {
    let home = changed_home("reconcile");
    let none = home.run(&["drift", "folder"]).with_code(0);
    assert!(none.out.contains("from the second complete cycle on"), "{none:?}");
    home.run(&["run", "--once"]).with_code(0);
    assert_eq!(entities(&home), 10);
    let drift = found(&home);
    assert_eq!(
        (&drift["cycle"], &drift["missing"], &drift["extra"], &drift["diverged"]),
        (&json!(2), &json!(1), &json!(1), &json!(1)),
        "{drift}"
    );
    assert_eq!(
        drift["differences"][0],
        json!({"ref": "component:default/c7", "drift": "extra"})
    );
    let shown = home.run(&["drift", "folder"]).with_code(0);
    assert!(
        shown.out.contains("component:default/c3") && shown.out.contains("diverged"),
        "{shown:?}"
    );

    let told = home
        .run(&[
            "events", "--topic", "drift.*", "--follow", "--since", "1h", "--limit", "1", "--json",
        ])
        .with_code(0)
        .json();
    assert_eq!(told["body"]["source"], "folder");
    assert_eq!(told["body"]["differences"], drift["differences"]);

    home.run(&["sources", "refresh", "folder"]).with_code(0);
    home.run(&["run", "--once"]).with_code(0);
    assert_eq!(found(&home)["missing"], 0);
    let events = home
        .run(&["events", "--topic", "drift.found", "--json"])
        .with_code(0)
        .json();
    assert_eq!(events["items"].as_array().unwrap().len(), 1, "nothing drifted since");
    home.run(&["drift", "nobody"]).with_code(5);
}

#[test]
fn drift_that_is_held_deletes_nothing_before_a_person_approves() {
    let home = changed_home("hold");
    let held = home.run(&["run", "--once"]).with_code(3);
    assert!(held.out.contains("no event reported it"), "{held:?}");
    assert_eq!(entities(&home), 11, "what is new is there, what is gone too");
    assert_eq!(found(&home)["extra"], 1);
    home.run(&["sources", "approve", "folder", "--yes"]).with_code(0);
    home.run(&["run", "--once"]).with_code(0);
    assert_eq!(entities(&home), 10);
}

#[test]
fn drift_that_is_only_reported_deletes_nothing_and_holds_nothing() {
    let home = changed_home("report");
    for number in 4..7 {
        home.remove_record(number);
    }
    home.run(&["run", "--once"]).with_code(0);
    assert_eq!(entities(&home), 11);
    let shown = home.run(&["sources", "show", "folder"]).with_code(0);
    assert!(shown.out.contains("4 entities are kept (drift: report)"), "{shown:?}");
    assert_eq!(found(&home)["extra"], 4);
}

#[test]
fn a_source_without_rules_is_not_compared_with_events() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.record(3, "second");
    home.run(&["run", "--once"]).with_code(0);
    let drifts = home.run(&["drift", "folder", "--json"]).with_code(0).json();
    assert_eq!(drifts, json!({"items": []}));
    let wrong = Home::with(&format!("{FILES}    drift: repair\n"));
    let said = wrong.run(&["check"]).with_code(2);
    assert!(said.err.contains("drift") && said.err.contains("reconcile"), "{said:?}");
}

#[test]
fn an_entity_is_compared_with_a_fresh_reading_of_its_source() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.record(3, "second");
    home.remove_record(4);
    let differs = home.run(&["entities", "diff", "component:default/c3"]).with_code(8);
    assert!(
        differs.out.contains("fresh reading") && differs.out.contains(".metadata.title"),
        "{differs:?}"
    );
    let gone = home
        .run(&["entities", "diff", "component:default/c4", "--json"])
        .with_code(8)
        .json();
    assert_eq!(gone["change"], "removed");
    home.run(&["entities", "diff", "component:default/c5"]).with_code(0);
    home.run(&["entities", "diff", "component:default/c99"]).with_code(5);
    assert_eq!(entities(&home), 10, "nothing was written");
}
