//! Cycles of one source over HTTP, each in a process of its own.

use std::collections::BTreeMap;

use anyhow::Result;
use tideline_cli::bench::{Generation, Paging, Shape, StaticSource};

use crate::copy;
use crate::figure::{Figure, Goal};
use crate::stage::{CycleRun, Place, SOURCE, Stage};

/// Items per page of every figure.
pub(crate) const PAGE: u32 = 500;

/// Bursts as long as may be, so that what is measured is the pipeline, and no guard.
pub(crate) const OPTIONS: &str =
    "    burst: { length: 300s, interval: 0s }\n    removals: { reject_above_percent: none, confirm_cycles: 1 }\n";

const SETTINGS: &str = "page 500, 600-byte entities, burst 300 s, one partition, one process";

/// Values by figure, one per round.
#[derive(Default)]
pub(crate) struct Values(BTreeMap<&'static str, Vec<f64>>);

impl Values {
    pub(crate) fn add(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }

    pub(crate) fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

pub(crate) async fn measure(entities: u32, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let source = StaticSource::start(Shape {
        entities,
        partitions: 1,
        page: PAGE,
    })
    .await?;
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}: COPY, Postgres, SQLite");
        let database = stage.database().await?;
        values.add("copy", copy::rate(database.url(), entities).await?);
        database.remove().await?;
        on_postgres(&stage, &source, entities, &mut values).await?;
        shifted(&stage, &source, entities, &mut values).await?;
        on_sqlite(&source, entities, &mut values).await?;
    }
    Ok(figures(&stage, entities, &values))
}

async fn on_postgres(stage: &Stage, source: &StaticSource, n: u32, values: &mut Values) -> Result<()> {
    reset(source);
    let database = stage.database().await?;
    let yaml = format!("sources:\n{}", source.yaml(SOURCE, Paging::Cursor, OPTIONS));
    let place = Place::new(database.url(), "in-process", &yaml).await?;
    let first = place.cycle().await?;
    values.add("first", first.rate(n));
    values.add("first peak", first.peak_mib);
    values.add("first wal", wal_per_entity(&first, n));
    let unchanged = place.cycle().await?;
    values.add("unchanged", unchanged.rate(n));
    values.add("unchanged wal", wal_per_entity(&unchanged, n));
    source.send_validators(true);
    place.cycle().await?;
    values.add("304", place.cycle().await?.rate(n));
    source.send_validators(false);
    let mut generation = Generation {
        number: 1,
        changed_percent: 1,
        ..Generation::default()
    };
    source.show(generation);
    let changed = place.cycle().await?;
    values.add("changed", changed.rate(n));
    values.add("changed wal", wal_per_entity(&changed, n));
    generation.removed = n / 100;
    source.show(generation);
    let swept = place.cycle().await?;
    values.add("swept", swept.rate(n));
    values.add("sweep seconds", swept.sweep_seconds);
    values.add("sweep peak", swept.peak_mib);
    database.remove().await
}

async fn shifted(stage: &Stage, source: &StaticSource, n: u32, values: &mut Values) -> Result<()> {
    reset(source);
    let database = stage.database().await?;
    let yaml = format!("sources:\n{}", source.yaml(SOURCE, Paging::Number, OPTIONS));
    let place = Place::new(database.url(), "in-process", &yaml).await?;
    place.cycle().await?;
    source.show(Generation {
        number: 1,
        shifted: 1,
        ..Generation::default()
    });
    values.add("shifted", place.cycle().await?.rate(n));
    database.remove().await
}

async fn on_sqlite(source: &StaticSource, n: u32, values: &mut Values) -> Result<()> {
    reset(source);
    let yaml = format!("sources:\n{}", source.yaml(SOURCE, Paging::Cursor, OPTIONS));
    let place = Place::new("sqlite://tideline.db", "in-process", &yaml).await?;
    let first = place.cycle().await?;
    values.add("sqlite first", first.rate(n));
    values.add("sqlite peak", first.peak_mib);
    values.add("sqlite unchanged", place.cycle().await?.rate(n));
    source.show(Generation {
        number: 1,
        changed_percent: 1,
        ..Generation::default()
    });
    values.add("sqlite changed", place.cycle().await?.rate(n));
    Ok(())
}

fn reset(source: &StaticSource) {
    source.send_validators(false);
    source.show(Generation::default());
}

#[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
pub(crate) fn wal_per_entity(run: &CycleRun, n: u32) -> f64 {
    run.written.map_or(0.0, |written| written.wal_bytes as f64) / f64::from(n)
}

fn figures(stage: &Stage, n: u32, values: &Values) -> Vec<Figure> {
    let copy = values.get("copy");
    let figure = |title: &str, name: &str, unit: &str| {
        Figure::new(title, u64::from(n), unit, values.get(name), &stage.versions).with(SETTINGS)
    };
    let rate = |title: &str, name: &str, goal: f64| figure(title, name, "entities/s").wanted(Goal::AtLeast(goal));
    vec![
        figure("COPY of the same rows", "copy", "rows/s"),
        rate("first load", "first", 80_000.0),
        figure("first load against COPY", "first", "entities/s")
            .against("COPY", values.get("first"), copy)
            .wanted(Goal::RatioAtLeast(0.35)),
        figure("first load: WAL", "first wal", "bytes/entity"),
        figure("first load: peak memory", "first peak", "MiB").wanted(Goal::AtMost(64.0)),
        rate("unchanged", "unchanged", 200_000.0),
        figure("unchanged: WAL", "unchanged wal", "bytes/entity").wanted(Goal::AtMost(4.0)),
        rate("unchanged, 304 on every page", "304", 1_000_000.0),
        rate("1 % changed, on every page", "changed", 100_000.0),
        figure("1 % changed: WAL", "changed wal", "bytes/entity"),
        rate("all pages shifted by one item", "shifted", 100_000.0),
        figure("1 % removed, on every page", "swept", "entities/s"),
        figure("sweep of 1 %", "sweep seconds", "s").wanted(Goal::AtMost(2.0)),
        figure("sweep of 1 %: peak memory", "sweep peak", "MiB"),
        rate("SQLite: first load", "sqlite first", 80_000.0),
        figure("SQLite: peak memory", "sqlite peak", "MiB"),
        rate("SQLite: unchanged", "sqlite unchanged", 200_000.0),
        figure("SQLite: 1 % changed, on every page", "sqlite changed", "entities/s"),
    ]
}
