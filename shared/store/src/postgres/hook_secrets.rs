//! Sealed secrets of hooks.

use async_trait::async_trait;

use super::PostgresStore;
use super::act::Act;
use super::rows::column;
use crate::{HookSecretStore, KEPT_HOOK_SECRETS, StoreError};
use tideline_core::words::Timestamp;

#[async_trait]
impl HookSecretStore for PostgresStore {
    async fn list_hook_secrets(&self, hook: &str) -> Result<Vec<String>, StoreError> {
        let mut act = self.reading("list the secrets of a hook").await?;
        let statement = sqlx::query(include_str!("sql/list_hook_secrets.sql")).bind(hook);
        act.rows(statement)
            .await?
            .iter()
            .map(|row| column(row, "sealed"))
            .collect()
    }
}

impl Act {
    /// Saves a secret and deletes the oldest ones.
    pub(super) async fn save_hook_secret(
        &mut self,
        hook: &str,
        sealed: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let insert = sqlx::query(include_str!("sql/insert_hook_secret.sql"));
        self.run(insert.bind(hook).bind(sealed).bind(now.0)).await?;
        let delete = sqlx::query(include_str!("sql/delete_old_hook_secrets.sql"));
        self.run(delete.bind(hook).bind(i64::from(KEPT_HOOK_SECRETS)))
            .await
            .map(drop)
    }
}
