//! Stub: the configuration work fills this in.
use crate::words::Timestamp;

/// A cron expression with its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    expression: String,
    time_zone: String,
}

/// Why a schedule cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ScheduleError(String);

impl Schedule {
    /// Five-field cron (or six with seconds) in an IANA time zone.
    ///
    /// # Errors
    /// The expression or the zone is wrong; the text says what.
    pub fn new(expression: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        Ok(Self {
            expression: expression.into(),
            time_zone: time_zone.into(),
        })
    }

    /// The first tick after `after`.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let _ = after;
        None
    }
}

/// When the next cycle starts after one that ended at `ended_at`: after the rest, or at the schedule's next tick if that
/// comes first (missed ticks count once).
#[must_use]
pub fn next_cycle_at(
    ended_at: Timestamp,
    rest: Option<std::time::Duration>,
    schedule: Option<&Schedule>,
) -> Option<Timestamp> {
    let _ = (ended_at, rest, schedule);
    None
}
