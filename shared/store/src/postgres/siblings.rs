//! Many small partitions with one statement each for claiming them, remembering their pages, and ending the unchanged
//! ones; those that differ share one transaction.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::PostgresStore;
use super::act::Act;
use super::changes;
use super::commit::{is_plain, refresh_validators, write_malformed};
use super::delta;
use super::error::broken;
use super::ingest::{page_memory, progress_text};
use super::jobs::claimed_job;
use super::manifests::Manifests;
use super::rows::{NO_PLACE, column};
use crate::sibling_seam::is_whole;
use crate::{Sibling, SiblingStore, SiblingsCommitted, StoreError};
use tideline_core::rules::DeltaReadings;
use tideline_core::words::{
    ClaimedJob, DeltaOutcome, Entity, JobId, Lease, PageBatch, PageMemory, PageWrite, Progress, Timestamp,
};

const COMMIT: &str = "commit siblings";

#[async_trait]
impl SiblingStore for PostgresStore {
    async fn claim_siblings(&self, lead: Lease, limit: u32, now: Timestamp) -> Result<Vec<Sibling>, StoreError> {
        let mut act = self.writing("claim siblings").await?;
        let statement = sqlx::query(include_str!("sql/claim_siblings.sql"))
            .bind(lead.job.0)
            .bind(lead.token.0)
            .bind(i64::from(limit))
            .bind(now.0)
            .bind(NO_PLACE);
        let rows = act.rows(statement).await?;
        if rows.is_empty() {
            return Ok(vec![]);
        }
        let mut jobs = rows.iter().map(claimed_job).collect::<Result<Vec<ClaimedJob>, _>>()?;
        jobs.sort_unstable_by_key(|job| job.id);
        let mut memories = first_pages(&mut act, &jobs).await?;
        let sibling = |job: ClaimedJob| Sibling {
            memory: memories.remove(&job.id),
            job,
        };
        Ok(jobs.into_iter().map(sibling).collect())
    }

    async fn commit_siblings(&self, batches: &[PageBatch], now: Timestamp) -> Result<SiblingsCommitted, StoreError> {
        let mut done: HashMap<Lease, Progress> = HashMap::new();
        let whole = || batches.iter().filter(|batch| is_whole(batch));
        let touched: Vec<&PageBatch> = whole().filter(|batch| is_plain(batch)).collect();
        let written = distinct(whole().filter(|batch| !is_plain(batch)));
        // If the source has deltas, nothing passes until they are examined.
        for look in [false, true] {
            let rest: Vec<&PageBatch> = touched
                .iter()
                .copied()
                .filter(|batch| !done.contains_key(&batch.lease))
                .collect();
            if !rest.is_empty() {
                done.extend(touch(self, &rest, look, now).await?);
            }
            if written.first().is_some_and(|batch| !done.contains_key(&batch.lease)) {
                done.extend(write(self, &written, look, now).await?);
            }
        }
        Ok(SiblingsCommitted {
            done: batches.iter().map(|batch| done.get(&batch.lease).copied()).collect(),
            go_on: self.is_ready(batches, now).await?,
        })
    }
}

impl PostgresStore {
    async fn is_ready(&self, batches: &[PageBatch], now: Timestamp) -> Result<bool, StoreError> {
        let Some(batch) = batches.first() else {
            return Ok(true);
        };
        let mut act = self.reading(COMMIT).await?;
        let statement = sqlx::query(include_str!("sql/find_source_readiness.sql"));
        let row = act.row(statement.bind(batch.source.0).bind(now.0)).await?;
        row.map_or(Ok(false), |row| column(&row, "ready"))
    }
}

async fn first_pages(act: &mut Act, jobs: &[ClaimedJob]) -> Result<HashMap<JobId, PageMemory>, StoreError> {
    let statement = sqlx::query(include_str!("sql/list_first_pages.sql"));
    let rows = act
        .rows(statement.bind(jobs.iter().map(|job| job.id.0).collect::<Vec<i64>>()))
        .await?;
    rows.iter()
        .map(|row| Ok((JobId(column(row, "partition_id")?), page_memory(row)?)))
        .collect()
}

/// Those without a common entity: which of two partitions wins a reference is decided partition by partition.
fn distinct<'b>(batches: impl Iterator<Item = &'b PageBatch>) -> Vec<&'b PageBatch> {
    let mut seen = HashSet::new();
    batches
        .filter(|batch| {
            let keys: Vec<i64> = entities(batch).map(|entity| entity.key_hash.0).collect();
            let is_apart = keys.iter().all(|key| !seen.contains(key));
            if is_apart {
                seen.extend(keys);
            }
            is_apart
        })
        .collect()
}

fn entities(batch: &PageBatch) -> impl Iterator<Item = &Entity> {
    batch.pages.iter().flat_map(|page| page.entities())
}

