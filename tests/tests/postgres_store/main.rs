//! The store's conformance suite, and what only Postgres has, on a real server.
//!
//! Each case gets a database of its own, on a server that the tests start or that `TIDELINE_TEST_POSTGRES_URL` names.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is test code")]

mod database;
mod faults;
mod histories;
mod plans;
mod server;
mod turns;
mod view;

use std::sync::Arc;

use database::Database;
use tideline_store::Store;

async fn open() -> Option<(Database, Arc<dyn Store>)> {
    let database = Database::create().await?;
    let store: Arc<dyn Store> = Arc::new(database.store().await);
    Some((database, store))
}

tideline_store::store_conformance!(open);
