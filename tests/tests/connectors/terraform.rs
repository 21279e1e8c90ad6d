//! `type: terraform` against the fake of HCP Terraform.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tideline_config::settings::TelemetrySettings;
use tideline_runtime::telemetry::init;
use tideline_tests::fake::terraform::{API, FakeState, FakeTerraform, Model, SECRET};
use tideline_tests::fake::{Contract, FakeServer};
use tideline_tests::hostile::FaultRates;
use tideline_tests::oracle::read_catalog;
use tideline_tests::{books, wait_until};

use crate::stage::{LIMIT, SOURCE, Stage};

const DOCUMENT: &str = "terraform/hcp-terraform-openapi-v2.2.0.json";

async fn serve(model: Model, seed: u64, faults: FaultRates) -> FakeServer<FakeTerraform> {
    let contract = Contract::find(DOCUMENT).unwrap().map(|contract| contract.below(API));
    FakeServer::start(Arc::new(FakeTerraform::new(model)), contract, seed, faults)
        .await
        .unwrap()
}

fn keys(server: &FakeServer<FakeTerraform>, more: &str) -> String {
    let token = server.api().with_model(|model| model.token.clone());
    format!(
        "type: terraform\norganization: acme\nbase_url: {}\nauth: {{ bearer: {token} }}\nbackoff: [10ms, 20ms, 50ms]\n\
         parallel_partitions: 4\nburst: {{ interval: 0s }}\nrest: 1h\nmax_requests_per_second: none\n\
         refresh_spacing: 10ms\n{more}",
        server.url()
    )
}

async fn stage(server: &FakeServer<FakeTerraform>, more: &str) -> Stage {
    let stage = Stage::start(&keys(server, more)).await;
    stage.ended(1).await;
    stage
}

/// What the catalog shows: the serial of each workspace, and the name of each thing.
async fn shown(stage: &Stage) -> BTreeMap<String, String> {
    let catalog = read_catalog(stage.store.as_ref(), SOURCE, 1_000).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entities = catalog.into_values().map(|body| {
        let annotations = &body["metadata"]["annotations"];
        let (workspace, title) = (
            text(&annotations["terraform.io/workspace"]),
            text(&body["metadata"]["title"]),
        );
        if body["kind"] == "System" {
            (title, text(&annotations["terraform.io/serial"]))
        } else {
            (
                format!("{workspace} {title}"),
                text(&body["spec"]["attributes"]["name"]),
            )
        }
    });
    entities.collect()
}

async fn becomes(stage: &Stage, expected: &BTreeMap<String, String>) {
    let waited = wait_until("the catalog to be the states", LIMIT, async || {
        let found = shown(stage).await;
        ensure!(found == *expected, "{found:?} instead of {expected:?}");
        Ok(())
    });
    if let Err(error) = waited.await {
        panic!("{error:#}\n{}", books::describe(stage.store.as_ref()).await);
    }
}

fn expected(server: &FakeServer<FakeTerraform>) -> BTreeMap<String, String> {
    server.api().with_model(|model| model.expected())
}

fn two() -> Model {
    let model = Model::new().with("prod-a", Some(FakeState::new(3, &["one", "two", "three"])));
    model
        .with("prod-b", Some(FakeState::new(9, &["one", "four"])))
        .with("prod-new", None)
}

fn notification(workspace: &str, status: &str) -> Value {
    json!({
        "payload_version": 1, "notification_configuration_id": "nc-1", "run_id": "run-1", "workspace_id": workspace,
        "workspace_name": "x", "organization_name": "Acme",
        "notifications": [{ "message": "m", "trigger": "run:completed", "run_status": status }],
    })
}

