//! Operations on all partitions of a cycle at once, each a part of an act; the caller holds the transaction.

use sqlx::query;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::rows::{count, optional_count, to_json};
use super::sql;
use tideline_core::words::{CycleTotals, Timestamp};

/// Gives free places to waiting partitions. Those on their ladder come last, so they never keep a place from the
/// others.
pub(super) async fn open_places(
    connection: &mut SqliteConnection,
    source: i64,
    cycle: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    for statement in [sql!("yield_places"), sql!("open_places")] {
        query(statement)
            .bind(source)
            .bind(cycle)
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Fences off and cancels the unfinished partitions of a cycle.
pub(super) async fn cancel_partitions(
    connection: &mut SqliteConnection,
    source: i64,
    cycle: i64,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    query(sql!("cancel_partitions"))
        .bind(source)
        .bind(cycle)
        .bind(now.0)
        .execute(connection)
        .await
        .map(drop)
}

/// Sums over the current rows of a cycle's partitions.
pub(super) async fn sum_partitions(
    connection: &mut SqliteConnection,
    source: i64,
    cycle: i64,
) -> Result<CycleTotals, sqlx::Error> {
    let row = query(sql!("sum_partitions"))
        .bind(source)
        .bind(cycle)
        .fetch_one(connection)
        .await?;
    totals(&row)
}

fn totals(row: &SqliteRow) -> Result<CycleTotals, sqlx::Error> {
    let sum = |index| optional_count(row, index).map(Option::unwrap_or_default);
    Ok(CycleTotals {
        partitions: count(row, 0)?,
        partitions_done: sum(1)?,
        partitions_parked: sum(2)?,
        partitions_cancelled: sum(3)?,
        pages: sum(4)?,
        pages_unchanged: sum(5)?,
        entities: sum(6)?,
        added: sum(7)?,
        modified: sum(8)?,
        unchanged: sum(9)?,
        removed: 0,
        malformed: sum(10)?,
        unidentified: sum(11)?,
        kept: 0,
        unconfirmed: 0,
        collisions: 0,
    })
}

/// Ends the running cycle of a source, if there is one, as cancelled: workers that read it commit nothing more.
pub(super) async fn cancel_running_cycle(
    connection: &mut SqliteConnection,
    source: i64,
    reason: &str,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let running: Option<i64> = sqlx::query_scalar(sql!("find_running_cycle"))
        .bind(source)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(cycle) = running else {
        return Ok(false);
    };
    cancel_partitions(connection, source, cycle, now).await?;
    finish_cycle(connection, source, cycle, "cancelled", Some(reason), now).await?;
    Ok(true)
}

/// Writes the end of a cycle; a held sweep of this cycle ends with it.
pub(super) async fn finish_cycle(
    connection: &mut SqliteConnection,
    source: i64,
    cycle: i64,
    state: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let totals = sum_partitions(connection, source, cycle).await?;
    query(sql!("end_cycle"))
        .bind(source)
        .bind(cycle)
        .bind(state)
        .bind(reason)
        .bind(to_json(&totals)?)
        .bind(now.0)
        .execute(&mut *connection)
        .await?;
    query(sql!("clear_held_sweep"))
        .bind(source)
        .bind(cycle)
        .execute(connection)
        .await
        .map(drop)
}
