//! Rescues the jobs of workers that stopped sending heartbeats.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tideline_core::clock::Clock;
use tideline_core::rules::RescuePolicy;
use tideline_core::words::Timestamp;
use tideline_queue::Queue;
use tideline_runtime::Pace;
use tideline_runtime::telemetry::metrics;
use tideline_store::{JobStore, StoreError};
use tokio::time::Instant;

use crate::scheduler::Task;

/// Jobs rescued with one statement.
const BATCH: u32 = 1_000;
/// How often it looks while there are no leases: the first one may come at any time.
const NO_LEASES: Duration = Duration::from_secs(1);

/// Maximum interval between looks, so that it notices a store outage.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A store that takes longer than this to answer counts as having been away.
const SLOW: Duration = Duration::from_secs(1);
/// After a store outage no worker is presumed dead for this long: workers retry every half second, and reconnect.
const GRACE: Duration = Duration::from_secs(3);

/// See the module.
pub struct RescueJobs {
    /// Takes the jobs back.
    pub store: Arc<dyn JobStore>,
    /// Wakes the dispatch.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What happens to the jobs of dead workers.
    pub policy: RescuePolicy,
    /// Whether workers could send heartbeats.
    pub absence: Absence,
}

/// Remembers a store outage: no worker could send a heartbeat during it, so each gets the time to send one.
#[derive(Debug, Default)]
pub struct Absence(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    There,
    Away,
    BackUntil(Timestamp),
}

impl Absence {
    /// The store failed, or answered late.
    fn note_away(&self) {
        *self.0.lock() = State::Away;
    }

    /// Until when no worker is presumed dead, given that the store answers now.
    fn grace(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.0.lock();
        if matches!(*state, State::Away) {
            *state = State::BackUntil(now.plus(GRACE));
        }
        match *state {
            State::BackUntil(moment) if moment > now => Some(moment),
            _ => None,
        }
    }
}

#[async_trait]
impl Task for RescueJobs {
    /// Rescues jobs of expired leases, then waits for the end of the next lease (which a live worker extends before).
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        if let Some(until) = self.absence.grace(now) {
            return Ok(Pace::Until(until));
        }
        let asked = Instant::now();
        let answer = self.store.rescue(self.policy, BATCH, now).await;
        if answer.is_err() || asked.elapsed() > SLOW {
            self.absence.note_away();
        }
        let rescue = answer?;
        let rescued = rescue.jobs;
        for job in &rescued {
            tracing::warn!(job = %job.job, worker = %job.worker, parked = job.parked, "job rescued from a dead worker");
        }
        if !rescued.is_empty() {
            metrics::rescued(true, rescued.iter().filter(|job| job.parked).count() as u64);
            metrics::rescued(false, rescued.iter().filter(|job| !job.parked).count() as u64);
            self.queue.wake().await;
        }
        if rescued.len() >= BATCH as usize {
            return Ok(Pace::Again);
        }
        // A later worker's lease ends later, unless there was none at all.
        Ok(match rescue.next_end {
            Some(end) => Pace::Until(end.plus(Duration::from_millis(1))),
            None => Pace::After(NO_LEASES),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_store_was_away_everybody_gets_the_time_to_say_that_it_lives() {
        let absence = Absence::default();
        assert_eq!(absence.grace(Timestamp(0)), None, "a start is no absence");
        absence.note_away();
        absence.note_away();
        let back = Timestamp(10_000);
        let until = back.plus(GRACE);
        assert_eq!(absence.grace(back), Some(until));
        assert_eq!(absence.grace(back.plus(GRACE / 2)), Some(until), "it is not prolonged");
        assert_eq!(absence.grace(until), None);
        absence.note_away();
        assert_eq!(absence.grace(until), Some(until.plus(GRACE)), "away again");
    }
}
