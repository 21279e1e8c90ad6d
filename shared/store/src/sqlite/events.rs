//! The log of events.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Executor, Row, query, query_scalar};

use super::failure::{broken, failed};
use super::rows::{count, json, moment, to_json, undecodable, word, word_of};
use super::{SqliteStore, begin, commit, sql};
use crate::events::{SCAN, check_events, choose, gap, pack, start_of, stored_bytes, unpack};
use crate::{EventBounds, EventFilter, EventPage, EventReading, EventStart, EventStore, StoreError};
use tideline_core::rules::{EventRetention, OldEvent};
use tideline_core::words::{Appended, DeliveryId, EventHead, EventRecord, EventSequence, NewEvent, Timestamp};

/// Maximum number of events per response.
const MAX_EVENTS: u32 = 10_000;
/// Maximum number of heads per response.
const MAX_HEADS: u32 = 1_000;

#[async_trait]
impl EventStore for SqliteStore {
    async fn append_events(&self, events: &[NewEvent], now: Timestamp) -> Result<Vec<Appended>, StoreError> {
        const ACT: &str = "append events";
        check_events(events)?;
        if events.is_empty() {
            return Ok(vec![]);
        }
        let mut writer = self.writer().await;
        // The sender is told that they are stored: that must survive a power failure, not only a crash of the process.
        writer.execute("PRAGMA synchronous = FULL").await.map_err(failed(ACT))?;
        let appended = append(&mut writer, events, now, ACT).await;
        writer
            .execute("PRAGMA synchronous = NORMAL")
            .await
            .map_err(failed(ACT))?;
        appended
    }

    async fn list_events_after(
        &self,
        after: EventSequence,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<EventReading, StoreError> {
        const ACT: &str = "list events";
        let limit = limit.clamp(1, MAX_EVENTS);
        let looked = SCAN.max(limit);
        let read = async {
            // One snapshot: nothing is pruned or added between the reads.
            let mut tx = self.readers.begin().await?;
            let bounds = bounds(&mut tx).await?;
            let rows = query(sql!("list_event_heads"))
                .bind(after.0)
                .bind(looked)
                .fetch_all(&mut *tx)
                .await?;
            let heads = rows.iter().map(head).collect::<Result<Vec<_>, _>>()?;
            let chosen = choose(heads, filter, limit, looked, after);
            let events = with_bodies(&mut tx, chosen.heads).await?;
            tx.rollback().await?;
            let reading = EventReading {
                events,
                next: chosen.next.max(bounds.pruned_to),
                more: chosen.more,
                missed: gap(after, bounds.pruned_to),
            };
            Ok((bounds.last.0, reading))
        };
        let (last, reading) = read.await.map_err(failed(ACT))?;
        self.make_durable(ACT, |durable| &durable.events, last).await?;
        Ok(reading)
    }

    async fn list_events_before(
        &self,
        before: Option<EventSequence>,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        const ACT: &str = "list events";
        let rows = query(sql!("list_event_heads_before"))
            .bind(before.map_or(i64::MAX, |before| before.0))
            .bind(SCAN)
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let heads = rows
            .iter()
            .map(head)
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed(ACT))?;
        let last_looked = heads
            .last()
            .map(|head| head.sequence)
            .filter(|_| heads.len() >= SCAN as usize);
        Ok(EventPage::of(heads, filter, limit.clamp(1, MAX_HEADS), last_looked))
    }

    async fn list_topics(&self, after: EventSequence, up_to: EventSequence) -> Result<Vec<String>, StoreError> {
        query_scalar(sql!("list_topics"))
            .bind(after.0)
            .bind(up_to.0)
            .fetch_all(&self.readers)
            .await
            .map_err(failed("list topics"))
    }

    async fn find_event(&self, sequence: EventSequence) -> Result<Option<EventRecord>, StoreError> {
        const ACT: &str = "find an event";
        let find = async {
            let mut tx = self.readers.begin().await?;
            let found = at(&mut tx, sequence).await?;
            tx.rollback().await?;
            Ok(found)
        };
        find.await.map_err(failed(ACT))
    }

