use sqlx::error::DatabaseError;

use crate::StoreError;

// Primary result codes, https://www.sqlite.org/rescode.html
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NO_MEMORY: u32 = 7;
const READ_ONLY: u32 = 8;
const IO: u32 = 10;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;

/// Classifies a driver error in this act.
pub(super) fn failed(act: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| classify(act, false, error)
}

/// The same for a commit, whose outcome may be unknown.
pub(super) fn failed_commit(act: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| classify(act, true, error)
}

/// A row has an impossible value.
pub(super) fn broken(act: &'static str, text: impl Into<String>) -> StoreError {
    StoreError::Broken {
        act,
        source: text.into().into(),
    }
}

fn classify(act: &'static str, committing: bool, error: sqlx::Error) -> StoreError {
    let code = primary_code(&error);
    let source = Box::new(error);
    match code {
        Some(BUSY | LOCKED) => StoreError::Conflict { act, source },
        Some(READ_ONLY) => StoreError::Config(
            "the database file cannot be written: its permissions or those of its folder forbid it, or it was deleted \
             or replaced while tideline was running; fix this and restart tideline"
                .to_owned(),
        ),
        Some(NO_MEMORY | IO | FULL | CANNOT_OPEN) => StoreError::Unavailable {
            act,
            maybe_done: committing,
            source,
        },
        None if matches!(
            *source,
            // The last two: a connection whose transaction could not be ended, which is replaced as soon as one can be
            // made.
            sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::BeginFailed
                | sqlx::Error::InvalidSavePointStatement
        ) =>
        {
            StoreError::Unavailable {
                act,
                maybe_done: committing,
                source,
            }
        }
        _ => StoreError::Broken { act, source },
    }
}

/// The primary result code (the low byte of the extended one).
pub(super) fn primary_code(error: &sqlx::Error) -> Option<u32> {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff)
}
