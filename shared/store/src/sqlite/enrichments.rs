//! What targets add to entities.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::entities::{Written, write_entities};
use super::failure::failed;
use super::rows::{fingerprint, reference, to_json};
use super::{SqliteStore, begin, commit, sql};
use crate::{Enrichment, EnrichmentStore, OriginalEntity, StoreError};
use tideline_core::words::{ChangeKind, Entity, EntityRef, KeyHash, Sequence, Timestamp};

#[async_trait]
impl EnrichmentStore for SqliteStore {
    async fn list_originals(&self, references: &[EntityRef]) -> Result<Vec<OriginalEntity>, StoreError> {
        const ACT: &str = "list originals";
        let list = query(sql!("list_originals")).bind(to_json(&references).map_err(failed(ACT))?);
        let rows = list.fetch_all(&self.readers).await.map_err(failed(ACT))?;
        let originals = rows.iter().map(original);
        originals.collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn find_originals(&self, sequences: &[Sequence]) -> Result<Vec<(Sequence, String)>, StoreError> {
        const ACT: &str = "find originals";
        let sequences: Vec<i64> = sequences.iter().map(|sequence| sequence.0).collect();
        let find = query(sql!("find_originals")).bind(to_json(&sequences).map_err(failed(ACT))?);
        let rows = find.fetch_all(&self.readers).await.map_err(failed(ACT))?;
        let found = (rows.iter()).map(|row| Ok((Sequence(row.try_get(0)?), row.try_get(1)?)));
        found.collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn enrich_entity(&self, enrichment: &Enrichment, now: Timestamp) -> Result<bool, StoreError> {
        const ACT: &str = "enrich an entity";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let enrich = async {
            let found = query(sql!("find_enrichable"))
                .bind(&enrichment.source)
                .bind(enrichment.reference.as_str())
                .bind(enrichment.sequence.0)
                .fetch_optional(&mut *tx)
                .await?;
            let Some(found) = found else { return Ok(false) };
            let (source, source_sequence): (i64, i64) = (found.try_get(0)?, found.try_get(4)?);
            let original: String = found.try_get(3)?;
            let entity = Entity {
                reference: enrichment.reference.clone(),
                key_hash: KeyHash(found.try_get(1)?),
                fingerprint: fingerprint(&found, 2)?,
                body: enrichment.body.as_ref().unwrap_or(&original).clone(),
            };
            let written = Written {
                entity: &entity,
                change: ChangeKind::Modified,
                replaces: Some(enrichment.sequence.0),
            };
            let sequence = write_entities(&mut tx, source, &[written], now).await?;
            query(sql!("upsert_enrichment"))
                .bind(enrichment.reference.as_str())
                .bind(source)
                .bind(sequence)
                .bind(source_sequence)
                .bind(enrichment.body.is_some().then_some(original))
                .bind(to_json(&enrichment.additions)?)
                .execute(&mut *tx)
                .await?;
            Ok(true)
        };
        let enriched = enrich.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(enriched)
    }
}

fn original(row: &SqliteRow) -> Result<OriginalEntity, sqlx::Error> {
    let additions = serde_json::from_str(row.try_get(3)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(OriginalEntity {
        source: row.try_get(0)?,
        reference: reference(row, 4)?,
        sequence: Sequence(row.try_get(1)?),
        body: row.try_get(2)?,
        additions,
    })
}