    async fn find_delivery(&self, delivery: &DeliveryId) -> Result<Option<EventSequence>, StoreError> {
        let found: Option<i64> = query_scalar(sql!("find_delivery"))
            .bind(&delivery.hook)
            .bind(&delivery.id)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("find a delivery"))?;
        Ok(found.map(EventSequence))
    }

    async fn event_bounds(&self) -> Result<EventBounds, StoreError> {
        const ACT: &str = "read the bounds of the log";
        let mut reader = self.readers.acquire().await.map_err(failed(ACT))?;
        bounds(&mut reader).await.map_err(failed(ACT))
    }

    async fn find_event_start(&self, start: EventStart) -> Result<EventSequence, StoreError> {
        const ACT: &str = "find where to begin";
        let mut reader = self.readers.acquire().await.map_err(failed(ACT))?;
        start_at(&mut reader, start).await.map_err(failed(ACT))
    }

    async fn prune_events(
        &self,
        retention: &EventRetention,
        followers: &[&str],
        limit: u32,
    ) -> Result<u64, StoreError> {
        const ACT: &str = "prune events";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let prune = async {
            let total = bounds(&mut tx).await?;
            let rows = query(sql!("list_oldest_events"))
                .bind(limit)
                .fetch_all(&mut *tx)
                .await?;
            let oldest = rows.iter().map(old_event).collect::<Result<Vec<_>, _>>()?;
            let seen: Option<i64> = query_scalar(sql!("find_seen_events"))
                .bind(to_json(&followers)?)
                .fetch_one(&mut *tx)
                .await?;
            let seen = seen.map_or(total.last, EventSequence);
            let Some(cut) = retention.prune_to(&oldest, total.bytes, seen) else {
                return Ok(0);
            };
            let gone = oldest.iter().take_while(|event| event.sequence <= cut);
            let bytes: u64 = gone.map(|event| event.bytes).sum();
            let deleted = query(sql!("delete_events")).bind(cut.0).execute(&mut *tx).await?;
            query(sql!("note_pruned_events"))
                .bind(cut.0)
                .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
                .execute(&mut *tx)
                .await?;
            Ok(deleted.rows_affected())
        };
        let pruned = prune.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(pruned)
    }
}

/// The event at a position, within a transaction.
pub(super) async fn at(
    connection: &mut SqliteConnection,
    sequence: EventSequence,
) -> Result<Option<EventRecord>, sqlx::Error> {
    let row = query(sql!("list_event_heads"))
        .bind(sequence.0.saturating_sub(1))
        .bind(1)
        .fetch_optional(&mut *connection)
        .await?;
    let found = row.as_ref().map(head).transpose()?;
    let found = found.filter(|head| head.sequence == sequence);
    let events = with_bodies(connection, found.into_iter().collect()).await?;
    Ok(events.into_iter().next())
}

/// The position after which a reader begins.
pub(super) async fn start_at(
    connection: &mut SqliteConnection,
    start: EventStart,
) -> Result<EventSequence, sqlx::Error> {
    let bounds = bounds(connection).await?;
    match start {
        EventStart::Now => Ok(bounds.last),
        EventStart::Beginning => Ok(bounds.pruned_to),
        EventStart::At(moment) => {
            let first: Option<i64> = query_scalar(sql!("find_event_since"))
                .bind(moment.0)
                .fetch_optional(connection)
                .await?;
            Ok(start_of(first.map(EventSequence), bounds.last))
        }
    }
}

async fn append(
    writer: &mut SqliteConnection,
    events: &[NewEvent],
    now: Timestamp,
    act: &'static str,
) -> Result<Vec<Appended>, StoreError> {
    let mut tx = begin(writer, act).await?;
    let mut appended = Vec::with_capacity(events.len());
    for event in events {
        let one = match insert(&mut tx, event, now).await.map_err(failed(act))? {
            Some(sequence) => Appended {
                sequence,
                duplicate: false,
            },
            None => Appended {
                sequence: known(&mut tx, event, act).await?,
                duplicate: true,
            },
        };
        appended.push(one);
    }
    commit(tx, act).await?;
    Ok(appended)
}

