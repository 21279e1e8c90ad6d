//! Manifests: the memory of each page, and what it marks.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::collisions::add_suspects;
use super::failure::{broken, failed};
use super::manifest::{pack_hashes, unpack_hashes};
use super::rows::{count, fingerprint, json, moment, optional_fingerprint, to_json};
use super::sweep::add_misses;
use super::{SqliteStore, sql};
use crate::StoreError;
use tideline_core::words::{
    Entity, JobId, KeyHash, MalformedItem, PageBatch, PageMemory, PageWrite, Timestamp, Validators,
};

pub(super) async fn list_page_memories(
    store: &SqliteStore,
    partition: JobId,
    from: u32,
    limit: u32,
) -> Result<Vec<PageMemory>, StoreError> {
    const ACT: &str = "list page memories";
    let rows = query(sql!("list_page_memories"))
        .bind(partition.0)
        .bind(from)
        .bind(i64::from(from) + i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed(ACT))?;
    memories(store, &rows).await.map_err(failed(ACT))
}

/// The page memories in these rows of one partition; without the content for pages with a key of a delta.
pub(super) async fn memories(store: &SqliteStore, rows: &[SqliteRow]) -> Result<Vec<PageMemory>, sqlx::Error> {
    let stale = stale_pages(store, rows).await?;
    let known = rows.iter().map(memory).collect::<Result<Vec<_>, _>>()?;
    let fresh = |memory: PageMemory| {
        if stale.contains(&memory.page) {
            memory.without_content()
        } else {
            memory
        }
    };
    Ok(known.into_iter().map(fresh).collect())
}

/// The pages with a key that a delta wrote.
async fn stale_pages(store: &SqliteStore, rows: &[SqliteRow]) -> Result<HashSet<u32>, sqlx::Error> {
    let mut stale = HashSet::new();
    for row in rows {
        let Some(hashes) = row.try_get::<Option<&[u8]>, _>(11)? else {
            continue;
        };
        let hashes: Vec<i64> = unpack_hashes(hashes).collect();
        let written = query(sql!("find_deltas"))
            .bind(row.try_get::<i64, _>(12)?)
            .bind(to_json(&hashes)?)
            .fetch_optional(&store.readers)
            .await?;
        if written.is_some() {
            stale.insert(count(row, 0)?);
        }
    }
    Ok(stale)
}

fn memory(row: &SqliteRow) -> Result<PageMemory, sqlx::Error> {
    Ok(PageMemory {
        page: count(row, 0)?,
        fingerprint: fingerprint(row, 1)?,
        entities: count(row, 2)?,
        kept: count(row, 14)?,
        unidentified: count(row, 3)?,
        next: row.try_get(4)?,
        children: json(row, 5)?,
        validators: Validators {
            request: optional_fingerprint(row, 6)?,
            etag: row.try_get(7)?,
            last_modified: row.try_get(8)?,
            content: optional_fingerprint(row, 9)?,
        },
        read_at: moment(row, 10)?,
        lost: (row.try_get::<Option<&[u8]>, _>(13)?)
            .map(|bytes| unpack_hashes(bytes).map(KeyHash).collect())
            .unwrap_or_default(),
    })
}

/// Marks what the manifests of unchanged pages hold.
pub(super) async fn touch_pages(connection: &mut SqliteConnection, batch: &PageBatch) -> Result<(), StoreError> {
    const ACT: &str = "touch pages";
    let mut touched = Vec::new();
    for page in &batch.pages {
        if let PageWrite::Touched { memory, validators } = page {
            touched.push(memory.page);
            if let Some(validators) = validators {
                query(sql!("refresh_validators"))
                    .bind(batch.lease.job.0)
                    .bind(memory.page)
                    .bind(validators.request.as_ref().map(|print| &print.0[..]))
                    .bind(validators.etag.as_deref())
                    .bind(validators.last_modified.as_deref())
                    .bind(validators.content.as_ref().map(|print| &print.0[..]))
                    .bind(memory.next.as_deref())
                    .execute(&mut *connection)
                    .await
                    .map_err(failed(ACT))?;
            }
        }
    }
    if touched.is_empty() {
        return Ok(());
    }
    let done = query(sql!("touch_pages"))
        .bind(batch.lease.job.0)
        .bind(batch.cycle.0)
        .bind(to_json(&touched).map_err(failed(ACT))?)
        .bind(batch.read_to().0)
        .execute(connection)
        .await
        .map_err(failed(ACT))?;
    if done.rows_affected() != touched.len() as u64 {
        return Err(broken(ACT, format!("of pages {touched:?} some have no manifest")));
    }
    Ok(())
}

