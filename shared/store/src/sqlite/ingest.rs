//! The hot path. One transaction per batch of pages: the fence first, then what the pages change, then the cursor.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use serde_json::json;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, query, query_with};

use super::delta::readings_of_deltas;
use super::entities::{Written, write_entities};
use super::failure::{broken, failed};
use super::pages::{list_page_memories, touch_pages, write_pages};
use super::partitions::open_places;
use super::rows::{fingerprint, json, to_json};
use super::{SqliteStore, begin, commit, sql};
use crate::batch::{partition_args, read_partition};
use crate::{IngestStore, StoreError};
use tideline_core::rules::{self, DeltaReadings};
use tideline_core::words::{
    ChangeKind, ChildPartition, Commit, Entity, Fingerprint, JobId, Lease, PageBatch, PageMemory, Progress, SourceId,
    Timestamp,
};

const ACT: &str = "commit pages";

#[async_trait]
impl IngestStore for SqliteStore {
    async fn list_page_memories(&self, partition: JobId, from: u32, limit: u32) -> Result<Vec<PageMemory>, StoreError> {
        list_page_memories(self, partition, from, limit).await
    }

    async fn list_partitions(
        &self,
        source: SourceId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ChildPartition>, StoreError> {
        const ACT: &str = "list partitions";
        let listing = async {
            let rows = query(sql!("list_partitions"))
                .bind(source.0)
                .bind(prefix)
                .bind(limit.clamp(1, 1_000))
                .bind(after.unwrap_or_default())
                .fetch_all(&self.readers)
                .await?;
            let mut found = Vec::with_capacity(rows.len());
            for row in &rows {
                found.extend(read_partition(row.try_get(0)?, row.try_get(1)?));
            }
            Ok(found)
        };
        listing.await.map_err(failed(ACT))
    }

    async fn commit_pages(&self, batch: &PageBatch, now: Timestamp) -> Result<Commit, StoreError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let Some(fence) = Fence::find(&mut tx, batch.lease).await.map_err(failed(ACT))? else {
            return Ok(Commit::LeaseLost);
        };
        if batch.is_committed(&fence.progress, fence.cursor.as_deref()) {
            return Ok(fence.committed(fence.progress, now));
        }
        if fence.progress.next_page != batch.progress.next_page {
            return Err(broken(
                ACT,
                format!(
                    "page {} was to come next, not {}",
                    fence.progress.next_page, batch.progress.next_page
                ),
            ));
        }
        let Some(deltas) = readings_of_deltas(&mut tx, batch).await.map_err(failed(ACT))? else {
            return Ok(Commit::ReadAgain);
        };
        touch_pages(&mut tx, batch).await?;
        let progress = commit_written(&mut tx, batch, &deltas, now)
            .await
            .map_err(failed(ACT))?;
        let children = batch.pages.iter().flat_map(|page| &page.memory().children);
        reveal_children(&mut tx, batch.lease, children, &fence, now)
            .await
            .map_err(failed(ACT))?;
        query(sql!("advance_partition"))
            .bind(batch.lease.job.0)
            .bind(batch.next.as_deref())
            .bind(to_json(&progress).map_err(failed(ACT))?)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(fence.committed(progress, now))
    }

    async fn restart_partition(&self, lease: Lease, now: Timestamp) -> Result<Commit, StoreError> {
        const ACT: &str = "restart a partition";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let Some(fence) = Fence::find(&mut tx, lease).await.map_err(failed(ACT))? else {
            return Ok(Commit::LeaseLost);
        };
        let progress = Progress {
            finished: false,
            restarts: fence.progress.restarts.saturating_add(1),
            kept_cursor: None,
            ..fence.progress
        };
        query(sql!("advance_partition"))
            .bind(lease.job.0)
            .bind(None::<&str>)
            .bind(to_json(&progress).map_err(failed(ACT))?)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(fence.committed(progress, now))
    }

    async fn reveal_partitions(
        &self,
        lease: Lease,
        children: &[ChildPartition],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ACT: &str = "reveal partitions";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let Some(fence) = Fence::find(&mut tx, lease).await.map_err(failed(ACT))? else {
            return Ok(false);
        };
        reveal_children(&mut tx, lease, children.iter(), &fence, now)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(true)
    }
}

/// A partition's row while its lease holds and its cycle is bursting.
struct Fence {
    source: i64,
    cycle: i64,
    source_name: String,
    trigger: String,
    hold_until: i64,
    paused: bool,
    progress: Progress,
    cursor: Option<String>,
}

impl Fence {
    async fn find(connection: &mut SqliteConnection, lease: Lease) -> Result<Option<Self>, sqlx::Error> {
        let row = query(sql!("find_fence"))
            .bind(lease.job.0)
            .bind(lease.token.0)
            .fetch_optional(connection)
            .await?;
        row.map(|row| {
            Ok(Self {
                source: row.try_get(0)?,
                cycle: row.try_get(1)?,
                source_name: row.try_get(2)?,
                trigger: row.try_get(3)?,
                hold_until: row.try_get(4)?,
                paused: row.try_get(5)?,
                progress: json(&row, 6)?,
                cursor: row.try_get(7)?,
            })
        })
        .transpose()
    }