/// Waits until the newest event was followed.
async fn settled(stage: &Stage, server: &FakeServer<FakeTerraform>, workspace: &str, before: u64) {
    let what = format!("GET {API}/workspaces/{workspace}/current-state-version");
    let asked = wait_until("the workspace to be read again", LIMIT, async || {
        ensure!(
            server.times_asked(&what) > before,
            "{}",
            books::describe(stage.store.as_ref()).await
        );
        Ok(())
    });
    asked.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_become_entities_and_the_downloads_get_no_credentials() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "workspaces: prod-*\nlabels: { tenant: acme }\n").await;
    becomes(&stage, &expected(&server)).await;
    let workspace = stage.entity("system:default/prod-a").await.unwrap().unwrap();
    assert_eq!(
        workspace["metadata"]["annotations"]["output.terraform.io/endpoint"],
        "https://3.example"
    );
    assert_eq!(workspace["metadata"]["labels"], json!({"tenant": "acme"}));
    assert_eq!(
        server.api().leaked.load(Ordering::Relaxed),
        0,
        "credentials went to the archive"
    );
    server.check_contract().unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sensitive_values_and_addresses_of_states_are_in_no_row_of_the_store() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "attributes: \"*\"\n").await;
    becomes(&stage, &expected(&server)).await;
    // A state that cannot be read must not be quoted either.
    server
        .api()
        .with_model(|model| model.workspace("prod-a").state.as_mut().unwrap().serial = 99);
    stage.cycle().await;
    let tickets = server.api().with_model(|model| model.tickets());
    assert!(!tickets.is_empty());
    let folder = stage.stop().await;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        // The log of the store goes when its last connection closes.
        let Ok(content) = std::fs::read(entry.unwrap().path()) else {
            continue;
        };
        bytes += content.len();
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains(SECRET), "a sensitive value is stored");
        assert!(
            tickets.iter().all(|ticket| !text.contains(ticket.as_str())),
            "the address of a state is stored"
        );
    }
    assert!(bytes > 10_000, "{bytes} bytes in {}", folder.path().display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_without_changes_asks_for_the_list_alone_and_one_change_is_one_download() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "").await;
    becomes(&stage, &expected(&server)).await;
    let (downloads, requests) = (
        server.api().downloads(),
        server.counts().requests.load(Ordering::Relaxed),
    );
    stage.cycle().await;
    assert_eq!(server.api().downloads(), downloads);
    let asked = server.counts().requests.load(Ordering::Relaxed) - requests;
    assert!(
        asked <= 2,
        "{asked} requests: the list, and the workspace that has no state"
    );
    server
        .api()
        .with_model(|model| model.apply("prod-b", |things| drop(things.insert("five".into(), "v".into()))));
    stage.cycle().await;
    becomes(&stage, &expected(&server)).await;
    assert_eq!(server.api().downloads(), downloads + 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_19_the_sync_of_one_workspace_never_touches_another() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "removals: { confirm_cycles: 1, reject_above_percent: none }\n").await;
    becomes(&stage, &expected(&server)).await;
    // Both have a thing.one: it goes in one of them.
    server
        .api()
        .with_model(|model| model.apply("prod-a", |things| drop(things.remove("one"))));
    stage.cycle().await;
    becomes(&stage, &expected(&server)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_19_a_state_serial_that_goes_backwards_is_ignored() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "removals: { confirm_cycles: 1, reject_above_percent: none }\n").await;
    becomes(&stage, &expected(&server)).await;
    let before = expected(&server);
    server
        .api()
        .with_model(|model| model.workspace("prod-a").state = Some(FakeState::new(2, &["one"])));
    stage.cycle().await;
    stage.cycle().await;
    assert_eq!(shown(&stage).await, before);
    let told = stage.malformed().await;
    assert!(
        told.iter()
            .any(|why| why.contains("prod-a") && why.contains("serial 2")),
        "{told:?}"
    );
    // By an event too.
    let asked = server.times_asked(&format!("GET {API}/workspaces/ws-prod-a/current-state-version"));
    stage
        .publish("tfc.run.completed", &notification("ws-prod-a", "applied"))
        .await;
    settled(&stage, &server, "ws-prod-a", asked).await;
    assert_eq!(shown(&stage).await, before);
    server
        .api()
        .with_model(|model| model.workspace("prod-a").state = Some(FakeState::new(4, &["one"])));
    stage.cycle().await;
    becomes(&stage, &expected(&server)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_19_an_empty_state_is_held_and_other_workspaces_go_on() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "removals: { confirm_cycles: 1, reject_above_percent: none }\n").await;
    becomes(&stage, &expected(&server)).await;
    let mut wanted = expected(&server);
    server.api().with_model(|model| {
        model.apply("prod-a", BTreeMap::clear);
        model.apply("prod-b", |things| drop(things.remove("four")));
    });
    wanted.remove("prod-b thing.four");
    wanted.insert("prod-b".into(), "10".into());
    for _ in 0..3 {
        stage.cycle().await;
        becomes(&stage, &wanted).await;
    }
    let told = stage.malformed().await;
    assert!(
        told.iter()
            .any(|why| why.contains("prod-a") && why.contains("accept_resets")),
        "{told:?}"
    );
    let accepting = keys(
        &server,
        "removals: { confirm_cycles: 1, reject_above_percent: none }\naccept_resets: prod-a\n",
    );
    let stage = stage.restart(&accepting).await;
    stage.cycle().await;
    becomes(&stage, &expected(&server)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_renamed_while_its_state_is_empty_keeps_its_entities() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "removals: { confirm_cycles: 1, reject_above_percent: none }\n").await;
    becomes(&stage, &expected(&server)).await;
    let before = expected(&server);
    server.api().with_model(|model| {
        model.apply("prod-a", BTreeMap::clear);
        model.workspace("prod-a").name = "prod-z".into();
    });
    for _ in 0..2 {
        stage.cycle().await;
        assert_eq!(shown(&stage).await, before);
    }
    let told = stage.malformed().await;
    assert!(told.iter().any(|why| why.contains("prod-z")), "{told:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_lineage_is_taken_if_little_goes_and_held_if_much_does() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "removals: { confirm_cycles: 1, reject_above_percent: 40 }\n").await;
    becomes(&stage, &expected(&server)).await;
    let reset = |things: &[&str]| FakeState {
        lineage: "lineage-2".into(),
        ..FakeState::new(1, things)
    };
    let before = expected(&server);
    server
        .api()
        .with_model(|model| model.workspace("prod-a").state = Some(reset(&["one"])));
    stage.cycle().await;
    assert_eq!(shown(&stage).await, before);
    assert!(stage.malformed().await.iter().any(|why| why.contains("new lineage")));
    server
        .api()
        .with_model(|model| model.workspace("prod-a").state = Some(reset(&["six", "seven", "eight"])));
    stage.cycle().await;
    assert_eq!(shown(&stage).await, before, "as many others are no less of a loss");
    server
        .api()
        .with_model(|model| model.workspace("prod-a").state = Some(reset(&["one", "two", "six"])));
    stage.cycle().await;
    becomes(&stage, &expected(&server)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_right_that_answers_404_deletes_nothing() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "removals: { confirm_cycles: 1 }\n").await;
    becomes(&stage, &expected(&server)).await;
    let before = expected(&server);
    // The right to read states, then the workspace itself: the guard looks at that.
    server
        .api()
        .with_model(|model| model.workspace("prod-a").states_hidden = true);
    stage.cycle().await;
    assert_eq!(shown(&stage).await, before);
    assert!(
        stage
            .malformed()
            .await
            .iter()
            .any(|why| why.contains("permission to read states"))
    );
    server.api().with_model(|model| model.workspace("prod-a").hidden = true);
    stage.cycle().await;
    assert_eq!(shown(&stage).await, before, "more than 20 % are held for a person");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_final_run_refreshes_its_workspace_and_other_runs_do_nothing() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "").await;
    becomes(&stage, &expected(&server)).await;
    let before = expected(&server);
    server
        .api()
        .with_model(|model| model.apply("prod-a", |things| drop(things.insert("one".into(), "new".into()))));
    for (status, workspace) in [
        ("planned_and_finished", "ws-prod-a"),
        ("discarded", "ws-prod-a"),
        ("invented", "ws-prod-a"),
    ] {
        stage
            .publish("tfc.run.completed", &notification(workspace, status))
            .await;
    }
    let verification = json!({"payload_version": 1, "workspace_id": null, "organization_name": null,
        "notifications": [{"message": "Verification of x", "trigger": "verification", "run_status": null}]});
    stage.publish("tfc.verification", &verification).await;
    // Another sender's event of such a name.
    stage.publish("ci.run.completed", &json!(["applied"])).await;
    let mut foreign = notification("ws-prod-a", "applied");
    foreign["organization_name"] = json!("other");
    stage.publish("tfc.run.completed", &foreign).await;
    // Of another organization's, or one that the source does not select, nothing is written.
    stage
        .publish("tfc.run.completed", &notification("ws-unknown", "applied"))
        .await;
    let unknown = format!("GET {API}/workspaces/ws-unknown");
    let asked = wait_until("the last event to be followed", LIMIT, async || {
        ensure!(server.times_asked(&unknown) > 0, "not yet");
        Ok(())
    });
    asked.await.unwrap();
    assert_eq!(shown(&stage).await, before);
    // A failed apply keeps what it had made.
    stage
        .publish("tfc.run.errored", &notification("ws-prod-a", "errored"))
        .await;
    becomes(&stage, &expected(&server)).await;
    // Payloads of version 2 may have it as a text.
    server
        .api()
        .with_model(|model| model.apply("prod-b", |things| drop(things.insert("one".into(), "new".into()))));
    let assessment = json!({"payload_version": "2", "trigger_scope": "assessment", "trigger": "assessment:drifted",
        "details": {"workspace_id": "ws-prod-b", "workspace_name": "prod-b", "organization_name": "acme"}});
    stage.publish("tfc.assessment.drifted", &assessment).await;
    becomes(&stage, &expected(&server)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_destroyed_leaves_at_once_and_the_guard_keeps_what_is_too_much() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "removals: { reject_above_percent: 20 }\n").await;
    becomes(&stage, &expected(&server)).await;
    let cycles = server.times_asked(&format!("GET {API}/organizations/acme/workspaces"));
    // A run that was stopped in its apply keeps what it had done.
    for (status, thing) in [("canceled", "one"), ("force_canceled", "two")] {
        server.api().with_model(|model| {
            model.apply("prod-a", |things| {
                things.remove(thing);
                things.insert("new".into(), status.into());
            });
        });
        stage
            .publish("tfc.run.errored", &notification("ws-prod-a", status))
            .await;
        becomes(&stage, &expected(&server)).await;
    }
    let before = expected(&server);
    server.api().with_model(|model| {
        model.apply("prod-b", |things| {
            things.clear();
            things.insert("only".into(), "1".into());
        });
    });
    stage
        .publish("tfc.run.completed", &notification("ws-prod-b", "applied"))
        .await;
    let mut kept = before;
    kept.extend(expected(&server));
    becomes(&stage, &kept).await;
    assert_eq!(
        server.times_asked(&format!("GET {API}/organizations/acme/workspaces")),
        cycles
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_without_a_new_serial_writes_nothing() {
    let server = serve(two(), 1, FaultRates::default()).await;
    let stage = stage(&server, "").await;
    becomes(&stage, &expected(&server)).await;
    let last = stage.last_change().await;
    let asked = server.times_asked(&format!("GET {API}/workspaces/ws-prod-a/current-state-version"));
    stage
        .publish("tfc.run.completed", &notification("ws-prod-a", "applied"))
        .await;
    settled(&stage, &server, "ws-prod-a", asked).await;
    stage.cycle().await;
    assert_eq!(stage.last_change().await, last);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_faults_stop_the_catalog_is_the_states() {
    let telemetry = init(&TelemetrySettings::default(), "test").unwrap();
    let seed = tideline_tests::seed("after_the_faults_stop_the_catalog_is_the_states");
    let mut model = Model::new();
    for number in 0..25 {
        let things: Vec<String> = (0..number % 7 + 1).map(|thing| format!("t{thing}")).collect();
        let things: Vec<&str> = things.iter().map(String::as_str).collect();
        model = model.with(&format!("ws{number}"), Some(FakeState::new(number + 1, &things)));
    }
    model.max_page_size = 7;
    model.stale_every = 5;
    model.names_versions = seed.is_multiple_of(2);
    let faults = FaultRates {
        internal: 0.1,
        cut: 0.05,
        too_many: 0.02,
        latency: Duration::from_millis(3),
        ..FaultRates::default()
    };
    let server = serve(model, seed, faults).await;
    let stage = Stage::start(&keys(&server, "removals: { reject_above_percent: 50 }\n")).await;
    for round in 0..6_u64 {
        let name = format!("ws{}", (seed.wrapping_add(round * 7)) % 25);
        server.api().with_model(|model| {
            model.apply(&name, |things| {
                things.remove("t1");
                things.insert("t0".into(), format!("round-{round}"));
            });
        });
        stage
            .publish("tfc.run.completed", &notification(&format!("ws-{name}"), "applied"))
            .await;
        // A workspace that moves between the pages of the list while it is read.
        server.api().with_model(|model| {
            model.workspace("ws3").name = format!("{}ws3", if round % 2 == 0 { "zz-" } else { "" })
        });
        stage.cycle().await;
    }
    server.stop_faults();
    for _ in 0..3 {
        stage.cycle().await;
    }
    becomes(&stage, &expected(&server)).await;
    assert_eq!(server.api().leaked.load(Ordering::Relaxed), 0);
    server.check_contract().unwrap();
    stage.stop().await;
    // Which workspaces failed is told, so that somebody who looks at all of them finds the one.
    let page = telemetry.metrics_page().render();
    let mut failures = page
        .lines()
        .filter(|line| line.starts_with("tideline_partition_failures_total{"));
    assert!(failures.any(|line| line.contains("/ws-ws")), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_with_what_to_do() {
    let server = serve(two(), 1, FaultRates::default()).await;
    for (key, other, told) in [
        (
            "organization: acme",
            "organization: nobody",
            "there is no organization nobody",
        ),
        ("bearer: tfc-token-0123456789", "bearer: wrong-token", "check auth"),
    ] {
        let keys = keys(&server, "").replace(key, other);
        let stage = Stage::start(&keys).await;
        let shown = wait_until("the error to be shown", LIMIT, async || {
            let text = books::describe(stage.store.as_ref()).await;
            ensure!(text.contains(told), "{text}");
            Ok(())
        });
        shown.await.unwrap();
        stage.stop().await;
    }
}
