//! The commands on a gateway: the same answers over HTTP as beside the store, tokens, roles and the audit log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use support::{FILES, Home, Running, free_address};

/// A folder whose source was read, and the process that serves it.
struct Fleet {
    home: Home,
    url: String,
    _run: Running,
}

fn fleet() -> Fleet {
    let address = free_address();
    let home = Home::with(&FILES.replace("listen: none", &format!("listen: {address}")));
    for number in 0..10 {
        home.record(number, "first");
    }
    let run = home.start(&["run"]);
    home.wait_for(&["sources", "show", "folder", "--json"], |said| {
        said.code == 0 && said.json()["cycles"][0]["state"] == "complete"
    });
    let url = format!("http://{address}");
    home.wait_for(&["health", &format!("{url}/livez")], |said| said.code == 0);
    Fleet { home, url, _run: run }
}

impl Fleet {
    fn remote(&self, arguments: &[&str]) -> support::Said {
        let mut all = arguments.to_vec();
        all.extend(["--server", &self.url]);
        self.home.run(&all)
    }

    /// As a remote caller with this token.
    fn with_token(&self, token: &str, arguments: &[&str]) -> support::Said {
        let mut all = arguments.to_vec();
        all.extend(["--server", &self.url]);
        self.home.run_with(&all, "", &[("TIDELINE_TOKEN", token)])
    }

    /// Metrics whose name begins so, as the gateway shows them.
    fn counted(&self, name: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let lines = answer.lines().filter(|line| line.starts_with(name));
        lines.map(str::to_owned).collect()
    }

    fn token(&self, name: &str, role: &str) -> String {
        let created = ["tokens", "create", "--name", name, "--role", role, "--expires", "90d"];
        self.home.run(&created).with_code(0).out.trim().to_owned()
    }
}

#[test]
fn a_command_says_the_same_over_http_as_beside_the_store() {
    let fleet = fleet();
    for arguments in [
        &["sources"][..],
        &["sources", "show", "folder"],
        &["jobs"],
        &["jobs", "show", "1"],
        &["entities", "list", "--limit", "3"],
        &["entities", "list", "--name", "c[1-3]"],
        &["entities", "get", "component:default/c3"],
        &["changes", "--limit", "4"],
        &["why", "folder"],
        &["why", "1"],
        &["tokens"],
        &["audit"],
        &["entities", "list", "--source", "foldr"],
        &["jobs", "show", "99"],
        &["changes", "--after", "999"],
    ] {
        let mut json = arguments.to_vec();
        json.push("--json");
        let (local, remote) = (fleet.home.run(&json), fleet.remote(&json));
        assert_eq!(
            (local.code, &local.out, &local.err),
            (remote.code, &remote.out, &remote.err)
        );
        let (local, remote) = (fleet.home.run(arguments), fleet.remote(arguments));
        assert_eq!(local.code, remote.code, "{local:?} {remote:?}");
    }
    let export = fleet.remote(&["export", "--kind", "component"]).with_code(0);
    assert_eq!(export.out, fleet.home.run(&["export"]).out);
    let missing = fleet.remote(&["entities", "list", "--source", "foldr"]).with_code(5);
    assert!(missing.err.contains("did you mean folder?"), "{missing:?}");

    fleet.home.record(11, "new");
    fleet.remote(&["sources", "refresh", "folder"]).with_code(0);
    fleet.home.wait_for(
        &["entities", "get", "component:default/c11", "--server", &fleet.url],
        |said| said.code == 0,
    );
}

#[test]
fn a_long_list_arrives_whole_although_it_is_compressed_on_the_way() {
    let fleet = fleet();
    let all = fleet
        .remote(&["entities", "list", "--all", "--json"])
        .with_code(0)
        .json();
    assert_eq!(all["items"].as_array().unwrap().len(), 10);
    let changes = fleet.remote(&["changes", "--json"]).with_code(0).json();
    assert_eq!(changes["changes"].as_array().unwrap().len(), 10);
}

