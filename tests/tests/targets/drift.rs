//! Mocks that a person changed in Microcks.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde_json::json;
use tideline_store::EventFilter;
use tideline_tests::microcks::Trouble;
use tideline_tests::wait_until;

use super::stage::{LIMIT, METADATA, Stage, mock, spec, sync_file};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_asks_for_one_listing_and_puts_back_what_was_changed_or_removed_by_hand() {
    let mut stage = Stage::start("").await;
    stage.write_pet(&[("a", &["meta.yaml"]), ("b", &[])], &["/pets"]);
    stage.cycle().await;
    let both = [mock("pet", "a"), mock("pet", "b")];
    stage.has(&both).await;
    let before = stage.microcks.calls().len();
    stage.look().await;
    let calls = stage.microcks.calls()[before..].to_vec();
    assert_eq!(calls, ["GET /api/services?page=0&size=100"], "nothing changed");
    {
        let mut services = stage.microcks.state.services.lock();
        services.retain(|_, service| service.full_name() != both[1]);
        let changed = services
            .values_mut()
            .find(|service| service.full_name() == both[0])
            .unwrap();
        let operation = changed.operations.get_mut("GET /pets").unwrap();
        operation.properties.insert("dispatcher".into(), json!("SCRIPT"));
    }
    stage.restart_with("").await;
    stage.look().await;
    stage.has(&both).await;
    let mended = stage.microcks.service(&both[0]).unwrap();
    assert_eq!(mended.operations["GET /pets"].properties["dispatcher"], "URI_PARAMS");
    let filter = EventFilter {
        topics: vec!["sync.drift_found".parse().unwrap()],
        ..EventFilter::default()
    };
    let told = stage.store.list_events_before(None, &filter, 10).await.unwrap();
    assert_eq!(told.events.len(), 2, "{told:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_that_is_only_to_be_reported_is_shown_and_left() {
    let stage = Stage::start("  drift: report\n").await;
    stage.write_pet(&[("a", &[])], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "a")]).await;
    stage.microcks.state.services.lock().clear();
    stage.look().await;
    stage.fails_with("was removed in Microcks by somebody else").await;
    stage.has(&[]).await;
    stage.stop().await;
}

