//! Runs expressions on threads of their own. A jq program can loop for ever and nothing can stop its thread, so a source that
//! left one behind runs no more of them until that one has ended. Not on the runtime's threads: those are waited for when the
//! process ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;

/// Expressions recurse; a tree may be 128 levels deep.
const STACK_BYTES: usize = 8 * 1024 * 1024;

const RUNNING: u8 = 0;
const ENDED: u8 = 1;
const ABANDONED: u8 = 2;

/// Counts the threads that nobody waits for any more.
#[derive(Debug, Default, Clone)]
pub(super) struct Blocking {
    abandoned: Arc<AtomicI64>,
}

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoResult {
    /// It took too long, or one that took too long before still runs.
    TooLong,
    /// It panicked.
    Failed,
}

/// Asked by the work between its steps.
#[derive(Clone)]
pub(super) struct Watch(Arc<AtomicU8>);

impl Watch {
    /// Whether anybody still waits for the result.
    pub(super) fn go_on(&self) -> bool {
        self.0.load(Ordering::Relaxed) != ABANDONED
    }
}

/// Dropped by whoever waits: early, if the wait was given up.
struct Waiter {
    state: Arc<AtomicU8>,
    abandoned: Arc<AtomicI64>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let swapped = self
            .state
            .compare_exchange(RUNNING, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_ok() {
            self.abandoned.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Blocking {
    /// Runs `work` on a thread of its own and waits at most `timeout`.
    ///
    /// # Errors
    /// It took too long (now or an earlier one that still runs), or panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl FnOnce(&Watch) -> T + Send + 'static,
    ) -> Result<T, NoResult> {
        if self.abandoned.load(Ordering::Acquire) > 0 {
            return Err(NoResult::TooLong);
        }
        let state = Arc::new(AtomicU8::new(RUNNING));
        let waiter = Waiter {
            state: Arc::clone(&state),
            abandoned: Arc::clone(&self.abandoned),
        };
        let ending = Ending(Arc::clone(&state), Arc::clone(&self.abandoned));
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("expressions".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let watch = Watch(Arc::clone(&ending.0));
                let result = work(&watch);
                drop(ending);
                // Nobody listens any more if the wait was given up.
                let _ = tell.send(result);
            });
        if thread.is_err() {
            return Err(NoResult::Failed);
        }
        let result = tokio::time::timeout(timeout, told).await;
        drop(waiter);
        match result {
            Err(_) => Err(NoResult::TooLong),
            Ok(Err(_)) => Err(NoResult::Failed),
            Ok(Ok(value)) => Ok(value),
        }
    }
}

/// Dropped when the work ends, also by a panic.
struct Ending(Arc<AtomicU8>, Arc<AtomicI64>);

impl Drop for Ending {
    fn drop(&mut self) {
        let swapped = self
            .0
            .compare_exchange(RUNNING, ENDED, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            self.1.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_takes_too_long_keeps_others_out_until_it_ends() {
        let blocking = Blocking::default();
        let (end, ended) = mpsc::channel::<()>();
        let long = blocking.run(Duration::from_millis(20), move |_| ended.recv().is_ok());
        assert_eq!(long.await, Err(NoResult::TooLong));
        assert_eq!(
            blocking.run(Duration::from_secs(5), |_| 1).await,
            Err(NoResult::TooLong)
        );
        end.send(()).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while blocking.run(Duration::from_secs(5), |_| 1).await != Ok(1) {
            assert!(tokio::time::Instant::now() < deadline, "still kept out");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn work_learns_that_nobody_waits_for_it() {
        let blocking = Blocking::default();
        let (told, tell) = mpsc::channel();
        let run = blocking.run(Duration::from_millis(20), move |watch| {
            while watch.go_on() {
                std::thread::yield_now();
            }
            told.send(()).unwrap();
        });
        assert_eq!(run.await, Err(NoResult::TooLong));
        tell.recv_timeout(Duration::from_secs(10)).unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_no_more() {
        let blocking = Blocking::default();
        // A panic that prints its backtrace takes a while on a busy machine.
        let failed = blocking.run(Duration::from_secs(60), |_| -> u8 { panic!("as the test wants it") });
        assert_eq!(failed.await, Err(NoResult::Failed));
        assert_eq!(blocking.run(Duration::from_secs(5), |_| 1).await, Ok(1));
    }
}
