use std::time::Duration;

use crate::StoreError;

/// Classifies an error of the driver. Source of the codes: PostgreSQL manual, appendix A.
pub(super) fn classify(act: &'static str, maybe_done: bool, error: sqlx::Error) -> StoreError {
    let code = error
        .as_database_error()
        .and_then(|database| database.code().map(|code| code.into_owned()));
    let unavailable = |maybe_done, error| StoreError::Unavailable {
        act,
        maybe_done,
        source: cause(error),
    };
    match code.as_deref() {
        // serialization_failure, deadlock_detected
        Some("40001" | "40P01") => StoreError::Conflict {
            act,
            source: cause(error),
        },
        // unique_violation where another transaction was faster; on a retry the act finds its row
        Some("23505") if was_faster(&error) => StoreError::Conflict {
            act,
            source: cause(error),
        },
        // statement_completion_unknown
        Some("40003") => unavailable(true, error),
        // character_not_in_repertoire: a text with a NUL character
        Some("22021") => StoreError::Refused(format!("{} ({act})", message(&error))),
        Some("42501") => StoreError::Config(format!(
            "store: the user of the URL lacks a right in Postgres ({act}: {}); grant it the rights on Tideline's tables",
            message(&error)
        )),
        // The server accepted us before: an administrator is changing its passwords, its rules or its databases.
        Some(code) if code.starts_with("28") || code == "3D000" => unavailable(false, error),
        // connection exceptions, insufficient resources, operator intervention, idle in transaction, object not ready
        Some(code)
            if code.starts_with("08")
                || code.starts_with("53")
                || code.starts_with("57P")
                || matches!(code, "25P03" | "25P04" | "57014" | "55P03" | "25006") =>
        {
            // The server says that it did not do it, unless it was about to commit when it was told to stop.
            let unsure = maybe_done && code.starts_with("57P");
            unavailable(unsure, error)
        }
        Some(_) => StoreError::Broken {
            act,
            source: cause(error),
        },
        None => match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => unavailable(false, error),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                unavailable(maybe_done, error)
            }
            other => StoreError::Broken {
                act,
                source: cause(other),
            },
        },
    }
}

/// The driver's errors repeat their source; the source alone is enough.
fn cause(error: sqlx::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        sqlx::Error::Io(cause) => Box::new(cause),
        sqlx::Error::Tls(cause) => cause,
        sqlx::Error::Database(cause) => cause.into_error(),
        other => Box::new(other),
    }
}

fn was_faster(error: &sqlx::Error) -> bool {
    let constraint = error.as_database_error().and_then(|database| database.constraint());
    matches!(
        constraint,
        Some("entities_pkey" | "cycles_running" | "cycles_pkey" | "sources_name_key")
    )
}

/// The text of a database's error, without what the driver puts around it.
pub(super) fn message(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .map_or_else(|| error.to_string(), |database| database.message().to_owned())
}

/// A statement without a timely response.
pub(super) fn timed_out(act: &'static str, maybe_done: bool, after: Duration) -> StoreError {
    StoreError::Unavailable {
        act,
        maybe_done,
        source: format!("no answer within {} ms", after.as_millis()).into(),
    }
}

/// Rows are not in a state that the program writes.
pub(super) fn broken(act: &'static str, what: impl Into<String>) -> StoreError {
    StoreError::Broken {
        act,
        source: what.into().into(),
    }
}

/// Another transaction wrote between two reads; the act may be retried at once.
pub(super) fn conflict(act: &'static str, what: impl Into<String>) -> StoreError {
    StoreError::Conflict {
        act,
        source: what.into().into(),
    }
}
