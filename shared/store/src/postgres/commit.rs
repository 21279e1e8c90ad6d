//! The page commit: one statement for unchanged pages, one transaction for others.

use std::borrow::Cow;
use std::collections::HashMap;

use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::act::{Act, Statement};
use super::changes;
use super::delta;
use super::ingest::{committed, progress_text};
use super::manifests::Manifests;
use super::rows::{NO_PLACE, storable};
use crate::StoreError;
use crate::batch::partition_args;
use tideline_core::rules::{self, DeltaReadings};
use tideline_core::words::{ChildPartition, Commit, MalformedItem, PageBatch, PageWrite, Progress, Timestamp};

/// The outcome of one try.
pub(super) enum Attempt {
    /// Everything was committed.
    Committed(Commit),
    /// Nothing: the fence matched no row.
    Fenced,
}

/// Commits pages that are all unchanged and revealed no partition: one round trip.
pub(super) async fn commit_touched(
    store: &PostgresStore,
    batch: &PageBatch,
    now: Timestamp,
) -> Result<Attempt, StoreError> {
    let progress = batch.progress_after(0, 0);
    let text = progress_text(&progress)?;
    let mut act = store.writing("commit pages").await?;
    let statement = fence(sqlx::query(include_str!("sql/touch_pages.sql")), batch, &text, now);
    let statement = statement.bind(touched_pages(batch)).bind(length(batch));
    match act.row(statement.bind(batch.read_to().0).bind(false)).await? {
        Some(row) => Ok(Attempt::Committed(committed(&row, progress, now)?)),
        None => Ok(Attempt::Fenced),
    }
}

/// Commits any pages, in one transaction, `look`ing for deltas if there may be some: compare, fence and manifests,
/// partitions, then the change feed's numbers (whose row stays locked from there to the commit), new entities, changed
/// entities.
pub(super) async fn commit_written(
    store: &PostgresStore,
    batch: &PageBatch,
    look: bool,
    now: Timestamp,
) -> Result<Attempt, StoreError> {
    let mut act = store.writing("commit pages").await?;
    let deltas = if look {
        act.begin_with(&delta::lock(batch.source, "_shared")).await?;
        match delta::readings_of_deltas(&mut act, batch).await? {
            Some(deltas) => deltas,
            None => {
                act.rollback().await?;
                return Ok(Attempt::Committed(Commit::ReadAgain));
            }
        }
    } else {
        act.begin().await?;
        DeltaReadings::new()
    };
    let entities = batch.newest_entities(&deltas);
    let changes = changes::compare(&mut act, batch.source, &entities).await?;
    let progress = batch.progress_after(changes.added(), changes.modified());
    let Some(row) = write_manifests(&mut act, batch, &changes.live, &progress, look, now).await? else {
        act.rollback().await?;
        return Ok(Attempt::Fenced);
    };
    refresh_validators(&mut act, batch).await?;
    write_malformed(&mut act, batch, now).await?;
    let children = batch.pages.iter().flat_map(|page| &page.memory().children);
    let parent = (batch.lease.job.0, batch.source.0, batch.cycle.0);
    reveal_partitions(&mut act, parent, children, now).await?;
    changes::write(&mut act, batch.source, &changes, now).await?;
    act.commit().await?;
    Ok(Attempt::Committed(committed(&row, progress, now)?))
}

/// Binds what the fence needs: $1 to $8.
fn fence<'q>(statement: Statement<'q>, batch: &'q PageBatch, progress: &'q str, now: Timestamp) -> Statement<'q> {
    statement
        .bind(batch.lease.job.0)
        .bind(batch.lease.token.0)
        .bind(batch.source.0)
        .bind(batch.cycle.0)
        .bind(batch.next.as_deref())
        .bind(progress)
        .bind(now.0)
        .bind(i64::from(batch.progress.next_page))
}

/// Numbers of the touched pages: $9.
fn touched_pages(batch: &PageBatch) -> Vec<i32> {
    batch
        .pages
        .iter()
        .filter(|page| matches!(page, PageWrite::Touched { .. }))
        .map(|page| signed(page.memory().page))
        .collect()
}

/// How many pages the batch has: $10. Its pages follow one another, so that they are one range of the index.
fn length(batch: &PageBatch) -> i64 {
    i64::try_from(batch.pages.len()).unwrap_or(i64::MAX)
}

/// Returns true if its pages only mark the entities that they hold.
pub(super) fn is_plain(batch: &PageBatch) -> bool {
    let plain = |page: &PageWrite| matches!(page, PageWrite::Touched { memory, validators: None } if memory.children.is_empty());
    batch.pages.iter().all(plain)
}

pub(super) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

