use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tideline_core::words::Timestamp;
use utoipa::ToSchema;

use crate::api::forms::text::TIME;

/// A moment, written as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-29T02:10:00.000Z")]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(moment: Timestamp) -> Self {
        Self(moment)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = chrono::DateTime::parse_from_rfc3339(&text).ok();
        let moment = moment
            .filter(|_| TIME.is_of(&text))
            .ok_or_else(|| de::Error::custom(format!("{text} is not an RFC 3339 time like 2026-11-29T02:10:00Z")))?;
        Ok(Self(Timestamp(moment.timestamp_millis())))
    }
}
