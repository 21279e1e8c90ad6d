//! The whole way in one process: the `rest` source against a source that misbehaves, on SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tideline_shared::config;
use tideline_shared::queue::in_process::InProcessQueue;
use tideline_shared::store::sqlite::SqliteStore;
use tideline_tests::embedded::Embedded;
use tideline_tests::hostile::{
    ChangeRates, Counts, FaultRates, HostileConfig, HostileServer, HostileYaml, Paging, SOURCE, Shape,
};
use tideline_tests::oracle::{FeedFollower, compare_catalog};
use tideline_tests::{books, seed, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

const CHANGES: ChangeRates = ChangeRates {
    add: 2.0,
    modify: 4.0,
    remove: 2.0,
};

async fn open(folder: &Path) -> Result<Arc<SqliteStore>> {
    let path = folder.join("tideline.db");
    Ok(Arc::new(
        SqliteStore::open(&format!("sqlite://{}", path.display())).await?,
    ))
}

fn hostile(seed: u64, paging: Paging) -> HostileConfig {
    let drift = FaultRates {
        moved: 0.02,
        ..FaultRates::nasty()
    };
    HostileConfig {
        seed,
        shape: Shape {
            organisations: 12,
            projects: 3,
            components: 15,
        },
        paging,
        faults: if paging.drifts() { drift } else { FaultRates::nasty() },
        changes: CHANGES,
    }
}

/// Lets faults happen for `cycles` cycles; then they stop, and catalog and feed must become what the source has.
async fn survive(seed: u64, paging: Paging, cycles: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = HostileServer::start(hostile(seed, paging)).await?;
    let settings = HostileYaml {
        confirm_cycles: if paging.drifts() { 2 } else { 1 },
        ..HostileYaml::default()
    };
    let settings = config::parse(&server.yaml(&settings), Path::new("hostile.yaml"), &|_| None)?;
    let store = open(folder.path()).await?;
    let running = Embedded::start(&settings, store.clone(), Arc::new(InProcessQueue::new(1_000))).await?;
    let mut follower = FeedFollower::default();
    wait_until("cycles with faults", LIMIT, async || {
        follower.follow(&*store, 100).await?;
        let seen = Counts::of(&server.counts().cycles);
        ensure!(seen > cycles, "{seen} cycles");
        Ok(())
    })
    .await?;
    server.stop_faults();
    server.stop_changes();
    let expected = server.expected()?;
    wait_until("the catalog to be the source", LIMIT, async || {
        compare_catalog(&*store, SOURCE, &expected).await
    })
    .await?;
    running.stop().await;
    follower.follow(&*store, 100).await?;
    follower.compare(SOURCE, &expected)?;
    if paging.drifts() {
        // A moving item may be missed in as many cycles as it takes to confirm that it is gone, so no more can be said.
        return Ok(());
    }
    let totals = books::check(&*store, &server).await?;
    let counts = server.counts();
    ensure!(
        Counts::of(&counts.faults) > 0 && totals.modified > 0 && totals.removed > 0,
        "{totals:?}, {counts:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_faults_stop_the_catalog_is_the_source_with_every_kind_of_paging() {
    let seed = seed("after_the_faults_stop_the_catalog_is_the_source_with_every_kind_of_paging");
    // Much of the time is waiting for what a Retry-After says, so all kinds wait together.
    let all =
        Paging::ALL.map(|paging| async move { survive(seed, paging, 8).await.with_context(|| format!("{paging:?}")) });
    if let Err(error) = futures::future::try_join_all(all).await {
        panic!("seed {seed}: {error:#}");
    }
}
