//! Rate limiting of requests: a rate per second for the whole fleet, of which each worker sends its share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The longest pause between two requests of a worker, regardless of the number of workers.
const LONGEST: Duration = Duration::from_secs(600);

/// Lets a fixed number of requests per second through, evenly spaced.
pub(in crate::sources) struct Pace {
    /// Between two requests of the fleet.
    every: Duration,
    workers: AtomicU32,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            every: Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::from_secs(1)),
            workers: AtomicU32::new(1),
            next: Mutex::new(None),
        }
    }

    /// Sets the number of workers that share the limit.
    pub(in crate::sources) fn share(&self, workers: u32) {
        self.workers.store(workers.max(1), Ordering::Relaxed);
    }

    /// Waits for the next turn, in order of arrival.
    pub(super) async fn turn(&self) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let turn = next.map_or(now, |next| next.max(now));
        sleep_until(turn).await;
        let share = self
            .every
            .saturating_mul(self.workers.load(Ordering::Relaxed))
            .min(LONGEST);
        *next = Some(turn + share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_go_out_evenly_and_a_worker_sends_its_share_of_what_the_fleet_may() {
        let pace = Pace::new(200.0);
        let took = async |turns: u32| {
            let started = Instant::now();
            for _ in 0..turns {
                pace.turn().await;
            }
            started.elapsed().as_millis()
        };
        assert!(took(11).await >= 50);
        pace.share(3);
        assert!(took(11).await >= 150, "a third of it");
    }
}
