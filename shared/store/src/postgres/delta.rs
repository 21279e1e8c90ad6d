//! Entities written outside a cycle's pages, and what page commits must know about them.
//!
//! Deltas of a source and the page commits that look for them take turns: deltas hold the source's lock alone, page
//! commits share it, and both take it before the statement that looks (a statement sees what was committed before it
//! began). Page commits of a source that never had deltas take no lock and look for nothing; `sources.deltas`, which is
//! set before the first delta's reading begins, tells them so.

use async_trait::async_trait;

use super::PostgresStore;
use super::act::Act;
use super::changes::{self, Changes};
use super::commit::signed;
use super::conflicts::tried;
use super::delta_groups::{Noted, Written};
use super::rows::column;
use super::unseen;
use crate::deltas::{no_such_source, origin_of};
use crate::{DeltaStore, StoreError};
use tideline_core::rules::{DeltaReadings, RemovalGuard};
use tideline_core::words::{
    Delta, DeltaChange, DeltaOutcome, Dropped, KeyHash, Origin, PageBatch, PageWrite, SourceId, Timestamp,
};

/// Names the locks of deltas among all locks of the database: `tdlt` in ASCII, and then the source's number.
const LOCK: i32 = 0x7464_6c74;

/// The statement that takes a source's lock until the end of the transaction.
pub(super) fn lock(source: SourceId, mode: &str) -> String {
    // Sources are few: the numbers of two differ in their low 32 bits. If not, they only wait for one another.
    #[allow(clippy::cast_possible_truncation, reason = "see above")]
    let number = source.0 as i32;
    format!("SELECT pg_advisory_xact_lock{mode}({LOCK}, {number})")
}

#[async_trait]
impl DeltaStore for PostgresStore {
    async fn expect_deltas(&self, source: SourceId) -> Result<(), StoreError> {
        let mut act = self.writing("expect deltas").await?;
        act.run(sqlx::query(include_str!("sql/expect_deltas.sql")).bind(source.0))
            .await
            .map(drop)
    }

    async fn write_reading(
        &self,
        source: SourceId,
        origin: Option<KeyHash>,
        deltas: &[Delta],
        now: Timestamp,
    ) -> Result<Vec<DeltaOutcome>, StoreError> {
        if deltas.is_empty() {
            return Ok(vec![]);
        }
        self.write_grouped(source, origin, deltas, now).await
    }

    async fn drop_unseen(
        &self,
        source: SourceId,
        origin: &Origin,
        since: Timestamp,
        guard: Option<RemovalGuard>,
        now: Timestamp,
    ) -> Result<Dropped, StoreError> {
        tried(|| unseen::drop_once(self, source, origin, since, guard, now)).await
    }
}

/// Writes the deltas of all these callers in one transaction. Returns the outcome of each, caller by caller.
pub(super) async fn write_once(
    store: &PostgresStore,
    source: SourceId,
    written: &[Written],
) -> Result<Vec<DeltaOutcome>, StoreError> {
    let all: Vec<Noted<'_>> = written.iter().flat_map(Written::each).collect();
    let now = written.iter().map(|one| one.now).max().unwrap_or(Timestamp(0));
    let mut act = store.writing("write deltas").await?;
    act.begin_with(&lock(source, "")).await?;
    let Some(weighed) = weigh(&mut act, source, &all).await? else {
        act.rollback().await?;
        return Err(no_such_source(source));
    };
    let timely: Vec<&Noted<'_>> = (all.iter().zip(&weighed.outcomes))
        .filter(|(_, outcome)| !is_late(**outcome))
        .map(|(one, _)| one)
        .collect();
    if let Some(last) = note(&mut act, source, &timely, &weighed.changes).await? {
        changes::write_numbered(&mut act, source, &weighed.changes, last, now).await?;
    }
    if !weighed.doomed.is_empty() {
        act.remove_entities(source.0, &weighed.doomed, now).await?;
    }
    act.commit().await?;
    Ok(weighed.outcomes)
}

/// What is to be done with deltas.
struct Weighed<'w> {
    /// The outcome of each.
    outcomes: Vec<DeltaOutcome>,
    changes: Changes<'w>,
    /// References of entities to remove.
    doomed: Vec<String>,
}

fn is_late(outcome: DeltaOutcome) -> bool {
    matches!(outcome, DeltaOutcome::Outdated | DeltaOutcome::Overtaken)
}

