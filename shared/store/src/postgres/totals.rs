//! Totals of cycles: sums over their partitions.

use sqlx::postgres::PgRow;

use super::act::Act;
use super::error::broken;
use super::rows::count;
use crate::StoreError;
use tideline_core::words::CycleTotals;

impl Act {
    /// Sums over the current rows of the partitions of cycles (source, number), in this order.
    pub(super) async fn sum_partitions(&mut self, cycles: &[(i64, i64)]) -> Result<Vec<CycleTotals>, StoreError> {
        if cycles.is_empty() {
            return Ok(vec![]);
        }
        let (sources, numbers): (Vec<i64>, Vec<i64>) = cycles.iter().copied().unzip();
        let statement = sqlx::query(include_str!("sql/sum_partitions.sql"))
            .bind(sources)
            .bind(numbers);
        self.rows(statement).await?.iter().map(totals).collect()
    }
}

fn totals(row: &PgRow) -> Result<CycleTotals, StoreError> {
    Ok(CycleTotals {
        partitions: count(row, "partitions")?,
        partitions_done: count(row, "partitions_done")?,
        partitions_parked: count(row, "partitions_parked")?,
        partitions_cancelled: count(row, "partitions_cancelled")?,
        pages: count(row, "pages")?,
        pages_unchanged: count(row, "pages_unchanged")?,
        entities: count(row, "entities")?,
        added: count(row, "added")?,
        modified: count(row, "modified")?,
        unchanged: count(row, "unchanged")?,
        removed: super::rows::column::<Option<i64>>(row, "removed")?
            .and_then(|removed| u64::try_from(removed).ok())
            .unwrap_or(0),
        malformed: count(row, "malformed")?,
        unidentified: count(row, "unidentified")?,
        kept: 0,
        unconfirmed: 0,
        collisions: 0,
    })
}

pub(super) fn totals_text(totals: &CycleTotals) -> Result<String, StoreError> {
    serde_json::to_string(totals).map_err(|error| broken("write totals", error.to_string()))
}

pub(super) fn totals_of(text: &str) -> Result<CycleTotals, StoreError> {
    serde_json::from_str(text).map_err(|error| broken("read totals", error.to_string()))
}
