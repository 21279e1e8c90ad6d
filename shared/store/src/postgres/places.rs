//! Places of partitions: at most `sources.parallel` partitions of a source's cycle are open (running, or waiting with a
//! due time).

use super::act::Act;
use super::rows::NO_PLACE;
use crate::StoreError;
use tideline_core::words::Timestamp;

impl Act {
    /// Locks these source rows; later reads of the transaction see what their previous holders committed.
    pub(super) async fn lock_sources(&mut self, sources: &[i64]) -> Result<(), StoreError> {
        self.run(sqlx::query(include_str!("sql/lock_sources.sql")).bind(sources))
            .await?;
        Ok(())
    }

    /// Gives free places of these sources to their oldest partitions without one. Those on their ladder come last, so
    /// they never keep a place from the others. Call after [`Act::lock_sources`].
    pub(super) async fn open_places(&mut self, sources: &[i64], now: Timestamp) -> Result<(), StoreError> {
        for statement in [
            include_str!("sql/yield_places.sql"),
            include_str!("sql/open_places.sql"),
        ] {
            self.run(sqlx::query(statement).bind(sources).bind(now.0).bind(NO_PLACE))
                .await?;
        }
        Ok(())
    }
}
