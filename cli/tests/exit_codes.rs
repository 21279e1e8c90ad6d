//! Each exit code, and the error texts of bad input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use support::{FILES, Home, free_address};

/// Half of the folder is gone.
fn home_with_held_sweep() -> Home {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    for number in 0..5 {
        home.remove_record(number);
    }
    let held = home.run(&["run", "--once"]).with_code(3);
    assert!(held.out.contains("held"), "{held:?}");
    home
}

#[test]
fn a_held_sweep_is_3_and_says_what_it_would_delete() {
    let home = home_with_held_sweep();
    let why = home.run(&["why", "folder"]).with_code(0);
    assert!(
        why.out
            .contains("held for approval since cycle 2: would delete 50.0 % (5 of 10)"),
        "{why:?}"
    );
    let entities = home.run(&["entities", "--json"]).json();
    assert_eq!(entities["items"].as_array().unwrap().len(), 10);
}

#[test]
fn an_approved_sweep_is_done_by_the_next_run() {
    let home = home_with_held_sweep();
    let question = home.run(&["sources", "approve", "folder"]).with_code(6);
    assert!(
        question.err.contains("Delete 5 of 10 entities of folder"),
        "{question:?}"
    );
    home.run(&["sources", "approve", "folder", "--yes"]).with_code(0);
    home.run(&["run", "--once"]).with_code(0);
    let entities = home.run(&["entities", "--json"]).json();
    assert_eq!(entities["items"].as_array().unwrap().len(), 5);
}

#[test]
fn a_script_approves_only_the_sweep_that_it_saw() {
    let home = home_with_held_sweep();
    let approve = |cycle: &str, removals: &str| {
        home.run(&["sources", "approve", "folder", "--cycle", cycle, "--removals", removals])
    };
    for (cycle, removals) in [("1", "5"), ("2", "4"), ("2", "6")] {
        let refused = approve(cycle, removals).with_code(6);
        assert!(
            refused
                .err
                .contains("the sweep of cycle 2, which would remove 5 entities"),
            "{refused:?}"
        );
    }
    approve("2", "5").with_code(0);
}

#[test]
fn an_approved_sweep_waits_for_nobody() {
    let home = home_with_held_sweep();
    let shown = home.run(&["sources", "show", "folder"]).with_code(0);
    assert!(shown.out.contains("`tideline sources approve folder`"), "{shown:?}");
    home.run(&["sources", "approve", "folder", "--yes"]).with_code(0);
    let shown = home.run(&["sources", "show", "folder"]).with_code(0);
    assert!(
        shown.out.contains("approved: up to 5 entities are deleted now") && !shown.out.contains("approve folder"),
        "{shown:?}"
    );
    let again = home.run(&["sources", "approve", "folder", "--yes"]).with_code(6);
    assert!(again.err.contains("already approved"), "{again:?}");
}

#[test]
fn a_run_after_an_approval_reads_the_source_too_and_says_that_its_sweep_is_held() {
    let home = home_with_held_sweep();
    home.run(&["sources", "approve", "folder", "--yes"]).with_code(0);
    for number in 5..8 {
        home.remove_record(number);
    }
    let run = home.run(&["run", "--once"]).with_code(3);
    assert!(run.out.contains("complete") && run.out.contains("held"), "{run:?}");
    let entities = home.run(&["entities", "--json"]).json();
    assert_eq!(entities["items"].as_array().unwrap().len(), 5);
}

#[test]
fn a_rejected_sweep_keeps_the_entities() {
    let home = home_with_held_sweep();
    home.run(&["sources", "reject", "folder"]).with_code(0);
    home.run(&["run", "--once"]).with_code(0);
    let entities = home.run(&["entities", "--json"]).json();
    assert_eq!(entities["items"].as_array().unwrap().len(), 10);
}

fn rest_config(address: std::net::SocketAddr) -> String {
    format!(
        "store: sqlite://t.db\nlisten: none\nsources:\n  - name: api\n    type: http\n    base_url: http://{address}/\n    \
         backoff: []\n    resources:\n      - name: things\n        path: things\n"
    )
}

