//! The end of a complete cycle. Misses are found once per cycle by set differences of key hashes; neither all hashes
//! nor all misses are ever in memory.

use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query, query_scalar};

use super::collisions::count_collisions;
use super::entities::{Doomed, remove_entities};
use super::failure::failed;
use super::manifest::unpack_hashes;
use super::rows::{count, optional_count, to_json, word};
use super::{SqliteStore, begin, commit, sql};
use crate::StoreError;
use tideline_core::words::{CycleNumber, CycleState, SourceId, SweepPlan, Timestamp};

/// Number of misses compared with the manifests at a time.
const CHUNK: u32 = 100_000;
/// Number of old manifests turned into misses at a time.
const OLD_PAGES: u32 = 50;

pub(super) async fn plan_sweep(
    store: &SqliteStore,
    source: SourceId,
    cycle: CycleNumber,
    confirm_cycles: u32,
) -> Result<Option<SweepPlan>, StoreError> {
    const ACT: &str = "plan a sweep";
    let mut writer = store.writer().await;
    let mut tx = begin(&mut writer, ACT).await?;
    let plan = async {
        let Some(planned) = sweeping(&mut tx, source, cycle).await? else {
            return Ok(None);
        };
        if !planned {
            find_misses(&mut tx, source.0, cycle.0).await?;
        }
        let row = query(sql!("count_sweep"))
            .bind(source.0)
            .bind(cycle.0)
            .bind(confirm_cycles)
            .fetch_one(&mut *tx)
            .await?;
        let plan = SweepPlan {
            owned: count(&row, 0)?,
            marked: count(&row, 1)?,
            candidates: count(&row, 2)?,
            approved: optional_count(&row, 3)?,
            kept: count(&row, 4)?,
            unconfirmed: count(&row, 5)?,
            collisions: count(&row, 6)?,
            fresh: count(&row, 7)?,
        };
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        query(sql!("note_kept_entities"))
            .bind(source.0)
            .bind(cycle.0)
            .bind(signed(plan.kept))
            .bind(signed(plan.unconfirmed))
            .bind(signed(plan.collisions))
            .execute(&mut *tx)
            .await?;
        Ok(Some(plan))
    };
    let plan = plan.await.map_err(failed(ACT))?;
    commit(tx, ACT).await?;
    Ok(plan)
}

/// Whether the cycle sweeps, and if so whether its misses are counted.
async fn sweeping(
    connection: &mut SqliteConnection,
    source: SourceId,
    cycle: CycleNumber,
) -> Result<Option<bool>, sqlx::Error> {
    let row = query(sql!("find_cycle"))
        .bind(source.0)
        .bind(cycle.0)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let state: CycleState = word(&row, 0)?;
    Ok(if state == CycleState::Sweeping {
        Some(row.try_get(1)?)
    } else {
        None
    })
}

async fn find_misses(connection: &mut SqliteConnection, source: i64, cycle: i64) -> Result<(), sqlx::Error> {
    run(connection, sql!("keep_partitions"), source, cycle).await?;
    miss_old_pages(connection, source, cycle).await?;
    forget_marked_misses(connection, source).await?;
    run(connection, sql!("forget_deltas"), source, cycle).await?;
    let unresolved: bool = query_scalar(sql!("find_unresolved_misses"))
        .bind(source)
        .fetch_one(&mut *connection)
        .await?;
    if unresolved {
        query(sql!("resolve_misses"))
            .bind(source)
            .execute(&mut *connection)
            .await?;
        run(connection, sql!("delete_unresolved_misses"), source, cycle).await?;
    }
    for statement in [
        sql!("hand_up_misses"),
        sql!("count_misses"),
        sql!("delete_old_partitions"),
        sql!("forget_dropping_partitions"),
        sql!("note_planned_sweep"),
    ] {
        run(connection, statement, source, cycle).await?;
    }
    count_collisions(connection, source).await
}

/// A statement about a cycle of a source.
async fn run(
    connection: &mut SqliteConnection,
    statement: &'static str,
    source: i64,
    cycle: i64,
) -> Result<(), sqlx::Error> {
    query(statement)
        .bind(source)
        .bind(cycle)
        .execute(connection)
        .await
        .map(drop)
}

/// Records entities on pages that this cycle did not reach as missed, and deletes those manifests.
async fn miss_old_pages(connection: &mut SqliteConnection, source: i64, cycle: i64) -> Result<(), sqlx::Error> {
    loop {
        let old = query(sql!("find_old_pages"))
            .bind(source)
            .bind(cycle)
            .bind(OLD_PAGES)
            .fetch_all(&mut *connection)
            .await?;
        if old.is_empty() {
            return Ok(());
        }
        let mut dropped: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let mut pages: Vec<(i64, i64)> = Vec::with_capacity(old.len());
        for row in &old {
            let partition = row.try_get(0)?;
            pages.push((partition, row.try_get(1)?));
            dropped
                .entry(partition)
                .or_default()
                .extend(unpack_hashes(row.try_get(2)?));
        }
        for (partition, hashes) in &dropped {
            add_misses(connection, source, *partition, hashes).await?;
        }
        query(sql!("delete_pages"))
            .bind(to_json(&pages)?)
            .execute(&mut *connection)
            .await?;
    }
}

