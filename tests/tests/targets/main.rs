//! Microcks kept in step with the catalog, from end to end.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod bad_input;
mod crashes;
mod drift;
mod endpoints;
mod moves;
mod outages;
mod servers;
mod stage;
mod starving;

use tideline_core::words::JobState;

use self::stage::{EXAMPLES, METADATA, Options, Stage, mock, spec, sync_file};

const FULL: &[&str] = &["meta.yaml", "examples.yaml"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dispatchers_labels_and_examples_are_there_after_the_first_sync_and_after_an_update_in_place() {
    let stage = Stage::start("").await;
    stage.write_pet(&[("a", FULL)], &["/pets"]);
    stage.cycle().await;
    let name = mock("pet", "a");
    stage.has(std::slice::from_ref(&name)).await;
    let first = stage.microcks.service(&name).unwrap();
    assert_eq!(first.labels["team"], "blue");
    assert_eq!(first.operations["GET /pets"].properties["dispatcher"], "URI_PARAMS");
    assert_eq!(
        first.operations["GET /pets"].messages,
        [("cat".to_owned(), "examples.yaml".to_owned())]
    );
    let uploads: Vec<bool> = (stage.microcks.calls().iter())
        .filter(|call| call.contains("upload"))
        .map(|call| call.contains("mainArtifact=true"))
        .collect();
    assert_eq!(uploads, [true, false, false], "the main artifact comes first");

    stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets", "/pets/{id}"]));
    stage.cycle().await;
    let imported = tideline_tests::wait_until("the second import", stage::LIMIT, async || {
        let imports = stage.microcks.service(&name).map(|service| service.imports);
        anyhow::ensure!(imports >= Some(2), "{imports:?}");
        Ok(())
    });
    imported.await.unwrap();
    stage.has(std::slice::from_ref(&name)).await;
    let second = stage.microcks.service(&name).unwrap();
    assert_eq!((&second.id, second.imports), (&first.id, 2), "in place, once");
    assert!(second.operations.contains_key("GET /pets/{id}"));
    let operation = &second.operations["GET /pets"];
    assert_eq!(operation.properties["dispatcher"], "URI_PARAMS");
    assert_eq!(
        operation.properties["parameterConstraints"].as_array().unwrap().len(),
        1,
        "not doubled"
    );
    assert!(!stage.microcks.calls().iter().any(|call| call.starts_with("DELETE")));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_metadata_is_applied_and_its_constraints_are_not_doubled() {
    let stage = Stage::start("").await;
    stage.write_pet(&[("a", FULL)], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "a")]).await;
    stage.write(
        ".mocks/meta.yaml",
        &METADATA.replace("dispatcherRules: kind", "dispatcherRules: color"),
    );
    stage.resync().await;
    let service = stage.microcks.service(&mock("pet", "a")).unwrap();
    let properties = &service.operations["GET /pets"].properties;
    assert_eq!(properties["dispatcherRules"], "color");
    assert_eq!(properties["parameterConstraints"].as_array().unwrap().len(), 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mock_that_leaves_the_file_goes_and_the_one_whose_id_ends_alike_stays() {
    let stage = Stage::start("").await;
    let long = "x".repeat(128);
    stage.write_pet(&[("b", &[]), ("a-b", &[]), (long.as_str(), &[])], &["/pets"]);
    stage.cycle().await;
    stage
        .has(&[mock("pet", "b"), mock("pet", "a-b"), mock("pet", &long)])
        .await;
    stage.write(
        ".mocks/microcks.yaml",
        &sync_file(&[("a-b", &[]), (long.as_str(), &[])]),
    );
    stage.resync().await;
    stage.has(&[mock("pet", "a-b"), mock("pet", &long)]).await;
    assert_eq!(stage.owned().await.len(), 2);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mocks_go_with_their_file_their_annotation_and_their_entity() {
    let stage = Stage::start("").await;
    for api in ["cat", "dog", "pet"] {
        stage.write(&format!(".{api}/microcks.yaml"), &sync_file(&[("a", &[])]));
        stage.write_api(api, Some(&format!("dir:.{api}")), &spec(&["/pets"]));
    }
    stage.write_api("other", None, &spec(&["/x"]));
    stage.cycle().await;
    stage.has(&[mock("cat", "a"), mock("dog", "a"), mock("pet", "a")]).await;
    assert_eq!(
        stage.entities().await.len(),
        3,
        "an entity without the annotation is none of the target's"
    );
    stage.remove(".cat/microcks.yaml");
    stage.write_api("dog", None, &spec(&["/pets"]));
    stage.remove("pet.yaml");
    stage.cycle().await;
    stage.has(&[mock("cat", "a")]).await;
    stage.resync().await;
    stage.has(&[]).await;
    assert_eq!(stage.owned().await, []);
    let known: Vec<_> = stage.entities().await.into_iter().map(|one| one.reference).collect();
    assert_eq!(known, ["api:default/cat".parse().unwrap()], "its file may come back");
    stage.write(".cat/microcks.yaml", &sync_file(&[("a", &[])]));
    stage.look().await;
    stage.has(&[mock("cat", "a")]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_whose_file_comes_later_gets_its_mocks_at_the_next_look() {
    let stage = Stage::start("").await;
    stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets"]));
    stage.cycle().await;
    stage.has(&[]).await;
    stage.write(".mocks/microcks.yaml", &sync_file(&[("a", &[])]));
    stage.look().await;
    stage.has(&[mock("pet", "a")]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_that_is_dropped_while_the_main_one_is_refused_costs_no_mock() {
    let stage = Stage::start("").await;
    stage.write_pet(&[("a", FULL)], &["/pets"]);
    stage.cycle().await;
    let name = mock("pet", "a");
    stage.has(std::slice::from_ref(&name)).await;
    let first = stage.microcks.service(&name).unwrap().id;
    stage.write(".mocks/microcks.yaml", &sync_file(&[("a", &["meta.yaml"])]));
    let refused = format!("{}  /bad: what\n", spec(&["/pets"]));
    stage.write_api("pet", Some("dir:.mocks"), &refused);
    stage.cycle().await;
    assert_eq!(stage.fails_with("/bad could not be parsed").await, JobState::Parked);
    stage.has(std::slice::from_ref(&name)).await;
    assert_eq!(stage.microcks.service(&name).unwrap().id, first);
    stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets", "/pets/{id}"]));
    stage.cycle().await;
    let replaced = tideline_tests::wait_until("the mock without its examples", stage::LIMIT, async || {
        let service = stage.microcks.service(&name);
        let operation = service.as_ref().and_then(|service| service.operations.get("GET /pets"));
        anyhow::ensure!(
            operation.is_some_and(|operation| operation.messages.is_empty()),
            "{service:?}"
        );
        Ok(())
    });
    replaced.await.unwrap();
    stage.has(std::slice::from_ref(&name)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_file_deletes_nothing_and_is_shown_at_the_entity() {
    let mut stage = Stage::start("").await;
    stage.write_pet(&[("a", &[]), ("b", &[])], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "a"), mock("pet", "b")]).await;
    for wrong in ["a: [", "kind: Deployment\n", "- 1\n"] {
        stage.write(".mocks/microcks.yaml", wrong);
        stage.resync().await;
        assert_eq!(stage.fails_with("microcks.yaml").await, JobState::Parked);
        assert!(stage.error_of("pet").await.unwrap().contains(".mocks/microcks.yaml"));
        stage.has(&[mock("pet", "a"), mock("pet", "b")]).await;
    }
    // One mock with a mistake stays, and holds up no other.
    let twice = sync_file(&[("a", &[]), ("a", &[]), ("c", &[])]);
    stage.write(".mocks/microcks.yaml", &twice);
    stage.resync().await;
    assert_eq!(stage.fails_with("used 2 times").await, JobState::Parked);
    stage.has(&[mock("pet", "a"), mock("pet", "c")]).await;
    stage.restart_with("  on_invalid: delete\n").await;
    stage.write(".mocks/microcks.yaml", "a: [");
    stage.resync().await;
    stage.has(&[]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tideline_did_not_make_is_left_alone_unless_it_shall_be_adopted() {
    let mut stage = Stage::start("").await;
    let name = mock("pet", "a");
    let (api, version) = name.split_once(':').unwrap();
    let foreign = stage.microcks.put(api, version);
    stage.microcks.put(api, &format!("{version}-other"));
    let others = [name.clone(), format!("{name}-other")];
    stage.write_pet(&[("a", FULL)], &["/pets"]);
    stage.cycle().await;
    assert_eq!(stage.fails_with("set adopt: true").await, JobState::Parked);
    assert_eq!(stage.microcks.service(&name).unwrap().imports, 0);
    stage.write(".mocks/microcks.yaml", &sync_file(&[]));
    stage.resync().await;
    stage.has(&others).await;

    stage.write(".mocks/microcks.yaml", &sync_file(&[("a", FULL)]));
    stage.restart_with("  adopt: true\n").await;
    stage.resync().await;
    stage.has(&others).await;
    let adopted = stage.microcks.service(&name).unwrap();
    assert_eq!((adopted.id, adopted.imports), (foreign, 1));
    stage.write(".mocks/microcks.yaml", &sync_file(&[]));
    stage.resync().await;
    stage.has(&others[1..]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_artifact_parks_with_the_words_of_microcks_and_the_other_mocks_go_on() {
    let stage = Stage::start("  max_artifact_bytes: 4KiB\n").await;
    stage.write(".mocks/twice/examples.yaml", &EXAMPLES.replace("cat", "dog"));
    stage.write(".mocks/big.yaml", &format!("{EXAMPLES}# {}\n", "x".repeat(5_000)));
    stage.write(".mocks/what.yaml", "hello: world\n");
    stage.write(".mocks/away.yaml", &EXAMPLES.replace("GET /pets", "GET /nowhere"));
    stage.write_pet(
        &[
            ("good", &["examples.yaml", "twice/examples.yaml"]),
            ("big", &["big.yaml"]),
            ("unknown", &["what.yaml"]),
            ("gone", &["gone.yaml"]),
            ("skipped", &["away.yaml"]),
        ],
        &["/pets"],
    );
    stage.cycle().await;
    assert_eq!(stage.fails_with("GET /nowhere").await, JobState::Parked);
    let error = stage.error_of("pet").await.unwrap();
    for (mock, why) in [
        ("big", "max_artifact_bytes"),
        ("unknown", "what.yaml is not a type that Microcks accepts"),
        ("gone", "gone.yaml is not there"),
        ("skipped", "skipped a part of them"),
    ] {
        assert!(error.contains(&format!("{mock:?}")) && error.contains(why), "{error}");
    }
    stage.has(&[mock("pet", "good"), mock("pet", "skipped")]).await;
    let good = stage.microcks.service(&mock("pet", "good")).unwrap();
    let examples: Vec<&str> = good.operations["GET /pets"]
        .messages
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(examples, ["cat", "dog"], "one base name, two files");
    // What was refused is not sent again until it is another thing.
    let uploads = |stage: &Stage| {
        stage
            .microcks
            .calls()
            .iter()
            .filter(|call| call.contains("upload"))
            .count()
    };
    let before = uploads(&stage);
    stage.write_api("pet", Some("dir:.mocks"), &format!("{}# a comment\n", spec(&["/pets"])));
    stage.cycle().await;
    stage.idle().await;
    assert!(uploads(&stage) > before, "the definition changed");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_of_many_changes_is_what_ends_up_live() {
    let stage = Stage::start("").await;
    stage.microcks.state.trouble.lock().latency = std::time::Duration::from_millis(50);
    stage.write_pet(&[("a", FULL)], &["/pets"]);
    stage.cycle().await;
    for number in 0..4 {
        stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets", &format!("/v{number}")]));
        stage.cycle().await;
    }
    stage.has(&[mock("pet", "a")]).await;
    let service = stage.microcks.service(&mock("pet", "a")).unwrap();
    assert!(service.operations.contains_key("GET /v3"), "{service:?}");
    assert_eq!(service.operations.len(), 2);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mocks_are_kept_in_step_on_postgres_too() {
    let Some(database) = tideline_tests::servers::database("targets").await.unwrap() else {
        return;
    };
    let options = tideline_store::postgres::PostgresOptions::default();
    let store = tideline_store::postgres::PostgresStore::connect(database.url(), options)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let stage = Stage::with(Options {
        store: Some(std::sync::Arc::new(store)),
        ..Options::default()
    })
    .await;
    stage.write_pet(&[("b", FULL), ("a-b", &[])], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "b"), mock("pet", "a-b")]).await;
    stage.write_pet(&[("a-b", FULL)], &["/pets", "/more"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "a-b")]).await;
    stage.remove("pet.yaml");
    stage.cycle().await;
    stage.has(&[]).await;
    stage.stop().await;
}
