//! Webhooks: how many are acknowledged per second, each of them durable, and how much memory large ones take.

use anyhow::{Result, ensure};
use tideline_cli::bench::percentile;

use super::{Running, SECRET};
use crate::figure::{Figure, Goal};
use crate::ingest::Values;
use crate::send::{Load, Sent, send};
use crate::stage::{Stage, Watched, nats};

const BYTES: usize = 2_048;
/// GitHub's limit.
const LARGE: usize = 25_000_000;
const LARGE_REQUESTS: usize = 64;
const LARGE_CONNECTIONS: usize = 16;

fn configuration() -> String {
    format!("hooks:\n  - {{ name: github, provider: github, secret: {SECRET} }}\n")
}

pub(crate) async fn measure(requests: usize, connections: usize, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let nats = nats().await?;
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        let running = Running::start(&stage, "producer", &nats.url(), &configuration()).await?;
        // Connections, prepared statements and the allocator are warm in a producer that has run for a minute.
        one(&running, requests / 10, connections, BYTES).await?;
        let sent = one(&running, requests, connections, BYTES).await?;
        values.add("rate", sent.rate());
        values.add("p50", percentile(&sent.latencies_ms, 50));
        values.add("p99", percentile(&sent.latencies_ms, 99));
        running.stop().await?;

        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}/t.db", folder.path().display());
        let running = Running::start_on(&url, None, "run", "in-process", &configuration()).await?;
        one(&running, requests / 10, connections, BYTES).await?;
        let sent = one(&running, requests, connections, BYTES).await?;
        values.add("sqlite rate", sent.rate());
        values.add("sqlite p99", percentile(&sent.latencies_ms, 99));
        running.stop().await?;

        let running = Running::start(&stage, "producer", &nats.url(), &configuration()).await?;
        one(&running, LARGE_REQUESTS, LARGE_CONNECTIONS, LARGE).await?;
        let mut watched = Watched::default();
        watched.look(running.process.id());
        values.add("memory", watched.peak_kib / 1_024.0);
        running.stop().await?;
    }
    let n = requests as u64;
    let settings =
        format!("{connections} connections, {BYTES} bytes, signed as GitHub's, fsync and synchronous_commit on");
    let figure = |title: &str, name: &str, unit: &str| {
        Figure::new(title, n, unit, values.get(name), &stage.versions).with(&settings)
    };
    Ok(vec![
        figure("webhooks acknowledged durably, Postgres", "rate", "per s").wanted(Goal::AtLeast(8_000.0)),
        figure("webhooks, Postgres: p50", "p50", "ms"),
        figure("webhooks, Postgres: p99", "p99", "ms").wanted(Goal::AtMost(50.0)),
        figure("webhooks acknowledged durably, SQLite", "sqlite rate", "per s"),
        figure("webhooks, SQLite: p99", "sqlite p99", "ms"),
        Figure::new(
            "webhooks of 25 MB: peak memory of the producer",
            LARGE_REQUESTS as u64,
            "MiB",
            values.get("memory"),
            &stage.versions,
        )
        .with("16 connections")
        .wanted(Goal::AtMost(128.0)),
    ])
}

/// Sends some, and sees to it that each of them is in the log, once.
async fn one(running: &Running, requests: usize, connections: usize, bytes: usize) -> Result<Sent> {
    let store = running.store().await?;
    let before = store.event_bounds().await?.last;
    let load = Load {
        url: format!("http://{}/hooks/github", running.address).parse()?,
        connections,
        requests,
        bytes,
        secret: SECRET.to_owned(),
        headers: vec![],
    };
    let sent = send(&load).await?;
    let stored = store.event_bounds().await?.last.0 - before.0;
    ensure!(
        usize::try_from(stored).is_ok_and(|stored| stored == sent.latencies_ms.len()),
        "{} webhooks were acknowledged and {stored} are in the log",
        sent.latencies_ms.len()
    );
    Ok(sent)
}
