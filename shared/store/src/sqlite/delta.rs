//! Entities written outside a cycle's pages, and what page commits must know about them. There is one writer, so a
//! delta and a page commit never overlap.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::TryStreamExt;
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Row, query, query_scalar};

use super::entities::{Doomed, remove_entities, write_entities};
use super::failure::failed;
use super::ingest::{compare, look_up};
use super::manifest::unpack_hashes;
use super::rows::{moment, to_json};
use super::unseen::drop_unseen;
use super::{SqliteStore, begin, commit, sql};
use crate::deltas::{DeltaRow, delta_rows, no_such_source, origin_of};
use crate::{DeltaStore, StoreError};
use tideline_core::rules::{DeltaReadings, RemovalGuard};
use tideline_core::words::{
    ChangeKind, Delta, DeltaChange, DeltaOutcome, Dropped, Entity, KeyHash, Origin, PageBatch, PageWrite, SourceId,
    Timestamp,
};

#[async_trait]
impl DeltaStore for SqliteStore {
    async fn expect_deltas(&self, _: SourceId) -> Result<(), StoreError> {
        // Page commits always look.
        Ok(())
    }

    async fn write_reading(
        &self,
        source: SourceId,
        origin: Option<KeyHash>,
        deltas: &[Delta],
        now: Timestamp,
    ) -> Result<Vec<DeltaOutcome>, StoreError> {
        const ACT: &str = "write deltas";
        if deltas.is_empty() {
            return Ok(vec![]);
        }
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let standing = query(sql!("find_delta_standing"))
            .bind(source.0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        let Some(standing) = standing else {
            return Err(no_such_source(source));
        };
        let writing = async {
            let (from, cycle): (i64, i64) = (standing.try_get(0)?, standing.try_get(1)?);
            let rows = delta_rows(deltas, now);
            let mut outcomes = judge(&mut tx, source.0, from, &rows).await?;
            let timely: Vec<usize> = (0..deltas.len()).filter(|place| outcomes[*place].is_none()).collect();
            note(&mut tx, (source.0, cycle), origin, deltas, &rows, &timely).await?;
            write(&mut tx, source.0, deltas, &mut outcomes, now).await?;
            Ok(outcomes)
        };
        let outcomes = writing.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        let unchanged = |outcome: Option<DeltaOutcome>| outcome.unwrap_or(DeltaOutcome::Unchanged);
        Ok(outcomes.into_iter().map(unchanged).collect())
    }

    async fn drop_unseen(
        &self,
        source: SourceId,
        origin: &Origin,
        since: Timestamp,
        guard: Option<RemovalGuard>,
        now: Timestamp,
    ) -> Result<Dropped, StoreError> {
        drop_unseen(self, source, origin, since, guard, now).await
    }
}

/// Which deltas come too late.
async fn judge(
    connection: &mut SqliteConnection,
    source: i64,
    from: i64,
    rows: &[DeltaRow],
) -> Result<Vec<Option<DeltaOutcome>>, sqlx::Error> {
    let hashes: Vec<i64> = rows.iter().map(|row| row.key_hash.0).collect();
    let mut places: HashMap<i64, Vec<usize>> = HashMap::with_capacity(rows.len());
    for (place, hash) in hashes.iter().enumerate() {
        places.entry(*hash).or_default().push(place);
    }
    let mut late: Vec<_> = rows
        .iter()
        .map(|row| row.read_at.is_some_and(|began| began.0 < from))
        .map(|late| late.then_some(DeltaOutcome::Overtaken))
        .collect();
    let known = query(sql!("find_deltas"))
        .bind(source)
        .bind(to_json(&hashes)?)
        .fetch_all(&mut *connection)
        .await?;
    for found in &known {
        let (began, version): (i64, Option<i64>) = (found.try_get(1)?, found.try_get(2)?);
        for place in places.get(&found.try_get(0)?).into_iter().flatten() {
            let row = &rows[*place];
            if row.version.zip(version).is_some_and(|(new, old)| new < old) {
                late[*place] = Some(DeltaOutcome::Outdated);
            } else if row.read_at.is_some_and(|at| at.0 < began) {
                late[*place] = Some(DeltaOutcome::Overtaken);
            }
        }
    }
    let Some(first) = rows.iter().filter_map(|row| row.read_at).min() else {
        return Ok(late);
    };
    let mut marks = query(sql!("list_marks_since"))
        .bind(source)
        .bind(first.0)
        .fetch(&mut *connection);
    while let Some(page) = marks.try_next().await? {
        let began = moment(&page, 0)?;
        for place in unpack_hashes(page.try_get(1)?)
            .filter_map(|hash| places.get(&hash))
            .flatten()
        {
            if rows[*place].read_at.is_some_and(|at| at < began) {
                late[*place] = Some(DeltaOutcome::Overtaken);
            }
        }
    }
    Ok(late)
}

/// Records for later pages and sweeps what is about to be written.
async fn note(
    connection: &mut SqliteConnection,
    (source, cycle): (i64, i64),
    origin: Option<KeyHash>,
    deltas: &[Delta],
    rows: &[DeltaRow],
    timely: &[usize],
) -> Result<(), sqlx::Error> {
    let noted: Vec<_> = (timely.iter().map(|place| (&deltas[*place].change, &rows[*place])))
        .filter(|(_, row)| row.is_kept())
        .map(|(change, row)| json!([row.key_hash, row.noted_at, row.version, origin_of(change, origin)]))
        .collect();
    if !noted.is_empty() {
        query(sql!("note_deltas"))
            .bind(source)
            .bind(to_json(&noted)?)
            .execute(&mut *connection)
            .await?;
    }
    let suspects: Vec<i64> = (timely.iter())
        .filter(|place| rows[**place].read_at.is_some() && matches!(deltas[**place].change, DeltaChange::Upsert(_)))
        .map(|place| rows[*place].key_hash.0)
        .collect();
    if !suspects.is_empty() {
        query(sql!("suspect_deltas"))
            .bind(source)
            .bind(to_json(&suspects)?)
            .bind(cycle)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Writes the deltas that are in time and differ, and sets their outcomes; deltas without a difference keep none.
async fn write(
    connection: &mut SqliteConnection,
    source: i64,
    deltas: &[Delta],
    outcomes: &mut [Option<DeltaOutcome>],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let timely: Vec<usize> = (0..deltas.len()).filter(|place| outcomes[*place].is_none()).collect();
    let references: Vec<&str> = (timely.iter())
        .map(|place| deltas[*place].change.reference().as_str())
        .collect();
    let known = look_up(connection, source, &references).await?;
    let mut upserts: Vec<&Entity> = Vec::new();
    let mut doomed = Vec::new();
    for place in &timely {
        match &deltas[*place].change {
            DeltaChange::Upsert(entity) => upserts.push(entity),
            DeltaChange::Remove(reference) => {
                if let Some(found) = known.get(reference.as_str()).filter(|found| found.live) {
                    let key_hash = tideline_core::rules::key_hash(reference);
                    doomed.push(Doomed::new(reference, key_hash, found.sequence));
                    outcomes[*place] = Some(DeltaOutcome::Removed);
                }
            }
        }
    }
    let written = compare(&upserts, &known);
    write_entities(connection, source, &written, now).await?;
    let mut changes: HashMap<&str, ChangeKind> = HashMap::with_capacity(written.len());
    changes.extend(written.iter().map(|one| (one.entity.reference.as_str(), one.change)));
    let added = written.iter().filter(|one| one.change == ChangeKind::Added).count();
    if added > 0 {
        query(sql!("count_owned"))
            .bind(source)
            .bind(i64::try_from(added).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
    }
    for place in timely {
        if let DeltaChange::Upsert(entity) = &deltas[place].change {
            outcomes[place] = match changes.get(entity.reference.as_str()) {
                Some(ChangeKind::Added) => Some(DeltaOutcome::Added),
                Some(_) => Some(DeltaOutcome::Modified),
                None => None,
            };
        }
    }
    if doomed.is_empty() {
        return Ok(());
    }
    remove_entities(connection, source, &doomed, now).await.map(drop)
}

/// When the readings behind the deltas of these pages' entities began; none if a page that claims to be unchanged has
/// an entity of a delta whose reading began before that of the page: it must be compared.
pub(super) async fn readings_of_deltas(
    connection: &mut SqliteConnection,
    batch: &PageBatch,
) -> Result<Option<DeltaReadings>, sqlx::Error> {
    let source = batch.source.0;
    let any: bool = query_scalar(sql!("has_deltas"))
        .bind(source)
        .fetch_one(&mut *connection)
        .await?;
    let mut readings = DeltaReadings::new();
    if !any {
        return Ok(Some(readings));
    }
    let mut touched = HashMap::new();
    for page in &batch.pages {
        match page {
            PageWrite::Touched { memory, .. } => {
                touched.insert(memory.page, memory.read_at);
            }
            PageWrite::Written { entities, .. } => {
                let hashes: Vec<i64> = entities.iter().map(|entity| entity.key_hash.0).collect();
                readings.extend(find(connection, source, &hashes).await?);
            }
        }
    }
    let numbers: Vec<u32> = touched.keys().copied().collect();
    let manifests = query(sql!("list_page_keys"))
        .bind(batch.lease.job.0)
        .bind(to_json(&numbers)?)
        .fetch_all(&mut *connection)
        .await?;
    for row in &manifests {
        let hashes: Vec<i64> = unpack_hashes(row.try_get(1)?).collect();
        let read_at = touched.get(&super::rows::count(row, 0)?).copied().unwrap_or_default();
        let found = find(connection, source, &hashes).await?;
        if found.iter().any(|(_, began)| *began < read_at) {
            return Ok(None);
        }
    }
    Ok(Some(readings))
}

async fn find(
    connection: &mut SqliteConnection,
    source: i64,
    hashes: &[i64],
) -> Result<Vec<(KeyHash, Timestamp)>, sqlx::Error> {
    let found = query(sql!("find_deltas"))
        .bind(source)
        .bind(to_json(&hashes)?)
        .fetch_all(connection)
        .await?;
    found
        .iter()
        .map(|row| Ok((KeyHash(row.try_get(0)?), moment(row, 1)?)))
        .collect()
}