/// Appends an event. None: it is a delivery that is already in the log.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    event: &NewEvent,
    now: Timestamp,
) -> Result<Option<EventSequence>, sqlx::Error> {
    let packed = pack(&event.body);
    let headers = to_json(&event.headers)?;
    let sequence: Option<i64> = query_scalar(sql!("insert_event"))
        .bind(now.0)
        .bind(&event.topic)
        .bind(&event.key)
        .bind(event.delivery.as_ref().map(|of| &of.hook))
        .bind(event.delivery.as_ref().map(|of| &of.id))
        .bind(word_of(event.verdict)?)
        .bind(event.malformed)
        .bind(i64::try_from(event.body.len()).unwrap_or(i64::MAX))
        .bind(stored_bytes(&packed, &headers))
        .bind(event.trace.as_deref())
        .bind(headers)
        .bind(packed.packed)
        .bind(packed.bytes)
        .fetch_optional(connection)
        .await?;
    Ok(sequence.map(EventSequence))
}

/// The position of the delivery that was not written again.
pub(super) async fn known(
    connection: &mut SqliteConnection,
    event: &NewEvent,
    act: &'static str,
) -> Result<EventSequence, StoreError> {
    let delivery = (event.delivery.as_ref()).ok_or_else(|| broken(act, "an event was not written"))?;
    let sequence: i64 = query_scalar(sql!("find_delivery"))
        .bind(&delivery.hook)
        .bind(&delivery.id)
        .fetch_one(connection)
        .await
        .map_err(failed(act))?;
    Ok(EventSequence(sequence))
}

pub(super) async fn bounds(connection: &mut SqliteConnection) -> Result<EventBounds, sqlx::Error> {
    let row = query(sql!("find_event_bounds")).fetch_one(connection).await?;
    Ok(EventBounds {
        last: EventSequence(row.try_get(0)?),
        pruned_to: EventSequence(row.try_get(1)?),
        bytes: count(&row, 2)?,
    })
}

pub(super) async fn with_bodies(
    connection: &mut SqliteConnection,
    heads: Vec<EventHead>,
) -> Result<Vec<EventRecord>, sqlx::Error> {
    if heads.is_empty() {
        return Ok(vec![]);
    }
    let places: Vec<i64> = heads.iter().map(|head| head.sequence.0).collect();
    let rows = query(sql!("list_event_bodies"))
        .bind(to_json(&places)?)
        .fetch_all(connection)
        .await?;
    heads
        .into_iter()
        .zip(&rows)
        .map(|(head, row)| {
            Ok(EventRecord {
                headers: json(row, 1)?,
                body: unpack(row.try_get(3)?, row.try_get(2)?, head.body_bytes).map_err(undecodable)?,
                head,
            })
        })
        .collect()
}

pub(super) fn head(row: &SqliteRow) -> Result<EventHead, sqlx::Error> {
    let hook: Option<String> = row.try_get(4)?;
    let id: Option<String> = row.try_get(5)?;
    Ok(EventHead {
        sequence: EventSequence(row.try_get(0)?),
        created_at: moment(row, 1)?,
        topic: row.try_get(2)?,
        key: row.try_get(3)?,
        delivery: hook.zip(id).map(|(hook, id)| DeliveryId { hook, id }),
        verdict: word(row, 6)?,
        malformed: row.try_get(7)?,
        body_bytes: count(row, 8)?,
        trace: row.try_get(9)?,
    })
}

fn old_event(row: &SqliteRow) -> Result<OldEvent, sqlx::Error> {
    Ok(OldEvent {
        sequence: EventSequence(row.try_get(0)?),
        created_at: moment(row, 1)?,
        bytes: count(row, 2)?,
    })
}
