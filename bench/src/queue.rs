//! No-op jobs through producer, queue, worker and settlement, on Postgres with JetStream and without, against peers.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tideline_cli::bench::{Jobs, Meter, percentile};
use tideline_runtime::backends::{Mode, open_queue, open_store};
use tideline_tests::servers::TestDatabase;

use crate::figure::{Figure, Goal};
use crate::ingest::Values;
use crate::stage::{Place, Stage, nats};

const SAMPLES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(10);
const SETTINGS: &str = "one worker, concurrency 5,000, every claim leased, every settlement fenced";

#[derive(Deserialize)]
struct PeerBurnDown {
    seconds: f64,
    wal_bytes: f64,
}

#[derive(Deserialize)]
struct PeerLatency {
    p50_ms: f64,
    p99_ms: f64,
}

pub(crate) async fn measure(jobs: u32, peers: Option<&Path>, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let nats = nats().await?;
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        ours(&stage, &nats.url(), jobs, "", &mut values).await?;
        if let Some(program) = peers {
            for (peer, name, wal) in [
                ("graphile-worker", "graphile", "graphile wal"),
                ("awa", "awa", "awa wal"),
            ] {
                let database = stage.database().await?;
                let args = [peer, "burn-down", "--url", database.url(), "--jobs", &jobs.to_string()];
                let burnt: PeerBurnDown = ask(program, &args).await?;
                values.add(name, f64::from(jobs) / burnt.seconds);
                values.add(wal, burnt.wal_bytes / f64::from(jobs));
                database.remove().await?;
            }
            let database = stage.database().await?;
            let (samples, pause) = (SAMPLES.to_string(), PAUSE.as_millis().to_string());
            let url = database.url();
            let args = [
                "graphile-worker",
                "latency",
                "--url",
                url,
                "--samples",
                &samples,
                "--pause",
                &pause,
            ];
            let latency: PeerLatency = ask(program, &args).await?;
            values.add("graphile p50", latency.p50_ms);
            values.add("graphile p99", latency.p99_ms);
            database.remove().await?;
        }
        // An address where nothing listens: claims come from the store alone.
        ours(&stage, "nats://127.0.0.1:9", jobs, "without NATS", &mut values).await?;
    }
    Ok(figures(&stage, jobs, peers.is_some(), &values))
}

async fn ours(stage: &Stage, queue: &str, count: u32, which: &'static str, values: &mut Values) -> Result<()> {
    let with_nats = which.is_empty();
    let (database, place, jobs) = empty(stage, queue).await?;
    let meter = Meter::new(database.url());
    let mut before = None;
    let burnt = jobs
        .burn_down(count, async || {
            before = meter.read().await?;
            Ok(())
        })
        .await?;
    let written = meter.read().await?.zip(before);
    let rate = f64::from(count) / burnt.seconds;
    values.add(if with_nats { "burn" } else { "burn without" }, rate);
    if let (true, Some((after, before))) = (with_nats, written) {
        let written = after.since(before);
        #[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
        let (wal, commits) = (written.wal_bytes as f64, written.commits as f64);
        values.add("wal", wal / f64::from(count));
        values.add("commits", commits / f64::from(count));
        values.add("enqueue", f64::from(count) / burnt.enqueue_seconds);
    }
    drop((jobs, place));
    database.remove().await?;

    // In a database of their own, as the peers': no row of the burn-down is in the way.
    let (database, place, jobs) = empty(stage, queue).await?;
    let starts = jobs.idle_starts(SAMPLES, PAUSE).await?;
    let names = if with_nats {
        ["p50", "p99"]
    } else {
        ["p50 without", "p99 without"]
    };
    values.add(names[0], percentile(&starts, 50));
    values.add(names[1], percentile(&starts, 99));
    drop((jobs, place));
    database.remove().await
}

/// A fresh database, with our tables in it.
async fn empty(stage: &Stage, queue: &str) -> Result<(TestDatabase, Place, Jobs)> {
    let database = stage.database().await?;
    let place = Place::new(database.url(), queue, "").await?;
    let mode = Mode::Role {
        command: "bench".to_owned(),
    };
    let opened = open_store(place.settings(), &mode).await?;
    let jobs = Jobs {
        store: Arc::clone(&opened.store),
        queue: open_queue(place.settings()).await?,
        clock: Arc::clone(&opened.clock),
    };
    Ok((database, place, jobs))
}

/// Runs a peer; its answer is one line of JSON.
async fn ask<T: serde::de::DeserializeOwned>(program: &Path, args: &[&str]) -> Result<T> {
    let mut command = tokio::process::Command::new(program);
    let output = command.args(args).stderr(Stdio::inherit()).output().await;
    let output = output.with_context(|| format!("run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{} {args:?} ended with {}",
        program.display(),
        output.status
    );
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(text.trim()).with_context(|| format!("the answer of the peer: {text}"))
}

fn figures(stage: &Stage, jobs: u32, with_peers: bool, values: &Values) -> Vec<Figure> {
    let n = u64::from(jobs);
    let figure = |title: &str, name: &str, n: u64, unit: &str| {
        Figure::new(title, n, unit, values.get(name), &stage.versions).with(SETTINGS)
    };
    let samples = u64::from(SAMPLES);
    let mut figures = vec![
        figure("jobs enqueued, in batches", "enqueue", n, "jobs/s"),
        figure("jobs: burn-down", "burn", n, "jobs/s"),
        figure("jobs: WAL", "wal", n, "bytes/job").wanted(Goal::AtMost(1_228.8)),
        figure("jobs: commits", "commits", n, "per job").wanted(Goal::AtMost(0.02)),
        figure("idle start of a job, p50", "p50", samples, "ms").wanted(Goal::AtMost(1.7)),
        figure("idle start of a job, p99", "p99", samples, "ms").wanted(Goal::AtMost(4.0)),
        figure("without NATS: burn-down", "burn without", n, "jobs/s")
            .against("with NATS", values.get("burn without"), values.get("burn"))
            .wanted(Goal::RatioAtLeast(0.5)),
        figure("without NATS: idle start, p99", "p99 without", samples, "ms").wanted(Goal::AtMost(60.0)),
    ];
    if with_peers {
        let against = |title: &str, ours: &str, what: &str, theirs: &str, n: u64, unit: &str, goal: Goal| {
            figure(title, ours, n, unit)
                .against(what, values.get(ours), values.get(theirs))
                .wanted(goal)
        };
        let at_least = Goal::RatioAtLeast;
        let at_most = Goal::RatioAtMost;
        figures.extend([
            against(
                "burn-down against graphile_worker",
                "burn",
                "graphile_worker",
                "graphile",
                n,
                "jobs/s",
                at_least(1.1),
            ),
            against(
                "burn-down against awa",
                "burn",
                "awa",
                "awa",
                n,
                "jobs/s",
                at_least(1.5),
            ),
            against(
                "idle start against graphile_worker, p50",
                "p50",
                "graphile_worker",
                "graphile p50",
                samples,
                "ms",
                at_most(1.0),
            ),
            against(
                "idle start against graphile_worker, p99",
                "p99",
                "graphile_worker",
                "graphile p99",
                samples,
                "ms",
                at_most(1.0),
            ),
            figure("graphile_worker: WAL", "graphile wal", n, "bytes/job"),
            figure("awa: WAL", "awa wal", n, "bytes/job"),
        ]);
    }
    figures
}
