use std::sync::Arc;

use anyhow::ensure;
use serde_json::{Value, json};
use tideline_store::JobFilter;
use tideline_tests::fake::openchoreo::{OlderOpenChoreo, OpenChoreo, Size, TOKEN};
use tideline_tests::fake::{Contract, FakeServer};
use tideline_tests::hostile::FaultRates;
use tideline_tests::{seed, wait_until};

use crate::stage::{LIMIT, Stage};

const SIZE: Size = Size {
    namespaces: 4,
    components: 15,
    others: 2,
};

async fn fake(seed: u64, size: Size, faults: FaultRates) -> FakeServer<OpenChoreo> {
    let contract = Contract::find("openchoreo/openchoreo-api.yaml").unwrap();
    FakeServer::start(Arc::new(OpenChoreo::new(seed, size)), contract, seed, faults)
        .await
        .unwrap()
}

/// Short pauses; what a test needs besides goes into `more`.
fn keys(url: &str, more: &str) -> String {
    format!(
        "type: openchoreo\nbase_url: {url}\nauth: {{ bearer: {TOKEN} }}\nburst: {{ interval: 0 }}\nbackoff: [10ms, 50ms, 200ms, 1s]\n\
         max_restarts: 50\nparallel_partitions: 4\nremovals: {{ reject_above_percent: none }}\n{more}"
    )
}

/// Pages of ten, so that lists have several.
const SMALL_PAGES: [(&str, &str); 1] = [("value: 100", "value: 10")];

