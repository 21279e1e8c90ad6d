//! Many small partitions, as an organization with thousands of repositories is: each is one page, and most of them are
//! as they were.

use anyhow::Result;
use tideline_cli::bench::{Paging, Shape, StaticSource};

use crate::figure::{Figure, Goal};
use crate::ingest::{OPTIONS, PAGE, Values};
use crate::stage::{Place, SOURCE, Stage};

/// Entities of each small partition.
const SMALL: u32 = 10;
/// Entities that are loaded from one partition, and from a thousand.
const DIVIDED: u32 = 100_000;
const SETTINGS: &str = "parallel_partitions 4, one page each, one process";

pub(crate) async fn measure(partitions: u32, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let many = source(partitions * SMALL, partitions).await?;
    many.send_validators(true);
    let (one, divided) = (source(DIVIDED, 1).await?, source(DIVIDED, DIVIDED / 100).await?);
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}: {partitions} partitions, {DIVIDED} entities in one and in a thousand");
        for (store, first, unchanged) in [
            (Some(stage.database().await?), "first", "unchanged"),
            (None, "SQLite first", "SQLite unchanged"),
        ] {
            let url = store.as_ref().map_or("sqlite://tideline.db", |database| database.url());
            let place = place(url, &many).await?;
            values.add(first, place.cycle().await?.rate(partitions));
            values.add(unchanged, place.cycle().await?.rate(partitions));
            if let Some(database) = store {
                database.remove().await?;
            }
        }
        for (source, name) in [(&one, "in one"), (&divided, "divided")] {
            let database = stage.database().await?;
            let place = place(database.url(), source).await?;
            values.add(name, place.cycle().await?.rate(DIVIDED));
            database.remove().await?;
        }
    }
    let figure = |name: String, n: u32, unit: &str, of: &str| {
        Figure::new(name, u64::from(n), unit, values.get(of), &stage.versions).with(SETTINGS)
    };
    let small = |what: &str, of: &str| {
        figure(
            format!("{partitions} partitions: {what}"),
            partitions,
            "partitions/s",
            of,
        )
    };
    Ok(vec![
        small("first load of ten entities each, Postgres", "first"),
        small("304 on each, Postgres", "unchanged").wanted(Goal::AtLeast(3_000.0)),
        small("first load of ten entities each, SQLite", "SQLite first"),
        small("304 on each, SQLite", "SQLite unchanged").wanted(Goal::AtLeast(10_000.0)),
        figure(
            format!(
                "{DIVIDED} entities in {} partitions: first load, Postgres",
                DIVIDED / 100
            ),
            DIVIDED,
            "entities/s",
            "divided",
        )
        .against("one partition", values.get("divided"), values.get("in one"))
        .wanted(Goal::RatioAtLeast(0.6)),
    ])
}

async fn source(entities: u32, partitions: u32) -> Result<StaticSource> {
    StaticSource::start(Shape {
        entities,
        partitions,
        page: PAGE,
    })
    .await
}

async fn place(store: &str, source: &StaticSource) -> Result<Place> {
    let options = format!("{OPTIONS}    parallel_partitions: 4\n");
    let yaml = format!("sources:\n{}", source.yaml(SOURCE, Paging::Cursor, &options));
    Place::new(store, "in-process", &yaml).await
}
