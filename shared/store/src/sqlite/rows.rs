//! From columns to words.

use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use tideline_core::words::{Fingerprint, Timestamp};

type Column<T> = Result<T, sqlx::Error>;

/// A column with an unsigned number.
pub(super) fn count<N: TryFrom<i64>>(row: &SqliteRow, index: usize) -> Column<N> {
    let number: i64 = row.try_get(index)?;
    N::try_from(number).map_err(|_| undecodable(format!("{number} is out of range")))
}

/// An unsigned number, or null.
pub(super) fn optional_count<N: TryFrom<i64>>(row: &SqliteRow, index: usize) -> Column<Option<N>> {
    let number: Option<i64> = row.try_get(index)?;
    number
        .map(|number| N::try_from(number).map_err(|_| undecodable(format!("{number} is out of range"))))
        .transpose()
}

pub(super) fn moment(row: &SqliteRow, index: usize) -> Column<Timestamp> {
    Ok(Timestamp(row.try_get(index)?))
}

pub(super) fn optional_moment(row: &SqliteRow, index: usize) -> Column<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(index)?.map(Timestamp))
}

pub(super) fn fingerprint(row: &SqliteRow, index: usize) -> Column<Fingerprint> {
    bytes_to_fingerprint(row.try_get(index)?)
}

pub(super) fn optional_fingerprint(row: &SqliteRow, index: usize) -> Column<Option<Fingerprint>> {
    row.try_get::<Option<&[u8]>, _>(index)?
        .map(bytes_to_fingerprint)
        .transpose()
}

fn bytes_to_fingerprint(bytes: &[u8]) -> Column<Fingerprint> {
    bytes
        .try_into()
        .map(Fingerprint)
        .map_err(|_| undecodable(format!("a fingerprint has 32 bytes, not {}", bytes.len())))
}

/// A column that holds one of the words of an enum.
pub(super) fn word<T: DeserializeOwned>(row: &SqliteRow, index: usize) -> Column<T> {
    parse_word(row.try_get(index)?)
}

pub(super) fn optional_word<T: DeserializeOwned>(row: &SqliteRow, index: usize) -> Column<Option<T>> {
    row.try_get::<Option<&str>, _>(index)?.map(parse_word).transpose()
}

fn parse_word<T: DeserializeOwned>(text: &str) -> Column<T> {
    let deserializer: StrDeserializer<'_, serde_json::Error> = text.into_deserializer();
    T::deserialize(deserializer).map_err(undecodable)
}

/// The word of an enum's value.
pub(super) fn word_of<T: Serialize>(value: T) -> Column<String> {
    match serde_json::to_value(value).map_err(undecodable)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(undecodable(format!("{other} is not a word"))),
    }
}

/// A column that holds a JSON text; null is the default.
pub(super) fn json<T: DeserializeOwned + Default>(row: &SqliteRow, index: usize) -> Column<T> {
    row.try_get::<Option<&str>, _>(index)?.map_or_else(
        || Ok(T::default()),
        |text| serde_json::from_str(text).map_err(undecodable),
    )
}

/// JSON text for a statement.
pub(super) fn to_json<T: Serialize>(value: &T) -> Column<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// An entity reference, as it was written.
pub(super) fn reference(row: &SqliteRow, index: usize) -> Column<tideline_core::words::EntityRef> {
    row.try_get::<&str, _>(index)?.parse().map_err(undecodable)
}

pub(super) fn undecodable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
