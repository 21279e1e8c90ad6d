use async_trait::async_trait;
use sqlx::query;

use super::failure::failed;
use super::{SqliteStore, begin, commit, sql};
use crate::store::{StoreError, WorkerStore};
use crate::words::{Timestamp, WorkerId};

#[async_trait]
impl WorkerStore for SqliteStore {
    async fn heartbeat(&self, worker: &WorkerId, alive_until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        query(sql!("prolong_lease"))
            .bind(&worker.0)
            .bind(alive_until.0)
            .bind(now.0)
            .execute(&mut *writer)
            .await
            .map_err(failed("heartbeat"))?;
        Ok(())
    }

    async fn retire(&self, worker: &WorkerId, now: Timestamp) -> Result<(), StoreError> {
        const ACT: &str = "retire";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        query(sql!("hand_back_jobs"))
            .bind(&worker.0)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        query(sql!("delete_worker"))
            .bind(&worker.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await
    }
}
