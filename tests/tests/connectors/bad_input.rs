//! What is wrong with an organization, a token or a workspace is shown with what to do, and removes nothing.

use anyhow::ensure;
use tideline_tests::fake::github::ORGANIZATION;
use tideline_tests::hostile::FaultRates;
use tideline_tests::{books, wait_until};

use super::github::{fake, with_token};
use crate::stage::{LIMIT, Stage};

async fn shows(stage: &Stage, wanted: &str) {
    let shown = wait_until("the mistake to be shown", LIMIT, async || {
        let text = books::describe(stage.store.as_ref()).await;
        ensure!(text.contains(wanted), "{text}");
        Ok(())
    });
    shown.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_that_github_does_not_have_is_named() {
    let fake = fake(1, 1, FaultRates::default()).await;
    let keys =
        with_token(&fake.url(), "rest: 1h").replace(&format!("organization: {ORGANIZATION}"), "organization: nobody");
    let stage = Stage::start(&keys).await;
    shows(&stage, "/orgs/nobody/repos").await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_permission_is_named_and_the_entities_of_catalog_files_stay() {
    let fake = fake(1, 4, FaultRates::default()).await;
    let stage = Stage::start(&with_token(&fake.url(), "rest: 1h")).await;
    let expected = fake.api().expected();
    stage.becomes(&expected).await;
    stage.ended(1).await;
    fake.api().forbid_contents(true);
    fake.api().with_model(|model| model.push_to_all());
    stage.cycle().await;
    shows(&stage, "contents=read").await;
    stage.becomes(&expected).await;
    fake.api().forbid_contents(false);
    stage.stop().await;
}
