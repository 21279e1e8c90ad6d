//! The state of targets.

use std::borrow::Cow;
use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::act::Act;
use super::error::broken;
use super::rows::{column, count, moment, small, storable};
use crate::target_seams::{keys_of, no_target, print_text};
use crate::{
    StoreError, TargetCommand, TargetEntityFilter, TargetNote, TargetObjectFilter, TargetSettled, TargetStore,
};
use tideline_core::rules::target_version;
use tideline_core::words::{
    EntityRef, Fingerprint, HTTP_TARGET_KIND, MICROCKS_KIND, TargetCounts, TargetEntity, TargetHold, TargetObject,
    TargetPlace, TargetRecord, TargetSpec, TargetState, Timestamp,
};

/// Maximum number of rows per response.
const MAX_ROWS: u32 = 1_000;

#[async_trait]
impl TargetStore for PostgresStore {
    async fn sync_targets(&self, specs: &[TargetSpec], now: Timestamp) -> Result<(), StoreError> {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let types: Vec<&str> = specs.iter().map(|spec| spec.target_type.as_str()).collect();
        let mut act = self.writing("sync targets").await?;
        act.begin().await?;
        let statement = sqlx::query(include_str!("sql/upsert_targets.sql"))
            .bind(&names)
            .bind(types);
        act.run(statement.bind(place_text(&TargetPlace::default())?).bind(now.0))
            .await?;
        act.run(sqlx::query(include_str!("sql/unconfigure_targets.sql")).bind(names))
            .await?;
        act.commit().await
    }

    async fn list_targets(&self) -> Result<Vec<TargetRecord>, StoreError> {
        let mut act = self.reading("list targets").await?;
        let statement = sqlx::query(include_str!("sql/list_targets.sql")).bind(None::<&str>);
        act.rows(statement).await?.iter().map(record).collect()
    }

    async fn find_target(&self, name: &str) -> Result<Option<TargetRecord>, StoreError> {
        let mut act = self.reading("find a target").await?;
        let statement = sqlx::query(include_str!("sql/list_targets.sql")).bind(name);
        act.row(statement).await?.as_ref().map(record).transpose()
    }

    async fn count_targets(&self) -> Result<Vec<TargetCounts>, StoreError> {
        let mut act = self.reading("count targets").await?;
        let rows = act.rows(sqlx::query(include_str!("sql/count_targets.sql"))).await?;
        let counts = rows.iter().map(|row| {
            Ok(TargetCounts {
                name: column(row, "name")?,
                entities: count(row, "entities")?,
                failing: count(row, "failing")?,
                objects: count(row, "objects")?,
            })
        });
        counts.collect()
    }

    async fn move_target(&self, name: &str, from: &TargetPlace, to: &TargetPlace) -> Result<bool, StoreError> {
        let (from, to) = (place_text(from)?, place_text(to)?);
        let mut act = self.writing("move a target").await?;
        let statement = sqlx::query(include_str!("sql/move_target.sql")).bind(name);
        Ok(act.run(statement.bind(from).bind(to)).await? == 1)
    }

    async fn hold_target(&self, name: &str, hold: &TargetHold) -> Result<bool, StoreError> {
        let mut act = self.writing("hold a target back").await?;
        let before = i32::try_from(hold.count.saturating_sub(1)).unwrap_or(i32::MAX);
        let statement = sqlx::query(include_str!("sql/hold_target.sql")).bind(name).bind(before);
        let statement = statement.bind(hold.until.0).bind(storable(&hold.reason));
        Ok(act.run(statement).await? == 1)
    }

    async fn release_target(&self, name: &str, kind: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("release a target").await?;
        act.begin().await?;
        let statement = sqlx::query(include_str!("sql/release_target.sql")).bind(name);
        if act.run(statement).await? == 1 {
            wake_jobs(&mut act, name, kind, now).await?;
        }
        act.commit().await
    }

    async fn hasten_target_jobs(
        &self,
        name: &str,
        kind: &str,
        count: u32,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut act = self.writing("hasten jobs of a target").await?;
        let (first, beyond) = keys_of(name);
        let statement = sqlx::query(include_str!("sql/hasten_target_jobs.sql")).bind(kind);
        let statement = statement.bind(first).bind(beyond).bind(now.0);
        act.run(statement.bind(i64::from(count)).bind(until.0)).await
    }

    async fn note_target_entities(&self, target: &str, notes: &[TargetNote]) -> Result<(), StoreError> {
        let references: Vec<&str> = notes.iter().map(|note| note.reference.as_str()).collect();
        let prints: Vec<Option<String>> = notes.iter().map(|note| print_text(note.fingerprint)).collect();
        let mut act = self.writing("note a target's entities").await?;
        let statement = sqlx::query(include_str!("sql/note_target_entities.sql")).bind(target);
        act.run(statement.bind(references).bind(prints)).await.map(drop)
    }

