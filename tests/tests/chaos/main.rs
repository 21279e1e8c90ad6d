//! A fleet of real processes on Postgres and NATS, while everything that can break breaks.

mod stage;
mod trouble;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::JobState;
use tideline_store::{JobFilter, JobStore, OperatorStore};
use tideline_tests::hostile::SOURCE;
use tideline_tests::oracle::compare_catalog;
use tideline_tests::{books, seed, wait_until};
use tokio::time::Instant;

use stage::Stage;
use trouble::Trouble;

/// How long things break: `TIDELINE_CHAOS_SECONDS`, else one minute.
fn chaos_time() -> Duration {
    let given = std::env::var("TIDELINE_CHAOS_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(60))
}

/// How soon after the last fault everything must be right again.
const RECOVERY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_survives_every_fault_and_then_has_exactly_what_the_source_has() {
    let test = "a_fleet_survives_every_fault_and_then_has_exactly_what_the_source_has";
    let seed = seed(test);
    let Some(mut stage) = Stage::build(test, seed).await.unwrap() else {
        return;
    };
    if let Err(error) = chaos(&mut stage, seed).await {
        panic!("seed {seed}: {error:#}\n{}", stage.fleet.last_words());
    }
}

async fn chaos(stage: &mut Stage, seed: u64) -> Result<()> {
    wait_until("a first cycle", Duration::from_secs(120), async || {
        let totals = books::totals(&stage.store).await?;
        ensure!(totals.added >= 20_000, "{} entities", totals.added);
        Ok(())
    })
    .await?;
    let mut random = StdRng::seed_from_u64(seed);
    let (started, mut deck, mut made) = (Instant::now(), Vec::new(), 0);
    while started.elapsed() < chaos_time() {
        if deck.is_empty() {
            deck = Trouble::ALL.to_vec();
            deck.shuffle(&mut random);
        }
        let Some(trouble) = deck.pop() else { break };
        stage
            .make(trouble, &mut random)
            .await
            .with_context(|| format!("{trouble:?}"))?;
        made += 1;
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        stage.fleet.revive()?;
        // While Postgres is down there is nothing to follow.
        let _ = stage.follow().await;
    }
    println!("{made} faults in {:?}; {:?}", started.elapsed(), stage.server.counts());
    recover(stage).await
}

async fn recover(stage: &mut Stage) -> Result<()> {
    stage.end_troubles()?;
    stage.server.stop_faults();
    stage.server.stop_changes();
    let expected = stage.server.expected()?;
    let stopped = Instant::now();
    wait_until("the catalog to be the source", RECOVERY, async || {
        stage.fleet.revive()?;
        compare_catalog(&stage.store, SOURCE, &expected).await
    })
    .await?;
    println!(
        "the catalog was the source {:?} after the last fault",
        stopped.elapsed()
    );
    stage.follow().await?;
    stage.follower.compare(SOURCE, &expected)?;
    wait_until("no job to be stuck", RECOVERY, async || no_job_is_stuck(stage).await).await?;
    stage.fleet.drain(Duration::from_secs(30)).await?;
    let totals = books::check(&stage.store, &stage.server).await?;
    stage.ledger.check(&stage.server).await?;
    println!(
        "{} added, {} modified, {} removed",
        totals.added, totals.modified, totals.removed
    );
    ensure!(totals.modified > 0 && totals.removed > 0, "the source did not change");
    Ok(())
}

/// Between two cycles nothing is due, running or parked.
async fn no_job_is_stuck(stage: &Stage) -> Result<()> {
    for state in [JobState::Running, JobState::Parked] {
        let filter = JobFilter {
            state: Some(state),
            limit: 10,
            ..JobFilter::default()
        };
        let jobs = stage.store.list_jobs(&filter).await?;
        ensure!(jobs.is_empty(), "{} jobs are {state:?}", jobs.len());
    }
    let stats = stage.store.stats(SystemClock.now()).await?;
    ensure!(stats.due == 0, "{} jobs are due", stats.due);
    let next = stage.store.next_due(SystemClock.now()).await?;
    ensure!(next.is_some(), "nothing is due ever again");
    Ok(())
}
