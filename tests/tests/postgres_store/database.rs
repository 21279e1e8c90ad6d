//! A fresh database per case.

use sqlx::{Connection, PgConnection};
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_tests::servers::{self, TestDatabase};

/// An empty database and what is done with it.
pub(crate) struct Database(TestDatabase);

impl Database {
    /// A new, empty one; none if there is no server to test with.
    pub(crate) async fn create() -> Option<Self> {
        servers::database("the Postgres store")
            .await
            .expect("a database")
            .map(Self)
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        self.0.url()
    }

    /// A migrated store on it.
    pub(crate) async fn store(&self) -> PostgresStore {
        let store = self.connect().await;
        store.migrate().await.expect("the schema can be made");
        store
    }

    /// A store on it as it is.
    pub(crate) async fn connect(&self) -> PostgresStore {
        let options = PostgresOptions {
            pool_size: 8,
            ..PostgresOptions::default()
        };
        PostgresStore::connect(self.url(), options)
            .await
            .expect("the database can be reached")
    }

    /// Another connection to it, to look behind the store.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(self.url())
            .await
            .expect("the database can be reached")
    }
}
