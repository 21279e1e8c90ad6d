use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query, query_scalar};

use super::failure::failed;
use super::rows::{count, moment, optional_moment};
use super::{SqliteStore, begin, commit, sql};
use crate::observations::{before, minute};
use crate::{
    Follower, FollowerSample, HookHour, ObservationStore, Origin, OriginPage, Sample, StoreError, StoreSize, TableSize,
};
use tideline_core::words::{CycleNumber, EntityRef, EventSequence, JobId, Sequence, SourceId, Timestamp};

/// Table sizes can only be found by reading the whole file; above this file size only the total is reported.
const MAX_MEASURED_BYTES: u64 = 256 << 20;

#[async_trait]
impl ObservationStore for SqliteStore {
    async fn take_sample(&self, now: Timestamp) -> Result<(), StoreError> {
        const ACT: &str = "take a sample";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        query(sql!("take_sample"))
            .bind(minute(now))
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        query(sql!("delete_old_samples"))
            .bind(before(now, Sample::KEPT))
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await
    }

    async fn list_samples(&self, since: Timestamp) -> Result<Vec<Sample>, StoreError> {
        const ACT: &str = "list samples";
        let rows = query(sql!("list_samples"))
            .bind(since.0)
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        rows.iter().map(sample).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn add_follower_samples(
        &self,
        samples: &[(Follower, FollowerSample)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const ACT: &str = "add samples of followers";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        for (of, sample) in samples {
            query(sql!("add_follower_sample"))
                .bind(of.name())
                .bind(&sample.name)
                .bind(minute(sample.minute))
                .bind(sample.position)
                .bind(i64::try_from(sample.behind).unwrap_or(i64::MAX))
                .execute(&mut *tx)
                .await
                .map_err(failed(ACT))?;
        }
        query(sql!("delete_old_follower_samples"))
            .bind(before(now, FollowerSample::KEPT))
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await
    }

    async fn list_follower_samples(
        &self,
        of: Follower,
        name: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<FollowerSample>, StoreError> {
        const ACT: &str = "list samples of followers";
        let rows = query(sql!("list_follower_samples"))
            .bind(of.name())
            .bind(since.0)
            .bind(name)
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let sample = |row: &SqliteRow| {
            Ok(FollowerSample {
                name: row.try_get(0)?,
                minute: moment(row, 1)?,
                position: row.try_get(2)?,
                behind: count(row, 3)?,
            })
        };
        rows.iter().map(sample).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn add_hook_hours(&self, hours: &[HookHour], now: Timestamp) -> Result<(), StoreError> {
        const ACT: &str = "add hours of hooks";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        for hour in hours {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            query(sql!("add_hook_hour"))
                .bind(&hour.hook)
                .bind(hour.hour.0)
                .bind(number(hour.stored))
                .bind(number(hour.duplicates))
                .bind(number(hour.unproven))
                .bind(number(hour.refused))
                .bind(number(hour.unavailable))
                .bind(hour.last_stored_at.map(|at| at.0))
                .bind(hour.last_error_at.map(|at| at.0))
                .bind(hour.last_error.as_deref())
                .execute(&mut *tx)
                .await
                .map_err(failed(ACT))?;
        }
        query(sql!("delete_old_hook_hours"))
            .bind(before(now, HookHour::KEPT))
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await
    }

    async fn list_hook_hours(&self, since: Timestamp) -> Result<Vec<HookHour>, StoreError> {
        const ACT: &str = "list hours of hooks";
        let rows = query(sql!("list_hook_hours"))
            .bind(since.0)
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        rows.iter()
            .map(hook_hour)
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn find_origin(&self, source: SourceId, reference: &EntityRef) -> Result<Origin, StoreError> {
        const ACT: &str = "find the origin of an entity";
        let finding = async {
            let found = query(sql!("find_delta_reading"))
                .bind(source.0)
                .bind(reference.as_str())
                .fetch_optional(&self.readers)
                .await?;
            let Some(found) = found else {
                return Ok(Origin::default());
            };
            let hash: i64 = found.try_get(0)?;
            let rows = query(sql!("list_origin_pages"))
                .bind(source.0)
                .bind(&hash.to_be_bytes()[..])
                .fetch_all(&self.readers)
                .await?;
            let page = |row: &SqliteRow| -> Result<OriginPage, sqlx::Error> {
                Ok(OriginPage {
                    job: JobId(row.try_get(0)?),
                    partition: row.try_get(1)?,
                    page: count(row, 2)?,
                    cycle: CycleNumber(row.try_get(3)?),
                    read_at: optional_moment(row, 4)?,
                })
            };
            Ok(Origin {
                pages: rows.iter().map(page).collect::<Result<_, _>>()?,
                delta_read_at: optional_moment(&found, 1)?,
            })
        };
        finding.await.map_err(failed(ACT))
    }

    async fn measure(&self) -> Result<StoreSize, StoreError> {
        const ACT: &str = "measure the store";
        let bytes: i64 = query_scalar(sql!("find_file_size"))
            .fetch_one(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let bytes = u64::try_from(bytes).unwrap_or(0);
        if bytes > MAX_MEASURED_BYTES {
            return Ok(StoreSize { bytes, tables: vec![] });
        }
        let rows = query(sql!("list_table_sizes"))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let size = |row: &SqliteRow| -> Result<TableSize, sqlx::Error> {
            Ok(TableSize {
                table: row.try_get(0)?,
                bytes: count(row, 1)?,
                rows: None,
            })
        };
        let tables = rows.iter().map(size).collect::<Result<_, _>>().map_err(failed(ACT))?;
        Ok(StoreSize { bytes, tables })
    }
}

fn sample(row: &SqliteRow) -> Result<Sample, sqlx::Error> {
    Ok(Sample {
        minute: moment(row, 0)?,
        due: count(row, 1)?,
        lag_ms: count(row, 2)?,
        running: count(row, 3)?,
        parked: count(row, 4)?,
        dead_letters: count(row, 5)?,
        last_sequence: Sequence(row.try_get(6)?),
        last_event: EventSequence(row.try_get(7)?),
        entities: count(row, 8)?,
        failed_cycles: count(row, 9)?,
    })
}

fn hook_hour(row: &SqliteRow) -> Result<HookHour, sqlx::Error> {
    Ok(HookHour {
        hook: row.try_get(0)?,
        hour: moment(row, 1)?,
        stored: count(row, 2)?,
        duplicates: count(row, 3)?,
        unproven: count(row, 4)?,
        refused: count(row, 5)?,
        unavailable: count(row, 6)?,
        last_stored_at: optional_moment(row, 7)?,
        last_error_at: optional_moment(row, 8)?,
        last_error: row.try_get(9)?,
    })
}
