//! Starting roles in this process and stopping them in good order.

use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tideline_config::settings::{ExpressionSettings, Settings, SourceSettings, TargetSettings};
use tideline_core::clock::Clock;
use tideline_core::words::{NatsAddress, Secret};
use tideline_core::words::{SourceSpec, TargetSpec};
use tideline_expression::{Evaluator, Limits};
use tideline_producer::gateway::{Gateway, GatewayParts, TOKEN_VARIABLE};
use tideline_producer::hooks::{Hooks, HooksParts};
use tideline_queue::Queue;
use tideline_queue::jetstream::Outlet;
use tideline_runtime::backends::{self, Opened};
use tideline_runtime::sealing::Sealer;
use tideline_runtime::telemetry::Guard;
use tideline_runtime::{Runtime, ShutdownOutcome, stop_signals};
use tideline_scheduler::{Scheduler, SchedulerParts};
use tideline_store::{Store, StoreError};
use tideline_worker::targets::{HttpTargetHandler, MicrocksHandler};
use tideline_worker::{
    Handler, IngestHandler, Pusher, PusherParts, RefreshHandler, RemoteHandler, ShareLimits, Source, Worker,
    WorkerParts,
};
use tokio_util::sync::CancellationToken;

use crate::context::environment;
use crate::exit::Code;
use crate::plan::{PlanChecker, SourcePlanner};

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
    pub(crate) const ALL: &[Self] = &[Self::Producer, Self::Worker, Self::Scheduler];
    /// What ingests, without a door.
    pub(crate) const INGESTING: &[Self] = &[Self::Worker, Self::Scheduler];

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
    /// None: roles that nobody watches.
    pub(crate) telemetry: Option<Arc<Guard>>,
}

impl Ground {
    /// Makes the store's sources and targets those of the configuration.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn sync_sources(&self) -> Result<(), StoreError> {
        let specs: Vec<SourceSpec> = self.settings.sources.iter().map(SourceSettings::spec).collect();
        let sync = backends::persist(&self.settings, async || {
            self.store.sync_sources(&specs, self.clock.now()).await
        })
        .await?;
        for (change, names) in [
            ("added", &sync.added),
            ("restarted, because what identifies its data changed", &sync.restarted),
            ("orphaned, because it is no longer configured", &sync.orphaned),
        ] {
            for source in names {
                tracing::info!(source, "source {change}");
            }
        }
        let targets: Vec<TargetSpec> = self.settings.targets.iter().map(TargetSettings::spec).collect();
        backends::persist(&self.settings, async || {
            self.store.sync_targets(&targets, self.clock.now()).await
        })
        .await?;
        Ok(())
    }
}

impl Ground {
    /// Sends the telemetry that is not sent yet.
    pub(crate) async fn close(self) {
        // Sending blocks its thread.
        let _ = tokio::task::spawn_blocking(move || drop(self.telemetry)).await;
    }
}

/// A shutdown that takes longer is mentioned.
const SOON: Duration = Duration::from_millis(300);

/// Roles at work in this process.
pub(crate) struct Running {
    runtime: Runtime,
    grace: Duration,
    second_signal: CancellationToken,
}

impl Running {
    /// Starts the roles and watches for signals.
    ///
    /// # Errors
    /// A source's expressions do not compile.
    pub(crate) async fn start(ground: &Ground, roles: &[Role]) -> anyhow::Result<Self> {
        let runtime = Runtime::new(Arc::clone(&ground.clock));
        let second_signal = watch_signals(&runtime).await?;
        ground.opened.keep_time(&runtime);
        start_gateway(ground, roles, &runtime).await?;
        for role in roles {
            match role {
                // All that it does, it does when the gateway is asked.
                Role::Producer => {}
                Role::Worker => start_worker(ground, &runtime)?,
                Role::Scheduler => start_scheduler(ground, &runtime).await?,
            }
        }
        Ok(Self {
            runtime,
            grace: ground.settings.shutdown_grace,
            second_signal,
        })
    }

