//! What operators do to subscriptions, to what these gave up, and to events, within a transaction.

use super::act::Act;
use super::error::broken;
use super::events::{append, at, start_at};
use super::rows::{column, subscription_kind_text};
use super::subscriptions::{list, lock_in, save, to_json};
use crate::change_subscriptions::{feed_seen, feed_start};
use crate::event_acts::{check_letters, copy_of, expect, no_event, other_kind};
use crate::subscriptions::{Row, no_subscription};
use crate::{EventStart, Outcome, StoreError, SubscriptionAct, SubscriptionCommand};
use tideline_core::rules::FeedProgress;
use tideline_core::words::{EventSequence, FeedPosition, Sequence, SubscriptionRecord, SubscriptionSpec, Timestamp};

/// Performs an operator's act.
pub(super) async fn act_in(
    act: &mut Act,
    name: &str,
    wanted: &SubscriptionAct,
    expected: Option<&[String]>,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    if let SubscriptionAct::Put { spec, start } = wanted {
        if expected.is_some() {
            expect(&lock_in(act, name).await?.record, expected)?;
        }
        put_in(act, spec, *start, now).await?;
        return Ok(Outcome::Done);
    }
    let mut row = lock_in(act, name).await?;
    expect(&row.record, expected)?;
    match wanted {
        SubscriptionAct::Put { .. } => {}
        SubscriptionAct::Delete => {
            let statement = sqlx::query(include_str!("sql/delete_subscription.sql"));
            act.run(statement.bind(name)).await?;
        }
        SubscriptionAct::Command(command) => command_in(act, &mut row, command).await?,
        SubscriptionAct::RetryDeadLetters(event) | SubscriptionAct::DropDeadLetters(event) => {
            let retries = matches!(wanted, SubscriptionAct::RetryDeadLetters(_));
            let count = take_letters(act, &mut row, *event, retries).await?;
            return Ok(Outcome::DeadLetters { count });
        }
    }
    Ok(Outcome::Done)
}

/// Creates a subscription, or changes what it follows.
pub(super) async fn put_in(
    act: &mut Act,
    spec: &SubscriptionSpec,
    start: EventStart,
    now: Timestamp,
) -> Result<SubscriptionRecord, StoreError> {
    let (after, feed) = starts(act, start, spec.changes.is_some()).await?;
    let feed = spec.changes.as_ref().map(|_| FeedProgress::at(feed));
    let statement = sqlx::query(include_str!("sql/upsert_subscription.sql"))
        .bind(&spec.name)
        .bind(subscription_kind_text(spec.kind))
        .bind(to_json(&spec.topics)?)
        .bind(i32::try_from(spec.max_outstanding.max(1)).unwrap_or(i32::MAX))
        .bind(after.0)
        .bind(now.0)
        .bind(&spec.filter)
        .bind(spec.push.as_ref().map(to_json).transpose()?)
        .bind(spec.changes.as_ref().map(to_json).transpose()?)
        .bind(feed.as_ref().map(to_json).transpose()?)
        .bind(feed.map(feed_seen));
    if act.run(statement).await? == 0 {
        return Err(other_kind(spec));
    }
    let rows = list(act, Some(&spec.name)).await?;
    let row = rows.into_iter().next().ok_or_else(|| no_subscription(&spec.name))?;
    Ok(row.record)
}

/// Executes a command on a subscription that this transaction has locked.
pub(super) async fn command_in(act: &mut Act, row: &mut Row, command: &SubscriptionCommand) -> Result<(), StoreError> {
    let start = match command {
        SubscriptionCommand::Replay(start) => starts(act, *start, row.record.changes.is_some()).await?,
        _ => (EventSequence(0), FeedPosition::START),
    };
    row.command(command, start)?;
    save(act, row).await
}

/// Where a follower begins, in the log and (if it follows changes) in the change feed.
async fn starts(act: &mut Act, start: EventStart, changes: bool) -> Result<(EventSequence, FeedPosition), StoreError> {
    let feed = if changes {
        let row = act.row(sqlx::query(include_str!("sql/find_last_sequence.sql"))).await?;
        let row = row.ok_or_else(|| broken("find where to begin", "the counter of changes is gone"))?;
        feed_start(start, Sequence(column(&row, "value")?))?
    } else {
        FeedPosition::START
    };
    Ok((start_at(act, start).await?, feed))
}

/// Takes dead letters out. Returns how many.
async fn take_letters(
    act: &mut Act,
    row: &mut Row,
    event: Option<EventSequence>,
    retries: bool,
) -> Result<u64, StoreError> {
    let statement = sqlx::query(include_str!("sql/take_dead_letters.sql"))
        .bind(&row.record.name)
        .bind(event.map(|event| event.0));
    let letters = act.rows(statement).await?;
    check_letters(&row.record.name, event, letters.len())?;
    if retries {
        for letter in &letters {
            row.put_back(EventSequence(column(letter, "sequence")?), column(letter, "key")?);
        }
        save(act, row).await?;
    }
    Ok(letters.len() as u64)
}

/// Appends a copy of an event.
pub(super) async fn replay_in(act: &mut Act, event: EventSequence, now: Timestamp) -> Result<Outcome, StoreError> {
    let found = at(act, event).await?.ok_or_else(|| no_event(event))?;
    let appended = append(act, &[copy_of(found, now)?], now).await?;
    let appended = appended.first().ok_or_else(|| no_event(event))?;
    Ok(Outcome::Appended {
        event: appended.sequence,
    })
}
