use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::commit::{Attempt, commit_touched, commit_written, is_plain, reveal_partitions};
use super::conflicts::{Tries, tried};
use super::error::broken;
use super::rows::{column, fingerprint, small};
use crate::batch::read_partition;
use crate::{IngestStore, StoreError};
use tideline_core::words::{
    ChildPartition, Commit, JobId, KeyHash, Lease, PageBatch, PageMemory, Progress, SourceId, Timestamp, Validators,
};

#[async_trait]
impl IngestStore for PostgresStore {
    async fn list_page_memories(&self, partition: JobId, from: u32, limit: u32) -> Result<Vec<PageMemory>, StoreError> {
        let mut act = self.reading("list page memories").await?;
        let statement = sqlx::query(include_str!("sql/list_page_memories.sql"))
            .bind(partition.0)
            .bind(i64::from(from))
            .bind(i64::from(from) + i64::from(limit));
        act.rows(statement).await?.iter().map(page_memory).collect()
    }

    async fn list_partitions(
        &self,
        source: SourceId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ChildPartition>, StoreError> {
        let mut act = self.reading("list partitions").await?;
        let statement = sqlx::query(include_str!("sql/list_partitions.sql"))
            .bind(source.0)
            .bind(prefix)
            .bind(i64::from(limit.clamp(1, 1_000)))
            .bind(after.unwrap_or_default());
        let mut found = Vec::new();
        for row in act.rows(statement).await? {
            found.extend(read_partition(column(&row, "key")?, column(&row, "args")?));
        }
        Ok(found)
    }

    async fn commit_pages(&self, batch: &PageBatch, now: Timestamp) -> Result<Commit, StoreError> {
        // Two partitions may own the same reference, so their commits may conflict.
        let (mut tries, mut look) = (Tries::default(), false);
        loop {
            let attempt = if is_plain(batch) && !look {
                commit_touched(self, batch, now).await
            } else {
                commit_written(self, batch, look, now).await
            };
            match attempt {
                Ok(Attempt::Committed(commit)) => return Ok(commit),
                Ok(Attempt::Fenced) => match self.explain_fence(batch, look, now).await? {
                    Some(commit) => return Ok(commit),
                    None => look = true,
                },
                Err(error) => tries.again(error).await?,
            }
        }
    }

    async fn restart_partition(&self, lease: Lease, now: Timestamp) -> Result<Commit, StoreError> {
        let mut act = self.writing("restart a partition").await?;
        act.begin().await?;
        let statement = sqlx::query(include_str!("sql/find_fence.sql"));
        let row = act.row(statement.bind(lease.job.0).bind(lease.token.0)).await?;
        let Some(row) = row else {
            act.rollback().await?;
            return Ok(Commit::LeaseLost);
        };
        let mut progress = progress_of(&row)?;
        progress.restarts += 1;
        progress.kept_cursor = None;
        progress.finished = false;
        let statement = sqlx::query(include_str!("sql/restart_job.sql")).bind(lease.job.0);
        act.run(statement.bind(progress_text(&progress)?).bind(now.0)).await?;
        act.commit().await?;
        committed(&row, progress, now)
    }

    async fn reveal_partitions(
        &self,
        lease: Lease,
        children: &[ChildPartition],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        tried(|| self.reveal_once(lease, children, now)).await
    }
}

impl PostgresStore {
    async fn reveal_once(&self, lease: Lease, children: &[ChildPartition], now: Timestamp) -> Result<bool, StoreError> {
        let mut act = self.writing("reveal partitions").await?;
        act.begin().await?;
        let statement = sqlx::query(include_str!("sql/find_fence.sql"));
        let row = act.row(statement.bind(lease.job.0).bind(lease.token.0)).await?;
        let Some(row) = row else {
            act.rollback().await?;
            return Ok(false);
        };
        let parent = (lease.job.0, column(&row, "source_id")?, column(&row, "cycle")?);
        reveal_partitions(&mut act, parent, children.iter(), now).await?;
        act.commit().await?;
        Ok(true)
    }

    /// Why did the fence match no row? Either the lease was lost, or the same pages were committed by a call whose
    /// answer was lost: then this is that answer. `None`: the source may have deltas that were not read.
    async fn explain_fence(
        &self,
        batch: &PageBatch,
        looked: bool,
        now: Timestamp,
    ) -> Result<Option<Commit>, StoreError> {
        let mut act = self.reading("commit pages").await?;
        let statement = sqlx::query(include_str!("sql/find_fence.sql"));
        let row = act
            .row(statement.bind(batch.lease.job.0).bind(batch.lease.token.0))
            .await?;
        let Some(row) = row else {
            return Ok(Some(Commit::LeaseLost));
        };
        let progress = progress_of(&row)?;
        if batch.is_committed(&progress, column(&row, "cursor")?) {
            return committed(&row, progress, now).map(Some);
        }
        if !looked && column(&row, "deltas")? && progress.next_page == batch.progress.next_page {
            return Ok(None);
        }
        Err(broken(
            "commit pages",
            format!(
                "the partition stands at page {}, the batch begins at page {}",
                progress.next_page, batch.progress.next_page
            ),
        ))
    }
}

/// The result of a commit, with the state of the source's row.
pub(super) fn committed(row: &PgRow, progress: Progress, now: Timestamp) -> Result<Commit, StoreError> {
    let hold_until = Timestamp(column(row, "hold_until")?);
    Ok(Commit::Committed {
        progress,
        hold_until: (hold_until > now).then_some(hold_until),
        paused: column::<&str>(row, "state")? != "active",
    })
}

pub(super) fn progress_text(progress: &Progress) -> Result<String, StoreError> {
    serde_json::to_string(progress).map_err(|error| broken("write progress", error.to_string()))
}

fn progress_of(row: &PgRow) -> Result<Progress, StoreError> {
    column::<Option<&str>>(row, "progress")?.map_or(Ok(Progress::default()), |text| {
        serde_json::from_str(text).map_err(|error| broken("read progress", error.to_string()))
    })
}

pub(super) fn page_memory(row: &PgRow) -> Result<PageMemory, StoreError> {
    let digest = |name| column::<Option<&[u8]>>(row, name)?.map(fingerprint).transpose();
    let children = column::<Option<&str>>(row, "children")?.map_or(Ok(vec![]), |text| {
        serde_json::from_str(text).map_err(|error| broken("read the children of a page", error.to_string()))
    })?;
    let memory = PageMemory {
        page: small(row, "page")?,
        fingerprint: fingerprint(column(row, "fingerprint")?)?,
        entities: small(row, "entities")?,
        kept: small(row, "kept")?,
        unidentified: small(row, "unidentified")?,
        next: column(row, "next")?,
        children,
        validators: Validators {
            request: digest("request")?,
            etag: column(row, "etag")?,
            last_modified: column(row, "last_modified")?,
            content: digest("content")?,
        },
        lost: (column::<Option<Vec<i64>>>(row, "lost")?.unwrap_or_default().into_iter())
            .map(KeyHash)
            .collect(),
        read_at: Timestamp(column(row, "read_at")?),
    };
    let stale: bool = column(row, "stale")?;
    Ok(if stale { memory.without_content() } else { memory })
}
