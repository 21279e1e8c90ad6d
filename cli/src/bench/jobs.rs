//! No-op jobs: the cost of the queue itself, from the producer to the settlement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use serde_json::json;
use tideline_config::hooks::EventSettings;
use tideline_config::settings::{RetentionSettings, SchedulerSettings, WorkerSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::RescuePolicy;
use tideline_producer::{JobSpec, Producer};
use tideline_queue::Queue;
use tideline_runtime::Runtime;
use tideline_scheduler::{Scheduler, SchedulerParts};
use tideline_store::Store;
use tideline_worker::{Attempt, Handler, HandlerError, Outcome, Worker, WorkerParts};
use tokio::sync::mpsc;

const KIND: &str = "bench";
const GRACE: Duration = Duration::from_secs(20);
/// Jobs that may run at once: enough for claims and settlements of a thousand. graphile_worker fetches as many ahead in
/// its own benchmark.
const CONCURRENCY: u32 = 5_000;

/// Where jobs are enqueued and run, with all leases, fences and hints.
#[derive(Clone)]
pub struct Jobs {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Carries the hints.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// How a queue full of jobs was emptied.
#[derive(Clone, Copy, Debug)]
pub struct BurnDown {
    /// Jobs enqueued, claimed, run and settled.
    pub jobs: u32,
    /// Seconds to enqueue them all, in batches.
    pub enqueue_seconds: f64,
    /// Seconds from the start of one worker until the last one was settled.
    pub seconds: f64,
}

/// Reports its start, and does nothing.
struct Nothing {
    started: mpsc::UnboundedSender<Instant>,
}

#[async_trait]
impl Handler for Nothing {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn run(&self, _: &Attempt) -> Result<Outcome, HandlerError> {
        // The receiver is gone once the benchmark has its result.
        let _ = self.started.send(Instant::now());
        Ok(Outcome::Done)
    }
}

impl Jobs {
    /// Enqueues the jobs, calls `full`, then starts a worker and waits until all of them are settled.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn burn_down<F: Future<Output = anyhow::Result<()>>>(
        &self,
        jobs: u32,
        full: impl FnOnce() -> F,
    ) -> anyhow::Result<BurnDown> {
        let producer = self.producer();
        let round = self.clock.now().0;
        let specs = (0..jobs)
            .map(|number| JobSpec::new(KIND, format!("{round}/{number}"), &json!({ "number": number })))
            .collect::<Result<Vec<_>, _>>()?;
        let asked = Instant::now();
        producer.enqueue(specs).await?;
        let enqueue_seconds = asked.elapsed().as_secs_f64();
        full().await?;
        let runtime = Runtime::new(Arc::clone(&self.clock));
        let (started, mut starts) = mpsc::unbounded_channel();
        let asked = Instant::now();
        self.start(&runtime, started);
        for _ in 0..jobs {
            starts.recv().await.context("the worker ended")?;
        }
        // They have started; the last settlements are on their way.
        while !self.is_empty().await? {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let seconds = asked.elapsed().as_secs_f64();
        runtime.shut_down(GRACE).await;
        Ok(BurnDown {
            jobs,
            enqueue_seconds,
            seconds,
        })
    }

    /// Milliseconds from the call that enqueues a job until its handler starts, on roles that have nothing else to do;
    /// one value per job, `pause` between them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn idle_starts(&self, samples: u32, pause: Duration) -> anyhow::Result<Vec<f64>> {
        /// The first ones open connections and prepare statements.
        const WARM_UP: u32 = 20;
        let producer = self.producer();
        let runtime = Runtime::new(Arc::clone(&self.clock));
        let (started, mut starts) = mpsc::unbounded_channel();
        self.start(&runtime, started);
        let round = self.clock.now().0;
        let mut values = Vec::new();
        for number in 0..WARM_UP + samples {
            tokio::time::sleep(pause).await;
            let spec = JobSpec::new(KIND, format!("{round}/{number}"), &json!({}))?;
            let asked = Instant::now();
            producer.enqueue(vec![spec]).await?;
            let start = starts.recv().await.context("the worker ended")?;
            if number >= WARM_UP {
                values.push(start.saturating_duration_since(asked).as_secs_f64() * 1e3);
            }
        }
        runtime.shut_down(GRACE).await;
        Ok(values)
    }

    async fn is_empty(&self) -> anyhow::Result<bool> {
        let stats = self.store.stats(self.clock.now()).await?;
        Ok(stats.due + stats.running == 0)
    }

    fn producer(&self) -> Producer {
        Producer::new(
            Arc::clone(&self.store),
            Arc::clone(&self.queue),
            Arc::clone(&self.clock),
        )
    }

    fn start(&self, runtime: &Runtime, started: mpsc::UnboundedSender<Instant>) {
        Scheduler::new(SchedulerParts {
            store: Arc::clone(&self.store),
            queue: Arc::clone(&self.queue),
            clock: Arc::clone(&self.clock),
            settings: SchedulerSettings::default(),
            sources: Vec::new(),
            rescue: RescuePolicy::default(),
            changes_retention: Duration::from_secs(3_600),
            retention: RetentionSettings::default(),
            events: EventSettings::default(),
        })
        .start(runtime);
        let worker = Worker::new(WorkerParts {
            store: Arc::clone(&self.store),
            queue: Arc::clone(&self.queue),
            clock: Arc::clone(&self.clock),
            settings: WorkerSettings {
                concurrency: CONCURRENCY,
                ..WorkerSettings::default()
            },
            handlers: vec![Arc::new(Nothing { started })],
        });
        runtime.spawn(worker.run(runtime.stop(), runtime.hard_stop()));
    }
}
