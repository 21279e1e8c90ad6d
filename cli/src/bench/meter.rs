use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection, Row as _};

/// What a Postgres server has written so far, in all its databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of write-ahead log.
    pub wal_bytes: u64,
    /// Transactions that wrote.
    pub commits: u64,
}

impl Written {
    /// What came since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            wal_bytes: self.wal_bytes.saturating_sub(before.wal_bytes),
            commits: self.commits.saturating_sub(before.commits),
        }
    }
}

/// Reads what a store's server wrote; nothing for SQLite.
pub struct Meter {
    url: Option<String>,
}

impl Meter {
    /// For the store of this URL.
    #[must_use]
    pub fn new(store: &str) -> Self {
        Self {
            url: (!store.starts_with("sqlite:")).then(|| store.to_owned()),
        }
    }

    /// Up to now. Exact at once, unlike the server's own statistics, which its connections report late.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn read(&self) -> anyhow::Result<Option<Written>> {
        let Some(url) = &self.url else { return Ok(None) };
        let mut connection = PgConnection::connect(url).await.context("connect to measure")?;
        let row = sqlx::query(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::BIGINT AS wal, \
             pg_snapshot_xmax(pg_current_snapshot())::TEXT::BIGINT AS transactions",
        )
        .fetch_one(&mut connection)
        .await?;
        let number = |name| u64::try_from(row.get::<i64, _>(name)).unwrap_or_default();
        let written = Written {
            wal_bytes: number("wal"),
            commits: number("transactions"),
        };
        connection.close().await?;
        Ok(Some(written))
    }
}
