use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::PostgresStore;
use super::rows::column;
use crate::clock::{Clock, SystemClock};
use crate::store::StoreError;
use crate::words::Timestamp;

/// The database's time: the machine's clock plus a measured offset, so that hosts whose clocks differ agree on leases and
/// due times. Call [`StoreClock::measure`] about once a minute.
#[derive(Clone, Debug)]
pub struct StoreClock {
    store: PostgresStore,
    offset_ms: Arc<AtomicI64>,
}

impl PostgresStore {
    /// Database time minus local time, in milliseconds: half of the round trip is taken for the way.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn clock_offset(&self) -> Result<i64, StoreError> {
        let mut act = self.reading("measure the clock").await?;
        let mut offset = 0;
        // The first statement of a connection is slower, so the second one is believed.
        for _ in 0..2 {
            let before = SystemClock.now();
            let row = act.row(sqlx::query(include_str!("sql/read_clock.sql"))).await?;
            let after = SystemClock.now();
            let there: i64 = row.map(|row| column(&row, "now_ms")).transpose()?.unwrap_or(before.0);
            offset = there - (before.0 + (after.0 - before.0) / 2);
        }
        Ok(offset)
    }

    /// A clock on the database's time, measured now.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn clock(&self) -> Result<StoreClock, StoreError> {
        let clock = StoreClock {
            store: self.clone(),
            offset_ms: Arc::default(),
        };
        clock.measure().await?;
        Ok(clock)
    }
}

impl StoreClock {
    /// Measures the offset again and returns it, in milliseconds. On an error the last offset stays.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn measure(&self) -> Result<i64, StoreError> {
        let offset = self.store.clock_offset().await?;
        self.offset_ms.store(offset, Ordering::Relaxed);
        Ok(offset)
    }
}

#[async_trait]
impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.offset_ms.load(Ordering::Relaxed))
    }

    async fn sleep_until(&self, moment: Timestamp) {
        // At most a minute at a time, so that a new measurement is noticed.
        loop {
            let left = moment.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_secs(60))).await;
        }
    }
}
