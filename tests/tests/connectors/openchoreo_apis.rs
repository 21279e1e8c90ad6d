//! Which of its two APIs an OpenChoreo control plane has.

use std::sync::Arc;

use anyhow::ensure;
use tideline_store::JobFilter;
use tideline_tests::fake::FakeServer;
use tideline_tests::fake::openchoreo::{Release, TOKEN, UpgradedOpenChoreo};
use tideline_tests::hostile::FaultRates;
use tideline_tests::oracle::read_catalog;
use tideline_tests::wait_until;

use crate::stage::{LIMIT, SOURCE, Stage};

async fn fake(release: Release) -> FakeServer<UpgradedOpenChoreo> {
    let api = Arc::new(UpgradedOpenChoreo::new(release));
    FakeServer::start(api, None, 1, FaultRates::default()).await.unwrap()
}

fn keys(url: &str, more: &str) -> String {
    format!(
        "type: openchoreo\nbase_url: {url}\nauth: {{ bearer: {TOKEN} }}\nburst: {{ interval: 0 }}\nbackoff: [10ms]\nrest: 1h\n\
         removals: {{ reject_above_percent: none, reject_empty: false }}\n{more}"
    )
}

/// Waits until the store shows an error with these words.
async fn fails_with(stage: &Stage, words: &str) {
    let waited = wait_until("the error to be shown", LIMIT, async || {
        let filter = JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        };
        let jobs = stage.store.list_jobs(&filter).await?;
        let errors: Vec<String> = jobs.into_iter().filter_map(|job| job.last_error).collect();
        ensure!(errors.iter().any(|error| error.contains(words)), "{errors:?}");
        Ok(())
    });
    waited.await.unwrap();
}

async fn references(stage: &Stage) -> Vec<String> {
    let catalog = read_catalog(stage.store.as_ref(), SOURCE, 1_000).await.unwrap();
    catalog.into_keys().map(|reference| reference.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn which_api_a_control_plane_has_is_found_out_once_and_an_upgrade_deletes_nothing_until_it_is_configured() {
    let fake = fake(Release::Organizations).await;
    let stage = Stage::start(&keys(&fake.url(), "")).await;
    stage.ended(1).await;
    let expected: Vec<String> = fake.api().organizations.expected().into_keys().collect();
    assert_eq!(references(&stage).await, expected);

    fake.api().set(Release::Namespaces);
    stage.cycle().await;
    fails_with(&stage, "no longer has the API \"organizations\"").await;
    assert_eq!(references(&stage).await, expected, "nothing is deleted");
    // Also by a process that never saw the other one.
    let stage = stage.restart(&keys(&fake.url(), "")).await;
    stage.cycle().await;
    assert_eq!(references(&stage).await, expected);

    let stage = stage.restart(&keys(&fake.url(), "api: namespaces")).await;
    stage.becomes(&fake.api().namespaces.expected()).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_with_namespaces_is_read_by_them_whatever_it_answers_later() {
    let fake = fake(Release::Namespaces).await;
    let stage = Stage::start(&keys(&fake.url(), "")).await;
    let expected = fake.api().namespaces.expected();
    stage.becomes(&expected).await;
    stage.ended(1).await;
    for release in [Release::Organizations, Release::Other] {
        fake.api().set(release);
        stage.cycle().await;
        stage.becomes(&expected).await;
    }
    fake.api().set(Release::Namespaces);
    stage.cycle().await;
    stage.becomes(&fake.api().namespaces.expected()).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_fails_for_a_while_is_tried_again_and_chooses_nothing() {
    let fake = fake(Release::Down).await;
    let stage = Stage::start(
        &keys(&fake.url(), "backoff: [10ms, 20ms, 50ms, 100ms, 200ms, 500ms]").replace("backoff: [10ms]\n", ""),
    )
    .await;
    fails_with(&stage, "503").await;
    fake.api().set(Release::Namespaces);
    stage.becomes(&fake.api().namespaces.expected()).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_neither_api_is_an_error_that_names_what_is_not_there() {
    let fake = fake(Release::Other).await;
    let stage = Stage::start(&keys(&fake.url(), "")).await;
    fails_with(&stage, "there is nothing at /api/v1/namespaces and /api/v1/orgs").await;
    stage.stop().await;
}