    async fn find_target_entities(
        &self,
        target: &str,
        references: &[EntityRef],
    ) -> Result<Vec<TargetEntity>, StoreError> {
        let references: Vec<&str> = references.iter().map(EntityRef::as_str).collect();
        let mut act = self.reading("find a target's entities").await?;
        let statement = sqlx::query(include_str!("sql/find_target_entities.sql")).bind(target);
        act.rows(statement.bind(references)).await?.iter().map(entity).collect()
    }

    async fn list_target_entities(&self, filter: &TargetEntityFilter) -> Result<Vec<TargetEntity>, StoreError> {
        let mut act = self.reading("list a target's entities").await?;
        let statement = match filter.failing {
            true => include_str!("sql/list_failing_target_entities.sql"),
            false => include_str!("sql/list_target_entities.sql"),
        };
        let statement = sqlx::query(statement)
            .bind(&filter.target)
            .bind(filter.after.as_ref().map_or("", EntityRef::as_str))
            .bind(i64::from(filter.limit.clamp(1, MAX_ROWS)));
        act.rows(statement).await?.iter().map(entity).collect()
    }

    async fn settle_target_entities(
        &self,
        target: &str,
        settled: &[TargetSettled],
        now: Timestamp,
    ) -> Result<Vec<EntityRef>, StoreError> {
        let mut act = self.writing("settle a target's entities").await?;
        let references: Vec<&str> = settled.iter().map(|one| one.reference.as_str()).collect();
        let errors = settled.iter().map(|one| one.error.as_deref().map(storable));
        let statement = sqlx::query(include_str!("sql/settle_target_entities.sql"))
            .bind(target)
            .bind(references)
            .bind(errors.map(|error| error.map(Cow::into_owned)).collect::<Vec<_>>())
            .bind(now.0)
            .bind(settled.iter().map(|one| print_text(one.sent)).collect::<Vec<_>>());
        let rows = act.rows(statement).await?;
        rows.iter().map(reference).collect()
    }

    async fn confirm_target_entities(
        &self,
        target: &str,
        references: &[EntityRef],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let references: Vec<&str> = references.iter().map(EntityRef::as_str).collect();
        let mut act = self.writing("confirm a target's entities").await?;
        let statement = sqlx::query(include_str!("sql/confirm_target_entities.sql")).bind(target);
        act.run(statement.bind(references).bind(now.0)).await.map(drop)
    }

    async fn forget_target_entity(&self, target: &str, reference: &EntityRef) -> Result<(), StoreError> {
        let mut act = self.writing("forget a target's entity").await?;
        act.begin().await?;
        let statement = sqlx::query(include_str!("sql/forget_target_entity.sql")).bind(target);
        act.run(statement.bind(reference.as_str())).await?;
        act.run(sqlx::query(include_str!("sql/forget_enrichments.sql")).bind(reference.as_str()))
            .await?;
        act.commit().await
    }

    async fn put_target_objects(&self, target: &str, objects: &[TargetObject]) -> Result<Vec<bool>, StoreError> {
        let mut act = self.writing("record a target's objects").await?;
        act.begin().await?;
        let mut kept = vec![false; objects.len()];
        // A statement can write a row only once: repeated rows wait for the next statement.
        let mut left: Vec<usize> = (0..objects.len()).collect();
        while !left.is_empty() {
            let mut written = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|at| written.insert(&objects[*at].object));
            put_objects(&mut act, target, objects, &now, &mut kept).await?;
            left = later;
        }
        act.commit().await?;
        Ok(kept)
    }

    async fn list_target_objects(&self, filter: &TargetObjectFilter) -> Result<Vec<TargetObject>, StoreError> {
        let mut act = self.reading("list a target's objects").await?;
        let statement = match &filter.reference {
            Some(_) => include_str!("sql/list_objects_of_entity.sql"),
            None => include_str!("sql/list_target_objects.sql"),
        };
        let mut statement = sqlx::query(statement)
            .bind(&filter.target)
            .bind(filter.after.as_deref().unwrap_or_default())
            .bind(i64::from(filter.limit.clamp(1, MAX_ROWS)));
        if let Some(reference) = &filter.reference {
            statement = statement.bind(reference.as_str());
        }
        act.rows(statement).await?.iter().map(object).collect()
    }

    async fn find_target_objects(
        &self,
        target: &str,
        references: &[EntityRef],
    ) -> Result<Vec<TargetObject>, StoreError> {
        let references: Vec<&str> = references.iter().map(EntityRef::as_str).collect();
        let mut act = self.reading("find a target's objects").await?;
        let statement = sqlx::query(include_str!("sql/find_target_objects.sql")).bind(target);
        act.rows(statement.bind(references)).await?.iter().map(object).collect()
    }

    async fn forget_target_object(&self, target: &str, object: &str) -> Result<(), StoreError> {
        let mut act = self.writing("forget a target's object").await?;
        let statement = sqlx::query(include_str!("sql/delete_target_object.sql")).bind(target);
        act.run(statement.bind(object)).await.map(drop)
    }
}

