//! Ends attempts in the store, many with one statement. Settlements that cannot be written now are retried until they
//! are written or the worker is stopped hard: then the lease expires by itself and the job is rescued.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{Settled, Settlement};
use tideline_queue::Queue;
use tideline_runtime::LoopStatus;
use tideline_store::{SettleRequest, Store};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::holding::Holding;

/// Maximum number of settlements in one statement, and of those that wait for one.
const BATCH: usize = 1_000;
/// This many settlements do not wait for the statement in flight: one executes while the other becomes durable.
const MANY: usize = 200;
/// Maximum number of statements in flight.
const STATEMENTS: usize = 2;
/// Interval between retries during a store outage.
const RETRY: Duration = Duration::from_millis(200);

/// An attempt that ended.
pub(crate) struct Ended {
    pub(crate) request: SettleRequest,
    /// Whether it was a burst: its end may let other partitions begin, or end the cycle.
    pub(crate) of_source: bool,
}

/// Where finished attempts go.
#[derive(Clone)]
pub(crate) struct Settlements(mpsc::Sender<Ended>);

impl Settlements {
    /// Hands a settlement over; waits while too many are pending.
    pub(crate) async fn send(&self, ended: Ended) {
        // Without a receiver the worker was stopped hard: the lease will expire.
        let _ = self.0.send(ended).await;
    }

    /// For tests of what sends them.
    #[cfg(test)]
    pub(crate) fn without_settler() -> (Self, mpsc::Receiver<Ended>) {
        let (sender, receiver) = mpsc::channel(BATCH);
        (Self(sender), receiver)
    }
}

pub(crate) struct Settler {
    incoming: mpsc::Receiver<Ended>,
    writer: Writer,
}

struct Writer {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    settled: Arc<Notify>,
    holding: Arc<Holding>,
    status: Arc<LoopStatus>,
}

impl Settler {
    /// `settled` is notified after each batch that may have made something due.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        settled: Arc<Notify>,
        holding: Arc<Holding>,
        status: Arc<LoopStatus>,
    ) -> (Self, Settlements) {
        let (sender, incoming) = mpsc::channel(BATCH);
        let writer = Writer {
            store,
            queue,
            clock,
            settled,
            holding,
            status,
        };
        (Self { incoming, writer }, Settlements(sender))
    }

    /// Settles until every sender is gone and all is written, or until `hard`.
    pub(crate) async fn run(self, hard: CancellationToken) {
        let Self { mut incoming, writer } = self;
        let mut batch = Vec::new();
        let mut under_way = FuturesUnordered::new();
        let mut open = true;
        while open || !batch.is_empty() || !under_way.is_empty() {
            let free = match under_way.len() {
                0 => !batch.is_empty(),
                statements => statements < STATEMENTS && batch.len() >= MANY,
            };
            if free {
                writer.status.starts_a_run(writer.clock.now());
                under_way.push(writer.settle(std::mem::take(&mut batch)));
            }
            let room = BATCH - batch.len();
            tokio::select! {
                () = hard.cancelled() => break,
                Some(()) = under_way.next() => {
                    if under_way.is_empty() {
                        writer.status.succeeded(writer.clock.now());
                    }
                }
                count = incoming.recv_many(&mut batch, room), if open && room > 0 => open = count > 0,
            }
        }
        writer.status.ended();
    }
}

impl Writer {
    async fn settle(&self, batch: Vec<Ended>) {
        let (requests, of_source): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|ended| (ended.request, ended.of_source)).unzip();
        let writing = self.write(&requests, of_source.contains(&true));
        if let Err(panic) = AssertUnwindSafe(writing).catch_unwind().await {
            self.status.panicked(panic.as_ref());
            // It is unknown whether they are in the store: those still leased to us there are handed back.
            self.holding.doubt(self.clock.now());
        }
        for request in requests {
            self.holding.let_go(request.lease);
        }
    }

    async fn write(&self, requests: &[SettleRequest], of_source: bool) {
        loop {
            match self.store.settle(requests, self.clock.now()).await {
                Ok(outcomes) => {
                    let lost = outcomes
                        .iter()
                        .filter(|outcome| **outcome == Settled::LeaseLost)
                        .count();
                    if lost > 0 {
                        tracing::warn!(lost, "settlements arrived after their lease was lost and were rejected");
                    }
                    // The next partition, the next burst, the end of a cycle. A plain job that is done makes nothing
                    // due.
                    let plain = requests.iter().all(|request| request.settlement == Settlement::Done)
                        && !outcomes.contains(&Settled::RunsAgain);
                    if of_source || !plain {
                        self.settled.notify_one();
                        self.queue.wake().await;
                    }
                    return;
                }
                Err(error) if error.may_retry() => {
                    let failures = self.status.failed(full_text(&error));
                    tracing::warn!(
                        failures,
                        error = &error as &dyn std::error::Error,
                        "settling failed; retrying"
                    );
                    self.status.starts_a_run(self.clock.now());
                    self.clock.sleep_until(self.clock.now().plus(RETRY)).await;
                }
                Err(error) if requests.len() > 1 => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "settling failed; settling each job separately"
                    );
                    for request in requests {
                        Box::pin(self.write(std::slice::from_ref(request), of_source)).await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "settling failed; handing the job back"
                    );
                    // They are no longer held here, but still leased to us in the store.
                    self.holding.doubt(self.clock.now());
                    return;
                }
            }
        }
    }
}
