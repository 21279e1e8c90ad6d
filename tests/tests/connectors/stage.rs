//! The roles at work on SQLite for one source, and what the catalog has of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{EntityRef, EventSequence, NewEvent, REFRESH_KIND, Trigger, Verdict};
use tideline_queue::Queue;
use tideline_queue::in_process::InProcessQueue;
use tideline_store::sqlite::SqliteStore;
use tideline_store::{EntityFilter, EventFilter, JobFilter, SourceCommand, Store};
use tideline_tests::embedded::Embedded;
use tideline_tests::oracle::{Expected, compare_catalog};
use tideline_tests::{books, wait_until};

pub(crate) const SOURCE: &str = "source";
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// Running roles.
pub(crate) struct Stage {
    pub(crate) store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    roles: Embedded,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Starts the roles for a source with these keys besides its name.
    pub(crate) async fn start(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("tideline.db").display());
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&url, "test").await.unwrap());
        Self::start_on(store, folder, keys).await
    }

    /// Stops, and starts with other keys on the same store.
    pub(crate) async fn restart(self, keys: &str) -> Self {
        let Self {
            roles, store, folder, ..
        } = self;
        roles.stop().await;
        Self::start_on(store, folder, keys).await
    }

    async fn start_on(store: Arc<dyn Store>, folder: tempfile::TempDir, keys: &str) -> Self {
        let queue: Arc<dyn Queue> = Arc::new(InProcessQueue::new(1_000));
        let lines: Vec<String> = keys.lines().map(|line| format!("  {line}\n")).collect();
        let yaml = format!("sources:\n- name: {SOURCE}\n{}", lines.concat());
        let settings = tideline_config::parse(&yaml, Path::new("t.yaml"), &|_| None);
        let settings = settings.unwrap_or_else(|errors| panic!("{errors}"));
        let roles = Embedded::start(&settings, Arc::clone(&store), Arc::clone(&queue)).await;
        Self {
            roles: roles.unwrap(),
            store,
            queue,
            folder,
        }
    }

    /// Waits until the catalog is this.
    pub(crate) async fn becomes(&self, expected: &Expected) {
        let waited = wait_until("the catalog to be the source", LIMIT, async || {
            compare_catalog(self.store.as_ref(), SOURCE, expected).await
        });
        if let Err(error) = waited.await {
            panic!("{error:#}\n{}", books::describe(self.store.as_ref()).await);
        }
    }

    /// Waits until the entity is as wanted.
    pub(crate) async fn has(&self, reference: &str, wanted: impl Fn(Option<&Value>) -> bool) {
        let waited = wait_until("the entity to be as wanted", LIMIT, async || {
            let body = self.entity(reference).await?;
            ensure!(wanted(body.as_ref()), "{reference} is {body:?}");
            Ok(())
        });
        if let Err(error) = waited.await {
            panic!("{error:#}\n{}", books::describe(self.store.as_ref()).await);
        }
    }

    pub(crate) async fn entity(&self, reference: &str) -> Result<Option<Value>> {
        let filter = EntityFilter {
            reference: Some(reference.parse::<EntityRef>()?),
            limit: 1,
            ..EntityFilter::default()
        };
        let found = self.store.list_entities(&filter).await?.into_iter().next();
        Ok(found.map(|entity| serde_json::from_str(&entity.body)).transpose()?)
    }

    /// Asks for a cycle and waits until one that began after this is over.
    pub(crate) async fn cycle(&self) {
        let record = self.store.find_source(SOURCE).await.unwrap().unwrap();
        let before = record.cycle.0;
        let refresh = SourceCommand::Refresh(Trigger::Manual);
        self.store
            .command_source(SOURCE, refresh, SystemClock.now())
            .await
            .unwrap();
        self.queue.wake().await;
        self.ended(before + 1).await;
    }

    /// Waits until this cycle is over.
    pub(crate) async fn ended(&self, cycle: i64) {
        let waited = wait_until("a cycle to end", LIMIT, async || {
            let record = self.store.find_source(SOURCE).await?.unwrap();
            ensure!(record.cycle.0 >= cycle && record.cycle_ended_at.is_some(), "{record:?}");
            Ok(())
        });
        waited.await.unwrap();
    }

    /// Waits until a job failed with this in its error.
    pub(crate) async fn failed_with(&self, why: &str) {
        let waited = wait_until("a job to fail", LIMIT, async || {
            let errors = self.job_errors().await?;
            ensure!(errors.iter().any(|error| error.contains(why)), "{errors:?}");
            Ok(())
        });
        waited.await.unwrap();
    }

    async fn job_errors(&self) -> Result<Vec<String>> {
        let jobs = self.store.list_jobs(&JobFilter::default()).await?;
        Ok(jobs.into_iter().filter_map(|job| job.last_error).collect())
    }

    /// Whether the source waits for a person.
    pub(crate) async fn is_blocked(&self) -> bool {
        let source = self.store.find_source(SOURCE).await.unwrap().unwrap();
        source.blocked_reason.is_some()
    }

    /// What is wrong with malformed items.
    pub(crate) async fn malformed(&self) -> Vec<String> {
        let source = self.store.find_source(SOURCE).await.unwrap().unwrap();
        let records = self.store.list_malformed(source.id, 100).await.unwrap();
        records.into_iter().map(|record| record.item.error).collect()
    }

    /// An event, as a hook would store it.
    pub(crate) async fn publish(&self, topic: &str, body: &Value) {
        let event = NewEvent {
            topic: topic.into(),
            key: String::new(),
            delivery: None,
            verdict: Verdict::Published,
            malformed: false,
            headers: vec![],
            body: body.to_string().into_bytes(),
            trace: None,
        };
        self.store.append_events(&[event], SystemClock.now()).await.unwrap();
        self.queue.wake().await;
    }

    /// What is read, or was, because of the events that were published until now.
    pub(crate) async fn refreshes(&self) -> Vec<String> {
        let all = EventFilter::default();
        let events = self.store.list_events_after(EventSequence(0), &all, 1_000).await;
        let last = events.unwrap().events.last().map(|event| event.head.sequence);
        let followed = wait_until("the events to be followed", LIMIT, async || {
            let position = self.store.find_position("refresh").await?;
            ensure!(position >= last, "{position:?} of {last:?}");
            Ok(())
        });
        followed.await.unwrap();
        let filter = JobFilter {
            kind: Some(REFRESH_KIND.to_owned()),
            limit: 1_000,
            ..JobFilter::default()
        };
        let jobs = self.store.list_jobs(&filter).await.unwrap();
        jobs.into_iter().map(|job| job.key).collect()
    }

    /// The newest sequence number of the source's entities.
    pub(crate) async fn last_change(&self) -> Option<i64> {
        let filter = EntityFilter {
            source: Some(SOURCE.to_owned()),
            limit: 1_000,
            ..EntityFilter::default()
        };
        let found = self.store.list_entities(&filter).await.unwrap();
        found.iter().map(|entity| entity.sequence.0).max()
    }

    /// Stops the roles. The folder of the store, which goes when it is dropped.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.roles.stop().await;
        self.folder
    }
}