#[test]
fn whoever_acted_is_in_the_audit_log_by_name() {
    let fleet = fleet();
    let operator = fleet.token("ci", "operate");
    let paused = fleet
        .home
        .run_with(&["sources", "pause", "folder"], "", &[("USER", "alice")])
        .with_code(0);
    assert!(paused.out.contains("paused"), "{paused:?}");
    fleet
        .with_token(&operator, &["sources", "resume", "folder", "--quiet"])
        .with_code(0);
    let refused = fleet
        .with_token(&operator, &["sources", "reject", "folder"])
        .with_code(6);
    assert!(refused.err.contains("has no held sweep"), "{refused:?}");

    let log = fleet.with_token(&operator, &["audit", "--json"]).with_code(0).json();
    let acts: Vec<(&str, &str, bool)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap();
            (text("actor"), text("act"), entry["done"].as_bool().unwrap())
        })
        .collect();
    let expected = [
        ("ci", "sources.reject", false),
        ("ci", "sources.resume", true),
        ("alice", "sources.pause", true),
    ];
    assert_eq!(&acts[..3], &expected);
    assert_eq!(log["items"][1]["address"], "127.0.0.1");
    let of_alice = fleet
        .home
        .run(&["audit", "--actor", "alice", "--since", "1h"])
        .with_code(0);
    assert!(
        of_alice.out.contains("sources.pause") && !of_alice.out.contains("resume"),
        "{of_alice:?}"
    );
}

#[test]
fn a_login_is_checked_kept_for_its_user_alone_and_forgotten_by_a_logout() {
    let fleet = fleet();
    let token = fleet.token("laptop", "read");
    let none = fleet.remote(&["status"]).with_code(9);
    assert!(none.err.contains("tideline login --server"), "{none:?}");

    let login = ["login", "--server", &fleet.url];
    let kept = fleet.home.path("user/tideline/credentials.json");
    let wrong = fleet
        .home
        .run_with(&login, "tdl_000000000000_wrong\n", &[])
        .with_code(9);
    assert!(!wrong.err.contains("wrong"), "the token is shown: {wrong:?}");
    assert!(!kept.exists());
    fleet.home.run_with(&login, "", &[]).with_code(2);

    let said = fleet.home.run_with(&login, &format!("{token}\n"), &[]).with_code(0);
    assert!(
        said.out.contains("laptop (role read)") && !said.out.contains(&token),
        "{said:?}"
    );
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    fleet.remote(&["status"]).with_code(0);
    let forbidden = fleet.remote(&["sources", "pause", "folder"]).with_code(9);
    assert!(forbidden.err.contains("needs the role operate"), "{forbidden:?}");
    let other = fleet
        .home
        .run(&["status", "--server", "http://localhost:1"])
        .with_code(1);
    assert!(other.err.contains("http://localhost:1 cannot be reached"), "{other:?}");

    fleet.remote(&["logout"]).with_code(0);
    fleet.remote(&["status"]).with_code(9);
    fleet.remote(&["logout"]).with_code(5);
}

#[test]
fn a_revoked_token_opens_nothing_any_more() {
    let fleet = fleet();
    let token = fleet.token("ci", "admin");
    let listed = fleet.with_token(&token, &["tokens"]).with_code(0);
    assert!(listed.out.contains("ci") && !listed.out.contains(&token), "{listed:?}");
    fleet.with_token(&token, &["tokens", "revoke", "ci"]).with_code(0);
    let refused = fleet.with_token(&token, &["status"]).with_code(9);
    assert!(refused.err.contains("revoked"), "{refused:?}");
    let list: Value = fleet.home.run(&["tokens", "--json"]).with_code(0).json();
    assert!(list["items"][0]["revoked_at"].is_string() && !list.to_string().contains(&token));
}

#[test]
fn a_server_and_a_store_at_once_and_a_wrong_server_are_refused() {
    let home = Home::with_files();
    let both = home
        .run(&["status", "--server", "http://localhost:1", "--store", "t.db"])
        .with_code(2);
    assert!(both.err.contains("not both"), "{both:?}");
    let wrong = home
        .run(&["status", "--server", "https://me:hunter2@t.example"])
        .with_code(2);
    assert!(
        wrong.err.contains("--server") && !wrong.err.contains("hunter2"),
        "{wrong:?}"
    );
}

#[test]
fn a_page_that_is_not_the_api_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in ["200 OK", "302 Found\r\nlocation: http://localhost:1/"] {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 {answer}\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\n<a/>"
            );
        }
    });
    let home = Home::empty();
    for _ in 0..2 {
        let said = home.run(&["status", "--server", &url]).with_code(1);
        assert!(said.err.contains("not a response of Tideline's API"), "{said:?}");
    }
}