/// The source of a copied preset with small pages.
fn with_small_pages(url: &str, more: &str) -> String {
    let lines: Vec<String> = keys(url, more).lines().map(|line| format!("  {line}\n")).collect();
    let yaml = format!("sources:\n- name: source\n{}", lines.concat());
    let mut shown = tideline_config::presets::show_source(&yaml, "source").unwrap();
    for (from, to) in SMALL_PAGES {
        shown = shown.replace(from, to);
    }
    let lines = shown.lines().filter(|line| !line.starts_with("- name:"));
    let lines: Vec<&str> = lines.map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    lines.join("\n").replace("[redacted]", TOKEN)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_faults_of_openchoreo_stop_the_catalog_is_the_control_plane() {
    let seed = seed("after_the_faults_of_openchoreo_stop_the_catalog_is_the_control_plane");
    let faults = FaultRates {
        expired: 0.05,
        ..FaultRates::nasty()
    };
    let fake = fake(seed, SIZE, faults).await;
    fake.api().set_changes(true);
    let stage = Stage::start(&with_small_pages(&fake.url(), "rest: 0")).await;
    let cycles = wait_until("cycles with faults", LIMIT, async || {
        ensure!(fake.api().cycles() > 3, "{} cycles", fake.api().cycles());
        Ok(())
    });
    cycles.await.unwrap();
    fake.stop_faults();
    fake.api().set_changes(false);
    stage.becomes(&fake.api().expected()).await;
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_cursor_in_the_middle_of_a_namespace_restarts_that_list_only() {
    // Every cursor of every list expires at first; each list is restarted on its own, and nothing is swept.
    let faults = FaultRates {
        expired: 0.5,
        ..FaultRates::default()
    };
    let size = Size {
        namespaces: 20,
        components: 15,
        others: 0,
    };
    let fake = fake(7, size, faults).await;
    let more = "rest: 1h\nkinds: [components]\ncluster_wide: false";
    let stage = Stage::start(&with_small_pages(&fake.url(), more)).await;
    stage.ended(1).await;
    let expected = fake.api().expected();
    let wanted = |kind: &str| kind == "domain" || kind == "component";
    let without_apis = |mut body: Value| {
        body["spec"].as_object_mut().map(|spec| spec.remove("providesApis"));
        body
    };
    let expected = expected.into_iter().filter(|(reference, _)| wanted(reference.kind()));
    let expected = expected
        .map(|(reference, body)| (reference, without_apis(body)))
        .collect();
    stage.becomes(&expected).await;
    // One first page for each restart and one for each time it was asked for to be sure: the others are not read again.
    assert!(fake.times_asked("GET /api/v1/namespaces?") < 20);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_lost_rights_hide_keeps_its_entities() {
    let fake = fake(1, SIZE, FaultRates::default()).await;
    let stage = Stage::start(&keys(&fake.url(), "rest: 1h")).await;
    let expected = fake.api().expected();
    stage.becomes(&expected).await;
    fake.api().with_model(|model| model.forbid("ns-1", true));
    stage.cycle().await;
    stage.becomes(&expected).await;
    fake.api().with_model(|model| model.forbid("ns-1", false));
    stage.stop().await;
}

fn update(kind: &str, name: &str, action: &str) -> (String, Value) {
    let body = json!({ "kind": kind, "name": name, "namespace": "ns-0", "action": action });
    (format!("openchoreo.{}.{action}", kind.to_lowercase()), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_event_reads_one_object_and_the_update_that_was_swallowed_after_it() {
    let fake = fake(1, SIZE, FaultRates::default()).await;
    let stage = Stage::start(&keys(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    let cycles = fake.api().cycles();

    fake.api()
        .with_model(|model| model.put("ns-0", "components", "components-003"));
    let (topic, body) = update("Component", "components-003", "updated");
    stage.publish(&topic, &body).await;
    stage.becomes(&fake.api().expected()).await;
    // The forwarder drops what comes within a second of an update.
    fake.api()
        .with_model(|model| model.put("ns-0", "components", "components-003"));
    stage.becomes(&fake.api().expected()).await;

    fake.api()
        .with_model(|model| model.put("ns-0", "projects", "projects-900"));
    let (topic, body) = update("Project", "projects-900", "created");
    stage.publish(&topic, &body).await;
    stage.has("system:ns-0/projects-900", |body| body.is_some()).await;
    fake.api()
        .with_model(|model| model.remove("ns-0", "projects", "projects-900"));
    let (topic, body) = update("Project", "projects-900", "deleted");
    stage.publish(&topic, &body).await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(fake.api().cycles(), cycles, "no list of namespaces was read for it");
    let one = "GET /api/v1/namespaces/ns-0/components/components-003";
    let reads = wait_until("the second look", LIMIT, async || {
        ensure!(fake.times_asked(one) >= 2, "{}", fake.times_asked(one));
        Ok(())
    });
    reads.await.unwrap();
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_a_namespace_that_is_not_read_adds_nothing() {
    let fake = fake(1, SIZE, FaultRates::default()).await;
    let stage = Stage::start(&keys(&fake.url(), "rest: 1h\nnamespaces: [ns-0]")).await;
    stage.ended(1).await;
    let publish = async |namespace: &str| {
        fake.api()
            .with_model(|model| model.put(namespace, "projects", "projects-900"));
        for (kind, name, namespace) in [
            ("Namespace", namespace, ""),
            ("Project", "projects-900", namespace),
            ("Workload", "workloads-004", namespace),
        ] {
            let body = json!({ "kind": kind, "name": name, "namespace": namespace, "action": "updated" });
            let topic = format!("openchoreo.{}.updated", kind.to_lowercase());
            stage.publish(&topic, &body).await;
        }
        stage.refreshes().await
    };
    assert_eq!(publish("ns-1").await, [""; 0]);
    assert_eq!(publish("ns-0").await.len(), 4);
    stage.has("system:ns-0/projects-900", |body| body.is_some()).await;
    for reference in ["domain:default/ns-1", "system:ns-1/projects-900"] {
        assert_eq!(stage.entity(reference).await.unwrap(), None);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_stay_small_however_many_namespaces_there_are() {
    let size = Size {
        namespaces: 1_000,
        components: 0,
        others: 0,
    };
    let fake = fake(1, size, FaultRates::default()).await;
    let stage = Stage::start(&keys(&fake.url(), "rest: 1h\nkinds: [projects]\ncluster_wide: false")).await;
    let mut longest = 0;
    let ended = wait_until("the cycle to end", LIMIT, async || {
        let filter = JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        };
        let jobs = stage.store.list_jobs(&filter).await?;
        let cursors = jobs.iter().filter_map(|job| job.cursor.as_ref().map(String::len));
        longest = longest.max(cursors.max().unwrap_or(0));
        let source = stage.store.find_source("source").await?.unwrap();
        ensure!(source.cycle_ended_at.is_some(), "{source:?}");
        Ok(())
    });
    ended.await.unwrap();
    stage.becomes(&fake.api().expected()).await;
    assert!(longest < 300, "a cursor of {longest} bytes");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_a_workload_lost_takes_its_api_along_and_so_does_a_deleted_workload() {
    let fake = fake(1, SIZE, FaultRates::default()).await;
    let stage = Stage::start(&keys(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    stage.ended(1).await;
    let cycles = fake.api().cycles();
    // Until one of its versions has fewer endpoints than the one before.
    let apis = |fake: &FakeServer<OpenChoreo>| {
        let expected = fake.api().expected();
        let of =
            |reference: &&tideline_core::words::EntityRef| reference.as_str().starts_with("api:ns-0/components-004_");
        expected.keys().filter(of).count()
    };
    let mut lost = false;
    for _ in 0..12 {
        let before = apis(&fake);
        fake.api()
            .with_model(|model| model.put("ns-0", "workloads", "workloads-004"));
        lost |= apis(&fake) < before;
        let (topic, body) = update("Workload", "workloads-004", "updated");
        stage.publish(&topic, &body).await;
        stage.becomes(&fake.api().expected()).await;
    }
    assert!(lost, "no version had fewer endpoints");
    fake.api()
        .with_model(|model| model.remove("ns-0", "workloads", "workloads-004"));
    let (topic, body) = update("Workload", "workloads-004", "deleted");
    stage.publish(&topic, &body).await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(fake.api().cycles(), cycles, "no cycle was needed");
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_says_which_apis_it_provides_also_after_an_event_of_its_workload_alone() {
    let fake = fake(1, SIZE, FaultRates::default()).await;
    let stage = Stage::start(&keys(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    stage.ended(1).await;
    let component = "GET /api/v1/namespaces/ns-0/components/";
    assert_eq!(fake.times_asked(component), 0, "no call for each component");
    let cycles = fake.api().cycles();
    let reference: tideline_core::words::EntityRef = "component:ns-0/components-004".parse().unwrap();
    let provided = |fake: &FakeServer<OpenChoreo>| fake.api().expected()[&reference]["spec"]["providesApis"].clone();
    let mut seen = vec![provided(&fake)];
    while seen.len() < 3 {
        fake.api()
            .with_model(|model| model.put("ns-0", "workloads", "workloads-004"));
        let now = provided(&fake);
        if seen.last() == Some(&now) {
            continue;
        }
        let (topic, body) = update("Workload", "workloads-004", "updated");
        stage.publish(&topic, &body).await;
        stage.becomes(&fake.api().expected()).await;
        seen.push(now);
    }
    // An event of the component itself asks for its own workloads, and keeps what it provides.
    fake.api()
        .with_model(|model| model.put("ns-0", "components", "components-004"));
    let (topic, body) = update("Component", "components-004", "updated");
    stage.publish(&topic, &body).await;
    stage.becomes(&fake.api().expected()).await;
    let own = "GET /api/v1/namespaces/ns-0/workloads?component=components-004";
    assert!(fake.times_asked(own) > 0, "it lists the workloads of the one component");
    assert_eq!(fake.api().cycles(), cycles, "no cycle was needed");
    stage.stop().await;
    fake.check_contract().unwrap();
}

async fn older(organizations: u32, components: u32, faults: FaultRates) -> FakeServer<OlderOpenChoreo> {
    let api = Arc::new(OlderOpenChoreo::new(organizations, components));
    FakeServer::start(api, None, 1, faults).await.unwrap()
}

/// References in the catalog, with what components provide.
async fn provided(stage: &Stage) -> std::collections::BTreeMap<String, Vec<String>> {
    let catalog = tideline_tests::oracle::read_catalog(stage.store.as_ref(), "source", 1_000)
        .await
        .unwrap();
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let shown = |(reference, body): (tideline_core::words::EntityRef, Value)| {
        (reference.to_string(), texts(&body["spec"]["providesApis"]))
    };
    catalog.into_iter().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_organization_api_of_older_releases_is_read_with_its_envelope_and_expiring_tokens() {
    let faults = FaultRates {
        expired: 0.2,
        ..FaultRates::nasty()
    };
    let fake = older(3, 12, faults).await;
    let stage = Stage::start(&with_small_pages(&fake.url(), "api: organizations\nrest: 0")).await;
    let read = wait_until("everything to be read", LIMIT, async || {
        let (shown, expected) = (provided(&stage).await, fake.api().expected());
        ensure!(shown == expected, "{shown:?}");
        Ok(())
    });
    read.await.unwrap();
    fake.stop_faults();
    let component = stage.entity("component:org-0/c0-000").await.unwrap().unwrap();
    assert_eq!(component["spec"]["type"], "service");
    assert_eq!(component["spec"]["system"], "p0");
    assert_eq!(
        component["metadata"]["annotations"]["openchoreo.io/organization"],
        "org-0"
    );
    let api = stage.entity("api:org-0/c0-000_rest").await.unwrap().unwrap();
    assert_eq!(
        (&api["spec"]["type"], &api["spec"]["definition"]),
        (&json!("openapi"), &json!("openapi: 3.0.0"))
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenario_23_a_service_whose_details_fail_keeps_its_api_entities() {
    let fake = older(1, 6, FaultRates::default()).await;
    let stage = Stage::start(&keys(&fake.url(), "api: organizations\nrest: 1h")).await;
    stage.ended(1).await;
    let expected = fake.api().expected();
    assert_eq!(provided(&stage).await, expected);
    fake.api().set_broken("c0-000", true);
    stage.cycle().await;
    assert_eq!(provided(&stage).await, expected);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_an_organization_that_is_not_read_starts_no_cycle() {
    let fake = older(2, 6, FaultRates::default()).await;
    let more = "api: organizations\nrest: 1h\nnamespaces: [org-0]";
    let stage = Stage::start(&keys(&fake.url(), more)).await;
    stage.ended(1).await;
    let event = |kind: &str, name: &str, namespace: &str| json!({ "kind": kind, "name": name, "namespace": namespace, "action": "updated" });
    let foreign = [
        event("Component", "c0-000", "org-1"),
        event("Organization", "org-1", ""),
    ];
    for body in &foreign {
        stage.publish("openchoreo.any.updated", body).await;
    }
    assert_eq!(stage.refreshes().await, [""; 0]);
    for (body, cycle) in [
        (event("Component", "c0-000", "org-0"), 2),
        (event("Organization", "org-0", ""), 3),
    ] {
        stage.publish("openchoreo.any.updated", &body).await;
        stage.ended(cycle).await;
    }
    stage.stop().await;
}
