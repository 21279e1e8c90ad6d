//! Starting roles in this process and stopping them in good order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tideline_producer::gateway::{Gateway, GatewayParts, TOKEN_VARIABLE};
use tideline_scheduler::{Scheduler, SchedulerParts};
use tideline_shared::backends::Opened;
use tideline_shared::clock::Clock;
use tideline_shared::config::settings::{Secret, Settings, SourceSettings};
use tideline_shared::queue::Queue;
use tideline_shared::runtime::{Runtime, ShutdownOutcome, stop_signals};
use tideline_shared::store::{Store, StoreError};
use tideline_shared::telemetry::MetricsPage;
use tideline_shared::words::SourceSpec;
use tideline_worker::{IngestHandler, Worker, WorkerParts};
use tokio_util::sync::CancellationToken;

use crate::context::environment;
use crate::exit::Code;

/// A part of Tideline that can be a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The front door.
    Producer,
    /// The hands.
    Worker,
    /// The clock.
    Scheduler,
}

impl Role {
    /// All of them, for one process.
    pub(crate) const ALL: [Self; 3] = [Self::Producer, Self::Worker, Self::Scheduler];

    /// Its name, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
        }
    }
}

/// What roles stand on.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) opened: Arc<Opened>,
}

impl Ground {
    /// Makes the store's sources those of the configuration.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn sync_sources(&self) -> Result<(), StoreError> {
        let specs: Vec<SourceSpec> = self.settings.sources.iter().map(SourceSettings::spec).collect();
        let sync = self.store.sync_sources(&specs, self.clock.now()).await?;
        for (change, names) in [
            ("added", &sync.added),
            ("restarted, because what identifies its data changed", &sync.restarted),
            ("orphaned, because it is no longer configured", &sync.orphaned),
        ] {
            for source in names {
                tracing::info!(source, "source {change}");
            }
        }
        Ok(())
    }
}

/// Roles at work in this process.
pub(crate) struct Running {
    runtime: Runtime,
    grace: Duration,
}

impl Running {
    /// Starts the roles and watches for signals.
    ///
    /// # Errors
    /// A source's expressions do not compile.
    pub(crate) fn start(ground: &Ground, roles: &[Role]) -> anyhow::Result<Self> {
        let runtime = Runtime::new(Arc::clone(&ground.clock));
        ground.opened.keep_time(&runtime);
        for role in roles {
            match role {
                // All that it does, it does when the gateway is asked.
                Role::Producer => {}
                Role::Worker => start_worker(ground, &runtime)?,
                Role::Scheduler => start_scheduler(ground, &runtime),
            }
        }
        let (stop, hard) = (runtime.stop(), runtime.hard_stop());
        tokio::spawn(async move {
            if let Err(error) = stop_signals(stop, hard).await {
                tracing::error!(%error, "signals cannot be watched");
            }
        });
        Ok(Self {
            runtime,
            grace: ground.settings.shutdown_grace,
        })
    }

    /// Opens the gateway at the address of `listen`, if there is one: health and metrics of this process, and `/v1`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) async fn listen(&self, ground: &Ground, metrics: MetricsPage) -> anyhow::Result<()> {
        let Some(listen) = &ground.settings.listen else {
            return Ok(());
        };
        let token = environment(TOKEN_VARIABLE).filter(|token| !token.is_empty());
        let parts = GatewayParts {
            store: Arc::clone(&ground.store),
            queue: Arc::clone(&ground.queue),
            clock: Arc::clone(&ground.clock),
            runtime: self.runtime.clone(),
            metrics,
            token: token.map(Secret::new),
        };
        let gateway = Gateway::bind(listen, parts).await?;
        self.runtime.spawn(gateway.serve());
        Ok(())
    }

    /// Cancelled by the first signal.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.runtime.stop()
    }

    /// Stops in good order: what is held is finished or handed back within `shutdown.grace`; a second signal stops at once.
    pub(crate) async fn shut_down(self) -> Code {
        match self.runtime.shut_down(self.grace).await {
            ShutdownOutcome::Finished => Code::Done,
            ShutdownOutcome::Dropped => Code::Stopped,
        }
    }
}

fn start_worker(ground: &Ground, runtime: &Runtime) -> anyhow::Result<()> {
    let mut sources = Vec::new();
    for settings in &ground.settings.sources {
        let source = tideline_worker::sources::open_with_clock(settings, Arc::clone(&ground.clock))?;
        sources.push((settings.clone(), source));
    }
    let handler = IngestHandler::new(Arc::clone(&ground.store), Arc::clone(&ground.clock), sources);
    let worker = Worker::new(WorkerParts {
        store: Arc::clone(&ground.store),
        queue: Arc::clone(&ground.queue),
        clock: Arc::clone(&ground.clock),
        settings: ground.settings.worker.clone(),
        handlers: vec![Arc::new(handler)],
    });
    runtime.spawn(worker.run(runtime.stop(), runtime.hard_stop()));
    Ok(())
}

fn start_scheduler(ground: &Ground, runtime: &Runtime) {
    Scheduler::new(SchedulerParts {
        store: Arc::clone(&ground.store),
        queue: Arc::clone(&ground.queue),
        clock: Arc::clone(&ground.clock),
        settings: ground.settings.scheduler.clone(),
        sources: ground.settings.sources.clone(),
        rescue: ground.settings.rescue,
        changes_retention: ground.settings.changes_retention,
    })
    .start(runtime);
}

/// Returns after the first SIGTERM or SIGINT.
///
/// # Errors
/// Signals cannot be watched.
pub(crate) async fn first_signal() -> anyhow::Result<()> {
    let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
    tokio::select! {
        watched = stop_signals(stop.clone(), hard) => watched.context("watch for signals"),
        () = stop.cancelled() => Ok(()),
    }
}