    /// Cancelled by the first signal.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.runtime.stop()
    }

    /// Cancelled by the second signal, and not by a grace that is over.
    pub(crate) fn second_signal(&self) -> CancellationToken {
        self.second_signal.clone()
    }

    /// Stops in good order: what is held is finished or handed back within `shutdown.grace`; a second signal stops at once.
    pub(crate) async fn shut_down(self) -> Code {
        let interrupted = self.runtime.stop().is_cancelled();
        let mut draining = pin!(self.runtime.shut_down(self.grace));
        let outcome = match tokio::time::timeout(SOON, &mut draining).await {
            Ok(outcome) => outcome,
            Err(_) => {
                if interrupted && io::stderr().is_terminal() {
                    let _ = writeln!(io::stderr(), "Draining; press Ctrl-C again to stop at once.");
                }
                draining.await
            }
        };
        match outcome {
            ShutdownOutcome::Finished => Code::Done,
            ShutdownOutcome::Dropped => Code::Stopped,
        }
    }
}

/// The first signal stops softly, the second one hard and cancels what this returns. Watches from the moment this returns.
async fn watch_signals(runtime: &Runtime) -> anyhow::Result<CancellationToken> {
    let (second, hard) = (CancellationToken::new(), runtime.hard_stop());
    let mut signals = Box::pin(stop_signals(runtime.stop(), second.clone()));
    tokio::select! {
        biased;
        watched = &mut signals => {
            watched.context("watch for signals")?;
            hard.cancel();
            return Ok(second);
        }
        () = std::future::ready(()) => {}
    }
    tokio::spawn(async move {
        if signals.await.is_ok() {
            hard.cancel();
        }
    });
    Ok(second)
}

/// Starts what reads sources, for a plan.
///
/// # Errors
/// A source's expressions do not compile.
pub(crate) async fn start_ingesting(ground: &Ground, runtime: &Runtime) -> anyhow::Result<()> {
    start_worker(ground, runtime)?;
    start_scheduler(ground, runtime).await
}

fn start_worker(ground: &Ground, runtime: &Runtime) -> anyhow::Result<()> {
    let limits = ground.settings.expressions;
    let evaluator = Arc::new(Evaluator::new(Limits {
        processes: limits.processes,
        memory_bytes: limits.memory_bytes,
        stack_bytes: limits.stack_bytes,
        timeout: limits.timeout,
        ..Limits::default()
    }));
    let mut sources = Vec::new();
    for settings in &ground.settings.sources {
        let source = tideline_worker::sources::open_with(settings, Arc::clone(&ground.clock), &evaluator)?;
        sources.push((settings.clone(), source));
    }
    let refresh = RefreshHandler::new(
        Arc::clone(&ground.store),
        Arc::clone(&ground.queue),
        Arc::clone(&ground.clock),
        sources.clone(),
    );
    let limited = sources.iter().filter(|(_, source)| source.has_shared_limit());
    let limits = ShareLimits {
        store: Arc::clone(&ground.store),
        clock: Arc::clone(&ground.clock),
        sources: limited.map(|(_, source)| Arc::clone(source)).collect(),
    };
    if !limits.sources.is_empty() {
        runtime.spawn(limits.run(runtime.stop()));
    }
    let mut handlers = handlers_beyond(ground, &evaluator, &sources).map_err(anyhow::Error::msg)?;
    handlers.push(Arc::new(refresh));
    let ingest = IngestHandler::new(Arc::clone(&ground.store), Arc::clone(&ground.clock), sources);
    handlers.push(Arc::new(ingest));
    let worker = Worker::new(WorkerParts {
        store: Arc::clone(&ground.store),
        queue: Arc::clone(&ground.queue),
        clock: Arc::clone(&ground.clock),
        settings: ground.settings.worker.clone(),
        handlers,
    })
    .watched_by(runtime);
    runtime.spawn(worker.run(runtime.stop(), runtime.hard_stop()));
    start_pusher(ground, evaluator, runtime)
}

fn start_pusher(ground: &Ground, evaluator: Arc<Evaluator>, runtime: &Runtime) -> anyhow::Result<()> {
    let parts = PusherParts {
        store: Arc::clone(&ground.store),
        queue: Arc::clone(&ground.queue),
        clock: Arc::clone(&ground.clock),
        settings: ground.settings.subscriptions.clone(),
        sealer: Arc::new(Sealer::new(ground.settings.secret_key.as_ref())?),
        evaluator,
        public_url: ground.settings.public_url.clone(),
    };
    Pusher::start(parts, runtime).map_err(|error| anyhow::anyhow!(error).context("start pushing events"))
}

