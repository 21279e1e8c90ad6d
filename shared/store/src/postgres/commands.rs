//! Operators' commands on a source.

use super::PostgresStore;
use super::act::Act;
use super::conflicts::Tries;
use super::rows::{column, cycle_state_of, source_state_of, trigger_text};
use super::sources::no_source;
use crate::standing::Standing;
use crate::{SourceCommand, StoreError};
use tideline_core::words::Timestamp;
use tideline_core::words::cancellation::{BY_PERSON, RESET};

/// Why a command is refused.
type Refusal = Option<String>;

pub(super) async fn command_source(
    store: &PostgresStore,
    name: &str,
    command: SourceCommand,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tries = Tries::default();
    loop {
        let mut act = store.writing("command a source").await?;
        act.begin().await?;
        match command_once(&mut act, name, command, now).await {
            Ok(None) => return act.commit().await,
            Ok(Some(why)) => {
                act.rollback().await?;
                return Err(StoreError::Refused(format!("source {name} {why}")));
            }
            Err(error) => tries.again(error).await?,
        }
    }
}

/// The same, within a transaction.
pub(super) async fn command_in(
    act: &mut Act,
    name: &str,
    command: SourceCommand,
    now: Timestamp,
) -> Result<(), StoreError> {
    match command_once(act, name, command, now).await? {
        None => Ok(()),
        Some(why) => Err(StoreError::Refused(format!("source {name} {why}"))),
    }
}

async fn command_once(
    act: &mut Act,
    name: &str,
    command: SourceCommand,
    now: Timestamp,
) -> Result<Refusal, StoreError> {
    let found = find(act, name).await?;
    match command {
        SourceCommand::Cancel => {
            let cancelled = act.cancel_running_cycle(found.id, BY_PERSON, now).await?;
            return Ok((!cancelled).then(|| "has no running cycle".to_owned()));
        }
        SourceCommand::Reset | SourceCommand::ResetAndDelete => {
            act.cancel_running_cycle(found.id, RESET, now).await?;
            let source = find(act, name).await?;
            reset(act, &source).await?;
            return Ok(None);
        }
        _ => {}
    }
    act.lock_sources(&[found.id]).await?;
    // Its current state, now that the row is locked.
    let source = find(act, name).await?;
    if let Some(why) = source.refusal(command) {
        return Ok(Some(why));
    }
    match command {
        SourceCommand::Refresh(trigger) => {
            let statement = sqlx::query(include_str!("sql/release_held_jobs.sql")).bind(source.id);
            act.run(statement.bind(now.0)).await?;
            let statement = sqlx::query(include_str!("sql/refresh_source.sql")).bind(source.id);
            act.run(statement.bind(trigger_text(trigger))).await?;
        }
        SourceCommand::Pause => {
            act.run(sqlx::query(include_str!("sql/pause_source.sql")).bind(source.id))
                .await?;
        }
        SourceCommand::Resume => {
            act.run(sqlx::query(include_str!("sql/resume_source.sql")).bind(source.id))
                .await?;
        }
        SourceCommand::ApproveSweep { cycle, removals } => {
            let statement = sqlx::query(include_str!("sql/approve_sweep.sql")).bind(source.id);
            let statement = statement
                .bind(cycle.0)
                .bind(i64::try_from(removals).unwrap_or(i64::MAX));
            if act.run(statement).await? == 0 {
                return Ok(Some(source.another_sweep(cycle, removals)));
            }
            if let Some(held) = source.resumable() {
                let statement = sqlx::query(include_str!("sql/resume_held_cycle.sql")).bind(source.id);
                act.run(statement.bind(held)).await?;
            }
        }
        SourceCommand::RejectSweep => {
            act.run(sqlx::query(include_str!("sql/keep_misses.sql")).bind(source.id))
                .await?;
            end_held(act, &source, "sweep rejected").await?;
        }
        SourceCommand::Cancel | SourceCommand::Reset | SourceCommand::ResetAndDelete => {}
    }
    Ok(None)
}

async fn find(act: &mut Act, name: &str) -> Result<Standing, StoreError> {
    let statement = sqlx::query(include_str!("sql/find_source_standing.sql")).bind(name);
    let row = act.row(statement).await?.ok_or_else(|| no_source(name))?;
    Ok(Standing {
        id: column(&row, "id")?,
        state: source_state_of(column(&row, "state")?)?,
        cycle: column(&row, "cycle")?,
        held_cycle: column(&row, "held_cycle")?,
        held_state: column::<Option<&str>>(&row, "held_state")?
            .map(cycle_state_of)
            .transpose()?,
        pushed: column(&row, "pushed")?,
        held_removals: column(&row, "held_removals")?,
    })
}

/// Deletes cursors, manifests and misses. Everything that the source owns becomes a suspect, or removals in the
/// meantime would never be noticed.
async fn reset(act: &mut Act, source: &Standing) -> Result<(), StoreError> {
    end_held(act, source, RESET).await?;
    for statement in [
        include_str!("sql/delete_manifests.sql"),
        include_str!("sql/delete_misses.sql"),
        include_str!("sql/forget_collisions.sql"),
        include_str!("sql/suspect_all_entities.sql"),
        include_str!("sql/forget_cursors.sql"),
    ] {
        act.run(sqlx::query(statement).bind(source.id)).await?;
    }
    Ok(())
}

/// A held cycle is complete without its sweep.
async fn end_held(act: &mut Act, source: &Standing, reason: &'static str) -> Result<(), StoreError> {
    if let Some(held) = source.held_cycle {
        let statement = sqlx::query(include_str!("sql/complete_held_cycle.sql")).bind(source.id);
        act.run(statement.bind(held).bind(reason)).await?;
        let statement = sqlx::query(include_str!("sql/clear_held_sweep.sql")).bind(source.id);
        act.run(statement.bind(held)).await?;
    }
    Ok(())
}
