//! Wakes all requests that wait for a change with a single read of the store, and shares one reading among those that
//! read at the same position at the same time. A wake-up of the queue rings at once; commits of other processes are
//! noticed within [`LOOK`]. The store is polled only while a request waits.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tideline_core::full_text;
use tideline_core::words::{FeedPosition, Sequence};
use tideline_store::{FeedReading, Store, StoreError};
use tokio::sync::{OnceCell, watch};

use super::ApiState;

/// How often a single task polls on behalf of all waiters.
const LOOK: Duration = Duration::from_millis(200);

/// Rings when the change feed has grown.
#[derive(Debug, Default)]
pub(crate) struct FeedBell {
    rung: watch::Sender<u64>,
    watching: Mutex<bool>,
    readings: Mutex<HashMap<Place, Weak<Reading>>>,
}

/// What is read: the bell's counter, the position, and the number of changes.
type Place = (u64, FeedPosition, u32);

/// A reading that several readers share.
type Reading = OnceCell<Result<Arc<FeedReading>, StoreError>>;

impl FeedBell {
    /// Registers a waiter. From now on the store is polled, until no waiter is left.
    pub(crate) fn listen(api: &Arc<ApiState>, from: FeedPosition) -> watch::Receiver<u64> {
        let mut watching = api.bell.watching.lock();
        let waiter = api.bell.rung.subscribe();
        if !*watching {
            *watching = true;
            let api = Arc::clone(api);
            tokio::spawn(async move { watch(&api, from.sequence()).await });
        }
        waiter
    }

    /// The changes after a position, as in [`CatalogStore::list_changes`](tideline_store::CatalogStore::list_changes).
    /// Concurrent readers of the same position share one query, unless the bell rang in between: it began after the
    /// change that rang.
    pub(crate) async fn read(
        &self,
        store: &dyn Store,
        from: FeedPosition,
        limit: u32,
    ) -> Result<Arc<FeedReading>, StoreError> {
        let place = (*self.rung.borrow(), from, limit);
        let reading = {
            let mut readings = self.readings.lock();
            let shared = readings.get(&place).and_then(Weak::upgrade);
            shared.unwrap_or_else(|| {
                readings.retain(|_, reading| reading.strong_count() > 0);
                let reading = Arc::default();
                readings.insert(place, Arc::downgrade(&reading));
                reading
            })
        };
        let read = async || store.list_changes(from, limit).await.map(Arc::new);
        match reading.get_or_init(read).await {
            Ok(reading) => Ok(Arc::clone(reading)),
            Err(error) if error.may_retry() => Err(error.shared()),
            // The reader's request is invalid, and it gets the reason.
            Err(_) => read().await,
        }
    }
}

async fn watch(api: &ApiState, mut seen: Sequence) {
    let mut wakeups = api.queue.wakeups();
    loop {
        tokio::select! {
            () = wakeups.next() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = api.stop.cancelled() => {}
        }
        {
            let mut watching = api.bell.watching.lock();
            if api.bell.rung.receiver_count() == 0 || api.stop.is_cancelled() {
                *watching = false;
                return;
            }
        }
        match api.store.list_changes(FeedPosition::after(seen), 1).await {
            Ok(reading) if reading.changes.is_empty() => continue,
            Err(error) if error.may_retry() => {
                tracing::debug!(error = full_text(&error), "cannot watch the change feed");
                continue;
            }
            // There is a change, or the feed started over: the waiting requests find out which.
            Ok(_) | Err(_) => {}
        }
        if let Ok(stats) = api.store.stats(api.clock.now()).await {
            seen = stats.last_sequence;
        }
        api.bell.rung.send_modify(|count| *count = count.wrapping_add(1));
    }
}
