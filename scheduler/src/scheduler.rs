//! All periodic tasks of one scheduler process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tideline_config::hooks::EventSettings;
use tideline_config::settings::{RetentionSettings, SchedulerSettings, SourceSettings, TargetSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::RescuePolicy;
use tideline_expression::Evaluator;
use tideline_queue::Queue;
use tideline_queue::jetstream::Outlet;
use tideline_runtime::{Pace, Runtime, Wake};
use tideline_store::{Sample, Store, StoreError};
use tokio::sync::Semaphore;

use crate::rescue_jobs::{self, Absence};
use crate::{
    CheckSource, Dispatch, EndCycles, FollowEvents, FollowTargets, PruneAudit, PruneChanges, PruneEvents, PruneHistory,
    PruneVersions, PublishChanges, PublishEvents, RescueJobs, RestSources, SourceChecker, StartCycles, SweepCycles,
    TakeSamples,
};

/// How often tombstones are pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// How often events are pruned: they may arrive fast.
const PRUNE_EVENTS_EVERY: Duration = Duration::from_secs(30);

/// One periodic task. A run checks what is due now, acts, and returns when to run again.
#[async_trait]
pub trait Task: Send + Sync {
    /// One run. Errors are the store's; the driver tries again.
    async fn run_once(&self) -> Result<Pace, StoreError>;
}

/// Polling interval of tasks that wait for wake-ups, while wake-ups of other processes cannot arrive.
const UNREACHED: Duration = Duration::from_secs(1);

/// Minimum interval between searches for idle sources.
const REST_EVERY: Duration = Duration::from_secs(5);

/// Maximum interval between searches for due checks: a source may have been resumed.
const CHECK_LOOK: Duration = Duration::from_secs(30);

/// Dependencies and settings of a scheduler.
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
    /// Retention of old records.
    pub retention: RetentionSettings,
    /// `events`.
    pub events: EventSettings,
}

