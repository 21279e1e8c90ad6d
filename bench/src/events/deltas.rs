//! Deltas: how many single entities per second are written by 8 workers at once, each in its own transaction.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::{Volatile, canonical_entity, fingerprint, key_hash};
use tideline_core::words::{Delta, DeltaBasis, DeltaChange, DeltaOutcome, Entity, EntityRef, SourceId, SourceSpec};
use tideline_store::Store;

use crate::figure::{Figure, Goal};
use crate::ingest::Values;
use crate::send::body;
use crate::stage::{Place, SOURCE, Stage};

const WORKERS: usize = 8;
const BYTES: usize = 600;

pub(crate) async fn measure(deltas: usize, rounds: u32) -> Result<Vec<Figure>> {
    let stage = Stage::start().await?;
    let mut values = Values::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        let database = stage.database().await?;
        let place = Place::new(database.url(), "in-process", "").await?;
        let store = place.store().await?;
        let spec = SourceSpec {
            name: SOURCE.to_owned(),
            source_type: "http".to_owned(),
            identity: fingerprint(SOURCE.as_bytes()),
            parallel_partitions: 1,
        };
        store.sync_sources(&[spec], SystemClock.now()).await?;
        let source = store.find_source(SOURCE).await?.context("there is no source")?.id;
        values.add("added", write(&store, source, deltas, 1).await?);
        values.add("modified", write(&store, source, deltas, 2).await?);
        drop((store, place));
        database.remove().await?;
    }
    let settings = format!("{WORKERS} workers, {BYTES} bytes, one entity in each transaction");
    let figure = |title: &str, name: &str| {
        let values = values.get(name);
        Figure::new(title, deltas as u64, "per s", values, &stage.versions)
            .with(&settings)
            .wanted(Goal::AtLeast(3_000.0))
    };
    Ok(vec![
        figure("deltas of single entities: added", "added"),
        figure("deltas of single entities: modified", "modified"),
    ])
}

/// Deltas a second.
#[allow(clippy::cast_precision_loss, reason = "a figure needs no more than 52 bits")]
async fn write(store: &Arc<dyn Store>, source: SourceId, deltas: usize, version: usize) -> Result<f64> {
    let all: Vec<Delta> = (0..deltas)
        .map(|number| delta(number, version))
        .collect::<Result<_>>()?;
    let began = Instant::now();
    let workers = (0..WORKERS).map(|worker| {
        let store = Arc::clone(store);
        let own: Vec<Delta> = all.iter().skip(worker).step_by(WORKERS).cloned().collect();
        tokio::spawn(async move {
            for mut delta in own {
                let now = SystemClock.now();
                delta.basis = DeltaBasis::Read(now);
                let outcomes = store.write_deltas(source, &[delta], now).await?;
                let written = matches!(outcomes[..], [DeltaOutcome::Added | DeltaOutcome::Modified]);
                ensure!(written, "not written: {outcomes:?}");
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    let workers: Vec<_> = workers.collect();
    for worker in workers {
        worker.await??;
    }
    Ok(deltas as f64 / began.elapsed().as_secs_f64())
}

fn delta(number: usize, version: usize) -> Result<Delta> {
    let reference = EntityRef::new("component", "default", &format!("c{number}"))?;
    let text = format!(r#"{{"version":{version},"spec":{}}}"#, body(number, BYTES));
    let (body, fingerprint) = canonical_entity(&text, &Volatile::default())?;
    let entity = Entity {
        key_hash: key_hash(&reference),
        reference,
        fingerprint,
        body,
    };
    Ok(Delta {
        change: DeltaChange::Upsert(entity),
        basis: DeltaBasis::Pushed(None),
    })
}
