use async_trait::async_trait;

use super::PostgresStore;
use crate::store::{StoreError, WorkerStore};
use crate::words::{Timestamp, WorkerId};

#[async_trait]
impl WorkerStore for PostgresStore {
    async fn heartbeat(&self, worker: &WorkerId, alive_until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("heartbeat").await?;
        act.run(
            sqlx::query(include_str!("sql/upsert_worker.sql"))
                .bind(&worker.0)
                .bind(alive_until.0)
                .bind(now.0),
        )
        .await?;
        Ok(())
    }

    async fn retire(&self, worker: &WorkerId, now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("retire").await?;
        act.begin().await?;
        for statement in [
            include_str!("sql/retire_worker.sql"),
            include_str!("sql/hand_back_jobs.sql"),
        ] {
            act.run(sqlx::query(statement).bind(&worker.0).bind(now.0)).await?;
        }
        act.commit().await
    }
}
