//! The crate graphile_worker, set as its own performance benchmark sets it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use graphile_worker::tokio_postgres::TokioPostgresDatabase;
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, Worker, WorkerContext, WorkerOptions,
    WorkerUtils,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::command::{BurnDownArgs, Driver, LatencyArgs};
use crate::observer::{Handled, Observer};
use crate::report;

pub(crate) const PEER: &str = "graphile_worker";
pub(crate) const VERSION: &str = "0.14.1";

/// Upper bound of the pool; half of what a server allows by default, and more than a batching worker uses.
const CONNECTIONS: u32 = 50;
/// A completed job is a deleted row.
const LEFT: &str = "SELECT EXISTS (SELECT FROM graphile_worker._private_jobs)::int::bigint";

/// The job of the peer's own benchmark, doing nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Noop {
    id: u32,
    data: String,
}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(handled) = context.get_ext::<Handled>() {
            handled.add();
        }
        Ok::<(), String>(())
    }
}

/// Where a handler reports its start.
#[derive(Clone, Debug)]
struct Starts(UnboundedSender<Instant>);

/// A job that reports when its handler starts.
#[derive(Debug, Serialize, Deserialize)]
struct Ping {
    id: u32,
}

impl TaskHandler for Ping {
    const IDENTIFIER: &'static str = "ping";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(starts) = context.get_ext::<Starts>() {
            let _ = starts.0.send(Instant::now());
        }
        Ok::<(), String>(())
    }
}

/// Enqueues no-op jobs and times one worker until the table of jobs is empty.
pub(crate) async fn burn_down(driver: Driver, given: &BurnDownArgs) -> Result<report::BurnDown> {
    let mut observer = Observer::connect(&given.url).await?;
    let handled = Handled::default();
    let options = options(driver, &given.url)?
        .concurrency(500)
        .poll_interval(Duration::from_millis(5))
        .complete_job_batch_delay(Duration::from_millis(5))
        .local_queue(LocalQueueConfig::default().with_size(5_000))
        .add_extension(handled.clone())
        .define_job::<Noop>();
    let worker = Arc::new(options.init().await?);
    let enqueue_seconds = enqueue(&worker.create_utils(), given.jobs).await?;
    observer.analyze().await?;

    let before = observer.before().await?;
    let start = Instant::now();
    let run = Run::start(worker);
    let done = observer
        .burned_down(&handled, given.jobs, LEFT, || run.task.is_finished())
        .await?;
    let wal_bytes = observer.wal_since(&before).await?;
    run.stop().await?;

    Ok(report::BurnDown {
        peer: PEER,
        version: VERSION,
        jobs: given.jobs,
        enqueue_seconds,
        seconds: done.duration_since(start).as_secs_f64(),
        wal_bytes,
        commits: observer.commits_since(&before).await?,
        settings: format!(
            "{driver:?} driver, local queue 5000, concurrency 500, completions batched every 5 ms, poll 5 ms, \
             enqueued by one add_raw_jobs"
        ),
    })
}

/// Times single jobs to an idle worker.
pub(crate) async fn latency(driver: Driver, given: &LatencyArgs) -> Result<report::Latency> {
    let (starts, mut started) = unbounded_channel();
    let options = options(driver, &given.url)?
        .concurrency(4)
        .add_extension(Starts(starts))
        .define_job::<Ping>();
    let worker = Arc::new(options.init().await?);
    let utils = worker.create_utils();
    let run = Run::start(worker);
    let enqueue = async |id| {
        utils.add_job(Ping { id }, JobSpec::default()).await?;
        Ok(())
    };
    let measured = crate::latency::measure(given, &mut started, enqueue).await?;
    run.stop().await?;

    Ok(report::Latency {
        peer: PEER,
        version: VERSION,
        samples: measured.samples,
        p50_ms: measured.p50_ms,
        p99_ms: measured.p99_ms,
        settings: format!("{driver:?} driver, LISTEN/NOTIFY, no local queue, concurrency 4, poll 1 s"),
    })
}

fn options(driver: Driver, url: &str) -> Result<WorkerOptions> {
    Ok(match driver {
        Driver::Sqlx => WorkerOptions::default().database_url(url).max_pg_conn(CONNECTIONS),
        Driver::TokioPostgres => {
            WorkerOptions::default().database(TokioPostgresDatabase::from_url(url, CONNECTIONS as usize)?)
        }
    })
}

/// All jobs in one call, which is one statement; returns the seconds of the call.
async fn enqueue(utils: &WorkerUtils, jobs: u32) -> Result<f64> {
    let mut batch = Vec::new();
    for id in 0..jobs {
        let payload = serde_json::to_value(Noop {
            id,
            data: format!("test_{id}"),
        })?;
        batch.push(RawJobSpec {
            identifier: Noop::IDENTIFIER.to_owned(),
            payload,
            spec: JobSpec::default(),
        });
    }
    let start = Instant::now();
    utils.add_raw_jobs(&batch).await?;
    Ok(start.elapsed().as_secs_f64())
}

/// A worker at work.
struct Run {
    worker: Arc<Worker>,
    task: JoinHandle<Result<()>>,
}

impl Run {
    fn start(worker: Arc<Worker>) -> Self {
        let running = Arc::clone(&worker);
        let task = tokio::spawn(async move { Ok(running.run().await?) });
        Self { worker, task }
    }

    /// Stops the worker; its connections are closed when this returns.
    async fn stop(self) -> Result<()> {
        self.worker.request_shutdown();
        drop(self.worker);
        self.task.await.context("the worker panicked")?
    }
}
