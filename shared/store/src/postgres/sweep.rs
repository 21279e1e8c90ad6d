//! The end of a complete cycle: what it did not see is deleted, in steps, or waits for a person.

use super::PostgresStore;
use super::act::Act;
use super::conflicts::Tries;
use super::delta;
use super::rows::{column, count, storable};
use crate::StoreError;
use tideline_core::words::{CycleState, SourceId, SweepPlan, Timestamp};

pub(super) async fn plan(
    store: &PostgresStore,
    source: i64,
    cycle: i64,
    confirm_cycles: u32,
) -> Result<Option<SweepPlan>, StoreError> {
    let confirm = i32::try_from(confirm_cycles.max(1)).unwrap_or(i32::MAX);
    let mut act = store.writing("plan a sweep").await?;
    act.begin().await?;
    let Some((CycleState::Sweeping, planned)) = act.lock_cycle(source, cycle).await? else {
        act.rollback().await?;
        return Ok(None);
    };
    act.say(include_str!("sql/prefer_hashing.sql").to_owned(), false)
        .await?;
    if !planned {
        find_misses(&mut act, source, cycle).await?;
    }
    let statement = sqlx::query(include_str!("sql/count_sweep.sql"));
    let row = act.row(statement.bind(source).bind(cycle).bind(confirm)).await?;
    let plan = row.map(|row| {
        Ok::<_, StoreError>(SweepPlan {
            owned: count(&row, "owned")?,
            marked: count(&row, "marked")?,
            candidates: count(&row, "candidates")?,
            approved: column::<Option<i64>>(&row, "approved")?.and_then(|approved| u64::try_from(approved).ok()),
            kept: count(&row, "kept")?,
            unconfirmed: count(&row, "unconfirmed")?,
            collisions: count(&row, "collisions")?,
            fresh: count(&row, "fresh")?,
        })
    });
    let plan = plan.transpose()?;
    if let Some(plan) = plan {
        let statement = sqlx::query(include_str!("sql/note_kept_entities.sql"))
            .bind(source)
            .bind(cycle)
            .bind(signed(plan.kept))
            .bind(signed(plan.unconfirmed))
            .bind(signed(plan.collisions));
        act.run(statement).await?;
    }
    act.commit().await?;
    Ok(plan)
}

