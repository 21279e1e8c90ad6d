//! Subscriptions to the change feed.

use async_trait::async_trait;
use sqlx::query_scalar;

use super::failure::failed;
use super::subscriptions::{load, save};
use super::{SqliteStore, begin, commit, sql};
use crate::change_subscriptions::{MAX_CHANGES, check_changes};
use crate::{CatalogStore, ChangeSubscriptionStore, StoreError};
use tideline_core::words::{EventOutcome, FeedPosition, TakeEvents, TakenChanges, Timestamp};

#[async_trait]
impl ChangeSubscriptionStore for SqliteStore {
    async fn take_changes(&self, name: &str, request: &TakeEvents, now: Timestamp) -> Result<TakenChanges, StoreError> {
        const ACT: &str = "take changes";
        let row = load(&mut *self.readers.acquire().await.map_err(failed(ACT))?, name, ACT).await?;
        check_changes(&row)?;
        let from = match row.next_batch_from(now) {
            Ok(from) => from,
            Err(nothing) => return Ok(nothing),
        };
        let limit = request.max.clamp(1, MAX_CHANGES);
        let reading = match self.list_changes(from, limit).await {
            Ok(reading) if reading.changes.is_empty() && reading.next == from => return Ok(TakenChanges::default()),
            Ok(reading) => (reading, false),
            Err(StoreError::StartOver(_)) => (self.list_changes(FeedPosition::START, limit).await?, true),
            Err(error) => return Err(error),
        };
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let mut row = load(&mut tx, name, ACT).await?;
        let Some(taken) = row.hand_out_changes(from, reading, request, now) else {
            return Ok(TakenChanges::default());
        };
        save(&mut tx, &row).await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(taken)
    }

    async fn settle_changes(
        &self,
        name: &str,
        token: i64,
        outcome: &EventOutcome,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ACT: &str = "settle changes";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let mut row = load(&mut tx, name, ACT).await?;
        let settled = row.settle_changes(token, outcome, now);
        save(&mut tx, &row).await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(settled)
    }

    async fn find_oldest_unseen_removal(&self) -> Result<Option<Timestamp>, StoreError> {
        let found: Option<i64> = query_scalar(sql!("find_oldest_unseen_removal"))
            .fetch_one(&self.readers)
            .await
            .map_err(failed("find the oldest unseen removal"))?;
        Ok(found.map(Timestamp))
    }
}
