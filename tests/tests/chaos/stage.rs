use std::time::Duration;

use anyhow::Result;
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_tests::fleet::Fleet;
use tideline_tests::hostile::{ChangeRates, FaultRates, HostileConfig, HostileServer, HostileYaml, Paging, Shape};
use tideline_tests::ledger::Ledger;
use tideline_tests::oracle::FeedFollower;
use tideline_tests::proxy::{Mode, Proxy};
use tideline_tests::servers::{Nats, Postgres, own_nats, own_postgres};

/// All that takes part: a hostile source, both servers with a proxy in front of each, and the fleet.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) server: HostileServer,
    pub(crate) to_postgres: Proxy,
    pub(crate) to_nats: Proxy,
    pub(crate) postgres: Postgres,
    pub(crate) nats: Nats,
    /// The test's own way to the store, without a proxy.
    pub(crate) store: PostgresStore,
    pub(crate) follower: FeedFollower,
    pub(crate) ledger: Ledger,
}

impl Stage {
    /// Three workers, two schedulers, one producer; 20,000 entities in 200 partitions. `None`: there are no servers.
    pub(crate) async fn build(test: &str, seed: u64) -> Result<Option<Self>> {
        let (Some(postgres), Some(nats)) = (own_postgres(test).await?, own_nats(test).await?) else {
            return Ok(None);
        };
        let to_postgres = Proxy::start(postgres.address()).await?;
        let to_nats = Proxy::start(nats.address()).await?;
        let server = HostileServer::start(HostileConfig {
            seed,
            shape: Shape {
                organisations: 10,
                projects: 20,
                components: 100,
            },
            paging: Paging::Cursor,
            faults: FaultRates {
                latency: Duration::from_millis(20),
                too_many: 0.0005,
                internal: 0.01,
                cut: 0.005,
                wrong_json: 0.0002,
                expired: 0.002,
                moved: 0.0,
            },
            changes: ChangeRates {
                add: 1.0,
                modify: 2.0,
                remove: 1.0,
            },
        })
        .await?;
        let yaml = server.yaml(&HostileYaml {
            store: format!("postgres://tideline@{}/postgres?sslmode=disable", to_postgres.address()),
            queue: format!("nats://{}", to_nats.address()),
            page_size: 100,
            rest: "500ms".into(),
            parallel_partitions: 12,
            ..HostileYaml::default()
        });
        let yaml = format!("listen: ${{TIDELINE_LISTEN}}\n{yaml}");
        let ledger = Ledger::begin(&postgres.url()).await?;
        let fleet = Fleet::start(&yaml, &[("producer", 1), ("scheduler", 2), ("worker", 3)])?;
        let store = PostgresStore::connect(&postgres.url(), PostgresOptions::default()).await?;
        Ok(Some(Self {
            fleet,
            server,
            to_postgres,
            to_nats,
            postgres,
            nats,
            store,
            follower: FeedFollower::default(),
            ledger,
        }))
    }

    /// Reads what is new in the change feed.
    pub(crate) async fn follow(&mut self) -> Result<()> {
        self.follower.follow(&self.store, 1_000).await
    }

    /// Everything that is still broken works again.
    pub(crate) fn end_troubles(&mut self) -> Result<()> {
        self.to_postgres.set(Mode::Forward);
        self.to_nats.set(Mode::Forward);
        self.postgres.thaw()?;
        self.nats.thaw()?;
        self.fleet.thaw()?;
        self.fleet.revive().map(drop)
    }
}
