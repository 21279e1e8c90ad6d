use async_trait::async_trait;

use super::PostgresStore;
use super::rows::column;
use crate::{PrunedJobs, StoreError, UpkeepStore};
use tideline_core::words::{JobId, Timestamp};

/// Number of newest cycles that are kept per source, regardless of age.
const KEPT_CYCLES: i64 = 10;
/// Timestamps this far in the future were written by a clock that has been set back.
const AHEAD_MS: i64 = 60_000;
/// No source asks for a longer pause.
const LONGEST_HOLD_MS: i64 = 30 * 86_400_000;
/// The greatest value of `worker.lease`.
const LONGEST_LEASE_MS: i64 = 300_000;

#[async_trait]
impl UpkeepStore for PostgresStore {
    async fn prune_jobs(&self, after: JobId, limit: u32, before: Timestamp) -> Result<PrunedJobs, StoreError> {
        let mut act = self.writing("forget old jobs").await?;
        let statement = sqlx::query(include_str!("sql/find_last_job.sql"))
            .bind(after.0)
            .bind(i64::from(limit));
        let row = act.row(statement).await?;
        let last = row.map_or(Ok(None), |row| column::<Option<i64>>(&row, "last"))?;
        let Some(last) = last else {
            return Ok(PrunedJobs { pruned: 0, last: None });
        };
        // Jobs that arrive meanwhile have greater numbers.
        let statement = sqlx::query(include_str!("sql/prune_jobs.sql"))
            .bind(after.0)
            .bind(last)
            .bind(before.0);
        Ok(PrunedJobs {
            pruned: act.run(statement).await?,
            last: Some(JobId(last)),
        })
    }

    async fn prune_cycles(&self, limit: u32, before: Timestamp) -> Result<u64, StoreError> {
        let mut act = self.writing("forget old cycles").await?;
        let statement = sqlx::query(include_str!("sql/prune_cycles.sql"))
            .bind(before.0)
            .bind(i64::from(limit))
            .bind(KEPT_CYCLES);
        act.run(statement).await
    }

    async fn forget_future(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut act = self.writing("forget the future").await?;
        act.begin().await?;
        let mut rows = 0;
        for (statement, limit) in [
            (include_str!("sql/pull_in_jobs.sql"), AHEAD_MS),
            (include_str!("sql/pull_in_holds.sql"), LONGEST_HOLD_MS),
            (include_str!("sql/pull_in_leases.sql"), LONGEST_LEASE_MS),
            (include_str!("sql/pull_in_readings.sql"), AHEAD_MS),
            (include_str!("sql/pull_in_deltas.sql"), AHEAD_MS),
            (include_str!("sql/pull_in_sources.sql"), AHEAD_MS),
        ] {
            let statement = sqlx::query(statement).bind(now.0);
            rows += act.run(statement.bind(now.0.saturating_add(limit))).await?;
        }
        act.commit().await?;
        Ok(rows)
    }
}
