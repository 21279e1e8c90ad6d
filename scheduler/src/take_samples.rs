//! Records statistics for charts: the store's once a minute, and the positions of subscriptions and targets every few
//! minutes. No matter how many schedulers run, there is one sample per minute.

use std::sync::Arc;

use async_trait::async_trait;
use tideline_core::clock::Clock;
use tideline_core::words::{LogEnds, Timestamp};
use tideline_runtime::Pace;
use tideline_store::{Follower, FollowerSample, Sample, Store, StoreError};

use crate::scheduler::Task;

/// See the module.
pub struct TakeSamples {
    /// The measured store, which also keeps the samples.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Task for TakeSamples {
    async fn run_once(&self) -> Result<Pace, StoreError> {
        let now = self.clock.now();
        self.store.take_sample(now).await?;
        let every = |every: std::time::Duration| i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        let minute = now.0 - now.0.rem_euclid(every(Sample::EVERY));
        if minute.rem_euclid(every(FollowerSample::EVERY)) == 0 {
            self.sample_followers(Timestamp(minute)).await?;
        }
        // At the full minute, so that samples are exactly one minute apart.
        Ok(Pace::Until(Timestamp(minute + every(Sample::EVERY))))
    }
}

impl TakeSamples {
    async fn sample_followers(&self, minute: Timestamp) -> Result<(), StoreError> {
        let ends = LogEnds {
            events: self.store.event_bounds().await?.last,
            changes: self.store.stats(minute).await?.last_sequence,
        };
        let subscriptions = self.store.list_subscriptions().await?.into_iter().map(|one| {
            let sample = FollowerSample {
                minute,
                position: one.looked_up_to(),
                behind: one.behind(ends),
                name: one.name,
            };
            (Follower::Subscription, sample)
        });
        let targets = self.store.list_targets().await?.into_iter().map(|one| {
            let sample = FollowerSample {
                minute,
                position: one.looked_up_to(),
                behind: one.behind(ends.changes),
                name: one.name,
            };
            (Follower::Target, sample)
        });
        let samples: Vec<_> = subscriptions.chain(targets).collect();
        self.store.add_follower_samples(&samples, minute).await
    }
}
