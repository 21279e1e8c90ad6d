//! Subscriptions to the change feed.

use async_trait::async_trait;

use super::PostgresStore;
use super::rows::moment;
use super::subscriptions::{find, lock, save};
use crate::change_subscriptions::{MAX_CHANGES, check_changes};
use crate::{CatalogStore, ChangeSubscriptionStore, StoreError};
use tideline_core::words::{EventOutcome, FeedPosition, TakeEvents, TakenChanges, Timestamp};

#[async_trait]
impl ChangeSubscriptionStore for PostgresStore {
    async fn take_changes(&self, name: &str, request: &TakeEvents, now: Timestamp) -> Result<TakenChanges, StoreError> {
        let row = find(&mut self.reading("find a subscription").await?, name).await?;
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
        let mut act = self.writing("take changes").await?;
        let mut row = lock(&mut act, name).await?;
        let Some(taken) = row.hand_out_changes(from, reading, request, now) else {
            act.rollback().await?;
            return Ok(TakenChanges::default());
        };
        save(&mut act, &row).await?;
        act.commit().await?;
        Ok(taken)
    }

    async fn settle_changes(
        &self,
        name: &str,
        token: i64,
        outcome: &EventOutcome,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut act = self.writing("settle changes").await?;
        let mut row = lock(&mut act, name).await?;
        let settled = row.settle_changes(token, outcome, now);
        save(&mut act, &row).await?;
        act.commit().await?;
        Ok(settled)
    }

    async fn find_oldest_unseen_removal(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut act = self.reading("find the oldest unseen removal").await?;
        let row = act
            .row(sqlx::query(include_str!("sql/find_oldest_unseen_removal.sql")))
            .await?;
        row.map_or(Ok(None), |row| moment(&row, "changed_at"))
    }
}
