use async_trait::async_trait;

use super::PostgresStore;
use super::rows::{NO_PLACE, column};
use crate::{StoreError, WorkerStore};
use tideline_core::words::{JobId, Lease, Timestamp, Token, WorkerId};

#[async_trait]
impl WorkerStore for PostgresStore {
    async fn heartbeat(&self, worker: &WorkerId, alive_until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.beating("heartbeat").await?;
        act.run(
            sqlx::query(include_str!("sql/prolong_lease.sql"))
                .bind(&worker.0)
                .bind(alive_until.0)
                .bind(now.0),
        )
        .await?;
        Ok(())
    }

    async fn held_leases(&self, worker: &WorkerId, now: Timestamp) -> Result<Vec<Lease>, StoreError> {
        let mut act = self.reading("list held leases").await?;
        let statement = sqlx::query(include_str!("sql/list_held_leases.sql"))
            .bind(&worker.0)
            .bind(now.0);
        let rows = act.rows(statement).await?;
        rows.iter()
            .map(|row| {
                Ok(Lease {
                    job: JobId(column(row, "id")?),
                    token: Token(column(row, "token")?),
                })
            })
            .collect()
    }

    async fn retire(&self, worker: &WorkerId, now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("retire").await?;
        act.begin().await?;
        let statement = sqlx::query(include_str!("sql/retire_worker.sql"));
        act.run(statement.bind(&worker.0).bind(now.0)).await?;
        let statement = sqlx::query(include_str!("sql/hand_back_jobs.sql"));
        let rows = act.rows(statement.bind(&worker.0).bind(now.0).bind(NO_PLACE)).await?;
        let waiting = rows
            .iter()
            .map(|row| column(row, "source_id"))
            .collect::<Result<Vec<Option<i64>>, _>>()?;
        let sources: Vec<i64> = waiting.into_iter().flatten().collect();
        if !sources.is_empty() {
            act.lock_sources(&sources).await?;
            act.open_places(&sources, now).await?;
        }
        act.commit().await
    }
}