/// Runs all periodic tasks. Any number of schedulers may run at once.
pub struct Scheduler {
    parts: SchedulerParts,
    sources: Arc<HashMap<String, SourceSettings>>,
    evaluator: Option<Arc<Evaluator>>,
    targets: Vec<TargetSettings>,
    outlet: Option<Arc<Outlet>>,
    checker: Option<(Arc<dyn SourceChecker>, u32)>,
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
            evaluator: None,
            targets: Vec::new(),
            outlet: None,
            checker: None,
        }
    }

    /// Follows events too, as the rules of the sources (`on`) say, whose expressions this evaluates.
    #[must_use]
    pub fn following_events(mut self, evaluator: Arc<Evaluator>) -> Self {
        self.evaluator = Some(evaluator);
        self
    }

    /// Follows the change feed for these targets too.
    #[must_use]
    pub fn following_targets(mut self, targets: Vec<TargetSettings>) -> Self {
        self.targets = targets;
        self
    }

    /// Also checks sources that have `check` enabled, with limited concurrency.
    #[must_use]
    pub fn checking(mut self, checker: Arc<dyn SourceChecker>, concurrency: u32) -> Self {
        self.checker = Some((checker, concurrency));
        self
    }

    /// Publishes every event and every change there, too.
    #[must_use]
    pub fn publishing(mut self, outlet: Arc<Outlet>) -> Self {
        self.outlet = Some(outlet);
        self
    }

    /// Starts a loop for each task; they run until the runtime's soft stop.
    pub fn start(self, runtime: &Runtime) {
        self.start_woken(runtime);
        self.start_paced(runtime);
    }

    /// Starts the tasks that are triggered by wake-ups.
    fn start_woken(&self, runtime: &Runtime) {
        let SchedulerParts {
            store,
            queue,
            clock,
            settings,
            ..
        } = &self.parts;
        let on_wake = |name, task: Arc<dyn Task>| {
            let woken = Woken {
                task,
                queue: Arc::clone(queue),
                clock: Arc::clone(clock),
            };
            spawn(
                runtime,
                name,
                settings.poll,
                Wake::Queue(queue.wakeups()),
                Arc::new(woken),
            );
        };
        let start = StartCycles {
            store: store.clone(),
            due: store.clone(),
            queue: Arc::clone(queue),
            clock: Arc::clone(clock),
        };
        on_wake("start cycles", Arc::new(start));
        let dispatch = Dispatch {
            store: store.clone(),
            queue: Arc::clone(queue),
            clock: Arc::clone(clock),
            settings: settings.clone(),
        };
        on_wake("dispatch", Arc::new(dispatch));
        let end = EndCycles {
            store: store.clone(),
            queue: Arc::clone(queue),
            clock: Arc::clone(clock),
            sources: Arc::clone(&self.sources),
        };
        on_wake("end cycles", Arc::new(end));
        let sweep = SweepCycles {
            store: store.clone(),
            drifts: store.clone(),
            queue: Arc::clone(queue),
            clock: Arc::clone(clock),
            settings: settings.clone(),
            sources: Arc::clone(&self.sources),
        };
        on_wake("sweep cycles", Arc::new(sweep));
        if let Some(evaluator) = self.rules() {
            let (store, queue, clock) = (Arc::clone(store), Arc::clone(queue), Arc::clone(clock));
            let follow = FollowEvents::new(store, queue, clock, Arc::clone(evaluator), &self.sources);
            on_wake("follow events", Arc::new(follow));
        }
        if !self.targets.is_empty() {
            let (store, queue, clock) = (Arc::clone(store), Arc::clone(queue), Arc::clone(clock));
            let follow = FollowTargets::new(store, queue, clock, self.targets.clone());
            on_wake("follow targets", Arc::new(follow));
        }
        self.start_checks(runtime);
        if let Some(outlet) = &self.outlet {
            self.start_publishing(runtime, outlet);
        }
    }

    /// One loop for each source that is checked, so that a long check delays no other.
    fn start_checks(&self, runtime: &Runtime) {
        let Some((checker, concurrency)) = &self.checker else {
            return;
        };
        let places = usize::try_from(*concurrency).unwrap_or(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        for source in &self.parts.sources {
            let Some(check) = &source.check else {
                continue;
            };
            let check = CheckSource {
                store: Arc::clone(&self.parts.store),
                clock: Arc::clone(&self.parts.clock),
                name: source.name.clone(),
                check: check.clone(),
                checker: Arc::clone(checker),
                places: Arc::clone(&places),
                stop: runtime.stop(),
            };
            spawn(runtime, "check source", CHECK_LOOK, Wake::Never, Arc::new(check));
        }
    }

    /// Tideline's own events come without a wake-up, so these also poll once a second.
    fn start_publishing(&self, runtime: &Runtime, outlet: &Arc<Outlet>) {
        let SchedulerParts {
            store, queue, clock, ..
        } = &self.parts;
        let (store, clock) = (Arc::clone(store), Arc::clone(clock));
        let events = PublishEvents::new(Arc::clone(&store), Arc::clone(outlet), Arc::clone(&clock));
        let wake = Wake::Queue(queue.wakeups());
        spawn(runtime, "publish events", UNREACHED, wake, Arc::new(events));
        let changes = PublishChanges {
            store,
            outlet: Arc::clone(outlet),
            clock,
        };
        let wake = Wake::Queue(queue.wakeups());
        spawn(runtime, "publish changes", UNREACHED, wake, Arc::new(changes));
    }

    /// What evaluates the rules of sources; none: there are no rules, or no events.
    fn rules(&self) -> Option<&Arc<Evaluator>> {
        let has_rules = self.sources.values().any(|source| !source.on.is_empty());
        self.evaluator.as_ref().filter(|_| has_rules)
    }

    /// Names of the followers of the log of events that run here.
    fn followers(&self) -> Vec<&'static str> {
        let rules = self.rules().map(|_| FollowEvents::NAME);
        let outlet = self.outlet.as_ref().map(|_| PublishEvents::NAME);
        rules.into_iter().chain(outlet).collect()
    }

    /// What has a pace of its own: sources that stand still, the end of the nearest lease, and old tombstones.
    fn start_paced(self, runtime: &Runtime) {
        let followers = self.followers();
        let SchedulerParts {
            store,
            queue,
            clock,
            settings,
            rescue,
            changes_retention,
            retention,
            events,
            ..
        } = self.parts;
        let every = settings.poll;
        let rest = RestSources {
            store: store.clone(),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            sources: self.sources,
        };
        spawn(
            runtime,
            "rest sources",
            REST_EVERY.max(every),
            Wake::Never,
            Arc::new(rest),
        );
        let task = RescueJobs {
            store: store.clone(),
            queue: Arc::clone(&queue),
            clock: Arc::clone(&clock),
            policy: rescue,
            absence: Absence::default(),
        };
        spawn(
            runtime,
            "rescue jobs",
            rescue_jobs::LOOK_EVERY,
            Wake::Never,
            Arc::new(task),
        );
        let history = PruneHistory::new(store.clone(), queue, Arc::clone(&clock), retention);
        spawn(runtime, "prune history", PRUNE_EVERY, Wake::Never, Arc::new(history));
        start_watching(&store, &clock, runtime);
        let audit = PruneAudit {
            store: store.clone(),
            clock: Arc::clone(&clock),
        };
        spawn(runtime, "prune audit", PRUNE_EVERY, Wake::Never, Arc::new(audit));
        let unseen_retention = events.unseen_retention;
        let prune = PruneEvents {
            store: store.clone(),
            clock: Arc::clone(&clock),
            settings: events,
            followers,
        };
        spawn(
            runtime,
            "prune events",
            PRUNE_EVENTS_EVERY,
            Wake::Never,
            Arc::new(prune),
        );
        let prune = PruneChanges {
            store,
            clock,
            retention: changes_retention,
            unseen_retention,
        };
        spawn(runtime, "prune changes", PRUNE_EVERY, Wake::Never, Arc::new(prune));
    }
}

/// Starts the tasks for people's views: statistics per minute, and earlier states of entities.
fn start_watching(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, runtime: &Runtime) {
    let versions = PruneVersions {
        store: store.clone(),
        clock: Arc::clone(clock),
    };
    spawn(runtime, "prune versions", PRUNE_EVERY, Wake::Never, Arc::new(versions));
    let samples = TakeSamples {
        store: store.clone(),
        clock: Arc::clone(clock),
    };
    spawn(runtime, "take samples", Sample::EVERY, Wake::Never, Arc::new(samples));
}

/// A task that is triggered by wake-ups, and polls more often while they cannot arrive from all processes.
struct Woken {
    task: Arc<dyn Task>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Task for Woken {
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let pace = self.task.run_once().await?;
        if self.queue.reaches_others() {
            return Ok(pace);
        }
        Ok(match pace {
            Pace::Idle => Pace::After(UNREACHED),
            Pace::Until(moment) if moment.since(self.clock.now()) > UNREACHED => Pace::After(UNREACHED),
            sooner => sooner,
        })
    }
}

fn spawn(runtime: &Runtime, name: &'static str, every: Duration, wake: Wake, task: Arc<dyn Task>) {
    runtime.spawn_loop(name, every, wake, move || {
        let task = Arc::clone(&task);
        async move { Ok(task.run_once().await?) }
    });
}
