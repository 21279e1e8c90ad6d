//! Secrets of hooks that `tideline hooks register` made: sealed in the store, opened here. A webhook that none of the
//! known secrets proves may be signed with one that was made a moment ago (HCP Terraform verifies while it creates a
//! configuration), so they are read again, at most five times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use parking_lot::RwLock;
use tideline_core::full_text;
use tideline_core::words::{Secret, Timestamp};
use tideline_runtime::sealing::Sealer;
use tideline_store::Store;
use tokio::sync::Mutex;

use super::scheme::{Refusal, Verifier};

/// Interval between readings.
const READ_EVERY: Duration = Duration::from_millis(200);

/// What a sealed secret is for: it opens for the same hook only.
#[must_use]
pub fn purpose(hook: &str) -> String {
    format!("hook {hook}")
}

/// The stored secrets of one hook.
pub(super) struct StoredSecrets {
    hook: String,
    sealer: Arc<Sealer>,
    store: Arc<dyn Store>,
    verifier: RwLock<Verifier>,
    /// When they were read last; held while they are read.
    read_at: Mutex<Timestamp>,
    /// How many readings have begun.
    begun: AtomicU64,
    /// The newest reading that was completed.
    completed: AtomicU64,
}

impl StoredSecrets {
    pub(super) fn new(hook: &str, sealer: Arc<Sealer>, store: Arc<dyn Store>, verifier: Verifier) -> Self {
        Self {
            hook: hook.to_owned(),
            sealer,
            store,
            verifier: RwLock::new(verifier),
            read_at: Mutex::new(Timestamp(0)),
            begun: AtomicU64::new(0),
            completed: AtomicU64::new(0),
        }
    }

    /// Whether one of the stored secrets proves it.
    pub(super) async fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
        let known = self.verifier.read().verify(headers, body, now);
        if known != Err(Refusal::Wrong) || !self.read_again(now).await {
            return known;
        }
        self.verifier.read().verify(headers, body, now)
    }

    /// Reads the secrets, or waits for a reading that began after this call. A request right after the last reading waits
    /// briefly: a stranger's webhooks must not cost a store access each, nor keep out one that is signed with a new secret.
    async fn read_again(&self, now: Timestamp) -> bool {
        let before = self.begun.load(Ordering::Acquire);
        let mut read_at = self.read_at.lock().await;
        if self.completed.load(Ordering::Acquire) > before {
            return true;
        }
        let wait = read_at.plus(READ_EVERY).since(now).min(READ_EVERY);
        tokio::time::sleep(wait).await;
        *read_at = now.plus(wait);
        let reading = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let sealed = match self.store.list_hook_secrets(&self.hook).await {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::warn!(
                    hook = self.hook,
                    error = full_text(&error),
                    "the hook's secrets cannot be read"
                );
                return false;
            }
        };
        let opened = sealed.iter().filter_map(|sealed| {
            let opened = self.sealer.open(&purpose(&self.hook), sealed);
            opened
                .inspect_err(
                    |error| tracing::warn!(hook = self.hook, %error, "a secret of the hook cannot be unsealed"),
                )
                .ok()
        });
        let secrets: Vec<Secret> = opened.collect();
        self.verifier.write().set(secrets);
        self.completed.store(reading, Ordering::Release);
        true
    }
}