/// Ends the partitions whose page is unchanged; returns them with their progress.
async fn touch(
    store: &PostgresStore,
    batches: &[&PageBatch],
    look: bool,
    now: Timestamp,
) -> Result<Vec<(Lease, Progress)>, StoreError> {
    let first = batches[0];
    let mut act = store.writing(COMMIT).await?;
    let mut stale = HashSet::new();
    if look {
        act.begin_with(&delta::lock(first.source, "_shared")).await?;
        let statement = sqlx::query(include_str!("sql/find_sibling_deltas.sql")).bind(first.source.0);
        let statement = statement.bind(ids(batches)).bind(read_at(batches));
        for row in act.rows(statement).await? {
            stale.insert(JobId(column(&row, "id")?));
        }
    }
    let fresh: Vec<&PageBatch> = batches
        .iter()
        .copied()
        .filter(|batch| !stale.contains(&batch.lease.job))
        .collect();
    let progress: Vec<Progress> = fresh.iter().map(|batch| batch.progress_after(0, 0)).collect();
    let texts = progress.iter().map(progress_text).collect::<Result<Vec<_>, _>>()?;
    let statement = sqlx::query(include_str!("sql/touch_siblings.sql"))
        .bind(first.source.0)
        .bind(first.cycle.0)
        .bind(now.0)
        .bind(ids(&fresh))
        .bind(tokens(&fresh))
        .bind(texts)
        .bind(read_at(&fresh))
        .bind(look);
    let mut touched = HashSet::new();
    for row in act.rows(statement).await? {
        touched.insert(JobId(column(&row, "id")?));
    }
    if look {
        act.commit().await?;
    }
    let done = fresh.iter().map(|batch| batch.lease).zip(progress);
    Ok(done.filter(|(lease, _)| touched.contains(&lease.job)).collect())
}

fn ids(batches: &[&PageBatch]) -> Vec<i64> {
    batches.iter().map(|batch| batch.lease.job.0).collect()
}

fn tokens(batches: &[&PageBatch]) -> Vec<i64> {
    batches.iter().map(|batch| batch.lease.token.0).collect()
}

fn read_at(batches: &[&PageBatch]) -> Vec<i64> {
    batches.iter().map(|batch| batch.read_to().0).collect()
}

/// Writes the pages of all these partitions and ends them, or does nothing: then each has to be committed separately.
async fn write(
    store: &PostgresStore,
    batches: &[&PageBatch],
    look: bool,
    now: Timestamp,
) -> Result<Vec<(Lease, Progress)>, StoreError> {
    match try_to_write(store, batches, look, now).await {
        Ok(None) | Err(StoreError::Conflict { .. }) => Ok(vec![]),
        Ok(Some(done)) => Ok(done),
        Err(error) => Err(error),
    }
}

async fn try_to_write(
    store: &PostgresStore,
    batches: &[&PageBatch],
    look: bool,
    now: Timestamp,
) -> Result<Option<Vec<(Lease, Progress)>>, StoreError> {
    let source = batches[0].source;
    let mut act = store.writing(COMMIT).await?;
    let mut deltas = DeltaReadings::new();
    if look {
        act.begin_with(&delta::lock(source, "_shared")).await?;
        for batch in batches {
            match delta::readings_of_deltas(&mut act, batch).await? {
                Some(found) => deltas.extend(found),
                None => return act.rollback().await.map(|()| None),
            }
        }
    } else {
        act.begin().await?;
    }
    let statement = sqlx::query(include_str!("sql/find_sibling_leases.sql"));
    let held = act.rows(statement.bind(ids(batches)).bind(tokens(batches))).await?;
    if held.len() != batches.len() {
        return act.rollback().await.map(|()| None);
    }
    let newest: Vec<&Entity> = batches
        .iter()
        .flat_map(|batch| batch.newest_entities(&deltas))
        .collect();
    let changes = changes::compare(&mut act, source, &newest).await?;
    let outcomes: HashMap<&str, DeltaOutcome> = changes.outcomes().collect();
    let progress: Vec<Progress> = batches
        .iter()
        .map(|batch| {
            let of_batch = || entities(batch).filter_map(|entity| outcomes.get(entity.reference.as_str()));
            let added = of_batch().filter(|outcome| **outcome == DeltaOutcome::Added).count();
            batch.progress_after(added as u64, (of_batch().count() - added) as u64)
        })
        .collect();
    let live: HashSet<i64> = changes.live.iter().copied().collect();
    if !write_manifests(&mut act, batches, &live, &progress, look, now).await? {
        return act.rollback().await.map(|()| None);
    }
    for batch in batches {
        refresh_validators(&mut act, batch).await?;
        write_malformed(&mut act, batch, now).await?;
    }
    changes::write(&mut act, source, &changes, now).await?;
    act.commit().await?;
    Ok(Some(batches.iter().map(|batch| batch.lease).zip(progress).collect()))
}

/// Marks and ends all these partitions; false if the fence stops one of them.
async fn write_manifests(
    act: &mut Act,
    batches: &[&PageBatch],
    live: &HashSet<i64>,
    progress: &[Progress],
    look: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut manifests = Manifests::default();
    let (mut touched, mut of, mut keys) = (vec![], vec![], vec![]);
    for batch in batches {
        manifests.add(batch);
        let partition = batch.lease.job.0;
        if matches!(batch.pages[..], [PageWrite::Touched { .. }]) {
            touched.push(partition);
        }
        keys.extend(
            entities(batch)
                .map(|entity| entity.key_hash.0)
                .filter(|key| live.contains(key)),
        );
        of.resize(keys.len(), partition);
    }
    let texts = progress.iter().map(progress_text).collect::<Result<Vec<_>, _>>()?;
    let statement = sqlx::query(include_str!("sql/write_siblings.sql"))
        .bind(batches[0].source.0)
        .bind(batches[0].cycle.0)
        .bind(now.0)
        .bind(ids(batches))
        .bind(tokens(batches))
        .bind(texts)
        .bind(read_at(batches))
        .bind(look)
        .bind(touched);
    let partitions = manifests.partitions();
    let statement = manifests.bind(statement)?.bind(partitions).bind(keys).bind(of);
    let row = act.row(statement).await?.ok_or_else(|| broken(COMMIT, "no answer"))?;
    Ok(column::<i64>(&row, "fenced")? == i64::try_from(batches.len()).unwrap_or(i64::MAX))
}
