use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use tideline_config::settings::WorkerSettings;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::Ladder;
use tideline_core::words::NatsAddress;
use tideline_core::words::{ClaimedJob, Fingerprint, JobRecord, JobState, NewJob, Trigger};
use tideline_queue::Queue;
use tideline_queue::jetstream::JetStreamQueue;
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_store::{JobFilter, JobStore, OperatorStore};
use tideline_tests::servers::{database, nats};
use tideline_tests::wait_until;
use tideline_worker::{Attempt, Handler, HandlerError, Outcome, Worker, WorkerParts};
use tokio_util::sync::CancellationToken;

use super::stage::LIMIT;

const KIND: &str = "poisoned";

/// Panics at one key, always fails at another, never ends at a third; the others are fine.
struct Poisoned;

#[async_trait]
impl Handler for Poisoned {
    fn kind(&self) -> &str {
        KIND
    }

    fn ladder(&self, _job: &ClaimedJob) -> Ladder {
        Ladder::new(vec![Duration::from_millis(20); 3])
    }

    fn deadline(&self, _job: &ClaimedJob) -> Duration {
        Duration::from_millis(300)
    }

    async fn run(&self, attempt: &Attempt) -> Result<Outcome, HandlerError> {
        match attempt.job.key.as_str() {
            "panics" => panic!("poison"),
            "fails" => Err(HandlerError::Transient {
                message: "always".into(),
                not_before: None,
            }),
            "hangs" => std::future::pending().await,
            _ => Ok(Outcome::Done),
        }
    }
}

fn job(key: &str, clock: &dyn Clock) -> NewJob {
    NewJob {
        kind: KIND.into(),
        key: key.into(),
        fingerprint: Fingerprint([7; 32]),
        args: "{}".into(),
        due_at: clock.now(),
        trigger: Trigger::Manual,
        trace: None,
    }
}

async fn jobs_in(store: &PostgresStore, state: JobState) -> Result<Vec<JobRecord>> {
    let filter = JobFilter {
        state: Some(state),
        limit: 1_000,
        ..JobFilter::default()
    };
    Ok(store.list_jobs(&filter).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_panics_fails_or_hangs_forever_is_parked_after_its_ladder_and_stops_nobody_else() {
    let test = "a_job_that_panics_fails_or_hangs_forever_is_parked_after_its_ladder_and_stops_nobody_else";
    let (Some(database), Some((nats_url, _server))) = (database(test).await.unwrap(), nats(test).await.unwrap()) else {
        return;
    };
    let store = PostgresStore::connect(database.url(), PostgresOptions::default())
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let url = format!("{nats_url}?prefix=poison&max_bytes=1048576");
    let queue: Arc<dyn Queue> = Arc::new(JetStreamQueue::open(&NatsAddress::parse(&url).unwrap()).await.unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let worker = Worker::new(WorkerParts {
        store: Arc::new(store.clone()),
        queue: Arc::clone(&queue),
        clock: Arc::clone(&clock),
        settings: WorkerSettings {
            // Fewer hands than poisoned jobs would need to block them all.
            concurrency: 2,
            poll: Duration::from_millis(50),
            ..WorkerSettings::default()
        },
        handlers: vec![Arc::new(Poisoned)],
    });
    let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
    let running = tokio::spawn(worker.run(stop.clone(), hard.clone()));

    let mut jobs: Vec<NewJob> = ["panics", "fails", "hangs"]
        .iter()
        .map(|key| job(key, &*clock))
        .collect();
    jobs.extend((0..200).map(|number| job(&format!("fine-{number}"), &*clock)));
    store.enqueue(&jobs, clock.now()).await.unwrap();
    wait_until(
        "the good jobs to be done and the bad ones to be parked",
        LIMIT,
        async || {
            let (done, parked) = (
                jobs_in(&store, JobState::Done).await?,
                jobs_in(&store, JobState::Parked).await?,
            );
            ensure!(
                done.len() == 200 && parked.len() == 3,
                "{} done, {} parked",
                done.len(),
                parked.len()
            );
            Ok(())
        },
    )
    .await
    .unwrap();
    for parked in jobs_in(&store, JobState::Parked).await.unwrap() {
        let why = parked.last_error.unwrap_or_default();
        let expected = match parked.key.as_str() {
            "panics" => "poison",
            "fails" => "always",
            _ => "deadline",
        };
        assert!(why.contains(expected), "{}: {why}", parked.key);
        assert_eq!(parked.attempt, 4, "{}: the first attempt and one per rung", parked.key);
    }
    stop.cancel();
    tokio::time::timeout(LIMIT, running).await.unwrap().unwrap();
    database.remove().await.unwrap();
}
