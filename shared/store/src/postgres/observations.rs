use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::migrate::tables;
use super::rows::{column, count, moment, small, storable};
use crate::observations::{before, minute};
use crate::{
    Follower, FollowerSample, HookHour, ObservationStore, Origin, OriginPage, Sample, StoreError, StoreSize, TableSize,
};
use tideline_core::words::{CycleNumber, EntityRef, EventSequence, JobId, Sequence, SourceId, Timestamp};

#[async_trait]
impl ObservationStore for PostgresStore {
    async fn take_sample(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("take a sample").await?;
        act.begin().await?;
        let take = sqlx::query(include_str!("sql/take_sample.sql"));
        act.run(take.bind(minute(now)).bind(now.0)).await?;
        let forget = sqlx::query(include_str!("sql/delete_old_samples.sql"));
        act.run(forget.bind(before(now, Sample::KEPT))).await?;
        act.commit().await
    }

    async fn list_samples(&self, since: Timestamp) -> Result<Vec<Sample>, StoreError> {
        let mut act = self.reading("list samples").await?;
        let statement = sqlx::query(include_str!("sql/list_samples.sql")).bind(since.0);
        act.rows(statement).await?.iter().map(sample).collect()
    }

    async fn add_follower_samples(
        &self,
        samples: &[(Follower, FollowerSample)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut act = self.writing("add samples of followers").await?;
        act.begin().await?;
        for (of, sample) in samples {
            let add = sqlx::query(include_str!("sql/add_follower_sample.sql"))
                .bind(of.name())
                .bind(&sample.name)
                .bind(minute(sample.minute))
                .bind(sample.position)
                .bind(i64::try_from(sample.behind).unwrap_or(i64::MAX));
            act.run(add).await?;
        }
        let forget = sqlx::query(include_str!("sql/delete_old_follower_samples.sql"));
        act.run(forget.bind(before(now, FollowerSample::KEPT))).await?;
        act.commit().await
    }

    async fn list_follower_samples(
        &self,
        of: Follower,
        name: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<FollowerSample>, StoreError> {
        let mut act = self.reading("list samples of followers").await?;
        let statement = sqlx::query(include_str!("sql/list_follower_samples.sql"));
        let rows = act.rows(statement.bind(of.name()).bind(since.0).bind(name)).await?;
        let sample = |row: &PgRow| {
            Ok(FollowerSample {
                name: column(row, "name")?,
                minute: Timestamp(column(row, "minute")?),
                position: column(row, "position")?,
                behind: count(row, "behind")?,
            })
        };
        rows.iter().map(sample).collect()
    }

    async fn add_hook_hours(&self, hours: &[HookHour], now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("add hours of hooks").await?;
        act.begin().await?;
        for hour in hours {
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let add = sqlx::query(include_str!("sql/add_hook_hour.sql"))
                .bind(&hour.hook)
                .bind(hour.hour.0)
                .bind(number(hour.stored))
                .bind(number(hour.duplicates))
                .bind(number(hour.unproven))
                .bind(number(hour.refused))
                .bind(number(hour.unavailable))
                .bind(hour.last_stored_at.map(|at| at.0))
                .bind(hour.last_error_at.map(|at| at.0))
                .bind(hour.last_error.as_deref().map(storable));
            act.run(add).await?;
        }
        let forget = sqlx::query(include_str!("sql/delete_old_hook_hours.sql"));
        act.run(forget.bind(before(now, HookHour::KEPT))).await?;
        act.commit().await
    }

    async fn list_hook_hours(&self, since: Timestamp) -> Result<Vec<HookHour>, StoreError> {
        let mut act = self.reading("list hours of hooks").await?;
        let statement = sqlx::query(include_str!("sql/list_hook_hours.sql")).bind(since.0);
        act.rows(statement).await?.iter().map(hook_hour).collect()
    }

    async fn find_origin(&self, source: SourceId, reference: &EntityRef) -> Result<Origin, StoreError> {
        let mut act = self.reading("find the origin of an entity").await?;
        let statement = sqlx::query(include_str!("sql/find_delta_reading.sql"));
        let delta = act.row(statement.bind(source.0).bind(reference.as_str())).await?;
        let statement = sqlx::query(include_str!("sql/list_origin_pages.sql"));
        let rows = act.rows(statement.bind(source.0).bind(reference.as_str())).await?;
        let page = |row: &PgRow| {
            Ok(OriginPage {
                job: JobId(column(row, "job")?),
                partition: column(row, "key")?,
                page: small(row, "page")?,
                cycle: CycleNumber(column(row, "cycle")?),
                read_at: moment(row, "read_at")?,
            })
        };
        Ok(Origin {
            pages: rows.iter().map(page).collect::<Result<_, StoreError>>()?,
            delta_read_at: delta.map(|row| column(&row, "read_at").map(Timestamp)).transpose()?,
        })
    }

    async fn measure(&self) -> Result<StoreSize, StoreError> {
        let mut act = self.reading("measure the store").await?;
        let statement = sqlx::query(include_str!("sql/list_table_sizes.sql")).bind(tables());
        let size = |row: &PgRow| {
            Ok(TableSize {
                table: column(row, "name")?,
                bytes: count(row, "bytes")?,
                rows: Some(count(row, "row_count")?),
            })
        };
        let tables: Vec<TableSize> = act
            .rows(statement)
            .await?
            .iter()
            .map(size)
            .collect::<Result<_, StoreError>>()?;
        Ok(StoreSize {
            bytes: tables.iter().map(|table| table.bytes).sum(),
            tables,
        })
    }
}

fn sample(row: &PgRow) -> Result<Sample, StoreError> {
    Ok(Sample {
        minute: Timestamp(column(row, "minute")?),
        due: count(row, "due")?,
        lag_ms: count(row, "lag")?,
        running: count(row, "running")?,
        parked: count(row, "parked")?,
        dead_letters: count(row, "dead_letters")?,
        last_sequence: Sequence(column(row, "last_sequence")?),
        last_event: EventSequence(column(row, "last_event")?),
        entities: count(row, "entities")?,
        failed_cycles: count(row, "failed_cycles")?,
    })
}

fn hook_hour(row: &PgRow) -> Result<HookHour, StoreError> {
    Ok(HookHour {
        hook: column(row, "hook")?,
        hour: Timestamp(column(row, "hour")?),
        stored: count(row, "stored")?,
        duplicates: count(row, "duplicates")?,
        unproven: count(row, "unproven")?,
        refused: count(row, "refused")?,
        unavailable: count(row, "unavailable")?,
        last_stored_at: moment(row, "last_stored_at")?,
        last_error_at: moment(row, "last_error_at")?,
        last_error: column(row, "last_error")?,
    })
}
