//! Writing entities and their changes. Statements of many rows, in few sizes, so that each is prepared once.

use std::sync::{Arc, LazyLock};

use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, query, query_scalar, query_with};

use super::rows::{count, to_json};
use super::{sql, versions};
use tideline_core::words::{ChangeKind, Entity, EntityRef, KeyHash, Timestamp};

/// Rows per statement, largest first.
const SIZES: [usize; 4] = [50, 10, 3, 1];
/// Parameters of a row of both statements together.
const PARAMETERS: usize = 11;

static STATEMENTS: LazyLock<[Arc<str>; SIZES.len()]> = LazyLock::new(|| SIZES.map(upsert_statement));

/// Two statements in one hand-over: the catalog's rows and the feed's rows of `rows` entities. The parameters have no
/// numbers, because SQLite finds the number of a numbered one by walking through all of them.
fn upsert_statement(rows: usize) -> Arc<str> {
    let entities = vec!["(?,?,?,?,?,?,?)"; rows].join(",");
    let changes = vec!["(?,?,?,?)"; rows].join(",");
    Arc::from(format!(
        "INSERT INTO entities (source_id, ref, key_hash, fingerprint, sequence, change, changed_at) VALUES {entities} \
         ON CONFLICT (source_id, ref) DO UPDATE SET fingerprint = excluded.fingerprint, sequence = excluded.sequence, \
         change = excluded.change, changed_at = excluded.changed_at; \
         INSERT INTO changes (sequence, source_id, ref, body) VALUES {changes}"
    ))
}

/// An entity to write, and what kind of change that is.
pub(super) struct Written<'a> {
    pub entity: &'a Entity,
    pub change: ChangeKind,
    /// The sequence of the change that this one replaces.
    pub replaces: Option<i64>,
}

/// Writes entities with the next sequence numbers, in order, and returns the first of them, or 0. The caller holds the
/// write lock until it commits, so the order of sequences is the order of commits.
pub(super) async fn write_entities(
    connection: &mut SqliteConnection,
    source: i64,
    entities: &[Written<'_>],
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    if entities.is_empty() {
        return Ok(0);
    }
    let replaced: Vec<i64> = entities.iter().filter_map(|written| written.replaces).collect();
    versions::keep(connection, &replaced, now).await?;
    delete_changes(connection, &replaced).await?;
    let first = take_sequences(connection, entities.len()).await?;
    let mut sequence = first;
    let mut rest = entities;
    while !rest.is_empty() {
        let size = SIZES
            .iter()
            .position(|size| *size <= rest.len())
            .unwrap_or(SIZES.len() - 1);
        let (chunk, after) = rest.split_at(SIZES[size]);
        let arguments = upsert_arguments(source, chunk, sequence, now).map_err(sqlx::Error::Encode)?;
        query_with(AssertSqlSafe(Arc::clone(&STATEMENTS[size])), arguments)
            .execute(&mut *connection)
            .await?;
        sequence += i64::try_from(chunk.len()).unwrap_or(i64::MAX);
        rest = after;
    }
    Ok(first)
}

fn upsert_arguments(
    source: i64,
    chunk: &[Written<'_>],
    first: i64,
    now: Timestamp,
) -> Result<SqliteArguments, BoxDynError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(chunk.len() * PARAMETERS, 0);
    for (Written { entity, change, .. }, sequence) in chunk.iter().zip(first..) {
        arguments.add(source)?;
        arguments.add(entity.reference.as_str())?;
        arguments.add(entity.key_hash.0)?;
        arguments.add(&entity.fingerprint.0[..])?;
        arguments.add(sequence)?;
        arguments.add(change_word(*change))?;
        arguments.add(now.0)?;
    }
    for (Written { entity, .. }, sequence) in chunk.iter().zip(first..) {
        arguments.add(sequence)?;
        arguments.add(source)?;
        arguments.add(entity.reference.as_str())?;
        arguments.add(entity.body.as_str())?;
    }
    Ok(arguments)
}

/// An entity to remove.
pub(super) struct Doomed {
    reference: String,
    key_hash: i64,
    sequence: i64,
}

impl Doomed {
    /// What the catalog has of an entity.
    pub(super) fn new(reference: &EntityRef, key_hash: KeyHash, sequence: i64) -> Self {
        Self {
            reference: reference.as_str().to_owned(),
            key_hash: key_hash.0,
            sequence,
        }
    }

    pub(super) fn key_hash(&self) -> i64 {
        self.key_hash
    }

    /// From the columns ref, key_hash, sequence.
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            reference: row.try_get(0)?,
            key_hash: row.try_get(1)?,
            sequence: row.try_get(2)?,
        })
    }
}

/// Turns entities into tombstones and deletes their misses; returns how many the source owns afterwards.
pub(super) async fn remove_entities(
    connection: &mut SqliteConnection,
    source: i64,
    doomed: &[Doomed],
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    if !doomed.is_empty() {
        let old: Vec<i64> = doomed.iter().map(|entity| entity.sequence).collect();
        let hashes: Vec<i64> = doomed.iter().map(|entity| entity.key_hash).collect();
        let references: Vec<&str> = doomed.iter().map(|entity| entity.reference.as_str()).collect();
        let references = to_json(&references)?;
        delete_changes(connection, &old).await?;
        let first = take_sequences(connection, doomed.len()).await?;
        for statement in [sql!("remove_entities"), sql!("insert_removals")] {
            query(statement)
                .bind(source)
                .bind(&references)
                .bind(first)
                .bind(now.0)
                .execute(&mut *connection)
                .await?;
        }
        query(sql!("delete_marked_misses"))
            .bind(source)
            .bind(to_json(&hashes)?)
            .execute(&mut *connection)
            .await?;
    }
    let left = query(sql!("count_owned"))
        .bind(source)
        .bind(-i64::try_from(doomed.len()).unwrap_or(i64::MAX))
        .fetch_one(connection)
        .await?;
    count(&left, 0)
}

/// The first of `wanted` new sequence numbers.
async fn take_sequences(connection: &mut SqliteConnection, wanted: usize) -> Result<i64, sqlx::Error> {
    query_scalar(sql!("take_sequences"))
        .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
        .fetch_one(connection)
        .await
}

async fn delete_changes(connection: &mut SqliteConnection, sequences: &[i64]) -> Result<(), sqlx::Error> {
    if sequences.is_empty() {
        return Ok(());
    }
    query(sql!("delete_changes"))
        .bind(to_json(&sequences)?)
        .execute(connection)
        .await
        .map(drop)
}

fn change_word(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Added => "added",
        ChangeKind::Modified => "modified",
        ChangeKind::Removed => "removed",
    }
}
