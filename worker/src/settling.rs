//! Ends attempts in the store, many with one statement. What cannot be written now is tried again until it is written or
//! the worker is stopped hard: the lease then ends by itself and the job is rescued.

use std::sync::Arc;
use std::time::Duration;

use tideline_shared::clock::Clock;
use tideline_shared::queue::Queue;
use tideline_shared::store::{SettleRequest, Store};
use tideline_shared::words::{Lease, Settled, Settlement};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::holding::Holding;

/// Most settlements in one statement, and most that wait for one.
const BATCH: usize = 500;
/// Between two tries while the store is away.
const RETRY: Duration = Duration::from_millis(200);

/// An attempt that ended.
pub(crate) struct Ended {
    pub(crate) lease: Lease,
    pub(crate) settlement: Settlement,
    /// It was a burst: its end may let other partitions begin, or end the cycle.
    pub(crate) of_source: bool,
}

impl Ended {
    /// Whether anything else may be due because of it.
    fn stirs(&self, outcome: Settled) -> bool {
        self.of_source || self.settlement != Settlement::Done || outcome == Settled::RunsAgain
    }
}

/// Where finished attempts go.
#[derive(Clone)]
pub(crate) struct Settlements(mpsc::Sender<Ended>);

impl Settlements {
    /// Hands a settlement over; waits while too many are on their way.
    pub(crate) async fn send(&self, ended: Ended) {
        // Without a receiver the worker was stopped hard: the lease runs out.
        let _ = self.0.send(ended).await;
    }
}

pub(crate) struct Settler {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    incoming: mpsc::Receiver<Ended>,
    settled: Arc<Notify>,
    holding: Arc<Holding>,
}

impl Settler {
    /// `settled` is notified after each batch that may have made something due.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        settled: Arc<Notify>,
        holding: Arc<Holding>,
    ) -> (Self, Settlements) {
        let (sender, incoming) = mpsc::channel(BATCH);
        (
            Self {
                store,
                queue,
                clock,
                incoming,
                settled,
                holding,
            },
            Settlements(sender),
        )
    }

    /// Settles until every sender is gone and all is written, or until `hard`.
    pub(crate) async fn run(mut self, hard: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.clear();
            tokio::select! {
                () = hard.cancelled() => return,
                count = self.incoming.recv_many(&mut batch, BATCH) => if count == 0 {
                    return;
                },
            }
            tokio::select! {
                () = hard.cancelled() => return,
                () = self.settle(&batch) => {}
            }
        }
    }

    async fn settle(&self, batch: &[Ended]) {
        self.write(batch).await;
        for ended in batch {
            self.holding.let_go(ended.lease);
        }
    }

    async fn write(&self, batch: &[Ended]) {
        let requests: Vec<SettleRequest> = batch
            .iter()
            .map(|ended| SettleRequest {
                lease: ended.lease,
                settlement: ended.settlement.clone(),
            })
            .collect();
        loop {
            match self.store.settle(&requests, self.clock.now()).await {
                Ok(outcomes) => {
                    let lost = outcomes
                        .iter()
                        .filter(|outcome| **outcome == Settled::LeaseLost)
                        .count();
                    if lost > 0 {
                        tracing::warn!(lost, "settlements came after their lease was gone and were refused");
                    }
                    // The next partition, the next burst, the end of a cycle. A plain job that is done makes nothing due.
                    if batch.iter().zip(outcomes).any(|(ended, outcome)| ended.stirs(outcome)) {
                        self.settled.notify_one();
                        self.queue.wake().await;
                    }
                    return;
                }
                Err(error) if error.may_retry() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "settling failed; trying again"
                    );
                    self.clock.sleep_until(self.clock.now().plus(RETRY)).await;
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "settling failed; the jobs are handed back"
                    );
                    // They are no longer held, and still ours in the store.
                    self.holding.doubt(self.clock.now());
                    return;
                }
            }
        }
    }
}
