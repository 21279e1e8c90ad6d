//! What a collector sees of the bursts of a partition. In a separate process, since there is one subscriber per
//! process.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use opentelemetry::trace::{Link, SpanContext, SpanId, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use parking_lot::Mutex;
use serde_json::json;
use tideline_config::settings::SourceSettings;
use tideline_core::clock::{Clock, ManualClock};
use tideline_core::words::{CycleState, JobRecord, JobState, Timestamp, Validators};
use tideline_queue::Queue;
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::telemetry::context;
use tideline_scheduler::{StartCycles, Task};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{JobFilter, Store};
use tideline_tests::embedded::{Embedded, Parts};
use tideline_tests::wait_until;
use tideline_worker::{ErrorClass, Page, PageContent, PageRequest, Source, SourceError};
use tracing_subscriber::layer::SubscriberExt;

const LIMIT: Duration = Duration::from_secs(20);
const BURST: Duration = Duration::from_secs(10);

/// Keeps ended spans.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().append(&mut batch);
        Ok(())
    }
}

impl Kept {
    /// The spans of this name in the order of their beginning.
    fn named(&self, name: &str) -> Vec<SpanData> {
        let kept = self.0.lock();
        let mut named: Vec<_> = kept.iter().filter(|span| span.name == name).cloned().collect();
        named.sort_by_key(|span| span.start_time);
        named
    }

    fn bursts(&self) -> Vec<SpanData> {
        self.named("process ingest")
    }
}

/// Six pages, each of which takes as long as a burst may. The cursor of the second is no longer known at first, and the
/// fourth cannot be read at first.
struct Slow {
    clock: ManualClock,
    expiries: Mutex<u32>,
    failures: Mutex<u32>,
}

#[async_trait]
impl Source for Slow {
    async fn read_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        let number = request.cursor.and_then(serde_json::Value::as_u64).unwrap_or(0);
        self.clock.advance(BURST);
        if number == 1 && std::mem::take(&mut *self.expiries.lock()) > 0 {
            return Err(SourceError::new(ErrorClass::CursorExpired, "410"));
        }
        if number == 3 && std::mem::take(&mut *self.failures.lock()) > 0 {
            return Err(SourceError::new(ErrorClass::Transient { retry_after: None }, "not now"));
        }
        Ok(Page {
            content: PageContent::Items(vec![]),
            next: (number < 5).then(|| json!(number + 1)),
            children: vec![],
            validators: Validators::default(),
            hold: None,
            failure: None,
        })
    }
}

struct Stage {
    store: Arc<dyn Store>,
    clock: ManualClock,
    settings: SourceSettings,
    roles: Embedded,
}

impl Stage {
    async fn start(store: Arc<dyn Store>, clock: ManualClock, settings: SourceSettings) -> Result<Self> {
        let source = Slow {
            clock: clock.clone(),
            expiries: Mutex::new(1),
            failures: Mutex::new(1),
        };
        let source: (_, Arc<dyn Source>) = (settings.clone(), Arc::new(source));
        let roles = Embedded::of(Parts::on_a_moved_clock(Arc::clone(&store), &clock, source)).await?;
        Ok(Self {
            store,
            clock,
            settings,
            roles,
        })
    }

    /// Waits until the partition waits for another burst, and as many have ended.
    async fn rests_after(&self, bursts: usize, kept: &Kept) -> Result<JobRecord> {
        wait_until(&format!("{bursts} bursts"), LIMIT, async || -> Result<JobRecord> {
            let filter = JobFilter {
                limit: 10,
                ..JobFilter::default()
            };
            let job = self.store.list_jobs(&filter).await?.pop();
            let ended = kept.bursts().len();
            ensure!(ended == bursts, "{ended} ended: {job:?}");
            job.filter(|job| matches!(job.state, JobState::Waiting | JobState::Done))
                .ok_or_else(|| anyhow::anyhow!("it runs"))
        })
        .await
    }
}

fn contexts(links: &[Link]) -> Vec<SpanContext> {
    links.iter().map(|link| link.span_context.clone()).collect()
}

/// What a link to this span must hold.
fn is(link: &SpanContext, span: &SpanData) -> bool {
    (link.trace_id(), link.span_id()) == (span.span_context.trace_id(), span.span_context.span_id())
}

