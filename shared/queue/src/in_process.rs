//! The queue of one process: hints in memory, gone with the process, which the store makes harmless.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::wakeups::Alarm;
use super::{Delivery, Hint, Queue, QueueError, QueueHealth};
use tideline_core::Wakeups;

/// Hints in memory, by kind. Clones share them.
#[derive(Clone, Debug)]
pub struct InProcessQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    hints: Mutex<Hints>,
    arrived: Notify,
    alarm: Alarm,
    max_hints: usize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Hints {
    by_kind: BTreeMap<String, VecDeque<Hint>>,
    count: usize,
}

impl Hints {
    /// Takes up to `max` hints, from each kind in turn, so that no kind starves another.
    fn take(&mut self, kinds: &[String], max: usize) -> Vec<Hint> {
        let mut taken = Vec::new();
        loop {
            let before = taken.len();
            for kind in kinds {
                if taken.len() < max
                    && let Some(hint) = self.by_kind.get_mut(kind).and_then(VecDeque::pop_front)
                {
                    taken.push(hint);
                }
            }
            if taken.len() == before {
                break;
            }
        }
        self.count -= taken.len();
        for kind in kinds {
            if self.by_kind.get(kind).is_some_and(VecDeque::is_empty) {
                self.by_kind.remove(kind);
            }
        }
        taken
    }
}

impl InProcessQueue {
    /// Hints it holds at most, unless said otherwise.
    pub const DEFAULT_MAX_HINTS: usize = 4_096;

    /// Holds at most `max_hints`. Further ones are dropped: a scheduler sends them again (`scheduler.resend_after`).
    #[must_use]
    pub fn new(max_hints: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                hints: Mutex::new(Hints::default()),
                arrived: Notify::new(),
                alarm: Alarm::new(),
                max_hints,
                dropped: AtomicU64::new(0),
            }),
        }
    }

    /// Hints dropped so far because it was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Default for InProcessQueue {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_HINTS)
    }
}

#[async_trait]
impl Queue for InProcessQueue {
    async fn publish(&self, hints: &[Hint]) -> Result<(), QueueError> {
        {
            let mut held = self.shared.hints.lock();
            for hint in hints {
                if held.count < self.shared.max_hints {
                    held.count += 1;
                    held.by_kind
                        .entry(hint.kind.clone())
                        .or_default()
                        .push_back(hint.clone());
                } else {
                    self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        self.shared.arrived.notify_waiters();
        Ok(())
    }

    async fn receive(&self, kinds: &[String], max: usize) -> Result<Vec<Box<dyn Delivery>>, QueueError> {
        loop {
            let arrived = self.shared.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let taken = self.shared.hints.lock().take(kinds, max.max(1));
            if !taken.is_empty() {
                // No await between taking and returning: a cancelled call takes nothing.
                return Ok(taken
                    .into_iter()
                    .map(|hint| Box::new(Received(hint)) as Box<dyn Delivery>)
                    .collect());
            }
            arrived.await;
        }
    }

    async fn wake(&self) {
        self.shared.alarm.ring();
    }

    fn wakeups(&self) -> Box<dyn Wakeups> {
        self.shared.alarm.waiter()
    }

    async fn degraded(&self) {
        // Hints in memory always flow.
        std::future::pending().await
    }

    fn health(&self) -> QueueHealth {
        QueueHealth::Healthy
    }

    fn reaches_others(&self) -> bool {
        false
    }
}

struct Received(Hint);

#[async_trait]
impl Delivery for Received {
    fn hint(&self) -> &Hint {
        &self.0
    }

    async fn ack(&self) {}
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use tideline_core::words::{JobId, Token};

    fn hint(kind: &str, job: i64) -> Hint {
        Hint {
            kind: kind.into(),
            jobs: vec![(JobId(job), Token(1))],
            trace: None,
        }
    }

    #[tokio::test]
    async fn a_full_queue_drops_hints_and_counts_them() {
        let queue = InProcessQueue::new(2);
        let hints = [hint("a", 1), hint("b", 2), hint("a", 3)];
        queue.publish(&hints).await.unwrap();
        assert_eq!(queue.dropped(), 1);
        let kinds = ["a".to_owned(), "b".to_owned()];
        let received = queue.receive(&kinds, 10).await.unwrap();
        assert_eq!(received.len(), 2);
        queue.publish(&hints[..1]).await.unwrap();
        assert_eq!(queue.receive(&kinds, 10).await.unwrap().len(), 1);
        assert_eq!(queue.dropped(), 1);
    }

    #[tokio::test]
    async fn no_kind_starves_another() {
        let queue = InProcessQueue::default();
        for job in 0..10 {
            queue.publish(&[hint("busy", job)]).await.unwrap();
        }
        queue.publish(&[hint("rare", 99)]).await.unwrap();
        let kinds = ["busy".to_owned(), "rare".to_owned()];
        let received = queue.receive(&kinds, 2).await.unwrap();
        assert!(received.iter().any(|delivery| delivery.hint().kind == "rare"));
    }

    #[tokio::test]
    async fn nothing_of_another_kind_is_received() {
        let queue = InProcessQueue::default();
        queue.publish(&[hint("a", 1)]).await.unwrap();
        assert!(queue.receive(&["b".to_owned()], 1).now_or_never().is_none());
        assert!(queue.receive(&["a".to_owned()], 1).now_or_never().is_some());
    }
}

#[cfg(all(test, feature = "testing"))]
mod conformance {
    use super::super::conformance::Handles;
    use super::*;

    async fn open() -> Option<Handles> {
        let queue = Arc::new(InProcessQueue::default());
        Some(Handles {
            here: Arc::clone(&queue) as Arc<dyn Queue>,
            there: queue,
            keep: Box::new(()),
        })
    }

    crate::queue_conformance!(open);
}
