//! The conformance suite on SQLite files, and what only files have: opening, owning, query plans.

mod faults;
mod open;
mod plans;
mod view;

use std::sync::Arc;

use tempfile::TempDir;

use super::SqliteStore;
use crate::Store;

/// A fresh store in a folder of its own.
async fn open_file() -> (TempDir, SqliteStore) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tideline.db");
    let store = SqliteStore::open(path.to_str().unwrap()).await.unwrap();
    (folder, store)
}

async fn open_store() -> (TempDir, Arc<dyn Store>) {
    let (folder, store) = open_file().await;
    (folder, Arc::new(store))
}

crate::store_conformance!(open_store);
