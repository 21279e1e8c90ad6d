//! Subscriptions to the log of events.

use async_trait::async_trait;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::act::Act;
use super::error::broken;
use super::events::{head, with_bodies};
use super::rows::{
    column, count, moment, small, storable, subscription_kind_of, subscription_state_of, subscription_state_text,
};
use super::subscription_acts::{command_in, put_in};
use crate::change_subscriptions::feed_seen;
use crate::subscriptions::{Died, Exchanged, Row, no_subscription};
use crate::{EventStart, Notice, StoreError, SubscriptionCommand, SubscriptionStore};
use tideline_core::rules::{Book, FeedProgress};
use tideline_core::words::{
    DeadLetter, EventHead, EventRecord, EventSequence, SettleEvent, SubscriptionRecord, SubscriptionSpec, TakeEvents,
    Taken, Timestamp,
};

#[async_trait]
impl SubscriptionStore for PostgresStore {
    async fn put_subscription(
        &self,
        spec: &SubscriptionSpec,
        start: EventStart,
        now: Timestamp,
    ) -> Result<SubscriptionRecord, StoreError> {
        let mut act = self.writing("put a subscription").await?;
        act.begin().await?;
        let record = put_in(&mut act, spec, start, now).await?;
        act.commit().await?;
        Ok(record)
    }

    async fn list_subscriptions(&self) -> Result<Vec<SubscriptionRecord>, StoreError> {
        let mut act = self.reading("list subscriptions").await?;
        Ok(list(&mut act, None).await?.into_iter().map(|row| row.record).collect())
    }

    async fn find_subscription(&self, name: &str) -> Result<Option<SubscriptionRecord>, StoreError> {
        let mut act = self.reading("find a subscription").await?;
        Ok(list(&mut act, Some(name))
            .await?
            .into_iter()
            .next()
            .map(|row| row.record))
    }

    async fn command_subscription(&self, name: &str, command: &SubscriptionCommand) -> Result<(), StoreError> {
        let mut act = self.writing("command a subscription").await?;
        let mut row = lock(&mut act, name).await?;
        command_in(&mut act, &mut row, command).await?;
        act.commit().await
    }

    async fn exchange_events(
        &self,
        name: &str,
        settlements: &[SettleEvent],
        request: Option<&TakeEvents>,
        now: Timestamp,
    ) -> Result<Exchanged, StoreError> {
        let mut act = self.writing("exchange events").await?;
        // A consumer that only wants events leaves them to the one that has locked the subscription.
        let may_wait = !settlements.is_empty() || request.is_none_or(|request| request.in_flight.is_none());
        let mut row = if may_wait {
            lock(&mut act, name).await?
        } else if let Some(row) = try_lock(&mut act, name).await? {
            row
        } else {
            act.rollback().await?;
            return Ok(Exchanged::default());
        };
        let (settled, died) = row.settle(settlements, now);
        bury(&mut act, name, &died, now).await?;
        let (mut taken, mut changed) = (Taken::default(), !settlements.is_empty());
        if let Some(request) = request {
            let (found, moved) = take(&mut act, &mut row, request, now).await?;
            changed |= moved || found.missed_to.is_some();
            taken = found;
        }
        if changed {
            save(&mut act, &row).await?;
            act.commit().await?;
        } else {
            act.rollback().await?;
        }
        Ok(Exchanged { settled, taken })
    }

    async fn find_notice(&self, name: &str, topic: &str, key: &str) -> Result<Option<Notice>, StoreError> {
        let mut act = self.reading("find a notice").await?;
        let statement = sqlx::query(include_str!("sql/find_notice.sql"));
        let row = act.row(statement.bind(name).bind(topic).bind(key)).await?;
        let notice = |row: PgRow| {
            Ok(Notice {
                sequence: EventSequence(column(&row, "sequence")?),
                created_at: Timestamp(column(&row, "created_at")?),
            })
        };
        row.map(notice).transpose()
    }

