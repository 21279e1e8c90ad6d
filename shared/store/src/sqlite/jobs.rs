use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::failure::{broken, failed};
use super::rows::{count, fingerprint, moment, optional_moment, to_json, word};
use super::settle::{rescue, settle};
use super::{SqliteStore, begin, commit, sql};
use crate::batch::check_jobs;
use crate::{ClaimRequest, DueJob, JobStore, Rescue, SettleRequest, StoreError};
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{
    ClaimedJob, CycleNumber, EnqueueOutcome, Enqueued, JobId, Lease, NewJob, Settled, SourceId, Timestamp, Token,
};

#[async_trait]
impl JobStore for SqliteStore {
    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, StoreError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ENQUEUE).await?;
        let answers = enqueue_in(&mut tx, jobs, now).await?;
        commit(tx, ENQUEUE).await?;
        Ok(answers)
    }

    async fn claim(&self, request: &ClaimRequest, now: Timestamp) -> Result<Vec<ClaimedJob>, StoreError> {
        const ACT: &str = "claim";
        let kinds = to_json(&request.kinds).map_err(failed(ACT))?;
        let statement = match &request.hinted {
            Some(_) => query(sql!("claim_hinted_jobs")),
            None => query(sql!("claim_due_jobs")),
        };
        let mut statement = statement
            .bind(&request.worker.0)
            .bind(now.0)
            .bind(kinds)
            .bind(request.limit);
        if let Some(hinted) = &request.hinted {
            statement = statement.bind(to_json(hinted).map_err(failed(ACT))?);
        }
        let rows = {
            let mut writer = self.writer().await;
            statement.fetch_all(&mut *writer).await.map_err(failed(ACT))?
        };
        let mut jobs = (rows.iter().map(claimed))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed(ACT))?;
        jobs.sort_by_key(|job| (job.due_at, job.id));
        Ok(jobs)
    }

    async fn checkpoint(&self, lease: Lease, cursor: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let done = query(sql!("checkpoint_job"))
            .bind(lease.job.0)
            .bind(lease.token.0)
            .bind(cursor)
            .bind(now.0)
            .execute(&mut *writer)
            .await
            .map_err(failed("checkpoint"))?;
        Ok(done.rows_affected() > 0)
    }

    async fn settle(&self, settlements: &[SettleRequest], now: Timestamp) -> Result<Vec<Settled>, StoreError> {
        settle(self, settlements, now).await
    }

    async fn take_due(&self, limit: u32, resend_after_ms: i64, now: Timestamp) -> Result<Vec<DueJob>, StoreError> {
        const ACT: &str = "take due jobs";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let mut rows = query(sql!("find_unhinted_jobs"))
            .bind(now.0)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        if left > 0 {
            rows.extend(
                query(sql!("find_unanswered_jobs"))
                    .bind(now.0)
                    .bind(left)
                    .bind(now.0.saturating_sub(resend_after_ms))
                    .fetch_all(&mut *tx)
                    .await
                    .map_err(failed(ACT))?,
            );
        }
        let due = (rows.iter().map(due_job))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed(ACT))?;
        if !due.is_empty() {
            let ids: Vec<JobId> = due.iter().map(|job| job.job).collect();
            query(sql!("note_hints"))
                .bind(to_json(&ids).map_err(failed(ACT))?)
                .bind(now.0)
                .execute(&mut *tx)
                .await
                .map_err(failed(ACT))?;
        }
        commit(tx, ACT).await?;
        Ok(due)
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        const ACT: &str = "find the next due time";
        let row = query(sql!("find_next_due"))
            .bind(now.0)
            .fetch_one(&self.readers)
            .await
            .map_err(failed(ACT))?;
        optional_moment(&row, 0).map_err(failed(ACT))
    }

    async fn rescue(&self, policy: RescuePolicy, limit: u32, now: Timestamp) -> Result<Rescue, StoreError> {
        rescue(self, policy, limit, now).await
    }
}

const ENQUEUE: &str = "enqueue";

