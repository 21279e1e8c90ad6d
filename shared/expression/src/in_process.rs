//! Evaluation on threads of this process, for programs that cannot be their own child. Nothing can stop such a thread,
//! so after one that took too long no more is evaluated until it has ended. Not on the runtime's threads: those are
//! waited for when the process ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use tokio::sync::oneshot;

use super::program::Programs;
use super::wire::{Batch, Reply};

const RUNNING: u8 = 0;
const ENDED: u8 = 1;
const ABANDONED: u8 = 2;

/// Counts abandoned threads: their callers have stopped waiting.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    abandoned: Arc<AtomicI64>,
}

/// Why there is no reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoReply {
    /// An earlier one that took too long still runs.
    Busy,
    /// It panicked, or no thread could be started.
    Failed,
}

/// Held by the waiting caller; dropped early if it gives up.
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

/// Dropped when the work ends, also by a panic.
struct Ending {
    state: Arc<AtomicU8>,
    abandoned: Arc<AtomicI64>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let swapped = self
            .state
            .compare_exchange(RUNNING, ENDED, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            self.abandoned.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Threads {
    /// Runs the batch on a thread of its own. Dropping the future gives up waiting.
    pub(crate) async fn run(&self, batch: Batch, stack: u64) -> Result<Reply, NoReply> {
        if self.abandoned.load(Ordering::Acquire) > 0 {
            return Err(NoReply::Busy);
        }
        let state = Arc::new(AtomicU8::new(RUNNING));
        let abandoned = Arc::clone(&self.abandoned);
        let ending = Ending {
            state: Arc::clone(&state),
            abandoned: Arc::clone(&abandoned),
        };
        let waiter = Waiter { state, abandoned };
        let (send, receive) = oneshot::channel();
        std::thread::Builder::new()
            .name("expressions".to_owned())
            .stack_size(usize::try_from(stack).unwrap_or(usize::MAX))
            .spawn(move || {
                let reply = Programs::default().run(&batch);
                drop(ending);
                // The receiver is gone if the caller gave up waiting.
                let _ = send.send(reply);
            })
            .map_err(|_| NoReply::Failed)?;
        let reply = receive.await.map_err(|_| NoReply::Failed);
        drop(waiter);
        reply
    }
}
