//! The cost of a burn-down, according to the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection, Row};

/// Time limit for a burn-down.
const LIMIT: Duration = Duration::from_secs(600);
/// Between two looks, at the handlers' count or at the table.
const LOOK: Duration = Duration::from_millis(1);
/// A backend reports its commits at most once a second, and when it ends.
const SETTLE: Duration = Duration::from_millis(1_200);

const WAL: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";
const COMMITS: &str = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";

/// Jobs whose handler has run; clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handled(Arc<AtomicU32>);

impl Handled {
    /// Counts one job.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection of our own, apart from the peer's.
#[derive(Debug)]
pub(crate) struct Observer {
    connection: PgConnection,
}

/// The meters before a burn-down.
#[derive(Debug)]
pub(crate) struct Before {
    wal: i64,
    commits: i64,
}

impl Observer {
    /// Connects.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let connection = PgConnection::connect(url)
            .await
            .context("connecting to the given Postgres")?;
        Ok(Self { connection })
    }

    /// Gives the planner the statistics that autovacuum would have gathered on a queue that is not brand new.
    pub(crate) async fn analyze(&mut self) -> Result<()> {
        sqlx::raw_sql("ANALYZE").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Reads the meters, once what was committed so far has been reported.
    pub(crate) async fn before(&mut self) -> Result<Before> {
        tokio::time::sleep(SETTLE).await;
        Ok(Before {
            wal: self.number(WAL).await?,
            commits: self.number(COMMITS).await?,
        })
    }

    /// WAL bytes since `before`.
    pub(crate) async fn wal_since(&mut self, before: &Before) -> Result<i64> {
        Ok(self.number(WAL).await? - before.wal)
    }

    /// Commits since `before`, our own few looks included. The peer's connections must be closed by now: only then
    /// is what they committed surely reported.
    pub(crate) async fn commits_since(&mut self, before: &Before) -> Result<i64> {
        tokio::time::sleep(SETTLE).await;
        Ok(self.number(COMMITS).await? - before.commits)
    }

    /// Waits until every job is done, and says when that was.
    ///
    /// The database is asked for what is `left` only after the last handler has run, so that looking costs the peer
    /// nothing, and the look that finds nothing left counts from its start: its snapshot is of that moment.
    ///
    /// # Errors
    /// When `ended` tells that the worker stopped early, when ten minutes are over, or when a look fails.
    pub(crate) async fn burned_down(
        &mut self,
        handled: &Handled,
        jobs: u32,
        left: &str,
        ended: impl Fn() -> bool,
    ) -> Result<Instant> {
        let start = Instant::now();
        loop {
            ensure!(
                start.elapsed() < LIMIT,
                "{} of {jobs} jobs handled in {LIMIT:?}",
                handled.count()
            );
            ensure!(!ended(), "the worker ended after {} of {jobs} jobs", handled.count());
            let look = Instant::now();
            if handled.count() >= jobs && self.number(left).await? == 0 {
                return Ok(look);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The one number that a statement answers with. Sent as one message: one commit per look.
    pub(crate) async fn number(&mut self, statement: &str) -> Result<i64> {
        let row = sqlx::raw_sql(statement).fetch_one(&mut self.connection).await?;
        Ok(row.try_get(0)?)
    }
}
