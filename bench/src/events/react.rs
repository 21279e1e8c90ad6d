//! From a webhook to the change in the feed on an idle fleet: verified, stored, a rule applied, the item read again,
//! committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tideline_cli::bench::percentile;
use tideline_core::words::CycleState;
use tideline_tests::wait_until;

use super::{LIMIT, Running};
use crate::client::Server;
use crate::figure::{Figure, Goal};
use crate::ingest::Values;
use crate::stage::{SOURCE, Stage, nats};

/// Between two samples, so that the fleet is idle.
const PAUSE: Duration = Duration::from_millis(60);

fn configuration(source: &str) -> String {
    format!(
        r#"hooks:
  - {{ name: ci, provider: token, header: X-Token, secret: bench }}
sources:
  - name: {SOURCE}
    type: http
    base_url: http://{source}
    rest: 24h
    resources:
      - name: services
        path: /services
        items: .items
        item: /services/{{id}}
        values: {{ id: .id }}
        entity: {{ kind: component, name: .id }}
    on:
      - topic: ci.*
        refresh: item
        resource: services
        values: {{ id: .body.service }}
"#
    )
}

pub(crate) async fn measure(samples: usize, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let nats = nats().await?;
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for (queue, p50, p99) in [
            (nats.url(), "p50", "p99"),
            ("in-process".to_owned(), "own p50", "own p99"),
        ] {
            let took = one(&stage, &queue, samples).await?;
            values.add(p50, percentile(&took, 50));
            values.add(p99, percentile(&took, 99));
        }
    }
    let figure = |title: &str, name: &str, most: f64| {
        Figure::new(title, samples as u64, "ms", values.get(name), &stage.versions)
            .with("one process with all roles, a source that answers at once, one webhook every 60 ms")
            .wanted(Goal::AtMost(most))
    };
    Ok(vec![
        figure("webhook to change in the feed, NATS: p50", "p50", 15.0),
        figure("webhook to change in the feed, NATS: p99", "p99", 50.0),
        figure("webhook to change in the feed, in-process: p50", "own p50", 15.0),
        figure("webhook to change in the feed, in-process: p99", "own p99", 50.0),
    ])
}

/// Milliseconds of each webhook.
async fn one(stage: &Stage, queue: &str, samples: usize) -> Result<Vec<f64>> {
    // Each reading finds something new.
    let readings = Arc::new(AtomicUsize::new(0));
    let source = Server::start(move |path, _| match path.strip_prefix("/services/") {
        Some(id) => {
            let reading = readings.fetch_add(1, Ordering::Relaxed);
            (200, json!({"id": id, "reading": reading}).to_string())
        }
        None => (200, r#"{"items":[]}"#.to_owned()),
    })
    .await?;
    let running = Running::start(stage, "run", queue, &configuration(&source.address)).await?;
    let cycle = wait_until("the first cycle", LIMIT, async || {
        let cycle = running.place.newest().await?.context("none yet")?;
        ensure!(cycle.state == CycleState::Complete, "{:?}", cycle.state);
        Ok(())
    });
    cycle.await?;
    let (mut hook, mut feed) = (running.connect().await?, running.connect().await?);
    let mut took = Vec::with_capacity(samples);
    let mut after = next(&feed.ask("GET", "/v1/changes?after=0", "").await?.successful()?.json()?)?;
    for sample in 0..samples {
        let body = json!({"type": "done", "service": format!("s{sample}")}).to_string();
        let head = format!(
            "POST /hooks/ci HTTP/1.1\r\nhost: {}\r\nx-token: bench\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            running.address,
            body.len()
        );
        let path = format!("/v1/changes?after={after}&wait=30");
        let began = Instant::now();
        let (stored, seen) = tokio::join!(
            hook.exchange(head.as_bytes(), body.as_bytes()),
            feed.ask("GET", &path, "")
        );
        stored?.successful()?;
        let seen = seen?.successful()?.json()?;
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
        let changes = seen["changes"].as_array().map_or(0, Vec::len);
        ensure!(changes == 1, "{changes} changes of one webhook");
        after = next(&seen)?;
        tokio::time::sleep(PAUSE).await;
    }
    running.stop().await?;
    Ok(took)
}

fn next(feed: &serde_json::Value) -> Result<String> {
    Ok(feed["next"].as_str().context("the feed has no next")?.to_owned())
}
