//! Pulls: how many events per second one or more programs take and acknowledge over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Running, append};
use crate::client::Connection;
use crate::figure::{Figure, Goal};
use crate::ingest::Values;
use crate::stage::Stage;

const BYTES: usize = 256;
const BATCH: u32 = 1_000;
const PULLERS: usize = 2;

pub(crate) async fn measure(events: usize, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        values.add("pull", one(&stage, events).await?);
    }
    let settings = format!("{PULLERS} pullers, batches of {BATCH}, {BYTES} bytes, each batch acknowledged");
    let figure = Figure::new(
        "events pulled and acknowledged",
        events as u64,
        "per s",
        values.get("pull"),
        &stage.versions,
    );
    Ok(vec![figure.with(&settings).wanted(Goal::AtLeast(50_000.0))])
}

#[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
async fn one(stage: &Stage, events: usize) -> Result<f64> {
    let running = Running::start(stage, "run", "in-process", "").await?;
    append(&running.store().await?, "bench", events, BYTES).await?;
    let wanted = r#"{"topics": ["bench"], "from": "beginning", "max_outstanding": 10000}"#;
    let mut api = running.connect().await?;
    api.ask("PUT", "/v1/subscriptions/bench", wanted).await?.successful()?;
    let got = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut pullers = Vec::new();
    for _ in 0..PULLERS {
        let (connection, got) = (running.connect().await?, Arc::clone(&got));
        pullers.push(tokio::spawn(pull(connection, got, events)));
    }
    for puller in pullers {
        puller.await??;
    }
    let seconds = began.elapsed().as_secs_f64();
    running.stop().await?;
    Ok(events as f64 / seconds)
}

async fn pull(mut connection: Connection, got: Arc<AtomicUsize>, events: usize) -> Result<()> {
    let wanted = format!(r#"{{"max": {BATCH}}}"#);
    while got.load(Ordering::Relaxed) < events {
        let reply = connection
            .ask("POST", "/v1/subscriptions/bench/pull", &wanted)
            .await?
            .successful()?;
        let ids = ack_ids(&reply.body)?;
        if ids.is_empty() {
            tokio::task::yield_now().await;
            continue;
        }
        let acks = serde_json::json!({ "ack_ids": ids }).to_string();
        let settled = connection
            .ask("POST", "/v1/subscriptions/bench/ack", &acks)
            .await?
            .successful()?;
        let settled = settled.json()?["settled"].as_u64().unwrap_or_default();
        ensure!(settled == ids.len() as u64, "{settled} of {} were settled", ids.len());
        got.fetch_add(ids.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// Found without building the events, which are not what is measured.
fn ack_ids(body: &[u8]) -> Result<Vec<&str>> {
    const BEFORE: &str = "\"ack_id\":\"";
    let text = std::str::from_utf8(body)?;
    let ids = text.match_indices(BEFORE).filter_map(|(at, _)| {
        let rest = &text[at + BEFORE.len()..];
        rest.split_once('"').map(|(id, _)| id)
    });
    Ok(ids.collect())
}
