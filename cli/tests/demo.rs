//! The demo, small and without latency.

mod support;

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{DEADLINE, FILES, Home, Running};

const SMALL: [&str; 8] = [
    "demo",
    "--entities",
    "4000",
    "--latency",
    "0",
    "--port",
    "0",
    "--seed=7",
];

fn demo(more: &[&'static str]) -> Vec<&'static str> {
    SMALL.iter().chain(more).copied().collect()
}

#[test]
fn one_cycle_of_the_demo_fills_the_store_and_the_next_one_finds_what_changed() {
    let home = Home::empty();
    let first = home.run(&demo(&["--once"])).with_code(0);
    assert!(
        first.out.contains("complete") && first.out.contains("ADDED"),
        "{first:?}"
    );
    assert!(
        first.out.contains("tideline status`, or continue with `tideline demo`"),
        "{first:?}"
    );
    let cycle = |number: usize| -> Value {
        let shown = home
            .run(&["sources", "show", "demo-7-4000", "--json"])
            .with_code(0)
            .json();
        assert_eq!(shown["cycles"][0]["number"], number);
        shown["cycles"][0].clone()
    };
    let totals = cycle(1)["totals"].clone();
    assert!((3_900..=4_000).contains(&totals["added"].as_u64().unwrap()), "{totals}");
    assert_eq!(totals["partitions"], totals["partitions_done"]);

    home.run(&demo(&["--once"])).with_code(0);
    let totals = cycle(2)["totals"].clone();
    for some in ["added", "modified", "removed", "pages_unchanged"] {
        assert!(totals[some].as_u64().unwrap() > 0, "{some}: {totals}");
    }
    assert!(totals["unchanged"].as_u64().unwrap() > 3_900, "{totals}");
}

#[test]
fn programs_get_one_record_per_cycle() {
    let home = Home::empty();
    let said = home.run(&demo(&["--once", "--json"])).with_code(0);
    let record: Value = serde_json::from_str(said.out.trim()).unwrap();
    assert_eq!(record["source_name"], "demo-7-4000");
    assert_eq!(record["state"], "complete");
}

#[test]
fn the_demo_goes_on_until_a_signal_and_then_ends_well() {
    let home = Home::empty();
    let mut running = home.start(&demo(&[]));
    let stdout = running.child.stdout.take().unwrap();
    let mut lines = BufReader::new(stdout).lines();
    assert!(
        lines.by_ref().any(|line| line.unwrap().contains("complete")),
        "no cycle ended"
    );
    running.signal(Signal::SIGINT);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(running.child.wait().unwrap().code(), Some(0), "{rest:?}");
}

#[test]
fn another_world_takes_the_place_of_the_one_before() {
    let home = Home::empty();
    home.run(&demo(&["--once"])).with_code(0);
    let other = ["demo", "--once", "--entities", "300", "--latency", "0", "--port", "0"];
    home.run(&other).with_code(0);
    let sources = home.run(&["sources", "--json"]).with_code(0).json();
    let names: Vec<&str> = sources["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["demo-42-300"]);
}

#[test]
fn the_demo_leaves_a_store_with_other_sources_alone() {
    let home = Home::with_files();
    home.run(&["run", "--once"]).with_code(0);
    let said = home.run(&demo(&["--once", "--store", "t.db"])).with_code(2);
    assert!(said.err.contains("contains the source folder"), "{said:?}");
    let sources = home.run(&["sources", "--json"]).with_code(0).json();
    assert_eq!(sources["items"][0]["state"], "active");
}

#[test]
fn a_users_own_source_called_demo_is_not_the_demos_and_stays() {
    for name in ["demo", "demo-7-4000", "demo-1-1"] {
        let home = Home::with(&FILES.replace("name: folder", &format!("name: {name}")));
        home.record(0, "mine");
        home.run(&["run", "--once"]).with_code(0);
        let said = home.run(&demo(&["--once", "--store", "t.db"])).with_code(2);
        assert!(said.err.contains(&format!("contains the source {name},")), "{said:?}");
        let sources = home.run(&["sources", "--json"]).with_code(0).json();
        assert_eq!(sources["items"][0]["entities"], 1, "{sources}");
    }
}

#[test]
fn the_demo_api_alone_answers_health_checks() {
    let home = Home::empty();
    let mut running = home.start(&["demo-api", "--listen", "127.0.0.1:0", "--entities", "300"]);
    let stdout = running.child.stdout.take().unwrap();
    let line = BufReader::new(stdout).lines().next().unwrap().unwrap();
    let address = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .unwrap()
        .to_owned();
    let health = home.run(&["health", &format!("http://{address}/livez")]).with_code(0);
    assert_eq!(health.out.trim(), "200 ok");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_hint_after_a_demo_names_the_store_it_was_told() {
    let home = Home::empty();
    let said = home.run(&demo(&["--once", "--store", "other.db"])).with_code(0);
    assert!(
        said.out.contains("tideline status --store other.db`") && said.out.contains("tideline demo --store other.db`"),
        "{said:?}"
    );
    assert!(
        !said.out.contains("next in"),
        "a run of one cycle has no next one: {said:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_demo_prints_the_address_of_its_dashboard_and_opens_it_in_the_browser() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = Home::empty();
    // What a Linux desktop opens addresses with.
    home.write(
        "bin/xdg-open",
        "#!/bin/sh\nprintf %s \"$1\" > opened.part && mv opened.part opened\n",
    );
    let opener = home.path("bin/xdg-open");
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = home.command(&demo(&["--open", "--dashboard-port", "0"]));
    command.env("PATH", format!("{}:{path}", home.path("bin").display()));
    let mut running = Running {
        child: command.spawn().unwrap(),
    };
    let stdout = running.child.stdout.take().unwrap();
    let mut lines = BufReader::new(stdout).lines().map(Result::unwrap);
    let printed = lines
        .find_map(|line| line.strip_prefix("The dashboard is at ").map(str::to_owned))
        .unwrap();
    let started = Instant::now();
    let opened = loop {
        if let Ok(opened) = std::fs::read_to_string(home.path("opened")) {
            break opened;
        }
        assert!(started.elapsed() < DEADLINE, "nothing was opened");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(opened, printed);
    home.wait_for(&["health", &opened], |said| said.out.starts_with("200"));
}
