//! A scratch store for a benchmark: on the same disk or server as the configured store, and removed afterwards.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::exit::{Code, Failure};

const SCHEMA: &str = "tideline_bench";
const FILE: &str = "tideline-bench.db";

/// A file beside a SQLite store, or a schema of its own on a Postgres.
pub(crate) enum Scratch {
    File(PathBuf),
    Schema { server: String },
}

impl Scratch {
    /// Creates it, for the store with this URL.
    ///
    /// # Errors
    /// The server cannot be reached, does not let this user make a schema, or another benchmark runs there.
    pub(crate) async fn make(store: &str) -> anyhow::Result<Self> {
        if let Some(path) = store.strip_prefix("sqlite://") {
            let path = path.split('?').next().unwrap_or_default();
            let path = Path::new(path).with_file_name(FILE);
            remove_files(&path);
            return Ok(Self::File(path));
        }
        let mut connection = PgConnection::connect(store).await.context("connect to the store")?;
        if let Err(error) = connection
            .execute(AssertSqlSafe(format!("CREATE SCHEMA {SCHEMA}")))
            .await
        {
            let code = error
                .as_database_error()
                .and_then(|error| error.code().map(|code| code.into_owned()));
            return Err(match code.as_deref() {
                Some("42P06") => Failure::new(
                    Code::Refused,
                    format!("a benchmark runs on this database, or one was killed: DROP SCHEMA {SCHEMA} CASCADE"),
                )
                .into(),
                _ => anyhow::Error::from(error).context(format!(
                    "make the schema {SCHEMA}; the user needs the right CREATE on the database"
                )),
            });
        }
        connection.close().await?;
        Ok(Self::Schema {
            server: store.to_owned(),
        })
    }

    /// The URL of a store in it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::Schema { server } => {
                let sign = if server.contains('?') { '&' } else { '?' };
                format!("{server}{sign}options[search_path]={SCHEMA}")
            }
        }
    }

    /// Removes it with all it holds.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        match self {
            Self::File(path) => remove_files(&path),
            Self::Schema { server } => {
                let mut connection = PgConnection::connect(&server).await.context("connect to clean up")?;
                let statement = format!("DROP SCHEMA {SCHEMA} CASCADE");
                connection.execute(AssertSqlSafe(statement)).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }
}

/// A killed benchmark may have left its store behind; nothing uses it now.
fn remove_files(path: &Path) {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
}
