use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::act::Act;
use super::commands;
use super::conflicts::tried;
use super::error::broken;
use super::rows::{column, count, moment, source_state_of, storable, trigger_of};
use crate::{SourceCommand, SourceStore, SourceSync, StoreError};
use tideline_core::words::cancellation::{CHANGED, ORPHANED, RESET};
use tideline_core::words::{CycleNumber, HeldSweep, SourceId, SourceRecord, SourceSpec, SourceState, Timestamp};

/// Names the lock of `sync_sources` among all locks of the database: `tidesync` in ASCII.
const SYNC_LOCK: i64 = 0x7469_6465_7379_6e63;

#[async_trait]
impl SourceStore for PostgresStore {
    async fn sync_sources(&self, specs: &[SourceSpec], now: Timestamp) -> Result<SourceSync, StoreError> {
        tried(|| sync_once(self, specs, now)).await
    }

    async fn list_sources(&self) -> Result<Vec<SourceRecord>, StoreError> {
        let mut act = self.reading("list sources").await?;
        let statement = sqlx::query(include_str!("sql/list_sources.sql")).bind(None::<&str>);
        act.rows(statement).await?.iter().map(source_record).collect()
    }

    async fn find_source(&self, name: &str) -> Result<Option<SourceRecord>, StoreError> {
        let mut act = self.reading("find a source").await?;
        let statement = sqlx::query(include_str!("sql/list_sources.sql")).bind(Some(name));
        act.row(statement).await?.as_ref().map(source_record).transpose()
    }

    async fn command_source(&self, name: &str, command: SourceCommand, now: Timestamp) -> Result<(), StoreError> {
        commands::command_source(self, name, command, now).await
    }

    async fn hold_back(&self, source: SourceId, until: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("hold back a source").await?;
        let statement = sqlx::query(include_str!("sql/hold_source.sql"));
        act.run(statement.bind(source.0).bind(until.0)).await?;
        Ok(())
    }

    async fn block_source(&self, source: SourceId, reason: &str) -> Result<(), StoreError> {
        let mut act = self.writing("block a source").await?;
        let statement = sqlx::query(include_str!("sql/block_source.sql"));
        act.run(statement.bind(source.0).bind(storable(reason))).await?;
        Ok(())
    }

    async fn delete_source_entities(&self, name: &str, limit: u32, now: Timestamp) -> Result<u64, StoreError> {
        let mut act = self.writing("delete a source's entities").await?;
        act.begin().await?;
        let Some((source, state)) = find_state(&mut act, name)
            .await?
            .filter(|found| !found.2)
            .map(|f| (f.0, f.1))
        else {
            return Err(no_source(name));
        };
        // A page commit in flight would remember what is being deleted now. This also locks the source.
        act.cancel_running_cycle(source, RESET, now).await?;
        // A remembered page would only be touched and never bring its entities back.
        act.run(sqlx::query(include_str!("sql/delete_manifests.sql")).bind(source))
            .await?;
        let statement = sqlx::query(include_str!("sql/find_live_entities.sql")).bind(source);
        let rows = act.rows(statement.bind(i64::from(limit.max(1)))).await?;
        let live = rows
            .iter()
            .map(|row| column(row, "ref"))
            .collect::<Result<Vec<String>, _>>()?;
        if !live.is_empty() {
            act.remove_entities(source, &live, now).await?;
        }
        let row = act
            .row(sqlx::query(include_str!("sql/count_owned.sql")).bind(source))
            .await?;
        let left = row.map_or(Ok(0), |row| count(&row, "owned"))?;
        if left == 0 && state == SourceState::Orphaned {
            act.run(sqlx::query(include_str!("sql/forget_source.sql")).bind(source))
                .await?;
        }
        act.commit().await?;
        Ok(left)
    }
}

pub(super) fn no_source(name: &str) -> StoreError {
    StoreError::NotFound {
        what: "source",
        name: name.to_owned(),
    }
}

/// Row, state, and whether it is forgotten.
async fn find_state(act: &mut Act, name: &str) -> Result<Option<(i64, SourceState, bool)>, StoreError> {
    let statement = sqlx::query(include_str!("sql/find_source_state.sql")).bind(name);
    let row = act.row(statement).await?;
    row.map(|row| {
        let state = source_state_of(column(&row, "state")?)?;
        Ok((column(&row, "id")?, state, column(&row, "forgotten")?))
    })
    .transpose()
}

