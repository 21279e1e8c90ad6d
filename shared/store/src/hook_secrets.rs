//! The seam to the secrets of hooks that Tideline generated itself.

use async_trait::async_trait;

use super::StoreError;

/// Number of secrets kept per hook: the newest one, and the previous one, for webhooks in flight.
pub const KEPT_HOOK_SECRETS: u32 = 2;

/// Sealed secrets of hooks. They are saved by an operator's act
/// ([`Deed::SaveHookSecret`](super::Deed::SaveHookSecret)).
#[async_trait]
pub trait HookSecretStore: Send + Sync {
    /// The sealed secrets of a hook, newest first; at most [`KEPT_HOOK_SECRETS`].
    async fn list_hook_secrets(&self, hook: &str) -> Result<Vec<String>, StoreError>;
}
