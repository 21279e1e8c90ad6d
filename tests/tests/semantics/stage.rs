//! A worker and a scheduler on a clock that the test moves, reading a source that the test writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tideline_config::settings::SourceSettings;
use tideline_core::clock::{Clock, ManualClock};
use tideline_core::rules::Ladder;
use tideline_core::words::{
    ChildPartition, CycleNumber, CycleRecord, CycleState, EntityRef, JobRecord, SourceRecord, Timestamp, Trigger,
    Validators,
};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{EntityFilter, JobFilter, SourceCommand, Store};
use tideline_tests::embedded::{Embedded, Parts};
use tideline_tests::wait_until;
use tideline_worker::{ErrorClass, Item, Page, PageContent, PageRequest, Source, SourceError};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
const START: Timestamp = Timestamp(1_700_000_000_000);
pub(crate) const NAME: &str = "scripted";

/// The text of an error that is never given: the source does not answer at all.
pub(crate) const NEVER: &str = "never";

/// What a script sees of a request.
pub(crate) struct Asked {
    pub(crate) partition: String,
    pub(crate) cursor: Option<Value>,
    pub(crate) clock: ManualClock,
}

pub(crate) type Answer = Result<Page, SourceError>;
type Script = Box<dyn FnMut(Asked) -> Answer + Send>;

/// A source whose every answer the test writes.
struct Scripted {
    script: Arc<Mutex<Script>>,
    roots: Vec<ChildPartition>,
    clock: ManualClock,
    crowd: Arc<Crowd>,
}

