use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::act::Act;
use super::catalog::reference;
use super::error::broken;
use super::migrate::tables;
use super::rows::{NO_PLACE, column, count, cycle_state_of, job_state_of, job_state_text, moment, small, trigger_of};
use super::totals::totals_of;
use crate::{JobFilter, OperatorStore, StoreError, StoreStats, WorkerRecord};
use tideline_core::words::{
    Collision, CycleNumber, CycleRecord, CycleTotals, EntityRef, JobId, JobRecord, JobState, MalformedItem,
    MalformedRecord, Sequence, SourceId, Timestamp, Token, UnseenEntity, WorkerId,
};

#[async_trait]
impl OperatorStore for PostgresStore {
    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, StoreError> {
        let mut act = self.reading("list jobs").await?;
        // There are many finished jobs, and the others have indexes.
        let statement = match filter.state {
            Some(JobState::Parked) => include_str!("sql/list_parked_jobs.sql"),
            Some(JobState::Waiting | JobState::Running) => include_str!("sql/list_open_jobs.sql"),
            Some(JobState::Done | JobState::Cancelled) | None => include_str!("sql/list_jobs.sql"),
        };
        let statement = sqlx::query(statement)
            .bind(filter.kind.as_deref())
            .bind(filter.state.map(job_state_text))
            .bind(filter.source.as_deref())
            .bind(filter.key.as_deref())
            .bind(filter.after.map(|job| job.0))
            .bind(i64::from(filter.limit.clamp(1, 1_000)));
        act.rows(statement).await?.iter().map(job_record).collect()
    }

    async fn retry_job(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("retry a job").await?;
        act.begin().await?;
        match retry_in(&mut act, job, now).await {
            Ok(()) => act.commit().await,
            Err(error) => {
                if matches!(error, StoreError::Refused(_)) {
                    act.rollback().await?;
                }
                Err(error)
            }
        }
    }

    async fn list_cycles(&self, source: SourceId, limit: u32) -> Result<Vec<CycleRecord>, StoreError> {
        let mut act = self.reading("list cycles").await?;
        let statement = sqlx::query(include_str!("sql/list_cycles.sql")).bind(source.0);
        let rows = act.rows(statement.bind(i64::from(limit))).await?;
        let mut cycles = Vec::with_capacity(rows.len());
        for row in &rows {
            let number: i64 = column(row, "number")?;
            let totals = match column::<Option<&str>>(row, "totals")? {
                Some(text) => CycleTotals {
                    removed: count(row, "removed")?,
                    kept: count(row, "kept")?,
                    unconfirmed: count(row, "unconfirmed")?,
                    collisions: count(row, "collisions")?,
                    ..totals_of(text)?
                },
                None => {
                    let live = act.sum_partitions(&[(source.0, number)]).await?;
                    live.into_iter().next().unwrap_or_default()
                }
            };
            cycles.push(CycleRecord {
                source,
                number: CycleNumber(number),
                state: cycle_state_of(column(row, "state")?)?,
                trigger: trigger_of(column(row, "trigger")?)?,
                started_at: Timestamp(column(row, "started_at")?),
                ended_at: moment(row, "ended_at")?,
                reason: column(row, "reason")?,
                totals,
            });
        }
        Ok(cycles)
    }

    async fn list_malformed(&self, source: SourceId, limit: u32) -> Result<Vec<MalformedRecord>, StoreError> {
        let mut act = self.reading("list malformed items").await?;
        let statement = sqlx::query(include_str!("sql/list_malformed.sql")).bind(source.0);
        let rows = act.rows(statement.bind(i64::from(limit))).await?;
        rows.iter().map(malformed_record).collect()
    }

    async fn list_collisions(&self, source: SourceId, limit: u32) -> Result<Vec<Collision>, StoreError> {
        let mut act = self.reading("list collisions").await?;
        let statement = sqlx::query(include_str!("sql/list_collisions.sql")).bind(source.0);
        let rows = act.rows(statement.bind(i64::from(limit))).await?;
        let collision = |row: &PgRow| -> Result<Collision, StoreError> {
            Ok(Collision {
                reference: reference(row)?,
                places: count(row, "places")?,
                partition: column(row, "partition")?,
                page: small(row, "page")?,
            })
        };
        rows.iter().map(collision).collect()
    }

