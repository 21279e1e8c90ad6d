//! Writes the store's figures down once a minute, for charts. However many schedulers run, a minute has one sample.

use std::sync::Arc;

use async_trait::async_trait;
use tideline_core::clock::Clock;
use tideline_core::words::Timestamp;
use tideline_runtime::Pace;
use tideline_store::{ObservationStore, Sample, StoreError};

use crate::scheduler::Task;

/// See the module.
pub struct TakeSamples {
    /// Whose figures, and where they go.
    pub store: Arc<dyn ObservationStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Task for TakeSamples {
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        self.store.take_sample(now).await?;
        let every = i64::try_from(Sample::EVERY.as_millis()).unwrap_or(i64::MAX);
        // At the full minute, so that samples are as far apart as they say.
        Ok(Pace::Until(Timestamp(now.0 - now.0.rem_euclid(every) + every)))
    }
}
