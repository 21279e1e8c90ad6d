use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::act::Act;
use super::error::broken;
use super::rows::{NO_PLACE, column, fingerprint, moment, small, storable, trigger_of, trigger_text};
use crate::batch::check_jobs;
use crate::{ClaimRequest, DueJob, JobStore, Rescue, Rescued, SettleRequest, StoreError};
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{
    ClaimedJob, CycleNumber, EnqueueOutcome, Enqueued, JobId, Lease, NewJob, Settled, Settlement, SourceId, Timestamp,
    Token, WorkerId,
};

/// How long a dead worker's row is kept, in milliseconds.
const FORGET_WORKER_MS: i64 = 60_000;

#[async_trait]
impl JobStore for PostgresStore {
    async fn enqueue(&self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, StoreError> {
        if jobs.is_empty() {
            return Ok(vec![]);
        }
        let mut act = self.writing("enqueue").await?;
        enqueue_in(&mut act, jobs, now).await
    }

    async fn claim(&self, request: &ClaimRequest, now: Timestamp) -> Result<Vec<ClaimedJob>, StoreError> {
        let limit = i64::from(request.limit);
        let mut act = self.writing("claim").await?;
        let rows = match &request.hinted {
            None => {
                let statement = sqlx::query(include_str!("sql/claim_due_jobs.sql"));
                let statement = statement.bind(&request.worker.0).bind(&request.kinds).bind(limit);
                act.rows(statement.bind(now.0)).await?
            }
            Some(hints) if hints.is_empty() => return Ok(vec![]),
            Some(hints) => {
                let (jobs, tokens): (Vec<i64>, Vec<i64>) = hints.iter().map(|(job, token)| (job.0, token.0)).unzip();
                let statement = sqlx::query(include_str!("sql/claim_hinted_jobs.sql"));
                let statement = statement.bind(&request.worker.0).bind(&request.kinds).bind(limit);
                act.rows(statement.bind(now.0).bind(jobs).bind(tokens)).await?
            }
        };
        let mut claimed = rows.iter().map(claimed_job).collect::<Result<Vec<_>, _>>()?;
        claimed.sort_unstable_by_key(|job| (job.due_at, job.id));
        Ok(claimed)
    }

    async fn checkpoint(&self, lease: Lease, cursor: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut act = self.writing("checkpoint").await?;
        let statement = sqlx::query(include_str!("sql/checkpoint_job.sql"));
        let statement = statement.bind(lease.job.0).bind(lease.token.0);
        Ok(act.run(statement.bind(cursor).bind(now.0)).await? == 1)
    }

    async fn settle(&self, settlements: &[SettleRequest], now: Timestamp) -> Result<Vec<Settled>, StoreError> {
        let mut settled = HashMap::with_capacity(settlements.len());
        if settlements.is_empty() {
            return Ok(vec![]);
        }
        // If a batch settles a lease twice, the first settlement counts.
        let mut seen = HashSet::with_capacity(settlements.len());
        let firsts: Vec<usize> = (0..settlements.len())
            .filter(|place| seen.insert(settlements[*place].lease))
            .collect();
        let requests: Vec<&SettleRequest> = firsts.iter().map(|place| &settlements[*place]).collect();
        let mut act = self.writing("settle").await?;
        settle_rows(&mut act, &requests, now, false, &mut settled).await?;
        // Partitions that free their place (temporarily, on their ladder) or wait for one again, or lost leases.
        let rest: Vec<&SettleRequest> = requests
            .into_iter()
            .filter(|request| !settled.contains_key(&request.lease))
            .collect();
        if !rest.is_empty() {
            act.begin().await?;
            let sources = settle_rows(&mut act, &rest, now, true, &mut settled).await?;
            if !sources.is_empty() {
                act.lock_sources(&sources).await?;
                note_given_up(&mut act, &rest).await?;
                act.open_places(&sources, now).await?;
            }
            act.commit().await?;
        }
        let mut answers = vec![Settled::LeaseLost; settlements.len()];
        for place in firsts {
            if let Some(answer) = settled.get(&settlements[place].lease) {
                answers[place] = *answer;
            }
        }
        Ok(answers)
    }

    async fn take_due(&self, limit: u32, resend_after_ms: i64, now: Timestamp) -> Result<Vec<DueJob>, StoreError> {
        let mut act = self.writing("take due jobs").await?;
        let statement = sqlx::query(include_str!("sql/take_due_jobs.sql"));
        let statement = statement
            .bind(i64::from(limit))
            .bind(now.0.saturating_sub(resend_after_ms));
        let rows = act.rows(statement.bind(now.0)).await?;
        let mut due = rows.iter().map(due_job).collect::<Result<Vec<_>, _>>()?;
        due.sort_unstable_by_key(|job| (job.due_at, job.job));
        Ok(due)
    }

    async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut act = self.reading("look for the next due time").await?;
        let statement = sqlx::query(include_str!("sql/find_next_due.sql"));
        let row = act.row(statement.bind(now.0).bind(NO_PLACE)).await?;
        row.map_or(Ok(None), |row| moment(&row, "moment"))
    }

