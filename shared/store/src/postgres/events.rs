//! The log of events.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::act::Act;
use super::error::broken;
use super::rows::{column, count, storable, verdict_of, verdict_text};
use crate::events::{SCAN, check_events, choose, gap, pack, start_of, stored_bytes, unpack};
use crate::{EventBounds, EventFilter, EventPage, EventReading, EventStart, EventStore, StoreError};
use tideline_core::rules::{EventRetention, OldEvent};
use tideline_core::words::{Appended, DeliveryId, EventHead, EventRecord, EventSequence, NewEvent, Timestamp};

/// Maximum number of events per response.
const MAX_EVENTS: u32 = 10_000;
/// Maximum number of heads per response.
const MAX_HEADS: u32 = 1_000;
/// Maximum number of times that a reading restarts because its events were dropped meanwhile.
const TRIES: u32 = 5;

#[async_trait]
impl EventStore for PostgresStore {
    async fn append_events(&self, events: &[NewEvent], now: Timestamp) -> Result<Vec<Appended>, StoreError> {
        check_events(events)?;
        if events.is_empty() {
            return Ok(vec![]);
        }
        let mut act = self.writing("append events").await?;
        append(&mut act, events, now).await
    }

    async fn list_events_after(
        &self,
        after: EventSequence,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<EventReading, StoreError> {
        let limit = limit.clamp(1, MAX_EVENTS);
        let looked = SCAN.max(limit);
        let mut act = self.reading("list events").await?;
        for _ in 0..TRIES {
            let statement = sqlx::query(include_str!("sql/list_event_heads.sql"));
            let rows = act.rows(statement.bind(after.0).bind(i64::from(looked))).await?;
            let first = rows
                .first()
                .ok_or_else(|| broken("list events", "the log has no row"))?;
            let pruned_to = EventSequence(column(first, "pruned_to")?);
            let heads = if column::<Option<i64>>(first, "sequence")?.is_some() {
                rows.iter().map(head).collect::<Result<_, _>>()?
            } else {
                vec![]
            };
            let chosen = choose(heads, filter, limit, looked, after);
            if let Some(events) = with_bodies(&mut act, chosen.heads).await? {
                return Ok(EventReading {
                    events,
                    next: chosen.next.max(pruned_to),
                    more: chosen.more,
                    missed: gap(after, pruned_to),
                });
            }
        }
        Err(broken("list events", "events vanish while they are read"))
    }

    async fn list_events_before(
        &self,
        before: Option<EventSequence>,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let mut act = self.reading("list events").await?;
        let statement = sqlx::query(include_str!("sql/list_event_heads_before.sql"));
        let statement = statement.bind(before.map_or(i64::MAX, |before| before.0));
        let rows = act.rows(statement.bind(i64::from(SCAN))).await?;
        let heads = rows.iter().map(head).collect::<Result<Vec<_>, _>>()?;
        let last_looked = heads
            .last()
            .map(|head| head.sequence)
            .filter(|_| heads.len() >= SCAN as usize);
        Ok(EventPage::of(heads, filter, limit.clamp(1, MAX_HEADS), last_looked))
    }

    async fn list_topics(&self, after: EventSequence, up_to: EventSequence) -> Result<Vec<String>, StoreError> {
        let mut act = self.reading("list topics").await?;
        let statement = sqlx::query(include_str!("sql/list_topics.sql"));
        let rows = act.rows(statement.bind(after.0).bind(up_to.0)).await?;
        rows.iter().map(|row| column(row, "topic")).collect()
    }

    async fn find_event(&self, sequence: EventSequence) -> Result<Option<EventRecord>, StoreError> {
        at(&mut self.reading("find an event").await?, sequence).await
    }

    async fn find_delivery(&self, delivery: &DeliveryId) -> Result<Option<EventSequence>, StoreError> {
        let mut act = self.reading("find a delivery").await?;
        let found = find_deliveries(&mut act, &[delivery]).await?;
        Ok(found.into_values().next())
    }

    async fn event_bounds(&self) -> Result<EventBounds, StoreError> {
        bounds(&mut self.reading("read the bounds of the log").await?).await
    }

    async fn find_event_start(&self, start: EventStart) -> Result<EventSequence, StoreError> {
        start_at(&mut self.reading("find where to begin").await?, start).await
    }

    async fn prune_events(
        &self,
        retention: &EventRetention,
        followers: &[&str],
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut act = self.writing("prune events").await?;
        let total = bounds(&mut act).await?;
        let statement = sqlx::query(include_str!("sql/list_oldest_events.sql"));
        let rows = act.rows(statement.bind(i64::from(limit))).await?;
        let oldest = rows.iter().map(old_event).collect::<Result<Vec<_>, _>>()?;
        let statement = sqlx::query(include_str!("sql/find_seen_events.sql")).bind(followers);
        let row = act.row(statement).await?;
        let seen = row
            .map(|row| column::<Option<i64>>(&row, "seen"))
            .transpose()?
            .flatten();
        let seen = seen.map_or(total.last, EventSequence);
        let Some(cut) = retention.prune_to(&oldest, total.bytes, seen) else {
            return Ok(0);
        };
        let statement = sqlx::query(include_str!("sql/prune_events.sql"));
        let row = act.row(statement.bind(cut.0)).await?;
        row.map_or(Ok(0), |row| count(&row, "pruned"))
    }
}

/// The event at a position.
pub(super) async fn at(act: &mut Act, sequence: EventSequence) -> Result<Option<EventRecord>, StoreError> {
    let statement = sqlx::query(include_str!("sql/list_event_heads.sql"));
    let row = act
        .row(statement.bind(sequence.0.saturating_sub(1)).bind(1_i64))
        .await?;
    let Some(row) = row.filter(|row| column::<Option<i64>>(row, "sequence").ok().flatten() == Some(sequence.0)) else {
        return Ok(None);
    };
    let found = with_bodies(act, vec![head(&row)?]).await?;
    Ok(found.and_then(|events| events.into_iter().next()))
}

/// The position after which a reader begins.
pub(super) async fn start_at(act: &mut Act, start: EventStart) -> Result<EventSequence, StoreError> {
    let bounds = bounds(act).await?;
    match start {
        EventStart::Now => Ok(bounds.last),
        EventStart::Beginning => Ok(bounds.pruned_to),
        EventStart::At(moment) => {
            let statement = sqlx::query(include_str!("sql/find_event_since.sql"));
            let row = act.row(statement.bind(moment.0)).await?;
            let first = row.map(|row| column(&row, "sequence")).transpose()?;
            Ok(start_of(first.map(EventSequence), bounds.last))
        }
    }
}

pub(super) async fn append(act: &mut Act, events: &[NewEvent], now: Timestamp) -> Result<Vec<Appended>, StoreError> {
    // If a delivery is in the batch twice, the first one is written.
    let mut firsts: HashMap<&DeliveryId, usize> = HashMap::new();
    let mut fresh = Vec::with_capacity(events.len());
    for (place, event) in events.iter().enumerate() {
        if let Some(delivery) = &event.delivery
            && *firsts.entry(delivery).or_insert(place) != place
        {
            continue;
        }
        fresh.push(place);
    }
    let rows = write(act, &fresh.iter().map(|place| &events[*place]).collect::<Vec<_>>(), now).await?;
    let mut written: HashMap<DeliveryId, EventSequence> = HashMap::new();
    let mut others = Vec::new();
    for row in &rows {
        let Some(sequence) = column::<Option<i64>>(row, "sequence")?.map(EventSequence) else {
            let excess: i64 = column(row, "excess")?;
            let statement = sqlx::query(include_str!("sql/shrink_event_log.sql"));
            act.run(statement.bind(excess)).await?;
            continue;
        };
        match delivery_of(row)? {
            Some(delivery) => drop(written.insert(delivery, sequence)),
            None => others.push(sequence),
        }
    }
    // Events that are not deliveries are always written, in order.
    others.sort_unstable();
    let mut others = others.into_iter();
    let known: Vec<&DeliveryId> = (events.iter())
        .filter_map(|event| event.delivery.as_ref())
        .filter(|delivery| !written.contains_key(delivery))
        .collect();
    let known = if known.is_empty() {
        HashMap::new()
    } else {
        find_deliveries(act, &known).await?
    };
    let lost = || broken("append events", "an event was neither written nor found");
    let mut appended = Vec::with_capacity(events.len());
    for (place, event) in events.iter().enumerate() {
        let (sequence, duplicate) = match &event.delivery {
            None => (others.next(), false),
            Some(delivery) => match written.get(delivery) {
                Some(sequence) => (Some(*sequence), firsts.get(delivery) != Some(&place)),
                None => (known.get(delivery).copied(), true),
            },
        };
        appended.push(Appended {
            sequence: sequence.ok_or_else(lost)?,
            duplicate,
        });
    }
    Ok(appended)
}

async fn write(act: &mut Act, events: &[&NewEvent], now: Timestamp) -> Result<Vec<PgRow>, StoreError> {
    let packed: Vec<_> = events.iter().map(|event| pack(&event.body)).collect();
    let mut headers = Vec::with_capacity(events.len());
    for event in events {
        let text = serde_json::to_string(&event.headers);
        headers.push(text.map_err(|error| broken("append events", error.to_string()))?);
    }
    let stored: Vec<i64> = packed
        .iter()
        .zip(&headers)
        .map(|(body, headers)| stored_bytes(body, headers))
        .collect();
    let hook = |event: &&NewEvent| event.delivery.as_ref().map(|of| of.hook.clone());
    let id = |event: &&NewEvent| event.delivery.as_ref().map(|of| of.id.clone());
    let length = |event: &&NewEvent| i64::try_from(event.body.len()).unwrap_or(i64::MAX);
    let statement = sqlx::query(include_str!("sql/append_events.sql"))
        .bind(events.iter().map(|event| event.topic.as_str()).collect::<Vec<_>>())
        .bind(
            events
                .iter()
                .map(|event| storable(&event.key).into_owned())
                .collect::<Vec<_>>(),
        )
        .bind(events.iter().map(hook).collect::<Vec<_>>())
        .bind(events.iter().map(id).collect::<Vec<_>>())
        .bind(
            events
                .iter()
                .map(|event| verdict_text(event.verdict))
                .collect::<Vec<_>>(),
        )
        .bind(events.iter().map(|event| event.malformed).collect::<Vec<_>>())
        .bind(events.iter().map(length).collect::<Vec<_>>())
        .bind(stored)
        .bind(events.iter().map(|event| event.trace.clone()).collect::<Vec<_>>())
        .bind(headers)
        .bind(packed.iter().map(|body| body.packed).collect::<Vec<_>>())
        .bind(packed.iter().map(|body| body.bytes.as_slice()).collect::<Vec<_>>())
        .bind(now.0);
    act.rows(statement).await
}

async fn find_deliveries(
    act: &mut Act,
    deliveries: &[&DeliveryId],
) -> Result<HashMap<DeliveryId, EventSequence>, StoreError> {
    let statement = sqlx::query(include_str!("sql/find_deliveries.sql"))
        .bind(deliveries.iter().map(|of| of.hook.as_str()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|of| of.id.as_str()).collect::<Vec<_>>());
    let mut found = HashMap::new();
    for row in act.rows(statement).await? {
        if let Some(delivery) = delivery_of(&row)? {
            found.insert(delivery, EventSequence(column(&row, "sequence")?));
        }
    }
    Ok(found)
}

pub(super) async fn bounds(act: &mut Act) -> Result<EventBounds, StoreError> {
    let row = act.row(sqlx::query(include_str!("sql/find_event_bounds.sql"))).await?;
    let row = row.ok_or_else(|| broken("read the bounds of the log", "the log has no row"))?;
    Ok(EventBounds {
        last: EventSequence(column(&row, "last")?),
        pruned_to: EventSequence(column(&row, "pruned_to")?),
        bytes: count(&row, "bytes")?,
    })
}

/// The events of these heads; none if one of them was dropped since.
pub(super) async fn with_bodies(act: &mut Act, heads: Vec<EventHead>) -> Result<Option<Vec<EventRecord>>, StoreError> {
    if heads.is_empty() {
        return Ok(Some(vec![]));
    }
    let places: Vec<i64> = heads.iter().map(|head| head.sequence.0).collect();
    let statement = sqlx::query(include_str!("sql/list_event_bodies.sql")).bind(places);
    let rows = act.rows(statement).await?;
    if rows.len() < heads.len() {
        return Ok(None);
    }
    let record = |(head, row): (EventHead, &PgRow)| {
        let unreadable = |error: String| broken("read an event", error);
        let headers = serde_json::from_str(column(row, "headers")?);
        let body = unpack(column(row, "body")?, column(row, "packed")?, head.body_bytes);
        Ok(EventRecord {
            headers: headers.map_err(|error| unreadable(error.to_string()))?,
            body: body.map_err(|error| unreadable(error.to_string()))?,
            head,
        })
    };
    let events: Result<Vec<_>, StoreError> = heads.into_iter().zip(&rows).map(record).collect();
    events.map(Some)
}

fn delivery_of(row: &PgRow) -> Result<Option<DeliveryId>, StoreError> {
    let hook: Option<String> = column(row, "hook")?;
    let id: Option<String> = column(row, "delivery")?;
    Ok(hook.zip(id).map(|(hook, id)| DeliveryId { hook, id }))
}

pub(super) fn head(row: &PgRow) -> Result<EventHead, StoreError> {
    Ok(EventHead {
        sequence: EventSequence(column(row, "sequence")?),
        created_at: Timestamp(column(row, "created_at")?),
        topic: column(row, "topic")?,
        key: column(row, "key")?,
        delivery: delivery_of(row)?,
        verdict: verdict_of(column(row, "verdict")?)?,
        malformed: column(row, "malformed")?,
        body_bytes: count(row, "body_bytes")?,
        trace: column(row, "trace")?,
    })
}

fn old_event(row: &PgRow) -> Result<OldEvent, StoreError> {
    Ok(OldEvent {
        sequence: EventSequence(column(row, "sequence")?),
        created_at: Timestamp(column(row, "created_at")?),
        bytes: count(row, "stored_bytes")?,
    })
}