    async fn list_unseen_entities(
        &self,
        source: SourceId,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Result<Vec<UnseenEntity>, StoreError> {
        let mut act = self.reading("list unseen entities").await?;
        let statement = sqlx::query(include_str!("sql/list_unseen_entities.sql")).bind(source.0);
        let statement = statement.bind(after.map_or("", EntityRef::as_str));
        let rows = act.rows(statement.bind(i64::from(limit))).await?;
        let unseen = |row: &PgRow| -> Result<UnseenEntity, StoreError> {
            Ok(UnseenEntity {
                reference: reference(row)?,
                cycles: small(row, "missed")?,
                rejected: column(row, "kept")?,
            })
        };
        rows.iter().map(unseen).collect()
    }

    async fn list_workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        let mut act = self.reading("list workers").await?;
        let rows = act.rows(sqlx::query(include_str!("sql/list_workers.sql"))).await?;
        let worker = |row: &PgRow| {
            Ok(WorkerRecord {
                worker: WorkerId(column(row, "worker")?),
                alive_until: Timestamp(column(row, "alive_until")?),
                started_at: Timestamp(column(row, "started_at")?),
                running: count(row, "running")?,
            })
        };
        rows.iter().map(worker).collect()
    }

    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        let mut act = self.reading("read statistics").await?;
        let statement = sqlx::query(include_str!("sql/read_stats.sql")).bind(now.0);
        let row = act.row(statement).await?;
        let row = row.ok_or_else(|| broken("read statistics", "no answer"))?;
        Ok(StoreStats {
            due: count(&row, "due")?,
            oldest_due_at: moment(&row, "oldest_due_at")?,
            running: count(&row, "running")?,
            parked: count(&row, "parked")?,
            held_sweeps: count(&row, "held_sweeps")?,
            last_sequence: Sequence(column(&row, "last_sequence")?),
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check_schema_since_start().await?;
        let mut act = self.reading("ping").await?;
        let statement = sqlx::query(include_str!("sql/find_missing_tables.sql")).bind(tables());
        if let Some(row) = act.row(statement).await? {
            let missing: Vec<String> = column(&row, "missing")?;
            if !missing.is_empty() {
                return Err(StoreError::Schema(format!(
                    "the database lacks the table {}; restore it from a backup",
                    missing.join(", ")
                )));
            }
            if column(&row, "read_only")? {
                return Err(StoreError::Config(
                    "Postgres is read-only (a standby, or default_transaction_read_only is on); let the URL name the \
                     primary, or make the database writable"
                        .to_owned(),
                ));
            }
        }
        let row = act.row(sqlx::query(include_str!("sql/ping.sql"))).await?;
        row.map(drop)
            .ok_or_else(|| broken("ping", "the counter of changes is gone"))
    }
}

/// A job becomes due now, within a transaction.
pub(super) async fn retry_in(act: &mut Act, job: JobId, now: Timestamp) -> Result<(), StoreError> {
    let found = act
        .row(sqlx::query(include_str!("sql/find_job_standing.sql")).bind(job.0))
        .await?
        .ok_or_else(|| StoreError::NotFound {
            what: "job",
            name: job.to_string(),
        })?;
    let state = job_state_of(column(&found, "state")?)?;
    if !matches!(state, JobState::Waiting | JobState::Parked | JobState::Cancelled) {
        let state = job_state_text(state);
        return Err(StoreError::Refused(format!(
            "job {job} is {state}; only a waiting, parked or cancelled job can be retried"
        )));
    }
    let partition: Option<i64> = column(&found, "source_id")?;
    if let Some(source) = partition {
        act.lock_sources(&[source]).await?;
        let statement = sqlx::query(include_str!("sql/find_cycle_state.sql")).bind(source);
        let row = act.row(statement.bind(column::<Option<i64>>(&found, "cycle")?)).await?;
        if row.map(|row| column::<bool>(&row, "bursts")).transpose()? != Some(true) {
            return Err(StoreError::Refused(format!(
                "job {job} is a partition of a cycle that has ended; refresh its source instead"
            )));
        }
    }
    // A partition gets its place like any other.
    let due_at = partition.map_or(now.0, |_| NO_PLACE);
    let statement = sqlx::query(include_str!("sql/retry_job.sql")).bind(job.0);
    act.run(statement.bind(due_at).bind(now.0)).await?;
    if let Some(source) = partition {
        act.open_places(&[source], now).await?;
    }
    Ok(())
}

pub(super) fn job_record(row: &PgRow) -> Result<JobRecord, StoreError> {
    let state = job_state_of(column(row, "state")?)?;
    let due_at = moment(row, "due_at")?.filter(|due| state == JobState::Waiting && due.0 < NO_PLACE);
    Ok(JobRecord {
        id: JobId(column(row, "id")?),
        kind: column(row, "kind")?,
        key: column(row, "key")?,
        state,
        due_at,
        attempt: small(row, "attempt")?,
        rung: small(row, "rung")?,
        token: Token(column(row, "token")?),
        worker: column::<Option<String>>(row, "worker")?.map(WorkerId),
        leased_until: moment(row, "alive_until")?,
        last_error: column(row, "last_error")?,
        trigger: trigger_of(column(row, "trigger")?)?,
        args: column(row, "args")?,
        cursor: column(row, "cursor")?,
        progress: column(row, "progress")?,
        trace: column(row, "trace")?,
        source: column(row, "source")?,
        cycle: column::<Option<i64>>(row, "cycle")?.map(CycleNumber),
        created_at: Timestamp(column(row, "created_at")?),
        updated_at: Timestamp(column(row, "updated_at")?),
    })
}

fn malformed_record(row: &PgRow) -> Result<MalformedRecord, StoreError> {
    let reference = column::<Option<&str>>(row, "ref")?.map(str::parse).transpose();
    Ok(MalformedRecord {
        source: column(row, "source")?,
        cycle: CycleNumber(column(row, "cycle")?),
        partition: column(row, "partition")?,
        page: small(row, "page")?,
        item: MalformedItem {
            reference: reference
                .map_err(|error: tideline_core::words::EntityRefError| broken("read a reference", error.to_string()))?,
            error: column(row, "error")?,
            sample: column(row, "sample")?,
        },
        seen_at: Timestamp(column(row, "seen_at")?),
    })
}
