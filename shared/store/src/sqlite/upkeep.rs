use async_trait::async_trait;
use sqlx::{Row, query};

use super::failure::failed;
use super::{SqliteStore, begin, commit, sql};
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
impl UpkeepStore for SqliteStore {
    async fn prune_jobs(&self, after: JobId, limit: u32, before: Timestamp) -> Result<PrunedJobs, StoreError> {
        const ACT: &str = "forget old jobs";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let row = query(sql!("find_last_job"))
            .bind(after.0)
            .bind(limit)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        let Some(last) = row.try_get::<Option<i64>, _>("last").map_err(failed(ACT))? else {
            return Ok(PrunedJobs { pruned: 0, last: None });
        };
        let done = query(sql!("prune_jobs"))
            .bind(after.0)
            .bind(last)
            .bind(before.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(PrunedJobs {
            pruned: done.rows_affected(),
            last: Some(JobId(last)),
        })
    }

    async fn prune_cycles(&self, limit: u32, before: Timestamp) -> Result<u64, StoreError> {
        let mut writer = self.writer().await;
        let done = query(sql!("prune_cycles"))
            .bind(before.0)
            .bind(limit)
            .bind(KEPT_CYCLES)
            .execute(&mut *writer)
            .await
            .map_err(failed("forget old cycles"))?;
        Ok(done.rows_affected())
    }

    async fn forget_future(&self, now: Timestamp) -> Result<u64, StoreError> {
        const ACT: &str = "forget the future";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let mut rows = 0;
        for (statement, limit) in [
            (sql!("pull_in_jobs"), AHEAD_MS),
            (sql!("pull_in_holds"), LONGEST_HOLD_MS),
            (sql!("pull_in_leases"), LONGEST_LEASE_MS),
            (sql!("pull_in_readings"), AHEAD_MS),
            (sql!("pull_in_deltas"), AHEAD_MS),
            (sql!("pull_in_sources"), AHEAD_MS),
        ] {
            let done = query(statement)
                .bind(now.0)
                .bind(now.0.saturating_add(limit))
                .execute(&mut *tx)
                .await
                .map_err(failed(ACT))?;
            rows += done.rows_affected();
        }
        commit(tx, ACT).await?;
        Ok(rows)
    }
}
