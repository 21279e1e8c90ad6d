use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::error::broken;
use super::rows::{column, count};
use crate::{DriftStore, StoreError};
use tideline_core::words::{CycleNumber, DriftRecord, DriftTotals, SourceId, Timestamp};

#[async_trait]
impl DriftStore for PostgresStore {
    async fn note_drift(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        confirm_cycles: u32,
        now: Timestamp,
    ) -> Result<Option<DriftTotals>, StoreError> {
        let confirm = i32::try_from(confirm_cycles.max(1)).unwrap_or(i32::MAX);
        let mut act = self.writing("note drift").await?;
        act.begin().await?;
        let statement = sqlx::query(include_str!("sql/note_drift.sql")).bind(source.0);
        act.run(statement.bind(cycle.0).bind(confirm).bind(now.0)).await?;
        let statement = sqlx::query(include_str!("sql/find_drift.sql")).bind(source.0);
        let row = act.row(statement.bind(cycle.0)).await?;
        act.commit().await?;
        row.as_ref().map(totals).transpose()
    }

    async fn list_drifts(&self, source: SourceId, limit: u32) -> Result<Vec<DriftRecord>, StoreError> {
        let mut act = self.reading("list drift").await?;
        let statement = sqlx::query(include_str!("sql/list_drifts.sql")).bind(source.0);
        let rows = act.rows(statement.bind(i64::from(limit.clamp(1, 1_000)))).await?;
        let record = |row: &PgRow| {
            let differences: &str = column(row, "differences")?;
            Ok(DriftRecord {
                cycle: CycleNumber(column(row, "cycle")?),
                found_at: Timestamp(column(row, "found_at")?),
                totals: totals(row)?,
                differences: serde_json::from_str(differences)
                    .map_err(|error| broken("list drift", error.to_string()))?,
            })
        };
        rows.iter().map(record).collect()
    }
}

pub(super) fn totals(row: &PgRow) -> Result<DriftTotals, StoreError> {
    Ok(DriftTotals {
        missing: count(row, "missing")?,
        extra: count(row, "extra")?,
        diverged: count(row, "diverged")?,
    })
}
