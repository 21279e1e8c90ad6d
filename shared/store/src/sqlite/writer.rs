//! The one connection that writes: replaced when a transaction on it could not be ended, locked when its file is gone.

use std::mem;
use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, query};
use tokio::sync::MutexGuard;

use super::SqliteStore;
use crate::StoreError;

/// The identity of the file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    /// Device and inode.
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl FileIdentity {
    /// None: the file is missing, or cannot be examined.
    pub(super) fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
        })
    }
}

impl SqliteStore {
    /// The connection that writes, when it is this caller's turn.
    pub(super) async fn writer(&self) -> MutexGuard<'_, SqliteConnection> {
        let mut writer = self.writer.lock().await;
        if writer.is_in_transaction() {
            // A transaction that was dropped is rolled back in the connection's thread, before it answers this.
            let _ = writer.ping().await;
        }
        if writer.is_in_transaction() {
            self.replace(&mut writer).await;
        }
        if self.check_file().is_err() {
            // Writes to an unlinked file would never be read again.
            let _ = query("PRAGMA query_only = ON").execute(&mut *writer).await;
        }
        writer
    }

    /// A full disk ends a transaction before the driver does, which then cannot leave it. If no other connection can be
    /// opened now, the next caller tries again.
    async fn replace(&self, writer: &mut SqliteConnection) {
        match SqliteConnection::connect_with(&self.options).await {
            Ok(fresh) => {
                drop(mem::replace(writer, fresh));
                tracing::warn!(store = %self.path.display(), "could not end a transaction; its connection was replaced");
            }
            Err(error) => tracing::warn!(
                store = %self.path.display(),
                error = &error as &dyn std::error::Error,
                "could not end a transaction or replace its connection"
            ),
        }
    }

    /// Whether the path still names the file that this store writes to.
    pub(super) fn check_file(&self) -> Result<(), StoreError> {
        if FileIdentity::of(&self.path) == Some(self.file) {
            return Ok(());
        }
        Err(StoreError::Config(format!(
            "the database file {} was deleted or replaced while it was in use, so new writes would be lost; stop \
             tideline, restore the file, and start it again",
            self.path.display()
        )))
    }
}