/// Inserts or supersedes jobs, within a transaction.
pub(super) async fn enqueue_in(
    tx: &mut SqliteConnection,
    jobs: &[NewJob],
    now: Timestamp,
) -> Result<Vec<Enqueued>, StoreError> {
    check_jobs(jobs)?;
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let batch = enqueue_json(jobs).map_err(failed(ENQUEUE))?;
    let named = query(sql!("find_enqueued"))
        .bind(&batch)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ENQUEUE))?;
    let mut answers: Vec<Option<Enqueued>> = vec![None; jobs.len()];
    let mut known = HashSet::new();
    for row in &named {
        let (place, answer) = unchanged(row).map_err(failed(ENQUEUE))?;
        known.insert(answer.job);
        if row.try_get(3).map_err(failed(ENQUEUE))? {
            answers[place] = Some(answer);
        }
    }
    if answers.iter().any(Option::is_none) {
        let places: HashMap<(&str, &str), usize> = (jobs.iter().enumerate())
            .map(|(place, job)| ((job.kind.as_str(), job.key.as_str()), place))
            .collect();
        let written = query(sql!("enqueue_jobs"))
            .bind(&batch)
            .bind(now.0)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(ENQUEUE))?;
        for row in &written {
            let (place, answer) = enqueued(row, &places, &known).map_err(failed(ENQUEUE))?;
            answers[place] = Some(answer);
        }
    }
    answers
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| broken(ENQUEUE, "a job of the batch has no row"))
}

fn enqueue_json(jobs: &[NewJob]) -> Result<String, sqlx::Error> {
    let batch: Vec<_> = jobs
        .iter()
        .map(|job| {
            json!([
                job.kind,
                job.key,
                job.fingerprint.to_string(),
                job.args,
                job.due_at,
                job.trigger,
                job.trace
            ])
        })
        .collect();
    to_json(&batch)
}

fn unchanged(row: &SqliteRow) -> Result<(usize, Enqueued), sqlx::Error> {
    let answer = Enqueued {
        job: JobId(row.try_get(1)?),
        token: Token(row.try_get(2)?),
        outcome: EnqueueOutcome::Unchanged,
        claimable: false,
    };
    Ok((count(row, 0)?, answer))
}

fn enqueued(
    row: &SqliteRow,
    places: &HashMap<(&str, &str), usize>,
    known: &HashSet<JobId>,
) -> Result<(usize, Enqueued), sqlx::Error> {
    let place = places
        .get(&(row.try_get(0)?, row.try_get(1)?))
        .ok_or(sqlx::Error::RowNotFound)?;
    let job = JobId(row.try_get(2)?);
    let answer = Enqueued {
        job,
        token: Token(row.try_get(3)?),
        outcome: if known.contains(&job) {
            EnqueueOutcome::Superseded
        } else {
            EnqueueOutcome::Inserted
        },
        claimable: row.try_get::<&str, _>(4)? == "waiting",
    };
    Ok((*place, answer))
}

pub(super) fn claimed(row: &SqliteRow) -> Result<ClaimedJob, sqlx::Error> {
    Ok(ClaimedJob {
        id: JobId(row.try_get(0)?),
        token: Token(row.try_get(1)?),
        kind: row.try_get(2)?,
        key: row.try_get(3)?,
        fingerprint: fingerprint(row, 4)?,
        args: row.try_get(5)?,
        cursor: row.try_get(6)?,
        progress: row.try_get(7)?,
        due_at: moment(row, 14)?,
        attempt: count(row, 8)?,
        rung: count(row, 9)?,
        trigger: word(row, 10)?,
        trace: row.try_get(11)?,
        source: row.try_get::<Option<i64>, _>(12)?.map(SourceId),
        cycle: row.try_get::<Option<i64>, _>(13)?.map(CycleNumber),
    })
}

fn due_job(row: &SqliteRow) -> Result<DueJob, sqlx::Error> {
    Ok(DueJob {
        kind: row.try_get(0)?,
        job: JobId(row.try_get(1)?),
        token: Token(row.try_get(2)?),
        due_at: moment(row, 3)?,
        resent: row.try_get(4)?,
    })
}