/// Finds and counts what the cycle did not see.
async fn find_misses(act: &mut Act, source: i64, cycle: i64) -> Result<(), StoreError> {
    for statement in [
        include_str!("sql/keep_partitions.sql"),
        include_str!("sql/drop_old_pages.sql"),
    ] {
        act.run(sqlx::query(statement).bind(source).bind(cycle)).await?;
    }
    for statement in [
        include_str!("sql/delete_marked_misses.sql"),
        include_str!("sql/resolve_misses.sql"),
    ] {
        act.run(sqlx::query(statement).bind(source)).await?;
    }
    for statement in [
        include_str!("sql/delete_unresolved_misses.sql"),
        include_str!("sql/hand_up_misses.sql"),
        include_str!("sql/count_misses.sql"),
        include_str!("sql/delete_old_partitions.sql"),
    ] {
        act.run(sqlx::query(statement).bind(source).bind(cycle)).await?;
    }
    for statement in [
        include_str!("sql/forget_dropping_partitions.sql"),
        include_str!("sql/count_collisions.sql"),
        include_str!("sql/resolve_collisions.sql"),
    ] {
        act.run(sqlx::query(statement).bind(source)).await?;
    }
    for statement in [
        include_str!("sql/forget_deltas.sql"),
        include_str!("sql/note_planned_sweep.sql"),
    ] {
        act.run(sqlx::query(statement).bind(source).bind(cycle)).await?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) async fn sweep(
    store: &PostgresStore,
    cycle: (i64, i64),
    confirm_cycles: u32,
    limit: u32,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let confirm = i32::try_from(confirm_cycles.max(1)).unwrap_or(i32::MAX);
    let mut tries = Tries::default();
    loop {
        match step(store, cycle, confirm, limit, now).await {
            Err(error) => tries.again(error).await?,
            // These candidates were already gone: there may be more after them.
            Ok(Some(0)) => {}
            Ok(removed) => return Ok(removed.unwrap_or(0)),
        }
    }
}

/// One transaction of a sweep: how many entities went, none if there are no candidates. Deltas wait for it: one that sees a
/// candidate alive takes it off the list, before it is taken here or after it went.
async fn step(
    store: &PostgresStore,
    (source, cycle): (i64, i64),
    confirm: i32,
    limit: u32,
    now: Timestamp,
) -> Result<Option<u64>, StoreError> {
    let mut act = store.writing("sweep").await?;
    act.begin_with(&delta::lock(SourceId(source), "")).await?;
    if !matches!(act.lock_cycle(source, cycle).await?, Some((CycleState::Sweeping, true))) {
        act.rollback().await?;
        return Ok(None);
    }
    let statement = sqlx::query(include_str!("sql/take_candidates.sql")).bind(source);
    let statement = statement.bind(confirm).bind(i64::from(limit.max(1))).bind(cycle);
    let rows = act.rows(statement).await?;
    if rows.is_empty() {
        act.rollback().await?;
        return Ok(None);
    }
    let doomed = rows
        .iter()
        .map(|row| column(row, "ref"))
        .collect::<Result<Vec<String>, _>>()?;
    let removed = act.remove_entities(source, &doomed, now).await?;
    let statement = sqlx::query(include_str!("sql/count_removed.sql"))
        .bind(source)
        .bind(cycle);
    act.run(statement.bind(i64::try_from(removed).unwrap_or(i64::MAX)))
        .await?;
    act.commit().await?;
    Ok(Some(removed))
}

impl Act {
    /// Turns the live entities among these into tombstones; returns how many. The change feed waits for this
    /// transaction.
    pub(super) async fn remove_entities(
        &mut self,
        source: i64,
        references: &[String],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.run(sqlx::query(include_str!("sql/lock_sequence.sql"))).await?;
        let statement = sqlx::query(include_str!("sql/remove_entities.sql"));
        let row = self.row(statement.bind(source).bind(references).bind(now.0)).await?;
        row.map_or(Ok(0), |row| count(&row, "removed"))
    }
}

pub(super) async fn hold(
    store: &PostgresStore,
    (source, cycle): (i64, i64),
    plan: SweepPlan,
    reason: &str,
    next_cycle_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut act = store.writing("hold a sweep").await?;
    act.begin().await?;
    act.lock_sources(&[source]).await?;
    if !matches!(act.lock_cycle(source, cycle).await?, Some((CycleState::Sweeping, _))) {
        act.rollback().await?;
        return Ok(false);
    }
    let held_since = act
        .row(sqlx::query(include_str!("sql/find_held_since.sql")).bind(source))
        .await?;
    act.finish_cycle(source, cycle, CycleState::Held, Some(reason), now)
        .await?;
    let statement = sqlx::query(include_str!("sql/supersede_held_cycle.sql")).bind(source);
    act.run(statement.bind(cycle).bind(format!("superseded by cycle {cycle}")))
        .await?;
    let statement = sqlx::query(include_str!("sql/note_held_sweep.sql"))
        .bind(source)
        .bind(cycle)
        .bind(storable(reason))
        .bind(signed(plan.candidates))
        .bind(signed(plan.owned_before()))
        .bind(now.0)
        .bind(next_cycle_at.map(|at| at.0));
    act.run(statement).await?;
    // Afterwards: the event of this hold has its own moment.
    if let Some(row) = held_since {
        let since = column::<i64>(&row, "held_at")?;
        let statement = sqlx::query(include_str!("sql/keep_held_since.sql"));
        act.run(statement.bind(source).bind(since)).await?;
    }
    act.commit().await?;
    Ok(true)
}
