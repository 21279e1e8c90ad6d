//! How cost grows: with the number of entities, and with the number of partitions that they are divided among.

use anyhow::Result;
use tideline_cli::bench::{Paging, Shape, StaticSource};

use crate::figure::{Figure, Goal};
use crate::ingest::{OPTIONS, PAGE, wal_per_entity};
use crate::stage::{CycleRun, Place, SOURCE, Stage};

/// Each divided among this many partitions.
const PARTITIONS: [u32; 4] = [1, 10, 100, 1_000];
/// Entities of the figures by partitions.
const DIVIDED: u32 = 100_000;

/// What one size gave, one value per round.
#[derive(Default)]
struct Size {
    first: Vec<f64>,
    unchanged: Vec<f64>,
    wal: Vec<f64>,
    peak: Vec<f64>,
}

pub(crate) async fn measure(most: u32, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let mut figures = Vec::new();
    for postgres in [true, false] {
        let sizes: Vec<u32> = [100, 10, 1].map(|part| most / part).to_vec();
        let mut results: Vec<Size> = sizes.iter().map(|_| Size::default()).collect();
        for _ in 0..rounds {
            for (n, size) in sizes.iter().zip(&mut results) {
                eprintln!("{n} entities, {}", if postgres { "Postgres" } else { "SQLite" });
                one(&stage, postgres, *n, 1, size).await?;
            }
        }
        figures.extend(by_size(&stage, postgres, &sizes, &results));
    }
    for partitions in PARTITIONS {
        let mut size = Size::default();
        for _ in 0..rounds {
            eprintln!("{DIVIDED} entities in {partitions} partitions");
            one(&stage, true, DIVIDED, partitions, &mut size).await?;
        }
        let figure = |what: &str, values: &[f64], unit: &str| {
            Figure::new(
                format!("{DIVIDED} entities in {partitions} partitions: {what}"),
                u64::from(partitions),
                unit,
                values,
                &stage.versions,
            )
        };
        figures.push(figure("first load", &size.first, "entities/s"));
        figures.push(figure("unchanged", &size.unchanged, "entities/s"));
    }
    Ok(figures)
}

async fn one(stage: &Stage, postgres: bool, n: u32, partitions: u32, size: &mut Size) -> Result<()> {
    let source = StaticSource::start(Shape {
        entities: n,
        partitions,
        page: PAGE,
    })
    .await?;
    let options = format!("{OPTIONS}    parallel_partitions: 4\n");
    let yaml = format!("sources:\n{}", source.yaml(SOURCE, Paging::Cursor, &options));
    let database = if postgres { Some(stage.database().await?) } else { None };
    let store = database
        .as_ref()
        .map_or("sqlite://tideline.db", |database| database.url());
    let place = Place::new(store, "in-process", &yaml).await?;
    let first: CycleRun = place.cycle().await?;
    let unchanged = place.cycle().await?;
    size.first.push(first.rate(n));
    size.unchanged.push(unchanged.rate(n));
    size.wal.push(wal_per_entity(&unchanged, n));
    size.peak.push(first.peak_mib.max(unchanged.peak_mib));
    match database {
        Some(database) => database.remove().await,
        None => Ok(()),
    }
}

fn by_size(stage: &Stage, postgres: bool, sizes: &[u32], results: &[Size]) -> Vec<Figure> {
    let store = if postgres { "Postgres" } else { "SQLite" };
    let mut figures = Vec::new();
    for (n, size) in sizes.iter().zip(results) {
        let figure = |what: &str, values: &[f64], unit: &str| {
            Figure::new(format!("{store}, {what}"), u64::from(*n), unit, values, &stage.versions)
        };
        figures.push(figure("first load", &size.first, "entities/s"));
        figures.push(figure("unchanged", &size.unchanged, "entities/s"));
        if postgres {
            figures.push(figure("unchanged: WAL", &size.wal, "bytes/entity"));
        }
        figures.push(figure("peak memory", &size.peak, "MiB"));
    }
    for (smaller, what, goal) in [(0, "a hundredth", 1.1), (1, "a tenth", 1.1)] {
        if let (Some(large), Some(small)) = (results.last(), results.get(smaller)) {
            let n = sizes.last().copied().unwrap_or_default();
            figures.push(
                Figure::new(
                    format!("{store}, peak memory against {what} of the entities"),
                    u64::from(n),
                    "MiB",
                    &large.peak,
                    &stage.versions,
                )
                .against(what, &large.peak, &small.peak)
                .wanted(Goal::RatioAtMost(goal)),
            );
        }
    }
    figures
}
