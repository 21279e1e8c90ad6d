use async_trait::async_trait;
use sqlx::{query, query_scalar};

use super::failure::failed;
use super::{SqliteStore, sql};
use crate::{FollowerStore, StoreError};
use tideline_core::words::EventSequence;

#[async_trait]
impl FollowerStore for SqliteStore {
    async fn find_position(&self, follower: &str) -> Result<Option<EventSequence>, StoreError> {
        let found: Option<i64> = query_scalar(sql!("find_position"))
            .bind(follower)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find a follower's position"))?;
        Ok(found.map(EventSequence))
    }

    async fn move_position(
        &self,
        follower: &str,
        from: Option<EventSequence>,
        to: EventSequence,
    ) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let moved = query(sql!("move_position"))
            .bind(follower)
            .bind(from.map(|from| from.0))
            .bind(to.0)
            .execute(&mut *writer)
            .await
            .map_err(failed("move a follower"))?;
        Ok(moved.rows_affected() == 1)
    }
}
