use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::failure::failed;
use super::rows::{moment, to_json};
use super::{SqliteStore, sql};
use crate::{StoreError, Version, VersionStore};
use tideline_core::words::{EntityRef, Sequence, SourceId, Timestamp};

#[async_trait]
impl VersionStore for SqliteStore {
    async fn list_versions(
        &self,
        source: SourceId,
        reference: &EntityRef,
        limit: u32,
    ) -> Result<Vec<Version>, StoreError> {
        const ACT: &str = "list versions of an entity";
        let rows = query(sql!("list_versions"))
            .bind(source.0)
            .bind(reference.as_str())
            .bind(limit.clamp(1, 100))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let version = |row: &SqliteRow| -> Result<Version, sqlx::Error> {
            Ok(Version {
                sequence: Sequence(row.try_get(0)?),
                changed_at: moment(row, 1)?,
                body: row.try_get(2)?,
            })
        };
        rows.iter().map(version).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn prune_versions(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut writer = self.writer().await;
        let pruned = query(sql!("prune_versions"))
            .bind(before.0)
            .bind(Version::MAX_KEPT)
            .bind(limit)
            .execute(&mut *writer)
            .await
            .map_err(failed("prune versions of entities"))?;
        Ok(pruned.rows_affected())
    }
}

/// Keeps what these changes made of their entities, before they are replaced, unless they are too many.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    sequences: &[i64],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if sequences.is_empty() || sequences.len() > Version::MAX_TOGETHER {
        return Ok(());
    }
    query(sql!("keep_versions"))
        .bind(to_json(&sequences)?)
        .bind(now.0)
        .bind(Version::MAX_BYTES)
        .execute(connection)
        .await
        .map(drop)
}