/// A source that says the same to every request.
fn home_with_answer(status: &'static str, body: &'static str) -> Home {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::with(&rest_config(listener.local_addr().unwrap()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    home
}

#[test]
fn a_source_that_answers_html_is_4_and_its_first_bytes_are_shown() {
    let html = "<html><body>Please log in</body></html>";
    let home = home_with_answer("200 OK\r\ncontent-type: text/html", html);
    home.run(&["run", "--once"]).with_code(4);
    let jobs = home
        .run(&["jobs", "list", "--source", "api", "--json"])
        .with_code(0)
        .json();
    let error = jobs["items"][0]["last_error"].as_str().unwrap();
    assert!(error.contains("<html>"), "{error}");
    let why = home.run(&["why", "1"]).with_code(0);
    assert!(why.out.contains("<html>"), "{why:?}");
}

#[test]
fn a_job_that_is_retried_says_what_holds_it_back() {
    let home = home_with_answer("429 Too Many Requests\r\nretry-after: 3600", "");
    let config = std::fs::read_to_string(home.path("tideline.yaml")).unwrap();
    home.write("tideline.yaml", &config.replace("backoff: []", "backoff: [1m]"));
    home.run(&["run", "--once", "--timeout", "2"]).with_code(7);
    let retried = home.run(&["jobs", "retry", "1"]).with_code(0);
    assert!(
        retried.out.contains("job 1: retried; rate-limited by the source until"),
        "{retried:?}"
    );
    home.run(&["sources", "pause", "api"]).with_code(0);
    let retried = home.run(&["jobs", "retry", "1"]).with_code(0);
    assert!(retried.out.contains("its source api is paused"), "{retried:?}");
    let refreshed = home.run(&["sources", "refresh", "api"]).with_code(0);
    assert!(
        refreshed.out.contains("after `tideline sources resume api`"),
        "{refreshed:?}"
    );
}

#[test]
fn a_source_that_cannot_be_reached_is_4() {
    let address = free_address();
    let home = Home::with(&rest_config(address));
    let said = home.run(&["run", "--once"]).with_code(4);
    assert!(said.out.contains("failed"), "{said:?}");
}

#[test]
fn what_does_not_exist_is_5() {
    let home = Home::with_files();
    home.run(&["migrate"]).with_code(0);
    for arguments in [
        &["sources", "show", "nobody"][..],
        &["sources", "pause", "nobody"],
        &["jobs", "show", "99"],
        &["jobs", "retry", "99"],
        &["entities", "get", "component:default/none"],
        &["why", "nobody"],
    ] {
        let said = home.run(arguments).with_code(5);
        assert!(said.err.contains("does not exist"), "{said:?}");
    }
}

#[test]
fn what_does_not_fit_is_6() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let said = home.run(&["sources", "approve", "folder", "--yes"]).with_code(6);
    assert!(said.err.contains("source folder has no held sweep"), "{said:?}");
}

#[test]
fn nobody_at_a_health_address_is_7() {
    let address = free_address();
    let said = Home::empty()
        .run(&["health", &format!("http://{address}/livez")])
        .with_code(7);
    assert!(said.err.contains("cannot reach"), "{said:?}");
}

#[test]
fn every_error_of_a_configuration_is_shown_at_once_with_its_place() {
    let home = Home::with(
        "stroe: sqlite://t.db\nsources:\n  - name: api\n    type: http\n    base_url: ${NO_SUCH_VARIABLE}\n    \
         parallel_partitions: 5000\n    resources:\n      - name: things\n        path: things\n",
    );
    let said = home.run(&["check"]).with_code(2);
    assert!(
        said.err.contains("tideline.yaml:1:1: error: ") && said.err.contains("store"),
        "{said:?}"
    );
    assert!(said.err.contains("NO_SUCH_VARIABLE"), "{said:?}");
    assert!(
        said.err.contains("parallel_partitions") && said.err.contains("1000"),
        "{said:?}"
    );

    let value = home.run(&["check", "--json"]).with_code(2).json();
    assert_eq!(value["ok"], false);
    assert_eq!(value["errors"].as_array().unwrap().len(), 3, "{value}");
    assert!(value["errors"][0]["line"].is_u64() && value["errors"][0]["path"].is_string());
    // The roles refuse it in the same words, and touch nothing.
    assert_eq!(home.run(&["run"]).with_code(2).err, said.err);
    assert!(!home.path("t.db").exists());
}

#[test]
fn a_wrong_jq_expression_is_found_by_check_with_its_line() {
    let home = Home::with(
        "sources:\n  - name: api\n    type: http\n    base_url: http://localhost/\n    resources:\n      - name: things\n        \
         path: things\n        items: .things[\n",
    );
    let said = home.run(&["check"]).with_code(2);
    assert!(said.err.starts_with("tideline.yaml:8:"), "{said:?}");
    assert!(said.err.contains("sources[0].resources[0].items"), "{said:?}");
}

#[test]
fn a_wrong_expression_for_a_topic_is_found_by_check_with_its_line_and_column() {
    let home = Home::with(
        "hooks:\n  - name: old\n    provider: token\n    secret: s3cret\n    topic: '\"legacy.\" + .body.type ]'\n",
    );
    let said = home.run(&["check"]).with_code(2);
    assert!(
        said.err.starts_with("tideline.yaml:5:12: error: hooks[0].topic: ") && said.err.contains("at character 24"),
        "{said:?}"
    );
}

#[test]
fn a_hooks_secret_is_rotated_by_a_flag_before_the_provider_or_after_it() {
    let home = Home::with(
        "hooks:\n  - { name: github, provider: github, secret: s3cret }\n  - { name: terraform, provider: terraform, secret: \
         s3cret }\nsources:\n  - { name: tf, type: terraform, organization: acme, auth: { bearer: t0ken } }\n",
    );
    let url = ["--url", "https://tideline.example.com"];
    for (provider, place) in [
        ("github", &["--organization", "acme"][..]),
        ("terraform", &["--organization"]),
    ] {
        for words in [["--rotate", provider], [provider, "--rotate"]] {
            let arguments = [&["hooks", "register"][..], &words, &url, place].concat();
            let mut command = home.command(&arguments);
            let said = command.env("GITHUB_TOKEN", "t0ken").output().unwrap();
            let said = String::from_utf8(said.stderr).unwrap();
            assert!(
                said.contains("is in the configuration: change it there"),
                "{arguments:?}: {said}"
            );
        }
    }
}

#[test]
fn a_folder_that_is_not_there_and_no_sources_are_warned_of_by_check() {
    let home = Home::with("sources:\n  - name: docs\n    type: files\n    path: nowhere\n");
    let value = home.run(&["check", "--json"]).with_code(0).json();
    let warning = value["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("sources[0].path") && warning.contains("nowhere"),
        "{value}"
    );
    let home = Home::with("sources: []\n");
    let value = home.run(&["check", "--json"]).with_code(0).json();
    assert_eq!(value["warnings"].as_array().unwrap().len(), 1, "{value}");
}

#[test]
fn an_expression_that_imports_is_refused_by_check() {
    let home = Home::with(
        "sources:\n  - name: api\n    type: http\n    base_url: http://localhost/\n    resources:\n      - name: things\n        \
         path: things\n        items: 'import \"a\" as $a; $a'\n",
    );
    let said = home.run(&["check"]).with_code(2);
    assert!(said.err.contains("import"), "{said:?}");
}

#[test]
fn a_wrong_jq_expression_is_told_together_with_all_other_errors() {
    let home = Home::with(
        "stroe: sqlite://t.db\nsources:\n  - name: api\n    type: http\n    base_url: ${NO_SUCH_VARIABLE}\n    resources:\n      \
         - name: things\n        path: things\n        items: .things[\n        pagination: { type: cursor, parameter: c }\n  \
         - name: other\n    type: http\n    base_url: http://localhost/\n    resources:\n      - name: things\n        \
         path: things\n        entity: { kind: 'nope(.)', name: .name }\n      - name: parts\n        parent: thing\n        \
         values: { thing: .id }\n        path: things/{thing}/{other}\n",
    );
    let value = home.run(&["check", "--json"]).with_code(2).json();
    let paths: Vec<&str> = value["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "stroe",
            "sources[0].base_url",
            "sources[0].resources[0].items",
            "sources[0].resources[0].pagination.next",
            "sources[1].resources[0].entity.kind",
            "sources[1].resources[1].parent",
        ],
        "{value}"
    );
}

