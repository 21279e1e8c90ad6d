//! The Postgres store through a PgBouncer that pools transactions: one statement here, the next one on another
//! connection. The suites are those with the hot statements; every statement of the store takes the same way.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::{Arc, OnceLock};

use futures::future::try_join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor};
use tideline_queue::in_process::InProcessQueue;
use tideline_store::Store;
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_tests::embedded::ingest_everything;
use tideline_tests::servers::{self, PgBouncer, TestDatabase};
use url::Url;

/// An empty database, and the way to it.
struct Behind {
    url: Url,
    _bouncer: PgBouncer,
    _database: TestDatabase,
}

impl Behind {
    /// None, with one line that says so, without a PgBouncer or without a Postgres of our own.
    async fn create() -> Option<Self> {
        static LEFT_OUT: OnceLock<()> = OnceLock::new();
        if !PgBouncer::is_here() || std::env::var_os(servers::POSTGRES_URL).is_some() {
            LEFT_OUT.get_or_init(|| {
                println!(
                    "pgbouncer: left out, there is no PgBouncer and Postgres to start (install pgbouncer, postgresql)"
                );
            });
            return None;
        }
        let database = servers::database("pgbouncer").await.unwrap()?;
        let bouncer = PgBouncer::start(&database.url().parse().unwrap()).await.unwrap();
        let mut url = bouncer.url(database.url()).unwrap();
        url.set_query(Some("statement-cache-capacity=0"));
        let behind = Self {
            url,
            _bouncer: bouncer,
            _database: database,
        };
        behind.warm_up().await;
        Some(behind)
    }

    /// Makes PgBouncer open all its connections, between which it chooses from now on.
    async fn warm_up(&self) {
        let options: PgConnectOptions = self.url.as_str().parse().unwrap();
        // PgBouncer knows no such parameter.
        let options = options.extra_float_digits(None);
        let sleeps = (0..PgBouncer::POOL).map(|_| async {
            let mut connection = options.connect().await?;
            connection.execute(sqlx::raw_sql("SELECT pg_sleep(0.03)")).await
        });
        try_join_all(sleeps).await.unwrap();
    }

    async fn store(&self) -> Arc<PostgresStore> {
        let options = PostgresOptions {
            pool_size: 8,
            ..PostgresOptions::default()
        };
        let store = PostgresStore::connect(self.url.as_str(), options).await.unwrap();
        store.migrate().await.unwrap();
        Arc::new(store)
    }
}

async fn open() -> Option<(Behind, Arc<dyn Store>)> {
    let behind = Behind::create().await?;
    let store: Arc<dyn Store> = behind.store().await;
    Some((behind, store))
}

tideline_store::store_conformance_cycles!(open);
tideline_store::store_conformance_feed!(open);
tideline_store::store_conformance_ingest!(open);
tideline_store::store_conformance_jobs!(open);
tideline_store::store_conformance_pages!(open);
tideline_store::store_conformance_settling!(open);
tideline_store::store_conformance_sweep!(open);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_ingested_through_pgbouncer() {
    let Some(behind) = Behind::create().await else { return };
    ingest_everything(behind.store().await, Arc::new(InProcessQueue::default()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_ingested_through_a_pgbouncer_that_keeps_prepared_statements() {
    let Some(mut behind) = Behind::create().await else {
        return;
    };
    if !PgBouncer::keeps_statements() {
        println!("pgbouncer: prepared statements are left out, this one is older than 1.21");
        return;
    }
    behind.url.set_query(None);
    ingest_everything(behind.store().await, Arc::new(InProcessQueue::default()))
        .await
        .unwrap();
}
