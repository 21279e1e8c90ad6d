//! The state of targets.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, query};

use super::failure::failed;
use super::rows::{count, moment, optional_moment, reference, to_json, undecodable, word, word_of};
use super::{SqliteStore, begin, commit, sql};
use crate::target_seams::{keys_of, no_target, print_text};
use crate::{
    StoreError, TargetCommand, TargetEntityFilter, TargetNote, TargetObjectFilter, TargetSettled, TargetStore,
};
use tideline_core::rules::target_version;
use tideline_core::words::{
    EntityRef, Fingerprint, HTTP_TARGET_KIND, MICROCKS_KIND, TargetCounts, TargetEntity, TargetHold, TargetObject,
    TargetPlace, TargetRecord, TargetSpec, Timestamp,
};

/// Maximum number of rows per response.
const MAX_ROWS: u32 = 1_000;

#[async_trait]
impl TargetStore for SqliteStore {
    async fn sync_targets(&self, specs: &[TargetSpec], now: Timestamp) -> Result<(), StoreError> {
        const ACT: &str = "sync targets";
        let list: Vec<[&str; 2]> = (specs.iter())
            .map(|spec| [spec.name.as_str(), spec.target_type.as_str()])
            .collect();
        let list = to_json(&list).map_err(failed(ACT))?;
        let place = to_json(&TargetPlace::default()).map_err(failed(ACT))?;
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let upsert = query(sql!("upsert_targets")).bind(&list).bind(place).bind(now.0);
        upsert.execute(&mut *tx).await.map_err(failed(ACT))?;
        let rest = query(sql!("unconfigure_targets")).bind(list);
        rest.execute(&mut *tx).await.map_err(failed(ACT))?;
        commit(tx, ACT).await
    }

    async fn list_targets(&self) -> Result<Vec<TargetRecord>, StoreError> {
        const ACT: &str = "list targets";
        let mut reader = self.readers.acquire().await.map_err(failed(ACT))?;
        records(&mut reader, None, ACT).await
    }

    async fn find_target(&self, name: &str) -> Result<Option<TargetRecord>, StoreError> {
        const ACT: &str = "find a target";
        let mut reader = self.readers.acquire().await.map_err(failed(ACT))?;
        Ok(records(&mut reader, Some(name), ACT).await?.into_iter().next())
    }