#[test]
fn a_good_configuration_is_0() {
    let home = Home::with_files();
    let said = home.run(&["check"]).with_code(0);
    assert!(said.out.contains("tideline.yaml is good."), "{said:?}");
    assert_eq!(home.run(&["check", "--json"]).with_code(0).json()["ok"], true);
    assert!(!home.path("t.db").exists(), "check touches nothing");
}

#[test]
fn no_configuration_and_no_store_are_2_and_say_what_to_do() {
    let home = Home::empty();
    let said = home.run(&["run"]).with_code(2);
    assert!(said.err.contains("there is no tideline.yaml here"), "{said:?}");
    let said = home.run(&["status"]).with_code(2);
    assert!(said.err.contains("there is no store at"), "{said:?}");
    home.run(&["nonsense"]).with_code(2);
}

#[test]
fn a_store_that_does_not_answer_is_named_and_waited_for_aloud() {
    let address = free_address();
    let home = Home::with(&FILES.replace("sqlite://t.db", &format!("postgres://me:hush@{address}/x")));
    let said = home.run(&["status"]).with_code(1);
    assert!(said.err.contains(&format!("store: {address}/x as me: ")), "{said:?}");
    assert!(
        said.err.matches("refused").count() == 1 && !said.err.contains("hush"),
        "{said:?}"
    );

    let mut run = home.start(&["run", "--once"]);
    let mut lines = BufReader::new(run.child.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert_eq!(line, format!("waiting for the store postgres://…@{address}/x"));
}

#[test]
fn a_mistyped_store_is_2_makes_no_file_and_shows_no_password() {
    let home = Home::with_files();
    for (store, command) in [
        ("postgres:/adm:hunter2@db/x", "status"),
        ("sqlite::memory:", "migrate"),
        ("postgress://adm:hunter2@db/x", "demo"),
        ("postgres://adm:hunter2@db/x?sslmod=require", "run"),
    ] {
        let said = home.run(&["--store", store, command]).with_code(2);
        assert!(
            said.err.contains("--store") && !said.err.contains("hunter2"),
            "{said:?}"
        );
    }
    let files: Vec<_> = std::fs::read_dir(home.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
}

#[test]
fn a_file_that_is_no_database_is_2_and_stays_as_it_is() {
    let home = Home::with_files();
    let text = "this is not a database, whatever its name says\n".repeat(100);
    home.write("t.db", &text);
    for arguments in [&["run", "--once"][..], &["status"], &["migrate"]] {
        home.run(arguments).with_code(2);
    }
    assert_eq!(std::fs::read_to_string(home.path("t.db")).unwrap(), text);
}

#[test]
fn a_schema_newer_than_the_program_is_2_and_stays_as_it_is() {
    let home = Home::with_files();
    home.run(&["migrate"]).with_code(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(home.path("t.db"));
        let mut connection = options.connect().await.unwrap();
        connection.execute("PRAGMA user_version = 999").await.unwrap();
        connection.close().await.unwrap();
    });
    let bytes = std::fs::read(home.path("t.db")).unwrap();
    for arguments in [&["run", "--once"][..], &["status"], &["migrate"]] {
        let said = home.run(arguments).with_code(2);
        assert!(said.err.contains("999"), "{said:?}");
    }
    assert_eq!(std::fs::read(home.path("t.db")).unwrap(), bytes);
}

#[test]
fn a_second_process_on_one_file_is_told_which_process_holds_it() {
    let home = Home::with_files();
    let first = home.start(&["run"]);
    home.wait_for(&["status"], |said| said.code == 0);
    let second = home.run(&["run", "--once"]).with_code(2);
    assert!(
        second.err.contains(&format!("process {}", first.child.id())) && second.err.contains("tideline run"),
        "{second:?}"
    );
}

#[test]
fn a_second_signal_ends_a_role_that_does_not_stop() {
    // The source never answers, so that its burst cannot end by itself.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::with(&rest_config(listener.local_addr().unwrap()));
    let run = home.start(&["run"]);
    let _asked = listener.accept().unwrap();
    run.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    run.signal(Signal::SIGINT);
    let said = run.end();
    assert!([0, 130].contains(&said.code), "{said:?}");
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let (home, listener) = silent_home();
    let run = home.start(&["run", "--once"]);
    let _asked = listener.accept().unwrap();
    // As `timeout` sends it: to the process, and to its group.
    run.signal(Signal::SIGTERM);
    run.signal(Signal::SIGTERM);
    run.end().with_code(7);
}

#[test]
fn the_help_lists_the_exit_codes() {
    let said = Home::with(FILES).run(&["--help"]).with_code(0);
    assert!(
        said.out.contains("Exit codes:") && said.out.contains("a sweep is held"),
        "{said:?}"
    );
}

/// A source that never answers, and the run that waits for it.
fn silent_home() -> (Home, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = rest_config(listener.local_addr().unwrap());
    (Home::with(&format!("shutdown: {{ grace: 1s }}\n{config}")), listener)
}

#[test]
fn a_run_that_is_not_done_in_time_is_7_and_hands_back_what_it_held() {
    let (home, _listener) = silent_home();
    let said = home.run(&["run", "--once", "--timeout", "1"]).with_code(7);
    assert!(said.err.contains("not complete after 1 s"), "{said:?}");
}

#[test]
fn a_run_that_is_interrupted_is_7_and_says_that_the_next_one_goes_on() {
    let (home, listener) = silent_home();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let run = home.start(&["run", "--once"]);
        let _asked = listener.accept().unwrap();
        run.signal(signal);
        let said = run.end().with_code(7);
        assert!(
            said.err
                .contains("interrupted before every cycle had ended; the next run resumes"),
            "{said:?}"
        );
    }
}