async fn sync_once(store: &PostgresStore, specs: &[SourceSpec], now: Timestamp) -> Result<SourceSync, StoreError> {
    let mut act = store.writing("synchronise sources").await?;
    act.begin().await?;
    act.run(sqlx::query(include_str!("sql/lock_source_sync.sql")).bind(SYNC_LOCK))
        .await?;
    let mut sync = SourceSync::default();
    for spec in specs {
        sync_source(&mut act, spec, &mut sync, now).await?;
    }
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let orphans = act
        .rows(sqlx::query(include_str!("sql/find_sources_to_orphan.sql")).bind(names))
        .await?;
    for row in &orphans {
        let source: i64 = column(row, "id")?;
        act.cancel_running_cycle(source, ORPHANED, now).await?;
        act.run(sqlx::query(include_str!("sql/orphan_source.sql")).bind(source))
            .await?;
        sync.orphaned.push(column(row, "name")?);
    }
    act.commit().await?;
    Ok(sync)
}

async fn sync_source(
    act: &mut Act,
    spec: &SourceSpec,
    sync: &mut SourceSync,
    now: Timestamp,
) -> Result<(), StoreError> {
    let parallel = i32::try_from(spec.parallel_partitions.max(1)).unwrap_or(i32::MAX);
    let statement = sqlx::query(include_str!("sql/find_source_state.sql")).bind(&spec.name);
    let Some(row) = act.row(statement).await? else {
        let statement = sqlx::query(include_str!("sql/insert_source.sql"))
            .bind(&spec.name)
            .bind(&spec.source_type)
            .bind(&spec.identity.0[..])
            .bind(parallel)
            .bind(now.0);
        let row = act.row(statement).await?;
        let row = row.ok_or_else(|| broken("synchronise sources", "no number for a new source"))?;
        sync.added.push(spec.name.clone());
        sync.ids.push((spec.name.clone(), SourceId(column(&row, "id")?)));
        return Ok(());
    };
    let source: i64 = column(&row, "id")?;
    let forgotten: bool = column(&row, "forgotten")?;
    let changed = !forgotten && column::<&[u8]>(&row, "identity")? != &spec.identity.0[..];
    if forgotten {
        sync.added.push(spec.name.clone());
    } else if changed {
        act.cancel_running_cycle(source, CHANGED, now).await?;
        sync.restarted.push(spec.name.clone());
    }
    let statement = sqlx::query(include_str!("sql/update_source.sql"))
        .bind(source)
        .bind(&spec.source_type)
        .bind(&spec.identity.0[..])
        .bind(parallel)
        .bind(changed);
    act.run(statement).await?;
    act.open_places(&[source], now).await?;
    sync.ids.push((spec.name.clone(), SourceId(source)));
    Ok(())
}

fn source_record(row: &PgRow) -> Result<SourceRecord, StoreError> {
    let number = |name| Ok::<_, StoreError>(column::<Option<i64>>(row, name)?.and_then(|n| u64::try_from(n).ok()));
    let held = match column::<Option<i64>>(row, "held_cycle")? {
        None => None,
        Some(cycle) => Some(HeldSweep {
            cycle: CycleNumber(cycle),
            reason: column::<Option<String>>(row, "held_reason")?.unwrap_or_default(),
            would_remove: number("held_removals")?.unwrap_or_default(),
            owned: number("held_owned")?.unwrap_or_default(),
            held_at: moment(row, "held_at")?.unwrap_or_default(),
            approved: column(row, "approved")?,
            since_cycle: column::<Option<i64>>(row, "held_since_cycle")?.map(CycleNumber),
        }),
    };
    Ok(SourceRecord {
        id: SourceId(column(row, "id")?),
        name: column(row, "name")?,
        source_type: column(row, "source_type")?,
        state: source_state_of(column(row, "state")?)?,
        blocked_reason: column(row, "blocked_reason")?,
        cycle: CycleNumber(column(row, "cycle")?),
        cycle_ended_at: moment(row, "cycle_ended_at")?,
        next_cycle_at: moment(row, "next_cycle_at")?,
        requested: column::<Option<&str>>(row, "requested")?.map(trigger_of).transpose()?,
        hold_until: moment(row, "hold_until")?,
        entities: count(row, "entities")?,
        held,
    })
}
