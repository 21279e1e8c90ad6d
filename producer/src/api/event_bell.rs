//! Wakes all requests that wait for events with a single read of the store. A wake-up of the queue rings at once;
//! events without one, such as Tideline's own, are noticed within [`LOOK`]. The store is polled only while a request
//! waits.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tideline_core::full_text;
use tideline_core::words::EventSequence;
use tokio::sync::watch;

use super::ApiState;

/// How often a single task polls on behalf of all waiters.
const LOOK: Duration = Duration::from_millis(500);

/// Rings when the log of events has grown.
#[derive(Debug, Default)]
pub(crate) struct EventBell {
    rung: watch::Sender<EventSequence>,
    watching: Mutex<bool>,
}

impl EventBell {
    /// Registers a waiter. From now on the store is polled, until no waiter is left.
    pub(crate) fn listen(api: &Arc<ApiState>) -> watch::Receiver<EventSequence> {
        let mut watching = api.event_bell.watching.lock();
        let waiter = api.event_bell.rung.subscribe();
        if !*watching {
            *watching = true;
            let api = Arc::clone(api);
            tokio::spawn(async move { watch(&api).await });
        }
        waiter
    }
}

async fn watch(api: &ApiState) {
    let mut wakeups = api.queue.wakeups();
    loop {
        match api.store.event_bounds().await {
            Ok(bounds) => {
                let is_new = |last: &mut EventSequence| std::mem::replace(last, bounds.last) != bounds.last;
                api.event_bell.rung.send_if_modified(is_new);
            }
            Err(error) => tracing::debug!(error = full_text(&error), "the event log cannot be watched"),
        }
        tokio::select! {
            () = wakeups.next() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = api.stop.cancelled() => {}
        }
        let mut watching = api.event_bell.watching.lock();
        if api.event_bell.rung.receiver_count() == 0 || api.stop.is_cancelled() {
            *watching = false;
            return;
        }
    }
}
