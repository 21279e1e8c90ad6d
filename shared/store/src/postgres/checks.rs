use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::drift::totals;
use super::error::broken;
use super::rows::{column, count};
use crate::check_seam::counts;
use crate::{CheckStore, CheckToken, KEPT_CHECKS, StoreError};
use tideline_core::words::{CheckRecord, SourceId, Timestamp};

#[async_trait]
impl CheckStore for PostgresStore {
    async fn next_check(&self, source: SourceId) -> Result<Option<Timestamp>, StoreError> {
        let mut act = self.reading("find the next check").await?;
        let statement = sqlx::query(include_str!("sql/find_next_check.sql")).bind(source.0);
        let row = act.row(statement).await?;
        row.map(|row| Ok(Timestamp(column(&row, "next_at")?))).transpose()
    }

    async fn move_check(&self, source: SourceId, from: Option<Timestamp>, to: Timestamp) -> Result<bool, StoreError> {
        let mut act = self.writing("move a check").await?;
        let statement = sqlx::query(include_str!("sql/move_check.sql")).bind(source.0);
        Ok(act.run(statement.bind(from.map(|from| from.0)).bind(to.0)).await? > 0)
    }

    async fn begin_check(
        &self,
        source: SourceId,
        leased_until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<CheckToken>, StoreError> {
        let mut act = self.writing("begin a check").await?;
        let statement = sqlx::query(include_str!("sql/begin_check.sql")).bind(source.0);
        let row = act.row(statement.bind(leased_until.0).bind(now.0)).await?;
        row.map(|row| Ok(CheckToken(column(&row, "token")?))).transpose()
    }

    async fn extend_check(&self, source: SourceId, token: CheckToken, until: Timestamp) -> Result<bool, StoreError> {
        let mut act = self.writing("extend a check").await?;
        let statement = sqlx::query(include_str!("sql/extend_check.sql")).bind(source.0);
        Ok(act.run(statement.bind(token.0).bind(until.0)).await? > 0)
    }

    async fn end_check(
        &self,
        source: SourceId,
        token: CheckToken,
        found: &CheckRecord,
        next_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut act = self.writing("end a check").await?;
        act.begin().await?;
        let end = sqlx::query(include_str!("sql/end_check.sql")).bind(source.0);
        if act.run(end.bind(token.0).bind(next_at.0)).await? == 0 {
            act.commit().await?;
            return Ok(false);
        }
        let differences = found.differences_text();
        let [missing, extra, diverged] = counts(found.totals);
        let insert = sqlx::query(include_str!("sql/insert_check_result.sql"))
            .bind(source.0)
            .bind(found.began_at.0)
            .bind(found.ended_at.0)
            .bind(missing)
            .bind(extra)
            .bind(diverged)
            .bind(&differences)
            .bind(found.failure.as_deref())
            .bind(i64::try_from(found.unconfirmed).unwrap_or(i64::MAX));
        act.run(insert).await?;
        let forget = sqlx::query(include_str!("sql/forget_check_results.sql"));
        act.run(forget.bind(source.0)).await?;
        act.commit().await?;
        Ok(true)
    }

    async fn list_checks(&self, source: SourceId, limit: u32) -> Result<Vec<CheckRecord>, StoreError> {
        let mut act = self.reading("list checks").await?;
        let statement = sqlx::query(include_str!("sql/list_check_results.sql")).bind(source.0);
        let rows = act.rows(statement.bind(i64::from(limit.clamp(1, KEPT_CHECKS)))).await?;
        let record = |row: &PgRow| {
            let differences: &str = column(row, "differences")?;
            Ok(CheckRecord {
                began_at: Timestamp(column(row, "began_at")?),
                ended_at: Timestamp(column(row, "ended_at")?),
                totals: totals(row)?,
                differences: serde_json::from_str(differences)
                    .map_err(|error| broken("list checks", error.to_string()))?,
                failure: column(row, "failure")?,
                unconfirmed: count(row, "unconfirmed")?,
            })
        };
        rows.iter().map(record).collect()
    }
}
