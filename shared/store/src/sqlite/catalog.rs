use async_trait::async_trait;
use futures::TryStreamExt as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query, query_scalar};

use super::failure::failed;
use super::rows::{fingerprint, moment, reference, to_json, word};
use super::{SqliteStore, begin, commit, sql};
use crate::events::MAX_READING_BYTES;
use crate::{CatalogStore, EntityFilter, EntityRecord, FeedReading, StoreError};
use tideline_core::rules::FeedBounds;
use tideline_core::words::{Change, EntityRef, FeedPosition, Sequence, Timestamp};

/// Maximum number of entities per response.
const MAX_ENTITIES: u32 = 1_000;
/// Maximum number of changes per response.
const MAX_CHANGES: u32 = 10_000;

#[async_trait]
impl CatalogStore for SqliteStore {
    async fn list_entities(&self, filter: &EntityFilter) -> Result<Vec<EntityRecord>, StoreError> {
        const ACT: &str = "list entities";
        let list = async {
            let mut reader = self.readers.acquire().await?;
            let limit = filter.limit.clamp(1, MAX_ENTITIES) as usize;
            // `kind:` up to, not including, `kind;` (the character after the colon).
            let (from, before) = match &filter.kind {
                Some(kind) => (
                    format!("{}:", kind.to_lowercase()),
                    Some(format!("{};", kind.to_lowercase())),
                ),
                None => (String::new(), None),
            };
            let after_source = filter.after.as_ref().map(|(source, _)| source.as_str());
            let sources = query(sql!("list_source_names"))
                .bind(filter.source.as_deref())
                .bind(after_source)
                .fetch_all(&mut *reader)
                .await?;
            let mut records: Vec<EntityRecord> = Vec::new();
            for source in &sources {
                let (id, name): (i64, String) = (source.try_get(0)?, source.try_get(1)?);
                let after = (filter.after.as_ref())
                    .filter(|(source, _)| *source == name)
                    .map(|(_, reference)| reference.as_str());
                let rows = query(sql!("list_entities"))
                    .bind(id)
                    .bind(
                        filter
                            .reference
                            .as_ref()
                            .map_or(from.as_str(), |reference| reference.as_str()),
                    )
                    .bind(before.as_deref())
                    .bind(filter.reference.as_ref().map(|reference| reference.as_str()))
                    .bind(after)
                    .bind(i64::try_from(limit - records.len()).unwrap_or(i64::MAX))
                    .fetch_all(&mut *reader)
                    .await?;
                for row in &rows {
                    records.push(entity_record(row, &name)?);
                }
                if records.len() >= limit {
                    break;
                }
            }
            Ok(records)
        };
        list.await.map_err(failed(ACT))
    }

    async fn find_entities(&self, references: &[EntityRef]) -> Result<Vec<EntityRecord>, StoreError> {
        const ACT: &str = "find entities";
        let find = async {
            let statement = query(sql!("find_entities")).bind(to_json(&references)?);
            let rows = statement.fetch_all(&self.readers).await?;
            let found = rows.iter().map(|row| entity_record(row, row.try_get(5)?));
            found.collect::<Result<_, sqlx::Error>>()
        };
        find.await.map_err(failed(ACT))
    }

    async fn list_changes(&self, position: FeedPosition, limit: u32) -> Result<FeedReading, StoreError> {
        const ACT: &str = "list changes";
        let limit = limit.clamp(1, MAX_CHANGES);
        let read = async {
            // One snapshot: nothing is pruned or added between the two reads.
            let mut tx = self.readers.begin().await?;
            let found = query(sql!("find_feed_bounds")).fetch_one(&mut *tx).await?;
            let bounds = FeedBounds {
                last: Sequence(found.try_get(0)?),
                pruned_to: Sequence(found.try_get(1)?),
            };
            let statement = query(sql!("list_changes")).bind(position.sequence().0).bind(limit);
            let mut rows = statement.fetch(&mut *tx);
            let (mut changes, mut bytes) = (Vec::new(), 0);
            while bytes < MAX_READING_BYTES
                && let Some(row) = rows.try_next().await?
            {
                let change = change(&row)?;
                bytes += change.bytes();
                changes.push(change);
            }
            drop(rows);
            tx.rollback().await?;
            Ok((bounds, changes))
        };
        let (bounds, changes) = read.await.map_err(failed(ACT))?;
        self.make_durable(ACT, |durable| &durable.changes, bounds.last.0)
            .await?;
        bounds.admit(position).map_err(StoreError::StartOver)?;
        Ok(FeedReading::new(bounds, position, changes, limit))
    }

    async fn list_entity_changes(&self, reference: &EntityRef, limit: u32) -> Result<Vec<Change>, StoreError> {
        const ACT: &str = "list changes of an entity";
        let list = async {
            let mut reader = self.readers.acquire().await?;
            let rows = query(sql!("list_entity_changes"))
                .bind(reference.as_str())
                .bind(limit.clamp(1, MAX_ENTITIES))
                .fetch_all(&mut *reader)
                .await?;
            rows.iter().map(change).collect::<Result<_, sqlx::Error>>()
        };
        list.await.map_err(failed(ACT))
    }

    async fn prune_tombstones(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        const ACT: &str = "prune tombstones";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let prune = async {
            let removals: Vec<i64> = query_scalar(sql!("prune_tombstones"))
                .bind(before.0)
                .bind(limit)
                .fetch_all(&mut *tx)
                .await?;
            if let Some(greatest) = removals.iter().max() {
                query(sql!("note_pruned")).bind(greatest).execute(&mut *tx).await?;
                for statement in [sql!("delete_pruned_entities"), sql!("forget_former_sources")] {
                    query(statement).bind(before.0).execute(&mut *tx).await?;
                }
            }
            Ok(u64::try_from(removals.len()).unwrap_or(u64::MAX))
        };
        let pruned = prune.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(pruned)
    }
}

pub(super) fn entity_record(row: &SqliteRow, source: &str) -> Result<EntityRecord, sqlx::Error> {
    Ok(EntityRecord {
        source: source.to_owned(),
        reference: reference(row, 0)?,
        fingerprint: fingerprint(row, 1)?.to_string(),
        sequence: Sequence(row.try_get(2)?),
        changed_at: moment(row, 3)?,
        body: row.try_get(4)?,
    })
}

pub(super) fn change(row: &SqliteRow) -> Result<Change, sqlx::Error> {
    Ok(Change {
        sequence: Sequence(row.try_get(0)?),
        change: word(row, 1)?,
        source: row.try_get(2)?,
        reference: reference(row, 3)?,
        changed_at: moment(row, 4)?,
        body: row.try_get(5)?,
    })
}
