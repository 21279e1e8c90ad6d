//! Subscriptions to the log of events.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row as _, query};

use super::events::{bounds, head, with_bodies};
use super::failure::failed;
use super::rows::{count, json, moment, optional_moment, to_json, undecodable, word, word_of};
use super::subscription_acts::{command_in, put_in};
use super::{SqliteStore, begin, commit, sql};
use crate::change_subscriptions::feed_seen;
use crate::subscriptions::{Died, Exchanged, Row, no_subscription};
use crate::{EventStart, Notice, StoreError, SubscriptionCommand, SubscriptionStore};
use tideline_core::rules::{Book, FeedProgress};
use tideline_core::words::{
    DeadLetter, EventHead, EventSequence, SettleEvent, SubscriptionRecord, SubscriptionSpec, TakeEvents, Taken,
    Timestamp,
};

/// Maximum number of dead letters per response.
const MAX_LETTERS: u32 = 1_000;

#[async_trait]
impl SubscriptionStore for SqliteStore {
    async fn put_subscription(
        &self,
        spec: &SubscriptionSpec,
        start: EventStart,
        now: Timestamp,
    ) -> Result<SubscriptionRecord, StoreError> {
        const ACT: &str = "put a subscription";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let record = put_in(&mut tx, spec, start, now).await?;
        commit(tx, ACT).await?;
        Ok(record)
    }

    async fn list_subscriptions(&self) -> Result<Vec<SubscriptionRecord>, StoreError> {
        const ACT: &str = "list subscriptions";
        let rows = query(sql!("list_subscriptions"))
            .bind(None::<&str>)
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        rows.iter()
            .map(|row| subscription(row).map(|row| row.record))
            .collect::<Result<_, _>>()
            .map_err(failed(ACT))
    }

