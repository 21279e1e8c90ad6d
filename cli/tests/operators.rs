//! What operators look at and do, on a SQLite store of ten files.

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{FILES, Home};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::Timestamp;
use tideline_store::sqlite::SqliteStore;
use tideline_store::{CatalogStore, CycleStore};

#[test]
fn one_run_ingests_the_folder_and_every_view_shows_it() {
    let home = Home::with_files();
    let run = home.run(&["run", "--once"]).with_code(0);
    assert!(run.out.contains("complete"), "{run:?}");

    let status = home.run(&["status", "--json"]).with_code(0).json();
    assert_eq!(status["sources"][0]["source"]["name"], "folder");
    assert_eq!(status["sources"][0]["source"]["entities"], 10);
    assert_eq!(status["sources"][0]["newest_cycle"]["state"], "complete");
    assert_eq!(status["sources"][0]["why"]["reason"]["code"], "resting_until");
    assert_eq!(status["last_sequence"], 10);

    let sources = home.run(&["sources", "--json"]).with_code(0).json();
    assert_eq!(sources["items"][0]["type"], "files");
    let shown = home.run(&["sources", "show", "folder", "--json"]).with_code(0).json();
    assert_eq!(shown["cycles"][0]["totals"]["added"], 10);
    assert_eq!(shown["malformed"], json!([]));

    let jobs = home.run(&["jobs", "--json"]).with_code(0).json();
    let first = &jobs["items"][0];
    assert_eq!((&first["kind"], &first["state"]), (&json!("ingest"), &json!("done")));
    assert_eq!(first["args"]["partition"], "folder");
    let job = home.run(&["jobs", "show", "1", "--json"]).with_code(0).json();
    assert_eq!(job["id"], 1);
    let none = home.run(&["jobs", "list", "--state", "parked", "--json"]).with_code(0);
    assert_eq!(none.json(), json!({"items": []}));
}

#[test]
fn entities_are_filtered_by_source_kind_and_ref() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let number = |arguments: &[&str]| {
        let mut all = vec!["entities", "list", "--json"];
        all.extend(arguments);
        home.run(&all).with_code(0).json()["items"].as_array().unwrap().len()
    };
    assert_eq!(number(&["--source", "folder"]), 10);
    assert_eq!(number(&["--kind", "Component"]), 10);
    assert_eq!(number(&["--kind", "api"]), 0);
    assert_eq!(number(&["--ref", "component:default/c3"]), 1);
    assert_eq!(number(&["--limit", "4"]), 4);
    assert_eq!(number(&["--all"]), 10);

    let got = home
        .run(&["entities", "get", "Component:default/c3", "--json"])
        .with_code(0)
        .json();
    assert_eq!(got["items"][0]["ref"], "component:default/c3");
    assert_eq!(got["items"][0]["body"]["metadata"]["title"], "first");
    let text = home.run(&["entities", "get", "component:default/c3"]).with_code(0);
    assert!(text.out.contains("\"title\": \"first\""), "{text:?}");
}

#[test]
fn a_list_of_a_source_that_does_not_exist_or_of_nothing_is_refused() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    for list in ["entities", "jobs"] {
        let said = home.run(&[list, "list", "--source", "nope"]).with_code(5);
        assert!(said.err.contains("source nope does not exist"), "{said:?}");
        home.run(&[list, "list", "--limit", "0"]).with_code(2);
    }
    home.write("tideline.yaml", "store: sqlite://t.db\nlisten: none\nsources: []\n");
    home.run(&["run", "--once"]).with_code(0);
    let orphaned = home
        .run(&["entities", "list", "--source", "folder", "--json"])
        .with_code(0);
    assert_eq!(orphaned.json()["items"].as_array().unwrap().len(), 10);
}

#[test]
fn malformed_items_of_one_page_are_told_apart_by_their_samples() {
    let home = Home::with_files();
    home.write("records/bad.ndjson", "{\"one\": 1}\n{\"two\": 2}\n");
    home.run(&["run", "--once"]);
    let shown = home.run(&["sources", "show", "folder"]).with_code(0);
    assert!(
        shown.out.contains("SAMPLE") && shown.out.contains("\"one\"") && shown.out.contains("\"two\""),
        "{shown:?}"
    );
}

#[test]
fn the_change_feed_is_read_in_order_and_followed() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.record(3, "second");
    home.remove_record(7);
    home.run(&["run", "--once"]).with_code(0);

    let changes = home.run(&["changes", "--after", "10", "--json"]).with_code(0).json();
    let changes = &changes["changes"];
    let short: Vec<(&str, &str)> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["change"].as_str().unwrap(), change["ref"].as_str().unwrap()))
        .collect();
    assert_eq!(
        short,
        [
            ("modified", "component:default/c3"),
            ("removed", "component:default/c7")
        ]
    );
    assert_eq!(changes[0]["body"]["metadata"]["title"], "second");
    assert!(changes[1].get("body").is_none_or(Value::is_null));

    let followed = home
        .run(&["changes", "--follow", "--limit", "3", "--json"])
        .with_code(0);
    let sequences: Vec<i64> = followed
        .out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["sequence"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
}

