//! What pushes and changes of repositories do to the entities of catalog files.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tideline_tests::fake::github::{ORGANIZATION, Repository};
use tideline_tests::hostile::FaultRates;

use super::github::{fake, push, with_token};
use crate::stage::Stage;

fn component(name: &str) -> String {
    format!(
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {{ name: {name} }}\nspec: {{ type: service }}\n"
    )
}

fn location(targets: &str) -> String {
    format!(
        "apiVersion: backstage.io/v1alpha1\nkind: Location\nmetadata: {{ name: all }}\nspec: {{ targets: [{targets}] }}\n"
    )
}

/// Commits that touched these paths.
fn commits(added: &[&str], modified: &[&str], removed: &[&str]) -> Value {
    json!([{ "added": added, "modified": modified, "removed": removed }])
}

fn write(repository: &mut Repository, path: &str, text: &str) {
    repository.files.insert(path.to_owned(), text.to_owned());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_takes_an_entity_out_of_a_file_removes_it_at_once_and_keeps_what_another_file_has() {
    let fake = fake(1, 4, FaultRates::default()).await;
    fake.api().with_model(|model| {
        let all = [component("first"), component("second"), component("shared")].join("---\n");
        write(model.repository(1_001).unwrap(), "catalog-info.yaml", &all);
        write(
            model.repository(1_002).unwrap(),
            "catalog-info.yaml",
            &component("shared"),
        );
    });
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.has("component:default/second", |body| body.is_some()).await;
    stage.ended(1).await;
    let cycles = fake.api().cycles();
    fake.api().with_model(|model| {
        write(
            model.repository(1_001).unwrap(),
            "catalog-info.yaml",
            &component("first"),
        );
    });
    let touched = commits(&[], &["catalog-info.yaml"], &[]);
    stage
        .publish("github.push", &push("repo-1", 1_001, "main", &touched))
        .await;
    stage.has("component:default/second", |body| body.is_none()).await;
    assert!(stage.entity("component:default/first").await.unwrap().is_some());
    assert!(stage.entity("component:default/shared").await.unwrap().is_some());
    assert_eq!(fake.api().cycles(), cycles);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_breaks_a_file_removes_nothing() {
    let fake = fake(1, 2, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    let expected = fake.api().expected();
    stage.becomes(&expected).await;
    fake.api().with_model(|model| {
        let text = format!("{}---\nkind: [broken\n", component("new"));
        write(model.repository(1_001).unwrap(), "catalog-info.yaml", &text);
    });
    let touched = commits(&[], &["catalog-info.yaml"], &[]);
    stage
        .publish("github.push", &push("repo-1", 1_001, "main", &touched))
        .await;
    stage.has("component:default/new", |body| body.is_some()).await;
    assert!(stage.entity("component:default/repo-1").await.unwrap().is_some());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_reads_the_linked_file_that_it_touched_and_the_file_that_a_location_gained() {
    let fake = fake(1, 4, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    let (cycles, requests) = (fake.api().cycles(), fake.counts().requests.load(Ordering::Relaxed));
    // Both levels of the Location of the third repository.
    fake.api().with_model(|model| {
        let repository = model.repository(1_003).unwrap();
        repository.catalog("deep/two.yaml", "repo-3-two", 2);
        write(repository, "unknown.yaml", "kind: Pod");
    });
    let touched = commits(&[], &["deep/two.yaml", "unknown.yaml"], &[]);
    stage
        .publish("github.push", &push("repo-3", 1_003, "main", &touched))
        .await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(
        fake.counts().requests.load(Ordering::Relaxed),
        requests + 1,
        "the other file is not read"
    );
    fake.api().with_model(|model| {
        let repository = model.repository(1_003).unwrap();
        let text = location("./parts/one.yaml, ./parts/new.yaml");
        write(repository, "catalog-info.yaml", &text);
        write(repository, "parts/new.yaml", &component("gained"));
    });
    let touched = commits(&["parts/new.yaml"], &["catalog-info.yaml"], &[]);
    stage
        .publish("github.push", &push("repo-3", 1_003, "main", &touched))
        .await;
    stage.has("component:default/gained", |body| body.is_some()).await;
    assert_eq!(fake.api().cycles(), cycles);
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_with_globs_leads_to_every_file_that_matches_also_to_one_that_a_push_adds() {
    let fake = fake(1, 1, FaultRates::default()).await;
    fake.api().with_model(|model| {
        let repository = model.repository(1_001).unwrap();
        write(
            repository,
            "catalog-info.yaml",
            &location("./services/*/catalog-info.yaml"),
        );
        write(repository, "services/a/catalog-info.yaml", &component("a"));
        write(repository, "services/a/b/catalog-info.yaml", &component("b"));
    });
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.has("component:default/a", |body| body.is_some()).await;
    stage.ended(1).await;
    assert!(
        stage.entity("component:default/b").await.unwrap().is_none(),
        "a star ends at a slash"
    );
    let cycles = fake.api().cycles();
    fake.api().with_model(|model| {
        let repository = model.repository(1_001).unwrap();
        write(repository, "services/c/catalog-info.yaml", &component("c"));
        repository.files.remove("services/a/catalog-info.yaml");
    });
    let touched = commits(
        &["services/c/catalog-info.yaml"],
        &[],
        &["services/a/catalog-info.yaml"],
    );
    stage
        .publish("github.push", &push("repo-1", 1_001, "main", &touched))
        .await;
    stage.has("component:default/c", |body| body.is_some()).await;
    stage.has("component:default/a", |body| body.is_none()).await;
    assert_eq!(fake.api().cycles(), cycles);
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_whose_commits_do_not_tell_what_changed_reads_all_catalog_files_of_its_repository() {
    let fake = fake(1, 4, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    let cycles = fake.api().cycles();
    fake.api().with_model(|model| {
        let repository = model.repository(1_003).unwrap();
        repository.catalog("deep/two.yaml", "repo-3-two", 2);
    });
    let mut event = push("repo-3", 1_003, "main", &json!([]));
    event["forced"] = json!(true);
    stage.publish("github.push", &event).await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(fake.api().cycles(), cycles);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_branch_one_that_is_not_read_and_another_accounts_repository_change_nothing() {
    let fake = fake(1, 2, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    let requests = fake.counts().requests.load(Ordering::Relaxed);
    let gone = commits(&[], &[], &["catalog-info.yaml"]);
    let mut deleted = push("repo-1", 1_001, "main", &gone);
    deleted["deleted"] = json!(true);
    let mut created = push("repo-1", 1_001, "feature", &gone);
    created["created"] = json!(true);
    stage.publish("github.push", &deleted).await;
    stage.publish("github.push", &created).await;
    let touched = commits(&[], &["catalog-info.yaml"], &[]);
    let mut foreign = push("repo-1", 1_001, "main", &touched);
    foreign["repository"]["owner"] = json!({ "login": "others", "name": "others" });
    stage.publish("github.push", &foreign).await;
    foreign["action"] = json!("edited");
    stage.publish("github.repository", &foreign).await;
    // An event that does something comes after them in the log.
    fake.api().with_model(|model| {
        model
            .repository(1_002)
            .unwrap()
            .catalog("catalog-info.yaml", "repo-2", 9)
    });
    stage
        .publish("github.push", &push("repo-2", 1_002, "main", &touched))
        .await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(fake.counts().requests.load(Ordering::Relaxed), requests + 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_no_webhook_told_of_is_found_by_a_cycle_whose_unchanged_files_cost_no_quota() {
    let fake = fake(1, 8, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    stage.ended(1).await;
    let requests = || fake.counts().requests.load(Ordering::Relaxed);
    // Nothing was pushed: the list of repositories tells. It is one page, which is read in full after its 304, for that
    // does not say whether another page follows by now. Only what a Location leads to has no version.
    let (before, linked) = (requests(), 2 * 2);
    let free = fake.counts().not_modified.load(Ordering::Relaxed);
    stage.cycle().await;
    assert_eq!(requests() - before, 2 + linked);
    assert_eq!(
        fake.counts().not_modified.load(Ordering::Relaxed) - free,
        1 + linked,
        "they cost no quota"
    );
    // Over 25 MB: GitHub sends no event.
    fake.api().with_model(|model| {
        model
            .repository(1_001)
            .unwrap()
            .catalog("catalog-info.yaml", "repo-1", 2)
    });
    let (before, free) = (requests(), fake.counts().not_modified.load(Ordering::Relaxed));
    stage.cycle().await;
    stage.becomes(&fake.api().expected()).await;
    assert_eq!(requests() - before, 1 + 1 + linked, "the list and the one file");
    assert_eq!(fake.counts().not_modified.load(Ordering::Relaxed) - free, linked);
    // A push that changed another file: what is asked for costs no quota.
    fake.api().with_model(|model| model.push_to_all());
    let (before, free) = (requests(), fake.counts().not_modified.load(Ordering::Relaxed));
    stage.cycle().await;
    let read = fake.api().with_model(|model| {
        let read = model.repositories().filter(|one| !one.archived && !one.fork);
        let counts = read.map(|one| u64::from(one.files.contains_key("catalog-info.yaml")));
        counts.fold((0, 0), |(all, found), one| (all + 1, found + one))
    });
    assert_eq!(requests() - before, 1 + read.0 + linked);
    assert_eq!(
        fake.counts().not_modified.load(Ordering::Relaxed) - free,
        read.1 + linked
    );
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_whose_commits_github_cut_is_compared_once_and_reads_only_the_files_that_it_touched() {
    let fake = fake(1, 4, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    stage.ended(1).await;
    let (cycles, requests) = (fake.api().cycles(), fake.counts().requests.load(Ordering::Relaxed));
    fake.api().with_model(|model| {
        let repository = model.repository(1_003).unwrap();
        repository.catalog("deep/two.yaml", "repo-3-two", 2);
        repository.catalog("catalog-info.yaml", "not-touched", 1);
        let files = vec![
            ("deep/two.yaml".to_owned(), "modified"),
            ("src/main.rs".to_owned(), "added"),
        ];
        model.compare(&format!("{}...{}", "a".repeat(40), "b".repeat(40)), files);
    });
    let mut event = push("repo-3", 1_003, "main", &json!([]));
    event["commits"] = json!(vec![json!({ "added": [], "modified": ["x"], "removed": [] }); 2_048]);
    stage.publish("github.push", &event).await;
    let wanted = |body: Option<&Value>| body.is_some_and(|body| body["metadata"]["description"] == "version 2");
    stage.has("component:default/repo-3-two", wanted).await;
    assert!(stage.entity("component:default/not-touched").await.unwrap().is_none());
    assert_eq!(
        fake.counts().requests.load(Ordering::Relaxed),
        requests + 2,
        "the comparison and the one file"
    );
    assert_eq!(fake.api().cycles(), cycles);
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_comparison_shows_as_removed_takes_its_entities_along() {
    let fake = fake(1, 2, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    stage.ended(1).await;
    fake.api().with_model(|model| {
        model.repository(1_001).unwrap().files.remove("catalog-info.yaml");
        let files = vec![("catalog-info.yaml".to_owned(), "removed")];
        model.compare(&format!("{}...{}", "a".repeat(40), "b".repeat(40)), files);
    });
    let mut event = push("repo-1", 1_001, "main", &json!([]));
    event["commits"] = json!(vec![json!({}); 2_048]);
    stage.publish("github.push", &event).await;
    stage.becomes(&fake.api().expected()).await;
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_with_as_many_files_as_github_shows_or_none_reads_all_catalog_files() {
    let fake = fake(1, 4, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    stage.ended(1).await;
    let cycles = fake.api().cycles();
    for (version, after) in [(2, "c"), (3, "d")] {
        fake.api().with_model(|model| {
            let repository = model.repository(1_003).unwrap();
            repository.catalog("deep/two.yaml", "repo-3-two", version);
            // There is none of the other one.
            let files = (0..400).map(|number| (format!("src/{number}.rs"), "modified"));
            model.compare(&format!("{}...{}", "a".repeat(40), "c".repeat(40)), files.collect());
        });
        let mut event = push("repo-3", 1_003, "main", &json!([]));
        event["after"] = json!(after.repeat(40));
        event["commits"] = json!(vec![json!({ "added": [], "modified": ["x"], "removed": [] }); 2_048]);
        stage.publish("github.push", &event).await;
        stage.becomes(&fake.api().expected()).await;
    }
    assert_eq!(fake.api().cycles(), cycles, "no cycle was needed");
    stage.stop().await;
    fake.check_contract().unwrap();
}

fn event(action: &str, id: u64, name: &str) -> Value {
    json!({ "action": action, "repository": { "id": id, "name": name, "owner": { "login": ORGANIZATION } } })
}

/// What becomes of the repository 1001 and its component after the change and its event.
async fn after(action: &str, more: &str, change: impl FnOnce(&mut Repository)) {
    let fake = fake(1, 4, FaultRates::default()).await;
    let private = |model: &mut tideline_tests::fake::github::Model, on| {
        model.repository(1_001).unwrap().private = on;
    };
    fake.api().with_model(|model| private(model, false));
    let stage = Stage::start(&with_token(&fake.url(), &format!("rest: 1h\n{more}"))).await;
    stage.has("component:default/repo-1", |body| body.is_some()).await;
    stage.ended(1).await;
    let name = fake.api().with_model(|model| {
        let repository = model.repository(1_001).unwrap();
        change(repository);
        repository.name.clone()
    });
    stage.publish("github.repository", &event(action, 1_001, &name)).await;
    stage.has("resource:default/github-1001", |body| body.is_none()).await;
    stage.has("component:default/repo-1", |body| body.is_none()).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_repository_leaves_the_catalog_with_its_files() {
    after("archived", "", |repository| repository.archived = true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_privatized_repository_leaves_a_catalog_of_public_ones() {
    after("privatized", "visibility: [public]", |repository| {
        repository.private = true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transferred_repository_that_answers_404_leaves_with_the_cycle_that_its_event_asks_for() {
    let fake = fake(1, 4, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    stage.becomes(&fake.api().expected()).await;
    let cycles = fake.api().cycles();
    fake.api().with_model(|model| model.remove(1_001));
    let mut moved = event("transferred", 1_001, "repo-1");
    moved["repository"]["owner"]["login"] = json!("others");
    stage.publish("github.repository", &moved).await;
    stage.becomes(&fake.api().expected()).await;
    assert!(fake.api().cycles() > cycles);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_repositories_with_the_opt_in_file_are_read_and_a_push_opts_in_or_out() {
    let fake = fake(1, 4, FaultRates::default()).await;
    fake.api()
        .with_model(|model| write(model.repository(1_001).unwrap(), ".catalog", ""));
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h\nopt_in: .catalog")).await;
    stage.has("component:default/repo-1", |body| body.is_some()).await;
    stage.has("resource:default/github-1001", |body| body.is_some()).await;
    stage.ended(1).await;
    assert!(stage.entity("component:default/repo-2").await.unwrap().is_none());
    assert!(stage.entity("resource:default/github-1002").await.unwrap().is_none());
    fake.api().with_model(|model| {
        write(model.repository(1_002).unwrap(), ".catalog", "");
        model
            .repository(1_001)
            .unwrap()
            .catalog("catalog-info.yaml", "repo-1", 2);
    });
    let opted = commits(&[".catalog"], &[], &[]);
    stage
        .publish("github.push", &push("repo-2", 1_002, "main", &opted))
        .await;
    stage.has("component:default/repo-2", |body| body.is_some()).await;
    let touched = commits(&[], &["catalog-info.yaml"], &[]);
    stage
        .publish("github.push", &push("repo-1", 1_001, "main", &touched))
        .await;
    stage
        .has("component:default/repo-1", |body| {
            body.is_some_and(|body| body["metadata"]["description"] == "version 2")
        })
        .await;
    stage.stop().await;
    fake.check_contract().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_that_matches_a_glob_is_read_at_once_where_repositories_opt_in() {
    let fake = fake(1, 2, FaultRates::default()).await;
    fake.api()
        .with_model(|model| write(model.repository(1_001).unwrap(), ".catalog", ""));
    let more = "rest: 1h\nopt_in: .catalog\ncatalog_globs: ['services/*/catalog-info.yaml']";
    let stage = Stage::start(&with_token(&fake.url(), more)).await;
    stage.ended(1).await;
    let path = "services/new/catalog-info.yaml";
    fake.api()
        .with_model(|model| model.repository(1_001).unwrap().catalog(path, "new", 1));
    let added = commits(&[path], &[], &[]);
    stage
        .publish("github.push", &push("repo-1", 1_001, "main", &added))
        .await;
    stage.has("component:default/new", |body| body.is_some()).await;
    assert_eq!(fake.api().cycles(), 1, "no cycle was needed");
    stage.stop().await;
    fake.check_contract().unwrap();
}
