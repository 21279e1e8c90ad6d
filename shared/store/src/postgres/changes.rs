//! What a batch of pages changes in the catalog.

use super::act::{Act, COPY_BYTES, Statement};
use super::error::{broken, conflict};
use super::rows::column;
use crate::{StoreError, Version};
use tideline_core::words::{DeltaOutcome, Entity, SourceId, Timestamp};

/// The entities to write.
#[derive(Default)]
pub(super) struct Changes<'b> {
    new: Vec<&'b Entity>,
    /// With whether it is currently a tombstone.
    changed: Vec<(&'b Entity, bool)>,
    /// Keys of the entities that the catalog already had, equal or not.
    pub(super) live: Vec<i64>,
}

impl<'b> Changes<'b> {
    /// An entity that the catalog never had.
    pub(super) fn add_new(&mut self, entity: &'b Entity) {
        self.new.push(entity);
    }

    /// An entity that the catalog has in another state, or (`gone`) as a tombstone.
    pub(super) fn add_changed(&mut self, entity: &'b Entity, gone: bool) {
        self.changed.push((entity, gone));
    }

    /// How many sequence numbers they take.
    pub(super) fn count(&self) -> i64 {
        i64::try_from(self.new.len() + self.changed.len()).unwrap_or(i64::MAX)
    }

    /// The increase in the number of live entities.
    pub(super) fn live_more(&self) -> i64 {
        i64::try_from(self.added()).unwrap_or(i64::MAX)
    }

    fn revived(&self) -> usize {
        self.changed.iter().filter(|(_, gone)| *gone).count()
    }

    pub(super) fn added(&self) -> u64 {
        (self.new.len() + self.revived()) as u64
    }

    /// What is done to each entity that is written.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&str, DeltaOutcome)> {
        let new = self
            .new
            .iter()
            .map(|entity| (entity.reference.as_str(), DeltaOutcome::Added));
        new.chain(self.changed.iter().map(|(entity, gone)| {
            let outcome = if *gone {
                DeltaOutcome::Added
            } else {
                DeltaOutcome::Modified
            };
            (entity.reference.as_str(), outcome)
        }))
    }

    pub(super) fn modified(&self) -> u64 {
        (self.changed.len() - self.revived()) as u64
    }
}

/// Compares entities with the catalog.
pub(super) async fn compare<'b>(
    act: &mut Act,
    source: SourceId,
    entities: &[&'b Entity],
) -> Result<Changes<'b>, StoreError> {
    let mut changes = Changes::default();
    if entities.is_empty() {
        return Ok(changes);
    }
    let statement = sqlx::query(include_str!("sql/compare_entities.sql"))
        .bind(source.0)
        .bind(
            entities
                .iter()
                .map(|entity| entity.reference.as_str())
                .collect::<Vec<&str>>(),
        )
        .bind(
            entities
                .iter()
                .map(|entity| &entity.fingerprint.0[..])
                .collect::<Vec<&[u8]>>(),
        );
    let row = act
        .row(statement)
        .await?
        .ok_or_else(|| broken("compare entities", "no answer"))?;
    let mut known = vec![false; entities.len()];
    let mut mark = |name| -> Result<Vec<&'b Entity>, StoreError> {
        let places = column::<Option<Vec<i64>>>(&row, name)?.unwrap_or_default();
        let mut found = Vec::with_capacity(places.len());
        for place in places {
            let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
            if let (Some(entity), Some(known)) = (entities.get(place), known.get_mut(place)) {
                *known = true;
                found.push(*entity);
            }
        }
        Ok(found)
    };
    let equal = mark("equal")?;
    let (different, gone) = (mark("different")?, mark("gone")?);
    changes.live = (equal.iter().chain(&different))
        .map(|entity| entity.key_hash.0)
        .collect();
    changes.new = entities
        .iter()
        .zip(&known)
        .filter(|(_, known)| !**known)
        .map(|(e, _)| *e)
        .collect();
    changes.changed = different.into_iter().map(|entity| (entity, false)).collect();
    changes.changed.extend(gone.into_iter().map(|entity| (entity, true)));
    Ok(changes)
}

