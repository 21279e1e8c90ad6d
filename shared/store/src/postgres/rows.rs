//! Columns ↔ words.

use std::borrow::Cow;

use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row, Type};

use super::error::broken;
use crate::StoreError;
use tideline_core::words::{
    CycleState, Fingerprint, JobState, SourceState, SubscriptionKind, SubscriptionState, Timestamp, Trigger, Verdict,
};

/// From this `due_at` on, a partition waits for a place; the excess is the time until which it waits on its ladder.
pub(super) const NO_PLACE: i64 = 1 << 62;

/// A column of a row.
pub(super) fn column<'r, T>(row: &'r PgRow, name: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(name).map_err(|error| StoreError::Broken {
        act: "read a column",
        source: Box::new(error),
    })
}

/// A text in the database cannot contain NUL; an error or a sample of a broken response may.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// A non-negative number.
pub(super) fn count(row: &PgRow, name: &'static str) -> Result<u64, StoreError> {
    Ok(u64::try_from(column::<i64>(row, name)?).unwrap_or(0))
}

/// A non-negative 32-bit number.
pub(super) fn small(row: &PgRow, name: &'static str) -> Result<u32, StoreError> {
    Ok(u32::try_from(column::<i32>(row, name)?).unwrap_or(0))
}

/// An optional timestamp.
pub(super) fn moment(row: &PgRow, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
    Ok(column::<Option<i64>>(row, name)?.map(Timestamp))
}

/// A fingerprint.
pub(super) fn fingerprint(bytes: &[u8]) -> Result<Fingerprint, StoreError> {
    bytes
        .try_into()
        .map(Fingerprint)
        .map_err(|_| broken("read a fingerprint", "it has not 32 bytes"))
}

macro_rules! words {
    ($kind:ident, $to:ident, $from:ident, $($variant:ident = $text:literal),+ $(,)?) => {
        /// The word in the database.
        pub(super) fn $to(word: $kind) -> &'static str {
            match word {
                $($kind::$variant => $text,)+
            }
        }

        /// The word of the database.
        pub(super) fn $from(text: &str) -> Result<$kind, StoreError> {
            match text {
                $($text => Ok($kind::$variant),)+
                other => Err(broken("read a word", format!("unknown: {other}"))),
            }
        }
    };
}

words!(
    Trigger,
    trigger_text,
    trigger_of,
    Schedule = "schedule",
    Webhook = "webhook",
    Manual = "manual",
    Drift = "drift",
    Start = "start"
);
words!(
    SubscriptionKind,
    subscription_kind_text,
    subscription_kind_of,
    Pull = "pull",
    Push = "push"
);
words!(
    SubscriptionState,
    subscription_state_text,
    subscription_state_of,
    Active = "active",
    Paused = "paused",
    Blocked = "blocked"
);
words!(
    Verdict,
    verdict_text,
    verdict_of,
    Verified = "verified",
    Unsigned = "unsigned",
    Fetched = "fetched",
    Published = "published",
    Own = "own"
);
words!(
    JobState,
    job_state_text,
    job_state_of,
    Waiting = "waiting",
    Running = "running",
    Done = "done",
    Parked = "parked",
    Cancelled = "cancelled"
);
/// The word of the database.
pub(super) fn source_state_of(text: &str) -> Result<SourceState, StoreError> {
    match text {
        "active" => Ok(SourceState::Active),
        "paused" => Ok(SourceState::Paused),
        "blocked" => Ok(SourceState::Blocked),
        "orphaned" => Ok(SourceState::Orphaned),
        other => Err(broken("read a word", format!("unknown: {other}"))),
    }
}

words!(
    CycleState,
    cycle_state_text,
    cycle_state_of,
    Bursting = "bursting",
    Sweeping = "sweeping",
    Held = "held",
    Complete = "complete",
    Incomplete = "incomplete",
    Cancelled = "cancelled"
);
