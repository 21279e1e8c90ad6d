use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_tests::fleet::Fleet;
use tideline_tests::hostile::{
    ChangeRates, FaultRates, HostileConfig, HostileServer, HostileYaml, Paging, SOURCE, Shape,
};
use tideline_tests::ledger::Ledger;
use tideline_tests::oracle::{FeedFollower, compare_catalog};
use tideline_tests::proxy::{Mode, Proxy};
use tideline_tests::servers::{Nats, Postgres, own_nats, own_postgres};
use tideline_tests::{books, wait_until};
use tokio::time::Instant;

/// Maximum wait for anything that should take a moment; the machine may be busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// What changes when a test says so.
const CHANGES: ChangeRates = ChangeRates {
    add: 3.0,
    modify: 6.0,
    remove: 3.0,
};

/// What a test wants of its stage.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) workers: usize,
    pub(crate) faults: FaultRates,
    /// The source changes by itself with each cycle.
    pub(crate) changes: bool,
    /// How NATS can be reached when the fleet starts.
    pub(crate) nats: Mode,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            workers: 2,
            faults: FaultRates::default(),
            changes: false,
            nats: Mode::Forward,
        }
    }
}

impl Wanted {
    /// A source that changes by itself.
    pub(crate) fn changing() -> Self {
        Self {
            changes: true,
            ..Self::default()
        }
    }
}

/// A source of about 1,600 entities in 45 partitions, both servers behind proxies, and a fleet: one producer, two
/// schedulers, some workers.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) source: HostileServer,
    pub(crate) to_postgres: Proxy,
    pub(crate) to_nats: Proxy,
    pub(crate) postgres: Postgres,
    pub(crate) nats: Nats,
    pub(crate) store: PostgresStore,
    pub(crate) ledger: Ledger,
}

impl Stage {
    /// `None`: there are no servers, and one line said so.
    pub(crate) async fn build(test: &str, wanted: Wanted) -> Result<Option<Self>> {
        let (Some(postgres), Some(nats)) = (own_postgres(test).await?, own_nats(test).await?) else {
            return Ok(None);
        };
        let (to_postgres, to_nats) = (
            Proxy::start(postgres.address()).await?,
            Proxy::start(nats.address()).await?,
        );
        to_nats.set(wanted.nats);
        let source = HostileServer::start(HostileConfig {
            seed: tideline_tests::seed(test),
            shape: Shape {
                organisations: 4,
                projects: 10,
                components: 40,
            },
            paging: Paging::Cursor,
            faults: wanted.faults,
            changes: if wanted.changes {
                CHANGES
            } else {
                ChangeRates::default()
            },
        })
        .await?;
        let yaml = source.yaml(&HostileYaml {
            store: format!("postgres://tideline@{}/postgres?sslmode=disable", to_postgres.address()),
            queue: format!("nats://{}", to_nats.address()),
            rest: "300ms".into(),
            parallel_partitions: 8,
            ..HostileYaml::default()
        });
        let ledger = Ledger::begin(&postgres.url()).await?;
        let store = PostgresStore::connect(&postgres.url(), PostgresOptions::default()).await?;
        let yaml = format!("listen: ${{TIDELINE_LISTEN}}\n{yaml}");
        let fleet = Fleet::start(&yaml, &[("producer", 1), ("scheduler", 2), ("worker", wanted.workers)])?;
        Ok(Some(Self {
            fleet,
            source,
            to_postgres,
            to_nats,
            postgres,
            nats,
            store,
            ledger,
        }))
    }

    /// Waits until the catalog is the source.
    pub(crate) async fn catches_up(&self, what: &str) -> Result<()> {
        let expected = self.source.expected()?;
        wait_until(&format!("the catalog to be the source ({what})"), LIMIT, async || {
            compare_catalog(&self.store, SOURCE, &expected).await
        })
        .await
    }

    /// The source changes now.
    pub(crate) fn change(&self) {
        self.source.with_model(|model| model.change(CHANGES));
    }

    /// The course of every fault: the source changes, `break_it` breaks something and observes what happens meanwhile,
    /// `mend` repairs it, or waits until the fleet has, and then the catalog follows the change. No process crashes.
    pub(crate) async fn outlives(
        &mut self,
        fault: &str,
        break_it: impl AsyncFnOnce(&mut Self) -> Result<()>,
        mend: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.change();
        break_it(self).await.with_context(|| format!("while {fault}"))?;
        self.all_run()?;
        let began = Instant::now();
        mend(self).await.with_context(|| format!("after {fault}"))?;
        println!("{fault}: over after {:?}", began.elapsed());
        self.catches_up(&format!("after {fault}")).await?;
        self.all_run()
    }

    /// All processes are still running: none crashed.
    pub(crate) fn all_run(&mut self) -> Result<()> {
        for at in 0..self.fleet.len() {
            let name = self.fleet.name(at).to_owned();
            self.fleet.process(at).check_runs().context(name)?;
        }
        Ok(())
    }

    /// The end of each of these tests: no more faults, the catalog is the source, all drain, and both books balance.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.to_postgres.set(Mode::Forward);
        self.to_nats.set(Mode::Forward);
        self.source.stop_faults();
        self.source.stop_changes();
        self.catches_up("at last").await?;
        let expected = self.source.expected()?;
        let mut feed = FeedFollower::default();
        feed.follow(&self.store, 500).await?;
        feed.compare(SOURCE, &expected)?;
        self.fleet.drain(Duration::from_secs(40)).await?;
        books::check(&self.store, &self.source).await?;
        self.ledger.check(&self.source).await?;
        ensure!(self.ledger.pages().await? > 0, "no page was counted");
        Ok(())
    }
}

/// Runs a test on a stage; a failure shows the last lines of every process.
pub(crate) async fn on_stage<F>(test: &str, wanted: Wanted, act: F)
where
    F: AsyncFnOnce(&mut Stage) -> Result<()>,
{
    let Some(mut stage) = Stage::build(test, wanted).await.unwrap() else {
        return;
    };
    let ended = match act(&mut stage).await {
        Ok(()) => stage.finish().await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        panic!("{error:#}\n{}", stage.fleet.last_words());
    }
}
