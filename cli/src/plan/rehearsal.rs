//! A thread with its own runtime for the roles that read a source for a plan: it uses at most one CPU, does not write
//! to the logs and metrics of the process, and ends as a whole.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tideline_config::settings::{Settings, SourceSettings};
use tideline_core::words::{CycleRecord, CycleState, EntityRef, SourceId, SourceRecord, Timestamp};
use tideline_producer::api::types::PlanProgress;
use tideline_producer::api::{Code, Problem};
use tideline_runtime::telemetry::metrics;
use tideline_store::sqlite::SqliteStore;
use tideline_store::{Store, StoreError};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::subscriber::{NoSubscriber, set_default};

use super::scratch::{self, Limits, Read, file_url, internal, stopped};

/// Threads for work that blocks: parsing, and files.
const BLOCKING_THREADS: usize = 4;

/// How long blocking work may still take after the rest has ended.
const LAST_WORK: Duration = Duration::from_secs(2);

/// How often limits of the source are shared with the fleet.
const SHARE: Duration = Duration::from_millis(500);

/// A source as it was read.
pub(crate) struct Rehearsal {
    store: Arc<dyn Store>,
    /// Its files, which are deleted with it.
    _folder: TempDir,
    /// The cycle that read it.
    pub(crate) cycle: CycleRecord,
    /// Its named malformed items.
    pub(super) kept: HashSet<EntityRef>,
}

impl Rehearsal {
    /// Whether everything was read.
    pub(crate) fn is_complete(&self) -> bool {
        self.cycle.state == CycleState::Complete && !self.cycle.totals.has_gaps()
    }

    /// How much that was.
    pub(super) fn progress(&self) -> PlanProgress {
        PlanProgress {
            entities: self.cycle.totals.entities,
            pages: self.cycle.totals.pages,
            waiting: None,
        }
    }

    /// What was read.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }
}

/// The fleet that reads the same source: the limits that the source asks for are shared with it.
pub(crate) struct Fleet<'a> {
    store: &'a dyn Store,
    name: String,
    id: SourceId,
    /// Whether limits that the source sets for this reading are shared with the fleet.
    tells: bool,
}

impl<'a> Fleet<'a> {
    /// Limits of the fleet apply to the reading. Nothing is written.
    pub(crate) fn listening(store: &'a dyn Store, source: &SourceRecord) -> Self {
        Self {
            store,
            name: source.name.clone(),
            id: source.id,
            tells: false,
        }
    }

    /// The same, and limits set for the reading also apply to the fleet.
    pub(crate) fn both_ways(store: &'a dyn Store, source: &SourceRecord) -> Self {
        Self {
            tells: true,
            ..Self::listening(store, source)
        }
    }

    /// Exchanges limits in both directions. `told`: what the fleet was told before, which a person may have lifted
    /// since.
    async fn share(&self, limits: &FleetSide, told: &mut Option<Timestamp>) -> Result<(), StoreError> {
        let asked = *limits.asked.borrow();
        if self.tells
            && asked > *told
            && let Some(until) = asked
        {
            self.store.hold_back(self.id, until).await?;
            *told = asked;
        }
        let source = self.store.find_source(&self.name).await?;
        let held = source.and_then(|source| source.hold_until);
        limits
            .held
            .send_if_modified(|known| std::mem::replace(known, held) != held);
        Ok(())
    }
}

/// Limits of the source, as the fleet sees them.
struct FleetSide {
    /// The source's requests to the fleet.
    held: watch::Sender<Option<Timestamp>>,
    /// The source's requests to the reading.
    asked: watch::Receiver<Option<Timestamp>>,
}

/// Reads every page of the source, apart from everything else of this process. Dropping the future ends the reading.
///
/// # Errors
/// The source cannot be read, or `stop` came first.
pub(crate) async fn read_apart(
    settings: &Settings,
    source: &SourceSettings,
    fleet: Option<Fleet<'_>>,
    progress: watch::Sender<PlanProgress>,
    stop: &CancellationToken,
) -> Result<Rehearsal, Problem> {
    // Entities will be in it: only this user can read it.
    let folder = tempfile::Builder::new().prefix("tideline-plan-").tempdir();
    let folder = folder.map_err(|error| {
        let detail = format!("cannot create a temporary folder (see TMPDIR): {error}");
        Problem::new(Code::Internal, detail)
    })?;
    let stop = stop.child_token();
    let ends_with_this = stop.clone().drop_guard();
    let ((held, holds), (asks, asked)) = (watch::channel(None), watch::channel(None));
    let side = FleetSide { held, asked };
    let mut told = None;
    if let Some(fleet) = &fleet {
        fleet.share(&side, &mut told).await?;
    }
    let reading = Apart {
        settings: scratch::settings(settings, source, folder.path()),
        limits: Limits { holds, asks },
        progress,
        stop,
    };
    let (done, mut read) = oneshot::channel();
    // The folder is the thread's until it has ended, so that nothing is written to it after it is gone.
    let thread = move || {
        let read = reading.run();
        let _ = done.send((read, folder));
    };
    thread::Builder::new()
        .name("plan".to_owned())
        .spawn(thread)
        .map_err(|error| internal(&error))?;
    let read = loop {
        tokio::select! {
            read = &mut read => break read,
            () = tokio::time::sleep(SHARE) => {}
        }
        if let Some(fleet) = &fleet {
            // During a store outage, the known limits apply.
            let _ = fleet.share(&side, &mut told).await;
        }
    };
    let (read, folder) = read.map_err(|_| stopped())?;
    if let Some(fleet) = &fleet {
        let _ = fleet.share(&side, &mut told).await;
    }
    let Read { cycle, kept } = read?;
    ends_with_this.disarm();
    let store = SqliteStore::open_existing(&file_url(folder.path())).await?;
    Ok(Rehearsal {
        store: Arc::new(store),
        _folder: folder,
        cycle,
        kept,
    })
}

struct Apart {
    settings: Settings,
    limits: Limits,
    progress: watch::Sender<PlanProgress>,
    stop: CancellationToken,
}

impl Apart {
    fn run(self) -> Result<Read, Problem> {
        let _silence = set_default(NoSubscriber::default());
        metrics::silence_thread();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .on_thread_start(|| {
                metrics::silence_thread();
                // It lasts as long as the thread.
                std::mem::forget(set_default(NoSubscriber::default()));
            })
            .build()
            .map_err(|error| internal(&error))?;
        let read = runtime.block_on(scratch::read(self.settings, &self.limits, &self.progress, &self.stop));
        runtime.shutdown_timeout(LAST_WORK);
        read
    }
}