/// Writes the manifests of changed pages; what a page dropped is recorded as missed until it is seen elsewhere. What it
/// gained although the catalog had it (`live`) is recorded too: another page may show it as well.
pub(super) async fn write_pages(
    connection: &mut SqliteConnection,
    batch: &PageBatch,
    live: &HashSet<i64>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let numbers: Vec<u32> = (batch.pages.iter())
        .filter_map(|page| match page {
            PageWrite::Written { memory, .. } => Some(memory.page),
            PageWrite::Touched { .. } => None,
        })
        .collect();
    if numbers.is_empty() {
        return Ok(());
    }
    let old = query(sql!("list_page_keys"))
        .bind(batch.lease.job.0)
        .bind(to_json(&numbers)?)
        .fetch_all(&mut *connection)
        .await?;
    let mut before: HashMap<u32, Vec<u8>> = HashMap::with_capacity(old.len());
    for row in &old {
        before.insert(count(row, 0)?, row.try_get(1)?);
    }
    let mut dropped = Vec::new();
    let mut suspects: Vec<_> = batch.repeated_keys().into_iter().map(|hash| (hash, 0, 0)).collect();
    let mut malformed_items = false;
    for page in &batch.pages {
        let PageWrite::Written {
            memory,
            entities,
            kept,
            malformed,
            makers,
        } = page
        else {
            continue;
        };
        let old: HashSet<i64> = before
            .get(&memory.page)
            .into_iter()
            .flat_map(|bytes| unpack_hashes(bytes))
            .collect();
        let marked: HashSet<i64> = marks(entities, kept).map(|hash| hash.0).collect();
        dropped.extend(old.difference(&marked));
        let gained = entities.iter().map(|entity| entity.key_hash.0);
        let gained = gained.filter(|hash| live.contains(hash) && !old.contains(hash));
        suspects.extend(gained.map(|hash| (hash, batch.lease.job.0, memory.page)));
        write_page(connection, batch, memory, (entities, kept, makers)).await?;
        for item in malformed {
            insert_malformed(connection, batch, memory.page, item, now).await?;
            malformed_items = true;
        }
    }
    if malformed_items {
        query(sql!("trim_malformed"))
            .bind(batch.source.0)
            .bind(batch.malformed_keep)
            .execute(&mut *connection)
            .await?;
    }
    add_misses(connection, batch.source.0, batch.lease.job.0, &dropped).await?;
    add_suspects(connection, batch.source.0, &suspects).await
}

fn marks<'a>(entities: &'a [Entity], kept: &'a [KeyHash]) -> impl Iterator<Item = KeyHash> + 'a {
    entities
        .iter()
        .map(|entity| entity.key_hash)
        .chain(kept.iter().copied())
}

async fn write_page(
    connection: &mut SqliteConnection,
    batch: &PageBatch,
    memory: &PageMemory,
    (entities, kept, makers): (&[Entity], &[KeyHash], &[KeyHash]),
) -> Result<(), sqlx::Error> {
    let children = if memory.children.is_empty() {
        None
    } else {
        Some(to_json(&memory.children)?)
    };
    query(sql!("write_pages"))
        .bind(batch.lease.job.0)
        .bind(memory.page)
        .bind(batch.source.0)
        .bind(batch.cycle.0)
        .bind(&memory.fingerprint.0[..])
        .bind(memory.entities)
        .bind(memory.unidentified)
        .bind(memory.next.as_deref())
        .bind(children)
        .bind(memory.validators.request.as_ref().map(|print| &print.0[..]))
        .bind(memory.validators.etag.as_deref())
        .bind(memory.validators.last_modified.as_deref())
        .bind(memory.validators.content.as_ref().map(|print| &print.0[..]))
        .bind(pack_hashes(marks(entities, kept).collect::<Vec<_>>().into_iter()))
        .bind(batch.read_to().0)
        .bind(i64::try_from(kept.len()).unwrap_or(i64::MAX))
        .bind((!makers.is_empty()).then(|| pack_hashes(makers.iter().copied())))
        .execute(connection)
        .await
        .map(drop)
}

async fn insert_malformed(
    connection: &mut SqliteConnection,
    batch: &PageBatch,
    page: u32,
    item: &MalformedItem,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    query(sql!("insert_malformed"))
        .bind(batch.source.0)
        .bind(batch.cycle.0)
        .bind(&batch.partition)
        .bind(page)
        .bind(item.reference.as_ref().map(|reference| reference.as_str()))
        .bind(&item.error)
        .bind(&item.sample)
        .bind(now.0)
        .execute(connection)
        .await
        .map(drop)
}