#[test]
fn an_empty_name_is_a_wrong_use_of_the_command_and_no_other_request() {
    let home = Home::with_files();
    home.run(&["migrate"]).with_code(0);
    for command in [
        &["sources", "reset", "", "-y"][..],
        &["sources", "pause", ""],
        &["targets", "show", ""],
        &["subscriptions", "show", ""],
        &["subscriptions", "delete", "", "-y"],
        &["deliveries", "show", ""],
        &["dead-letters", ""],
    ] {
        let said = home.run(command).with_code(2);
        assert!(said.err.contains("must not be empty"), "{command:?}: {said:?}");
    }
}

#[test]
fn nobody_confirms_the_deletion_of_a_subscription_that_does_not_exist() {
    let home = Home::with_files();
    home.run(&["migrate"]).with_code(0);
    for command in [
        &["subscriptions", "delete", "nosuch"][..],
        &["dead-letters", "drop", "nosuch", "--all"],
    ] {
        let said = home.run(command).with_code(5);
        assert!(!said.err.contains("not confirmed"), "{command:?}: {said:?}");
    }
}

#[test]
fn a_secret_key_that_seals_nothing_is_found_before_anything_is_written() {
    let home = Home::with(&format!("secret_key: abc\n{FILES}"));
    for command in [&["check"][..], &["run", "--once"], &["sources"], &["migrate"]] {
        let said = home.run(command).with_code(2);
        assert!(
            said.err
                .contains("tideline.yaml:1:13: error: secret_key: must be 32 bytes"),
            "{said:?}"
        );
    }
    assert!(!home.path("t.db").exists());
    let home = Home::with_files();
    let said = home
        .run_with(&["check"], "", &[("TIDELINE_SECRET_KEY", "abc")])
        .with_code(2);
    assert!(
        said.err
            .contains("the environment variable TIDELINE_SECRET_KEY must be"),
        "{said:?}"
    );
}

#[test]
fn the_health_of_a_configuration_is_that_of_its_address() {
    let address = free_address();
    let home = Home::with(&FILES.replace("listen: none", &format!("listen: {address}")));
    let said = home.run(&["health", "--config", "tideline.yaml"]).with_code(7);
    let url = format!("cannot reach http://{address}/livez: connection refused");
    assert!(said.err.contains(&url), "{said:?}");
    let said = Home::with_files()
        .run(&["health", "--config", "tideline.yaml"])
        .with_code(2);
    assert!(said.err.contains("listen is none"), "{said:?}");
}