/// Records the objects at these positions, whose names are distinct.
async fn put_objects(
    act: &mut Act,
    target: &str,
    objects: &[TargetObject],
    places: &[usize],
    kept: &mut [bool],
) -> Result<(), StoreError> {
    fn each<'o, T>(objects: &'o [TargetObject], places: &[usize], part: impl Fn(&'o TargetObject) -> T) -> Vec<T> {
        places.iter().map(|at| part(&objects[*at])).collect()
    }
    let statement = sqlx::query(include_str!("sql/upsert_target_objects.sql"))
        .bind(target)
        .bind(each(objects, places, |object| object.object.as_str()))
        .bind(each(objects, places, |object| object.reference.as_str()))
        .bind(each(objects, places, |object| object.part.as_str()))
        .bind(each(objects, places, |object| {
            object.remote_id.as_deref().map(|id| storable(id).into_owned())
        }))
        .bind(each(objects, places, |object| print_text(object.fingerprint)))
        .bind(each(objects, places, |object| storable(&object.detail).into_owned()))
        .bind(each(objects, places, |object| {
            object.error.as_deref().map(|error| storable(error).into_owned())
        }))
        .bind(each(objects, places, |object| object.updated_at.0));
    for row in act.rows(statement).await? {
        let name: &str = column(&row, "object")?;
        let place = places.iter().find(|at| objects[**at].object == name);
        place.into_iter().for_each(|at| kept[*at] = true);
    }
    Ok(())
}

/// Executes a command, in the transaction of the act.
pub(super) async fn command_in(
    act: &mut Act,
    name: &str,
    command: TargetCommand,
    expected: Option<&[String]>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = act
        .row(sqlx::query(include_str!("sql/lock_target.sql")).bind(name))
        .await?;
    let mut record = record(&row.ok_or_else(|| no_target(name))?)?;
    StoreError::expect("target", name, &target_version(&record), expected)?;
    command.apply(&mut record, now)?;
    let state = match record.state {
        TargetState::Active => "active",
        TargetState::Paused => "paused",
    };
    let statement = sqlx::query(include_str!("sql/save_target.sql")).bind(name).bind(state);
    act.run(statement.bind(place_text(&record.place)?)).await?;
    if command != TargetCommand::Pause {
        act.run(sqlx::query(include_str!("sql/release_target.sql")).bind(name))
            .await?;
        for kind in [MICROCKS_KIND, HTTP_TARGET_KIND] {
            wake_jobs(act, name, kind, now).await?;
        }
    }
    Ok(())
}

async fn wake_jobs(act: &mut Act, name: &str, kind: &str, now: Timestamp) -> Result<(), StoreError> {
    let (first, beyond) = keys_of(name);
    let statement = sqlx::query(include_str!("sql/wake_target_jobs.sql")).bind(kind);
    let statement = statement.bind(first).bind(beyond);
    act.run(statement.bind(now.0)).await.map(drop)
}

fn place_text(place: &TargetPlace) -> Result<String, StoreError> {
    serde_json::to_string(place).map_err(|error| broken("move a target", error.to_string()))
}

fn record(row: &PgRow) -> Result<TargetRecord, StoreError> {
    const ACT: &str = "read a target";
    let place: &str = column(row, "place")?;
    let state: &str = column(row, "state")?;
    let reason: Option<String> = column(row, "hold_reason")?;
    let holds = small(row, "holds")?;
    Ok(TargetRecord {
        name: column(row, "name")?,
        target_type: column(row, "target_type")?,
        state: match state {
            "active" => TargetState::Active,
            "paused" => TargetState::Paused,
            other => return Err(broken(ACT, format!("unknown: {other}"))),
        },
        configured: column(row, "configured")?,
        place: serde_json::from_str(place).map_err(|error| broken(ACT, error.to_string()))?,
        hold: moment(row, "hold_until")?.map(|until| TargetHold {
            until,
            count: holds,
            reason: reason.unwrap_or_default(),
        }),
        created_at: Timestamp(column(row, "created_at")?),
    })
}

/// Hex digits, or null.
fn print(row: &PgRow, name: &'static str) -> Result<Option<Fingerprint>, StoreError> {
    let text: Option<&str> = column(row, name)?;
    let parse = |text: &str| {
        Fingerprint::from_hex(text).ok_or_else(|| broken("read a fingerprint", "it has not 64 hex digits".to_owned()))
    };
    text.map(parse).transpose()
}

fn reference(row: &PgRow) -> Result<EntityRef, StoreError> {
    let text: &str = column(row, "reference")?;
    text.parse()
        .map_err(|error: tideline_core::words::EntityRefError| broken("read a reference", error.to_string()))
}

fn entity(row: &PgRow) -> Result<TargetEntity, StoreError> {
    Ok(TargetEntity {
        reference: reference(row)?,
        fingerprint: print(row, "fingerprint")?,
        error: column(row, "error")?,
        synced_at: moment(row, "synced_at")?,
    })
}

fn object(row: &PgRow) -> Result<TargetObject, StoreError> {
    Ok(TargetObject {
        object: column(row, "object")?,
        reference: reference(row)?,
        part: column(row, "part")?,
        remote_id: column(row, "remote_id")?,
        fingerprint: print(row, "fingerprint")?,
        detail: column(row, "detail")?,
        error: column(row, "error")?,
        updated_at: Timestamp(column(row, "updated_at")?),
    })
}