/// Those of targets, and of programs elsewhere.
fn handlers_beyond(
    ground: &Ground,
    evaluator: &Arc<Evaluator>,
    sources: &[(SourceSettings, Arc<dyn Source>)],
) -> Result<Vec<Arc<dyn Handler>>, String> {
    let (targets, queue) = (&ground.settings.targets, &ground.queue);
    let (store, clock) = (|| Arc::clone(&ground.store), || Arc::clone(&ground.clock));
    let mut handlers: Vec<Arc<dyn Handler>> = Vec::new();
    if !targets.is_empty() {
        handlers.push(Arc::new(MicrocksHandler::new(
            store(),
            queue,
            clock(),
            targets,
            sources,
        )?));
        let http = HttpTargetHandler::new(store(), queue, clock(), Arc::clone(evaluator), targets)?;
        handlers.push(Arc::new(http));
    }
    for settings in &ground.settings.handlers {
        handlers.push(Arc::new(RemoteHandler::new(settings.clone(), clock())?));
    }
    Ok(handlers)
}

fn evaluator(settings: &ExpressionSettings) -> Arc<Evaluator> {
    Arc::new(Evaluator::new(Limits {
        processes: settings.processes,
        memory_bytes: settings.memory_bytes,
        stack_bytes: settings.stack_bytes,
        timeout: settings.timeout,
        ..Limits::default()
    }))
}

fn checker(ground: &Ground) -> Arc<PlanChecker> {
    let (settings, store) = (Arc::clone(&ground.settings), Arc::clone(&ground.store));
    Arc::new(PlanChecker::new(settings, store, Arc::clone(&ground.clock)))
}

async fn start_scheduler(ground: &Ground, runtime: &Runtime) -> anyhow::Result<()> {
    let mut scheduler = Scheduler::new(SchedulerParts {
        store: Arc::clone(&ground.store),
        queue: Arc::clone(&ground.queue),
        clock: Arc::clone(&ground.clock),
        settings: ground.settings.scheduler.clone(),
        sources: ground.settings.sources.clone(),
        rescue: ground.settings.rescue,
        changes_retention: ground.settings.changes_retention,
        retention: ground.settings.retention,
        events: ground.settings.events.clone(),
    })
    .following_events(evaluator(&ground.settings.expressions))
    .following_targets(ground.settings.targets.clone())
    .checking(checker(ground), ground.settings.plan.concurrency);
    if ground.settings.publish {
        let address = NatsAddress::parse(ground.settings.queue.reveal())?;
        scheduler = scheduler.publishing(Arc::new(Outlet::open(&address).await?));
    }
    scheduler.start(runtime);
    Ok(())
}

/// Every process answers health and metrics; the producer is the gateway with all it offers. A worker or scheduler does
/// its work without it: several on one machine may share a configuration, and only one of them gets the address.
async fn start_gateway(ground: &Ground, roles: &[Role], runtime: &Runtime) -> anyhow::Result<()> {
    let Some(listen) = &ground.settings.listen else {
        return Ok(());
    };
    let is_producer = roles.contains(&Role::Producer);
    let metrics = ground.telemetry.as_ref().map(|telemetry| telemetry.metrics_page());
    let planner = SourcePlanner::new(Arc::clone(&ground.settings), Some(Arc::clone(&ground.store)));
    let parts = GatewayParts {
        store: Arc::clone(&ground.store),
        queue: Arc::clone(&ground.queue),
        clock: Arc::clone(&ground.clock),
        runtime: runtime.clone(),
        metrics: metrics.unwrap_or_default(),
        api: is_producer,
        hooks: is_producer.then(|| start_hooks(ground, runtime)),
        token: environment(TOKEN_VARIABLE)
            .filter(|token| !token.is_empty())
            .map(Secret::new),
        settings: Some(Arc::clone(&ground.settings)),
        planner: Some(Arc::new(planner)),
    };
    match Gateway::bind(listen, parts).await {
        Ok(gateway) => {
            tracing::info!(address = %gateway.address(), "gateway listening");
            runtime.spawn(gateway.serve());
        }
        Err(error) if !is_producer => tracing::warn!(%error, "health and metrics are not being served"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn start_hooks(ground: &Ground, runtime: &Runtime) -> Arc<Hooks> {
    let parts = HooksParts {
        store: Arc::clone(&ground.store),
        queue: Arc::clone(&ground.queue),
        clock: Arc::clone(&ground.clock),
        hooks: ground.settings.hooks.clone(),
        events: ground.settings.events.clone(),
        // A key that is none was refused when the roles started.
        sealer: Arc::new(Sealer::new(ground.settings.secret_key.as_ref()).unwrap_or_default()),
        expressions: ground.settings.expressions,
    };
    Hooks::start(parts, runtime)
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
