use std::time::Duration;

use crate::words::Timestamp;

/// The list of back-off waits of a kind of job or of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    waits: Vec<Duration>,
}

/// The step after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LadderStep {
    /// Try again.
    Wait {
        /// When.
        due_at: Timestamp,
        /// The new rung, 1 after the first failure.
        rung: u32,
    },
    /// The last rung failed too.
    Exhausted,
}

impl Ladder {
    /// Maximum jitter of a wait, as a share of it, so that a fleet does not retry all at once.
    pub const JITTER: f64 = 0.1;

    /// Maximum number of times that an event of a pulled subscription is handed out before it is given up.
    pub const PULL_ATTEMPTS: u32 = 20;

    /// For pulled events that were returned or whose lease expired. Its waits are short, since a consumer may recover
    /// at any moment: none after the first failure, then from 1 s up to 10 min; two hours in total.
    #[must_use]
    pub fn of_pulls() -> Self {
        let first = [0, 1, 2, 5, 10, 30, 60, 120, 300];
        let waits = first.into_iter().chain(std::iter::repeat(600));
        let waits = waits.take(Self::PULL_ATTEMPTS as usize - 1);
        Self::new(waits.map(Duration::from_secs).collect())
    }

    /// A ladder of these waits, in order. An empty one gives up after the first failure.
    #[must_use]
    pub fn new(waits: Vec<Duration>) -> Self {
        Self { waits }
    }

    /// How many rungs it has.
    #[must_use]
    pub fn rungs(&self) -> u32 {
        u32::try_from(self.waits.len()).unwrap_or(u32::MAX)
    }

    /// The step after a failure on `rung` (0: the job had not failed before). `random` is uniform in 0.0 ..= 1.0.
    /// `not_before` is the time requested by the source (`Retry-After`): the wait never ends before it.
    #[must_use]
    pub fn after_failure(&self, rung: u32, now: Timestamp, not_before: Option<Timestamp>, random: f64) -> LadderStep {
        let Some(wait) = usize::try_from(rung).ok().and_then(|index| self.waits.get(index)) else {
            return LadderStep::Exhausted;
        };
        let factor = 1.0 + Self::JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0);
        let due_at = now.plus(wait.mul_f64(factor));
        LadderStep::Wait {
            due_at: not_before.map_or(due_at, |earliest| earliest.max(due_at)),
            rung: rung.saturating_add(1),
        }
    }
}

impl Default for Ladder {
    /// 30 s, 1 min, 5 min, 30 min.
    fn default() -> Self {
        Self::new([30, 60, 300, 1800].map(Duration::from_secs).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_failure_climbs_one_rung_and_the_last_one_exhausts() {
        let ladder = Ladder::default();
        for (rung, seconds) in [30, 60, 300, 1800].into_iter().enumerate() {
            let rung = u32::try_from(rung).unwrap();
            assert_eq!(
                ladder.after_failure(rung, Timestamp(0), None, 0.5),
                LadderStep::Wait {
                    due_at: Timestamp(seconds * 1000),
                    rung: rung + 1
                }
            );
        }
        assert_eq!(ladder.after_failure(4, Timestamp(0), None, 0.5), LadderStep::Exhausted);
        assert_eq!(
            Ladder::new(vec![]).after_failure(0, Timestamp(0), None, 0.5),
            LadderStep::Exhausted
        );
    }

    #[test]
    fn a_pulled_event_has_twenty_attempts_within_some_two_hours() {
        let ladder = Ladder::of_pulls();
        assert_eq!(ladder.rungs() + 1, Ladder::PULL_ATTEMPTS);
        let all: Duration = ladder.waits.iter().sum();
        assert!(
            all > Duration::from_secs(6_000) && all < Duration::from_secs(9_000),
            "{all:?}"
        );
    }

    #[test]
    fn a_retry_after_is_never_undercut() {
        let asked = Timestamp(90_000);
        let step = Ladder::default().after_failure(0, Timestamp(0), Some(asked), 0.0);
        assert_eq!(step, LadderStep::Wait { due_at: asked, rung: 1 });
    }

    proptest! {
        #[test]
        fn jitter_stays_within_ten_percent(seconds in 1_u64..100_000, random in 0.0_f64..=1.0) {
            let ladder = Ladder::new(vec![Duration::from_secs(seconds)]);
            let LadderStep::Wait { due_at, rung } = ladder.after_failure(0, Timestamp(0), None, random) else {
                panic!("one rung is left");
            };
            let wait = i64::try_from(seconds * 1000).unwrap();
            prop_assert_eq!(rung, 1);
            prop_assert!(due_at.0 >= wait * 9 / 10 - 1 && due_at.0 <= wait * 11 / 10 + 1);
        }
    }
}
