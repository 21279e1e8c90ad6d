use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::failure::{broken, failed};
use super::partitions::{open_places, sum_partitions};
use super::rows::{count, json, moment, optional_moment, reference, undecodable, word, word_of};
use super::{SqliteStore, begin, commit, schema, sql};
use crate::{JobFilter, OperatorStore, StoreError, StoreStats, WorkerRecord};
use tideline_core::words::{
    Collision, CycleNumber, CycleRecord, CycleState, CycleTotals, EntityRef, JobId, JobRecord, JobState, MalformedItem,
    MalformedRecord, Sequence, SourceId, Timestamp, Token, UnseenEntity, WorkerId,
};

/// Maximum number of rows per response.
const MAX_ROWS: u32 = 1_000;

#[async_trait]
impl OperatorStore for SqliteStore {
    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, StoreError> {
        const ACT: &str = "list jobs";
        let state = filter.state.map(word_of).transpose().map_err(failed(ACT))?;
        // There are many finished jobs, and the others have indexes.
        let statement = match filter.state {
            Some(JobState::Parked) => sql!("list_parked_jobs"),
            Some(JobState::Running) => sql!("list_running_jobs"),
            _ => sql!("list_jobs"),
        };
        let rows = query(statement)
            .bind(filter.after.map_or(i64::MIN, |job| job.0))
            .bind(filter.kind.as_deref())
            .bind(filter.key.as_deref())
            .bind(state)
            .bind(filter.source.as_deref())
            .bind(filter.limit.clamp(1, MAX_ROWS))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        rows.iter()
            .map(job_record)
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn retry_job(&self, job: JobId, now: Timestamp) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, RETRY).await?;
        retry_in(&mut tx, job, now).await?;
        commit(tx, RETRY).await
    }

    async fn list_cycles(&self, source: SourceId, limit: u32) -> Result<Vec<CycleRecord>, StoreError> {
        const ACT: &str = "list cycles";
        let list = async {
            let mut reader = self.readers.acquire().await?;
            let rows = query(sql!("list_cycles"))
                .bind(source.0)
                .bind(limit.clamp(1, MAX_ROWS))
                .fetch_all(&mut *reader)
                .await?;
            let mut cycles = Vec::with_capacity(rows.len());
            for row in &rows {
                let mut cycle = cycle_record(row, source)?;
                if cycle.state == CycleState::Bursting {
                    cycle.totals = sum_partitions(&mut reader, source.0, cycle.number.0).await?;
                }
                cycles.push(cycle);
            }
            Ok(cycles)
        };
        list.await.map_err(failed(ACT))
    }

    async fn list_malformed(&self, source: SourceId, limit: u32) -> Result<Vec<MalformedRecord>, StoreError> {
        const ACT: &str = "list malformed items";
        let rows = query(sql!("list_malformed"))
            .bind(source.0)
            .bind(limit.clamp(1, MAX_ROWS))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        (rows.iter().map(malformed_record))
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn list_collisions(&self, source: SourceId, limit: u32) -> Result<Vec<Collision>, StoreError> {
        const ACT: &str = "list collisions";
        let rows = query(sql!("list_collisions"))
            .bind(source.0)
            .bind(limit.clamp(1, MAX_ROWS))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let collision = |row: &SqliteRow| -> Result<Collision, sqlx::Error> {
            Ok(Collision {
                reference: reference(row, 0)?,
                places: count(row, 1)?,
                partition: row.try_get(2)?,
                page: count(row, 3)?,
            })
        };
        (rows.iter().map(collision))
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn list_unseen_entities(
        &self,
        source: SourceId,
        after: Option<&EntityRef>,
        limit: u32,
    ) -> Result<Vec<UnseenEntity>, StoreError> {
        const ACT: &str = "list unseen entities";
        let rows = query(sql!("list_unseen_entities"))
            .bind(source.0)
            .bind(after.map_or("", EntityRef::as_str))
            .bind(limit.clamp(1, MAX_ROWS))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let unseen = |row: &SqliteRow| -> Result<UnseenEntity, sqlx::Error> {
            Ok(UnseenEntity {
                reference: reference(row, 0)?,
                cycles: count(row, 1)?,
                rejected: row.try_get(2)?,
            })
        };
        (rows.iter().map(unseen)).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn list_workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        const ACT: &str = "list workers";
        let rows = query(sql!("list_workers"))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        (rows.iter().map(worker_record))
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn stats(&self, now: Timestamp) -> Result<StoreStats, StoreError> {
        const ACT: &str = "read the stats";
        let row = query(sql!("read_stats"))
            .bind(now.0)
            .fetch_one(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let read = || -> Result<StoreStats, sqlx::Error> {
            Ok(StoreStats {
                due: count(&row, 0)?,
                oldest_due_at: optional_moment(&row, 1)?,
                running: count(&row, 2)?,
                parked: count(&row, 3)?,
                held_sweeps: count(&row, 4)?,
                last_sequence: Sequence(row.try_get(5)?),
            })
        };
        read().map_err(failed(ACT))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        const ACT: &str = "ping";
        self.check_file()?;
        let mut reader = self.readers.acquire().await.map_err(failed(ACT))?;
        let found = schema::inspect(&mut reader).await.map_err(failed(ACT))?;
        schema::check(found)?;
        if found != schema::Schema::Version(schema::VERSION) {
            return Err(broken(ACT, "the schema has changed under this program"));
        }
        Ok(())
    }
}

const RETRY: &str = "retry a job";

/// A job becomes due now, within a transaction.
pub(super) async fn retry_in(tx: &mut SqliteConnection, job: JobId, now: Timestamp) -> Result<(), StoreError> {
    let row = query(sql!("find_job_standing"))
        .bind(job.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(RETRY))?
        .ok_or_else(|| StoreError::NotFound {
            what: "job",
            name: job.to_string(),
        })?;
    let read = || -> Result<(JobState, Option<i64>, Option<i64>, bool), sqlx::Error> {
        Ok((word(&row, 0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
    };
    let (state, source, cycle, bursting) = read().map_err(failed(RETRY))?;
    if !matches!(state, JobState::Parked | JobState::Cancelled | JobState::Waiting) {
        let state = word_of(state).map_err(failed(RETRY))?;
        return Err(StoreError::Refused(format!(
            "job {job} is {state}; only a waiting, parked or cancelled job can be retried"
        )));
    }
    if source.is_some() && !bursting {
        return Err(StoreError::Refused(format!(
            "job {job} is a partition of a cycle that has ended; refresh its source instead"
        )));
    }
    query(sql!("retry_job"))
        .bind(job.0)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(failed(RETRY))?;
    if let (Some(source), Some(cycle)) = (source, cycle) {
        open_places(tx, source, cycle, now).await.map_err(failed(RETRY))?;
    }
    Ok(())
}

pub(super) fn job_record(row: &SqliteRow) -> Result<JobRecord, sqlx::Error> {
    Ok(JobRecord {
        id: JobId(row.try_get(0)?),
        kind: row.try_get(1)?,
        key: row.try_get(2)?,
        state: word(row, 3)?,
        due_at: optional_moment(row, 4)?,
        attempt: count(row, 5)?,
        rung: count(row, 6)?,
        token: Token(row.try_get(7)?),
        worker: row.try_get::<Option<String>, _>(8)?.map(WorkerId),
        leased_until: optional_moment(row, 9)?,
        last_error: row.try_get(10)?,
        trigger: word(row, 11)?,
        args: row.try_get(12)?,
        cursor: row.try_get(13)?,
        progress: row.try_get(14)?,
        trace: row.try_get(15)?,
        source: row.try_get(16)?,
        cycle: row.try_get::<Option<i64>, _>(17)?.map(CycleNumber),
        created_at: moment(row, 18)?,
        updated_at: moment(row, 19)?,
    })
}

fn cycle_record(row: &SqliteRow, source: SourceId) -> Result<CycleRecord, sqlx::Error> {
    let totals: CycleTotals = json(row, 6)?;
    Ok(CycleRecord {
        source,
        number: CycleNumber(row.try_get(0)?),
        state: word(row, 1)?,
        trigger: word(row, 2)?,
        started_at: moment(row, 3)?,
        ended_at: optional_moment(row, 4)?,
        reason: row.try_get(5)?,
        totals: CycleTotals {
            removed: count(row, 7)?,
            kept: count(row, 8)?,
            unconfirmed: count(row, 9)?,
            collisions: count(row, 10)?,
            ..totals
        },
    })
}

fn malformed_record(row: &SqliteRow) -> Result<MalformedRecord, sqlx::Error> {
    Ok(MalformedRecord {
        source: row.try_get(0)?,
        cycle: CycleNumber(row.try_get(1)?),
        partition: row.try_get(2)?,
        page: count(row, 3)?,
        item: MalformedItem {
            reference: (row.try_get::<Option<&str>, _>(4)?)
                .map(|text| text.parse().map_err(undecodable))
                .transpose()?,
            error: row.try_get(5)?,
            sample: row.try_get(6)?,
        },
        seen_at: moment(row, 7)?,
    })
}

fn worker_record(row: &SqliteRow) -> Result<WorkerRecord, sqlx::Error> {
    Ok(WorkerRecord {
        worker: WorkerId(row.try_get(0)?),
        alive_until: moment(row, 1)?,
        started_at: moment(row, 2)?,
        running: count(row, 3)?,
    })
}
