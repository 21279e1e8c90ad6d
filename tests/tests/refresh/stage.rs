//! A source of single items that the test writes, with all roles on SQLite.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tideline_config::settings::{SchedulerSettings, SourceSettings, WorkerSettings};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::{RescuePolicy, canonical_json, fingerprint};
use tideline_core::words::{EntityRef, NewJob, REFRESH_KIND, RefreshRequest, RefreshTarget, Trigger, Validators};
use tideline_queue::in_process::InProcessQueue;
use tideline_queue::{Queue, announce};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{EntityFilter, SourceCommand, Store};
use tideline_tests::embedded::{Embedded, Parts};
use tideline_tests::wait_until;
use tideline_worker::{Item, ItemContent, ItemRequest, Page, PageContent, PageRequest, Source, SourceError};
use tokio::sync::Semaphore;

pub(crate) const NAME: &str = "things";
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What the source has, and what was asked of it.
pub(crate) struct Things {
    pub(crate) items: Mutex<BTreeMap<String, u32>>,
    /// Readings of single items.
    pub(crate) readings: AtomicU32,
    /// A reading of an item takes one, after it has looked.
    pub(crate) gate: Semaphore,
}

impl Default for Things {
    fn default() -> Self {
        Self {
            items: Mutex::default(),
            readings: AtomicU32::new(0),
            gate: Semaphore::new(1_000_000),
        }
    }
}

pub(crate) fn entity(id: &str, value: u32) -> Item {
    Item::Entity {
        reference: reference(id),
        body: json!({ "value": value }).to_string(),
    }
}

pub(crate) fn reference(id: &str) -> EntityRef {
    EntityRef::new("thing", "default", id).unwrap()
}

#[async_trait]
impl Source for Things {
    async fn read_page(&self, _: PageRequest<'_>) -> Result<Page, SourceError> {
        let items = self.items.lock().iter().map(|(id, value)| entity(id, *value)).collect();
        Ok(Page {
            content: PageContent::Items(items),
            next: None,
            children: vec![],
            validators: Validators::default(),
            hold: None,
            failure: None,
        })
    }

    async fn read_item(&self, request: ItemRequest<'_>) -> Result<ItemContent, SourceError> {
        self.readings.fetch_add(1, Ordering::Relaxed);
        let id = request.values["id"].as_str().unwrap().to_owned();
        let found = self.items.lock().get(&id).copied();
        self.gate.acquire().await.unwrap().forget();
        Ok(match found {
            Some(value) => ItemContent::Found(vec![entity(&id, value)]),
            None => ItemContent::Missing {
                reference: Some(reference(&id)),
            },
        })
    }
}

pub(crate) struct Stage {
    pub(crate) things: Arc<Things>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    roles: Embedded,
    folder: Option<tempfile::TempDir>,
}

impl Stage {
    /// The roles at work on SQLite, after a first cycle that found these items.
    pub(crate) async fn start(settings: SourceSettings, items: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let store = Arc::new(SqliteStore::open_owned(&url, "test").await.unwrap());
        let mut stage = Self::on(store, Arc::new(InProcessQueue::default()), settings, items).await;
        stage.folder = Some(folder);
        stage
    }

    /// The same on this store and queue.
    pub(crate) async fn on(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        settings: SourceSettings,
        items: &[&str],
    ) -> Self {
        let things = Arc::new(Things {
            items: Mutex::new(items.iter().map(|id| ((*id).to_owned(), 1)).collect()),
            ..Things::default()
        });
        let source = Arc::clone(&things) as Arc<dyn Source>;
        Self::reading(store, queue, (settings, source), things).await
    }

    /// The same with this source, on SQLite.
    pub(crate) async fn of(settings: SourceSettings, source: Arc<dyn Source>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let store = Arc::new(SqliteStore::open_owned(&url, "test").await.unwrap());
        let queue = Arc::new(InProcessQueue::default());
        let mut stage = Self::reading(store, queue, (settings, source), Arc::default()).await;
        stage.folder = Some(folder);
        stage
    }

