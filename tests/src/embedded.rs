//! All roles in the process of the test, on a store and a queue that the test chose.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tideline_scheduler::{Scheduler, SchedulerParts};
use tideline_shared::clock::{Clock, SystemClock};
use tideline_shared::config::settings::{Settings, SourceSettings};
use tideline_shared::queue::Queue;
use tideline_shared::runtime::Runtime;
use tideline_shared::store::Store;
use tideline_shared::words::WorkerId;
use tideline_worker::{Handler, IngestHandler, Worker, WorkerParts, sources};

use crate::hostile::{
    ChangeRates, Counts, FaultRates, HostileConfig, HostileServer, HostileYaml, Paging, SOURCE, Shape,
};
use crate::oracle::compare_catalog;

/// How long [`ingest_everything`] may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Reads a source of some two hundred entities that behaves well, cycle after cycle while it changes, until the catalog is
/// as the source.
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
    let settings = tideline_shared::config::parse(&yaml, Path::new("hostile.yaml"), &|_| None)?;
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

/// Running roles: one scheduler and one worker.
pub struct Embedded {
    runtime: Runtime,
    worker: WorkerId,
}

impl Embedded {
    /// Starts them for the sources of the settings.
    ///
    /// # Errors
    /// A source that cannot be opened, or the store's error.
    pub async fn start(settings: &Settings, store: Arc<dyn Store>, queue: Arc<dyn Queue>) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let specs: Vec<_> = settings.sources.iter().map(SourceSettings::spec).collect();
        store.sync_sources(&specs, clock.now()).await?;
        let opened = settings
            .sources
            .iter()
            .map(|source| Ok((source.clone(), sources::open(source)?)));
        let opened = opened.collect::<Result<Vec<_>>>()?;
        let ingest = IngestHandler::new(Arc::clone(&store), Arc::clone(&clock), opened);
        let runtime = Runtime::new(Arc::clone(&clock));
        let scheduler = SchedulerParts {
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            settings: settings.scheduler.clone(),
            rescue: settings.rescue,
            sources: settings.sources.clone(),
            changes_retention: settings.changes_retention,
        };
        Scheduler::new(scheduler).start(&runtime);
        let worker = Worker::new(WorkerParts {
            store,
            queue,
            clock,
            settings: settings.worker.clone(),
            handlers: vec![Arc::new(ingest) as Arc<dyn Handler>],
        });
        let id = worker.id().clone();
        runtime.spawn(worker.run(runtime.stop(), runtime.hard_stop()));
        Ok(Self { runtime, worker: id })
    }

    /// The worker's identity in the store.
    #[must_use]
    pub fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// Stops in good order.
    pub async fn stop(self) {
        self.runtime.shut_down(Duration::from_secs(20)).await;
    }
}