    async fn note_notice(&self, name: &str, event: &EventHead, forget_before: Timestamp) -> Result<(), StoreError> {
        let mut act = self.writing("note a notice").await?;
        lock(&mut act, name).await?;
        let note = sqlx::query(include_str!("sql/note_notice.sql"));
        let note = note.bind(name).bind(&event.topic).bind(&event.key);
        act.run(note.bind(event.sequence.0).bind(event.created_at.0)).await?;
        let forget = sqlx::query(include_str!("sql/delete_old_notices.sql"));
        act.run(forget.bind(name).bind(forget_before.0)).await?;
        act.commit().await
    }

    async fn list_dead_letters(
        &self,
        name: &str,
        after: EventSequence,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let mut act = self.reading("list dead letters").await?;
        let statement = sqlx::query(include_str!("sql/list_dead_letters.sql"))
            .bind(name)
            .bind(after.0)
            .bind(i64::from(limit.clamp(1, 1_000)));
        act.rows(statement).await?.iter().map(letter).collect()
    }
}

/// Hands out events of a subscription that this transaction has locked. Returns true if its row was changed.
async fn take(act: &mut Act, row: &mut Row, request: &TakeEvents, now: Timestamp) -> Result<(Taken, bool), StoreError> {
    let mut looking = row.look(request);
    let mut pruned_to = EventSequence(0);
    while let Some((after, count)) = row.next_look(&looking) {
        let statement = sqlx::query(include_str!("sql/list_event_heads.sql"));
        let rows = act.rows(statement.bind(after.0).bind(i64::from(count))).await?;
        let mut heads = Vec::with_capacity(rows.len());
        for found in &rows {
            pruned_to = EventSequence(column(found, "pruned_to")?);
            if column::<Option<i64>>(found, "sequence")?.is_some() {
                heads.push(head(found)?);
            }
        }
        row.looked(&mut looking, count, heads);
    }
    let missed_to = row.skip_pruned(pruned_to);
    let mut picked = row.pick(request, &looking, now);
    picked.missed_to = missed_to;
    bury(act, &row.record.name, &picked.died, now).await?;
    let mut events = vec![];
    if !picked.taken.is_empty() {
        let (read, unread) = Row::heads_of(&picked, looking.heads);
        // Events that were handed out before are older.
        let mut heads = vec![];
        if !unread.is_empty() {
            heads = heads_of(act, unread.into_iter().map(|sequence| sequence.0).collect()).await?;
        }
        heads.extend(read);
        let fitting = row.within_bytes(&mut picked, heads, request.token);
        events = bodies(act, fitting).await?;
    }
    Ok((row.hand_out(&picked, events, now), picked.changed))
}

/// Writes dead letters.
async fn bury(act: &mut Act, name: &str, died: &[Died], now: Timestamp) -> Result<(), StoreError> {
    for letter in died {
        let statement = sqlx::query(include_str!("sql/insert_dead_letter.sql"))
            .bind(name)
            .bind(letter.sequence.0)
            .bind(i32::try_from(letter.attempts).unwrap_or(i32::MAX))
            .bind(&letter.error)
            .bind(now.0);
        act.run(statement).await?;
    }
    Ok(())
}

pub(super) async fn find(act: &mut Act, name: &str) -> Result<Row, StoreError> {
    let found = list(act, Some(name)).await?;
    found.into_iter().next().ok_or_else(|| no_subscription(name))
}

pub(super) async fn list(act: &mut Act, name: Option<&str>) -> Result<Vec<Row>, StoreError> {
    let statement = sqlx::query(include_str!("sql/list_subscriptions.sql"));
    act.rows(statement.bind(name)).await?.iter().map(subscription).collect()
}

/// Begins a transaction and locks the subscription.
pub(super) async fn lock(act: &mut Act, name: &str) -> Result<Row, StoreError> {
    act.begin().await?;
    lock_in(act, name).await
}

/// The same, within a transaction that has begun.
pub(super) async fn lock_in(act: &mut Act, name: &str) -> Result<Row, StoreError> {
    let statement = sqlx::query(include_str!("sql/lock_subscription.sql"));
    let row = act.row(statement.bind(name)).await?;
    subscription(&row.ok_or_else(|| no_subscription(name))?)
}