/// Writes the changes, numbered in the order of the feed.
pub(super) async fn write(
    act: &mut Act,
    source: SourceId,
    changes: &Changes<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if changes.count() == 0 {
        return Ok(());
    }
    let last = take_sequences(act, source.0, changes.count(), changes.live_more()).await?;
    write_numbered(act, source, changes, last, now).await
}

/// Takes numbers for changes and returns the last; the feed waits for this transaction from here on.
pub(super) async fn take_sequences(act: &mut Act, source: i64, count: i64, live: i64) -> Result<i64, StoreError> {
    let statement = sqlx::query(include_str!("sql/take_sequences.sql"));
    let row = act.row(statement.bind(count).bind(source).bind(live)).await?;
    row.map(|row| column(&row, "value"))
        .transpose()?
        .ok_or_else(|| broken("take sequence numbers", "the counter is gone"))
}

/// Writes the changes, whose numbers end with `last`. This transaction holds the row `sequence`.
pub(super) async fn write_numbered(
    act: &mut Act,
    source: SourceId,
    changes: &Changes<'_>,
    last: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let first = last - changes.count() + 1;
    let from = first + i64::try_from(changes.new.len()).unwrap_or(0);
    let mut new = &changes.new[..];
    if new.iter().map(|entity| entity.body.len()).sum::<usize>() >= COPY_BYTES {
        let rows = new.iter().zip(first..);
        let copied = act.copy(
            include_str!("sql/copy_entities.sql"),
            rows,
            |data, (entity, sequence)| {
                put_entity(data, source, entity, sequence, now);
            },
        );
        copied.await?;
        new = &[];
    }
    if new.is_empty() && changes.changed.is_empty() {
        return Ok(());
    }
    // This many changes at once are not an edit that a person would review.
    let keeps = changes.changed.len() <= Version::MAX_TOGETHER;
    let changed: Vec<&Entity> = changes.changed.iter().map(|(entity, _)| *entity).collect();
    let statement = bind_entities(sqlx::query(include_str!("sql/write_changes.sql")).bind(source.0), new)
        .bind(new.iter().map(|entity| entity.key_hash.0).collect::<Vec<i64>>());
    let statement = bind_entities(statement, &changed)
        .bind(changes.changed.iter().map(|(_, gone)| *gone).collect::<Vec<bool>>())
        .bind(from)
        .bind(first)
        .bind(now.0)
        .bind(if keeps { i64::from(Version::MAX_BYTES) } else { -1 });
    let row = act.row(statement).await?;
    let updated: i64 = row.map_or(Ok(0), |row| column(&row, "updated"))?;
    if usize::try_from(updated) != Ok(changed.len()) {
        return Err(conflict("commit pages", "an entity was written by another partition"));
    }
    Ok(())
}

/// Binds references, fingerprints and bodies.
fn bind_entities<'q>(statement: Statement<'q>, entities: &[&'q Entity]) -> Statement<'q> {
    let references = entities.iter().map(|entity| entity.reference.as_str());
    let fingerprints = entities.iter().map(|entity| &entity.fingerprint.0[..]);
    let bodies = entities.iter().map(|entity| entity.body.as_str());
    statement
        .bind(references.collect::<Vec<&str>>())
        .bind(fingerprints.collect::<Vec<&[u8]>>())
        .bind(bodies.collect::<Vec<&str>>())
}

/// Appends a row in COPY's binary form: the number of columns, per column its length and its bytes; numbers big-endian.
fn put_entity(row: &mut Vec<u8>, source: SourceId, entity: &Entity, sequence: i64, now: Timestamp) {
    row.extend_from_slice(&8_i16.to_be_bytes());
    for number in [source.0, entity.key_hash.0, sequence, now.0] {
        put(row, &number.to_be_bytes());
    }
    put(row, entity.reference.as_str().as_bytes());
    put(row, &entity.fingerprint.0);
    put(row, b"added");
    put(row, entity.body.as_bytes());
}

fn put(row: &mut Vec<u8>, value: &[u8]) {
    let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
    row.extend_from_slice(&length.to_be_bytes());
    row.extend_from_slice(value);
}
