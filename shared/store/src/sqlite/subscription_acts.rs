//! What operators do to subscriptions, to what these gave up, and to events, within a transaction.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Row as _, query, query_scalar};

use super::events::{at, insert, known, start_at};
use super::failure::failed;
use super::rows::{to_json, word_of};
use super::sql;
use super::subscriptions::{load, save};
use crate::change_subscriptions::{feed_seen, feed_start};
use crate::event_acts::{check_letters, copy_of, expect, no_event, other_kind};
use crate::subscriptions::Row;
use crate::{EventStart, Outcome, StoreError, SubscriptionAct, SubscriptionCommand};
use tideline_core::rules::FeedProgress;
use tideline_core::words::{EventSequence, FeedPosition, Sequence, SubscriptionRecord, SubscriptionSpec, Timestamp};

const ACT: &str = "act on a subscription";

/// Performs an operator's act.
pub(super) async fn act_in(
    tx: &mut SqliteConnection,
    name: &str,
    wanted: &SubscriptionAct,
    expected: Option<&[String]>,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    if let SubscriptionAct::Put { spec, start } = wanted {
        if expected.is_some() {
            expect(&load(tx, name, ACT).await?.record, expected)?;
        }
        put_in(tx, spec, *start, now).await?;
        return Ok(Outcome::Done);
    }
    let mut row = load(tx, name, ACT).await?;
    expect(&row.record, expected)?;
    match wanted {
        SubscriptionAct::Put { .. } => {}
        SubscriptionAct::Delete => {
            let delete = query(sql!("delete_subscription")).bind(name);
            delete.execute(tx).await.map_err(failed(ACT))?;
        }
        SubscriptionAct::Command(command) => command_in(tx, &mut row, command).await?,
        SubscriptionAct::RetryDeadLetters(event) | SubscriptionAct::DropDeadLetters(event) => {
            let retries = matches!(wanted, SubscriptionAct::RetryDeadLetters(_));
            let count = take_letters(tx, &mut row, *event, retries).await?;
            return Ok(Outcome::DeadLetters { count });
        }
    }
    Ok(Outcome::Done)
}

/// Creates a subscription, or changes what it follows.
pub(super) async fn put_in(
    tx: &mut SqliteConnection,
    spec: &SubscriptionSpec,
    start: EventStart,
    now: Timestamp,
) -> Result<SubscriptionRecord, StoreError> {
    const ACT: &str = "put a subscription";
    let (after, feed) = starts(tx, start, spec.changes.is_some()).await?;
    let feed = spec.changes.as_ref().map(|_| FeedProgress::at(feed));
    let topics = to_json(&spec.topics).map_err(failed(ACT))?;
    let kind = word_of(spec.kind).map_err(failed(ACT))?;
    let put = query(sql!("upsert_subscription"))
        .bind(&spec.name)
        .bind(kind)
        .bind(topics)
        .bind(spec.max_outstanding.max(1))
        .bind(after.0)
        .bind(now.0)
        .bind(&spec.filter)
        .bind(spec.push.as_ref().map(to_json).transpose().map_err(failed(ACT))?)
        .bind(spec.changes.as_ref().map(to_json).transpose().map_err(failed(ACT))?)
        .bind(feed.as_ref().map(to_json).transpose().map_err(failed(ACT))?)
        .bind(feed.map(feed_seen))
        .execute(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    if put.rows_affected() == 0 {
        return Err(other_kind(spec));
    }
    Ok(load(tx, &spec.name, ACT).await?.record)
}

/// Executes a command on a subscription.
pub(super) async fn command_in(
    tx: &mut SqliteConnection,
    row: &mut Row,
    command: &SubscriptionCommand,
) -> Result<(), StoreError> {
    let start = match command {
        SubscriptionCommand::Replay(start) => starts(tx, *start, row.record.changes.is_some()).await?,
        _ => (EventSequence(0), FeedPosition::START),
    };
    row.command(command, start)?;
    save(tx, row).await.map_err(failed(ACT))
}

/// Where a follower begins, in the log and (if it follows changes) in the change feed.
async fn starts(
    tx: &mut SqliteConnection,
    start: EventStart,
    changes: bool,
) -> Result<(EventSequence, FeedPosition), StoreError> {
    const ACT: &str = "find where to begin";
    let feed = if changes {
        let last = query_scalar(sql!("find_last_sequence")).fetch_one(&mut *tx).await;
        feed_start(start, Sequence(last.map_err(failed(ACT))?))?
    } else {
        FeedPosition::START
    };
    Ok((start_at(tx, start).await.map_err(failed(ACT))?, feed))
}

/// Takes dead letters out. Returns how many.
async fn take_letters(
    tx: &mut SqliteConnection,
    row: &mut Row,
    event: Option<EventSequence>,
    retries: bool,
) -> Result<u64, StoreError> {
    let letters = query(sql!("take_dead_letters"))
        .bind(&row.record.name)
        .bind(event.map(|event| event.0))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACT))?;
    check_letters(&row.record.name, event, letters.len())?;
    if retries {
        let putting = async {
            for letter in &letters {
                row.put_back(EventSequence(letter.try_get(0)?), letter.try_get(1)?);
            }
            save(tx, row).await
        };
        putting.await.map_err(failed(ACT))?;
    }
    Ok(u64::try_from(letters.len()).unwrap_or(u64::MAX))
}

/// Appends a copy of an event.
pub(super) async fn replay_in(
    tx: &mut SqliteConnection,
    event: EventSequence,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    const ACT: &str = "replay an event";
    let found = at(tx, event)
        .await
        .map_err(failed(ACT))?
        .ok_or_else(|| no_event(event))?;
    let copy = copy_of(found, now)?;
    let event = match insert(tx, &copy, now).await.map_err(failed(ACT))? {
        Some(appended) => appended,
        // It was replayed within the same millisecond.
        None => known(tx, &copy, ACT).await?,
    };
    Ok(Outcome::Appended { event })
}
