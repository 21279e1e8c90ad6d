use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::commands::command_source;
use super::entities::{Doomed, remove_entities};
use super::failure::failed;
use super::partitions::{cancel_running_cycle, open_places};
use super::rows::{count, fingerprint, optional_count, optional_moment, optional_word, to_json, word};
use super::{SqliteStore, begin, commit, sql};
use crate::{SourceCommand, SourceStore, SourceSync, StoreError};
use tideline_core::words::cancellation::{CHANGED, ORPHANED, RESET};
use tideline_core::words::{CycleNumber, HeldSweep, SourceId, SourceRecord, SourceSpec, SourceState, Timestamp};

#[async_trait]
impl SourceStore for SqliteStore {
    async fn sync_sources(&self, specs: &[SourceSpec], now: Timestamp) -> Result<SourceSync, StoreError> {
        const ACT: &str = "synchronise sources";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let mut sync = SourceSync::default();
        for spec in specs {
            sync_source(&mut tx, spec, &mut sync, now).await.map_err(failed(ACT))?;
        }
        orphan_others(&mut tx, specs, &mut sync, now)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(sync)
    }

    async fn list_sources(&self) -> Result<Vec<SourceRecord>, StoreError> {
        const ACT: &str = "list sources";
        let rows = query(sql!("list_sources"))
            .bind(None::<&str>)
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        rows.iter()
            .map(source_record)
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn find_source(&self, name: &str) -> Result<Option<SourceRecord>, StoreError> {
        const ACT: &str = "find a source";
        let row = query(sql!("list_sources"))
            .bind(name)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed(ACT))?;
        row.as_ref().map(source_record).transpose().map_err(failed(ACT))
    }

    async fn command_source(&self, name: &str, command: SourceCommand, now: Timestamp) -> Result<(), StoreError> {
        command_source(self, name, command, now).await
    }

    async fn hold_back(&self, source: SourceId, until: Timestamp) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        query(sql!("hold_source"))
            .bind(source.0)
            .bind(until.0)
            .execute(&mut *writer)
            .await
            .map_err(failed("hold back a source"))?;
        Ok(())
    }

    async fn block_source(&self, source: SourceId, reason: &str) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        query(sql!("block_source"))
            .bind(source.0)
            .bind(reason)
            .execute(&mut *writer)
            .await
            .map_err(failed("block a source"))?;
        Ok(())
    }

    async fn delete_source_entities(&self, name: &str, limit: u32, now: Timestamp) -> Result<u64, StoreError> {
        const ACT: &str = "delete a source's entities";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let found = query(sql!("find_source_state"))
            .bind(name)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        let Some(found) = found else {
            return Err(no_source(name));
        };
        let delete = async {
            let (source, state): (i64, SourceState) = (found.try_get(0)?, word(&found, 1)?);
            cancel_running_cycle(&mut tx, source, RESET, now).await?;
            // A remembered page would only be touched and never bring its entities back.
            query(sql!("delete_manifests")).bind(source).execute(&mut *tx).await?;
            let live = query(sql!("find_live_entities"))
                .bind(source)
                .bind(limit)
                .fetch_all(&mut *tx)
                .await?;
            let doomed = live.iter().map(Doomed::read).collect::<Result<Vec<_>, _>>()?;
            let left = remove_entities(&mut tx, source, &doomed, now).await?;
            if left == 0 && state == SourceState::Orphaned {
                query(sql!("remember_former_source"))
                    .bind(source)
                    .execute(&mut *tx)
                    .await?;
                query(sql!("delete_source")).bind(source).execute(&mut *tx).await?;
            }
            Ok(left)
        };
        let left = delete.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(left)
    }
}

pub(super) fn no_source(name: &str) -> StoreError {
    StoreError::NotFound {
        what: "source",
        name: name.to_owned(),
    }
}

async fn sync_source(
    connection: &mut SqliteConnection,
    spec: &SourceSpec,
    sync: &mut SourceSync,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let known = query(sql!("find_source_state"))
        .bind(&spec.name)
        .fetch_optional(&mut *connection)
        .await?;
    let (source, restart) = match known {
        None => {
            let source: i64 = sqlx::query_scalar(sql!("insert_source"))
                .bind(&spec.name)
                .bind(&spec.source_type)
                .bind(&spec.identity.0[..])
                .bind(spec.parallel_partitions.max(1))
                .bind(now.0)
                .fetch_one(&mut *connection)
                .await?;
            sync.added.push(spec.name.clone());
            (source, false)
        }
        Some(row) => {
            let source: i64 = row.try_get(0)?;
            let changed = fingerprint(&row, 2)? != spec.identity;
            if changed {
                cancel_running_cycle(connection, source, CHANGED, now).await?;
                sync.restarted.push(spec.name.clone());
            }
            (source, changed)
        }
    };
    let cycle: i64 = sqlx::query_scalar(sql!("update_source"))
        .bind(source)
        .bind(&spec.source_type)
        .bind(&spec.identity.0[..])
        .bind(spec.parallel_partitions.max(1))
        .bind(restart)
        .fetch_one(&mut *connection)
        .await?;
    open_places(connection, source, cycle, now).await?;
    sync.ids.push((spec.name.clone(), SourceId(source)));
    Ok(())
}

async fn orphan_others(
    connection: &mut SqliteConnection,
    specs: &[SourceSpec],
    sync: &mut SourceSync,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let orphans = query(sql!("find_sources_to_orphan"))
        .bind(to_json(&names)?)
        .fetch_all(&mut *connection)
        .await?;
    for row in &orphans {
        let source: i64 = row.try_get(0)?;
        cancel_running_cycle(connection, source, ORPHANED, now).await?;
        query(sql!("orphan_source"))
            .bind(source)
            .execute(&mut *connection)
            .await?;
        sync.orphaned.push(row.try_get(1)?);
    }
    Ok(())
}

fn source_record(row: &SqliteRow) -> Result<SourceRecord, sqlx::Error> {
    let held = match row.try_get::<Option<i64>, _>(10)? {
        None => None,
        Some(cycle) => Some(HeldSweep {
            cycle: CycleNumber(cycle),
            reason: row.try_get::<Option<String>, _>(11)?.unwrap_or_default(),
            would_remove: optional_count(row, 12)?.unwrap_or_default(),
            owned: optional_count(row, 13)?.unwrap_or_default(),
            held_at: optional_moment(row, 14)?.unwrap_or_default(),
            approved: row.try_get(15)?,
            since_cycle: row.try_get::<Option<i64>, _>(17)?.map(CycleNumber),
        }),
    };
    Ok(SourceRecord {
        id: SourceId(row.try_get(0)?),
        name: row.try_get(1)?,
        source_type: row.try_get(2)?,
        state: word(row, 3)?,
        blocked_reason: row.try_get(4)?,
        cycle: CycleNumber(row.try_get(5)?),
        cycle_ended_at: optional_moment(row, 16)?,
        next_cycle_at: optional_moment(row, 6)?,
        requested: optional_word(row, 7)?,
        hold_until: optional_moment(row, 8)?,
        entities: count(row, 9)?,
        held,
    })
}
