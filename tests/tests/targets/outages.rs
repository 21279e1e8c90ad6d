//! What cannot be read or reached for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::ensure;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use tideline_core::words::JobState;
use tideline_store::TargetCommand;
use tideline_tests::microcks::Trouble;
use tideline_tests::wait_until;
use tokio::net::TcpListener;

use super::stage::{EXAMPLES, LIMIT, Options, Stage, mock, spec, sync_file};

/// A host with a `microcks.yaml` that answers with whatever status is set.
async fn documents() -> (String, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let shared = Arc::clone(&status);
    let answer = move |uri: Uri| async move {
        let status = StatusCode::from_u16(shared.load(Ordering::SeqCst)).unwrap();
        let text = if uri.path().ends_with("/microcks.yaml") {
            sync_file(&[("a", &["examples.yaml"])])
        } else {
            EXAMPLES.to_owned()
        };
        (status, text).into_response()
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (host, status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_read_now_deletes_nothing() {
    let (host, status) = documents().await;
    // Not even where what is wrong may delete.
    let stage = Stage::start(&format!(
        "  document_hosts: ['{host}']\n  on_invalid: delete\n  backoff: [100ms, 100ms]\n"
    ))
    .await;
    stage.write_api("pet", Some(&format!("url:http://{host}/mocks")), &spec(&["/pets"]));
    stage.cycle().await;
    stage.has(&[mock("pet", "a")]).await;
    for (wrong, parked) in [(503, true), (429, true), (403, true), (404, true)] {
        status.store(wrong, Ordering::SeqCst);
        stage.resync().await;
        let job = wait_until("the job to give up", LIMIT, async || {
            let job = stage.job().await.unwrap();
            ensure!((job.state == JobState::Parked) == parked, "{job:?}");
            Ok(job)
        });
        let job = job.await.unwrap();
        assert!(job.last_error.is_some(), "{job:?}");
        stage.has(&[mock("pet", "a")]).await;
        status.store(200, Ordering::SeqCst);
        stage.resync().await;
        assert_eq!(stage.error_of("pet").await, None);
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_read_only_from_hosts_that_the_configuration_names() {
    let (host, _) = documents().await;
    let stage = Stage::start("").await;
    stage.write_api("pet", Some(&format!("url:http://{host}/mocks")), &spec(&["/pets"]));
    stage.cycle().await;
    assert_eq!(
        stage.fails_with("add the host to document_hosts").await,
        JobState::Parked
    );
    stage.write_api("pet", Some("dir:../outside"), &spec(&["/pets"]));
    stage.cycle().await;
    assert_eq!(
        stage.fails_with("leads out of the entity's own folder").await,
        JobState::Parked
    );
    stage.has(&[]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microcks_without_a_token_is_held_back_as_a_whole_and_goes_on_when_it_is_resumed() {
    let stage = Stage::with(Options {
        tokens: true,
        ..Options::default()
    })
    .await;
    stage.microcks.state.trouble.lock().no_tokens = true;
    for api in ["cat", "dog", "pet"] {
        stage.write(&format!(".{api}/microcks.yaml"), &sync_file(&[("a", &[])]));
        stage.write_api(api, Some(&format!("dir:.{api}")), &spec(&["/pets"]));
    }
    stage.cycle().await;
    let held = wait_until("the target to be held back", LIMIT, async || {
        let hold = stage.target().await.hold;
        let jobs = stage.jobs().await;
        ensure!(
            jobs.len() == 3 && jobs.iter().all(|job| job.state == JobState::Waiting),
            "{jobs:?}"
        );
        hold.ok_or_else(|| anyhow::anyhow!("no hold"))
    });
    let hold = held.await.unwrap();
    assert_eq!(hold.count, 1, "once, however many jobs there are");
    assert!(
        hold.reason.contains("check auth") && !hold.reason.contains("hush-hush"),
        "{}",
        hold.reason
    );
    for job in stage.jobs().await {
        assert_eq!(
            (job.rung, job.due_at),
            (0, Some(hold.until)),
            "no attempt is spent: {job:?}"
        );
        assert!(job.last_error.unwrap().contains("held back"), "why says so");
    }
    stage.microcks.set_trouble(Trouble::default());
    stage.resync().await;
    stage.has(&[mock("cat", "a"), mock("dog", "a"), mock("pet", "a")]).await;
    assert_eq!(stage.target().await.hold, None);
    assert_eq!(stage.microcks.tokens_given(), 1, "one token for all");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_is_renewed_once_and_a_missing_role_is_named() {
    let stage = Stage::with(Options {
        tokens: true,
        ..Options::default()
    })
    .await;
    stage.write_pet(&[("a", &[])], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "a")]).await;
    stage.microcks.forget_tokens();
    stage.write_pet(&[("a", &[]), ("b", &[])], &["/pets"]);
    stage.resync().await;
    stage.has(&[mock("pet", "a"), mock("pet", "b")]).await;
    assert_eq!(stage.microcks.tokens_given(), 2);
    *stage.microcks.state.roles.lock() = vec!["manager".into()];
    stage.microcks.forget_tokens();
    stage.command(TargetCommand::Resync).await;
    let held = wait_until("the role to be named", LIMIT, async || {
        let hold = stage.target().await.hold.ok_or_else(|| anyhow::anyhow!("no hold"))?;
        ensure!(
            hold.reason.contains("lacks the role user of client microcks-app"),
            "{}",
            hold.reason
        );
        Ok(())
    });
    held.await.unwrap();
    // Roles that are given and taken are seen at once, although the token would be good for longer.
    *stage.microcks.state.roles.lock() = vec!["user".into()];
    stage.command(TargetCommand::Resync).await;
    let other = wait_until("the other role to be named", LIMIT, async || {
        let hold = stage.target().await.hold.ok_or_else(|| anyhow::anyhow!("no hold"))?;
        ensure!(hold.reason.contains("lacks the role manager"), "{}", hold.reason);
        Ok(())
    });
    other.await.unwrap();
    *stage.microcks.state.roles.lock() = vec!["user".into(), "manager".into()];
    stage.write_pet(&[("b", &[])], &["/pets"]);
    stage.resync().await;
    stage.has(&[mock("pet", "b")]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_that_is_perhaps_only_hidden_deletes_nothing() {
    let (host, status) = documents().await;
    let stage = Stage::start(&format!("  document_hosts: ['{host}']\n  on_invalid: delete\n")).await;
    let artifact = format!("http://{host}/examples.yaml");
    stage.write_pet(&[("a", &[&artifact])], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "a")]).await;
    status.store(404, Ordering::SeqCst);
    stage.resync().await;
    assert_eq!(stage.fails_with("is not there, or not shown").await, JobState::Parked);
    stage.has(&[mock("pet", "a")]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_microcks_is_tried_again_on_the_ladder_and_a_refusal_is_not() {
    let stage = Stage::start("  backoff: [200ms, 200ms, 200ms, 200ms, 200ms, 200ms, 200ms, 200ms]\n").await;
    stage.write_pet(&[("a", &[])], &["/pets"]);
    let failing = |status: u16, text: &str| Trouble {
        status: Some((status, text.into())),
        ..Trouble::default()
    };
    stage.microcks.set_trouble(failing(500, "out of memory"));
    stage.cycle().await;
    stage.fails_with("out of memory").await;
    stage.microcks.set_trouble(Trouble::default());
    stage.has(&[mock("pet", "a")]).await;
    wait_until("the retry", LIMIT, async || {
        let job = stage.job().await.unwrap();
        ensure!(job.state == JobState::Done, "{job:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(
        stage.target().await.hold,
        None,
        "an error of one request holds nothing back"
    );
    stage.microcks.set_trouble(failing(400, "Unexpected token in openapi"));
    stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets", "/more"]));
    stage.cycle().await;
    assert_eq!(stage.fails_with("Unexpected token in openapi").await, JobState::Parked);
    stage.stop().await;
}
