use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::{Row, query, query_as};

use super::failure::failed;
use super::partitions::open_places;
use super::{SqliteStore, begin, commit, sql};
use crate::{StoreError, WorkerStore};
use tideline_core::words::{JobId, Lease, Timestamp, Token, WorkerId};

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

    async fn held_leases(&self, worker: &WorkerId, _now: Timestamp) -> Result<Vec<Lease>, StoreError> {
        let rows: Vec<(i64, i64)> = query_as(sql!("list_held_leases"))
            .bind(&worker.0)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list held leases"))?;
        let lease = |(job, token)| Lease {
            job: JobId(job),
            token: Token(token),
        };
        Ok(rows.into_iter().map(lease).collect())
    }

    async fn retire(&self, worker: &WorkerId, now: Timestamp) -> Result<(), StoreError> {
        const ACT: &str = "retire";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let handed_back = query(sql!("hand_back_jobs"))
            .bind(&worker.0)
            .bind(now.0)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        let mut waiting: BTreeSet<(i64, i64)> = BTreeSet::new();
        for row in &handed_back {
            let source: Option<i64> = row.try_get(0).map_err(failed(ACT))?;
            let cycle: Option<i64> = row.try_get(1).map_err(failed(ACT))?;
            waiting.extend(source.zip(cycle));
        }
        for (source, cycle) in waiting {
            open_places(&mut tx, source, cycle, now).await.map_err(failed(ACT))?;
        }
        query(sql!("retire_worker"))
            .bind(&worker.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await
    }
}
