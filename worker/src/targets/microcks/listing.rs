//! What Microcks has, asked once for many jobs. What this process changes itself is noted at once; a job that would act
//! on something missing asks again.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use tideline_core::clock::Clock;
use tideline_core::rules::fingerprint;
use tideline_core::words::Timestamp;
use tokio::sync::Mutex;

use super::client::{Microcks, MicrocksError, Service};

/// How long Microcks' response is considered fresh.
const FRESH: Duration = Duration::from_secs(60);

/// The newest listing.
#[derive(Default)]
pub(super) struct Listing {
    /// Locked during a request: concurrent callers wait for its response.
    cached: Mutex<Option<Cached>>,
}

struct Cached {
    read_at: Timestamp,
    digests: HashMap<String, String>,
}

impl Listing {
    /// The digest of the service with this id; none: it does not exist.
    pub(super) async fn digest(
        &self,
        microcks: &Microcks,
        clock: &dyn Clock,
        id: &str,
    ) -> Result<Option<String>, MicrocksError> {
        let mut cached = self.cached.lock().await;
        let now = clock.now();
        if cached.as_ref().is_none_or(|cached| cached.read_at.plus(FRESH) <= now) {
            let services = microcks.list().await?;
            *cached = Some(Cached {
                read_at: now,
                digests: services
                    .into_iter()
                    .map(|service| (service.id.clone(), digest(&service)))
                    .collect(),
            });
        }
        Ok(cached.as_ref().and_then(|cached| cached.digests.get(id).cloned()))
    }

    /// What is known of a service now.
    pub(super) async fn note(&self, service: &Service) {
        if let Some(cached) = self.cached.lock().await.as_mut() {
            cached.digests.insert(service.id.clone(), digest(service));
        }
    }

    /// The service is gone.
    pub(super) async fn forget(&self, id: &str) {
        if let Some(cached) = self.cached.lock().await.as_mut() {
            cached.digests.remove(id);
        }
    }
}

/// Over what people change by hand: how operations answer, and labels. Not over examples, which the listing does not
/// have.
pub(super) fn digest(service: &Service) -> String {
    let mut operations: Vec<_> = (service.operations.iter())
        .map(|operation| {
            json!([
                operation.name,
                operation.dispatcher,
                operation.dispatcher_rules,
                operation.default_delay.unwrap_or_default(),
                operation.default_delay_strategy,
            ])
            .to_string()
        })
        .collect();
    operations.sort();
    let labels = service.metadata.labels.clone().unwrap_or_default();
    let text = json!([service.name, service.version, operations, labels]).to_string();
    fingerprint(text.as_bytes()).to_string()
}
