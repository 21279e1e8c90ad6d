//! What the exit code says: the one place that lists the codes. `--help` and docs/cli.md print [`TABLE`].

use std::error::Error;
use std::fmt;
use std::io;

use tideline_config::ConfigErrors;
use tideline_producer::gateway::ListenError;
use tideline_queue::QueueError;
use tideline_runtime::telemetry::TelemetryError;
use tideline_store::StoreError;

use crate::client::ClientError;

/// The codes, as `--help` shows them.
pub(crate) const TABLE: &str = "\
Exit codes:
  0  success; for `run --once` and `demo --once`: every cycle read its source completely
  1  any other error
  2  invalid arguments, configuration, store URL or schema; nothing was changed
  3  a sweep is held for approval (`sources approve` or `sources reject`)
  4  a source failed: its cycle is incomplete, cancelled or complete with gaps (a partition failed, or a malformed item has no
     name), or the source is paused or blocked
  5  no such source, job or entity
  6  refused: not possible in the current state, or not confirmed; for `changes`: the reader must start over
  7  timed out (`--timeout`), interrupted by a signal, or unhealthy (`health`)
  8  there are changes (`plan`) or differences (`entities diff`)
  9  not allowed: no token, a wrong or expired one, or one whose role or sources do not cover it
  130  stopped immediately by a second signal";

/// Why the program ends as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    /// All well.
    Done = 0,
    /// Anything else.
    Error = 1,
    /// Arguments or configuration.
    Config = 2,
    /// A sweep waits for a person.
    Held = 3,
    /// A cycle did not complete.
    Failed = 4,
    /// No such row.
    NotFound = 5,
    /// Does not fit, or was not confirmed.
    Refused = 6,
    /// Too late, or not healthy.
    NotInTime = 7,
    /// A plan has changes.
    Changes = 8,
    /// The token does not allow it.
    NotAllowed = 9,
    /// Second signal.
    Stopped = 130,
}

impl Code {
    /// For the operating system.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }
}

/// An error that knows its code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    /// With a text for people.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// The code of an error. A broken pipe (`tideline jobs | head`) is not an error.
pub(crate) fn code_of(error: &anyhow::Error) -> Code {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.code;
        }
        if cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            return Code::Done;
        }
        if cause.is::<ConfigErrors>() || matches!(cause.downcast_ref(), Some(QueueError::Config(_))) {
            return Code::Config;
        }
        if cause.is::<TelemetryError>() || cause.is::<ListenError>() {
            return Code::Config;
        }
        if let Some(error) = cause.downcast_ref::<ClientError>() {
            return error.exit();
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return match error {
                StoreError::Config(_) | StoreError::Schema(_) => Code::Config,
                StoreError::NotFound { .. } => Code::NotFound,
                StoreError::Refused(_) | StoreError::StartOver(_) => Code::Refused,
                _ => Code::Error,
            };
        }
    }
    Code::Error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_comes_from_the_first_cause_that_has_one() {
        let refused = anyhow::Error::new(StoreError::Refused("no sweep is held".into())).context("approve platform");
        assert_eq!(code_of(&refused), Code::Refused);
        assert_eq!(code_of(&Failure::new(Code::Held, "held").into()), Code::Held);
        assert_eq!(code_of(&anyhow::anyhow!("what else")), Code::Error);
    }

    #[test]
    fn a_broken_pipe_is_no_error() {
        let error = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("write");
        assert_eq!(code_of(&error), Code::Done);
    }

    #[test]
    fn every_code_is_in_the_table() {
        for code in [
            Code::Done,
            Code::Error,
            Code::Config,
            Code::Held,
            Code::Failed,
            Code::NotFound,
            Code::Refused,
            Code::NotInTime,
            Code::Changes,
            Code::NotAllowed,
            Code::Stopped,
        ] {
            let line = format!("\n  {}  ", code.number());
            assert!(TABLE.contains(&line), "{code:?} is not in the table");
        }
    }
}
