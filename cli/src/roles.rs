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
    /// The API, the dashboard, and webhooks.
    Producer,
    /// Runs jobs.
    Worker,
    /// Runs periodic tasks.
    Scheduler,
}

impl Role {
    /// All of them, for one process.
    pub(crate) const ALL: &[Self] = &[Self::Producer, Self::Worker, Self::Scheduler];
    /// The roles that ingest, without the gateway's API.
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

/// Shared dependencies of all roles.
#[derive(Clone)]
pub(crate) struct RoleContext {
    pub(crate) settings: Arc<Settings>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) opened: Arc<Opened>,
    /// None in roles without telemetry.
    pub(crate) telemetry: Option<Arc<Guard>>,
}

impl RoleContext {
    /// Syncs the store's sources and targets with the configuration.
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

impl RoleContext {
    /// Sends the telemetry that is not sent yet.
    pub(crate) async fn close(self) {
        // Sending blocks its thread.
        let _ = tokio::task::spawn_blocking(move || drop(self.telemetry)).await;
    }
}

/// A shutdown that takes longer is mentioned.
const SOON: Duration = Duration::from_millis(300);

/// The roles running in this process.
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
    pub(crate) async fn start(role_context: &RoleContext, roles: &[Role]) -> anyhow::Result<Self> {
        let runtime = Runtime::new(Arc::clone(&role_context.clock));
        let second_signal = watch_signals(&runtime).await?;
        role_context.opened.keep_time(&runtime);
        start_gateway(role_context, roles, &runtime).await?;
        for role in roles {
            match role {
                // It only acts on requests to the gateway.
                Role::Producer => {}
                Role::Worker => start_worker(role_context, &runtime)?,
                Role::Scheduler => start_scheduler(role_context, &runtime).await?,
            }
        }
        Ok(Self {
            runtime,
            grace: role_context.settings.shutdown_grace,
            second_signal,
        })
    }

    /// Cancelled by the first signal.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.runtime.stop()
    }

    /// Cancelled by the second signal, but not by the end of the grace period.
    pub(crate) fn second_signal(&self) -> CancellationToken {
        self.second_signal.clone()
    }

    /// Shuts down gracefully: jobs are finished or handed back within `shutdown.grace`; a second signal stops at once.
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

/// The first signal stops softly, the second one hard and cancels what this returns. Signals are watched from the
/// moment this returns.
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

/// Starts the roles that read sources, for a plan.
///
/// # Errors
/// A source's expressions do not compile.
pub(crate) async fn start_ingesting(role_context: &RoleContext, runtime: &Runtime) -> anyhow::Result<()> {
    start_worker(role_context, runtime)?;
    start_scheduler(role_context, runtime).await
}

fn start_worker(role_context: &RoleContext, runtime: &Runtime) -> anyhow::Result<()> {
    let limits = role_context.settings.expressions;
    let evaluator = Arc::new(Evaluator::new(Limits {
        processes: limits.processes,
        memory_bytes: limits.memory_bytes,
        stack_bytes: limits.stack_bytes,
        timeout: limits.timeout,
        ..Limits::default()
    }));
    let mut sources = Vec::new();
    for settings in &role_context.settings.sources {
        let source = tideline_worker::sources::open_with(settings, Arc::clone(&role_context.clock), &evaluator)?;
        sources.push((settings.clone(), source));
    }
    let refresh = RefreshHandler::new(
        Arc::clone(&role_context.store),
        Arc::clone(&role_context.queue),
        Arc::clone(&role_context.clock),
        sources.clone(),
    );
    let limited = sources.iter().filter(|(_, source)| source.has_shared_limit());
    let limits = ShareLimits {
        store: Arc::clone(&role_context.store),
        clock: Arc::clone(&role_context.clock),
        sources: limited.map(|(_, source)| Arc::clone(source)).collect(),
    };
    if !limits.sources.is_empty() {
        runtime.spawn(limits.run(runtime.stop()));
    }
    let mut handlers = handlers_beyond(role_context, &evaluator, &sources).map_err(anyhow::Error::msg)?;
    handlers.push(Arc::new(refresh));
    let ingest = IngestHandler::new(
        Arc::clone(&role_context.store),
        Arc::clone(&role_context.clock),
        sources,
    );
    handlers.push(Arc::new(ingest));
    let worker = Worker::new(WorkerParts {
        store: Arc::clone(&role_context.store),
        queue: Arc::clone(&role_context.queue),
        clock: Arc::clone(&role_context.clock),
        settings: role_context.settings.worker.clone(),
        handlers,
    })
    .watched_by(runtime);
    runtime.spawn(worker.run(runtime.stop(), runtime.hard_stop()));
    start_pusher(role_context, evaluator, runtime)
}