/// Records that a page of a partition dropped these.
pub(super) async fn add_misses(
    connection: &mut SqliteConnection,
    source: i64,
    partition: i64,
    hashes: &[i64],
) -> Result<(), sqlx::Error> {
    if hashes.is_empty() {
        return Ok(());
    }
    query(sql!("insert_misses"))
        .bind(source)
        .bind(to_json(&hashes)?)
        .bind(partition)
        .execute(connection)
        .await
        .map(drop)
}

/// Deletes misses that another page has: one of this cycle, or of a kept partition.
async fn forget_marked_misses(connection: &mut SqliteConnection, source: i64) -> Result<(), sqlx::Error> {
    let mut after = None;
    loop {
        let chunk: Vec<i64> = query_scalar(sql!("list_misses"))
            .bind(source)
            .bind(after)
            .bind(CHUNK)
            .fetch_all(&mut *connection)
            .await?;
        let Some(last) = chunk.last().copied() else {
            return Ok(());
        };
        let suspects: HashSet<i64> = chunk.into_iter().collect();
        let mut seen = HashSet::new();
        let mut manifests = query(sql!("list_marks")).bind(source).fetch(&mut *connection);
        while let Some(row) = manifests.try_next().await? {
            seen.extend(unpack_hashes(row.try_get(2)?).filter(|hash| suspects.contains(hash)));
        }
        drop(manifests);
        if !seen.is_empty() {
            query(sql!("delete_marked_misses"))
                .bind(source)
                .bind(to_json(&seen)?)
                .execute(&mut *connection)
                .await?;
        }
        after = Some(last);
    }
}

pub(super) async fn sweep(
    store: &SqliteStore,
    source: SourceId,
    cycle: CycleNumber,
    confirm_cycles: u32,
    limit: u32,
    now: Timestamp,
) -> Result<u64, StoreError> {
    const ACT: &str = "sweep";
    let mut writer = store.writer().await;
    let mut tx = begin(&mut writer, ACT).await?;
    let removal = async {
        if sweeping(&mut tx, source, cycle).await? != Some(true) {
            return Ok(0);
        }
        let candidates = query(sql!("find_candidates"))
            .bind(source.0)
            .bind(confirm_cycles)
            .bind(limit)
            .bind(cycle.0)
            .fetch_all(&mut *tx)
            .await?;
        let doomed = candidates.iter().map(Doomed::read).collect::<Result<Vec<_>, _>>()?;
        let removed = i64::try_from(doomed.len()).unwrap_or(i64::MAX);
        remove_entities(&mut tx, source.0, &doomed, now).await?;
        query(sql!("count_removed"))
            .bind(source.0)
            .bind(cycle.0)
            .bind(removed)
            .execute(&mut *tx)
            .await?;
        Ok(doomed.len() as u64)
    };
    let removed = removal.await.map_err(failed(ACT))?;
    commit(tx, ACT).await?;
    Ok(removed)
}

pub(super) async fn hold_sweep(
    store: &SqliteStore,
    (source, cycle): (SourceId, CycleNumber),
    plan: SweepPlan,
    reason: &str,
    next_cycle_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const ACT: &str = "hold a sweep";
    let mut writer = store.writer().await;
    let mut tx = begin(&mut writer, ACT).await?;
    let holding = async {
        if sweeping(&mut tx, source, cycle).await?.is_none() {
            return Ok(false);
        }
        let held_since: Option<i64> = query_scalar(sql!("find_held_since"))
            .bind(source.0)
            .fetch_optional(&mut *tx)
            .await?;
        query(sql!("supersede_held_cycle"))
            .bind(source.0)
            .bind(cycle.0)
            .execute(&mut *tx)
            .await?;
        query(sql!("hold_cycle"))
            .bind(source.0)
            .bind(cycle.0)
            .bind(reason)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
        query(sql!("note_held_sweep"))
            .bind(source.0)
            .bind(cycle.0)
            .bind(reason)
            .bind(i64::try_from(plan.candidates).unwrap_or(i64::MAX))
            .bind(i64::try_from(plan.owned_before()).unwrap_or(i64::MAX))
            .bind(now.0)
            .bind(next_cycle_at.map(|moment| moment.0))
            .execute(&mut *tx)
            .await?;
        // Afterwards: the event of this hold has its own moment.
        if let Some(since) = held_since {
            query(sql!("keep_held_since"))
                .bind(source.0)
                .bind(since)
                .execute(&mut *tx)
                .await?;
        }
        Ok(true)
    };
    let held = holding.await.map_err(failed(ACT))?;
    commit(tx, ACT).await?;
    Ok(held)
}