    async fn find_subscription(&self, name: &str) -> Result<Option<SubscriptionRecord>, StoreError> {
        let mut reader = self.readers.acquire().await.map_err(failed("find a subscription"))?;
        match load(&mut reader, name, "find a subscription").await {
            Ok(row) => Ok(Some(row.record)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn command_subscription(&self, name: &str, command: &SubscriptionCommand) -> Result<(), StoreError> {
        const ACT: &str = "command a subscription";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let mut row = load(&mut tx, name, ACT).await?;
        command_in(&mut tx, &mut row, command).await?;
        commit(tx, ACT).await
    }

    async fn exchange_events(
        &self,
        name: &str,
        settlements: &[SettleEvent],
        request: Option<&TakeEvents>,
        now: Timestamp,
    ) -> Result<Exchanged, StoreError> {
        const ACT: &str = "exchange events";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        let mut row = load(&mut tx, name, ACT).await?;
        let exchanging = async {
            let (settled, died) = row.settle(settlements, now);
            bury(&mut tx, name, &died, now).await?;
            let (mut taken, mut changed) = (Taken::default(), !settlements.is_empty());
            if let Some(request) = request {
                let (found, moved) = take(&mut tx, &mut row, request, now).await?;
                changed |= moved || found.missed_to.is_some();
                taken = found;
            }
            if changed {
                save(&mut tx, &row).await?;
            }
            Ok(Exchanged { settled, taken })
        };
        let exchanged = exchanging.await.map_err(failed(ACT))?;
        commit(tx, ACT).await?;
        Ok(exchanged)
    }

    async fn find_notice(&self, name: &str, topic: &str, key: &str) -> Result<Option<Notice>, StoreError> {
        const ACT: &str = "find a notice";
        let found = query(sql!("find_notice"))
            .bind(name)
            .bind(topic)
            .bind(key)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed(ACT))?;
        let notice = |row: SqliteRow| {
            Ok(Notice {
                sequence: EventSequence(row.try_get(0)?),
                created_at: Timestamp(row.try_get(1)?),
            })
        };
        found.map(notice).transpose().map_err(failed(ACT))
    }

    async fn note_notice(&self, name: &str, event: &EventHead, forget_before: Timestamp) -> Result<(), StoreError> {
        const ACT: &str = "note a notice";
        let mut writer = self.writer().await;
        let mut tx = begin(&mut writer, ACT).await?;
        load(&mut tx, name, ACT).await?;
        query(sql!("note_notice"))
            .bind(name)
            .bind(&event.topic)
            .bind(&event.key)
            .bind(event.sequence.0)
            .bind(event.created_at.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        query(sql!("delete_old_notices"))
            .bind(name)
            .bind(forget_before.0)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACT))?;
        commit(tx, ACT).await
    }

    async fn list_dead_letters(
        &self,
        name: &str,
        after: EventSequence,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        const ACT: &str = "list dead letters";
        let rows = query(sql!("list_dead_letters"))
            .bind(name)
            .bind(after.0)
            .bind(limit.clamp(1, MAX_LETTERS))
            .fetch_all(&self.readers)
            .await
            .map_err(failed(ACT))?;
        rows.iter().map(letter).collect::<Result<_, _>>().map_err(failed(ACT))
    }
}

/// Hands out events of a subscription. Returns true if its row was changed.
async fn take(
    tx: &mut SqliteConnection,
    row: &mut Row,
    request: &TakeEvents,
    now: Timestamp,
) -> Result<(Taken, bool), sqlx::Error> {
    let missed_to = row.skip_pruned(bounds(tx).await?.pruned_to);
    let mut looking = row.look(request);
    while let Some((after, count)) = row.next_look(&looking) {
        let statement = query(sql!("list_event_heads")).bind(after.0).bind(count);
        let rows = statement.fetch_all(&mut *tx).await?;
        let heads = rows.iter().map(head).collect::<Result<Vec<_>, _>>()?;
        row.looked(&mut looking, count, heads);
    }
    let mut picked = row.pick(request, &looking, now);
    picked.missed_to = missed_to;
    bury(tx, &row.record.name, &picked.died, now).await?;
    let mut events = vec![];
    if !picked.taken.is_empty() {
        let (read, unread) = Row::heads_of(&picked, looking.heads);
        // Events that were handed out before are older.
        let mut heads = vec![];
        if !unread.is_empty() {
            let statement = query(sql!("list_heads_of_events")).bind(to_json(&unread)?);
            let rows = statement.fetch_all(&mut *tx).await?;
            heads = rows.iter().map(head).collect::<Result<Vec<_>, _>>()?;
        }
        heads.extend(read);
        events = with_bodies(tx, row.within_bytes(&mut picked, heads, request.token)).await?;
    }
    Ok((row.hand_out(&picked, events, now), picked.changed))
}

/// Writes dead letters.
async fn bury(tx: &mut SqliteConnection, name: &str, died: &[Died], now: Timestamp) -> Result<(), sqlx::Error> {
    for letter in died {
        query(sql!("insert_dead_letter"))
            .bind(name)
            .bind(letter.sequence.0)
            .bind(letter.attempts)
            .bind(&letter.error)
            .bind(now.0)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

pub(super) async fn load(connection: &mut SqliteConnection, name: &str, act: &'static str) -> Result<Row, StoreError> {
    let row = query(sql!("list_subscriptions"))
        .bind(name)
        .fetch_optional(connection)
        .await
        .map_err(failed(act))?;
    let row = row.ok_or_else(|| no_subscription(name))?;
    subscription(&row).map_err(failed(act))
}

pub(super) async fn save(connection: &mut SqliteConnection, row: &Row) -> Result<(), sqlx::Error> {
    let record = &row.record;
    query(sql!("save_subscription"))
        .bind(&record.name)
        .bind(word_of(record.state)?)
        .bind(record.blocked_reason.as_deref())
        .bind(record.position.0)
        .bind(row.seen().0)
        .bind(u32::try_from(row.book.len()).unwrap_or(u32::MAX))
        .bind(record.failing_since.map(|moment| moment.0))
        .bind(record.last_error.as_deref())
        .bind(record.missed_to.map(|sequence| sequence.0))
        .bind(to_json(&row.book)?)
        .bind(record.generation)
        .bind(record.feed.as_ref().map(to_json).transpose()?)
        .bind(record.feed.map(feed_seen))
        .execute(connection)
        .await
        .map(drop)
}

fn subscription(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let book: Book = json(row, 12)?;
    let push = row.try_get::<Option<&str>, _>(15)?;
    let changes = row.try_get::<Option<&str>, _>(18)?;
    let feed = row.try_get::<Option<&str>, _>(19)?;
    let feed: Option<FeedProgress> = feed.map(serde_json::from_str).transpose().map_err(undecodable)?;
    Ok(Row {
        record: SubscriptionRecord {
            name: row.try_get(0)?,
            kind: word(row, 1)?,
            topics: json(row, 2)?,
            state: word(row, 3)?,
            blocked_reason: row.try_get(4)?,
            position: EventSequence(row.try_get(5)?),
            outstanding: match &feed {
                Some(feed) => u32::from(feed.is_outstanding()),
                None => count(row, 6)?,
            },
            failing_since: optional_moment(row, 7)?,
            last_error: row.try_get(8)?,
            missed_to: row.try_get::<Option<i64>, _>(9)?.map(EventSequence),
            created_at: moment(row, 10)?,
            dead_letters: count(row, 13)?,
            filter: row.try_get(14)?,
            push: push.map(serde_json::from_str).transpose().map_err(undecodable)?,
            generation: row.try_get(16)?,
            next_try: feed.map_or_else(|| book.next_try(), |feed| feed.next_try()),
            behind_since: optional_moment(row, 17)?.filter(|_| feed.is_none()),
            changes: changes.map(serde_json::from_str).transpose().map_err(undecodable)?,
            feed,
            max_outstanding: count(row, 11)?,
        },
        book,
    })
}

fn letter(row: &SqliteRow) -> Result<DeadLetter, sqlx::Error> {
    Ok(DeadLetter {
        event: row.try_get::<Option<i64>, _>(0)?.map(|_| head(row)).transpose()?,
        sequence: EventSequence(row.try_get(10)?),
        attempts: count(row, 11)?,
        error: row.try_get(12)?,
        died_at: moment(row, 13)?,
    })
}
