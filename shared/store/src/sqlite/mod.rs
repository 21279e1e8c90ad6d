//! The store in a SQLite file: the default, nothing to install. Write-ahead log, one connection that writes (SQLite has
//! one writer at a time anyway; waiting for it here is cheaper and fairer than in its busy handler) and a few that
//! read. The database thread gets few and large statements, because through an async driver each hand-over costs as
//! much as ten rows. Only one process may run roles on a file ([`SqliteStore::open_owned`]); others may read and send
//! operators' commands ([`SqliteStore::open_existing`]). Look next at `ingest.rs`.

mod acts;
mod catalog;
mod change_subscriptions;
mod checks;
mod collisions;
mod commands;
mod cycles;
mod delta;
mod drift;
mod durable;
mod enrichments;
mod entities;
mod events;
mod failure;
mod followers;
mod hook_secrets;
mod ingest;
mod jobs;
mod manifest;
mod observations;
mod open;
mod operators;
mod ownership;
mod pages;
mod partitions;
mod rows;
mod schema;
mod search;
mod sessions;
mod settle;
mod siblings;
mod sources;
mod subscription_acts;
mod subscriptions;
mod sweep;
mod targets;
mod tokens;
mod unseen;
mod upkeep;
mod versions;
mod workers;
mod writer;

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool};
use sqlx::{Connection, Sqlite, Transaction};
use tokio::sync::Mutex;

use self::durable::Durable;
use self::failure::failed;
use self::ownership::Ownership;
use self::writer::FileIdentity;
use super::StoreError;

/// The statement in `sql/{name}.sql`.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("sql/", $name, ".sql"))
    };
}
use sql;

/// A store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// The file that the path referred to when it was opened.
    file: FileIdentity,
    /// How connections that write are made.
    options: SqliteConnectOptions,
    writer: Mutex<SqliteConnection>,
    readers: SqlitePool,
    ownership: Option<Ownership>,
    durable: Durable,
}

impl SqliteStore {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Begins a transaction that already has the write lock, so that it can never fail halfway for lack of it.
async fn begin<'c>(writer: &'c mut SqliteConnection, act: &'static str) -> Result<Transaction<'c, Sqlite>, StoreError> {
    writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(act))
}

async fn commit(tx: Transaction<'_, Sqlite>, act: &'static str) -> Result<(), StoreError> {
    tx.commit().await.map_err(failure::failed_commit(act))
}

#[cfg(test)]
mod tests;