    async fn rescue(&self, policy: RescuePolicy, limit: u32, now: Timestamp) -> Result<Rescue, StoreError> {
        let mut act = self.writing("rescue").await?;
        let leases = sqlx::query(include_str!("sql/find_dead_workers.sql")).bind(now.0);
        let leases = act.row(leases).await?;
        let mut rescue = Rescue {
            jobs: vec![],
            next_end: leases
                .as_ref()
                .map(|row| moment(row, "next_end"))
                .transpose()?
                .flatten(),
        };
        if !leases.map_or(Ok(false), |row| column(&row, "dead"))? {
            return Ok(rescue);
        }
        // A worker that was suspended while sending a page blocks the change feed.
        let patience = i64::try_from(self.options.idle_in_transaction.as_millis()).unwrap_or(i64::MAX);
        act.rows(sqlx::query(include_str!("sql/end_stalled_copies.sql")).bind(patience))
            .await?;
        act.begin().await?;
        let mut rows = vec![];
        // First the partitions with a place, then the siblings that were read in such places.
        for (from, to) in [(0, now.0), (NO_PLACE, i64::MAX)] {
            let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(rows.len());
            let statement = sqlx::query(include_str!("sql/rescue_jobs.sql"))
                .bind(i64::try_from(left).unwrap_or(i64::MAX))
                .bind(i32::try_from(policy.free).unwrap_or(i32::MAX))
                .bind(now.plus(policy.delay).0)
                .bind(i32::try_from(policy.park_after).unwrap_or(i32::MAX))
                .bind("parked: the workers that ran it died, one after the other")
                .bind(now.0)
                .bind(from)
                .bind(to)
                .bind(NO_PLACE);
            rows.extend(act.rows(statement).await?);
        }
        let mut freed = vec![];
        for row in &rows {
            let parked = column(row, "parked")?;
            if column(row, "leaves")?
                && let Some(source) = column::<Option<i64>>(row, "source_id")?
            {
                freed.push(source);
            }
            rescue.jobs.push(Rescued {
                job: JobId(column(row, "id")?),
                worker: WorkerId(column(row, "worker")?),
                parked,
            });
        }
        if !freed.is_empty() {
            act.lock_sources(&freed).await?;
            act.open_places(&freed, now).await?;
        }
        if rescue.jobs.is_empty() {
            let statement = sqlx::query(include_str!("sql/delete_dead_workers.sql"));
            act.run(statement.bind(now.0 - FORGET_WORKER_MS)).await?;
        }
        act.commit().await?;
        Ok(rescue)
    }
}

