use async_trait::async_trait;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query, query_scalar};

use super::failure::failed;
use super::partitions::{cancel_partitions, finish_cycle, sum_partitions};
use super::rows::{count, json, optional_moment, to_json, word, word_of};
use super::sweep::{hold_sweep, plan_sweep, sweep};
use super::{SqliteStore, begin, commit, sql};
use crate::batch::partition_args;
use crate::{CycleStore, CycleTrace, StartedCycle, StoreError};
use tideline_core::rules::fingerprint;
use tideline_core::words::{
    CycleEnd, CycleNumber, CycleState, CycleTotals, FinishedCycle, JobId, SourceId, SweepPlan, Timestamp, Token,
};

#[async_trait]
impl CycleStore for SqliteStore {
    async fn start_cycles(&self, limit: u32, now: Timestamp) -> Result<Vec<StartedCycle>, StoreError> {
        const ACT: &str = "start cycles";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let start = async {
            let due = query(sql!("find_due_sources"))
                .bind(now.0)
                .bind(limit)
                .fetch_all(&mut *tx)
                .await?;
            let mut started = Vec::with_capacity(due.len());
            for row in &due {
                let (source, name, number): (i64, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                let trigger: &str = row.try_get(3)?;
                query(sql!("insert_cycle"))
                    .bind(source)
                    .bind(number)
                    .bind(trigger)
                    .bind(now.0)
                    .execute(&mut *tx)
                    .await?;
                query(sql!("note_started_cycle"))
                    .bind(source)
                    .bind(number)
                    .execute(&mut *tx)
                    .await?;
                let args = partition_args(&name, &json!({}));
                let root = query(sql!("start_root_partition"))
                    .bind(&name)
                    .bind(&fingerprint(args.as_bytes()).0[..])
                    .bind(args)
                    .bind(trigger)
                    .bind(source)
                    .bind(number)
                    .bind(now.0)
                    .fetch_one(&mut *tx)
                    .await?;
                started.push(StartedCycle {
                    source: SourceId(source),
                    source_name: name,
                    number: CycleNumber(number),
                    trigger: word(row, 3)?,
                    due_at: optional_moment(row, 4)?,
                    root: JobId(root.try_get(0)?),
                    token: Token(root.try_get(1)?),
                });
            }
            Ok(started)
        };
        let started = start.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(started)
    }

    async fn trace_cycles(&self, traces: &[CycleTrace]) -> Result<(), StoreError> {
        const ACT: &str = "trace cycles";
        let rows: Vec<_> = (traces.iter())
            .map(|of| json!([of.root, of.number, of.trace]))
            .collect();
        let mut writer = self.writer().await;
        query(sql!("trace_cycles"))
            .bind(to_json(&rows).map_err(failed(ACT))?)
            .execute(&mut *writer)
            .await
            .map_err(failed(ACT))?;
        Ok(())
    }

    async fn list_finished_cycles(&self, limit: u32) -> Result<Vec<FinishedCycle>, StoreError> {
        const ACT: &str = "list finished cycles";
        let list = async {
            let mut reader = self.readers.acquire().await?;
            let rows = query(sql!("list_finished_cycles"))
                .bind(limit)
                .fetch_all(&mut *reader)
                .await?;
            let mut finished = Vec::with_capacity(rows.len());
            for row in &rows {
                let (source, number) = (row.try_get(0)?, row.try_get(2)?);
                finished.push(FinishedCycle {
                    source: SourceId(source),
                    source_name: row.try_get(1)?,
                    number: CycleNumber(number),
                    totals: sum_partitions(&mut reader, source, number).await?,
                    error: row.try_get(3)?,
                });
            }
            Ok(finished)
        };
        list.await.map_err(failed(ACT))
    }

    async fn list_sweeping_cycles(&self, limit: u32) -> Result<Vec<FinishedCycle>, StoreError> {
        const ACT: &str = "list sweeping cycles";
        let rows = query(sql!("list_sweeping_cycles"))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        rows.iter().map(sweeping).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn end_cycle(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        end: &CycleEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ACT: &str = "end a cycle";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let ending = async {
            let state = query(sql!("find_cycle"))
                .bind(source.0)
                .bind(cycle.0)
                .fetch_optional(&mut *tx)
                .await?;
            let Some(state) = state else {
                return Ok(false);
            };
            if !may_end(word(&state, 0)?, end.state) {
                return Ok(false);
            }
            if end.state == CycleState::Sweeping {
                let undone: bool = query_scalar(sql!("find_undone_partition"))
                    .bind(source.0)
                    .bind(cycle.0)
                    .fetch_one(&mut *tx)
                    .await?;
                if undone {
                    return Ok(false);
                }
            } else {
                cancel_partitions(&mut tx, source.0, cycle.0, now).await?;
                query(sql!("rest_source"))
                    .bind(source.0)
                    .bind(end.next_cycle_at.map(|moment| moment.0))
                    .execute(&mut *tx)
                    .await?;
            }
            if end.state == CycleState::Complete {
                // This cycle settles whatever an older one was held for.
                query(sql!("supersede_held_cycle"))
                    .bind(source.0)
                    .bind(cycle.0)
                    .execute(&mut *tx)
                    .await?;
                query(sql!("clear_held_sweep"))
                    .bind(source.0)
                    .bind(None::<i64>)
                    .execute(&mut *tx)
                    .await?;
            }
            let word = word_of(end.state)?;
            finish_cycle(&mut tx, source.0, cycle.0, &word, end.reason.as_deref(), now).await?;
            Ok(true)
        };
        let ended = ending.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(ended)
    }

    async fn plan_sweep(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        confirm_cycles: u32,
    ) -> Result<Option<SweepPlan>, StoreError> {
        plan_sweep(self, source, cycle, confirm_cycles).await
    }

    async fn sweep(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        confirm_cycles: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        sweep(self, source, cycle, confirm_cycles, limit, now).await
    }

    async fn hold_sweep(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        plan: SweepPlan,
        reason: &str,
        next_cycle_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        hold_sweep(self, (source, cycle), plan, reason, next_cycle_at, now).await
    }

    async fn move_next_cycle(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let moved = query(sql!("move_next_cycle"))
            .bind(source.0)
            .bind(cycle.0)
            .bind(from.map(|moment| moment.0))
            .bind(to.map(|moment| moment.0))
            .execute(&mut *writer)
            .await
            .map_err(failed("move the next cycle"))?;
        Ok(moved.rows_affected() > 0)
    }
}

/// From bursting to the sweep or to an end without one; from the sweep to any end.
fn may_end(from: CycleState, to: CycleState) -> bool {
    match from {
        CycleState::Bursting => matches!(
            to,
            CycleState::Sweeping | CycleState::Incomplete | CycleState::Cancelled
        ),
        CycleState::Sweeping => matches!(
            to,
            CycleState::Complete | CycleState::Incomplete | CycleState::Cancelled
        ),
        _ => false,
    }
}

fn sweeping(row: &SqliteRow) -> Result<FinishedCycle, sqlx::Error> {
    let totals: CycleTotals = json(row, 3)?;
    Ok(FinishedCycle {
        source: SourceId(row.try_get(0)?),
        source_name: row.try_get(1)?,
        number: CycleNumber(row.try_get(2)?),
        totals: CycleTotals {
            removed: count(row, 4)?,
            ..totals
        },
        error: row.try_get(5)?,
    })
}
