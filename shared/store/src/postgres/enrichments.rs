//! What targets add to entities.

use async_trait::async_trait;

use super::PostgresStore;
use super::catalog::reference;
use super::changes::take_sequences;
use super::error::broken;
use super::rows::column;
use crate::{Additions, Enrichment, EnrichmentStore, OriginalEntity, StoreError};
use tideline_core::words::{EntityRef, Sequence, Timestamp};

#[async_trait]
impl EnrichmentStore for PostgresStore {
    async fn list_originals(&self, references: &[EntityRef]) -> Result<Vec<OriginalEntity>, StoreError> {
        let mut act = self.reading("list originals").await?;
        let references: Vec<&str> = references.iter().map(EntityRef::as_str).collect();
        let statement = sqlx::query(include_str!("sql/list_originals.sql")).bind(references);
        let rows = act.rows(statement).await?;
        let originals = rows.iter().map(|row| {
            Ok(OriginalEntity {
                source: column(row, "source")?,
                reference: reference(row)?,
                sequence: Sequence(column(row, "sequence")?),
                body: column(row, "body")?,
                additions: additions(column(row, "additions")?)?,
            })
        });
        originals.collect()
    }

    async fn find_originals(&self, sequences: &[Sequence]) -> Result<Vec<(Sequence, String)>, StoreError> {
        let sequences: Vec<i64> = sequences.iter().map(|sequence| sequence.0).collect();
        let mut act = self.reading("find originals").await?;
        let rows = act
            .rows(sqlx::query(include_str!("sql/find_originals.sql")).bind(sequences))
            .await?;
        let found = rows
            .iter()
            .map(|row| Ok((Sequence(column(row, "sequence")?), column(row, "original")?)));
        found.collect()
    }

    async fn enrich_entity(&self, enrichment: &Enrichment, now: Timestamp) -> Result<bool, StoreError> {
        let (reference, before) = (enrichment.reference.as_str(), enrichment.sequence.0);
        let mut act = self.writing("enrich an entity").await?;
        act.begin().await?;
        let statement = sqlx::query(include_str!("sql/find_enrichable.sql")).bind(&enrichment.source);
        let Some(found) = act.row(statement.bind(reference).bind(before)).await? else {
            act.rollback().await?;
            return Ok(false);
        };
        let source: i64 = column(&found, "source_id")?;
        let original: String = column(&found, "original")?;
        let sequence = take_sequences(&mut act, source, 1, 0).await?;
        let statement = sqlx::query(include_str!("sql/enrich_entity.sql"))
            .bind(source)
            .bind(reference)
            .bind(before)
            .bind(enrichment.body.as_ref().unwrap_or(&original))
            .bind(sequence)
            .bind(now.0)
            .bind(column::<i64>(&found, "source_sequence")?)
            .bind(enrichment.body.is_some().then_some(&original))
            .bind(additions_text(&enrichment.additions)?);
        if act.run(statement).await? == 1 {
            act.commit().await?;
            return Ok(true);
        }
        // A commit that held the counter was first; this one leaves no gap in its numbers.
        act.rollback().await?;
        Ok(false)
    }
}

fn additions(text: &str) -> Result<Additions, StoreError> {
    serde_json::from_str(text).map_err(|error| broken("read additions", error.to_string()))
}

fn additions_text(additions: &Additions) -> Result<String, StoreError> {
    serde_json::to_string(additions).map_err(|error| broken("write additions", error.to_string()))
}