#[test]
fn a_plan_over_http_is_the_plan_that_is_made_beside_the_store() {
    let fleet = fleet();
    let (cycles, pages) = (fleet.counted("tideline_cycles"), fleet.counted("tideline_pages"));
    assert!(!cycles.is_empty() && !pages.is_empty());
    fleet.home.record(10, "new");
    fleet.home.record(3, "second");
    fleet.home.remove_record(7);
    for arguments in [
        &["plan", "folder"][..],
        &["plan", "folder", "--json"],
        &["plan", "folder", "--summary"],
        &["plan", "folder", "--summary", "--json"],
    ] {
        let (local, remote) = (fleet.home.run(arguments), fleet.remote(arguments));
        assert_eq!((local.code, &local.out), (remote.code, &remote.out), "{remote:?}");
        assert_eq!(remote.code, 8, "{remote:?}");
    }
    assert_eq!(fleet.counted("tideline_cycles"), cycles, "a plan counts as a cycle");
    assert_eq!(fleet.counted("tideline_pages"), pages, "a plan counts as pages");
    let reader = fleet.token("reader", "read");
    let forbidden = fleet.with_token(&reader, &["plan", "folder"]).with_code(9);
    assert!(forbidden.err.contains("needs the role operate"), "{forbidden:?}");
    let operator = fleet.token("ci", "operate");
    let unknown = fleet.with_token(&operator, &["plan", "foldr"]).with_code(5);
    assert!(unknown.err.contains("did you mean folder?"), "{unknown:?}");
}

#[test]
fn an_entity_is_compared_by_the_server_which_knows_the_source() {
    let fleet = fleet();
    fleet.home.record(3, "second");
    fleet.home.remove_record(4);
    for (reference, code) in [("c3", 8), ("c4", 8), ("c5", 0), ("c99", 5)] {
        let reference = format!("component:default/{reference}");
        for arguments in [
            &["entities", "diff", &reference][..],
            &["entities", "diff", &reference, "--json"],
        ] {
            let (local, remote) = (fleet.home.run(arguments), fleet.remote(arguments));
            assert_eq!((remote.code, local.code), (code, code), "{remote:?}");
            // The text tells an age.
            assert!(arguments.len() == 3 || remote.out == local.out, "{remote:?} {local:?}");
        }
    }
    // The client needs neither the configuration nor the folder.
    let elsewhere = Home::empty();
    let diff = ["entities", "diff", "component:default/c3", "--server", &fleet.url];
    let said = elsewhere.run(&diff).with_code(8);
    assert!(said.out.contains(".metadata.title"), "{said:?}");
    let unknown = [&diff[..], &["--source", "foldr"]].concat();
    let said = elsewhere.run(&unknown).with_code(5);
    assert!(said.err.contains("did you mean folder?"), "{said:?}");
    let reader = fleet.token("reader", "read");
    let forbidden = fleet.with_token(&reader, &diff[..3]).with_code(9);
    assert!(forbidden.err.contains("needs the role operate"), "{forbidden:?}");
}

#[test]
fn why_somebody_acted_is_in_the_audit_log() {
    let fleet = fleet();
    let why = "Wartung, bis 18 Uhr";
    let pause = ["sources", "pause", "folder", "--reason", why];
    fleet.remote(&pause).with_code(0);
    fleet
        .home
        .run(&["sources", "resume", "folder", "--reason", "done"])
        .with_code(0);
    let log = fleet.remote(&["audit", "--json"]).with_code(0).json();
    assert_eq!(log["items"][0]["arguments"]["reason"], "done", "{log}");
    assert_eq!(log["items"][1]["arguments"]["reason"], why, "{log}");
}

/// Forwards connections to the gateway; the first request that acts reaches it, and its answer is lost.
fn losing_one_answer(gateway: &str) -> String {
    let gateway = gateway.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut lost = false;
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&gateway).unwrap());
            let mut request = [0; 16 * 1024];
            let length = client.read(&mut request).unwrap();
            let request =
                String::from_utf8_lossy(&request[..length]).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
            server.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).unwrap();
            if request.starts_with("POST") && !lost {
                lost = true;
                continue;
            }
            client.write_all(&answer).unwrap();
        }
    });
    url
}

#[test]
fn an_act_whose_answer_is_lost_is_done_once() {
    let fleet = fleet();
    let url = losing_one_answer(&fleet.url);
    let paused = fleet.home.run(&["sources", "pause", "folder", "--server", &url]);
    assert_eq!(paused.code, 0, "{paused:?}");
    let log = fleet.remote(&["audit", "--json"]).with_code(0).json();
    let acts = log["items"].as_array().unwrap();
    assert_eq!(acts.len(), 1, "it was done twice, or refused the second time: {log}");
    assert_eq!(
        (&acts[0]["act"], &acts[0]["done"]),
        (&"sources.pause".into(), &true.into())
    );
}
