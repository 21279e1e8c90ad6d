//! Entities that an item or a partition made and that a reading outside of cycles no longer shows. There is one writer,
//! so nothing else is written meanwhile.

use std::collections::HashSet;

use futures::TryStreamExt;
use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query, query_scalar};

use super::entities::{Doomed, remove_entities};
use super::failure::failed;
use super::manifest::unpack_hashes;
use super::rows::{count, moment, to_json};
use super::{SqliteStore, begin, commit, sql};
use crate::StoreError;
use tideline_core::rules::{RemovalGuard, refuse_drop};
use tideline_core::words::{Dropped, Origin, SourceId, Timestamp};

pub(super) async fn drop_unseen(
    store: &SqliteStore,
    source: SourceId,
    origin: &Origin,
    since: Timestamp,
    guard: Option<RemovalGuard>,
    now: Timestamp,
) -> Result<Dropped, StoreError> {
    const ACT: &str = "drop what a reading did not show";
    let mut writer = store.writer().await;
    let mut tx = begin(&mut writer, ACT).await?;
    let standing = query(sql!("find_drop_standing"))
        .bind(source.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    let Some(standing) = standing else {
        return Ok(Dropped::default());
    };
    let dropping = async {
        // A complete cycle that began later has compared all there is.
        if moment(&standing, 0)? > since {
            return Ok(Dropped::default());
        }
        let unseen = unseen(&mut tx, source.0, origin, since).await?;
        if unseen.is_empty() {
            return Ok(Dropped::default());
        }
        let owned = count(&standing, 1)?;
        if let Some(why) = guard.and_then(|guard| refuse_drop(guard, owned, unseen.len() as u64)) {
            return Ok(Dropped {
                removed: 0,
                held: Some(why),
            });
        }
        let notes: Vec<_> = (unseen.iter())
            .map(|entity| json!([entity.key_hash(), since, null, null]))
            .collect();
        query(sql!("note_deltas"))
            .bind(source.0)
            .bind(to_json(&notes)?)
            .execute(&mut *tx)
            .await?;
        remove_entities(&mut tx, source.0, &unseen, now).await?;
        Ok(Dropped {
            removed: unseen.len() as u64,
            held: None,
        })
    };
    let dropped = dropping.await.map_err(failed(ACT))?;
    commit(tx, ACT).await?;
    Ok(dropped)
}

/// The live entities that the origin made, and that nothing has seen since or elsewhere.
async fn unseen(
    connection: &mut SqliteConnection,
    source: i64,
    origin: &Origin,
    since: Timestamp,
) -> Result<Vec<Doomed>, sqlx::Error> {
    let mut suspects = made_by(connection, source, origin).await?;
    suspects.extend(origin.entity.map(|entity| entity.0));
    if suspects.is_empty() {
        return Ok(vec![]);
    }
    let claimed: Vec<i64> = query_scalar(sql!("list_delta_claims"))
        .bind(source)
        .bind(to_json(&suspects)?)
        .bind(origin.hash().0)
        .bind(since.0)
        .bind(origin.entity.map(|entity| entity.0))
        .bind(origin.partition_hash().map(|hash| hash.0))
        .fetch_all(&mut *connection)
        .await?;
    for hash in claimed {
        suspects.remove(&hash);
    }
    if suspects.is_empty() {
        return Ok(vec![]);
    }
    let mut pages = query(sql!("list_page_claims")).bind(source).fetch(&mut *connection);
    while let Some(page) = pages.try_next().await? {
        for hash in claims(&page, origin, since)? {
            suspects.remove(&hash);
        }
    }
    drop(pages);
    let found = query(sql!("find_unseen"))
        .bind(source)
        .bind(to_json(&suspects)?)
        .fetch_all(connection)
        .await?;
    found.iter().map(Doomed::read).collect()
}

/// Hashes of what the origin made, as its partition's pages and the deltas say.
async fn made_by(connection: &mut SqliteConnection, source: i64, origin: &Origin) -> Result<HashSet<i64>, sqlx::Error> {
    let rows = query(sql!("list_origin_keys"))
        .bind(source)
        .bind(origin.partition.as_deref())
        .bind(origin.hash().0)
        .fetch_all(connection)
        .await?;
    let mut made = HashSet::new();
    for row in &rows {
        if let Some(hash) = row.try_get::<Option<i64>, _>(2)? {
            made.insert(hash);
            continue;
        }
        let hashes = unpack_hashes(row.try_get(0)?);
        match origin.item {
            None => made.extend(hashes),
            Some(item) => {
                let makers: Option<&[u8]> = row.try_get(1)?;
                let made_by = hashes.zip(unpack_hashes(makers.unwrap_or_default()));
                made.extend(made_by.filter(|(_, maker)| *maker == item.0).map(|(hash, _)| hash));
            }
        }
    }
    Ok(made)
}

/// What a page shows that is not the origin's alone, or that was read later. Of the entity that an item names, a page
/// of another partition is the item's own if it tells so, and one of its partition if it tells nothing.
fn claims(page: &SqliteRow, origin: &Origin, since: Timestamp) -> Result<Vec<i64>, sqlx::Error> {
    let (key, hashes): (&str, &[u8]) = (page.try_get(0)?, page.try_get(2)?);
    let hashes = unpack_hashes(hashes);
    if moment(page, 1)? > since {
        return Ok(hashes.collect());
    }
    let own = origin.partition.as_deref() == Some(key);
    if own && origin.item.is_none() {
        return Ok(vec![]);
    }
    let makers: Option<&[u8]> = page.try_get(3)?;
    let makers = unpack_hashes(makers.unwrap_or_default())
        .map(Some)
        .chain(std::iter::repeat(None));
    let is_own = |hash: i64, maker: Option<i64>| {
        let made = origin.item.is_some_and(|item| maker == Some(item.0));
        if origin.entity.is_none_or(|entity| entity.0 != hash) {
            return own && made;
        }
        made || (own && maker.is_none_or(|maker| maker == 0))
    };
    let others = hashes.zip(makers).filter(|(hash, maker)| !is_own(*hash, *maker));
    Ok(others.map(|(hash, _)| hash).collect())
}
