//! Group commit: requests that wait at the same time share one transaction. While one commits, the next batch gathers, so nobody
//! waits for a timer. While the store is down, requests are refused at once instead of waiting for it.

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

/// Requests that may wait for a commit.
const WAITING: usize = 2_048;
/// Most events in one transaction.
const MAX_EVENTS: usize = 500;
/// Most bytes of bodies in one transaction, unless its first event alone has more.
const MAX_BYTES: usize = 8 << 20;
/// Longest a transaction may take; senders wait for 10 s.
const LONGEST: Duration = Duration::from_secs(5);
/// How often a store that is down is tried.
const TRY_EVERY: Duration = Duration::from_millis(200);

/// Why an event was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotStored {
    /// The store does not respond.
    Down,
    /// More comes in than is written.
    Busy,
    /// The store does not take this event; the log says why.
    Refused,
}

type Waiting = (NewEvent, oneshot::Sender<Result<Appended, NotStored>>);

/// Where requests hand their events in.
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

/// The one that writes.
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
    /// Writes until the stop, and then what was handed in before.
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
            self.write(batch).await;
        }
    }

    /// Whatever waits by now, within the limits of a transaction. What is too much is held for the next one.
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

    async fn write(&self, batch: Vec<Waiting>) {
        let (events, answers): (Vec<NewEvent>, Vec<_>) = batch.into_iter().unzip();
        let appending = self.store.append_events(&events, self.clock.now());
        let result = match tokio::time::timeout(LONGEST, appending).await {
            Ok(result) => result,
            Err(_) => {
                tracing::warn!("the store did not accept webhooks in time");
                return self.refuse(answers, NotStored::Down).await;
            }
        };
        match result {
            Ok(appended) => {
                for (answer, one) in answers.into_iter().zip(appended) {
                    // A sender that hung up sends again, and is told that it is a duplicate.
                    let _ = answer.send(Ok(one));
                }
                self.queue.wake().await;
            }
            Err(error @ StoreError::Refused(_)) if events.len() == 1 => {
                tracing::error!(error = full_text(&error), "the store rejected an event");
                for answer in answers {
                    let _ = answer.send(Err(NotStored::Refused));
                }
            }
            Err(StoreError::Refused(_)) => {
                // One of them: each alone.
                for (event, answer) in events.into_iter().zip(answers) {
                    Box::pin(self.write(vec![(event, answer)])).await;
                }
            }
            Err(error) => {
                tracing::warn!(error = full_text(&error), "webhooks could not be stored");
                self.refuse(answers, NotStored::Down).await;
            }
        }
    }

    /// Answers at once, and waits until the store answers again.
    async fn refuse(&self, answers: Vec<oneshot::Sender<Result<Appended, NotStored>>>, why: NotStored) {
        self.down.store(true, Ordering::Relaxed);
        for answer in answers {
            let _ = answer.send(Err(why));
        }
        while !matches!(tokio::time::timeout(LONGEST, self.store.ping()).await, Ok(Ok(()))) {
            if self.receiver.is_closed() {
                break;
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
        self.down.store(false, Ordering::Relaxed);
    }
}
