use async_trait::async_trait;

use super::PostgresStore;
use super::act::Act;
use super::conflicts::tried;
use super::rows::{column, count, cycle_state_of, cycle_state_text, moment, storable, trigger_of};
use super::sweep;
use super::totals::totals_text;
use crate::{CycleStore, CycleTrace, StartedCycle, StoreError};
use tideline_core::words::{
    CycleEnd, CycleNumber, CycleState, FinishedCycle, JobId, SourceId, SweepPlan, Timestamp, Token,
};

#[async_trait]
impl CycleStore for PostgresStore {
    async fn start_cycles(&self, limit: u32, now: Timestamp) -> Result<Vec<StartedCycle>, StoreError> {
        let mut act = self.writing("start cycles").await?;
        let statement = sqlx::query(include_str!("sql/start_cycles.sql")).bind(i64::from(limit));
        let started = match act.rows(statement.bind(now.0)).await {
            // Another scheduler has just started it.
            Err(StoreError::Conflict { .. }) => return Ok(vec![]),
            rows => rows?,
        };
        let started = started.iter().map(|row| {
            Ok(StartedCycle {
                source: SourceId(column(row, "source_id")?),
                source_name: column(row, "name")?,
                number: CycleNumber(column(row, "number")?),
                trigger: trigger_of(column(row, "trigger")?)?,
                due_at: moment(row, "due_at")?,
                root: JobId(column(row, "id")?),
                token: Token(column(row, "token")?),
            })
        });
        started.collect()
    }

    async fn trace_cycles(&self, traces: &[CycleTrace]) -> Result<(), StoreError> {
        let mut act = self.writing("trace cycles").await?;
        let statement = sqlx::query(include_str!("sql/trace_cycles.sql"))
            .bind(traces.iter().map(|of| of.root.0).collect::<Vec<_>>())
            .bind(traces.iter().map(|of| of.number.0).collect::<Vec<_>>())
            .bind(traces.iter().map(|of| of.trace.as_str()).collect::<Vec<_>>());
        act.run(statement).await?;
        Ok(())
    }

    async fn list_finished_cycles(&self, limit: u32) -> Result<Vec<FinishedCycle>, StoreError> {
        list_cycles(self, include_str!("sql/list_finished_cycles.sql"), limit).await
    }

    async fn list_sweeping_cycles(&self, limit: u32) -> Result<Vec<FinishedCycle>, StoreError> {
        list_cycles(self, include_str!("sql/list_sweeping_cycles.sql"), limit).await
    }

    async fn end_cycle(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        end: &CycleEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        tried(|| end_once(self, source.0, cycle.0, end, now)).await
    }

    async fn plan_sweep(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        confirm_cycles: u32,
    ) -> Result<Option<SweepPlan>, StoreError> {
        sweep::plan(self, source.0, cycle.0, confirm_cycles).await
    }

    async fn sweep(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        confirm_cycles: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        sweep::sweep(self, (source.0, cycle.0), confirm_cycles, limit, now).await
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
        sweep::hold(self, (source.0, cycle.0), plan, reason, next_cycle_at, now).await
    }

    async fn move_next_cycle(
        &self,
        source: SourceId,
        cycle: CycleNumber,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let mut act = self.writing("move the next cycle").await?;
        let statement = sqlx::query(include_str!("sql/move_next_cycle.sql"))
            .bind(source.0)
            .bind(cycle.0);
        let statement = statement.bind(from.map(|at| at.0)).bind(to.map(|at| at.0));
        Ok(act.run(statement).await? > 0)
    }
}

async fn list_cycles(
    store: &PostgresStore,
    statement: &'static str,
    limit: u32,
) -> Result<Vec<FinishedCycle>, StoreError> {
    let mut act = store.reading("list cycles").await?;
    let rows = act.rows(sqlx::query(statement).bind(i64::from(limit))).await?;
    let mut cycles = Vec::with_capacity(rows.len());
    for row in &rows {
        cycles.push((column::<i64>(row, "source_id")?, column::<i64>(row, "number")?));
    }
    let totals = act.sum_partitions(&cycles).await?;
    let finished = rows
        .iter()
        .zip(cycles)
        .zip(totals)
        .map(|((row, (source, number)), totals)| {
            Ok(FinishedCycle {
                source: SourceId(source),
                source_name: column(row, "name")?,
                number: CycleNumber(number),
                totals,
                error: column(row, "error")?,
            })
        });
    finished.collect()
}

/// Whether a cycle may go from one state to the other. Only a person moves held cycles.
fn leads(from: CycleState, to: CycleState) -> bool {
    use CycleState::{Bursting, Cancelled, Complete, Incomplete, Sweeping};
    matches!(
        (from, to),
        (Bursting, Sweeping | Incomplete | Cancelled) | (Sweeping, Complete | Incomplete | Cancelled)
    )
}

