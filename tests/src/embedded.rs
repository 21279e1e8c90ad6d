//! All roles in the process of the test, on a store and a queue that the test chose.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tideline_config::hooks::EventSettings;
use tideline_config::settings::{
    HandlerSettings, RetentionSettings, SchedulerSettings, Settings, SourceSettings, TargetSettings, WorkerSettings,
};
use tideline_core::clock::{Clock, ManualClock, SystemClock};
use tideline_core::rules::RescuePolicy;
use tideline_core::words::WorkerId;
use tideline_expression::{Evaluator, Limits};
use tideline_queue::Queue;
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::{LoopReport, Runtime};
use tideline_scheduler::{Scheduler, SchedulerParts};
use tideline_store::Store;
use tideline_worker::targets::{HttpTargetHandler, MicrocksHandler};
use tideline_worker::{Handler, IngestHandler, RefreshHandler, RemoteHandler, Source, Worker, WorkerParts, sources};

use crate::hostile::{
    ChangeRates, Counts, FaultRates, HostileConfig, HostileServer, HostileYaml, Paging, SOURCE, Shape,
};
use crate::oracle::compare_catalog;

/// How long [`ingest_everything`] may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Reads a source of some two hundred entities that behaves well, cycle after cycle while it changes, until the catalog
/// is as the source.
///
/// # Errors
/// It does not get there.
pub async fn ingest_everything(store: Arc<dyn Store>, queue: Arc<dyn Queue>) -> Result<()> {
    let config = HostileConfig {
        seed: 1,
        shape: Shape {
            organisations: 5,
            projects: 3,
            components: 10,
        },
        paging: Paging::Cursor,
        faults: FaultRates::default(),
        changes: ChangeRates {
            add: 2.0,
            modify: 4.0,
            remove: 2.0,
        },
    };
    let server = HostileServer::start(config).await?;
    let yaml = server.yaml(&HostileYaml::default());
    let settings = tideline_config::parse(&yaml, Path::new("hostile.yaml"), &|_| None)?;
    let roles = Embedded::start(&settings, Arc::clone(&store), queue).await?;
    crate::wait_until("cycles", LIMIT, async || {
        let seen = Counts::of(&server.counts().cycles);
        anyhow::ensure!(seen > 3, "{seen} cycles");
        Ok(())
    })
    .await?;
    server.stop_changes();
    let expected = server.expected()?;
    let compared = crate::wait_until("the catalog to be the source", LIMIT, async || {
        compare_catalog(store.as_ref(), SOURCE, &expected).await
    });
    let compared = compared.await;
    roles.stop().await;
    compared
}

/// Dependencies of one scheduler and one worker.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Carries hints.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Of the worker.
    pub worker: WorkerSettings,
    /// Of the scheduler.
    pub scheduler: SchedulerSettings,
    /// What happens to the jobs of dead workers.
    pub rescue: RescuePolicy,
    /// How long tombstones stay.
    pub changes_retention: Duration,
    /// What is read.
    pub sources: Vec<(SourceSettings, Arc<dyn Source>)>,
}

/// What the roles keep in step with the catalog, and who works on jobs from outside.
#[derive(Default)]
pub struct Beyond {
    /// Targets.
    pub targets: Vec<TargetSettings>,
    /// Handlers of other programs.
    pub handlers: Vec<HandlerSettings>,
}

impl Beyond {
    fn handlers(
        &self,
        store: &Arc<dyn Store>,
        queue: &Arc<dyn Queue>,
        clock: &Arc<dyn Clock>,
        sources: &[(SourceSettings, Arc<dyn Source>)],
    ) -> Result<Vec<Arc<dyn Handler>>, String> {
        let parts = || {
            (
                Arc::clone(store),
                Arc::clone(clock),
                Arc::new(Evaluator::new(Limits::default())),
            )
        };
        let (of_microcks, at, _) = parts();
        let microcks = MicrocksHandler::new(of_microcks, queue, at, &self.targets, sources)?;
        let (of_http, at, evaluator) = parts();
        let http = HttpTargetHandler::new(of_http, queue, at, evaluator, &self.targets)?;
        let mut handlers: Vec<Arc<dyn Handler>> = vec![Arc::new(microcks), Arc::new(http)];
        for settings in &self.handlers {
            handlers.push(Arc::new(RemoteHandler::new(settings.clone(), Arc::clone(clock))?));
        }
        Ok(handlers)
    }
}