    async fn reading(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        source: (SourceSettings, Arc<dyn Source>),
        things: Arc<Things>,
    ) -> Self {
        let roles = Embedded::of(Parts {
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            clock: Arc::new(SystemClock),
            worker: WorkerSettings::default(),
            // Whatever is enqueued is hinted at.
            scheduler: SchedulerSettings {
                resend_after: Duration::from_secs(3_600),
                ..SchedulerSettings::default()
            },
            rescue: RescuePolicy::default(),
            changes_retention: Duration::from_secs(3_600),
            sources: vec![source],
        })
        .await
        .unwrap();
        let stage = Self {
            things,
            store,
            queue,
            roles,
            folder: None,
        };
        stage.complete_cycles(1).await;
        stage
    }

    /// Waits until this many cycles ended.
    pub(crate) async fn complete_cycles(&self, count: i64) {
        let ended = wait_until("a cycle to end", LIMIT, async || {
            let source = self.store.find_source(NAME).await?;
            let source = source.ok_or_else(|| anyhow::anyhow!("no source"))?;
            ensure!(source.cycle.0 >= count && source.cycle_ended_at.is_some(), "{source:?}");
            Ok(())
        });
        ended.await.unwrap();
    }

    /// Asks for a cycle and waits for its end.
    pub(crate) async fn cycle(&self) {
        let before = self.store.find_source(NAME).await.unwrap().unwrap().cycle.0;
        let refresh = SourceCommand::Refresh(Trigger::Manual);
        self.store
            .command_source(NAME, refresh, SystemClock.now())
            .await
            .unwrap();
        self.queue.wake().await;
        self.complete_cycles(before + 1).await;
    }

    /// Asks for an item to be read again.
    pub(crate) async fn ask(&self, id: &str, removed: bool, event: i64) {
        let values: Map<String, Value> = [("id".to_owned(), json!(id))].into_iter().collect();
        let request = RefreshRequest {
            source: NAME.into(),
            target: RefreshTarget::Item {
                resource: None,
                values,
                removed,
            },
            event,
            look_again_ms: None,
        };
        self.enqueue(&request).await;
    }

    pub(crate) async fn enqueue(&self, request: &RefreshRequest) {
        let args = canonical_json(&serde_json::to_string(request).unwrap()).unwrap();
        let now = SystemClock.now();
        let job = NewJob {
            kind: REFRESH_KIND.into(),
            key: request.key(),
            fingerprint: fingerprint(args.as_bytes()),
            args,
            due_at: now,
            trigger: Trigger::Webhook,
            trace: None,
        };
        let jobs = [job];
        let enqueued = self.store.enqueue(&jobs, now).await.unwrap();
        announce(&*self.queue, &jobs, &enqueued, None, now).await;
    }

    pub(crate) fn set(&self, id: &str, value: Option<u32>) {
        let mut items = self.things.items.lock();
        match value {
            Some(value) => items.insert(id.to_owned(), value),
            None => items.remove(id),
        };
    }

    pub(crate) fn readings(&self) -> u32 {
        self.things.readings.load(Ordering::Relaxed)
    }

    /// Waits until the catalog has this of an item.
    pub(crate) async fn has(&self, id: &str, value: Option<u32>) {
        let wanted = value.map(|value| json!({ "value": value }).to_string());
        let found = wait_until("the catalog to have it", LIMIT, async || {
            let body = self.body(id).await;
            ensure!(body == wanted, "{body:?}");
            Ok(())
        });
        found.await.unwrap();
    }

    pub(crate) async fn body(&self, id: &str) -> Option<String> {
        let filter = EntityFilter {
            reference: Some(reference(id)),
            limit: 1,
            ..EntityFilter::default()
        };
        let found = self.store.list_entities(&filter).await.unwrap();
        found.into_iter().next().map(|entity| entity.body)
    }

    pub(crate) async fn stop(self) {
        self.roles.stop().await;
        drop(self.folder);
    }
}
