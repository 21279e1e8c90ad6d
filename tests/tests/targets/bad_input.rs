//! Mistakes in an annotation, a `microcks.yaml` or an artifact: each is shown where it is, with what would be right,
//! and holds up nothing else.

use tideline_core::words::JobState;

use super::stage::{EXAMPLES, Stage, mock, spec, sync_file};

/// The API `pet`, whose mock `good` is there.
async fn with_a_good_mock(target: &str) -> Stage {
    let stage = Stage::start(target).await;
    stage.write_pet(&[("good", &["examples.yaml"])], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "good")]).await;
    stage
}

/// The error at the entity, once these mocks are there.
async fn error(stage: &Stage, text: &str, mocks: &[&str]) -> String {
    assert_eq!(stage.fails_with(text).await, JobState::Parked);
    let mocks: Vec<String> = mocks.iter().map(|id| mock("pet", id)).collect();
    stage.has(&mocks).await;
    stage.error_of("pet").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_of_a_wrong_form_is_shown_with_the_accepted_forms_and_deletes_nothing() {
    let stage = with_a_good_mock("").await;
    for wrong in [
        "./microcks.yaml",
        "dir:/etc",
        "dir:a/../../b",
        "url:ftp://x/y",
        "file:mocks",
    ] {
        stage.write_api("pet", Some(wrong), &spec(&["/pets"]));
        stage.cycle().await;
        let error = error(&stage, "bcgov/microcks-config-ref", &["good"]).await;
        assert!(error.contains("dir:") && error.contains("url:"), "{wrong}: {error}");
        stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets"]));
        stage.cycle().await;
        stage.has(&[mock("pet", "good")]).await;
        assert_eq!(stage.error_of("pet").await, None);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_yaml_is_shown_with_its_place_and_deletes_nothing() {
    let stage = with_a_good_mock("").await;
    stage.write(".mocks/microcks.yaml", "spec: [\n");
    stage.resync().await;
    let error = error(&stage, "is not YAML", &["good"]).await;
    assert!(
        error.contains(".mocks/microcks.yaml") && error.contains("line"),
        "{error}"
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mock_id_that_is_used_twice_is_shown_and_the_other_mocks_go_on() {
    let stage = with_a_good_mock("").await;
    stage.write(
        ".mocks/microcks.yaml",
        &sync_file(&[("good", &[]), ("twice", &[]), ("twice", &[])]),
    );
    stage.resync().await;
    let error = error(&stage, "used 2 times", &["good"]).await;
    assert!(error.contains("twice") && error.contains("mockId"), "{error}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_over_the_limit_is_shown_at_its_mock_with_the_limit_and_the_other_mocks_go_on() {
    let stage = with_a_good_mock("  max_artifact_bytes: 4KiB\n").await;
    stage.write(".mocks/big.yaml", &format!("{EXAMPLES}# {}\n", "x".repeat(5_000)));
    stage.write(
        ".mocks/microcks.yaml",
        &sync_file(&[("big", &["big.yaml"]), ("good", &[]), ("new", &[])]),
    );
    stage.resync().await;
    let error = error(&stage, "max_artifact_bytes", &["good", "new"]).await;
    assert!(error.contains("mock \"big\"") && error.contains("4096"), "{error}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_of_an_unknown_type_is_shown_at_its_mock_with_the_known_ones_and_the_other_mocks_go_on() {
    let stage = with_a_good_mock("").await;
    stage.write(".mocks/what.yaml", "hello: world\n");
    stage.write(
        ".mocks/microcks.yaml",
        &sync_file(&[("odd", &["what.yaml"]), ("good", &[]), ("new", &[])]),
    );
    stage.resync().await;
    let error = error(&stage, "is not a type that Microcks accepts", &["good", "new"]).await;
    for part in ["mock \"odd\"", "what.yaml", "OpenAPI 3", "APIMetadata", "Postman"] {
        assert!(error.contains(part), "{error}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_that_leads_to_no_file_is_shown_until_the_file_is_there() {
    let stage = Stage::start("").await;
    stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets"]));
    stage.cycle().await;
    let told = error(&stage, ".mocks/microcks.yaml is not there", &[]).await;
    assert!(told.contains("bcgov/microcks-config-ref"), "{told}");
    stage.write(".mocks/microcks.yaml", &sync_file(&[("good", &[])]));
    stage.look().await;
    stage.has(&[mock("pet", "good")]).await;
    assert_eq!(stage.error_of("pet").await, None);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_is_told_in_the_words_of_its_author() {
    let stage = with_a_good_mock("").await;
    stage.write(".mocks/bad.yaml", &spec(&["/pets"]));
    let file = sync_file(&[("good", &[]), ("refused", &["bad.yaml"])])
        .replace("mockId: good", "mockId: good\n      artefacts: []");
    stage.write(".mocks/microcks.yaml", &file);
    stage.resync().await;
    let told = error(&stage, "did you mean \"artifacts\"", &["good", "refused"]).await;
    assert!(told.contains("bad.yaml: Microcks answered 400"), "{told}");
    let api = "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: pet\n  annotations: { bcgov/microcks-config-ref: \
               'dir:.mocks' }\nspec: { definition: { openapi: 3.0.3 } }\n";
    stage.write("pet.yaml", api);
    stage.cycle().await;
    error(&stage, "spec.definition must be a text", &["good", "refused"]).await;
    stage.stop().await;
}
