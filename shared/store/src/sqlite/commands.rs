//! Operators' commands on a source.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::failure::failed;
use super::partitions::cancel_running_cycle;
use super::rows::{optional_word, word, word_of};
use super::sources::no_source;
use super::{SqliteStore, begin, commit, sql};
use crate::standing::Standing;
use crate::{SourceCommand, StoreError};
use tideline_core::words::Timestamp;
use tideline_core::words::cancellation::{BY_PERSON, RESET};

const ACT: &str = "command a source";

fn standing(row: &SqliteRow) -> Result<Standing, sqlx::Error> {
    Ok(Standing {
        id: row.try_get(0)?,
        state: word(row, 1)?,
        cycle: row.try_get(2)?,
        held_cycle: row.try_get(3)?,
        held_state: optional_word(row, 4)?,
        held_removals: row.try_get(5)?,
        pushed: row.try_get(6)?,
    })
}

pub(super) async fn command_source(
    store: &SqliteStore,
    name: &str,
    command: SourceCommand,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut writer = store.writer().await;
    let mut tx = begin(&mut writer, ACT).await?;
    command_in(&mut tx, name, command, now).await?;
    commit(tx, ACT).await
}

/// The same, within a transaction.
pub(super) async fn command_in(
    tx: &mut SqliteConnection,
    name: &str,
    command: SourceCommand,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = query(sql!("find_source_standing"))
        .bind(name)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(ACT))?
        .ok_or_else(|| no_source(name))?;
    let source = standing(&row).map_err(failed(ACT))?;
    let refusal = match source.refusal(command) {
        Some(why) => Some(why),
        None => act(tx, &source, command, now).await?,
    };
    match refusal {
        Some(why) => Err(StoreError::Refused(format!("source {name} {why}"))),
        None => Ok(()),
    }
}

/// Executes a command; returns the reason if it was refused after all.
async fn act(
    tx: &mut SqliteConnection,
    source: &Standing,
    command: SourceCommand,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    match command {
        SourceCommand::Refresh(trigger) => {
            let trigger = word_of(trigger).map_err(failed(ACT))?;
            run(tx, sql!("release_held_jobs"), &[&source.id, &now.0], None).await?;
            run(tx, sql!("refresh_source"), &[&source.id], Some(&trigger)).await?;
        }
        SourceCommand::Pause => {
            run(tx, sql!("pause_source"), &[&source.id], None).await?;
        }
        SourceCommand::Resume => {
            run(tx, sql!("resume_source"), &[&source.id], None).await?;
        }
        SourceCommand::Cancel => {
            let cancelled = cancel_running_cycle(tx, source.id, BY_PERSON, now)
                .await
                .map_err(failed(ACT))?;
            return Ok((!cancelled).then(|| "has no running cycle".to_owned()));
        }
        SourceCommand::Reset | SourceCommand::ResetAndDelete => reset(tx, source, now).await?,
        SourceCommand::ApproveSweep { cycle, removals } => {
            let seen = i64::try_from(removals).unwrap_or(i64::MAX);
            if run(tx, sql!("approve_sweep"), &[&source.id, &cycle.0, &seen], None).await? == 0 {
                return Ok(Some(source.another_sweep(cycle, removals)));
            }
            if let Some(held) = source.resumable() {
                run(tx, sql!("resume_held_cycle"), &[&source.id, &held], None).await?;
            }
        }
        SourceCommand::RejectSweep => {
            run(tx, sql!("keep_misses"), &[&source.id], None).await?;
            end_held(tx, source, "sweep rejected").await?;
        }
    }
    Ok(None)
}

async fn run(
    connection: &mut SqliteConnection,
    statement: &'static str,
    numbers: &[&i64],
    text: Option<&str>,
) -> Result<u64, StoreError> {
    let mut statement = query(statement);
    for number in numbers {
        statement = statement.bind(**number);
    }
    if let Some(text) = text {
        statement = statement.bind(text);
    }
    let done = statement.execute(connection).await.map_err(failed(ACT))?;
    Ok(done.rows_affected())
}

/// Deletes cursors, manifests and misses. Everything that the source owns becomes a suspect, or removals in the
/// meantime would never be noticed.
async fn reset(connection: &mut SqliteConnection, source: &Standing, now: Timestamp) -> Result<(), StoreError> {
    cancel_running_cycle(connection, source.id, RESET, now)
        .await
        .map_err(failed(ACT))?;
    end_held(connection, source, RESET).await?;
    run(connection, sql!("delete_manifests"), &[&source.id], None).await?;
    run(connection, sql!("delete_misses"), &[&source.id], None).await?;
    run(connection, sql!("forget_collisions"), &[&source.id], None).await?;
    run(connection, sql!("suspect_all_entities"), &[&source.id], None).await?;
    run(connection, sql!("forget_cursors"), &[&source.id], None).await?;
    Ok(())
}

/// A held cycle is complete without its sweep.
async fn end_held(connection: &mut SqliteConnection, source: &Standing, reason: &str) -> Result<(), StoreError> {
    if let Some(held) = source.held_cycle {
        run(
            connection,
            sql!("complete_held_cycle"),
            &[&source.id, &held],
            Some(reason),
        )
        .await?;
        run(connection, sql!("clear_held_sweep"), &[&source.id, &held], None).await?;
    }
    Ok(())
}
