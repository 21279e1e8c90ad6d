use async_trait::async_trait;

use super::PostgresStore;
use super::rows::column;
use crate::{FollowerStore, StoreError};
use tideline_core::words::EventSequence;

#[async_trait]
impl FollowerStore for PostgresStore {
    async fn find_position(&self, follower: &str) -> Result<Option<EventSequence>, StoreError> {
        let mut act = self.reading("find a follower's position").await?;
        let statement = sqlx::query(include_str!("sql/find_position.sql")).bind(follower);
        let row = act.row(statement).await?;
        row.map(|row| column(&row, "position").map(EventSequence)).transpose()
    }

    async fn move_position(
        &self,
        follower: &str,
        from: Option<EventSequence>,
        to: EventSequence,
    ) -> Result<bool, StoreError> {
        let mut act = self.writing("move a follower").await?;
        let statement = sqlx::query(include_str!("sql/move_position.sql")).bind(follower);
        Ok(act.run(statement.bind(from.map(|from| from.0)).bind(to.0)).await? == 1)
    }
}
