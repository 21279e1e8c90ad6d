//! Secrets of hooks that `tideline hooks register` made: sealed in the store, opened here. A webhook that none of the
//! known secrets proves may be signed with one that was made a moment ago (HCP Terraform verifies while it creates a
//! configuration), so they are read again, at most five times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use parking_lot::RwLock;
use tideline_core::full_text;
use tideline_core::words::{Secret, Timestamp};
use tideline_runtime::sealing::Sealer;
use tideline_store::Store;

use super::scheme::{Refusal, Verifier};

/// Between two readings, in milliseconds.
const READ_EVERY_MS: i64 = 200;

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
    read_at: AtomicI64,
}

impl StoredSecrets {
    pub(super) fn new(hook: &str, sealer: Arc<Sealer>, store: Arc<dyn Store>, verifier: Verifier) -> Self {
        Self {
            hook: hook.to_owned(),
            sealer,
            store,
            verifier: RwLock::new(verifier),
            read_at: AtomicI64::new(0),
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

    /// Reads the secrets. A request right after the last reading waits briefly: a stranger's webhooks must not cost a
    /// store access each, nor keep out one that is signed with a new secret.
    async fn read_again(&self, now: Timestamp) -> bool {
        let last = self.read_at.load(Ordering::Relaxed);
        let wait = last
            .saturating_add(READ_EVERY_MS)
            .saturating_sub(now.0)
            .clamp(0, READ_EVERY_MS);
        if last > 0 && wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
        }
        let moment = now.0.saturating_add(wait);
        let swapped = self
            .read_at
            .compare_exchange(last, moment, Ordering::Relaxed, Ordering::Relaxed);
        if swapped.is_err() {
            // Another request has read them meanwhile, or is about to.
            return true;
        }
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
        true
    }
}
