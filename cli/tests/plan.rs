//! `tideline plan` says what the next cycle does, and does nothing; `tideline try` reads a page.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};
use support::{Home, Said};

/// Every step of a plan in JSON, and its summary.
fn steps(said: &Said) -> (Vec<Value>, Value) {
    let mut records: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = records.pop().unwrap();
    (records, last["summary"].clone())
}

/// Everything that operators can see of the store.
fn everything(home: &Home) -> Vec<Value> {
    [
        &["sources", "show", "folder"][..],
        &["jobs"],
        &["entities", "list", "--all"],
        &["changes", "--limit", "1000"],
    ]
    .iter()
    .map(|arguments| {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        home.run(&arguments).with_code(0).json()
    })
    .collect()
}

#[test]
fn a_plan_says_what_the_next_cycle_does_and_writes_nothing() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.record(10, "new");
    home.record(3, "second");
    home.remove_record(7);
    let before = everything(&home);

    let plan = home.run(&["plan", "folder", "--json"]).with_code(8);
    let (steps, summary) = steps(&plan);
    assert_eq!(
        steps,
        [
            json!({"change": "added", "ref": "component:default/c10"}),
            json!({"change": "modified", "ref": "component:default/c3", "differences": [
                {"path": ".metadata.title", "before": "first", "after": "second"}
            ]}),
            json!({"change": "removed", "ref": "component:default/c7"}),
        ]
    );
    assert_eq!(
        (
            &summary["added"],
            &summary["modified"],
            &summary["removed"],
            &summary["unchanged"]
        ),
        (&json!(1), &json!(1), &json!(1), &json!(8))
    );
    assert_eq!(summary["sweep"], json!({"decision": "sweep"}));
    assert_eq!(everything(&home), before, "the plan wrote to the store");

    let text = home.run(&["plan", "folder"]).with_code(8).out;
    for part in [
        "+ component:default/c10\n",
        "~ component:default/c3\n    .metadata.title: \"first\" → \"second\"\n",
        "- component:default/c7\n",
        "Plan for folder: 1 to add, 1 to modify, 1 to remove, 8 unchanged",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }

    home.run(&["run", "--once"]).with_code(0);
    let shown = home.run(&["sources", "show", "folder", "--json"]).with_code(0).json();
    let totals = &shown["cycles"][0]["totals"];
    assert_eq!(
        (&totals["added"], &totals["modified"], &totals["removed"]),
        (&json!(1), &json!(1), &json!(1)),
        "the cycle did not do what the plan said"
    );
    let nothing = home.run(&["plan", "folder", "--summary"]).with_code(0);
    assert!(
        nothing.out.contains("0 to add, 0 to modify, 0 to remove, 10 unchanged"),
        "{nothing:?}"
    );
}

#[test]
fn a_plan_before_the_first_cycle_adds_everything_and_makes_no_store() {
    let home = Home::with_files();
    let plan = home.run(&["plan", "folder", "--summary", "--json"]).with_code(8).json();
    assert_eq!((&plan["added"], &plan["owned"]), (&json!(10), &json!(0)));
    assert!(!home.path("t.db").exists(), "the plan made a store");
}

#[test]
fn a_plan_says_that_the_guard_would_hold_the_sweep() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    for number in 0..5 {
        home.remove_record(number);
    }
    let plan = home.run(&["plan", "folder"]).with_code(8);
    assert!(
        plan.out
            .contains("The sweep would be held for approval: would delete 50.0 % (5 of 10)"),
        "{plan:?}"
    );
}

#[test]
fn a_plan_and_a_cycle_agree_that_what_is_new_makes_no_removal_smaller() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    for number in 0..10 {
        home.remove_record(number);
    }
    for number in 100..160 {
        home.record(number, "second");
    }
    let plan = home.run(&["plan", "folder", "--summary", "--json"]).with_code(8).json();
    let reason = plan["sweep"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("100.0 % (10 of 10)"), "{plan}");
    home.run(&["run", "--once"]);
    let source = home.run(&["sources", "show", "folder", "--json"]).json();
    assert_eq!(source["source"]["entities"], 70, "{source}");
    let held = source.to_string();
    assert!(held.contains("100.0 % (10 of 10, besides 60 new ones)"), "{held}");
    // Until a person decides, it stays held, and the plan says so.
    for number in 160..163 {
        home.record(number, "third");
        let plan = home.run(&["plan", "folder", "--summary", "--json"]).with_code(8).json();
        assert_eq!(plan["sweep"]["decision"], "hold", "{plan}");
        home.run(&["run", "--once"]);
        let source = home.run(&["sources", "show", "folder", "--json"]).json();
        assert_eq!(source["source"]["held"]["would_remove"], 10, "{source}");
    }
    // A person who rejects it is not told of it again.
    home.run(&["sources", "reject", "folder"]).with_code(0);
    let plan = home.run(&["plan", "folder", "--summary", "--json"]).with_code(0).json();
    assert_eq!(
        (&plan["removed"], &plan["sweep"]["decision"]),
        (&json!(0), &json!("nothing"))
    );
}