impl Parts {
    /// For one source, on a clock that jumps: nothing ends because of that.
    pub fn on_a_moved_clock(
        store: Arc<dyn Store>,
        clock: &ManualClock,
        source: (SourceSettings, Arc<dyn Source>),
    ) -> Self {
        Self {
            store,
            queue: Arc::new(InProcessQueue::default()),
            clock: Arc::new(clock.clone()),
            worker: WorkerSettings {
                lease: Duration::from_secs(100_000),
                ..WorkerSettings::default()
            },
            scheduler: SchedulerSettings {
                poll: Duration::from_millis(20),
                ..SchedulerSettings::default()
            },
            rescue: RescuePolicy::default(),
            changes_retention: Duration::from_secs(1_000_000),
            sources: vec![source],
        }
    }
}

/// Running roles: one scheduler and one worker.
pub struct Embedded {
    runtime: Runtime,
    worker: WorkerId,
}

impl Embedded {
    /// Opens the sources of the settings and starts the roles for them.
    ///
    /// # Errors
    /// A source that cannot be opened, or the store's error.
    pub async fn start(settings: &Settings, store: Arc<dyn Store>, queue: Arc<dyn Queue>) -> Result<Self> {
        let opened = (settings.sources.iter()).map(|source| Ok((source.clone(), sources::open(source)?)));
        let beyond = Beyond {
            targets: settings.targets.clone(),
            handlers: settings.handlers.clone(),
        };
        let parts = Parts {
            store,
            queue,
            clock: Arc::new(SystemClock),
            worker: settings.worker.clone(),
            scheduler: settings.scheduler.clone(),
            rescue: settings.rescue,
            changes_retention: settings.changes_retention,
            sources: opened.collect::<Result<_>>()?,
        };
        Self::with(parts, beyond).await
    }

    /// Makes the sources those of the store and starts the roles.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(parts: Parts) -> Result<Self> {
        Self::with(parts, Beyond::default()).await
    }

    /// Like [`Embedded::of`], with what is beyond the catalog.
    ///
    /// # Errors
    /// The store's, or a target that cannot work.
    pub async fn with(parts: Parts, beyond: Beyond) -> Result<Self> {
        let Parts {
            store, queue, clock, ..
        } = parts;
        let settings: Vec<_> = parts.sources.iter().map(|(settings, _)| settings.clone()).collect();
        let specs: Vec<_> = settings.iter().map(SourceSettings::spec).collect();
        store.sync_sources(&specs, clock.now()).await?;
        let targets: Vec<_> = beyond.targets.iter().map(TargetSettings::spec).collect();
        store.sync_targets(&targets, clock.now()).await?;
        let runtime = Runtime::new(Arc::clone(&clock));
        let refresh = RefreshHandler::new(
            Arc::clone(&store),
            Arc::clone(&queue),
            Arc::clone(&clock),
            parts.sources.clone(),
        );
        let mut handlers = beyond
            .handlers(&store, &queue, &clock, &parts.sources)
            .map_err(anyhow::Error::msg)?;
        let ingest = IngestHandler::new(Arc::clone(&store), Arc::clone(&clock), parts.sources);
        handlers.push(Arc::new(ingest));
        handlers.push(Arc::new(refresh));
        let worker = Worker::new(WorkerParts {
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            settings: parts.worker,
            handlers,
        });
        let id = worker.id().clone();
        runtime.spawn(worker.run(runtime.stop(), runtime.hard_stop()));
        Scheduler::new(SchedulerParts {
            store,
            queue,
            clock,
            settings: parts.scheduler,
            sources: settings,
            rescue: parts.rescue,
            changes_retention: parts.changes_retention,
            retention: RetentionSettings::default(),
            events: EventSettings::default(),
        })
        .following_events(Arc::new(Evaluator::new(Limits::default())))
        .following_targets(beyond.targets)
        .start(&runtime);
        Ok(Self { runtime, worker: id })
    }

    /// The worker's identity in the store.
    #[must_use]
    pub fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// How the loops are.
    #[must_use]
    pub fn loops(&self) -> Vec<LoopReport> {
        self.runtime.loops()
    }

    /// Shuts down gracefully.
    pub async fn stop(self) {
        self.runtime.shut_down(Duration::from_secs(20)).await;
    }
}
