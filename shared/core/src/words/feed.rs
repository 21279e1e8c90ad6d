use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Sequence;

/// The position of a reader of the change feed: it has read all changes up to a number. During its first reading it
/// also holds the end of the feed at the start of that reading: it has never seen entities removed before, so it misses
/// nothing if their tombstones are pruned meanwhile. As text `1000`, or, in a first reading that began when 5000 was
/// the last number, `1000-5000`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FeedPosition {
    after: Sequence,
    began_at: Sequence,
}

impl FeedPosition {
    /// Of a reader that knows nothing.
    pub const START: Self = Self {
        after: Sequence(0),
        began_at: Sequence(0),
    };

    /// Of a reader that has read everything up to this number; 0 or less is the start.
    #[must_use]
    pub fn after(sequence: Sequence) -> Self {
        Self::in_first_reading(sequence, Sequence(0))
    }

    /// Of a reader that is at `after` in a reading that began when `began_at` was the last number.
    #[must_use]
    pub fn in_first_reading(after: Sequence, began_at: Sequence) -> Self {
        if after <= Sequence(0) {
            return Self::START;
        }
        Self {
            after,
            began_at: began_at.max(after),
        }
    }

    /// The last change it has read; 0: none.
    #[must_use]
    pub fn sequence(self) -> Sequence {
        self.after
    }

    /// It misses no removal up to this number.
    #[must_use]
    pub fn complete_to(self) -> Sequence {
        self.began_at
    }
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.began_at > self.after {
            write!(f, "{}-{}", self.after, self.began_at)
        } else {
            self.after.fmt(f)
        }
    }
}

impl From<FeedPosition> for String {
    fn from(position: FeedPosition) -> Self {
        position.to_string()
    }
}

/// A text that is not a position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position in the change feed is 0 or a `next` value that the feed returned")]
pub struct FeedPositionError;

impl From<ParseIntError> for FeedPositionError {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for FeedPosition {
    type Err = FeedPositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let number = text.parse().map(Sequence)?;
            if number < Sequence(0) {
                return Err(FeedPositionError);
            }
            Ok(number)
        };
        match text.split_once('-') {
            None => Ok(Self::after(number(text)?)),
            Some((after, began_at)) => Ok(Self::in_first_reading(number(after)?, number(began_at)?)),
        }
    }
}

impl TryFrom<String> for FeedPosition {
    type Error = FeedPositionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Why a reader of the change feed cannot continue from its position: it would silently miss changes. It must discard
/// what it has and start over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedGap {
    /// It was away for longer than tombstones are kept.
    #[error(
        "the change feed cannot continue after {after}: removals up to change {pruned_to} have been pruned (changes.retention)"
    )]
    Pruned {
        /// Where the reader stands.
        after: FeedPosition,
        /// The greatest number of a pruned tombstone.
        pruned_to: Sequence,
    },
    /// Its position is beyond the end of the feed.
    #[error("the change feed cannot continue after {after}: it ends at {last}; the store was recreated or restored")]
    Ahead {
        /// Where the reader stands.
        after: FeedPosition,
        /// The last number given to a change.
        last: Sequence,
    },
}
