use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::ensure;
use serde_json::{Value, json};
use tideline_tests::fake::github::{APP_ID, GitHub, ORGANIZATION, PRIVATE_KEY, TOKEN};
use tideline_tests::fake::{Contract, FakeServer};
use tideline_tests::hostile::FaultRates;
use tideline_tests::{seed, wait_until};

use crate::stage::{LIMIT, Stage};

pub(crate) async fn fake(seed: u64, repositories: u32, faults: FaultRates) -> FakeServer<GitHub> {
    let contract = Contract::find("github/github-rest-cut-octokit-23.0.2.json").unwrap();
    FakeServer::start(Arc::new(GitHub::new(seed, repositories)), contract, seed, faults)
        .await
        .unwrap()
}

pub(crate) fn keys(url: &str, more: &str) -> String {
    format!(
        "type: github\nbase_url: {url}\nburst: {{ interval: 0 }}\nbackoff: [10ms, 50ms, 200ms, 1s]\nparallel_partitions: 4\n\
         removals: {{ reject_above_percent: none, confirm_cycles: 1 }}\n{more}"
    )
}

pub(crate) fn with_token(url: &str, more: &str) -> String {
    keys(
        url,
        &format!("organization: {ORGANIZATION}\nauth: {{ bearer: {TOKEN} }}\n{more}"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_faults_of_github_stop_the_catalog_is_the_organization() {
    let seed = seed("after_the_faults_of_github_stop_the_catalog_is_the_organization");
    let fake = fake(seed, 30, FaultRates::nasty()).await;
    fake.api().set_changes(true);
    let stage = Stage::start(&with_token(&fake.url(), "rest: 0")).await;
    let cycles = wait_until("cycles with faults", LIMIT, async || {
        ensure!(fake.api().cycles() > 4, "{} cycles", fake.api().cycles());
        Ok(())
    });
    cycles.await.unwrap();
    fake.stop_faults();
    fake.api().set_changes(false);
    stage.becomes(&fake.api().expected()).await;
    stage.stop().await;
    fake.check_contract().unwrap();
    assert!(
        fake.counts().not_modified.load(Ordering::Relaxed) > 0,
        "no answer was 304"
    );
}

pub(crate) fn push(name: &str, id: u64, branch: &str, commits: &Value) -> Value {
    json!({
        "ref": format!("refs/heads/{branch}"),
        "before": "a".repeat(40), "after": "b".repeat(40), "created": false, "deleted": false, "forced": false,
        "commits": commits,
        "repository": {
            "id": id, "name": name, "full_name": format!("{ORGANIZATION}/{name}"), "private": false, "visibility": "public",
            "owner": { "login": ORGANIZATION, "name": ORGANIZATION, "type": "Organization" }, "topics": [], "size": 1,
            "archived": false, "fork": false, "disabled": false,
            "html_url": format!("https://github.example/{ORGANIZATION}/{name}"), "default_branch": "main",
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_reads_the_catalog_file_that_it_touched_and_only_on_the_default_branch() {
    let fake = fake(1, 6, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    let (cycles, requests) = (fake.api().cycles(), fake.counts().requests.load(Ordering::Relaxed));

    fake.api().with_model(|model| {
        model
            .repository(1_001)
            .unwrap()
            .catalog("catalog-info.yaml", "repo-1", 2)
    });
    let touched = json!([{ "added": [], "modified": ["src/main.rs", "catalog-info.yaml"], "removed": [] }]);
    let other = json!([{ "added": [], "modified": ["src/main.rs"], "removed": [] }]);
    stage
        .publish("github.push", &push("repo-2", 1_002, "main", &other))
        .await;
    stage
        .publish("github.push", &push("repo-2", 1_002, "feature", &touched))
        .await;
    stage
        .publish("github.push", &push("repo-1", 1_001, "main", &touched))
        .await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(fake.api().cycles(), cycles);
    assert_eq!(fake.counts().requests.load(Ordering::Relaxed), requests + 1);

    // A file that a push removed takes its entities along.
    fake.api()
        .with_model(|model| model.repository(1_001).unwrap().files.remove("catalog-info.yaml"));
    let removed = json!([{ "added": [], "modified": [], "removed": ["catalog-info.yaml"] }]);
    stage
        .publish("github.push", &push("repo-1", 1_001, "main", &removed))
        .await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(fake.api().cycles(), cycles, "no cycle was needed");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_keeps_its_entity_when_it_is_renamed_and_loses_it_when_it_is_deleted() {
    let fake = fake(1, 4, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    fake.api()
        .with_model(|model| model.repository(1_001).unwrap().name = "new-name".to_owned());
    let event = |action: &str, id: u64, name: &str| json!({ "action": action, "repository": { "id": id, "name": name, "owner": { "login": ORGANIZATION } } });
    stage
        .publish("github.repository", &event("renamed", 1_001, "new-name"))
        .await;
    stage
        .has("resource:default/github-1001", |body| {
            body.is_some_and(|body| body["metadata"]["title"] == "acme/new-name")
        })
        .await;
    fake.api().with_model(|model| model.remove(1_002));
    stage
        .publish("github.repository", &event("deleted", 1_002, "repo-2"))
        .await;
    stage.becomes(&fake.api().expected()).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_file_with_errors_is_shown_and_its_old_entities_stay() {
    let fake = fake(1, 2, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    let expected = fake.api().expected();
    stage.becomes(&expected).await;
    let broken = "kind: Component\nmetadata: [broken\n".to_owned();
    fake.api().with_model(|model| {
        model
            .repository(1_001)
            .unwrap()
            .files
            .insert("catalog-info.yaml".to_owned(), broken)
    });
    stage.cycle().await;
    stage.becomes(&expected).await;
    let malformed = stage.malformed().await;
    assert!(malformed.iter().any(|item| item.contains("line")), "{malformed:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn globs_find_catalog_files_and_a_list_that_github_cut_deletes_nothing() {
    let fake = fake(1, 2, FaultRates::default()).await;
    fake.api().with_model(|model| {
        let repository = model.repository(1_001).unwrap();
        repository.catalog("services/a/catalog-info.yaml", "a", 1);
        repository.catalog("services/b.yaml", "b", 1);
    });
    let more = "rest: 1h\ncatalog_files: []\ncatalog_globs: ['services/**/catalog-info.yaml']\nrepositories: false";
    let stage = Stage::start(&with_token(&fake.url(), more)).await;
    stage.has("component:default/a", |body| body.is_some()).await;
    stage.ended(1).await;
    assert!(stage.entity("component:default/b").await.unwrap().is_none());
    fake.api().with_model(|model| {
        let repository = model.repository(1_001).unwrap();
        repository.truncated = true;
        repository.files.remove("services/a/catalog-info.yaml");
    });
    stage.cycle().await;
    assert!(stage.entity("component:default/a").await.unwrap().is_some());
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_gets_one_installation_token_for_all_requests_and_a_new_one_when_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("app.pem");
    std::fs::write(&key, PRIVATE_KEY).unwrap();
    let fake = fake(1, 12, FaultRates::default()).await;
    let auth = format!(
        "rest: 1h\ninstallation: true\nauth:\n  github_app: {{ id: \"{APP_ID}\", private_key_file: {} }}",
        key.display()
    );
    let stage = Stage::start(&keys(&fake.url(), &auth)).await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(fake.api().issued(), 1, "one token for all");
    fake.api().only_token("none");
    fake.api().with_model(|model| model.push_to_all());
    stage.cycle().await;
    assert_eq!(
        fake.api().issued(),
        2,
        "one more, although several requests were refused"
    );
    stage.becomes(&fake.api().expected()).await;
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_a_file_is_read_again_when_it_was_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let fake = fake(1, 3, FaultRates::default()).await;
    let auth = format!(
        "rest: 1h\norganization: {ORGANIZATION}\nauth: {{ file: {} }}",
        file.display()
    );
    let stage = Stage::start(&keys(&fake.url(), &auth)).await;
    stage.becomes(&fake.api().expected()).await;
    std::fs::write(&file, "another-token").unwrap();
    fake.api().only_token("another-token");
    fake.api().with_model(|model| model.add());
    stage.cycle().await;
    stage.becomes(&fake.api().expected()).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_that_was_suspended_is_read_again_once_it_is_restored() {
    for refusal in [
        (403, "This installation has been suspended", None),
        (403, "You have exceeded a secondary rate limit.", Some(1)),
        (401, "'Issued at' claim ('iat') must be an Integer", None),
        (404, "Not Found", None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("app.pem");
        std::fs::write(&key, PRIVATE_KEY).unwrap();
        let fake = fake(1, 3, FaultRates::default()).await;
        fake.api().refuse_tokens(Some(refusal));
        let auth = format!(
            "rest: 1h\nrate_limit: {{ max_hold: 1s }}\ninstallation: true\nauth:\n  github_app: {{ id: \"{APP_ID}\", \
             private_key_file: {} }}",
            key.display()
        );
        let stage = Stage::start(&keys(&fake.url(), &auth)).await;
        stage.failed_with(refusal.1).await;
        assert!(!stage.is_blocked().await, "{refusal:?}");
        fake.api().refuse_tokens(None);
        stage.becomes(&fake.api().expected()).await;
        stage.stop().await;
    }
}
