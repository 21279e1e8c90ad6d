//! All periodic tasks of one scheduler process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tideline_shared::clock::Clock;
use tideline_shared::config::settings::{SchedulerSettings, SourceSettings};
use tideline_shared::queue::Queue;
use tideline_shared::runtime::{Pace, Runtime, Wake};
use tideline_shared::store::{RescuePolicy, Store, StoreError};

use crate::{Dispatch, EndCycles, PruneChanges, RescueJobs, RestSources, StartCycles, SweepCycles};

/// Tombstones are looked at so often.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// One periodic task. A run looks at what is due now, acts, and says when to look again.
#[async_trait]
pub trait Task: Send + Sync {
    /// One run. Errors are the store's; the driver tries again.
    async fn run_once(&self) -> Result<Pace, StoreError>;
}

/// Sources that stand still are looked for so often.
const REST_EVERY: Duration = Duration::from_secs(5);

/// What a scheduler is made of.
pub struct SchedulerParts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Carries hints and wake-ups.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Waits and batches.
    pub settings: SchedulerSettings,
    /// The sources: their rests, schedules and guards.
    pub sources: Vec<SourceSettings>,
    /// What happens to the jobs of dead workers.
    pub rescue: RescuePolicy,
    /// `changes.retention`.
    pub changes_retention: Duration,
}

/// Makes time pass. Any number of them may run at once.
pub struct Scheduler {
    parts: SchedulerParts,
    sources: Arc<HashMap<String, SourceSettings>>,
}

impl Scheduler {
    /// A scheduler of these parts.
    #[must_use]
    pub fn new(parts: SchedulerParts) -> Self {
        let sources = parts
            .sources
            .iter()
            .map(|source| (source.name.clone(), source.clone()))
            .collect();
        Self {
            parts,
            sources: Arc::new(sources),
        }
    }

    /// Starts a loop for each task; they run until the runtime's soft stop.
    pub fn start(self, runtime: &Runtime) {
        let Self {
            parts:
                SchedulerParts {
                    store,
                    queue,
                    clock,
                    settings,
                    rescue,
                    changes_retention,
                    ..
                },
            sources,
        } = self;
        let every = settings.poll;
        let on_wake = |name, task: Arc<dyn Task>| spawn(runtime, name, every, Wake::Queue(queue.wakeups()), task);
        let start = StartCycles {
            store: store.clone(),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
        };
        on_wake("start cycles", Arc::new(start));
        let dispatch = Dispatch {
            store: store.clone(),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            settings: settings.clone(),
        };
        on_wake("dispatch", Arc::new(dispatch));
        let end = EndCycles {
            store: store.clone(),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            sources: Arc::clone(&sources),
        };
        on_wake("end cycles", Arc::new(end));
        let sweep = SweepCycles {
            store: store.clone(),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            settings,
            sources: Arc::clone(&sources),
        };
        on_wake("sweep cycles", Arc::new(sweep));
        let rest = RestSources {
            store: store.clone(),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            sources,
        };
        spawn(
            runtime,
            "rest sources",
            REST_EVERY.max(every),
            Wake::Never,
            Arc::new(rest),
        );

        // These have a pace of their own: the end of the nearest lease, and a slow one.
        let task = RescueJobs {
            store: store.clone(),
            leases: store.clone(),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            policy: rescue,
        };
        spawn(runtime, "rescue jobs", every, Wake::Never, Arc::new(task));
        let prune = PruneChanges {
            store,
            clock,
            retention: changes_retention,
        };
        spawn(runtime, "prune changes", PRUNE_EVERY, Wake::Never, Arc::new(prune));
    }
}

fn spawn(runtime: &Runtime, name: &'static str, every: Duration, wake: Wake, task: Arc<dyn Task>) {
    runtime.spawn_loop(name, every, wake, move || {
        let task = Arc::clone(&task);
        async move { Ok(task.run_once().await?) }
    });
}
