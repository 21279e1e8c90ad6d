use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query, query_scalar};

use super::drift::totals;
use super::failure::failed;
use super::rows::{count, json, moment};
use super::{SqliteStore, begin, commit, sql};
use crate::check_seam::counts;
use crate::{CheckStore, CheckToken, KEPT_CHECKS, StoreError};
use tideline_core::words::{CheckRecord, SourceId, Timestamp};

#[async_trait]
impl CheckStore for SqliteStore {
    async fn next_check(&self, source: SourceId) -> Result<Option<Timestamp>, StoreError> {
        let found: Option<i64> = query_scalar(sql!("find_next_check"))
            .bind(source.0)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find the next check"))?;
        Ok(found.map(Timestamp))
    }

    async fn move_check(&self, source: SourceId, from: Option<Timestamp>, to: Timestamp) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let moved = query(sql!("move_check"))
            .bind(source.0)
            .bind(from.map(|from| from.0))
            .bind(to.0)
            .execute(&mut *writer)
            .await
            .map_err(failed("move a check"))?;
        Ok(moved.rows_affected() > 0)
    }

    async fn begin_check(
        &self,
        source: SourceId,
        leased_until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<CheckToken>, StoreError> {
        let mut writer = self.writer().await;
        let token: Option<i64> = query_scalar(sql!("begin_check"))
            .bind(source.0)
            .bind(leased_until.0)
            .bind(now.0)
            .fetch_optional(&mut *writer)
            .await
            .map_err(failed("begin a check"))?;
        Ok(token.map(CheckToken))
    }

    async fn extend_check(&self, source: SourceId, token: CheckToken, until: Timestamp) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let extended = query(sql!("extend_check"))
            .bind(source.0)
            .bind(token.0)
            .bind(until.0)
            .execute(&mut *writer)
            .await
            .map_err(failed("extend a check"))?;
        Ok(extended.rows_affected() > 0)
    }

    async fn end_check(
        &self,
        source: SourceId,
        token: CheckToken,
        found: &CheckRecord,
        next_at: Timestamp,
    ) -> Result<bool, StoreError> {
        const ACT: &str = "end a check";
        let differences = found.differences_text();
        let [missing, extra, diverged] = counts(found.totals);
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let ending = async {
            let end = query(sql!("end_check")).bind(source.0).bind(token.0).bind(next_at.0);
            if end.execute(&mut *tx).await?.rows_affected() == 0 {
                return Ok(false);
            }
            query(sql!("insert_check_result"))
                .bind(source.0)
                .bind(found.began_at.0)
                .bind(found.ended_at.0)
                .bind(missing)
                .bind(extra)
                .bind(diverged)
                .bind(differences)
                .bind(found.failure.as_deref())
                .bind(i64::try_from(found.unconfirmed).unwrap_or(i64::MAX))
                .execute(&mut *tx)
                .await?;
            let forget = query(sql!("forget_check_results")).bind(source.0);
            forget.execute(&mut *tx).await?;
            Ok(true)
        };
        let ended = ending.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(ended)
    }

    async fn list_checks(&self, source: SourceId, limit: u32) -> Result<Vec<CheckRecord>, StoreError> {
        const ACT: &str = "list checks";
        let rows = query(sql!("list_check_results"))
            .bind(source.0)
            .bind(limit.clamp(1, KEPT_CHECKS))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let record = |row: &SqliteRow| -> Result<CheckRecord, sqlx::Error> {
            Ok(CheckRecord {
                began_at: moment(row, 0)?,
                ended_at: moment(row, 1)?,
                totals: totals(row, 2)?,
                differences: json(row, 5)?,
                failure: row.try_get(6)?,
                unconfirmed: count(row, 7)?,
            })
        };
        rows.iter().map(record).collect::<Result<_, _>>().map_err(failed(ACT))
    }
}
