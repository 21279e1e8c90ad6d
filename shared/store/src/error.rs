use std::error::Error;

use tideline_core::full_text;
use tideline_core::words::FeedGap;

type Cause = Box<dyn Error + Send + Sync>;

/// Why an act on the store failed. Display never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is overloaded: the same call may work later.
    #[error("the store is not available ({act})")]
    Unavailable {
        /// The act that failed.
        act: &'static str,
        /// The act may have happened although its response was lost.
        maybe_done: bool,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// Another transaction conflicted; retrying the same call at once may work.
    #[error("conflict with another transaction ({act})")]
    Conflict {
        /// The act that failed.
        act: &'static str,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// The store's schema is not the one this program knows.
    #[error("{0}")]
    Schema(String),
    /// The URL, the rights or the file are wrong; a person has to act. The text says what to do.
    #[error("{0}")]
    Config(String),
    /// No row of that name or number.
    #[error("{what} {name} does not exist")]
    NotFound {
        /// `source`, `job`, `entity`.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// The row's state does not allow the act; the text says why.
    #[error("{0}")]
    Refused(String),
    /// The act was to be done only to the record as it was read, and it has changed since.
    #[error("{what} {name} has changed since it was read")]
    Changed {
        /// `source`, `job`.
        what: &'static str,
        /// Which one.
        name: String,
    },
    /// The idempotency key was used for another act.
    #[error("the idempotency key was already used for a different request")]
    KeyReused,
    /// A reader of the change feed cannot continue from its position: it must discard what it has and start over from
    /// 0.
    #[error("{0}; start over from 0")]
    StartOver(FeedGap),
    /// Anything else: a defect of ours or a broken database.
    #[error("the store failed ({act})")]
    Broken {
        /// The act that failed.
        act: &'static str,
        /// What happened.
        #[source]
        source: Cause,
    },
}

impl StoreError {
    /// Whether retrying the same call may succeed.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict { .. })
    }

    /// The same error, for another caller that waited for this act.
    #[must_use]
    pub fn shared(&self) -> Self {
        match self {
            Self::Unavailable {
                act,
                maybe_done,
                source,
            } => Self::Unavailable {
                act,
                maybe_done: *maybe_done,
                source: full_text(&**source).into(),
            },
            Self::Conflict { act, source } => Self::Conflict {
                act,
                source: full_text(&**source).into(),
            },
            other => Self::Broken {
                act: "share an act",
                source: full_text(other).into(),
            },
        }
    }

    /// Whether the state of the store refuses the act; then the refusal is in the audit log.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.refusal().is_some()
    }

    /// Why the state of the store refuses an act; none: it failed for another reason.
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } | Self::Refused(_) | Self::Changed { .. } | Self::KeyReused => Some(self.to_string()),
            _ => None,
        }
    }

    /// Whether a record has the version that the act expects.
    pub(super) fn expect(
        what: &'static str,
        name: &str,
        version: &str,
        expected: Option<&[String]>,
    ) -> Result<(), StoreError> {
        match expected {
            Some(expected) if !expected.iter().any(|one| one == version) => Err(Self::Changed {
                what,
                name: name.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the act may have happened although it failed.
    #[must_use]
    pub fn might_have_happened(&self) -> bool {
        matches!(self, Self::Unavailable { maybe_done: true, .. })
    }
}

impl From<tideline_core::words::PostgresUrlError> for StoreError {
    fn from(error: tideline_core::words::PostgresUrlError) -> Self {
        Self::Config(error.to_string())
    }
}
