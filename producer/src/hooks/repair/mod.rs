//! Repairs missed deliveries: providers that list what they sent are polled, and deliveries that are not in the log are
//! fetched and take the same path as a received webhook. The provider's delivery id removes duplicates. Only one
//! gateway polls at a time.

mod github;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderMap;
use tideline_config::hooks::RepairSettings;
use tideline_core::full_text;
use tideline_core::words::{DeliveryId, EventSequence, Timestamp, Verdict};
use tideline_runtime::{LoopError, Pace, Runtime, Wake};
use tideline_store::{Store, StoreError};
use tokio::sync::Notify;

use self::github::Github;
use super::{Hook, Hooks, topic};

/// Overlap of consecutive listings: deliveries may be listed late, or be redelivered.
const OVERLAP: Duration = Duration::from_secs(3_600);
/// Maximum age of requested deliveries: GitHub keeps them for three days.
const OLDEST: Duration = Duration::from_secs(3 * 86_400);
/// Minimum wait before a refused delivery is requested again, and between further requests.
const URGENT_EVERY: Duration = Duration::from_secs(60);

/// A delivery as its provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    /// Its id in the provider's API.
    number: u64,
    /// The id that the webhook carries.
    id: String,
}

/// A delivery as its provider sent it.
#[derive(Debug)]
struct Sent {
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Why a provider did not answer well. The text says what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
struct NotListed(String);

/// A provider that lists what it sent.
#[async_trait]
trait DeliveryList: Send + Sync {
    /// Deliveries since a moment; those that failed first.
    async fn list(&self, since: Timestamp) -> Result<Vec<Listed>, NotListed>;

    /// One of them. None: the provider no longer has it.
    async fn fetch(&self, number: u64) -> Result<Option<Sent>, NotListed>;
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repaired {
    pub(super) listed: usize,
    pub(super) taken: usize,
}

/// Repairs one hook.
pub(super) struct Repair {
    hooks: Arc<Hooks>,
    store: Arc<dyn Store>,
    hook: String,
    list: Box<dyn DeliveryList>,
    every: Duration,
    /// A webhook was too large to be received.
    pub(super) urgent: Arc<Notify>,
}

impl Hooks {
    /// Starts to repair the hooks that say how.
    pub(super) fn start_repairs(self: &Arc<Self>, store: &Arc<dyn Store>, runtime: &Runtime) {
        for hook in self.hooks.values() {
            let Some(repair) = hook.repair(self, store) else {
                continue;
            };
            let repair = Arc::new(repair);
            let urgent = Arc::clone(&repair.urgent);
            let (stop, woken) = (runtime.stop(), Arc::clone(&repair));
            runtime.spawn(async move {
                while !stop.is_cancelled() {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = urgent.notified() => {}
                    }
                    if let Err(error) = woken.run_once(URGENT_EVERY).await {
                        tracing::warn!(
                            hook = woken.hook,
                            error = full_text(&*error),
                            "a missed delivery was not accepted"
                        );
                    }
                }
            });
            runtime.spawn_loop(
                "repair deliveries",
                repair.every.min(URGENT_EVERY),
                Wake::Never,
                move || {
                    let repair = Arc::clone(&repair);
                    async move { repair.run_once(repair.every).await.map(|_| Pace::Idle) }
                },
            );
        }
    }
}

impl Hook {
    pub(super) fn repair(&self, hooks: &Arc<Hooks>, store: &Arc<dyn Store>) -> Option<Repair> {
        let settings: &RepairSettings = self.settings.repair.as_ref()?;
        Some(Repair {
            hooks: Arc::clone(hooks),
            store: Arc::clone(store),
            hook: self.settings.name.clone(),
            list: Box::new(Github::new(settings, Arc::clone(&hooks.clock))),
            every: settings.every,
            urgent: Arc::clone(&self.urgent),
        })
    }
}

impl Repair {
    /// Polls the provider, unless a gateway has done so within this time.
    pub(super) async fn run_once(&self, every: Duration) -> Result<Option<Repaired>, LoopError> {
        let now = self.hooks.clock.now();
        let (asked, done) = (
            format!("repair-asked:{}", self.hook),
            format!("repair-done:{}", self.hook),
        );
        let before = self.store.find_position(&asked).await?;
        let is_early = before.is_some_and(|before| now.since(Timestamp(before.0)) < every);
        if is_early || !self.store.move_position(&asked, before, EventSequence(now.0)).await? {
            return Ok(None);
        }
        let last = self.store.find_position(&done).await?;
        let earliest = now.minus(OLDEST);
        let since = last.map_or(earliest, |last| Timestamp(last.0).minus(OVERLAP).max(earliest));
        let repaired = self.take_missed(since).await?;
        let Repaired { listed, taken } = repaired;
        tracing::debug!(
            hook = self.hook,
            listed,
            taken,
            "the provider's list of deliveries was compared with the log"
        );
        // If another gateway was faster, it has listed as much.
        self.store.move_position(&done, last, EventSequence(now.0)).await?;
        Ok(Some(repaired))
    }

    async fn take_missed(&self, since: Timestamp) -> Result<Repaired, LoopError> {
        let mut repaired = Repaired::default();
        let mut looked = HashSet::new();
        for listed in self.list.list(since).await? {
            if !looked.insert(listed.id.clone()) {
                continue;
            }
            repaired.listed += 1;
            if self.is_known(&listed).await? {
                continue;
            }
            let Some(sent) = self.list.fetch(listed.number).await? else {
                continue;
            };
            if self.take(&listed, sent).await? {
                repaired.taken += 1;
                tracing::info!(
                    hook = self.hook,
                    delivery = listed.id,
                    "fetched a delivery that never arrived"
                );
            }
        }
        Ok(repaired)
    }

    async fn is_known(&self, listed: &Listed) -> Result<bool, StoreError> {
        let delivery = DeliveryId {
            hook: self.hook.clone(),
            id: listed.id.clone(),
        };
        Ok(self.store.find_delivery(&delivery).await?.is_some())
    }

    /// Stores it as a webhook that was received; `false`: it was received meanwhile.
    async fn take(&self, listed: &Listed, sent: Sent) -> Result<bool, LoopError> {
        let Some(hook) = self.hooks.hooks.get(&self.hook) else {
            return Ok(false);
        };
        let mut event = hook.event(&sent.headers, sent.body, false, self.hooks.clock.now());
        if let Some(expression) = &hook.topic {
            topic::apply(expression, &self.hooks.evaluator, &self.hook, &mut event).await;
        }
        event.verdict = Verdict::Fetched;
        event.delivery = Some(DeliveryId {
            hook: self.hook.clone(),
            id: listed.id.clone(),
        });
        let stored = self.hooks.intake.append(event).await;
        let stored = stored
            .map_err(|_| NotListed("the store did not accept a missed delivery; it will be retried".to_owned()))?;
        Ok(!stored.duplicate)
    }
}

#[cfg(test)]
mod tests;