/// Starts the cycle before anybody else looks, since a burst that comes before its trace does has no link to it;
/// answers with the trace of the hint.
async fn start_cycle(store: &Arc<dyn Store>, clock: &ManualClock) -> Result<Option<String>> {
    let queue = Arc::new(InProcessQueue::default());
    let start = StartCycles {
        store: store.clone(),
        due: store.clone(),
        queue: queue.clone(),
        clock: Arc::new(clock.clone()),
    };
    start.run_once().await?;
    let hints = queue.receive(&["ingest".to_owned()], 1).await?;
    Ok(hints[0].hint().trace.clone())
}

/// Each burst is linked to the start of the cycle and to the one before, even if that one started the partition over;
/// after the failed one, to the burst that committed the newest page.
fn assert_links(bursts: &[SpanData], start: &SpanData) {
    for (burst, before) in [
        (0, None),
        (1, Some(0)),
        (2, Some(1)),
        (3, Some(2)),
        (4, Some(3)),
        (5, Some(3)),
        (6, Some(5)),
        (7, Some(6)),
    ] {
        let links = contexts(&bursts[burst].links.links);
        let expected: Vec<_> = [Some(start), before.map(|before| &bursts[before])]
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(links.len(), expected.len(), "burst {burst}");
        for (link, span) in links.iter().zip(expected) {
            assert!(is(link, span), "burst {burst} is not linked to {before:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_a_trace_of_its_own_and_linked_to_the_one_before() -> Result<()> {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("traces.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&path.to_string_lossy(), "test").await?);
    let clock = ManualClock::new(Timestamp(1_700_000_000_000));
    let mut settings = SourceSettings::new("slow");
    settings.burst_length = BURST;
    settings.burst_interval = Duration::from_secs(5);
    store.sync_sources(&[settings.spec()], clock.now()).await?;

    let hinted = start_cycle(&store, &clock).await?;
    let stage = Stage::start(store, clock, settings).await?;
    for bursts in 1..=3 {
        stage.rests_after(bursts, &kept).await?;
        stage.clock.advance(Duration::from_secs(6));
    }
    // A worker of another process goes on.
    stage.rests_after(4, &kept).await?;
    stage.roles.stop().await;
    let stage = Stage::start(stage.store, stage.clock, stage.settings).await?;
    stage.clock.advance(Duration::from_secs(6));
    // The fifth burst fails on its first page: it left nothing that another one could go on from.
    let failed = stage.rests_after(5, &kept).await?;
    assert_eq!(failed.rung, 1);
    for bursts in 6..=8 {
        stage.clock.advance(Duration::from_secs(60));
        stage.rests_after(bursts, &kept).await?;
    }
    let source = stage.store.find_source("slow").await?.unwrap();
    wait_until("the end of the cycle", LIMIT, async || -> Result<()> {
        let cycle = stage.store.list_cycles(source.id, 1).await?.remove(0);
        ensure!(cycle.state == CycleState::Complete, "{cycle:?}");
        Ok(())
    })
    .await?;

    let bursts = kept.bursts();
    for (at, burst) in bursts.iter().enumerate() {
        assert_eq!(burst.parent_span_id, SpanId::INVALID, "burst {at} begins a trace");
        let same = bursts
            .iter()
            .filter(|other| other.span_context.trace_id() == burst.span_context.trace_id())
            .count();
        assert_eq!(same, 1, "burst {at} has its trace for itself");
    }
    // Two requests failed, and the first page was read and committed twice.
    for (name, count) in [("fetch page", 9), ("commit pages", 7)] {
        let steps = kept.named(name);
        assert_eq!(steps.len(), count, "{name}");
        for step in steps {
            let within = |burst: &&SpanData| burst.span_context.span_id() == step.parent_span_id;
            assert!(
                bursts.iter().any(|burst| within(&burst)),
                "{name} is a part of no burst"
            );
        }
    }
    let starts = kept.named("start cycle");
    assert_eq!(starts.len(), 1, "a look that starts nothing leaves no span");
    assert_eq!(starts[0].parent_span_id, SpanId::INVALID);
    assert_eq!(context::format(&starts[0].span_context), hinted);
    assert_links(&bursts, &starts[0]);
    Ok(())
}
