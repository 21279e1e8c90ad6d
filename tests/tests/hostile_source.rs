//! The whole way: the `http` source against a source that misbehaves, embedded and as a fleet.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tideline_core::words::NatsAddress;
use tideline_queue::Queue;
use tideline_queue::in_process::InProcessQueue;
use tideline_queue::jetstream::JetStreamQueue;
use tideline_store::Store;
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_store::sqlite::SqliteStore;
use tideline_tests::embedded::Embedded;
use tideline_tests::hostile::{
    ChangeRates, Counts, FaultRates, HostileConfig, HostileServer, HostileYaml, Paging, SOURCE, Shape,
};
use tideline_tests::oracle::{FeedFollower, compare_catalog};
use tideline_tests::servers::{TestDatabase, database, nats};
use tideline_tests::{books, seed, wait_until};

const LIMIT: Duration = Duration::from_secs(120);

const CHANGES: ChangeRates = ChangeRates {
    add: 2.0,
    modify: 4.0,
    remove: 2.0,
};

/// One process on a SQLite file.
async fn survive_embedded(seed: u64, paging: Paging) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}", folder.path().join("tideline.db").display());
    let store = Arc::new(SqliteStore::open(&url).await?);
    survive(store, vec![Arc::new(InProcessQueue::new(1_000))], seed, paging, 8).await
}

/// Two workers and two schedulers, with connections of their own to NATS.
async fn survive_as_fleet(database: &TestDatabase, nats: &str, seed: u64) -> Result<()> {
    let store = PostgresStore::connect(database.url(), PostgresOptions::default()).await?;
    store.migrate().await?;
    let address = NatsAddress::parse(nats)?;
    let mut queues: Vec<Arc<dyn Queue>> = Vec::new();
    for _ in 0..2 {
        queues.push(Arc::new(JetStreamQueue::open(&address).await?));
    }
    survive(Arc::new(store), queues, seed, Paging::Cursor, 5).await
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
            components: 20,
        },
        paging,
        faults: if paging.drifts() { drift } else { FaultRates::nasty() },
        changes: CHANGES,
    }
}

/// Lets faults happen for `cycles` cycles; then they stop, and catalog and feed must become what the source has. One
/// set of roles for each queue.
async fn survive(
    store: Arc<dyn Store>,
    queues: Vec<Arc<dyn Queue>>,
    seed: u64,
    paging: Paging,
    cycles: u64,
) -> Result<()> {
    let server = HostileServer::start(hostile(seed, paging)).await?;
    let settings = HostileYaml {
        confirm_cycles: if paging.drifts() { 2 } else { 1 },
        ..HostileYaml::default()
    };
    let settings = tideline_config::parse(&server.yaml(&settings), Path::new("hostile.yaml"), &|_| None)?;
    let mut running = Vec::new();
    for queue in queues {
        running.push(Embedded::start(&settings, Arc::clone(&store), queue).await?);
    }
    let mut follower = FeedFollower::default();
    let waited = wait_until("cycles with faults", LIMIT, async || {
        follower.follow(store.as_ref(), 100).await?;
        let seen = Counts::of(&server.counts().cycles);
        ensure!(seen > cycles, "{seen} cycles");
        Ok(())
    })
    .await;
    if let Err(error) = waited {
        bail!("{error:#}\n{}", books::describe(store.as_ref()).await);
    }
    server.stop_faults();
    server.stop_changes();
    let expected = server.expected()?;
    wait_until("the catalog to be the source", LIMIT, async || {
        compare_catalog(store.as_ref(), SOURCE, &expected).await
    })
    .await?;
    for roles in running {
        roles.stop().await;
    }
    follower.follow(store.as_ref(), 100).await?;
    follower.compare(SOURCE, &expected)?;
    if paging.drifts() {
        // A moving item may be missed in as many cycles as it takes to confirm that it is gone, so no more can be said.
        return Ok(());
    }
    let totals = books::check(store.as_ref(), &server).await?;
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
    let all = Paging::ALL.map(|paging| async move {
        survive_embedded(seed, paging)
            .await
            .with_context(|| format!("{paging:?}"))
    });
    if let Err(error) = futures::future::try_join_all(all).await {
        panic!("seed {seed}: {error:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_faults_stop_the_catalog_is_the_source_on_postgres_and_jetstream() {
    let test = "after_the_faults_stop_the_catalog_is_the_source_on_postgres_and_jetstream";
    let seed = seed(test);
    let (Some(database), Some((nats, _server))) = (database(test).await.unwrap(), nats(test).await.unwrap()) else {
        return;
    };
    if let Err(error) = survive_as_fleet(&database, &nats, seed).await {
        println!(
            "{}",
            database
                .server()
                .map_or(String::new(), |server| server.complaints("deadlock"))
        );
        panic!("seed {seed}: {error:#}");
    }
    database.remove().await.unwrap();
}