async fn end_once(
    store: &PostgresStore,
    source: i64,
    cycle: i64,
    end: &CycleEnd,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut act = store.writing("end a cycle").await?;
    act.begin().await?;
    let sweeps = end.state == CycleState::Sweeping;
    if !sweeps {
        act.cancel_partitions(source, cycle, now).await?;
    }
    act.lock_sources(&[source]).await?;
    let stands = act.lock_cycle(source, cycle).await?;
    if !stands.is_some_and(|(state, _)| leads(state, end.state)) {
        act.rollback().await?;
        return Ok(false);
    }
    if sweeps {
        let statement = sqlx::query(include_str!("sql/count_unfinished.sql"));
        let row = act.row(statement.bind(source).bind(cycle)).await?;
        if row.map_or(Ok(0), |row| count(&row, "unfinished"))? > 0 {
            act.rollback().await?;
            return Ok(false);
        }
    } else {
        // Again, for partitions that were revealed while waiting for the source's row.
        act.cancel_partitions(source, cycle, now).await?;
    }
    act.finish_cycle(source, cycle, end.state, end.reason.as_deref(), now)
        .await?;
    if !sweeps {
        let statement = sqlx::query(include_str!("sql/rest_source.sql"))
            .bind(source)
            .bind(cycle);
        act.run(statement.bind(end.next_cycle_at.map(|at| at.0))).await?;
    }
    if end.state == CycleState::Complete {
        let statement = sqlx::query(include_str!("sql/supersede_held_cycle.sql")).bind(source);
        let reason = format!("superseded by cycle {cycle}");
        act.run(statement.bind(cycle).bind(reason)).await?;
        act.run(sqlx::query(include_str!("sql/clear_approval.sql")).bind(source))
            .await?;
    }
    act.commit().await?;
    Ok(true)
}

impl Act {
    /// State of a cycle, and whether its sweep is planned; locks its row.
    pub(super) async fn lock_cycle(
        &mut self,
        source: i64,
        cycle: i64,
    ) -> Result<Option<(CycleState, bool)>, StoreError> {
        let statement = sqlx::query(include_str!("sql/find_cycle.sql"));
        let row = self.row(statement.bind(source).bind(cycle)).await?;
        row.map(|row| Ok((cycle_state_of(column(&row, "state")?)?, column(&row, "planned")?)))
            .transpose()
    }

    /// Cancels the unfinished partitions of a cycle; workers that run one are fenced off.
    pub(super) async fn cancel_partitions(
        &mut self,
        source: i64,
        cycle: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(include_str!("sql/cancel_partitions.sql"));
        self.run(statement.bind(source).bind(cycle).bind(now.0)).await?;
        Ok(())
    }

    /// Writes the end of a cycle; a held sweep of this cycle ends with it.
    pub(super) async fn finish_cycle(
        &mut self,
        source: i64,
        cycle: i64,
        state: CycleState,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let totals = self.sum_partitions(&[(source, cycle)]).await?;
        let totals = totals.first().map(totals_text).transpose()?;
        let statement = sqlx::query(include_str!("sql/end_cycle.sql"))
            .bind(source)
            .bind(cycle)
            .bind(cycle_state_text(state))
            .bind(reason.map(storable))
            .bind(totals)
            .bind(now.0);
        self.run(statement).await?;
        if state != CycleState::Sweeping {
            let statement = sqlx::query(include_str!("sql/clear_held_sweep.sql"));
            self.run(statement.bind(source).bind(cycle)).await?;
        }
        Ok(())
    }

    /// Ends the running cycle of a source, if there is one, as cancelled.
    pub(super) async fn cancel_running_cycle(
        &mut self,
        source: i64,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let find = || sqlx::query(include_str!("sql/find_running_cycle.sql")).bind(source);
        let number = |row: Option<sqlx::postgres::PgRow>| row.map(|row| column::<i64>(&row, "number")).transpose();
        // The partitions first, as everywhere; then the source, so that no cycle starts and no partition is revealed.
        if let Some(cycle) = number(self.row(find()).await?)? {
            self.cancel_partitions(source, cycle, now).await?;
        }
        self.lock_sources(&[source]).await?;
        let Some(cycle) = number(self.row(find()).await?)? else {
            return Ok(false);
        };
        self.lock_cycle(source, cycle).await?;
        self.cancel_partitions(source, cycle, now).await?;
        self.finish_cycle(source, cycle, CycleState::Cancelled, Some(reason), now)
            .await?;
        Ok(true)
    }
}
