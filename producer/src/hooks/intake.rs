//! Group commit: requests that wait at the same time share one transaction. While one commits, the next batch gathers,
//! so no request waits for a timer. While the store is down, requests are refused at once instead of waiting for it,
//! and so are those already waiting when the outage is noticed.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{Appended, NewEvent};
use tideline_queue::Queue;
use tideline_store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Maximum number of requests that wait for a commit.
const WAITING: usize = 2_048;
/// Maximum number of events in one transaction.
const MAX_EVENTS: usize = 500;
/// Maximum size of the bodies in one transaction, in bytes, unless its first event alone has more.
const MAX_BYTES: usize = 8 << 20;
/// Maximum duration of a transaction. A request that arrives while one begins waits this long, and its sender waits for
/// 10 s.
const LONGEST: Duration = Duration::from_secs(4);
/// How often an unavailable store is retried.
const TRY_EVERY: Duration = Duration::from_millis(200);

/// Why an event was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotStored {
    /// The store does not respond.
    Down,
    /// Webhooks arrive faster than they are written.
    Busy,
    /// The store does not accept this event; the log says why.
    Refused,
}

type Waiting = (NewEvent, oneshot::Sender<Result<Appended, NotStored>>);

/// The sending side, where requests submit their events.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    sender: mpsc::Sender<Waiting>,
    down: Arc<AtomicBool>,
}

impl Intake {
    /// Whether the store is known to be down.
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Returns when the event is in the store.
    pub(super) async fn append(&self, event: NewEvent) -> Result<Appended, NotStored> {
        if self.is_down() {
            return Err(NotStored::Down);
        }
        let (answer, answered) = oneshot::channel();
        self.sender.try_send((event, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotStored::Busy,
            mpsc::error::TrySendError::Closed(_) => NotStored::Down,
        })?;
        answered.await.unwrap_or(Err(NotStored::Down))
    }
}

/// The writing side.
pub(super) struct Writer {
    receiver: mpsc::Receiver<Waiting>,
    down: Arc<AtomicBool>,
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
}

/// Both ends of an intake.
pub(super) fn intake(store: Arc<dyn Store>, queue: Arc<dyn Queue>, clock: Arc<dyn Clock>) -> (Intake, Writer) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let down = Arc::new(AtomicBool::new(false));
    let intake = Intake {
        sender,
        down: Arc::clone(&down),
    };
    let writer = Writer {
        receiver,
        down,
        store,
        queue,
        clock,
    };
    (intake, writer)
}

impl Writer {
    /// Writes until the stop, then everything submitted before it.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut held = None;
        loop {
            let first = match held.take() {
                Some(waiting) => Some(waiting),
                None => tokio::select! {
                    biased;
                    waiting = self.receiver.recv() => waiting,
                    () = stop.cancelled() => {
                        self.receiver.close();
                        self.receiver.recv().await
                    }
                },
            };
            let Some(first) = first else { return };
            let batch = self.gather(first, &mut held);
            if !self.write(batch).await {
                self.refuse(held.take(), &stop).await;
            }
        }
    }

    /// The waiting events, within the limits of a transaction. The excess is kept for the next one.
    fn gather(&mut self, first: Waiting, held: &mut Option<Waiting>) -> Vec<Waiting> {
        let mut bytes = first.0.body.len();
        let mut batch = vec![first];
        while batch.len() < MAX_EVENTS {
            let Ok(next) = self.receiver.try_recv() else { break };
            bytes = bytes.saturating_add(next.0.body.len());
            if bytes > MAX_BYTES {
                *held = Some(next);
                break;
            }
            batch.push(next);
        }
        batch
    }

    /// Writes a batch and answers it. `false`: the store is down.
    async fn write(&self, batch: Vec<Waiting>) -> bool {
        let (events, answers): (Vec<NewEvent>, Vec<_>) = batch.into_iter().unzip();
        let appending = self.store.append_events(&events, self.clock.now());
        let Ok(result) = tokio::time::timeout(LONGEST, appending).await else {
            tracing::warn!("the store did not accept webhooks in time");
            answer_all(answers, NotStored::Down);
            return false;
        };
        match result {
            Ok(appended) => {
                for (answer, one) in answers.into_iter().zip(appended) {
                    // A sender that hung up resends, and learns that it is a duplicate.
                    let _ = answer.send(Ok(one));
                }
                self.queue.wake().await;
                true
            }
            Err(error @ StoreError::Refused(_)) if events.len() == 1 => {
                tracing::error!(error = full_text(&error), "the store rejected an event");
                answer_all(answers, NotStored::Refused);
                true
            }
            Err(StoreError::Refused(_)) => {
                // One of them: each alone.
                let mut up = true;
                for (event, answer) in events.into_iter().zip(answers) {
                    if up {
                        up = Box::pin(self.write(vec![(event, answer)])).await;
                    } else {
                        answer_all([answer], NotStored::Down);
                    }
                }
                up
            }
            Err(error) => {
                tracing::warn!(error = full_text(&error), "webhooks could not be stored");
                answer_all(answers, NotStored::Down);
                false
            }
        }
    }

    /// Refuses waiting events, and keeps refusing until the store responds again.
    async fn refuse(&mut self, held: Option<Waiting>, stop: &CancellationToken) {
        self.down.store(true, Ordering::Relaxed);
        answer_all(held.map(|(_, answer)| answer), NotStored::Down);
        let store = Arc::clone(&self.store);
        let up = async {
            while !matches!(tokio::time::timeout(LONGEST, store.ping()).await, Ok(Ok(()))) {
                tokio::time::sleep(TRY_EVERY).await;
            }
        };
        let mut up = pin!(up);
        loop {
            tokio::select! {
                biased;
                Some((_, answer)) = self.receiver.recv() => answer_all([answer], NotStored::Down),
                () = &mut up => break,
                () = stop.cancelled() => break,
            }
        }
        self.down.store(false, Ordering::Relaxed);
    }
}

fn answer_all(answers: impl IntoIterator<Item = oneshot::Sender<Result<Appended, NotStored>>>, why: NotStored) {
    for answer in answers {
        let _ = answer.send(Err(why));
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
