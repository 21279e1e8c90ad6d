//! Entities that an item or a partition made and that a reading outside of cycles no longer shows. Holds the source's
//! lock like deltas do: no page commit and no other delta of the source runs at the same time.

use super::PostgresStore;
use super::delta::lock;
use super::rows::{column, count};
use crate::StoreError;
use tideline_core::rules::{RemovalGuard, refuse_drop};
use tideline_core::words::{Dropped, Origin, SourceId, Timestamp};

pub(super) async fn drop_once(
    store: &PostgresStore,
    source: SourceId,
    origin: &Origin,
    since: Timestamp,
    guard: Option<RemovalGuard>,
    now: Timestamp,
) -> Result<Dropped, StoreError> {
    let mut act = store.writing("drop what a reading did not show").await?;
    act.begin_with(&lock(source, "")).await?;
    let item = origin.item.map(|item| item.0);
    let entity = origin.entity.map(|entity| entity.0);
    let statement = sqlx::query(include_str!("sql/find_suspects.sql"))
        .bind(source.0)
        .bind(origin.partition.as_deref())
        .bind(item)
        .bind(origin.hash().0)
        .bind(since.0)
        .bind(entity)
        .bind(origin.partition_hash().map(|hash| hash.0));
    let suspects = act.rows(statement).await?;
    let suspects: Vec<i64> = (suspects.iter())
        .map(|row| column(row, "key_hash"))
        .collect::<Result<_, _>>()?;
    if suspects.is_empty() {
        act.rollback().await?;
        return Ok(Dropped::default());
    }
    let statement = sqlx::query(include_str!("sql/find_unseen.sql"))
        .bind(source.0)
        .bind(origin.partition.as_deref())
        .bind(item)
        .bind(suspects)
        .bind(since.0)
        .bind(entity);
    let unseen = act.rows(statement).await?;
    let Some(first) = unseen.first() else {
        act.rollback().await?;
        return Ok(Dropped::default());
    };
    let owned = count(first, "owned")?;
    if let Some(why) = guard.and_then(|guard| refuse_drop(guard, owned, unseen.len() as u64)) {
        act.rollback().await?;
        return Ok(Dropped {
            removed: 0,
            held: Some(why),
        });
    }
    let references: Vec<String> = (unseen.iter())
        .map(|row| column(row, "ref"))
        .collect::<Result<_, _>>()?;
    let hashes: Vec<i64> = (unseen.iter())
        .map(|row| column(row, "key_hash"))
        .collect::<Result<_, _>>()?;
    let statement = sqlx::query(include_str!("sql/note_deltas.sql"))
        .bind(source.0)
        .bind(hashes.clone())
        .bind(vec![since.0; hashes.len()])
        .bind(vec![None::<i64>; hashes.len()])
        .bind(vec![None::<i64>; hashes.len()])
        .bind(Vec::<i64>::new())
        .bind(hashes)
        .bind(0_i64)
        .bind(0_i64);
    act.run(statement).await?;
    let removed = act.remove_entities(source.0, &references, now).await?;
    act.commit().await?;
    Ok(Dropped { removed, held: None })
}
