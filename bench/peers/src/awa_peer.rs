//! The crate awa on its queue storage, set as its own throughput benchmark sets it, with more workers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use awa::model::{QueueStorage, QueueStorageConfig, migrations};
use awa::{Client, InsertOpts, InsertParams, JobArgs, JobContext, JobError, JobResult, QueueConfig, Worker};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::command::{BurnDownArgs, LatencyArgs};
use crate::observer::{Handled, Observer};
use crate::report;

pub(crate) const PEER: &str = "awa";
pub(crate) const VERSION: &str = "0.6.9";

const QUEUE: &str = "bench";
/// Jobs per COPY.
const BATCH: usize = 1_000;
/// How often partitions rotate, as documented and as in the peer's benchmark.
const QUEUE_ROTATION: Duration = Duration::from_secs(1);
const LEASE_ROTATION: Duration = Duration::from_millis(50);
/// Time limit for shutdown.
const STOP: Duration = Duration::from_secs(5);

/// The job of the peer's own benchmark.
#[derive(Debug, Serialize, Deserialize, JobArgs)]
struct BenchJob {
    seq: u32,
}

/// Does nothing but count.
struct Noop(Handled);

#[async_trait]
impl Worker for Noop {
    fn kind(&self) -> &'static str {
        BenchJob::kind()
    }

    async fn perform(&self, _context: &JobContext) -> Result<JobResult, JobError> {
        self.0.add();
        Ok(JobResult::Completed)
    }
}

/// Reports when its handler starts.
struct Ping(UnboundedSender<Instant>);

#[async_trait]
impl Worker for Ping {
    fn kind(&self) -> &'static str {
        BenchJob::kind()
    }

    async fn perform(&self, _context: &JobContext) -> Result<JobResult, JobError> {
        let _ = self.0.send(Instant::now());
        Ok(JobResult::Completed)
    }
}

/// Enqueues no-op jobs and times one client until the store counts all of them as completed.
pub(crate) async fn burn_down(given: &BurnDownArgs) -> Result<report::BurnDown> {
    let mut observer = Observer::connect(&given.url).await?;
    let enqueue_seconds = prepare(given).await?;
    observer.analyze().await?;
    let pool = pool(&given.url).await?;
    let handled = Handled::default();
    // Below 512 workers the client completes over one shard; with its four shards above, two cores did worse.
    let config = QueueConfig {
        max_workers: 500,
        poll_interval: Duration::from_millis(50),
        deadline_duration: Duration::ZERO,
        ..QueueConfig::default()
    };
    let client = client(&pool, config, Noop(handled.clone()))?;

    let before = observer.before().await?;
    let start = Instant::now();
    client.start().await?;
    let done = observer
        .burned_down(&handled, given.jobs, &left(given.jobs), || false)
        .await?;
    let wal_bytes = observer.wal_since(&before).await?;
    client.shutdown(STOP).await;
    let counts = storage()?.queue_counts(&pool, QUEUE).await?;
    ensure!(
        counts.terminal == i64::from(given.jobs),
        "{} of {} jobs completed",
        counts.terminal,
        given.jobs
    );
    pool.close().await;

    Ok(report::BurnDown {
        peer: PEER,
        version: VERSION,
        jobs: given.jobs,
        enqueue_seconds,
        seconds: done.duration_since(start).as_secs_f64(),
        wal_bytes,
        commits: observer.commits_since(&before).await?,
        settings: "queue storage with receipts (16/8/8 slots), 500 workers, 1 claimer, claims of 512, no deadline, \
                   completions batched by 512 or 1 ms, enqueued by COPY of 1000"
            .to_owned(),
    })
}

/// Times single jobs to an idle client.
pub(crate) async fn latency(given: &LatencyArgs) -> Result<report::Latency> {
    let pool = pool(&given.url).await?;
    let storage = install(&pool).await?;
    let (starts, mut started) = unbounded_channel();
    let config = QueueConfig {
        max_workers: 10,
        poll_interval: Duration::from_millis(200),
        deadline_duration: Duration::ZERO,
        ..QueueConfig::default()
    };
    let client = client(&pool, config, Ping(starts))?;
    client.start().await?;
    let enqueue = async |seq| {
        storage.enqueue_params_batch(&pool, &[job(seq)?]).await?;
        Ok(())
    };
    let measured = crate::latency::measure(given, &mut started, enqueue).await?;
    client.shutdown(STOP).await;

    Ok(report::Latency {
        peer: PEER,
        version: VERSION,
        samples: measured.samples,
        p50_ms: measured.p50_ms,
        p99_ms: measured.p99_ms,
        settings: "queue storage with receipts (16/8/8 slots), LISTEN/NOTIFY, 10 workers, no deadline, poll 200 ms"
            .to_owned(),
    })
}

/// Migrates and enqueues over connections of their own; returns the seconds of enqueueing.
async fn prepare(given: &BurnDownArgs) -> Result<f64> {
    let pool = pool(&given.url).await?;
    let storage = install(&pool).await?;
    let jobs = (0..given.jobs).map(job).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    for batch in jobs.chunks(BATCH) {
        storage.enqueue_params_copy(&pool, batch).await?;
    }
    let enqueue_seconds = start.elapsed().as_secs_f64();
    pool.close().await;
    Ok(enqueue_seconds)
}

/// Connected before the clock runs: a client at work uses about this many connections.
async fn pool(url: &str) -> Result<PgPool> {
    Ok(PgPoolOptions::new()
        .min_connections(8)
        .max_connections(20)
        .connect(url)
        .await?)
}

async fn install(pool: &PgPool) -> Result<QueueStorage> {
    migrations::run(pool).await?;
    let storage = storage()?;
    storage.install(pool).await?;
    Ok(storage)
}

fn storage() -> Result<QueueStorage> {
    Ok(QueueStorage::new(QueueStorageConfig::default())?)
}

fn client(pool: &PgPool, queue: QueueConfig, worker: impl Worker + 'static) -> Result<Client> {
    let builder = Client::builder(pool.clone())
        .queue(QUEUE, queue)
        .register_worker(worker);
    Ok(builder
        .queue_storage(QueueStorageConfig::default(), QUEUE_ROTATION, LEASE_ROTATION)
        .build()?)
}

fn job(seq: u32) -> Result<InsertParams> {
    let opts = InsertOpts {
        queue: QUEUE.to_owned(),
        ..InsertOpts::default()
    };
    Ok(awa::model::insert::params_with(&BenchJob { seq }, opts)?)
}

/// What the store does not yet count as completed: it completes in batches, one row each, or row by row.
fn left(jobs: u32) -> String {
    format!(
        "SELECT {jobs} - (SELECT COALESCE(sum(completed_count), 0)::bigint FROM awa.receipt_completion_batches) \
         - (SELECT count(*) FROM awa.done_entries)"
    )
}
