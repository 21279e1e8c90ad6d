//! `tideline run` on SQLite: how soon it works, what it weighs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tideline_cli::bench::{Paging, Shape, StaticSource};
use tideline_core::words::{CycleState, FeedPosition};
use tideline_tests::process::{Tideline, binary};
use tideline_tests::wait_until;

use crate::figure::{Figure, Goal};
use crate::ingest::OPTIONS;
use crate::stage::{Place, SOURCE, Watched};

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn measure(rounds: u32) -> Result<Vec<Figure>> {
    let versions = concat!("tideline ", env!("CARGO_PKG_VERSION"));
    let source = StaticSource::start(Shape {
        entities: 1_000,
        partitions: 1,
        page: 100,
    })
    .await?;
    let (mut starts, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(5) {
        let yaml = format!("sources:\n{}", source.yaml(SOURCE, Paging::Cursor, OPTIONS));
        let place = Place::new("sqlite://tideline.db", "in-process", &yaml).await?;
        let store = place.store().await?;
        let started = Instant::now();
        let mut process = Tideline::start(place.folder(), "run", &["run"], &[])?;
        let first = loop {
            process.check_runs()?;
            let committed = store.list_changes(FeedPosition::START, 1).await?;
            if !committed.changes.is_empty() {
                break started.elapsed();
            }
            ensure!(started.elapsed() < LIMIT, "no page was committed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        starts.push(first.as_secs_f64() * 1e3);
        wait_until("the cycle", LIMIT, async || {
            let cycle = place.newest().await?.context("none yet")?;
            ensure!(cycle.state == CycleState::Complete, "{:?}", cycle.state);
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut watched = Watched::default();
        watched.look(process.id());
        idle.push(watched.now_kib / 1024.0);
        process.terminate()?;
        process.wait(LIMIT).await?;
    }
    #[allow(clippy::cast_precision_loss, reason = "a program has less than 2^52 bytes")]
    let size = std::fs::metadata(binary()?)?.len() as f64 / (1024.0 * 1024.0);
    Ok(vec![
        Figure::new("embedded: start to first page committed", 1, "ms", &starts, versions).wanted(Goal::AtMost(300.0)),
        Figure::new("embedded: idle memory", 1, "MiB", &idle, versions).wanted(Goal::AtMost(30.0)),
        Figure::new("embedded: size of the program, stripped", 1, "MiB", &[size], versions).wanted(Goal::AtMost(30.0)),
    ])
}