    fn committed(&self, progress: Progress, now: Timestamp) -> Commit {
        Commit::Committed {
            progress,
            hold_until: (self.hold_until > now.0).then_some(Timestamp(self.hold_until)),
            paused: self.paused,
        }
    }
}

/// Writes what differs from the catalog, the manifests and the malformed items of changed pages; the progress after
/// that.
pub(super) async fn commit_written(
    connection: &mut SqliteConnection,
    batch: &PageBatch,
    deltas: &DeltaReadings,
    now: Timestamp,
) -> Result<Progress, sqlx::Error> {
    let source = batch.source.0;
    let entities = batch.newest_entities(deltas);
    let references: Vec<&str> = entities.iter().map(|entity| entity.reference.as_str()).collect();
    let known = look_up(connection, source, &references).await?;
    let written = compare(&entities, &known);
    write_entities(connection, source, &written, now).await?;
    let added = written.iter().filter(|one| one.change == ChangeKind::Added).count();
    if added > 0 {
        query(sql!("count_owned"))
            .bind(source)
            .bind(i64::try_from(added).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
    }
    let live: HashSet<i64> = (entities.iter())
        .filter(|entity| known.get(entity.reference.as_str()).is_some_and(|known| known.live))
        .map(|entity| entity.key_hash.0)
        .collect();
    write_pages(connection, batch, &live, now).await?;
    Ok(batch.progress_after(added as u64, (written.len() - added) as u64))
}

/// What the catalog has of an entity.
pub(super) struct Known {
    pub(super) fingerprint: Fingerprint,
    pub(super) live: bool,
    pub(super) sequence: i64,
}

/// References per look-up, largest first.
const LOOK_UPS: [usize; 3] = [500, 50, 5];

static LOOK_UP_STATEMENTS: LazyLock<[Arc<str>; LOOK_UPS.len()]> =
    LazyLock::new(|| LOOK_UPS.map(|size| Arc::from(look_up_statement(size))));

/// The look-up of `size` references of a source.
pub(super) fn look_up_statement(size: usize) -> String {
    let places = vec!["?"; size].join(",");
    format!(
        "SELECT ref, fingerprint, change <> 'removed', sequence FROM entities WHERE source_id = ? AND ref IN ({places})"
    )
}

/// What the catalog has of these entities.
pub(super) async fn look_up(
    connection: &mut SqliteConnection,
    source: i64,
    references: &[&str],
) -> Result<HashMap<String, Known>, sqlx::Error> {
    let mut known = HashMap::new();
    let mut rest = references;
    while !rest.is_empty() {
        // The smallest statement that is large enough; unbound parameters are null and match nothing.
        let size = (LOOK_UPS.iter().rposition(|size| *size >= rest.len())).unwrap_or(0);
        let (chunk, after) = rest.split_at(rest.len().min(LOOK_UPS[size]));
        let mut arguments = SqliteArguments::default();
        arguments.reserve(chunk.len() + 1, 0);
        arguments.add(source).map_err(sqlx::Error::Encode)?;
        for reference in chunk {
            arguments.add(*reference).map_err(sqlx::Error::Encode)?;
        }
        let rows = query_with(AssertSqlSafe(Arc::clone(&LOOK_UP_STATEMENTS[size])), arguments)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            known.insert(row.try_get(0)?, known_row(row)?);
        }
        rest = after;
    }
    Ok(known)
}

fn known_row(row: &SqliteRow) -> Result<Known, sqlx::Error> {
    Ok(Known {
        fingerprint: fingerprint(row, 1)?,
        live: row.try_get(2)?,
        sequence: row.try_get(3)?,
    })
}

/// The entities that are new or differ.
pub(super) fn compare<'a>(entities: &[&'a Entity], known: &HashMap<String, Known>) -> Vec<Written<'a>> {
    let changed = entities.iter().filter_map(|entity| {
        let before = known.get(entity.reference.as_str());
        let change = match before {
            Some(known) if known.live && known.fingerprint == entity.fingerprint => return None,
            Some(known) if known.live => ChangeKind::Modified,
            _ => ChangeKind::Added,
        };
        Some(Written {
            entity,
            change,
            replaces: before.map(|known| known.sequence),
        })
    });
    changed.collect()
}

/// Inserts the child partitions of this cycle, once each, and gives them places.
async fn reveal_children<'c>(
    connection: &mut SqliteConnection,
    lease: Lease,
    children: impl Iterator<Item = &'c ChildPartition>,
    fence: &Fence,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut rows = Vec::new();
    for child in children {
        let args = partition_args(&child.key, &child.args);
        let fingerprint = rules::fingerprint(args.as_bytes()).to_string();
        rows.push(json!([
            format!("{}/{}", fence.source_name, child.key),
            fingerprint,
            args
        ]));
    }
    if rows.is_empty() {
        return Ok(());
    }
    query(sql!("reveal_partitions"))
        .bind(to_json(&rows)?)
        .bind(&fence.trigger)
        .bind(fence.source)
        .bind(fence.cycle)
        .bind(now.0)
        .bind(lease.job.0)
        .execute(&mut *connection)
        .await?;
    query(sql!("share_partitions"))
        .bind(to_json(&rows)?)
        .bind(fence.cycle)
        .bind(lease.job.0)
        .execute(&mut *connection)
        .await?;
    open_places(connection, fence.source, fence.cycle, now).await
}
