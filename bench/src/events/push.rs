//! Pushes: how many events per second reach a subscriber of this machine, acknowledged one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;
use tideline_tests::wait_until;

use super::{LIMIT, Running, append};
use crate::client::Server;
use crate::figure::{Figure, Goal};
use crate::ingest::Values;
use crate::stage::Stage;

const BYTES: usize = 512;
const IN_FLIGHT: u32 = 64;
/// Subscriptions to other topics, for what they cost.
const OTHERS: usize = 50;

const CONFIGURATION: &str = "subscriptions: { allow_http: true, allow_networks: [127.0.0.0/8] }\n";

pub(crate) async fn measure(events: usize, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for (others, name) in [(0, "alone"), (OTHERS, "among others")] {
            values.add(name, one(&stage, events, others).await?);
        }
    }
    let n = events as u64;
    let settings = format!("one process, in_flight {IN_FLIGHT}, {BYTES} bytes, each signed and acknowledged");
    let figure =
        |title: &str, name: &str| Figure::new(title, n, "per s", values.get(name), &stage.versions).with(&settings);
    Ok(vec![
        figure("events pushed to a subscriber", "alone").wanted(Goal::AtLeast(3_000.0)),
        figure("events pushed, with 50 subscriptions to other topics", "among others").against(
            "without them",
            values.get("among others"),
            values.get("alone"),
        ),
    ])
}

/// Pushed events per second.
#[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
async fn one(stage: &Stage, events: usize, others: usize) -> Result<f64> {
    let got = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&got);
    let subscriber = Server::start(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        (204, String::new())
    })
    .await?;
    let running = Running::start(stage, "run", "in-process", CONFIGURATION).await?;
    let store = running.store().await?;
    let mut api = running.connect().await?;
    let url = format!("http://{}/", subscriber.address);
    for number in 0..others {
        let wanted = json!({"topics": ["other"], "push": {"url": url}}).to_string();
        api.ask("PUT", &format!("/v1/subscriptions/other-{number}"), &wanted)
            .await?
            .successful()?;
    }
    let wanted = json!({"topics": ["bench"], "from": "beginning", "push": {"url": url, "in_flight": IN_FLIGHT}});
    // Made only when the events are there, so that the log does not grow while it is measured.
    append(&store, "bench", events, BYTES).await?;
    let began = Instant::now();
    api.ask("PUT", "/v1/subscriptions/bench", &wanted.to_string())
        .await?
        .successful()?;
    let all = wait_until("all events", LIMIT * 4, async || {
        let now = got.load(Ordering::Relaxed);
        ensure!(now >= events, "{now} of {events}");
        Ok(())
    });
    all.await?;
    let seconds = began.elapsed().as_secs_f64();
    running.stop().await?;
    Ok(events as f64 / seconds)
}
