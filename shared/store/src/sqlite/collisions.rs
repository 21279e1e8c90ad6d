//! References that more than one place of a source shows. Pages note suspects when they are committed; they are counted
//! when the cycle ends, so that an unchanged page costs nothing for them.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::manifest::{pack_hashes, unpack_hashes};
use super::rows::{count, to_json};
use super::sql;
use tideline_core::words::KeyHash;

/// Maximum number of suspects counted per plan; the others wait for the next one.
const SUSPECTS: u32 = 100_000;

/// Where a reference occurs: partition and page.
type Place = (i64, i64);

/// A suspected reference.
struct Suspect {
    /// The place that won at the last count.
    before: Place,
    /// The place that has written it since; partition 0: several places.
    gained: Option<Place>,
    places: i64,
    /// The lowest place so far, with the key of its partition.
    lowest: Option<(String, Place)>,
}

/// The entities that a page shows, whether they are written from there or not.
struct Shown {
    place: Place,
    partition: String,
    entities: Vec<i64>,
    lost: Vec<i64>,
}

impl Shown {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let all: Vec<i64> = unpack_hashes(row.try_get(3)?).collect();
        let kept: usize = count(row, 4)?;
        let (entities, marked) = all.split_at(all.len().saturating_sub(kept));
        let lost: Vec<i64> = row
            .try_get::<Option<&[u8]>, _>(5)?
            .map(|bytes| unpack_hashes(bytes).collect())
            .unwrap_or_default();
        let mut shown = entities.to_vec();
        shown.extend(lost.iter().filter(|hash| marked.contains(hash)));
        shown.sort_unstable();
        shown.dedup();
        Ok(Self {
            place: (row.try_get(0)?, row.try_get(1)?),
            partition: row.try_get(2)?,
            entities: shown,
            lost,
        })
    }
}

/// Notes references that another place may show too: hash, and the place that gained it (partition 0: several places).
pub(super) async fn add_suspects(
    connection: &mut SqliteConnection,
    source: i64,
    gained: &[(i64, i64, u32)],
) -> Result<(), sqlx::Error> {
    if gained.is_empty() {
        return Ok(());
    }
    query(sql!("insert_suspects"))
        .bind(source)
        .bind(to_json(&gained)?)
        .execute(connection)
        .await
        .map(drop)
}

/// Counts the places of suspected references and lets the lowest one win (by partition, then page). A place that wins now, loses
/// something else than before, or wins what another place has written since the last count, is compared with the catalog again
/// when it is next read, whatever it says.
pub(super) async fn count_collisions(connection: &mut SqliteConnection, source: i64) -> Result<(), sqlx::Error> {
    let mut suspects = list_suspects(connection, source).await?;
    if suspects.is_empty() {
        return Ok(());
    }
    let mut pages = query(sql!("list_places")).bind(source).fetch(&mut *connection);
    while let Some(row) = pages.try_next().await? {
        count_page(&mut suspects, &Shown::read(&row)?);
    }
    drop(pages);
    let mut changed: BTreeMap<Place, Vec<i64>> = BTreeMap::new();
    let mut winners: Vec<Place> = Vec::new();
    let mut pages = query(sql!("list_places")).bind(source).fetch(&mut *connection);
    while let Some(row) = pages.try_next().await? {
        let shown = Shown::read(&row)?;
        let (lost, wins) = decide_page(&suspects, &shown);
        if lost != shown.lost {
            changed.insert(shown.place, lost);
        } else if wins {
            winners.push(shown.place);
        }
    }
    drop(pages);
    for (place, lost) in &changed {
        let lost = (!lost.is_empty()).then(|| pack_hashes(lost.iter().map(|hash| KeyHash(*hash))));
        query(sql!("set_lost_keys"))
            .bind(place.0)
            .bind(place.1)
            .bind(lost)
            .execute(&mut *connection)
            .await?;
    }
    for place in changed.keys().chain(&winners) {
        query(sql!("forget_page_content"))
            .bind(place.0)
            .bind(place.1)
            .execute(&mut *connection)
            .await?;
    }
    write_collisions(connection, source, suspects).await
}

async fn list_suspects(connection: &mut SqliteConnection, source: i64) -> Result<HashMap<i64, Suspect>, sqlx::Error> {
    let rows = query(sql!("list_suspects"))
        .bind(source)
        .bind(SUSPECTS)
        .fetch_all(connection)
        .await?;
    let suspect = |row: &SqliteRow| -> Result<(i64, Suspect), sqlx::Error> {
        let suspect = Suspect {
            before: (row.try_get(1)?, row.try_get(2)?),
            gained: row.try_get::<Option<i64>, _>(3)?.zip(row.try_get(4)?),
            places: 0,
            lowest: None,
        };
        Ok((row.try_get(0)?, suspect))
    };
    rows.iter().map(suspect).collect()
}

fn count_page(suspects: &mut HashMap<i64, Suspect>, shown: &Shown) {
    for hash in &shown.entities {
        let Some(suspect) = suspects.get_mut(hash) else {
            continue;
        };
        suspect.places += 1;
        let here = (shown.partition.as_str(), shown.place.1);
        let lower = (suspect.lowest.as_ref()).is_none_or(|(partition, place)| here < (partition.as_str(), place.1));
        if lower {
            suspect.lowest = Some((shown.partition.clone(), shown.place));
        }
    }
}

/// What the page loses, and whether it wins something that it did not win before, or that the catalog may have from elsewhere.
fn decide_page(suspects: &HashMap<i64, Suspect>, shown: &Shown) -> (Vec<i64>, bool) {
    let (mut lost, mut wins) = (Vec::new(), false);
    for hash in &shown.entities {
        let Some(suspect) = suspects.get(hash) else {
            continue;
        };
        let is_shared = suspect.places > 1;
        match &suspect.lowest {
            Some((_, place)) if *place == shown.place => {
                let was_written_elsewhere = suspect.gained.is_some_and(|gained| is_shared || gained != shown.place);
                wins |= is_shared && suspect.before != shown.place || was_written_elsewhere;
            }
            _ => lost.push(*hash),
        }
    }
    (lost, wins)
}

async fn write_collisions(
    connection: &mut SqliteConnection,
    source: i64,
    suspects: HashMap<i64, Suspect>,
) -> Result<(), sqlx::Error> {
    let mut ended = Vec::new();
    for (hash, suspect) in suspects {
        match suspect.lowest {
            Some((_, (partition, page))) if suspect.places > 1 => {
                query(sql!("update_collision"))
                    .bind(source)
                    .bind(hash)
                    .bind(suspect.places)
                    .bind(partition)
                    .bind(page)
                    .execute(&mut *connection)
                    .await?;
            }
            _ => ended.push(hash),
        }
    }
    query(sql!("delete_collisions"))
        .bind(source)
        .bind(to_json(&ended)?)
        .execute(&mut *connection)
        .await?;
    query(sql!("resolve_collisions"))
        .bind(source)
        .execute(connection)
        .await
        .map(drop)
}
