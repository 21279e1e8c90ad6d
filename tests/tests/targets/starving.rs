//! A system that hangs takes only its own places.

use anyhow::ensure;
use axum::Router;
use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::rules::fingerprint;
use tideline_core::words::{JobState, NewJob, Trigger};
use tideline_store::JobFilter;
use tideline_tests::microcks::Trouble;
use tideline_tests::wait_until;
use tokio::net::TcpListener;

use super::endpoints::{Endpoint, search};
use super::stage::{LIMIT, Options, Stage, spec, sync_file};

/// More APIs than the worker and the target have places.
const APIS: usize = 30;
/// Of the target's calls.
const PLACES: usize = 2;
/// Of its jobs: while one calls, another one reads or writes the store.
const JOBS: usize = 2 * PLACES;

async fn jobs(stage: &Stage, kind: &str, state: JobState) -> usize {
    let filter = JobFilter {
        kind: Some(kind.into()),
        limit: 1_000,
        ..JobFilter::default()
    };
    let jobs = stage.store.list_jobs(&filter).await.unwrap();
    jobs.iter().filter(|job| job.state == state).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_hangs_starves_no_source_and_no_other_target() {
    let (endpoint, url) = Endpoint::start().await;
    let shape = "  body: .entity.metadata.name\n  follow: { kinds: [Component] }\n";
    let stage = Stage::with(Options {
        target: &format!("  concurrency: {PLACES}\n{}", search(&url, shape)),
        timeout: "5m",
        worker: ", concurrency: 1",
        ..Options::default()
    })
    .await;
    stage.microcks.set_trouble(Trouble {
        answers: Some(0),
        ..Trouble::default()
    });
    stage.write(".mocks/microcks.yaml", &sync_file(&[("a", &[])]));
    for number in 0..APIS {
        stage.write_api(&format!("api-{number}"), Some("dir:.mocks"), &spec(&["/pets"]));
    }
    stage.cycle().await;
    let stuck = wait_until("the target to hang", LIMIT, async || {
        let seen = stage.microcks.calls().len();
        ensure!(seen == PLACES, "{seen} requests");
        let (running, waiting) = (
            jobs(&stage, "microcks", JobState::Running).await,
            jobs(&stage, "microcks", JobState::Waiting).await,
        );
        // Some wait for a place; the others were given back, for another worker or for later.
        ensure!(
            running <= 2 * JOBS && running + waiting == APIS,
            "{running} and {waiting}"
        );
        Ok(())
    });
    stuck.await.unwrap();
    stage.write(
        "late.yaml",
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: { name: late }\n",
    );
    stage.cycle().await;
    endpoint.has(&[("/e/component/default/late", "\"late\"")]).await;
    assert_eq!(stage.microcks.calls().len(), PLACES, "it hangs all the while");
    let given_back = stage.jobs().await;
    let given_back = given_back.iter().find(|job| job.state == JobState::Waiting).unwrap();
    assert_eq!(given_back.rung, 0, "no attempt is spent: {given_back:?}");
    let why = given_back.last_error.clone().unwrap_or_default();
    assert!(why.contains("target mocks is busy with 4 other jobs"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_hangs_over_its_jobs_starves_no_source() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/jobs", listener.local_addr().unwrap());
    let hangs = Router::new().fallback(std::future::pending::<()>);
    tokio::spawn(async move { axum::serve(listener, hangs).await });
    let stage = Stage::with(Options {
        target: &format!(
            "handlers:\n- {{ kind: send-mail, url: '{url}', secret: {}, timeout: 5m, concurrency: {PLACES} }}\n",
            "x".repeat(32)
        ),
        worker: ", concurrency: 1",
        ..Options::default()
    })
    .await;
    for number in 0..APIS {
        let key = format!("order-{number}");
        let job = NewJob {
            kind: "send-mail".into(),
            fingerprint: fingerprint(key.as_bytes()),
            key,
            args: "{}".into(),
            due_at: SystemClock.now(),
            trigger: Trigger::Manual,
            trace: None,
        };
        stage.enqueue(job).await;
    }
    let stuck = wait_until("the program to hang", LIMIT, async || {
        let running = jobs(&stage, "send-mail", JobState::Running).await;
        ensure!((PLACES..=2 * PLACES).contains(&running), "{running} run");
        Ok(())
    });
    stuck.await.unwrap();
    stage.write_api("pet", None, &spec(&["/pets"]));
    stage.cycle().await;
}