#[test]
fn a_reader_of_the_change_feed_that_missed_removals_starts_over_with_code_6() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.remove_record(7);
    home.run(&["run", "--once"]).with_code(0);
    assert_eq!(
        home.run(&["changes", "--after", "5", "--json"]).with_code(0).json()["changes"][4]["change"],
        "removed"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(prune_all(home.path("t.db"))).unwrap(), 1);
    for arguments in [
        &["changes", "--after", "5"][..],
        &["changes", "--after", "5", "--json"],
        &["changes", "--after", "5", "--follow"],
        &["changes", "--after", "12", "--follow", "--json"],
    ] {
        let said = home.run(arguments).with_code(6);
        assert!(said.err.contains("start over with --after 0"), "{said:?}");
        assert!(said.out.is_empty(), "{said:?}");
    }
    let first = home.run(&["changes", "--limit", "4"]).with_code(0);
    assert!(first.out.contains("--after 4-11"), "{first:?}");
    let rest = home.run(&["changes", "--after", "4-11", "--json"]).with_code(0).json();
    assert_eq!(rest["next"], "11");
    let next: Vec<&str> = rest["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["next"].as_str().unwrap())
        .collect();
    assert_eq!(next, ["5-11", "6-11", "7-11", "9-11", "11"]);
    let followed = home
        .run(&["changes", "--follow", "--limit", "1", "--json"])
        .with_code(0)
        .json();
    assert_eq!(followed["next"], "1-11");
    let rest = home.run(&["changes", "--after", "4-11"]).with_code(0);
    assert!(rest.out.contains("--after 11"), "{rest:?}");
    let none = home.run(&["changes", "--after", "11"]).with_code(0);
    assert!(none.out.contains("No changes."), "{none:?}");
}

/// As the scheduler does when `changes.retention` has passed.
async fn prune_all(store: PathBuf) -> anyhow::Result<u64> {
    let store = SqliteStore::open_existing(&store.display().to_string()).await?;
    Ok(store.prune_tombstones(Timestamp(i64::MAX), 10).await?)
}

#[test]
fn a_limit_of_no_changes_is_refused() {
    let said = Home::with_files().run(&["changes", "--limit", "0"]).with_code(2);
    assert!(said.err.contains("--limit"), "{said:?}");
}

#[test]
fn why_answers_in_one_sentence_for_a_source_and_for_a_job() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let source = home.run(&["why", "folder"]).with_code(0);
    assert!(source.out.starts_with("source folder: resting until "), "{source:?}");
    let job = home.run(&["why", "1"]).with_code(0);
    assert!(job.out.starts_with("job 1 (ingest folder): done at "), "{job:?}");
    let value = home.run(&["why", "folder", "--json"]).with_code(0).json();
    let subject = &value["subjects"][0];
    assert_eq!(subject["reason"]["code"], "resting_until");
    assert!(subject["reason"]["until"].as_str().unwrap().ends_with('Z') && subject["sentence"].is_string());

    home.run(&["sources", "pause", "folder"]).with_code(0);
    let paused = home.run(&["why", "folder"]).with_code(0);
    assert_eq!(paused.out.trim(), "source folder: paused by an operator");
    home.run(&["sources", "resume", "folder"]).with_code(0);
}

#[test]
fn tables_that_are_piped_have_no_colours() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    for arguments in [&["status"][..], &["sources"], &["jobs"], &["entities"], &["changes"]] {
        let said = home.run(arguments).with_code(0);
        assert!(!said.out.contains('\u{1b}'), "{said:?}");
        assert!(said.out.contains("folder") || said.out.contains("c3"), "{said:?}");
    }
}

#[test]
fn a_broken_pipe_is_no_error() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let mut running = home.start(&["changes"]);
    drop(running.child.stdout.take());
    let mut child = std::mem::replace(&mut running.child, home.command(&["--version"]).spawn().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn commands_work_beside_a_running_process_and_it_follows_them() {
    let home = Home::with_files();
    let run = home.start(&["run"]);
    home.wait_for(&["sources", "show", "folder", "--json"], |said| {
        said.code == 0 && said.json()["cycles"][0]["state"] == "complete"
    });
    home.record(11, "new");
    home.run(&["sources", "refresh", "folder"]).with_code(0);
    home.wait_for(&["entities", "get", "component:default/c11"], |said| said.code == 0);
    let workers = home.run(&["status", "--json"]).with_code(0).json();
    assert_eq!(workers["workers"].as_array().unwrap().len(), 1);

    run.signal(nix::sys::signal::Signal::SIGTERM);
    let said = run.end().with_code(0);
    assert!(said.out.contains("folder: cycle 2 complete"), "{said:?}");
}

#[test]
fn one_run_of_all_sources_does_not_wait_for_those_that_others_write() {
    let home = Home::with(&format!("{FILES}  - {{ name: written, type: push }}\n"));
    home.record(0, "mine");
    home.run(&["run", "--once"]).with_code(0);
    let sources = home.run(&["sources", "--json"]).with_code(0).json();
    assert_eq!(sources["items"].as_array().unwrap().len(), 2, "{sources}");
}

#[test]
fn a_cancelled_cycle_is_followed_by_a_rest_at_once_although_no_scheduler_runs() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.run(&["sources", "refresh", "folder"]).with_code(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(start_cycles(home.path("t.db"))).unwrap(), 1);
    home.run(&["sources", "cancel", "folder"]).with_code(0);
    let shown = home.run(&["sources", "show", "folder", "--json"]).with_code(0).json();
    assert_eq!(shown["cycles"][0]["state"], "cancelled", "{shown}");
    assert!(shown["source"]["next_cycle_at"].is_string(), "{shown}");
}

