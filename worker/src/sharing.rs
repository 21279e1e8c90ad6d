//! Divides the request limits of sources among the workers that share them: requests are not counted fleet-wide, so a
//! request costs no store access. For a few seconds after a worker joins, the fleet may slightly exceed the limit; a
//! source that objects holds back all workers.

use std::sync::Arc;
use std::time::Duration;

use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_store::Store;
use tokio_util::sync::CancellationToken;

use crate::source::Source;

/// Interval between two readings of the workers.
const EVERY: Duration = Duration::from_secs(3);

/// Keeps sources informed about the number of workers.
pub struct ShareLimits {
    /// Knows the workers.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The sources of this worker.
    pub sources: Vec<Arc<dyn Source>>,
}

impl ShareLimits {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.run_once().await;
            let next = self.clock.now().plus(EVERY);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Reads the workers once. If the store does not respond, the shares stay as they are.
    pub async fn run_once(&self) {
        let now = self.clock.now();
        match self.store.list_workers().await {
            Ok(workers) => {
                let alive = workers.iter().filter(|worker| worker.alive_until > now).count();
                let alive = u32::try_from(alive).unwrap_or(u32::MAX).max(1);
                for source in &self.sources {
                    source.share(alive);
                }
            }
            Err(error) => tracing::debug!(error = full_text(&error), "the workers of the fleet are not known"),
        }
    }
}
