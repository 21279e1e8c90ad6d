//! A fresh database per case, dropped afterwards.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tideline_shared::store::postgres::{PostgresOptions, PostgresStore};

static LEFT_OUT: Once = Once::new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database of the server that `TIDELINE_TEST_POSTGRES_URL` names.
pub(crate) struct Database {
    server: String,
    name: String,
    /// Where it is.
    pub(crate) url: String,
}

impl Database {
    /// A new, empty one; none if there is no server to test with.
    pub(crate) async fn create() -> Option<Self> {
        let Ok(server) = std::env::var("TIDELINE_TEST_POSTGRES_URL") else {
            LEFT_OUT.call_once(|| eprintln!("left out: the Postgres store (TIDELINE_TEST_POSTGRES_URL is not set)"));
            return None;
        };
        let name = format!(
            "tideline_test_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let mut url = url::Url::parse(&server).expect("TIDELINE_TEST_POSTGRES_URL is a URL");
        url.set_path(&name);
        let mut connection = PgConnection::connect(&server).await.expect("the test server answers");
        for text in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name}"),
        ] {
            connection
                .execute(AssertSqlSafe(text))
                .await
                .expect("the user may create databases");
        }
        Some(Self {
            server,
            name,
            url: url.to_string(),
        })
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
        PostgresStore::connect(&self.url, options)
            .await
            .expect("the database can be reached")
    }

    /// Another connection to it, to look behind the store.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url)
            .await
            .expect("the database can be reached")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                if let Ok(mut connection) = PgConnection::connect(&server).await {
                    let text = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                    drop(connection.execute(AssertSqlSafe(text)).await);
                }
            });
        });
        drop(dropping.join());
    }
}