/// Determines which deltas come too late, and what the others change. None: there is no such source.
async fn weigh<'w>(act: &mut Act, source: SourceId, all: &[Noted<'w>]) -> Result<Option<Weighed<'w>>, StoreError> {
    let rows = || all.iter().map(|one| one.row);
    let first = rows().filter_map(|row| row.read_at).min();
    let references = all.iter().map(|one| one.change.reference().as_str());
    let fingerprints = all.iter().map(|one| match one.change {
        DeltaChange::Upsert(entity) => Some(&entity.fingerprint.0[..]),
        DeltaChange::Remove(_) => None,
    });
    let statement = sqlx::query(include_str!("sql/weigh_deltas.sql"))
        .bind(source.0)
        .bind(rows().map(|row| row.key_hash.0).collect::<Vec<i64>>())
        .bind(
            rows()
                .map(|row| row.read_at.map(|at| at.0))
                .collect::<Vec<Option<i64>>>(),
        )
        .bind(rows().map(|row| row.version).collect::<Vec<Option<i64>>>())
        .bind(first.map(|at| at.0))
        .bind(references.collect::<Vec<&str>>())
        .bind(fingerprints.collect::<Vec<Option<&[u8]>>>());
    let found = act.rows(statement).await?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut weighed = Weighed {
        outcomes: vec![DeltaOutcome::Unchanged; all.len()],
        changes: Changes::default(),
        doomed: vec![],
    };
    for row in &found {
        let place = column::<Option<i64>>(row, "place")?.unwrap_or(0) - 1;
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let (Some(one), Some(outcome)) = (all.get(place), weighed.outcomes.get_mut(place)) else {
            continue;
        };
        let live: Option<bool> = column(row, "live")?;
        let equal = column::<Option<bool>>(row, "equal")? == Some(true);
        *outcome = if column(row, "outdated")? {
            DeltaOutcome::Outdated
        } else if column(row, "overtaken")? {
            DeltaOutcome::Overtaken
        } else {
            match (one.change, live) {
                (DeltaChange::Upsert(entity), None) => {
                    weighed.changes.add_new(entity);
                    DeltaOutcome::Added
                }
                (DeltaChange::Upsert(entity), Some(false)) => {
                    weighed.changes.add_changed(entity, true);
                    DeltaOutcome::Added
                }
                (DeltaChange::Upsert(entity), Some(true)) if !equal => {
                    weighed.changes.add_changed(entity, false);
                    DeltaOutcome::Modified
                }
                (DeltaChange::Remove(reference), Some(true)) => {
                    weighed.doomed.push(reference.as_str().to_owned());
                    DeltaOutcome::Removed
                }
                (DeltaChange::Upsert(_) | DeltaChange::Remove(_), _) => DeltaOutcome::Unchanged,
            }
        };
    }
    Ok(Some(weighed))
}

/// Records for later pages and sweeps what is about to be written, and allocates the numbers of the changes; returns
/// the last.
async fn note(
    act: &mut Act,
    source: SourceId,
    timely: &[&Noted<'_>],
    changes: &Changes<'_>,
) -> Result<Option<i64>, StoreError> {
    if timely.is_empty() {
        return Ok(None);
    }
    let kept: Vec<&&Noted<'_>> = timely.iter().filter(|one| one.row.is_kept()).collect();
    let origins = kept
        .iter()
        .map(|one| origin_of(one.change, one.origin).map(|hash| hash.0));
    let (mut seen, mut gone) = (Vec::new(), Vec::new());
    for one in timely {
        let key = one.row.key_hash.0;
        match one.change {
            DeltaChange::Upsert(_) if one.row.read_at.is_some() => seen.push(key),
            DeltaChange::Upsert(_) => {}
            DeltaChange::Remove(_) => gone.push(key),
        }
    }
    let statement = sqlx::query(include_str!("sql/note_deltas.sql"))
        .bind(source.0)
        .bind(kept.iter().map(|one| one.row.key_hash.0).collect::<Vec<i64>>())
        .bind(kept.iter().map(|one| one.row.noted_at.0).collect::<Vec<i64>>())
        .bind(kept.iter().map(|one| one.row.version).collect::<Vec<Option<i64>>>())
        .bind(origins.collect::<Vec<Option<i64>>>())
        .bind(seen)
        .bind(gone)
        .bind(changes.count())
        .bind(changes.live_more());
    act.row(statement).await?.map(|row| column(&row, "value")).transpose()
}

/// When the readings behind the deltas of these pages' entities began; none if a page that claims to be unchanged has
/// an entity of a delta whose reading began before that of the page: it must be compared.
pub(super) async fn readings_of_deltas(act: &mut Act, batch: &PageBatch) -> Result<Option<DeltaReadings>, StoreError> {
    let mut hashes: Vec<i64> = Vec::new();
    let (mut touched, mut read_at) = (Vec::new(), Vec::new());
    for page in &batch.pages {
        match page {
            PageWrite::Touched { memory, .. } => {
                touched.push(signed(memory.page));
                read_at.push(memory.read_at.0);
            }
            PageWrite::Written { entities, .. } => hashes.extend(entities.iter().map(|entity| entity.key_hash.0)),
        }
    }
    let statement = sqlx::query(include_str!("sql/find_deltas.sql"))
        .bind(batch.source.0)
        .bind(hashes)
        .bind(batch.lease.job.0)
        .bind(touched)
        .bind(read_at);
    let mut readings = DeltaReadings::new();
    for row in act.rows(statement).await? {
        if column::<Option<i32>>(&row, "page")?.is_some() {
            return Ok(None);
        }
        readings.insert(KeyHash(column(&row, "key_hash")?), Timestamp(column(&row, "read_at")?));
    }
    Ok(Some(readings))
}
