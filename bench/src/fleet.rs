//! Processes of a fleet on Postgres and NATS: how reading scales with workers, and what idling costs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection as _, PgConnection};
use tideline_cli::bench::{Paging, Shape, StaticSource};
use tideline_core::words::CycleState;
use tideline_tests::fleet::Fleet;
use tideline_tests::wait_until;

use crate::figure::{Figure, Goal};
use crate::stage::{Place, SOURCE, Stage, nats, seconds};

const PARTITIONS: u32 = 16;
const PAGES: u32 = 12;
const LATENCY: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(600);

pub(crate) async fn scale(rounds: u32) -> Result<Vec<Figure>> {
    const PAGE: u32 = 100;
    let stage = Stage::start().await?;
    let nats = nats().await?;
    let source = StaticSource::start(Shape {
        entities: PARTITIONS * PAGES * PAGE,
        partitions: PARTITIONS,
        page: PAGE,
    })
    .await?;
    source.answer_after(LATENCY);
    let counts = [1, 2, 4, 8];
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); counts.len()];
    for _ in 0..rounds {
        for (workers, times) in counts.into_iter().zip(&mut times) {
            eprintln!("{workers} workers");
            let database = stage.database().await?;
            let more = "    burst: { length: 10s, interval: 0s }\n    parallel_partitions: 16\n";
            let rest = format!(
                "worker: {{ concurrency: 1 }}\nsources:\n{}",
                source.yaml(SOURCE, Paging::Cursor, more)
            );
            let place = Place::new(database.url(), &nats.url(), &rest).await?;
            let yaml = std::fs::read_to_string(place.folder().join("tideline.yaml"))?;
            let mut fleet = Fleet::start(&yaml, &[("worker", workers)])?;
            // So that no start of a process is in the time of the cycle.
            wait_until("the workers", LIMIT, async || {
                let alive = place.store().await?.list_workers().await?.len();
                ensure!(alive == workers, "{alive} workers");
                Ok(())
            })
            .await?;
            let scheduler = Fleet::start(&yaml, &[("scheduler", 1)])?;
            let cycle = wait_until("the cycle", LIMIT, async || {
                let cycle = place.newest().await?.context("none yet")?;
                ensure!(cycle.state == CycleState::Complete, "{:?}", cycle.state);
                anyhow::Ok(cycle)
            })
            .await?;
            times.push(seconds(&cycle));
            drop(scheduler);
            fleet.drain(LIMIT).await?;
            database.remove().await?;
        }
    }
    let n = u64::from(PARTITIONS * PAGES * PAGE);
    let alone = times.first().cloned().unwrap_or_default();
    let figures = counts.into_iter().zip(&times).map(|(workers, times)| {
        #[allow(clippy::cast_precision_loss, reason = "there are at most eight")]
        let linear: Vec<f64> = times.iter().map(|time| 1.0 / (time * workers as f64)).collect();
        let alone: Vec<f64> = alone.iter().map(|time| 1.0 / time).collect();
        Figure::new(
            format!("16 partitions at 100 ms per page, {workers} workers"),
            n,
            "s",
            times,
            &stage.versions,
        )
        .against("linear, from 1 worker", &linear, &alone)
        .wanted(Goal::RatioAtLeast(0.9))
        .with("worker.concurrency 1, parallel_partitions 16, 12 pages per partition, nats-server")
    });
    Ok(figures.collect())
}

pub(crate) async fn idle(watch: u64) -> Result<Vec<Figure>> {
    // The server counts the transactions of its own housekeeping, too.
    let stage = Stage::start_with(&["autovacuum=off"]).await?;
    let nats = nats().await?;
    let database = stage.database().await?;
    let yaml = format!(
        "store: {}\nqueue: {}\nlisten: ${{TIDELINE_LISTEN}}\n",
        database.url(),
        nats.url()
    );
    let mut fleet = Fleet::start(&yaml, &[("producer", 1), ("worker", 4), ("scheduler", 2)])?;
    // Until then connections still prepare their statements.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ids: Vec<u32> = (0..fleet.len()).map(|at| fleet.process(at).id()).collect();
    let mut connection = PgConnection::connect(database.url()).await?;
    let (cpu, statements) = (cpu_seconds(&ids)?, transactions(&mut connection).await?);
    tokio::time::sleep(Duration::from_secs(watch)).await;
    let cpu = cpu_seconds(&ids)? - cpu;
    // The server's statistics are told by its connections, at the latest after ten seconds of silence.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let statements = transactions(&mut connection).await? - statements;
    fleet.drain(LIMIT).await?;
    #[allow(clippy::cast_precision_loss, reason = "seconds of a benchmark")]
    let watched = watch as f64;
    let settings = "1 producer, 4 workers, 2 schedulers, no source";
    Ok(vec![
        Figure::new(
            "idle fleet: processor",
            watch,
            "% of a core",
            &[100.0 * cpu / watched],
            &stage.versions,
        )
        .wanted(Goal::AtMost(0.5))
        .with(settings),
        Figure::new(
            "idle fleet: statements on Postgres",
            watch,
            "per s",
            &[statements / (watched + 1.0)],
            &stage.versions,
        )
        .wanted(Goal::AtMost(5.0))
        .with(settings),
    ])
}

async fn transactions(connection: &mut PgConnection) -> Result<f64> {
    let statement = "SELECT (xact_commit + xact_rollback)::DOUBLE PRECISION FROM pg_stat_database WHERE datname = current_database()";
    let (count,): (f64,) = sqlx::query_as(statement).fetch_one(connection).await?;
    Ok(count)
}

/// User and system time of processes so far (proc(5), stat), at the usual hundred ticks per second.
pub(crate) fn cpu_seconds(ids: &[u32]) -> Result<f64> {
    let mut ticks = 0.0;
    for id in ids {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let fields = stat.rsplit_once(')').context("stat")?.1.split_whitespace();
        ticks += fields
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum::<f64>();
    }
    Ok(ticks / 100.0)
}
