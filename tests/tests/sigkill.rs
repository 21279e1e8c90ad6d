//! The real program, embedded on SQLite, killed with SIGKILL at random moments, again and again.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tideline_store::sqlite::SqliteStore;
use tideline_tests::hostile::SOURCE;
use tideline_tests::hostile::{
    ChangeRates, Counts, FaultRates, HostileConfig, HostileServer, HostileYaml, Paging, Shape,
};
use tideline_tests::oracle::{FeedFollower, compare_catalog};
use tideline_tests::process::Tideline;
use tideline_tests::{books, seed, wait_until};

/// Kills of one lane; two lanes run at the same time.
const KILLS: u64 = 55;
const LIMIT: Duration = Duration::from_secs(60);

/// Opens what a killed process left behind.
async fn open(folder: &Path) -> Result<SqliteStore> {
    let url = format!("sqlite://{}", folder.join("tideline.db").display());
    Ok(SqliteStore::open_existing(&url).await?)
}

/// What was proven between two kills.
#[derive(Default)]
struct Watch {
    follower: FeedFollower,
    in_the_middle: u64,
}

impl Watch {
    /// Looks at a store whose process was killed a moment ago.
    async fn look(&mut self, folder: &Path, server: &HostileServer) -> Result<()> {
        let store = open(folder).await?;
        self.follower.follow(&store, 1_000).await?;
        books::check(&store, server).await?;
        self.in_the_middle += u64::from(books::is_running(&store).await?);
        store.close().await;
        Ok(())
    }
}

fn hostile(seed: u64, paging: Paging) -> HostileConfig {
    HostileConfig {
        seed,
        shape: Shape {
            organisations: 4,
            projects: 4,
            components: 30,
        },
        paging,
        faults: FaultRates {
            latency: Duration::from_millis(4),
            internal: 0.005,
            ..FaultRates::default()
        },
        changes: ChangeRates {
            add: 3.0,
            modify: 6.0,
            remove: 3.0,
        },
    }
}

async fn lane(seed: u64, paging: Paging) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir()?;
    let server = HostileServer::start(hostile(seed, paging)).await?;
    let settings = HostileYaml {
        rest: "20ms".into(),
        burst_length: "1s".into(),
        ..HostileYaml::default()
    };
    std::fs::write(folder.path().join("tideline.yaml"), server.yaml(&settings))?;
    let mut watch = Watch::default();
    for kill in 0..KILLS {
        let mut process = Tideline::start(folder.path(), "run", &["run", "--config", "tideline.yaml"], &[])?;
        // Some die while they start, most in the middle of something.
        tokio::time::sleep(Duration::from_millis(random.random_range(20..1_800))).await;
        process.check_runs().with_context(|| format!("before kill {kill}"))?;
        process.kill().await?;
        if folder.path().join("tideline.db").exists() && kill > 2 {
            watch
                .look(folder.path(), &server)
                .await
                .with_context(|| format!("after kill {kill}"))?;
        }
    }
    server.stop_faults();
    server.stop_changes();
    let expected = server.expected()?;
    let mut process = Tideline::start(folder.path(), "run", &["run", "--config", "tideline.yaml"], &[])?;
    let store = open(folder.path()).await?;
    wait_until("the catalog to be the source", LIMIT, async || {
        process.check_runs()?;
        compare_catalog(&store, SOURCE, &expected).await
    })
    .await?;
    process.kill().await?;
    watch.follower.follow(&store, 1_000).await?;
    watch.follower.compare(SOURCE, &expected)?;
    let totals = books::check(&store, &server).await?;
    println!(
        "{KILLS} kills, {} of them in the middle of a cycle; {} cycles begun; {} added, {} modified, {} removed",
        watch.in_the_middle,
        Counts::of(&server.counts().cycles),
        totals.added,
        totals.modified,
        totals.removed,
    );
    ensure!(
        watch.in_the_middle > KILLS / 4,
        "only {} kills met a running cycle",
        watch.in_the_middle
    );
    ensure!(
        totals.modified > 0 && totals.removed > 0,
        "the source did not change: {totals:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_a_hundred_times_loses_nothing_and_applies_nothing_twice() {
    let seed = seed("a_process_killed_a_hundred_times_loses_nothing_and_applies_nothing_twice");
    let (cursors, links) = tokio::join!(
        lane(seed, Paging::Cursor),
        lane(seed.wrapping_add(1), Paging::LinkHeader)
    );
    cursors.expect("paging by cursor");
    links.expect("paging by Link header");
}