/// One job looks at all of them; only those that are not as they should be are worked on, each by a job of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_many_entities_works_only_on_those_that_differ() {
    let stage = Stage::start("  enrich: { servers: true, mocks_url: 'https://mocks.example.com/' }\n").await;
    let names = ["bear", "cat", "dog", "emu", "fox"];
    for name in names {
        stage.write(&format!(".{name}/microcks.yaml"), &sync_file(&[("a", &[])]));
        stage.write_api(name, Some(&format!("dir:.{name}")), &spec(&["/pets"]));
    }
    stage.cycle().await;
    let mut wanted: Vec<String> = names.iter().map(|name| mock(name, "a")).collect();
    stage.has(&wanted).await;
    let runs = async || {
        let runs = stage.jobs().await.into_iter().map(|job| (job.key, job.token.0));
        runs.collect::<BTreeMap<_, _>>()
    };
    let before = runs().await;
    // No entity tells of these: one is changed in Microcks, one removed there, and one wants another mock.
    {
        let mut services = stage.microcks.state.services.lock();
        services.retain(|_, service| service.name != "cat");
        let dog = services.values_mut().find(|service| service.name == "dog").unwrap();
        dog.operations
            .get_mut("GET /pets")
            .unwrap()
            .properties
            .insert("dispatcher".into(), json!("SCRIPT"));
    }
    stage.write(".emu/microcks.yaml", &sync_file(&[("a", &[]), ("b", &[])]));
    wanted.push(mock("emu", "b"));
    stage.look().await;
    stage.has(&wanted).await;
    let after = runs().await;
    let ran = |name: &str| {
        let key = format!("mocks/api:default/{name}");
        after[&key] - before[&key]
    };
    assert_eq!(names.map(ran), [0, 1, 1, 1, 0], "{after:?}");
    assert_eq!(after["mocks/look/api:default/bear"], 1, "{after:?}");
    let dog = stage.microcks.service(&mock("dog", "a")).unwrap();
    assert_ne!(dog.operations["GET /pets"].properties["dispatcher"], "SCRIPT");
    let looked_at = stage.entities().await;
    let began = looked_at.iter().map(|entity| entity.synced_at).min().unwrap();
    stage.look().await;
    let now = stage.entities().await;
    assert!(
        now.iter()
            .all(|entity| entity.synced_at > began && entity.error.is_none()),
        "{now:?}"
    );
    assert_eq!(
        runs().await["mocks/api:default/cat"],
        after["mocks/api:default/cat"],
        "all are as they should be"
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_while_microcks_is_away_holds_the_target_back_and_says_nothing_of_its_mocks() {
    let stage = Stage::start("").await;
    for name in ["cat", "dog"] {
        stage.write(".mocks/microcks.yaml", &sync_file(&[("a", &[])]));
        stage.write_api(name, Some("dir:.mocks"), &spec(&["/pets"]));
    }
    stage.cycle().await;
    stage.has(&[mock("cat", "a"), mock("dog", "a")]).await;
    let before = stage.entities().await;
    stage.microcks.set_trouble(Trouble {
        status: Some((200, "<html>Sign in</html>".to_owned())),
        ..Trouble::default()
    });
    stage.look_begins().await;
    let held = wait_until("the target to be held back", LIMIT, async || {
        ensure!(stage.target().await.hold.is_some(), "it is not");
        Ok(())
    });
    held.await.unwrap();
    assert_eq!(stage.entities().await, before);
    stage.stop().await;
}

/// What a person sets of an operation and of the labels, as Microcks keeps it.
fn set_by_hand(stage: &Stage, name: &str) {
    let mut services = stage.microcks.state.services.lock();
    let service = services
        .values_mut()
        .find(|service| service.full_name() == name)
        .unwrap();
    service.labels.insert("by".into(), json!("hand"));
    let operation = service.operations.get_mut("GET /pets").unwrap();
    operation.overridden = true;
    operation.properties.insert("dispatcher".into(), json!("SCRIPT"));
    operation.properties.insert("defaultDelay".into(), json!(900));
}

fn is_as_made(stage: &Stage, name: &str) -> anyhow::Result<()> {
    let service = stage
        .microcks
        .service(name)
        .ok_or_else(|| anyhow::anyhow!("it is gone"))?;
    let properties = &service.operations["GET /pets"].properties;
    ensure!(service.labels.is_empty(), "{:?}", service.labels);
    ensure!(
        properties["dispatcher"].is_null() && properties["defaultDelay"] == 0,
        "{properties:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_set_and_a_new_import_keeps_is_undone() {
    let mut stage = Stage::start("").await;
    stage.write_pet(&[("a", &[])], &["/pets"]);
    stage.cycle().await;
    let name = mock("pet", "a");
    stage.has(std::slice::from_ref(&name)).await;
    set_by_hand(&stage, &name);
    // What was heard of Microcks is forgotten with the process.
    stage.restart_with("").await;
    stage.look().await;
    is_as_made(&stage, &name).unwrap();
    // Also where the API changes before anybody looks.
    set_by_hand(&stage, &name);
    stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets", "/more"]));
    stage.cycle().await;
    let undone = wait_until("the change to be undone", LIMIT, async || {
        is_as_made(&stage, &name)?;
        let service = stage.microcks.service(&name);
        ensure!(
            service.is_some_and(|service| service.operations.contains_key("GET /more")),
            "not imported"
        );
        Ok(())
    });
    undone.await.unwrap();
    stage.has(std::slice::from_ref(&name)).await;
    let before = stage.microcks.calls().len();
    stage.resync().await;
    let calls = stage.microcks.calls()[before..].to_vec();
    assert!(!calls.iter().any(|call| call.starts_with("DELETE")), "{calls:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_metadata_no_longer_says_is_gone() {
    let stage = Stage::start("").await;
    stage.write_pet(&[("a", &["meta.yaml"])], &["/pets"]);
    stage.cycle().await;
    let name = mock("pet", "a");
    stage.has(std::slice::from_ref(&name)).await;
    stage.write(".mocks/meta.yaml", &METADATA.replace("    delay: 50\n", ""));
    stage.resync().await;
    let service = stage.microcks.service(&name).unwrap();
    let properties = &service.operations["GET /pets"].properties;
    assert_eq!(properties["defaultDelay"], 0);
    assert_eq!(properties["dispatcher"], "URI_PARAMS");
    let (head, _) = METADATA.split_once("  labels").unwrap();
    stage.write(".mocks/meta.yaml", &format!("{head}operations: {{}}\n"));
    stage.resync().await;
    is_as_made(&stage, &name).unwrap();
    let last = stage.microcks.service(&name).unwrap();
    stage.write(".mocks/meta.yaml", METADATA);
    stage.resync().await;
    let service = stage.microcks.service(&name).unwrap();
    assert_eq!(service.id, last.id, "what is added is added in place");
    assert_eq!(service.labels["team"], "blue");
    stage.stop().await;
}
