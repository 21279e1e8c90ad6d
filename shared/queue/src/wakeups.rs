//! The waiter that both backends hand out: a counter that each waiter compares with the value it saw last.

use std::future;

use async_trait::async_trait;
use tokio::sync::watch;

use tideline_core::Wakeups;

/// The sending side.
#[derive(Debug)]
pub(super) struct Alarm(watch::Sender<u64>);

impl Alarm {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(super) fn ring(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn waiter(&self) -> Box<dyn Wakeups> {
        Box::new(Waiter(self.0.subscribe()))
    }
}

struct Waiter(watch::Receiver<u64>);

#[async_trait]
impl Wakeups for Waiter {
    async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The queue is gone: no more wake-ups will come.
            future::pending::<()>().await;
        }
    }
}
