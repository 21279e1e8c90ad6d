use async_trait::async_trait;
use sqlx::query;
use sqlx::sqlite::SqliteRow;

use super::failure::failed;
use super::rows::{count, json, moment};
use super::{SqliteStore, begin, commit, sql};
use crate::{DriftStore, StoreError};
use tideline_core::words::{CycleNumber, DriftRecord, DriftTotals, SourceId, Timestamp};

#[async_trait]
impl DriftStore for SqliteStore {
    async fn note_drift(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        confirm_cycles: u32,
        now: Timestamp,
    ) -> Result<Option<DriftTotals>, StoreError> {
        const ACT: &str = "note drift";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let noting = async {
            query(sql!("note_drift"))
                .bind(source.0)
                .bind(cycle.0)
                .bind(confirm_cycles.max(1))
                .bind(now.0)
                .execute(&mut *tx)
                .await?;
            let found = query(sql!("find_drift"))
                .bind(source.0)
                .bind(cycle.0)
                .fetch_optional(&mut *tx)
                .await?;
            found.as_ref().map(|row| totals(row, 0)).transpose()
        };
        let noted = noting.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(noted)
    }

    async fn list_drifts(&self, source: SourceId, limit: u32) -> Result<Vec<DriftRecord>, StoreError> {
        const ACT: &str = "list drift";
        let rows = query(sql!("list_drifts"))
            .bind(source.0)
            .bind(limit.clamp(1, 1_000))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let record = |row: &SqliteRow| -> Result<DriftRecord, sqlx::Error> {
            Ok(DriftRecord {
                cycle: CycleNumber(sqlx::Row::try_get(row, 0)?),
                found_at: moment(row, 1)?,
                totals: totals(row, 2)?,
                differences: json(row, 5)?,
            })
        };
        rows.iter().map(record).collect::<Result<_, _>>().map_err(failed(ACT))
    }
}

pub(super) fn totals(row: &SqliteRow, at: usize) -> Result<DriftTotals, sqlx::Error> {
    Ok(DriftTotals {
        missing: count(row, at)?,
        extra: count(row, at + 1)?,
        diverged: count(row, at + 2)?,
    })
}