fn start_pusher(role_context: &RoleContext, evaluator: Arc<Evaluator>, runtime: &Runtime) -> anyhow::Result<()> {
    let parts = PusherParts {
        store: Arc::clone(&role_context.store),
        queue: Arc::clone(&role_context.queue),
        clock: Arc::clone(&role_context.clock),
        settings: role_context.settings.subscriptions.clone(),
        sealer: Arc::new(Sealer::new(role_context.settings.secret_key.as_ref())?),
        evaluator,
        public_url: role_context.settings.public_url.clone(),
    };
    Pusher::start(parts, runtime).map_err(|error| anyhow::anyhow!(error).context("start pushing events"))
}

/// The handlers of targets and of remote programs.
fn handlers_beyond(
    role_context: &RoleContext,
    evaluator: &Arc<Evaluator>,
    sources: &[(SourceSettings, Arc<dyn Source>)],
) -> Result<Vec<Arc<dyn Handler>>, String> {
    let (targets, queue) = (&role_context.settings.targets, &role_context.queue);
    let (store, clock) = (|| Arc::clone(&role_context.store), || Arc::clone(&role_context.clock));
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
    for settings in &role_context.settings.handlers {
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

fn checker(role_context: &RoleContext) -> Arc<PlanChecker> {
    let (settings, store) = (Arc::clone(&role_context.settings), Arc::clone(&role_context.store));
    Arc::new(PlanChecker::new(settings, store, Arc::clone(&role_context.clock)))
}

async fn start_scheduler(role_context: &RoleContext, runtime: &Runtime) -> anyhow::Result<()> {
    let mut scheduler = Scheduler::new(SchedulerParts {
        store: Arc::clone(&role_context.store),
        queue: Arc::clone(&role_context.queue),
        clock: Arc::clone(&role_context.clock),
        settings: role_context.settings.scheduler.clone(),
        sources: role_context.settings.sources.clone(),
        rescue: role_context.settings.rescue,
        changes_retention: role_context.settings.changes_retention,
        retention: role_context.settings.retention,
        events: role_context.settings.events.clone(),
    })
    .following_events(evaluator(&role_context.settings.expressions))
    .following_targets(role_context.settings.targets.clone())
    .checking(checker(role_context), role_context.settings.plan.concurrency);
    if role_context.settings.publish {
        let address = NatsAddress::parse(role_context.settings.queue.reveal())?;
        scheduler = scheduler.publishing(Arc::new(Outlet::open(&address).await?));
    }
    scheduler.start(runtime);
    Ok(())
}

/// Every process serves health and metrics; a producer serves the whole gateway. Workers and schedulers can do without
/// it: several on one machine may share a configuration, and only one of them gets the address.
async fn start_gateway(role_context: &RoleContext, roles: &[Role], runtime: &Runtime) -> anyhow::Result<()> {
    let Some(listen) = &role_context.settings.listen else {
        return Ok(());
    };
    let is_producer = roles.contains(&Role::Producer);
    let metrics = role_context
        .telemetry
        .as_ref()
        .map(|telemetry| telemetry.metrics_page());
    let planner = SourcePlanner::new(
        Arc::clone(&role_context.settings),
        Some(Arc::clone(&role_context.store)),
    );
    let parts = GatewayParts {
        store: Arc::clone(&role_context.store),
        queue: Arc::clone(&role_context.queue),
        clock: Arc::clone(&role_context.clock),
        runtime: runtime.clone(),
        metrics: metrics.unwrap_or_default(),
        api: is_producer,
        hooks: is_producer.then(|| start_hooks(role_context, runtime)),
        token: environment(TOKEN_VARIABLE)
            .filter(|token| !token.is_empty())
            .map(Secret::new),
        settings: Some(Arc::clone(&role_context.settings)),
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

fn start_hooks(role_context: &RoleContext, runtime: &Runtime) -> Arc<Hooks> {
    let parts = HooksParts {
        store: Arc::clone(&role_context.store),
        queue: Arc::clone(&role_context.queue),
        clock: Arc::clone(&role_context.clock),
        hooks: role_context.settings.hooks.clone(),
        events: role_context.settings.events.clone(),
        // An invalid key was refused when the roles started.
        sealer: Arc::new(Sealer::new(role_context.settings.secret_key.as_ref()).unwrap_or_default()),
        expressions: role_context.settings.expressions,
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