/// How many requests are under way, and how many were at most.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Source for Scripted {
    async fn read_page(&self, request: PageRequest<'_>) -> Answer {
        let asked = Asked {
            partition: request.partition.to_owned(),
            cursor: request.cursor.cloned(),
            clock: self.clock.clone(),
        };
        let now = self.crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.crowd.most.fetch_max(now, Ordering::SeqCst);
        let answer = (self.script.lock())(asked);
        // Others may come meanwhile.
        tokio::task::yield_now().await;
        self.crowd.now.fetch_sub(1, Ordering::SeqCst);
        if matches!(&answer, Err(error) if error.message == NEVER) {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn roots(&self) -> Vec<ChildPartition> {
        self.roots.clone()
    }
}

pub(crate) fn page(names: &[&str], next: Option<u64>) -> Page {
    Page {
        content: PageContent::Items(names.iter().map(|name| item(name)).collect()),
        next: next.map(|next| json!(next)),
        children: vec![],
        validators: Validators::default(),
        hold: None,
        failure: None,
    }
}

pub(crate) fn item(name: &str) -> Item {
    Item::Entity {
        reference: EntityRef::new("component", "default", name).unwrap(),
        body: json!({ "name": name }).to_string(),
    }
}

pub(crate) fn child(key: &str) -> ChildPartition {
    ChildPartition {
        key: key.to_owned(),
        args: json!({}),
    }
}

pub(crate) fn transient() -> SourceError {
    SourceError::new(ErrorClass::Transient { retry_after: None }, "it is not well")
}

/// Running roles with everything a test looks at and turns.
pub(crate) struct Stage {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    script: Arc<Mutex<Script>>,
    crowd: Arc<Crowd>,
    settings: SourceSettings,
    roots: Vec<ChildPartition>,
    roles: Embedded,
    folder: Arc<tempfile::TempDir>,
}

impl Stage {
    /// Starts the roles; the first cycle starts at once. `change` edits the settings: a ladder of 10 s and 20 s, bursts
    /// of 10 s, intervals of 5 s, a rest of 100 s, no guards.
    pub(crate) async fn start(
        change: impl FnOnce(&mut SourceSettings),
        script: impl FnMut(Asked) -> Answer + Send + 'static,
    ) -> Result<Self> {
        Self::start_beside(&[], change, script).await
    }

    /// Like [`Stage::start`]; these partitions are read beside the root partition.
    pub(crate) async fn start_beside(
        roots: &[&str],
        change: impl FnOnce(&mut SourceSettings),
        script: impl FnMut(Asked) -> Answer + Send + 'static,
    ) -> Result<Self> {
        let mut settings = SourceSettings::new(NAME);
        settings.backoff = Ladder::new([10, 20].map(Duration::from_secs).to_vec());
        settings.burst_interval = Duration::from_secs(5);
        settings.rest = Some(Duration::from_secs(100));
        settings.guard.reject_above_percent = None;
        settings.guard.reject_empty = false;
        change(&mut settings);
        let folder = Arc::new(tempfile::tempdir()?);
        let path = folder.path().join("semantics.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&path.to_string_lossy(), "test").await?);
        let clock = ManualClock::new(START);
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let roots = roots.iter().map(|key| child(key)).collect();
        Self::on(store, clock, script, (settings, roots), folder).await
    }

    async fn on(
        store: Arc<dyn Store>,
        clock: ManualClock,
        script: Arc<Mutex<Script>>,
        (settings, roots): (SourceSettings, Vec<ChildPartition>),
        folder: Arc<tempfile::TempDir>,
    ) -> Result<Self> {
        let crowd = Arc::new(Crowd::default());
        let source = Scripted {
            script: Arc::clone(&script),
            roots: roots.clone(),
            clock: clock.clone(),
            crowd: Arc::clone(&crowd),
        };
        let source: (_, Arc<dyn Source>) = (settings.clone(), Arc::new(source));
        let roles = Embedded::of(Parts::on_a_moved_clock(Arc::clone(&store), &clock, source)).await?;
        Ok(Self {
            store,
            clock,
            script,
            crowd,
            settings,
            roots,
            roles,
            folder,
        })
    }

    /// Stops in good order and starts again on the same store.
    pub(crate) async fn restart(self) -> Result<Self> {
        self.roles.stop().await;
        let source = (self.settings, self.roots);
        Self::on(self.store, self.clock, self.script, source, self.folder).await
    }

    /// The same with other settings. Returns when the scheduler has looked at the rests of all sources.
    pub(crate) async fn restart_with(mut self, change: impl FnOnce(&mut SourceSettings)) -> Result<Self> {
        change(&mut self.settings);
        let stage = self.restart().await?;
        wait_until("the scheduler to look at rests", LIMIT, async || -> Result<()> {
            let reports = stage.roles.loops();
            let mut rests = reports.iter().filter(|report| report.name == "rest sources");
            ensure!(rests.any(|report| report.last_success_at.is_some()), "{reports:?}");
            Ok(())
        })
        .await?;
        Ok(stage)
    }

    /// Stops in good order; what is left is the store.
    pub(crate) async fn stop(self) -> Arc<dyn Store> {
        self.roles.stop().await;
        self.store
    }

    /// Answers differently from now on.
    pub(crate) fn rewrite(&self, script: impl FnMut(Asked) -> Answer + Send + 'static) {
        *self.script.lock() = Box::new(script);
    }

    /// The most requests that were under way at one moment since the roles were started.
    pub(crate) fn most_at_once(&self) -> usize {
        self.crowd.most.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// `seconds` after the moment the stage was set.
    pub(crate) fn clock_start(&self, seconds: i64) -> Timestamp {
        Timestamp(START.0 + seconds * 1_000)
    }

    /// Returns when every task of the scheduler that waits for wake-ups has had a look at the store since now.
    pub(crate) async fn scheduler_turns(&self) {
        self.clock.advance(Duration::from_millis(1));
        let now = self.clock.now();
        wait_until("the scheduler to turn", LIMIT, async || -> Result<()> {
            for report in self.roles.loops() {
                let slow = report.name.starts_with("prune ")
                    || ["rescue jobs", "rest sources", "take samples"].contains(&report.name);
                ensure!(
                    slow || report.last_success_at.is_some_and(|at| at >= now),
                    "{} has not",
                    report.name
                );
            }
            Ok(())
        })
        .await
        .expect("the scheduler turns");
    }

    pub(crate) async fn command(&self, command: SourceCommand) -> Result<()> {
        Ok(self.store.command_source(NAME, command, self.clock.now()).await?)
    }

    pub(crate) async fn refresh(&self) -> Result<()> {
        self.command(SourceCommand::Refresh(Trigger::Manual)).await
    }

    pub(crate) async fn source(&self) -> Result<SourceRecord> {
        self.store.find_source(NAME).await?.context("the source is not there")
    }

    /// Waits until cycle `number` is in `state`.
    pub(crate) async fn reaches(&self, number: i64, state: CycleState) -> Result<CycleRecord> {
        let what = format!("cycle {number} to be {state:?}");
        wait_until(&what, LIMIT, async || -> Result<CycleRecord> {
            let cycles = self.store.list_cycles(self.source().await?.id, 100).await?;
            let seen = cycles
                .iter()
                .map(|cycle| (cycle.number.0, cycle.state))
                .collect::<Vec<_>>();
            let found = cycles
                .into_iter()
                .find(|cycle| cycle.number == CycleNumber(number) && cycle.state == state);
            found.with_context(|| format!("there are {seen:?}"))
        })
        .await
    }

    /// Waits until the job with this key looks as wanted.
    pub(crate) async fn job(&self, key: &str, wanted: impl Fn(&JobRecord) -> bool) -> Result<JobRecord> {
        wait_until(&format!("job {key}"), LIMIT, async || -> Result<JobRecord> {
            let job = self
                .jobs()
                .await?
                .into_iter()
                .find(|job| job.key == key)
                .context("there is no such job")?;
            ensure!(wanted(&job), "it is {job:?}");
            Ok(job)
        })
        .await
    }

    pub(crate) async fn jobs(&self) -> Result<Vec<JobRecord>> {
        let filter = JobFilter {
            limit: 1_000,
            ..JobFilter::default()
        };
        Ok(self.store.list_jobs(&filter).await?)
    }

    /// Names of the live entities.
    pub(crate) async fn names(&self) -> Result<Vec<String>> {
        let filter = EntityFilter {
            limit: 1_000,
            ..EntityFilter::default()
        };
        let entities = self.store.list_entities(&filter).await?;
        Ok(entities
            .iter()
            .map(|entity| {
                entity
                    .reference
                    .as_str()
                    .trim_start_matches("component:default/")
                    .to_owned()
            })
            .collect())
    }
}
