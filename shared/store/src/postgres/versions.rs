use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::rows::column;
use crate::{StoreError, Version, VersionStore};
use tideline_core::words::{EntityRef, Sequence, SourceId, Timestamp};

#[async_trait]
impl VersionStore for PostgresStore {
    async fn list_versions(
        &self,
        source: SourceId,
        reference: &EntityRef,
        limit: u32,
    ) -> Result<Vec<Version>, StoreError> {
        let mut act = self.reading("list versions of an entity").await?;
        let statement = sqlx::query(include_str!("sql/list_versions.sql"))
            .bind(source.0)
            .bind(reference.as_str())
            .bind(i64::from(limit.clamp(1, 100)));
        let version = |row: &PgRow| {
            Ok(Version {
                sequence: Sequence(column(row, "sequence")?),
                changed_at: Timestamp(column(row, "changed_at")?),
                body: column(row, "body")?,
            })
        };
        act.rows(statement).await?.iter().map(version).collect()
    }

    async fn prune_versions(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut act = self.writing("prune versions of entities").await?;
        let statement = sqlx::query(include_str!("sql/prune_versions.sql"))
            .bind(before.0)
            .bind(i64::from(Version::MAX_KEPT))
            .bind(i64::from(limit));
        act.run(statement).await
    }
}
