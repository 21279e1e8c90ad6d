//! `tideline subscriptions create`: pushes and notifications.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::json;
use support::{FILES, Home};

fn home() -> Home {
    let home = Home::with(&format!("secret_key: \"{}\"\n{FILES}", "07".repeat(32)));
    home.run(&["migrate"]).with_code(0);
    home
}

#[test]
fn the_secret_of_a_push_is_the_only_thing_on_standard_output() {
    let home = home();
    let create = [
        "subscriptions",
        "create",
        "audit",
        "--topic",
        "sweep.*",
        "--push",
        "https://example.com/in?key=hidden",
    ];
    let made = home.run(&create).with_code(0);
    let secret = made.out.trim();
    assert!(
        secret.starts_with("whsec_") && !secret.contains(char::is_whitespace),
        "{made:?}"
    );
    assert!(
        made.err.contains("shown only once") && !made.err.contains(secret),
        "{made:?}"
    );
    let again = home.run(&create).with_code(0);
    assert!(!again.out.contains("whsec_"), "{again:?}");
    let shown = home.run(&["subscriptions", "show", "audit", "--json"]).with_code(0);
    assert!(
        !shown.out.contains(secret) && !shown.out.contains("hidden"),
        "{shown:?}"
    );
    assert_eq!(shown.json()["topics"], json!(["sweep.*"]));
    assert_eq!(shown.json()["push"]["format"], "event");
    let listed = home.run(&["subscriptions"]).with_code(0);
    assert!(listed.out.contains("push"), "{listed:?}");
}

#[test]
fn the_url_of_a_chat_is_read_from_standard_input_and_shown_nowhere() {
    let home = home();
    let create = ["subscriptions", "create", "ops", "--notify", "slack"];
    let url = "https://hooks.slack.com/services/T0/B0/hidden";
    let made = home.run_with(&create, &format!("{url}\n"), &[]).with_code(0);
    assert!(!format!("{made:?}").contains("hidden"), "{made:?}");
    let shown = home.run(&["subscriptions", "show", "ops", "--json"]).with_code(0);
    assert!(!shown.out.contains("hidden"), "{shown:?}");
    assert_eq!(shown.json()["push"]["format"], "slack");
    let nothing = home.run_with(&create, "", &[]);
    assert_eq!(nothing.code, 2, "{nothing:?}");
}

#[test]
fn a_push_that_cannot_be_made_is_refused_with_what_to_do() {
    let home = home();
    for (url, part) in [
        ("ftp://example.com/", "push.url"),
        ("https://169.254.169.254/latest", "169.254.169.254"),
    ] {
        let refused = home.run(&["subscriptions", "create", "x", "--push", url]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains(part), "{refused:?}");
    }
    let both = [
        "subscriptions",
        "create",
        "x",
        "--push",
        "https://a.example",
        "--notify",
        "text",
    ];
    home.run(&both).with_code(2);
    home.run(&["subscriptions", "show", "x"]).with_code(5);
    let keyless = Home::with_files();
    keyless.run(&["migrate"]).with_code(0);
    let refused = keyless.run(&["subscriptions", "create", "x", "--push", "https://a.example"]);
    assert!(
        refused.code != 0 && refused.err.contains("TIDELINE_SECRET_KEY"),
        "{refused:?}"
    );
}
