//! Sealed secrets of hooks.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use sqlx::{query, query_scalar};

use super::failure::failed;
use super::{SqliteStore, sql};
use crate::{HookSecretStore, KEPT_HOOK_SECRETS, StoreError};
use tideline_core::words::Timestamp;

#[async_trait]
impl HookSecretStore for SqliteStore {
    async fn list_hook_secrets(&self, hook: &str) -> Result<Vec<String>, StoreError> {
        let listed = query_scalar(sql!("list_hook_secrets")).bind(hook);
        listed
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list the secrets of a hook"))
    }
}

/// Saves a secret and deletes the oldest ones.
pub(super) async fn save_in(
    tx: &mut SqliteConnection,
    hook: &str,
    sealed: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ACT: &str = "save the secret of a hook";
    query(sql!("insert_hook_secret"))
        .bind(hook)
        .bind(sealed)
        .bind(now.0)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    query(sql!("delete_old_hook_secrets"))
        .bind(hook)
        .bind(KEPT_HOOK_SECRETS)
        .execute(tx)
        .await
        .map_err(failed(ACT))?;
    Ok(())
}