/// Like [`lock`], but `None` if another transaction holds the lock or the subscription does not exist.
async fn try_lock(act: &mut Act, name: &str) -> Result<Option<Row>, StoreError> {
    act.begin().await?;
    let statement = sqlx::query(include_str!("sql/try_lock_subscription.sql"));
    act.row(statement.bind(name))
        .await?
        .as_ref()
        .map(subscription)
        .transpose()
}

pub(super) async fn save(act: &mut Act, row: &Row) -> Result<(), StoreError> {
    let record = &row.record;
    let statement = sqlx::query(include_str!("sql/save_subscription.sql"))
        .bind(&record.name)
        .bind(subscription_state_text(record.state))
        .bind(record.blocked_reason.as_deref().map(storable))
        .bind(record.position.0)
        .bind(row.seen().0)
        .bind(i32::try_from(row.book.len()).unwrap_or(i32::MAX))
        .bind(record.failing_since.map(|moment| moment.0))
        .bind(record.last_error.as_deref().map(storable))
        .bind(record.missed_to.map(|sequence| sequence.0))
        .bind(to_json(&row.book)?)
        .bind(record.generation)
        .bind(record.feed.as_ref().map(to_json).transpose()?)
        .bind(record.feed.map(feed_seen));
    act.run(statement).await.map(drop)
}

async fn heads_of(act: &mut Act, sequences: Vec<i64>) -> Result<Vec<EventHead>, StoreError> {
    let statement = sqlx::query(include_str!("sql/list_heads_of_events.sql")).bind(sequences);
    act.rows(statement).await?.iter().map(head).collect()
}

/// The events of these heads. Those that were dropped meanwhile are left out.
async fn bodies(act: &mut Act, heads: Vec<EventHead>) -> Result<Vec<EventRecord>, StoreError> {
    let sequences: Vec<i64> = heads.iter().map(|head| head.sequence.0).collect();
    if let Some(events) = with_bodies(act, heads).await? {
        return Ok(events);
    }
    let left = heads_of(act, sequences).await?;
    let events = with_bodies(act, left).await?;
    events.ok_or_else(|| broken("take events", "events vanish while they are read"))
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| broken("write a subscription", error.to_string()))
}

fn of_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| broken("read a subscription", error.to_string()))
}

fn subscription(row: &PgRow) -> Result<Row, StoreError> {
    let sequence = |name| Ok::<_, StoreError>(column::<Option<i64>>(row, name)?.map(EventSequence));
    let book: Book = of_json(column(row, "book")?)?;
    let feed: Option<FeedProgress> = column::<Option<&str>>(row, "feed")?.map(of_json).transpose()?;
    Ok(Row {
        record: SubscriptionRecord {
            name: column(row, "name")?,
            kind: subscription_kind_of(column(row, "kind")?)?,
            topics: of_json(column(row, "topics")?)?,
            state: subscription_state_of(column(row, "state")?)?,
            blocked_reason: column(row, "blocked_reason")?,
            position: EventSequence(column(row, "position")?),
            outstanding: match &feed {
                Some(feed) => u32::from(feed.is_outstanding()),
                None => small(row, "outstanding")?,
            },
            dead_letters: count(row, "dead_letters")?,
            failing_since: moment(row, "failing_since")?,
            last_error: column(row, "last_error")?,
            missed_to: sequence("missed_to")?,
            created_at: Timestamp(column(row, "created_at")?),
            filter: column(row, "filter")?,
            push: column::<Option<&str>>(row, "push")?.map(of_json).transpose()?,
            generation: column(row, "generation")?,
            next_try: feed.map_or_else(|| book.next_try(), |feed| feed.next_try()),
            behind_since: moment(row, "behind_since")?.filter(|_| feed.is_none()),
            changes: column::<Option<&str>>(row, "changes")?.map(of_json).transpose()?,
            feed,
            max_outstanding: small(row, "max_outstanding")?,
        },
        book,
    })
}

fn letter(row: &PgRow) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        event: column::<Option<i64>>(row, "sequence")?.map(|_| head(row)).transpose()?,
        sequence: EventSequence(column(row, "dead_sequence")?),
        attempts: small(row, "attempts")?,
        error: column(row, "error")?,
        died_at: Timestamp(column(row, "died_at")?),
    })
}
