//! What a person asks of a source.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::failure::failed;
use super::partitions::cancel_running_cycle;
use super::rows::{optional_word, word, word_of};
use super::sources::no_source;
use super::{SqliteStore, begin, commit, sql};
use crate::store::{SourceCommand, StoreError};
use crate::words::{CycleState, SourceState, Timestamp};

const ACT: &str = "command a source";

/// The row that a command decides on.
struct Standing {
    id: i64,
    state: SourceState,
    cycle: i64,
    held_cycle: Option<i64>,
    held_state: Option<CycleState>,
}

impl Standing {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            state: word(row, 1)?,
            cycle: row.try_get(2)?,
            held_cycle: row.try_get(3)?,
            held_state: optional_word(row, 4)?,
        })
    }
}

pub(super) async fn command_source(
    store: &SqliteStore,
    name: &str,
    command: SourceCommand,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut writer = store.writer().await;
    let mut tx = begin(&mut writer, ACT).await?;
    let row = query(sql!("find_source_standing"))
        .bind(name)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(ACT))?
        .ok_or_else(|| no_source(name))?;
    let source = Standing::read(&row).map_err(failed(ACT))?;
    let refusal = match command {
        SourceCommand::Refresh(trigger) => {
            refuse_orphan(&source)?;
            let trigger = word_of(trigger).map_err(failed(ACT))?;
            run(&mut tx, sql!("refresh_source"), &[&source.id], Some(&trigger)).await?;
            None
        }
        SourceCommand::Pause => {
            refuse_orphan(&source)?;
            run(&mut tx, sql!("pause_source"), &[&source.id], None).await?;
            None
        }
        SourceCommand::Resume if source.state == SourceState::Paused => {
            run(&mut tx, sql!("resume_source"), &[&source.id], None).await?;
            None
        }
        SourceCommand::Resume => Some("it is not paused"),
        SourceCommand::Cancel => {
            let cancelled = cancel_running_cycle(&mut tx, source.id, "cancelled by a person", now)
                .await
                .map_err(failed(ACT))?;
            (!cancelled).then_some("no cycle of it is running")
        }
        SourceCommand::Reset | SourceCommand::ResetAndDelete => {
            reset(&mut tx, &source, now).await?;
            None
        }
        SourceCommand::ApproveSweep => approve(&mut tx, &source).await?,
        SourceCommand::RejectSweep => reject(&mut tx, &source).await?,
    };
    match refusal {
        Some(why) => Err(StoreError::Refused(format!("source {name}: {why}"))),
        None => commit(tx, ACT).await,
    }
}

fn refuse_orphan(source: &Standing) -> Result<(), StoreError> {
    if source.state == SourceState::Orphaned {
        return Err(StoreError::Refused(
            "the source is no longer in the configuration; its entities can be deleted with sources reset --delete"
                .to_owned(),
        ));
    }
    Ok(())
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

/// Forgets cursors, manifests and misses. All that the source owns becomes a suspect, or what it dropped in the meantime
/// would never be noticed.
async fn reset(connection: &mut SqliteConnection, source: &Standing, now: Timestamp) -> Result<(), StoreError> {
    cancel_running_cycle(connection, source.id, "reset by a person", now)
        .await
        .map_err(failed(ACT))?;
    if let Some(held) = source.held_cycle {
        run(
            connection,
            sql!("complete_held_cycle"),
            &[&source.id, &held],
            Some("reset by a person"),
        )
        .await?;
        run(connection, sql!("clear_held_sweep"), &[&source.id, &held], None).await?;
    }
    run(connection, sql!("delete_manifests"), &[&source.id], None).await?;
    run(connection, sql!("delete_misses"), &[&source.id], None).await?;
    run(connection, sql!("suspect_all_entities"), &[&source.id], None).await?;
    run(connection, sql!("forget_cursors"), &[&source.id], None).await?;
    Ok(())
}

async fn approve(connection: &mut SqliteConnection, source: &Standing) -> Result<Option<&'static str>, StoreError> {
    let Some(held) = source.held_cycle else {
        return Ok(Some("no sweep of it is held"));
    };
    if source.state == SourceState::Orphaned {
        return Ok(Some("it is no longer in the configuration"));
    }
    run(connection, sql!("approve_sweep"), &[&source.id], None).await?;
    if source.cycle == held && source.held_state == Some(CycleState::Held) {
        run(connection, sql!("resume_held_cycle"), &[&source.id, &held], None).await?;
    }
    Ok(None)
}

async fn reject(connection: &mut SqliteConnection, source: &Standing) -> Result<Option<&'static str>, StoreError> {
    let Some(held) = source.held_cycle else {
        return Ok(Some("no sweep of it is held"));
    };
    if source.held_state == Some(CycleState::Sweeping) {
        return Ok(Some("its sweep was approved and is being done"));
    }
    run(connection, sql!("keep_misses"), &[&source.id], None).await?;
    run(
        connection,
        sql!("complete_held_cycle"),
        &[&source.id, &held],
        Some("sweep rejected"),
    )
    .await?;
    run(connection, sql!("clear_held_sweep"), &[&source.id, &held], None).await?;
    Ok(None)
}
