//! Long polls: one loop for changes, events, and the pulls of both. A waiting request gives back its place among the
//! concurrent requests; shutdown ends the wait.

use std::time::Duration;

use tideline_core::words::Timestamp;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::ApiState;
use super::changes::MAX_WAIT;
use super::place::Place;
use super::problem::{Code, Problem};

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Something: the request is answered.
    Found,
    /// Nothing so far, but there is more to look at.
    More,
    /// Nothing. Something is due then, if that is known.
    Nothing(Option<Timestamp>),
}

/// A request that may wait.
pub(crate) struct Waiting<'a> {
    api: &'a ApiState,
    place: Option<&'a Place>,
    deadline: Instant,
    waiter: Option<SemaphorePermit<'a>>,
}

impl<'a> Waiting<'a> {
    /// Waits for `wait` at most; zero: it looks once. `place`: the place of the request, if it came over HTTP.
    pub(crate) fn new(api: &'a ApiState, wait: Duration, place: Option<&'a Place>) -> Self {
        Self {
            api,
            place,
            deadline: Instant::now() + wait,
            waiter: None,
        }
    }

    /// Waits until another look is worth it. `false`: there is none, since something was found or the time is over.
    /// `ring` returns when there may be something; it listens since before the first look, so that nothing falls
    /// between look and ring.
    ///
    /// # Errors
    /// `overloaded`: too many requests wait.
    pub(crate) async fn again(&mut self, found: Look, ring: impl Future<Output = ()>) -> Result<bool, Problem> {
        if found == Look::Found || Instant::now() >= self.deadline || self.api.stop.is_cancelled() {
            return Ok(false);
        }
        if self.waiter.is_none() {
            let waiter = self.api.waiters.try_acquire();
            let overloaded = |_| {
                Problem::new(
                    Code::Overloaded,
                    "too many requests are waiting; send the request with \
            wait=0",
                )
            };
            self.waiter = Some(waiter.map_err(overloaded)?);
        }
        if let Look::Nothing(due) = found {
            let due = due.map(|due| Instant::now() + due.since(self.api.clock.now()));
            let until = due.map_or(self.deadline, |due| due.min(self.deadline));
            // Its place is left to others meanwhile.
            if let Some(place) = self.place {
                place.give_back();
            }
            tokio::select! {
                () = ring => {}
                () = tokio::time::sleep_until(until) => {}
                () = self.api.stop.cancelled() => {}
            }
            if let Some(place) = self.place {
                place.take_again().await;
            }
        }
        Ok(!self.api.stop.is_cancelled())
    }
}

/// `wait` of a request.
pub(crate) fn wait_of(seconds: u64) -> Result<Duration, Problem> {
    if seconds <= MAX_WAIT {
        return Ok(Duration::from_secs(seconds));
    }
    let detail = format!("wait takes seconds from 0 to {MAX_WAIT}");
    Err(Problem::new(Code::InvalidRequest, detail))
}
