//! The store's conformance suite, and what only Postgres has, on a real server.
//!
//! `TIDELINE_TEST_POSTGRES_URL` names a server and a user who may create databases; each case gets a database of its own.
//! Without it the cases are left out.

#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is test code")]

#[path = "postgres_store/database.rs"]
mod database;
#[path = "postgres_store/plans.rs"]
mod plans;
#[path = "postgres_store/server.rs"]
mod server;

use std::sync::Arc;

use database::Database;
use tideline_shared::store::Store;

async fn open() -> Option<(Database, Arc<dyn Store>)> {
    let database = Database::create().await?;
    let store: Arc<dyn Store> = Arc::new(database.store().await);
    Some((database, store))
}

tideline_shared::store_conformance!(open);
