//! Many small partitions in one transaction each for claiming and committing them.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query, query_scalar};

use super::delta::readings_of_deltas;
use super::failure::{broken, failed};
use super::ingest::commit_written;
use super::jobs::claimed;
use super::pages::{memories, touch_pages};
use super::rows::{count, to_json};
use super::{SqliteStore, begin, commit, sql};
use crate::sibling_seam::is_whole;
use crate::{Sibling, SiblingStore, SiblingsCommitted, StoreError};
use tideline_core::rules::DeltaReadings;
use tideline_core::words::{ClaimedJob, JobId, Lease, PageBatch, PageMemory, PageWrite, Progress, Timestamp};

const COMMIT: &str = "commit siblings";

#[async_trait]
impl SiblingStore for SqliteStore {
    async fn claim_siblings(&self, lead: Lease, limit: u32, now: Timestamp) -> Result<Vec<Sibling>, StoreError> {
        const ACT: &str = "claim siblings";
        let jobs = {
            let mut writer = self.writer().await;
            let mut tx = begin(&mut writer, ACT).await?;
            let claiming = async {
                let found = query(sql!("find_lead"))
                    .bind(lead.job.0)
                    .bind(lead.token.0)
                    .bind(now.0)
                    .fetch_optional(&mut *tx)
                    .await?;
                let Some(found) = found else { return Ok(vec![]) };
                let places: i64 = found.try_get(3)?;
                let rows = query(sql!("claim_siblings"))
                    .bind(found.try_get::<i64, _>(0)?)
                    .bind(found.try_get::<i64, _>(1)?)
                    .bind(found.try_get::<String, _>(2)?)
                    .bind(limit)
                    .bind(now.0)
                    .bind(2 * places)
                    .fetch_all(&mut *tx)
                    .await?;
                rows.iter().map(claimed).collect::<Result<Vec<_>, sqlx::Error>>()
            };
            let mut jobs = claiming.await.map_err(failed(ACT))?;
            commit(tx, ACT).await?;
            jobs.sort_unstable_by_key(|job| job.id);
            jobs
        };
        if jobs.is_empty() {
            return Ok(vec![]);
        }
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let mut memories = first_pages(self, &ids).await.map_err(failed(ACT))?;
        let sibling = |job: ClaimedJob| Sibling {
            memory: memories.remove(&job.id),
            job,
        };
        Ok(jobs.into_iter().map(sibling).collect())
    }

    async fn commit_siblings(&self, batches: &[PageBatch], now: Timestamp) -> Result<SiblingsCommitted, StoreError> {
        let Some(first) = batches.first() else {
            return Ok(SiblingsCommitted {
                done: vec![],
                go_on: true,
            });
        };
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, COMMIT).await?;
        let held = held(&mut tx, batches).await.map_err(failed(COMMIT))?;
        let any_deltas: bool = query_scalar(sql!("has_deltas"))
            .bind(first.source.0)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(COMMIT))?;
        let mut finished: Vec<(Lease, Progress)> = Vec::with_capacity(held.len());
        let mut touched = Vec::new();
        for batch in held {
            let deltas = if any_deltas {
                readings_of_deltas(&mut tx, batch).await.map_err(failed(COMMIT))?
            } else {
                Some(DeltaReadings::new())
            };
            let Some(deltas) = deltas else { continue };
            let progress = if let [
                PageWrite::Touched {
                    memory,
                    validators: None,
                },
            ] = &batch.pages[..]
            {
                touched.push(json!([batch.lease.job, memory.read_at]));
                batch.progress_after(0, 0)
            } else {
                touch_pages(&mut tx, batch).await?;
                commit_written(&mut tx, batch, &deltas, now)
                    .await
                    .map_err(failed(COMMIT))?
            };
            finished.push((batch.lease, progress));
        }
        touch(&mut tx, first, &touched).await?;
        finish(&mut tx, &finished, now).await.map_err(failed(COMMIT))?;
        let go_on: Option<bool> = query_scalar(sql!("find_source_readiness"))
            .bind(first.source.0)
            .bind(now.0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(COMMIT))?;
        commit(tx, COMMIT).await?;
        let done: HashMap<Lease, Progress> = finished.into_iter().collect();
        Ok(SiblingsCommitted {
            done: batches.iter().map(|batch| done.get(&batch.lease).copied()).collect(),
            go_on: go_on.unwrap_or(false),
        })
    }
}

async fn first_pages(store: &SqliteStore, partitions: &[JobId]) -> Result<HashMap<JobId, PageMemory>, sqlx::Error> {
    let rows = query(sql!("list_first_pages"))
        .bind(to_json(&partitions)?)
        .fetch_all(&store.readers)
        .await?;
    let mut pages = HashMap::with_capacity(rows.len());
    for row in &rows {
        // The pages are of different partitions, so their numbers do not distinguish them.
        let partition = JobId(row.try_get(15)?);
        let memories = memories(store, std::slice::from_ref(row)).await?;
        pages.extend(memories.into_iter().map(|memory| (partition, memory)));
    }
    Ok(pages)
}

/// The batches that may be committed as a whole.
async fn held<'b>(
    connection: &mut SqliteConnection,
    batches: &'b [PageBatch],
) -> Result<Vec<&'b PageBatch>, sqlx::Error> {
    let leases: Vec<_> = batches
        .iter()
        .map(|batch| json!([batch.lease.job, batch.lease.token]))
        .collect();
    let rows = query(sql!("find_sibling_leases"))
        .bind(to_json(&leases)?)
        .fetch_all(connection)
        .await?;
    let mut held = Vec::with_capacity(rows.len());
    for row in &rows {
        let place: usize = count(row, 0)?;
        held.extend(batches.get(place).filter(|batch| is_whole(batch)));
    }
    Ok(held)
}

async fn touch(
    connection: &mut SqliteConnection,
    batch: &PageBatch,
    touched: &[serde_json::Value],
) -> Result<(), StoreError> {
    if touched.is_empty() {
        return Ok(());
    }
    let done = query(sql!("touch_siblings"))
        .bind(to_json(&touched).map_err(failed(COMMIT))?)
        .bind(batch.cycle.0)
        .execute(connection)
        .await
        .map_err(failed(COMMIT))?;
    if done.rows_affected() != touched.len() as u64 {
        return Err(broken(COMMIT, "a page was called unchanged that has no manifest"));
    }
    Ok(())
}

async fn finish(
    connection: &mut SqliteConnection,
    finished: &[(Lease, Progress)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut rows = Vec::with_capacity(finished.len());
    for (lease, progress) in finished {
        rows.push(json!([lease.job, to_json(progress)?]));
    }
    query(sql!("finish_siblings"))
        .bind(to_json(&rows)?)
        .bind(now.0)
        .execute(connection)
        .await
        .map(drop)
}