async fn write_manifests(
    act: &mut Act,
    batch: &PageBatch,
    live: &[i64],
    progress: &Progress,
    look: bool,
    now: Timestamp,
) -> Result<Option<PgRow>, StoreError> {
    let mut manifests = Manifests::default();
    manifests.add(batch);
    let text = progress_text(progress)?;
    if manifests.is_empty() {
        let statement = fence(sqlx::query(include_str!("sql/touch_pages.sql")), batch, &text, now);
        let statement = statement.bind(touched_pages(batch)).bind(length(batch));
        return act.row(statement.bind(batch.read_to().0).bind(look)).await;
    }
    let statement = fence(sqlx::query(include_str!("sql/write_pages.sql")), batch, &text, now)
        .bind(touched_pages(batch))
        .bind(length(batch));
    let statement = (manifests.bind(statement)?)
        .bind(batch.read_to().0)
        .bind(look)
        .bind(live)
        .bind(batch.repeated_keys())
        .bind(pages_of(batch, live));
    act.row(statement).await
}

/// On which page of the batch each of these keys is.
fn pages_of(batch: &PageBatch, keys: &[i64]) -> Vec<i32> {
    if keys.is_empty() {
        return vec![];
    }
    let on_page = |page: &PageWrite| {
        let number = signed(page.memory().page);
        page.entities()
            .iter()
            .map(|entity| (entity.key_hash.0, number))
            .collect::<Vec<_>>()
    };
    let pages: HashMap<i64, i32> = batch.pages.iter().flat_map(on_page).collect();
    keys.iter().map(|key| pages.get(key).copied().unwrap_or(0)).collect()
}

pub(super) async fn refresh_validators(act: &mut Act, batch: &PageBatch) -> Result<(), StoreError> {
    for page in &batch.pages {
        if let PageWrite::Touched {
            memory,
            validators: Some(validators),
        } = page
        {
            let statement = sqlx::query(include_str!("sql/refresh_validators.sql"))
                .bind(batch.lease.job.0)
                .bind(signed(memory.page))
                .bind(memory.next.as_deref())
                .bind(validators.request.as_ref().map(|digest| &digest.0[..]))
                .bind(validators.etag.as_deref())
                .bind(validators.last_modified.as_deref())
                .bind(validators.content.as_ref().map(|digest| &digest.0[..]));
            act.run(statement).await?;
        }
    }
    Ok(())
}

pub(super) async fn write_malformed(act: &mut Act, batch: &PageBatch, now: Timestamp) -> Result<(), StoreError> {
    let mut items: Vec<(i32, &MalformedItem)> = vec![];
    for page in &batch.pages {
        if let PageWrite::Written { memory, malformed, .. } = page {
            items.extend(malformed.iter().map(|item| (signed(memory.page), item)));
        }
    }
    if items.is_empty() {
        return Ok(());
    }
    let statement = sqlx::query(include_str!("sql/insert_malformed.sql"))
        .bind(batch.source.0)
        .bind(batch.cycle.0)
        .bind(&batch.partition)
        .bind(now.0)
        .bind(items.iter().map(|(page, _)| *page).collect::<Vec<i32>>())
        .bind(
            items
                .iter()
                .map(|(_, item)| item.reference.as_ref().map(|reference| storable(reference.as_str())))
                .collect::<Vec<Option<Cow<'_, str>>>>(),
        )
        .bind(
            items
                .iter()
                .map(|(_, item)| storable(&item.error))
                .collect::<Vec<Cow<'_, str>>>(),
        )
        .bind(
            items
                .iter()
                .map(|(_, item)| storable(&item.sample))
                .collect::<Vec<Cow<'_, str>>>(),
        );
    act.run(statement).await?;
    let statement = sqlx::query(include_str!("sql/trim_malformed.sql")).bind(batch.source.0);
    act.run(statement.bind(i64::from(batch.malformed_keep))).await?;
    Ok(())
}

/// Child partitions of a partition's job join the cycle of its source.
pub(super) async fn reveal_partitions<'c>(
    act: &mut Act,
    (job, source, cycle): (i64, i64, i64),
    children: impl Iterator<Item = &'c ChildPartition>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut children: Vec<_> = children.collect();
    if children.is_empty() {
        return Ok(());
    }
    children.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    children.dedup_by(|a, b| a.key == b.key);
    let args: Vec<String> = children
        .iter()
        .map(|child| partition_args(&child.key, &child.args))
        .collect();
    let digests: Vec<_> = args.iter().map(|text| rules::fingerprint(text.as_bytes())).collect();
    let statement = sqlx::query(include_str!("sql/reveal_partitions.sql"))
        .bind(job)
        .bind(source)
        .bind(cycle)
        .bind(children.iter().map(|child| child.key.as_str()).collect::<Vec<&str>>())
        .bind(digests.iter().map(|digest| &digest.0[..]).collect::<Vec<&[u8]>>())
        .bind(args)
        .bind(NO_PLACE)
        .bind(now.0);
    act.run(statement).await?;
    let statement = sqlx::query(include_str!("sql/share_partitions.sql"))
        .bind(children.iter().map(|child| child.key.as_str()).collect::<Vec<&str>>())
        .bind(source)
        .bind(cycle)
        .bind(job);
    act.run(statement).await?;
    act.lock_sources(&[source]).await?;
    act.open_places(&[source], now).await
}
