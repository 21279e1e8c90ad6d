use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::error::broken;
use super::rows::{column, count, fingerprint};
use crate::events::MAX_READING_BYTES;
use crate::{CatalogStore, EntityFilter, EntityRecord, FeedReading, StoreError};
use tideline_core::rules::FeedBounds;
use tideline_core::words::{Change, ChangeKind, EntityRef, FeedPosition, Sequence, Timestamp};

#[async_trait]
impl CatalogStore for PostgresStore {
    async fn list_entities(&self, filter: &EntityFilter) -> Result<Vec<EntityRecord>, StoreError> {
        let mut act = self.reading("list entities").await?;
        let (after_source, after_ref) = match &filter.after {
            Some((source, reference)) => (Some(source.as_str()), Some(reference.as_str())),
            None => (None, None),
        };
        let statement = sqlx::query(include_str!("sql/list_entities.sql"))
            .bind(filter.source.as_deref())
            .bind(filter.kind.as_ref().map(|kind| kind.to_lowercase()))
            .bind(filter.reference.as_ref().map(EntityRef::as_str))
            .bind(after_source)
            .bind(after_ref)
            .bind(i64::from(filter.limit.clamp(1, 1_000)));
        act.rows(statement).await?.iter().map(entity_record).collect()
    }

    async fn find_entities(&self, references: &[EntityRef]) -> Result<Vec<EntityRecord>, StoreError> {
        let mut act = self.reading("find entities").await?;
        let references: Vec<&str> = references.iter().map(EntityRef::as_str).collect();
        let statement = sqlx::query(include_str!("sql/find_entities.sql")).bind(references);
        act.rows(statement).await?.iter().map(entity_record).collect()
    }

    async fn list_changes(&self, position: FeedPosition, limit: u32) -> Result<FeedReading, StoreError> {
        let limit = limit.clamp(1, 10_000);
        let mut act = self.reading("list changes").await?;
        let statement = sqlx::query(include_str!("sql/list_changes.sql")).bind(position.sequence().0);
        let statement = statement
            .bind(i64::from(limit))
            .bind(i64::try_from(MAX_READING_BYTES).unwrap_or(i64::MAX));
        let rows = act.rows(statement).await?;
        let first = rows
            .first()
            .ok_or_else(|| broken("list changes", "the counters are gone"))?;
        let bounds = FeedBounds {
            last: Sequence(column(first, "last")?),
            pruned_to: Sequence(column(first, "pruned_to")?),
        };
        bounds.admit(position).map_err(StoreError::StartOver)?;
        let changes = if column::<Option<i64>>(first, "sequence")?.is_some() {
            rows.iter().map(change).collect::<Result<_, _>>()?
        } else {
            vec![]
        };
        Ok(FeedReading::new(bounds, position, changes, limit))
    }

    async fn list_entity_changes(&self, reference: &EntityRef, limit: u32) -> Result<Vec<Change>, StoreError> {
        let mut act = self.reading("list changes of an entity").await?;
        let statement = sqlx::query(include_str!("sql/list_entity_changes.sql"))
            .bind(reference.as_str())
            .bind(i64::from(limit.clamp(1, 1_000)));
        act.rows(statement).await?.iter().map(change).collect()
    }

    async fn prune_tombstones(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut act = self.writing("prune tombstones").await?;
        let statement = sqlx::query(include_str!("sql/prune_tombstones.sql")).bind(before.0);
        let row = act.row(statement.bind(i64::from(limit))).await?;
        let pruned = row.map_or(Ok(0), |row| count(&row, "pruned"))?;
        if pruned > 0 {
            act.run(sqlx::query(include_str!("sql/forget_former_sources.sql")))
                .await?;
        }
        Ok(pruned)
    }
}

pub(super) fn reference(row: &PgRow) -> Result<EntityRef, StoreError> {
    column::<&str>(row, "ref")?
        .parse()
        .map_err(|error: tideline_core::words::EntityRefError| broken("read a reference", error.to_string()))
}

pub(super) fn entity_record(row: &PgRow) -> Result<EntityRecord, StoreError> {
    Ok(EntityRecord {
        source: column(row, "source")?,
        reference: reference(row)?,
        fingerprint: fingerprint(column(row, "fingerprint")?)?.to_string(),
        sequence: Sequence(column(row, "sequence")?),
        changed_at: Timestamp(column(row, "changed_at")?),
        body: column(row, "body")?,
    })
}

pub(super) fn change(row: &PgRow) -> Result<Change, StoreError> {
    Ok(Change {
        sequence: Sequence(column(row, "sequence")?),
        change: match column(row, "change")? {
            "added" => ChangeKind::Added,
            "modified" => ChangeKind::Modified,
            "removed" => ChangeKind::Removed,
            other => return Err(broken("read a change", format!("unknown: {other}"))),
        },
        source: column(row, "source")?,
        reference: reference(row)?,
        changed_at: Timestamp(column(row, "changed_at")?),
        body: column(row, "body")?,
    })
}