    async fn count_targets(&self) -> Result<Vec<TargetCounts>, StoreError> {
        const ACT: &str = "count targets";
        let rows = query(sql!("count_targets"))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let counts = rows.iter().map(|row| {
            Ok(TargetCounts {
                name: row.try_get(0)?,
                entities: count(row, 1)?,
                failing: count(row, 2)?,
                objects: count(row, 3)?,
            })
        });
        counts.collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn move_target(&self, name: &str, from: &TargetPlace, to: &TargetPlace) -> Result<bool, StoreError> {
        const ACT: &str = "move a target";
        let (from, to) = (to_json(from).map_err(failed(ACT))?, to_json(to).map_err(failed(ACT))?);
        let mut writer = self.writer().await;
        let moved = query(sql!("move_target"))
            .bind(name)
            .bind(from)
            .bind(to)
            .execute(&mut *writer);
        Ok(moved.await.map_err(failed(ACT))?.rows_affected() == 1)
    }

    async fn hold_target(&self, name: &str, hold: &TargetHold) -> Result<bool, StoreError> {
        let mut writer = self.writer().await;
        let held = query(sql!("hold_target"))
            .bind(name)
            .bind(hold.count.saturating_sub(1))
            .bind(hold.until.0)
            .bind(&hold.reason)
            .execute(&mut *writer)
            .await
            .map_err(failed("hold a target back"))?;
        Ok(held.rows_affected() == 1)
    }

    async fn release_target(&self, name: &str, kind: &str, now: Timestamp) -> Result<(), StoreError> {
        const ACT: &str = "release a target";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let released = query(sql!("release_target")).bind(name).execute(&mut *tx).await;
        if released.map_err(failed(ACT))?.rows_affected() == 1 {
            wake_jobs(&mut tx, name, kind, now).await.map_err(failed(ACT))?;
        }
        commit(tx, ACT).await
    }

    async fn hasten_target_jobs(
        &self,
        name: &str,
        kind: &str,
        count: u32,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        const ACT: &str = "hasten jobs of a target";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let (first, beyond) = keys_of(name);
        let hasten = query(sql!("hasten_target_jobs")).bind(kind).bind(first).bind(beyond);
        let hasten = hasten.bind(now.0).bind(count).bind(until.0);
        let hasten = hasten.execute(&mut *tx).await;
        let hastened = hasten.map_err(failed(ACT))?.rows_affected();
        commit(tx, ACT).await?;
        Ok(hastened)
    }

    async fn note_target_entities(&self, target: &str, notes: &[TargetNote]) -> Result<(), StoreError> {
        const ACT: &str = "note a target's entities";
        let list: Vec<(&EntityRef, Option<String>)> = (notes.iter())
            .map(|note| (&note.reference, print_text(note.fingerprint)))
            .collect();
        let list = to_json(&list).map_err(failed(ACT))?;
        let mut writer = self.writer().await;
        let note = query(sql!("note_target_entities")).bind(target).bind(list);
        note.execute(&mut *writer).await.map_err(failed(ACT))?;
        Ok(())
    }

    async fn find_target_entities(
        &self,
        target: &str,
        references: &[EntityRef],
    ) -> Result<Vec<TargetEntity>, StoreError> {
        const ACT: &str = "find a target's entities";
        let list = to_json(&references).map_err(failed(ACT))?;
        let find = query(sql!("find_target_entities")).bind(target).bind(list);
        let rows = find.fetch_all(&self.readers).await.map_err(failed(ACT))?;
        rows.iter().map(entity).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn list_target_entities(&self, filter: &TargetEntityFilter) -> Result<Vec<TargetEntity>, StoreError> {
        const ACT: &str = "list a target's entities";
        let statement = match filter.failing {
            true => sql!("list_failing_target_entities"),
            false => sql!("list_target_entities"),
        };
        let rows = query(statement)
            .bind(&filter.target)
            .bind(filter.after.as_ref().map_or("", EntityRef::as_str))
            .bind(filter.limit.clamp(1, MAX_ROWS))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        rows.iter().map(entity).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn settle_target_entities(
        &self,
        target: &str,
        settled: &[TargetSettled],
        now: Timestamp,
    ) -> Result<Vec<EntityRef>, StoreError> {
        let mut writer = self.writer().await;
        let settle = async {
            let rows: Vec<_> = (settled.iter())
                .map(|one| (&one.reference, &one.error, print_text(one.sent)))
                .collect();
            let rows = to_json(&rows)?;
            let replaced = query(sql!("find_replaced_target_entities")).bind(target).bind(&rows);
            let replaced = replaced.fetch_all(&mut *writer).await?;
            let statement = query(sql!("settle_target_entities")).bind(target);
            statement.bind(&rows).bind(now.0).execute(&mut *writer).await?;
            replaced.iter().map(|row| reference(row, 0)).collect::<Result<_, _>>()
        };
        settle.await.map_err(failed("settle a target's entities"))
    }

    async fn confirm_target_entities(
        &self,
        target: &str,
        references: &[EntityRef],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        let confirm = async {
            let statement = query(sql!("confirm_target_entities")).bind(target);
            let statement = statement.bind(to_json(&references)?).bind(now.0);
            statement.execute(&mut *writer).await
        };
        confirm.await.map_err(failed("confirm a target's entities"))?;
        Ok(())
    }

    async fn forget_target_entity(&self, target: &str, reference: &EntityRef) -> Result<(), StoreError> {
        const ACT: &str = "forget a target's entity";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let forget = query(sql!("forget_target_entity"))
            .bind(target)
            .bind(reference.as_str());
        forget.execute(&mut *tx).await.map_err(failed(ACT))?;
        let stale = query(sql!("forget_enrichments")).bind(reference.as_str());
        stale.execute(&mut *tx).await.map_err(failed(ACT))?;
        commit(tx, ACT).await
    }

    async fn put_target_objects(&self, target: &str, objects: &[TargetObject]) -> Result<Vec<bool>, StoreError> {
        const ACT: &str = "record a target's objects";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let mut kept = Vec::with_capacity(objects.len());
        for object in objects {
            let put = query(sql!("upsert_target_object"))
                .bind(target)
                .bind(&object.object)
                .bind(object.reference.as_str())
                .bind(&object.part)
                .bind(object.remote_id.as_deref())
                .bind(print_text(object.fingerprint))
                .bind(&object.detail)
                .bind(object.error.as_deref())
                .bind(object.updated_at.0)
                .execute(&mut *tx)
                .await
                .map_err(failed(ACT))?;
            kept.push(put.rows_affected() == 1);
        }
        commit(tx, ACT).await?;
        Ok(kept)
    }

    async fn list_target_objects(&self, filter: &TargetObjectFilter) -> Result<Vec<TargetObject>, StoreError> {
        const ACT: &str = "list a target's objects";
        let statement = match &filter.reference {
            Some(_) => sql!("list_objects_of_entity"),
            None => sql!("list_target_objects"),
        };
        let mut list = query(statement)
            .bind(&filter.target)
            .bind(filter.after.as_deref().unwrap_or_default())
            .bind(filter.limit.clamp(1, MAX_ROWS));
        if let Some(reference) = &filter.reference {
            list = list.bind(reference.as_str());
        }
        let rows = list.fetch_all(&self.readers).await.map_err(failed(ACT))?;
        rows.iter().map(object).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn find_target_objects(
        &self,
        target: &str,
        references: &[EntityRef],
    ) -> Result<Vec<TargetObject>, StoreError> {
        const ACT: &str = "find a target's objects";
        let list = to_json(&references).map_err(failed(ACT))?;
        let find = query(sql!("find_target_objects")).bind(target).bind(list);
        let rows = find.fetch_all(&self.readers).await.map_err(failed(ACT))?;
        rows.iter().map(object).collect::<Result<_, _>>().map_err(failed(ACT))
    }

    async fn forget_target_object(&self, target: &str, object: &str) -> Result<(), StoreError> {
        let mut writer = self.writer().await;
        let forget = query(sql!("delete_target_object")).bind(target).bind(object);
        let forgotten = forget.execute(&mut *writer).await;
        forgotten.map_err(failed("forget a target's object"))?;
        Ok(())
    }
}

/// Executes an operator's command.
pub(super) async fn command_in(
    tx: &mut SqliteConnection,
    name: &str,
    command: TargetCommand,
    expected: Option<&[String]>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const ACT: &str = "command a target";
    let record = records(&mut *tx, Some(name), ACT).await?.into_iter().next();
    let mut record = record.ok_or_else(|| no_target(name))?;
    StoreError::expect("target", name, &target_version(&record), expected)?;
    command.apply(&mut record, now)?;
    query(sql!("save_target"))
        .bind(name)
        .bind(word_of(record.state).map_err(failed(ACT))?)
        .bind(to_json(&record.place).map_err(failed(ACT))?)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    if command != TargetCommand::Pause {
        let release = query(sql!("release_target")).bind(name);
        release.execute(&mut *tx).await.map_err(failed(ACT))?;
        for kind in [MICROCKS_KIND, HTTP_TARGET_KIND] {
            wake_jobs(tx, name, kind, now).await.map_err(failed(ACT))?;
        }
    }
    Ok(())
}

async fn wake_jobs(tx: &mut SqliteConnection, name: &str, kind: &str, now: Timestamp) -> Result<(), sqlx::Error> {
    let (first, beyond) = keys_of(name);
    let wake = query(sql!("wake_target_jobs")).bind(kind);
    let wake = wake.bind(first).bind(beyond).bind(now.0);
    wake.execute(tx).await.map(drop)
}

async fn records(
    connection: &mut SqliteConnection,
    name: Option<&str>,
    act: &'static str,
) -> Result<Vec<TargetRecord>, StoreError> {
    let rows = query(sql!("list_targets"))
        .bind(name)
        .fetch_all(connection)
        .await
        .map_err(failed(act))?;
    rows.iter().map(record).collect::<Result<_, _>>().map_err(failed(act))
}

fn record(row: &SqliteRow) -> Result<TargetRecord, sqlx::Error> {
    let until = optional_moment(row, 6)?;
    let (holds, reason): (u32, Option<String>) = (count(row, 5)?, row.try_get(7)?);
    Ok(TargetRecord {
        name: row.try_get(0)?,
        target_type: row.try_get(1)?,
        state: word(row, 2)?,
        configured: row.try_get(3)?,
        place: serde_json::from_str(row.try_get(4)?).map_err(undecodable)?,
        hold: until.map(|until| TargetHold {
            until,
            count: holds,
            reason: reason.unwrap_or_default(),
        }),
        created_at: moment(row, 8)?,
    })
}

/// Hex digits, or null.
fn print(row: &SqliteRow, index: usize) -> Result<Option<Fingerprint>, sqlx::Error> {
    let text: Option<&str> = row.try_get(index)?;
    let parse = |text: &str| Fingerprint::from_hex(text).ok_or_else(|| undecodable("a fingerprint has 64 hex digits"));
    text.map(parse).transpose()
}

fn entity(row: &SqliteRow) -> Result<TargetEntity, sqlx::Error> {
    Ok(TargetEntity {
        reference: reference(row, 0)?,
        fingerprint: print(row, 1)?,
        error: row.try_get(2)?,
        synced_at: optional_moment(row, 3)?,
    })
}

fn object(row: &SqliteRow) -> Result<TargetObject, sqlx::Error> {
    Ok(TargetObject {
        object: row.try_get(0)?,
        reference: reference(row, 1)?,
        part: row.try_get(2)?,
        remote_id: row.try_get(3)?,
        fingerprint: print(row, 4)?,
        detail: row.try_get(5)?,
        error: row.try_get(6)?,
        updated_at: moment(row, 7)?,
    })
}
