//! Migrations: forward only, numbered, all of them in one transaction or none. `PRAGMA user_version` is the number of
//! the last one; `PRAGMA application_id` tells our files from other programs' databases.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor, Row, query, raw_sql};

use super::failure::failed;
use super::{begin, commit, sql};
use crate::StoreError;

/// In order; the place is the version.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../../migrations/sqlite/0001_model.sql"),
    include_str!("../../../../migrations/sqlite/0002_readers_and_wishes.sql"),
    include_str!("../../../../migrations/sqlite/0003_deltas.sql"),
    include_str!("../../../../migrations/sqlite/0004_ownership.sql"),
    include_str!("../../../../migrations/sqlite/0005_events.sql"),
    include_str!("../../../../migrations/sqlite/0006_operators.sql"),
    include_str!("../../../../migrations/sqlite/0007_subscriptions.sql"),
    include_str!("../../../../migrations/sqlite/0008_followers.sql"),
    include_str!("../../../../migrations/sqlite/0009_catalog.sql"),
    include_str!("../../../../migrations/sqlite/0010_pushes.sql"),
    include_str!("../../../../migrations/sqlite/0011_targets.sql"),
    include_str!("../../../../migrations/sqlite/0012_sessions.sql"),
    include_str!("../../../../migrations/sqlite/0013_drift.sql"),
    include_str!("../../../../migrations/sqlite/0014_change_subscriptions.sql"),
    include_str!("../../../../migrations/sqlite/0015_observations.sql"),
    include_str!("../../../../migrations/sqlite/0016_source_events.sql"),
    include_str!("../../../../migrations/sqlite/0017_versions.sql"),
    include_str!("../../../../migrations/sqlite/0018_enrichments.sql"),
    include_str!("../../../../migrations/sqlite/0019_origins.sql"),
    include_str!("../../../../migrations/sqlite/0020_hook_secrets.sql"),
    include_str!("../../../../migrations/sqlite/0021_source_failures.sql"),
    include_str!("../../../../migrations/sqlite/0022_people.sql"),
    include_str!("../../../../migrations/sqlite/0023_audit_of_sources.sql"),
    include_str!("../../../../migrations/sqlite/0024_checks.sql"),
    include_str!("../../../../migrations/sqlite/0025_plans.sql"),
    include_str!("../../../../migrations/sqlite/0026_unconfirmed.sql"),
    include_str!("../../../../migrations/sqlite/0027_followers.sql"),
    include_str!("../../../../migrations/sqlite/0028_notices.sql"),
    include_str!("../../../../migrations/sqlite/0029_delta_sequences.sql"),
    include_str!("../../../../migrations/sqlite/0030_gained.sql"),
];

/// The version this program knows.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// "TIDE".
const APPLICATION: i64 = 0x5449_4445;

/// The kind of a database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// Nothing in it yet.
    Empty,
    /// Ours, in this known version.
    Version(i64),
}

/// Length of the header of a database file.
pub(super) const HEADER_BYTES: usize = 100;

/// What the header of a file says, if it is one of a database. Right only if no write-ahead log waits beside the file.
/// Source: <https://www.sqlite.org/fileformat2.html>, section 1.3.
pub(super) fn read_header(header: &[u8]) -> Option<Schema> {
    if header.len() < HEADER_BYTES || !header.starts_with(b"SQLite format 3\0") {
        return None;
    }
    let number = |at: usize| {
        header[at..at + 4]
            .iter()
            .fold(0, |all, byte| all << 8 | i64::from(*byte))
    };
    let (schema_cookie, version, application) = (number(40), number(60), number(68));
    Some(decide(version, application, schema_cookie))
}

/// Inspects the file and changes no content (but may leave files for a write-ahead log).
pub(super) async fn inspect(connection: &mut SqliteConnection) -> Result<Schema, sqlx::Error> {
    let row = query(sql!("find_schema")).fetch_one(connection).await?;
    let (version, application, tables): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(decide(version, application, tables))
}

fn decide(version: i64, application: i64, tables: i64) -> Schema {
    match (version, application, tables) {
        (0, _, 0) => Schema::Empty,
        (version, APPLICATION, _) => Schema::Version(version),
        _ => Schema::Version(-1),
    }
}

/// Describes what is wrong with a schema that this program cannot migrate.
pub(super) fn check(schema: Schema) -> Result<(), StoreError> {
    match schema {
        Schema::Version(version) if version > VERSION => Err(StoreError::Schema(format!(
            "the store has schema version {version}, this program knows up to {VERSION}; use a newer tideline"
        ))),
        Schema::Version(version) if version < 1 => Err(StoreError::Config(
            "the store's file is a database of another program; use a separate file for tideline".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Brings the schema up to date.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    const ACT: &str = "migrate";
    let mut tx = begin(connection, ACT).await?;
    // Again, now that no other process can change it.
    let schema = inspect(&mut tx).await.map_err(failed(ACT))?;
    check(schema)?;
    let from = match schema {
        Schema::Empty => 0,
        Schema::Version(version) => version,
    };
    if from == VERSION {
        return tx.rollback().await.map_err(failed(ACT));
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        tx.execute(raw_sql(*migration)).await.map_err(failed(ACT))?;
    }
    let mark = format!("PRAGMA user_version = {VERSION}; PRAGMA application_id = {APPLICATION};");
    tx.execute(raw_sql(AssertSqlSafe(mark))).await.map_err(failed(ACT))?;
    commit(tx, ACT).await
}
