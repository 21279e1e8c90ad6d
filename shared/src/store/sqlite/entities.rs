//! Writing entities and their changes. Statements of many rows, in few sizes, so that each is prepared once; rows share what
//! they have in common through numbered parameters.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, query, query_scalar, query_with};

use super::rows::{count, to_json};
use super::sql;
use crate::words::{ChangeKind, Entity, Timestamp};

/// Rows per statement, largest first.
const SIZES: [usize; 4] = [100, 25, 5, 1];
/// Parameters that all rows share: source, moment, first sequence.
const SHARED: usize = 3;
/// Parameters of each row: ref, key_hash, fingerprint, change, body.
const OWN: usize = 5;

static STATEMENTS: LazyLock<[Arc<str>; SIZES.len()]> = LazyLock::new(|| SIZES.map(upsert_statement));

/// Two statements in one hand-over: the catalog's rows and the feed's rows of `rows` entities.
fn upsert_statement(rows: usize) -> Arc<str> {
    let mut entities = String::from(
        "INSERT INTO entities (source_id, ref, key_hash, fingerprint, sequence, change, changed_at) VALUES ",
    );
    let mut changes = String::from("INSERT INTO changes (sequence, source_id, ref, body) VALUES ");
    for row in 0..rows {
        let first = SHARED + row * OWN + 1;
        let comma = if row == 0 { "" } else { "," };
        let _ = write!(
            entities,
            "{comma}(?1,?{first},?{},?{},?3+{row},?{},?2)",
            first + 1,
            first + 2,
            first + 3
        );
        let _ = write!(changes, "{comma}(?3+{row},?1,?{first},?{})", first + 4);
    }
    entities.push_str(
        " ON CONFLICT (source_id, ref) DO UPDATE SET fingerprint = excluded.fingerprint, sequence = excluded.sequence, \
         change = excluded.change, changed_at = excluded.changed_at; ",
    );
    Arc::from(entities + &changes)
}

/// An entity to write, and what that does to it.
pub(super) struct Written<'a> {
    pub entity: &'a Entity,
    pub change: ChangeKind,
    /// The sequence of the change that this one replaces.
    pub replaces: Option<i64>,
}

/// Writes entities with the next sequence numbers, in order. The caller holds the write lock until it commits, so the order
/// of sequences is the order of commits.
pub(super) async fn write_entities(
    connection: &mut SqliteConnection,
    source: i64,
    entities: &[Written<'_>],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if entities.is_empty() {
        return Ok(());
    }
    let replaced: Vec<i64> = entities.iter().filter_map(|written| written.replaces).collect();
    delete_changes(connection, &replaced).await?;
    let mut sequence = take_sequences(connection, entities.len()).await?;
    let mut rest = entities;
    while !rest.is_empty() {
        let size = SIZES
            .iter()
            .position(|size| *size <= rest.len())
            .unwrap_or(SIZES.len() - 1);
        let (chunk, after) = rest.split_at(SIZES[size]);
        let mut arguments = SqliteArguments::default();
        let mut add = || -> Result<(), sqlx::error::BoxDynError> {
            arguments.reserve(SHARED + chunk.len() * OWN, 0);
            arguments.add(source)?;
            arguments.add(now.0)?;
            arguments.add(sequence)?;
            for Written { entity, change, .. } in chunk {
                arguments.add(entity.reference.as_str())?;
                arguments.add(entity.key_hash.0)?;
                arguments.add(&entity.fingerprint.0[..])?;
                arguments.add(change_word(*change))?;
                arguments.add(entity.body.as_str())?;
            }
            Ok(())
        };
        add().map_err(sqlx::Error::Encode)?;
        query_with(AssertSqlSafe(Arc::clone(&STATEMENTS[size])), arguments)
            .execute(&mut *connection)
            .await?;
        sequence += i64::try_from(chunk.len()).unwrap_or(i64::MAX);
        rest = after;
    }
    Ok(())
}

/// An entity to remove.
pub(super) struct Doomed {
    reference: String,
    key_hash: i64,
    sequence: i64,
}

impl Doomed {
    /// From the columns ref, key_hash, sequence.
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            reference: row.try_get(0)?,
            key_hash: row.try_get(1)?,
            sequence: row.try_get(2)?,
        })
    }
}

/// Makes tombstones of entities and forgets their misses; says how many the source owns then.
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
