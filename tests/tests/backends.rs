//! Which backend a URL of the configuration opens, on real servers.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tideline_config::{parse, settings::Settings};
use tideline_core::clock::{Clock, SystemClock};
use tideline_runtime::backends::{Mode, open_store};
use tideline_runtime::{Runtime, ShutdownOutcome};
use tideline_store::StoreError;
use tideline_tests::servers;

fn settings(store: &str) -> Settings {
    let env = |name: &str| (name == "STORE").then(|| store.to_owned());
    parse(
        "store: ${STORE}\ndatabase: { max_connections: 2 }\n",
        Path::new("t.yaml"),
        &env,
    )
    .unwrap()
}

#[tokio::test]
async fn postgres_is_migrated_by_a_role_and_only_looked_at_by_an_operator() {
    let test = "postgres_is_migrated_by_a_role_and_only_looked_at_by_an_operator";
    let Some(database) = servers::database(test).await.unwrap() else {
        return;
    };
    let settings = settings(database.url());
    let error = open_store(&settings, &Mode::Operator).await.err().unwrap();
    assert!(
        matches!(&error, StoreError::Schema(text) if text.contains("tideline migrate")),
        "{error}"
    );
    let role = Mode::Role {
        command: "tideline worker".to_owned(),
    };
    let opened = open_store(&settings, &role).await.unwrap();
    opened.store.ping().await.unwrap();
    let apart = opened.clock.now().0 - SystemClock.now().0;
    assert!(apart.abs() < 5_000, "the database on this machine is {apart} ms away");
    // A second process may run roles too, and an operator may look.
    open_store(&settings, &role).await.unwrap().store.ping().await.unwrap();
    open_store(&settings, &Mode::Operator)
        .await
        .unwrap()
        .store
        .ping()
        .await
        .unwrap();

    let runtime = Runtime::new(Arc::clone(&opened.clock));
    opened.keep_time(&runtime);
    let measured = async {
        while runtime.loops()[0].last_success_at.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), measured).await.unwrap();
    assert_eq!(
        runtime.shut_down(Duration::from_secs(10)).await,
        ShutdownOutcome::Finished
    );
}

#[tokio::test]
async fn what_postgres_refuses_is_told_without_the_password() {
    let test = "what_postgres_refuses_is_told_without_the_password";
    let Some(database) = servers::database(test).await.unwrap() else {
        return;
    };
    let mut url = url::Url::parse(database.url()).unwrap();
    url.set_path("/no_such_database");
    url.set_password(Some("hunter2")).unwrap();
    let error = open_store(&settings(url.as_str()), &Mode::Operator)
        .await
        .err()
        .unwrap();
    let text = tideline_core::full_text(&error);
    assert!(
        matches!(error, StoreError::Config(_)) && text.starts_with("store: "),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}
