use serde::{Deserialize, Serialize};

use crate::words::{FeedPosition, Timestamp};

/// The progress of a subscription to the change feed: it has one batch at a time, and moves on when that is finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedProgress {
    /// Everything up to here is done with.
    pub position: FeedPosition,
    /// It would have missed changes, and is sent everything again, but was not told so yet.
    pub starts_over: bool,
    batch: Option<Batch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Batch {
    end: FeedPosition,
    /// Token of the lease holder; 0: not leased.
    token: i64,
    /// When the lease expires, or when the batch is due.
    until: Timestamp,
    attempt: u32,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchEnd {
    /// It is finished.
    Done,
    /// It is retried at this time.
    Again(Timestamp),
    /// As if it had not been handed out.
    Untried,
}

impl FeedProgress {
    /// From a position.
    #[must_use]
    pub fn at(position: FeedPosition) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }

    /// From the start, and told so.
    #[must_use]
    pub fn starting_over() -> Self {
        Self {
            starts_over: true,
            ..Self::default()
        }
    }

    /// When the next batch may be handed out, if not now.
    #[must_use]
    pub fn busy_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.batch.map(|batch| batch.until).filter(|until| *until > now)
    }

    /// Whether a batch is handed out, or waits to be handed out again.
    #[must_use]
    pub fn is_outstanding(&self) -> bool {
        self.batch.is_some()
    }

    /// When a batch that failed is tried again.
    #[must_use]
    pub fn next_try(&self) -> Option<Timestamp> {
        self.batch
            .filter(|batch| batch.token == 0 && batch.attempt > 0)
            .map(|batch| batch.until)
    }

    /// Hands out a batch that ends there; returns how many times one was handed out from this position, starting at 1.
    pub fn hand_out(&mut self, end: FeedPosition, token: i64, until: Timestamp) -> u32 {
        let attempt = self.batch.map_or(0, |batch| batch.attempt).saturating_add(1);
        self.batch = Some(Batch {
            end,
            token,
            until,
            attempt,
        });
        attempt
    }

    /// Skips changes if none of them is wanted.
    pub fn skip_to(&mut self, end: FeedPosition) {
        self.position = end;
        self.batch = None;
    }

    /// Ends a hand-out. `false`: another consumer has leased it since, or it is finished.
    pub fn settle(&mut self, token: i64, end: BatchEnd) -> bool {
        let Some(batch) = self.batch.as_mut().filter(|batch| batch.token == token && token != 0) else {
            return false;
        };
        batch.token = 0;
        match end {
            BatchEnd::Done => {
                let end = batch.end;
                self.skip_to(end);
                self.starts_over = false;
            }
            BatchEnd::Again(due_at) => batch.until = due_at,
            BatchEnd::Untried => {
                batch.until = Timestamp(0);
                batch.attempt = batch.attempt.saturating_sub(1);
            }
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use crate::words::Sequence;

    fn at(sequence: i64) -> FeedPosition {
        FeedPosition::after(Sequence(sequence))
    }

    #[test]
    fn a_follower_of_the_feed_has_one_batch_at_a_time_and_moves_on_only_when_it_is_done() {
        let mut progress = FeedProgress::at(at(5));
        assert_eq!(progress.hand_out(at(9), 7, Timestamp(100)), 1);
        assert_eq!(progress.busy_until(Timestamp(50)), Some(Timestamp(100)));
        // Its lease has expired: another consumer gets it, and the first one is too late.
        assert_eq!(progress.busy_until(Timestamp(100)), None);
        assert_eq!(progress.hand_out(at(12), 8, Timestamp(200)), 2);
        assert!(!progress.settle(7, BatchEnd::Done));
        assert!(progress.settle(8, BatchEnd::Again(Timestamp(500))));
        assert_eq!((progress.position, progress.next_try()), (at(5), Some(Timestamp(500))));
        assert_eq!(progress.hand_out(at(12), 9, Timestamp(600)), 3);
        let stored = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<FeedProgress>(&stored).unwrap(), progress);
        assert!(progress.settle(9, BatchEnd::Done));
        assert_eq!((progress.position, progress.is_outstanding()), (at(12), false));
        assert!(!progress.settle(9, BatchEnd::Done));
    }
}
