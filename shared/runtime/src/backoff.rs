//! The only file that knows the `backoff` crate. For waits inside a process (a loop whose store is gone); jobs and
//! sources have their ladder in the store instead ([`tideline_core::rules::Ladder`]).

use std::time::Duration;

use ::backoff::backoff::Backoff as _;
use ::backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

/// Waits that double from a first one up to a cap, each varied by up to 20 %. Never gives up.
#[derive(Debug)]
pub struct Backoff {
    waits: ExponentialBackoff,
    cap: Duration,
}

impl Backoff {
    /// The first wait of [`Backoff::default`].
    pub const FIRST: Duration = Duration::from_millis(200);
    /// The cap of [`Backoff::default`]: work resumes within seconds after the store is back.
    pub const CAP: Duration = Duration::from_secs(5);

    /// From `first` to `cap`.
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Self {
        let waits = ExponentialBackoffBuilder::new()
            .with_initial_interval(first.min(cap))
            .with_multiplier(2.0)
            .with_randomization_factor(0.2)
            .with_max_interval(cap)
            .with_max_elapsed_time(None)
            .build();
        Self { waits, cap }
    }

    /// The wait after one more failure in a row.
    pub fn next_wait(&mut self) -> Duration {
        self.waits.next_backoff().unwrap_or(self.cap).min(self.cap)
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.waits.reset();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Self::FIRST, Self::CAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for expected in [100, 200, 400, 800] {
            let wait = backoff.next_wait().as_millis();
            assert!(
                (expected * 8 / 10..=expected * 12 / 10 + 1).contains(&wait),
                "{wait} ms"
            );
        }
        for _ in 0..50 {
            let wait = backoff.next_wait();
            assert!(
                wait >= Duration::from_millis(800) && wait <= Duration::from_secs(1),
                "{wait:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(121));
    }
}
