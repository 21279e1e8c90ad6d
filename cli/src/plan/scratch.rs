//! Reads a source into a temporary store: the roles of one process, without side effects outside.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tideline_config::settings::{Settings, SourceSettings, TelemetrySettings};
use tideline_core::full_text;
use tideline_core::words::{CycleRecord, CycleState, EntityRef, Secret, SourceRecord, SourceState, Timestamp, Trigger};
use tideline_producer::api::types::PlanProgress;
use tideline_producer::api::{Code, Problem};
use tideline_runtime::Runtime;
use tideline_runtime::backends::{Mode, open_queue, open_store};
use tideline_store::{SourceCommand, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::progress::Watcher;
use crate::roles::{RoleContext, start_ingesting};

/// Maximum number of malformed items remembered by name, so that their catalog entries are not shown as removed.
pub(crate) const MALFORMED_KEPT: u32 = 10_000;

/// Postpones the next cycle until long after the plan is shown.
const REST: Duration = Duration::from_secs(24 * 60 * 60);

/// How often progress is polled.
const LOOK: Duration = Duration::from_millis(150);

/// How long the roles may take to stop: nothing of theirs is needed now.
const GRACE: Duration = Duration::from_secs(2);

/// The outcome of a reading.
pub(super) struct Read {
    /// The cycle that read the source.
    pub(super) cycle: CycleRecord,
    /// References of malformed items.
    pub(super) kept: HashSet<EntityRef>,
}

/// The time before which the source wants no requests.
pub(super) struct Limits {
    /// Set for the fleet; it also applies here.
    pub(super) holds: watch::Receiver<Option<Timestamp>>,
    /// Of this reading.
    pub(super) asks: watch::Sender<Option<Timestamp>>,
}

/// Reads every page of the one source of these settings.
///
/// # Errors
/// The source is blocked, or `stop` came first.
pub(super) async fn read(
    settings: Settings,
    limits: &Limits,
    progress: &watch::Sender<PlanProgress>,
    stop: &CancellationToken,
) -> Result<Read, Problem> {
    let command = "tideline plan".to_owned();
    let opened = open_store(&settings, &Mode::Role { command }).await?;
    let queue = open_queue(&settings).await.map_err(|error| internal(&error))?;
    let role_context = RoleContext {
        settings: Arc::new(settings),
        store: Arc::clone(&opened.store),
        queue,
        clock: Arc::clone(&opened.clock),
        opened: Arc::new(opened),
        telemetry: None,
    };
    role_context.sync_sources().await?;
    let source = the_source(&*role_context.store).await?;
    hold(&*role_context.store, &source, limits).await?;
    let mut watcher = Watcher::new(Arc::clone(&role_context.store), Arc::clone(&role_context.clock)).await?;
    let runtime = Runtime::new(Arc::clone(&role_context.clock));
    start_ingesting(&role_context, &runtime)
        .await
        .map_err(|error| internal(error.as_ref()))?;
    let reading = async {
        let first = watch(&mut watcher, &*role_context.store, limits, (progress, stop)).await?;
        if first.state != CycleState::Complete || first.totals.collisions == 0 {
            return Ok(first);
        }
        // Which place wins a reference is known at the end of a cycle; the next one writes it.
        let again = SourceCommand::Refresh(Trigger::Manual);
        let now = role_context.clock.now();
        role_context.store.command_source(&source.name, again, now).await?;
        role_context.queue.wake().await;
        watch(&mut watcher, &*role_context.store, limits, (progress, stop)).await
    };
    let ended = reading.await;
    runtime.shut_down(GRACE).await;
    let cycle = ended?;
    let malformed = role_context.store.list_malformed(source.id, MALFORMED_KEPT).await?;
    let kept = malformed.into_iter().filter_map(|record| record.item.reference);
    Ok(Read {
        cycle,
        kept: kept.collect(),
    })
}

/// Waits for the end of the cycle.
async fn watch(
    watcher: &mut Watcher,
    store: &dyn Store,
    limits: &Limits,
    (progress, stop): (&watch::Sender<PlanProgress>, &CancellationToken),
) -> Result<CycleRecord, Problem> {
    loop {
        match watcher.look().await {
            Ok(mut snapshot) => {
                for seen in &snapshot.sources {
                    hold(store, &seen.source, limits).await?;
                }
                if let Some(ended) = snapshot.ended.pop() {
                    return Ok(ended.cycle);
                }
                if let Some(seen) = snapshot.sources.pop() {
                    refuse_blocked(&seen.source)?;
                    let totals = seen.cycle.map(|cycle| cycle.totals).unwrap_or_default();
                    progress.send_replace(PlanProgress {
                        entities: totals.entities,
                        pages: totals.pages,
                        waiting: seen.waits.map(|why| why.to_string()),
                    });
                }
            }
            Err(error) if StoreError::may_retry(&error) => {}
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return Err(stopped()),
        }
    }
}

/// Holds requested by the source for the fleet apply here, and vice versa.
async fn hold(store: &dyn Store, source: &SourceRecord, limits: &Limits) -> Result<(), StoreError> {
    let (here, fleet) = (source.hold_until, *limits.holds.borrow());
    if here > fleet {
        limits.asks.send_replace(here);
    }
    match fleet {
        Some(until) if fleet > here => store.hold_back(source.id, until).await,
        _ => Ok(()),
    }
}

fn refuse_blocked(source: &SourceRecord) -> Result<(), Problem> {
    if source.state != SourceState::Blocked {
        return Ok(());
    }
    let reason = source.blocked_reason.as_deref().unwrap_or("it is blocked");
    let detail = format!("the source {} cannot be read: {reason}", source.name);
    Err(Problem::new(Code::SourceUnreadable, detail))
}

async fn the_source(store: &dyn Store) -> Result<SourceRecord, Problem> {
    let missing = || Problem::new(Code::Internal, "the source is not in the store of the plan");
    store.list_sources().await?.pop().ok_or_else(missing)
}

pub(super) fn stopped() -> Problem {
    Problem::new(Code::Unavailable, "the plan was abandoned")
}

pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
    Problem::new(Code::Internal, format!("the plan failed: {}", full_text(error)))
}

/// One source, read without pauses into a file of its own; nothing listens, and nothing is sent to others.
pub(super) fn settings(settings: &Settings, source: &SourceSettings, folder: &Path) -> Settings {
    let source = SourceSettings {
        burst_interval: Duration::ZERO,
        rest: Some(REST),
        schedule: None,
        malformed_keep: MALFORMED_KEPT,
        on: Vec::new(),
        drift: None,
        check: None,
        ..source.clone()
    };
    Settings {
        store: Secret::new(file_url(folder)),
        queue: Secret::new("in-process"),
        listen: None,
        telemetry: TelemetrySettings {
            otlp_endpoint: None,
            ..settings.telemetry.clone()
        },
        publish: false,
        hooks: Vec::new(),
        targets: Vec::new(),
        handlers: Vec::new(),
        sources: vec![source],
        ..settings.clone()
    }
}

/// The store of a plan in its folder.
pub(super) fn file_url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("plan.db").display())
}