/// Inserts or supersedes jobs, within an act.
pub(super) async fn enqueue_in(act: &mut Act, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Enqueued>, StoreError> {
    check_jobs(jobs)?;
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let rows = enqueue_rows(act, jobs, now).await?;
    let mut answers = Vec::with_capacity(jobs.len());
    for (job, row) in jobs.iter().zip(&rows) {
        answers.push(match enqueued(row)? {
            Some(answer) => answer,
            // Another process has just inserted the same job, invisible to this statement's snapshot.
            None => {
                let again = enqueue_rows(act, std::slice::from_ref(job), now).await?;
                let found = again.first().map(enqueued).transpose()?.flatten();
                found.ok_or_else(|| broken("enqueue", "a job was neither written nor found"))?
            }
        });
    }
    Ok(answers)
}

async fn enqueue_rows(act: &mut Act, jobs: &[NewJob], now: Timestamp) -> Result<Vec<PgRow>, StoreError> {
    let of = |text: fn(&NewJob) -> &str| jobs.iter().map(text).collect::<Vec<&str>>();
    let statement = sqlx::query(include_str!("sql/enqueue_jobs.sql"))
        .bind(of(|job| &job.kind))
        .bind(of(|job| &job.key))
        .bind(jobs.iter().map(|job| &job.fingerprint.0[..]).collect::<Vec<&[u8]>>())
        .bind(of(|job| &job.args))
        .bind(jobs.iter().map(|job| job.due_at.0).collect::<Vec<i64>>())
        .bind(of(|job| trigger_text(job.trigger)))
        .bind(
            jobs.iter()
                .map(|job| job.trace.as_deref())
                .collect::<Vec<Option<&str>>>(),
        )
        .bind(now.0);
    let rows = act.rows(statement).await?;
    if rows.len() != jobs.len() {
        return Err(broken("enqueue", "the batch names a job twice"));
    }
    Ok(rows)
}

fn enqueued(row: &PgRow) -> Result<Option<Enqueued>, StoreError> {
    let Some(id) = column::<Option<i64>>(row, "id")? else {
        return Ok(None);
    };
    let outcome = match column::<Option<bool>>(row, "created")? {
        Some(true) => EnqueueOutcome::Inserted,
        Some(false) => EnqueueOutcome::Superseded,
        None => EnqueueOutcome::Unchanged,
    };
    Ok(Some(Enqueued {
        job: JobId(id),
        token: Token(column(row, "token")?),
        outcome,
        claimable: column::<Option<&str>>(row, "state")? == Some("waiting"),
    }))
}

pub(super) fn claimed_job(row: &PgRow) -> Result<ClaimedJob, StoreError> {
    Ok(ClaimedJob {
        id: JobId(column(row, "id")?),
        token: Token(column(row, "token")?),
        kind: column(row, "kind")?,
        key: column(row, "key")?,
        fingerprint: fingerprint(column(row, "fingerprint")?)?,
        args: column(row, "args")?,
        cursor: column(row, "cursor")?,
        progress: column(row, "progress")?,
        due_at: Timestamp(column(row, "due_at")?),
        attempt: small(row, "attempt")?,
        rung: small(row, "rung")?,
        trigger: trigger_of(column(row, "trigger")?)?,
        trace: column(row, "trace")?,
        source: column::<Option<i64>>(row, "source_id")?.map(SourceId),
        cycle: column::<Option<i64>>(row, "cycle")?.map(CycleNumber),
    })
}

fn due_job(row: &PgRow) -> Result<DueJob, StoreError> {
    Ok(DueJob {
        kind: column(row, "kind")?,
        job: JobId(column(row, "id")?),
        token: Token(column(row, "token")?),
        due_at: Timestamp(column(row, "due_at")?),
        resent: column(row, "resent")?,
    })
}

/// Spares the scheduler a search of all partitions for one that was given up when it ends a cycle.
async fn note_given_up(act: &mut Act, settled: &[&SettleRequest]) -> Result<(), StoreError> {
    let cancelled: Vec<i64> = settled
        .iter()
        .filter(|request| matches!(request.settlement, Settlement::Cancelled { .. }))
        .map(|request| request.lease.job.0)
        .collect();
    if !cancelled.is_empty() {
        let statement = sqlx::query(include_str!("sql/note_given_up.sql"));
        act.run(statement.bind(cancelled)).await?;
    }
    Ok(())
}

/// Settles what can be settled, and returns the sources whose partitions freed their place.
pub(super) async fn settle_rows(
    act: &mut Act,
    requests: &[&SettleRequest],
    now: Timestamp,
    leaving: bool,
    settled: &mut HashMap<Lease, Settled>,
) -> Result<Vec<i64>, StoreError> {
    let ends: Vec<End<'_>> = requests.iter().map(|request| end_of(&request.settlement)).collect();
    let statement = sqlx::query(include_str!("sql/settle_jobs.sql"))
        .bind(requests.iter().map(|request| request.lease.job.0).collect::<Vec<i64>>())
        .bind(
            requests
                .iter()
                .map(|request| request.lease.token.0)
                .collect::<Vec<i64>>(),
        )
        .bind(ends.iter().map(|end| end.0).collect::<Vec<&str>>())
        .bind(ends.iter().map(|end| end.1).collect::<Vec<Option<i64>>>())
        .bind(ends.iter().map(|end| end.2).collect::<Vec<Option<i32>>>())
        .bind(
            ends.iter()
                .map(|end| end.3.map(storable))
                .collect::<Vec<Option<Cow<'_, str>>>>(),
        )
        .bind(now.0)
        .bind(leaving)
        .bind(NO_PLACE);
    let mut sources = vec![];
    for row in act.rows(statement).await? {
        let lease = Lease {
            job: JobId(column(&row, "id")?),
            token: Token(column(&row, "token")?),
        };
        let superseded = column::<i64>(&row, "hinted_at")? < 0;
        settled.insert(
            lease,
            if superseded {
                Settled::RunsAgain
            } else {
                Settled::Settled
            },
        );
        if let Some(source) = column::<Option<i64>>(&row, "source_id")?
            && column::<bool>(&row, "leaves")?
        {
            sources.push(source);
        }
    }
    Ok(sources)
}

/// Kind, due time, rung, error.
type End<'s> = (&'static str, Option<i64>, Option<i32>, Option<&'s str>);

fn end_of(settlement: &Settlement) -> End<'_> {
    match settlement {
        Settlement::Done => ("done", None, None, None),
        Settlement::Again { due_at } => ("again", Some(due_at.0), None, None),
        Settlement::Retry { due_at, rung, error } => {
            let rung = i32::try_from(*rung).unwrap_or(i32::MAX);
            ("retry", Some(due_at.0), Some(rung), Some(error))
        }
        Settlement::Postponed { due_at, reason } => ("postponed", Some(due_at.0), None, Some(reason)),
        Settlement::Parked { error } => ("parked", None, None, Some(error)),
        Settlement::Cancelled { error } => ("cancelled", None, None, Some(error)),
        Settlement::HandedBack => ("handed_back", None, None, None),
    }
}
