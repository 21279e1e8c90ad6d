//! A source of your own, for what no configuration can describe: here one that counts. It is read in bursts, resumed,
//! marked and swept like every other one. Run it: `cargo run -p tideline-cli --example own_source`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tideline_config::hooks::EventSettings;
use tideline_config::settings::{RetentionSettings, SchedulerSettings, SourceSettings, WorkerSettings};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{EntityRef, Validators};
use tideline_queue::{Queue, in_process::InProcessQueue};
use tideline_runtime::Runtime;
use tideline_scheduler::{Scheduler, SchedulerParts};
use tideline_store::{Store, sqlite::SqliteStore};
use tideline_worker::{IngestHandler, Item, Page, PageContent, PageRequest, Source, SourceError, Worker, WorkerParts};

/// Forty components on four pages; the cursor is the next number.
struct Counting;

#[async_trait]
impl Source for Counting {
    async fn read_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let first = request.cursor.and_then(Value::as_u64).unwrap_or(0);
        let items =
            (first..first + 10).map(
                |number| match EntityRef::new("component", "counting", &number.to_string()) {
                    Ok(reference) => Ok(Item::Entity {
                        reference,
                        body: json!({ "number": number }).to_string(),
                    }),
                    Err(error) => Err(SourceError::new(
                        tideline_worker::ErrorClass::Permanent,
                        error.to_string(),
                    )),
                },
            );
        Ok(Page {
            content: PageContent::Items(items.collect::<Result<_, _>>()?),
            next: (first + 10 < 40).then(|| json!(first + 10)),
            children: vec![],
            validators: Validators::default(),
            hold: None,
            failure: None,
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("own_source.db");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let queue: Arc<dyn Queue> = Arc::new(InProcessQueue::default());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&path.to_string_lossy(), "own_source").await?);
    let source = SourceSettings::new("counting");
    store.sync_sources(&[source.spec()], clock.now()).await?;

    let runtime = Runtime::new(Arc::clone(&clock));
    let own: Arc<dyn Source> = Arc::new(Counting);
    let handler = IngestHandler::new(Arc::clone(&store), Arc::clone(&clock), [(source.clone(), own)]);
    let worker = Worker::new(WorkerParts {
        store: Arc::clone(&store),
        queue: Arc::clone(&queue),
        clock: Arc::clone(&clock),
        settings: WorkerSettings::default(),
        handlers: vec![Arc::new(handler)],
    });
    runtime.spawn(worker.run(runtime.stop(), runtime.hard_stop()));
    Scheduler::new(SchedulerParts {
        store: Arc::clone(&store),
        queue,
        clock,
        settings: SchedulerSettings::default(),
        sources: vec![source],
        rescue: RescuePolicy::default(),
        changes_retention: Duration::from_secs(3600),
        retention: RetentionSettings::default(),
        events: EventSettings::default(),
    })
    .start(&runtime);

    let counting = store
        .find_source("counting")
        .await?
        .ok_or_else(|| anyhow::anyhow!("the source is not there"))?;
    loop {
        let cycles = store.list_cycles(counting.id, 1).await?;
        if let Some(cycle) = cycles.first().filter(|cycle| cycle.ended_at.is_some()) {
            println!(
                "cycle {} is {:?}: {} entities added",
                cycle.number, cycle.state, cycle.totals.added
            );
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    runtime.shut_down(Duration::from_secs(10)).await;
    Ok(())
}