/// As the scheduler does with what is due.
async fn start_cycles(store: PathBuf) -> anyhow::Result<usize> {
    let store = SqliteStore::open_existing(&store.display().to_string()).await?;
    Ok(store.start_cycles(10, SystemClock.now()).await?.len())
}

#[test]
fn a_reset_with_deletion_forgets_an_orphaned_source() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    home.write("tideline.yaml", "store: sqlite://t.db\nlisten: none\nsources: []\n");
    home.run(&["run", "--once"]).with_code(0);
    let why = home.run(&["why", "folder"]).with_code(0);
    assert!(why.out.contains("orphaned"), "{why:?}");

    let refused = home.run(&["sources", "reset", "folder", "--delete"]).with_code(6);
    assert!(
        refused.err.contains("Delete 10 entities of folder") && refused.err.contains("--yes"),
        "{refused:?}"
    );
    home.run(&["sources", "reset", "folder", "--delete", "--yes"])
        .with_code(0);
    home.run(&["why", "folder"]).with_code(5);
    let entities = home.run(&["entities", "--json"]).with_code(0);
    assert_eq!(entities.json(), json!({"items": []}));
}

#[test]
fn a_group_of_commands_takes_the_options_of_its_list() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    for arguments in [
        &["jobs", "--state", "done"][..],
        &["jobs", "--json", "list", "--state", "done"],
        &["entities", "--limit", "3"],
        &["deliveries", "--since", "1h"],
        &["presets"],
        &["dead-letters"],
        &["entities", "show", "component:default/c1"],
        &["sources", "get", "folder"],
    ] {
        home.run(arguments).with_code(0);
    }
    let listed = home.run(&["entities", "--limit", "3", "--json"]).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    let passed_over = home.run(&["jobs", "--state", "done", "show", "1"]).with_code(2);
    assert!(
        passed_over.err.contains("goes after the command: jobs show --state"),
        "{passed_over:?}"
    );
}

#[test]
fn errors_into_a_closed_pipe_are_no_panic() {
    let home = Home::with("sources:\n- name: a\n  type: nothing\n");
    let mut command = home.command(&["check"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let code = command.stderr(writer).status().unwrap().code();
    assert_eq!(code, Some(2));
}

#[test]
fn the_help_says_what_tideline_is_and_tells_global_options_apart() {
    let home = Home::empty();
    let help = home.run(&["--help"]).with_code(0).out;
    assert!(help.starts_with("Keeps a catalog in step with sources"), "{help}");
    let help = home.run(&["jobs", "list", "--help"]).with_code(0).out;
    let (own, global) = help.split_once("Global options:").unwrap();
    assert!(own.contains("--state") && !own.contains("--store"), "{help}");
    assert!(global.contains("--store") && !global.contains("--state"), "{help}");
}

#[test]
fn a_job_that_cannot_be_retried_keeps_back_none_of_the_others() {
    let home = Home::empty();
    home.run(&["migrate"]).with_code(0);
    for key in ["a", "b"] {
        home.run(&["jobs", "enqueue", "mail", key]).with_code(0);
    }
    home.run(&["jobs", "cancel", "2"]).with_code(0);
    let said = home.run(&["jobs", "retry", "98", "2", "99"]).with_code(5);
    assert!(said.out.contains("job 2: retried"), "{said:?}");
    for job in ["job 98: ", "job 99: "] {
        assert!(said.err.contains(job), "{said:?}");
    }
    assert!(said.out.contains("if one runs jobs of kind mail"), "{said:?}");
    let said = home.run(&["jobs", "retry", "99", "1", "--json"]).with_code(5);
    assert_eq!(said.json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_token_that_would_cover_nothing_or_be_over_at_once_is_refused() {
    let home = Home::empty();
    let create = ["tokens", "create", "--name", "x", "--role", "read"];
    for (option, value, says) in [("--source", "", "--source"), ("--expires", "0s", "at least 1s")] {
        let mut all = create.to_vec();
        all.extend([option, value]);
        let said = home.run(&all).with_code(2);
        assert!(
            said.err.contains(says) && !said.err.contains("expires_in_seconds"),
            "{said:?}"
        );
    }
}
