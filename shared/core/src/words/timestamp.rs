use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in UTC, in whole milliseconds since the Unix epoch. Only a [`Clock`](crate::clock::Clock) makes new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment plus `wait`; stays at the last representable moment instead of overflowing.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// This moment minus `time`; stays at the first representable moment instead of overflowing.
    #[must_use]
    pub fn minus(self, time: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long from `earlier` to this moment; zero if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// For people: `2026-11-29 02:10:00 UTC`.
    #[must_use]
    pub fn exact(self) -> String {
        let text = self.to_string();
        let part = |from, to| text.get(from..to).unwrap_or_default();
        format!("{} {} UTC", part(0, 10), part(11, 19))
    }

    /// For people: `02:10:00 UTC`, with the date if that is not today's.
    #[must_use]
    pub fn on_the_clock(self, now: Self) -> String {
        let (text, today) = (self.exact(), now.exact());
        match text.split_once(' ') {
            Some((date, time)) if today.starts_with(date) => time.to_owned(),
            _ => text,
        }
    }
}

/// Length of a moment as [`Timestamp`] displays it: `2026-11-29T02:10:00.000Z`.
const MOMENT: usize = 24;

/// Divides a text at the moments in it, as [`Timestamp`] displays them.
#[must_use]
pub fn moments(text: &str) -> Vec<(&str, Option<Timestamp>)> {
    let (mut pieces, mut begin, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("20")) {
        let from = at + found;
        let moment = text.get(from..from + MOMENT).filter(|word| word.ends_with('Z'));
        match moment.and_then(|word| word.parse().ok()) {
            Some(moment) => {
                pieces.push((text.get(begin..from).unwrap_or_default(), Some(moment)));
                begin = from + MOMENT;
                at = begin;
            }
            None => at = from + 2,
        }
    }
    pieces.push((text.get(begin..).unwrap_or_default(), None));
    pieces
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_millis(self.0) {
            Some(moment) => write!(f, "{}", moment.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl std::str::FromStr for Timestamp {
    type Err = chrono::ParseError;

    /// Reads RFC 3339, of any offset.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        chrono::DateTime::parse_from_rfc3339(text).map(|moment| Self(moment.timestamp_millis()))
    }
}

/// For `#[serde(with = "rfc3339")]`: a moment as programs outside get it. Stored JSON has milliseconds.
pub mod rfc3339 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Timestamp;

    /// Writes RFC 3339 in UTC with milliseconds.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// The text is not RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }

    /// The same for a moment that may be missing (`null`).
    pub mod option {
        use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

        use super::Timestamp;

        /// Writes RFC 3339 in UTC with milliseconds, or `null`.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => to.collect_str(at),
                None => to.serialize_none(),
            }
        }

        /// Reads RFC 3339, or `null`.
        ///
        /// # Errors
        /// The text is not RFC 3339.
        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| text.parse()).transpose().map_err(D::Error::custom)
        }
    }
}