#[test]
fn a_plan_says_how_many_cycles_must_miss_what_the_next_one_only_begins_to_miss() {
    let home = Home::with_files();
    let yaml = std::fs::read_to_string(home.path("tideline.yaml")).unwrap();
    home.write(
        "tideline.yaml",
        &format!("{yaml}    removals: {{ confirm_cycles: 2 }}\n"),
    );
    home.run(&["run", "--once"]).with_code(0);
    for number in 0..5 {
        home.remove_record(number);
    }
    for (decision, code) in [("confirm", 0), ("hold", 8)] {
        let plan = home.run(&["plan", "folder", "--summary", "--json"]);
        let plan = plan.with_code(code).json();
        let found = (&plan["removed"], &plan["sweep"]["decision"]);
        assert_eq!(found, (&json!(5), &json!(decision)), "{plan}");
        home.run(&["run", "--once"]);
    }
}

#[test]
fn a_plan_of_a_reference_that_two_partitions_show_has_the_winner_of_the_cycles() {
    let resources = "      - { name: teams, path: teams, entity: none }\n      - { name: svc, parent: teams, values: { id: .id \
                     }, path: \"svc/{id}\", entity: { kind: service, name: .name } }\n";
    let answers = vec![
        ("/teams", r#"[{"id": "a"}, {"id": "b"}]"#),
        ("/svc/a", r#"[{"name": "web", "from": "a"}]"#),
        ("/svc/b", r#"[{"name": "web", "from": "b"}]"#),
    ];
    let home = home_with_answers(resources, answers);
    for _ in 0..3 {
        home.run(&["run", "--once"]).with_code(0);
    }
    let plan = home.run(&["plan", "api", "--json"]).with_code(0);
    assert_eq!(steps(&plan).0, Vec::<Value>::new());
}

#[test]
fn a_plan_knows_what_drift_policies_keep() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.remove_record(0);
    let yaml = std::fs::read_to_string(home.path("tideline.yaml")).unwrap();
    for (policy, decision, code) in [("hold", "hold", 8), ("report", "keep", 0)] {
        home.write("tideline.yaml", &format!("{yaml}    drift: {policy}\n"));
        let plan = home
            .run(&["plan", "folder", "--summary", "--json"])
            .with_code(code)
            .json();
        let found = (&plan["removed"], &plan["sweep"]["decision"]);
        assert_eq!(found, (&json!(1), &json!(decision)), "{policy}");
    }
}

#[test]
fn a_plan_of_a_source_that_cannot_be_read_whole_says_that_removals_may_be_kept() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.write("records/c4.yaml", "kind: Component\nmetadata: {}\n");
    let plan = home.run(&["plan", "folder", "--summary", "--json"]);
    let summary = plan.json();
    assert_eq!(summary["malformed"], 1, "{plan:?}");
    // A malformed item without a name: whose entity it is cannot be told.
    assert_eq!(summary["sweep"]["decision"], "incomplete", "{plan:?}");
    assert_eq!(plan.code, 4);
}

#[test]
fn a_plan_of_a_source_that_is_not_configured_names_those_that_are() {
    let home = Home::with_files();
    let plan = home.run(&["plan", "foldr"]).with_code(5);
    assert!(
        plan.err
            .contains("source foldr is not in the configuration; it has folder"),
        "{plan:?}"
    );
}

/// The demo's API on a port of its own, and a source that reads it with a token.
fn home_with_api() -> (Home, support::Running) {
    let home = Home::empty();
    let api = [
        "demo-api",
        "--listen",
        "127.0.0.1:0",
        "--calm",
        "--latency",
        "0",
        "--entities",
        "300",
    ];
    let mut api = home.start(&api);
    let mut line = String::new();
    let mut reader = BufReader::new(api.child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    let url = line.split_whitespace().last().unwrap();
    home.write(
        "tideline.yaml",
        &format!(
            "store: sqlite://t.db\nlisten: none\nsources:\n  - name: api\n    type: http\n    base_url: {url}\n    \
             auth: {{ bearer: hunter2-and-more }}\n    resources:\n      - name: organisations\n        path: organisations\n        \
             pagination: {{ type: link_header }}\n        entity: {{ kind: '\"organisation\"', name: .name }}\n      \
             - name: projects\n        parent: organisations\n        values: {{ organisation: .name }}\n        \
             path: organisations/{{organisation}}/projects\n        pagination: {{ type: next_url, next: .next_url }}\n        \
             items: .projects\n        entity: {{ kind: '\"project\"', namespace: .organisation, name: .name }}\n"
        ),
    );
    (home, api)
}

#[test]
fn trying_a_source_shows_the_request_without_its_secret_and_the_entities() {
    let (home, _api) = home_with_api();
    let said = home.run(&["try", "api"]).with_code(0);
    for part in [
        "> GET http://127.0.0.1:",
        "/v1/organisations",
        "> authorization: ",
        "< 200 in ",
        "+ organisation:default/",
    ] {
        assert!(said.out.contains(part), "{part:?} is not in {said:?}");
    }
    assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
    assert!(!home.path("t.db").exists(), "it needs no store");
}

#[test]
fn trying_a_resource_goes_by_way_of_its_parents() {
    let (home, _api) = home_with_api();
    let said = home
        .run(&["try", "api", "--resource", "projects", "--json"])
        .with_code(0)
        .json();
    let page = &said["pages"][0];
    assert!(page["partition"].as_str().unwrap().starts_with("projects/"), "{page}");
    assert!(
        page["entities"][0]["ref"].as_str().unwrap().starts_with("project:"),
        "{page}"
    );
    assert!(
        page["requests"][0]["url"].as_str().unwrap().ends_with("/projects"),
        "{page}"
    );
    assert!(page["entities"][0]["body"].is_object(), "{page}");
    let few = home.run(&["try", "api", "--json", "--bodies", "0"]).with_code(0).json();
    let first = &few["pages"][0]["entities"][0];
    assert!(first["ref"].is_string() && first["body"].is_null(), "{first}");
    let unknown = home.run(&["try", "api", "--resource", "teams"]).with_code(5);
    assert!(unknown.err.contains("there are organisations, projects"), "{unknown:?}");
}

/// A source of resources at these addresses of a server that gives each path its answer.
fn home_with_answers(resources: &str, answers: Vec<(&'static str, &'static str)>) -> Home {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let home = Home::with(&format!(
        "store: sqlite://t.db\nlisten: none\nsources:\n  - name: api\n    type: http\n    base_url: {url}/\n    \
         resources:\n{resources}"
    ));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4_096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split_whitespace().nth(1).unwrap_or_default();
            let answer = answers.iter().find(|(known, _)| *known == path);
            let (status, body) = answer.map_or(("403 Forbidden", "{}"), |(_, body)| ("200 OK", *body));
            let head = "content-type: application/json\r\nconnection: close";
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    home
}

const THINGS: &str = "      - { name: things, path: things, pagination: { type: next_url, next: .next }, entity: { kind: thing, \
                      name: .id } }\n";

#[test]
fn trying_a_source_says_that_the_page_after_it_cannot_be_read() {
    let elsewhere = r#"{"items": [{"id": "a"}], "next": "https://elsewhere.example.com/things?page=2"}"#;
    let home = home_with_answers(THINGS, vec![("/things", elsewhere)]);
    let said = home.run(&["try", "api"]).with_code(4);
    assert!(said.out.contains("+ thing:default/a"), "{said:?}");
    assert!(!said.out.contains("This is the last page"), "{said:?}");
    assert!(said.err.contains("elsewhere.example.com"), "{said:?}");
    let said = home.run(&["try", "api", "--json"]).with_code(4);
    let page = &said.json()["pages"][0];
    assert!(
        page["failure"].as_str().unwrap().contains("elsewhere.example.com"),
        "{page}"
    );
    assert_eq!(page["entities"].as_array().unwrap().len(), 1);
}

#[test]
fn trying_a_source_says_that_several_items_give_one_reference() {
    let resources = "      - { name: things, path: things, entity: { kind: thing, name: name } }\n";
    let home = home_with_answers(resources, vec![("/things", r#"[{"name": "a"}, {"name": "b"}]"#)]);
    let said = home.run(&["try", "api"]).with_code(0);
    assert!(said.out.contains("1 entity, 1 malformed item,"), "{said:?}");
    assert!(
        said.out.contains("has the same reference, thing:default/name"),
        "{said:?}"
    );
    let check = home.run(&["check"]).with_code(0);
    assert!(
        check
            .out
            .contains("Warning: sources[0].resources[0].entity.name is the constant \"name\""),
        "{check:?}"
    );
}

#[test]
fn trying_pages_says_that_one_shows_what_another_one_showed() {
    let first = r#"{"items": [{"id": "a"}], "next": "/things?page=2"}"#;
    let second = r#"{"items": [{"id": "a"}, {"id": "b"}]}"#;
    let answers = vec![("/things", first), ("/things?page=2", second)];
    let said = home_with_answers(THINGS, answers)
        .run(&["try", "api", "--pages", "2"])
        .with_code(0);
    assert!(
        said.out
            .contains("on a page before this one gives the same reference, thing:default/a"),
        "{said:?}"
    );
}

#[test]
fn a_resource_beside_one_that_is_refused_can_be_tried() {
    let resources = "      - { name: first, path: first, entity: none }\n      - { name: second, path: second, entity: \
                     { kind: thing, name: .id } }\n      - { name: below, parent: second, values: { id: .id }, path: \
                     \"below/{id}\", entity: { kind: part, name: .id } }\n";
    let answers = vec![("/second", r#"[{"id": "a"}]"#), ("/below/a", r#"[{"id": "p"}]"#)];
    let home = home_with_answers(resources, answers);
    let second = home.run(&["try", "api", "--resource", "second"]).with_code(0);
    assert!(second.out.contains("+ thing:default/a"), "{second:?}");
    let below = home.run(&["try", "api", "--resource", "below"]).with_code(0);
    assert!(below.out.contains("+ part:default/p"), "{below:?}");
    let first = home.run(&["try", "api"]).with_code(4);
    assert!(first.err.contains("403"), "{first:?}");
}

#[test]
fn a_path_without_its_dot_is_a_mistake_with_a_hint() {
    let home = home_with_answers("      - { name: things, path: things, items: data }\n", vec![]);
    let check = home.run(&["check"]).with_code(2);
    assert!(check.err.contains("did you mean `.data`?"), "{check:?}");
}

#[test]
fn a_plan_follows_the_partitions_of_an_api() {
    let (home, _api) = home_with_api();
    let plan = home.run(&["plan", "api", "--summary", "--json"]).with_code(8).json();
    assert!(plan["partitions"].as_u64().unwrap() > 1, "{plan}");
    assert_eq!(plan["added"], plan["entities"], "{plan}");
    assert!(!home.path("t.db").exists());
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(&["completions", shell]).with_code(0).out;
        assert!(script.contains("entities") && script.contains("plan"), "{shell}");
    }
    assert!(home.run(&["man"]).with_code(0).out.contains("tideline"));
    home.run(&["man", "--dir", "pages"]).with_code(0);
    assert!(home.path("pages/tideline-plan.1").exists());
}

#[test]
fn init_writes_a_configuration_that_can_be_tried() {
    let (home, api) = home_with_api();
    let config = std::fs::read_to_string(home.path("tideline.yaml")).unwrap();
    let base = config
        .lines()
        .find_map(|line| line.trim().strip_prefix("base_url: "))
        .unwrap();
    let url = format!("{base}organisations");
    let refused = home.run(&["init", &url]).with_code(6);
    assert!(refused.err.contains("--force"), "{refused:?}");
    home.run(&["init", &url, "--name", "demo", "--output", "new.yaml"])
        .with_code(0);
    let tried = home
        .run(&["try", "demo", "--config", "new.yaml", "--json"])
        .with_code(0)
        .json();
    assert!(!tried["pages"][0]["entities"].as_array().unwrap().is_empty(), "{tried}");
    drop(api);
}

#[test]
fn an_export_is_a_stream_of_bodies() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let lines = home.run(&["export", "--kind", "component"]).with_code(0).out;
    assert_eq!(lines.lines().count(), 10);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["metadata"]["name"], "c0");
    let yaml = home
        .run(&["export", "--source", "folder", "--format", "yaml"])
        .with_code(0)
        .out;
    assert_eq!(yaml.matches("---\n").count(), 10, "{yaml}");
    home.run(&["export", "--source", "nope"]).with_code(5);
}
