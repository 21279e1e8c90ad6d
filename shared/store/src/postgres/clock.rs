use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::PostgresStore;
use super::error::timed_out;
use super::rows::column;
use crate::StoreError;
use tideline_core::clock::Clock;
use tideline_core::words::Timestamp;

/// Maximum round-trip time of a clock reading: the error is half of that at most, and leases last seconds.
const MAX_ROUND_TRIP: Duration = Duration::from_millis(500);

/// Maximum number of readings to get one in time.
const SAMPLES: u32 = 5;

const ACT: &str = "measure the clock";

/// The database's time: a reading plus the time elapsed since on this machine's monotonic clock. So hosts whose clocks
/// differ, or are set while they run, agree on leases and due times. Call [`StoreClock::measure`] about once a minute.
#[derive(Clone, Debug)]
pub struct StoreClock {
    store: PostgresStore,
    started: Instant,
    /// The database's time at `started`, in microseconds since 1970: with mere milliseconds, a host would now and then
    /// consider a job not due yet that another one has just hinted at.
    at_start: Arc<AtomicI64>,
}

/// The database's time, and the midpoint of the round trip.
struct Sample {
    there_us: i64,
    here: Instant,
    round_trip: Duration,
}

impl PostgresStore {
    /// A clock on the database's time, measured now.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn clock(&self) -> Result<StoreClock, StoreError> {
        let clock = StoreClock {
            store: self.clone(),
            started: Instant::now(),
            at_start: Arc::default(),
        };
        // There is no better reading than a late one yet.
        clock.believe(&self.sample_clock().await?);
        Ok(clock)
    }

    async fn sample_clock(&self) -> Result<Sample, StoreError> {
        let mut act = self.reading(ACT).await?;
        let mut best: Option<Sample> = None;
        for count in 1..=SAMPLES {
            let before = Instant::now();
            let row = act.row(sqlx::query(include_str!("sql/read_clock.sql"))).await?;
            let round_trip = before.elapsed();
            let Some(row) = row else { continue };
            let sample = Sample {
                there_us: column(&row, "now_us")?,
                here: before + round_trip / 2,
                round_trip,
            };
            // The first statement of a connection is slower, so there are at least two.
            let enough = count > 1 && sample.round_trip <= MAX_ROUND_TRIP;
            if best.as_ref().is_none_or(|best| sample.round_trip < best.round_trip) {
                best = Some(sample);
            }
            if enough {
                break;
            }
        }
        best.ok_or_else(|| timed_out(ACT, false, MAX_ROUND_TRIP))
    }
}

impl StoreClock {
    /// Measures again.
    ///
    /// # Errors
    /// The store cannot be reached, or responds too late for a useful reading. The previous measurement stays in use.
    pub async fn measure(&self) -> Result<(), StoreError> {
        let sample = self.store.sample_clock().await?;
        if sample.round_trip > MAX_ROUND_TRIP {
            return Err(timed_out(ACT, false, MAX_ROUND_TRIP));
        }
        self.believe(&sample);
        Ok(())
    }

    fn believe(&self, sample: &Sample) {
        let here = sample.here.saturating_duration_since(self.started);
        self.at_start.store(sample.there_us - micros(here), Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        Timestamp((self.at_start.load(Ordering::Relaxed) + micros(self.started.elapsed())) / 1_000)
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
