//! The seam to the secrets of hooks that Tideline made itself.

use async_trait::async_trait;

use super::StoreError;

/// Secrets that are kept of a hook: the newest one, and the one before, with which webhooks on their way are signed.
pub const KEPT_HOOK_SECRETS: u32 = 2;

/// Sealed secrets of hooks. They are saved by an operator's act ([`Deed::SaveHookSecret`](super::Deed::SaveHookSecret)).
#[async_trait]
pub trait HookSecretStore: Send + Sync {
    /// The sealed secrets of a hook, newest first; at most [`KEPT_HOOK_SECRETS`].
    async fn list_hook_secrets(&self, hook: &str) -> Result<Vec<String>, StoreError>;
}
