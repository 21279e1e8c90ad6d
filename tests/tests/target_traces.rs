//! What a collector sees of a change on its way to a target. In a separate process, since there is one subscriber per
//! process.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::Router;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use parking_lot::Mutex;
use tideline_queue::in_process::InProcessQueue;
use tideline_store::sqlite::SqliteStore;
use tideline_tests::embedded::Embedded;
use tideline_tests::wait_until;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;

const LIMIT: Duration = Duration::from_secs(60);

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
    fn first(&self, name: &str) -> Option<SpanData> {
        self.0.lock().iter().find(|span| span.name == name).cloned()
    }
}

fn is_linked(span: &SpanData, to: &SpanData) -> bool {
    let to = (to.span_context.trace_id(), to.span_context.span_id());
    let links = span.links.links.iter().map(|link| &link.span_context);
    links.into_iter().any(|link| (link.trace_id(), link.span_id()) == to)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_of_a_target_is_linked_to_the_burst_that_wrote_the_change() -> Result<()> {
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/{{name}}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(async || "")).await });
    let folder = tempfile::tempdir()?;
    let catalog = folder.path().join("catalog");
    std::fs::create_dir(&catalog)?;
    std::fs::write(catalog.join("a.yaml"), "kind: Component\nmetadata: { name: a }\n")?;
    let yaml = format!(
        "sources: [{{ name: code, type: files, path: {} }}]\ntargets: [{{ name: search, type: http, url: '{url}' }}]\n",
        catalog.display()
    );
    let settings = tideline_config::parse(&yaml, Path::new("t.yaml"), &|_| None).unwrap();
    let path = folder.path().join("traces.db");
    let store = SqliteStore::open_owned(&path.to_string_lossy(), "test").await?;
    let roles = Embedded::start(&settings, Arc::new(store), Arc::new(InProcessQueue::default())).await?;
    let attempt = wait_until("the attempt", LIMIT, async || {
        let attempt = kept.first("process http-target");
        ensure!(attempt.is_some() && kept.first("process ingest").is_some(), "not yet");
        Ok(attempt)
    });
    let attempt = attempt.await?.unwrap();
    roles.stop().await;
    let (burst, follow) = (
        kept.first("process ingest").unwrap(),
        kept.first("follow search").unwrap(),
    );
    assert!(is_linked(&attempt, &follow), "{attempt:?}");
    assert!(is_linked(&follow, &burst), "{follow:?}");
    Ok(())
}
