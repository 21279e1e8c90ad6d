//! Cron schedules in a time zone, as pure functions.
//!
//! Where the clocks of the zone change (the rules of Vixie cron, as croner follows them):
//! - **Gap** (clocks go forward, 02:00 → 03:00): a tick at one fixed time of day inside the gap comes at its end
//!   (03:00). A tick that repeats within the day (`*`, steps, lists, ranges in seconds, minutes or hours) has no place
//!   in the gap and is left out; the next one counts.
//! - **Overlap** (clocks go back, 03:00 → 02:00): a tick at one fixed time of day comes once, the first time. A
//!   repeating one comes in both passes, so `*/15 * * * *` stays at every 15 minutes of real time.

use std::fmt;
use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Year};

use crate::words::Timestamp;

/// A cron expression with its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    expression: String,
    cron: Cron,
    zone: Tz,
}

/// Why a schedule cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression is not one.
    #[error("`{expression}` is not a cron expression: {reason}")]
    Expression {
        /// What was given.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The expression names a moment that never comes, such as 30 February.
    #[error("`{0}` never occurs")]
    Never(String),
    /// Not an IANA time zone.
    #[error("`{0}` is not an IANA time zone, such as `UTC` or `Europe/Berlin`")]
    TimeZone(String),
}

/// The parser's words as a part of a sentence.
fn reason(error: &CronError) -> String {
    let text = match error {
        CronError::ComponentError(text) | CronError::InvalidPattern(text) | CronError::IllegalCharacters(text) => {
            text.clone()
        }
        other => other.to_string(),
    };
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

impl Schedule {
    /// Cron in an IANA time zone: five fields (minute, hour, day of month, month, day of week), or six with seconds
    /// first, or a nickname (`@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`). If both day fields are restricted,
    /// either may match, as in crontab(5).
    ///
    /// # Errors
    /// The expression or the zone is wrong; the text says what.
    pub fn new(expression: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        let expression = expression.trim();
        let wrong = |reason: String| ScheduleError::Expression {
            expression: expression.to_owned(),
            reason,
        };
        let fields = expression.split_whitespace().count();
        if !expression.starts_with('@') && !(5..=6).contains(&fields) {
            return Err(wrong(format!(
                "it has {fields} fields; expected minute, hour, day of month, month, day of week (with optional \
                 seconds in front)"
            )));
        }
        let cron = CronParser::builder()
            .year(Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|error| wrong(reason(&error)))?;
        let zone: Tz = time_zone
            .trim()
            .parse()
            .map_err(|_| ScheduleError::TimeZone(time_zone.to_owned()))?;
        let schedule = Self {
            expression: expression.to_owned(),
            cron,
            zone,
        };
        // Without a year every expression that matches once matches again, so any start will do.
        if schedule.next_after(Timestamp(0)).is_none() {
            return Err(ScheduleError::Never(schedule.expression));
        }
        Ok(schedule)
    }

    /// The first tick after `after`, never `after` itself. None only beyond the end of the calendar (the year 5000).
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let start = DateTime::from_timestamp_millis(after.0)?.with_timezone(&self.zone);
        let tick = self.cron.find_next_occurrence(&start, false).ok()?;
        let tick = Timestamp(tick.timestamp_millis());
        (tick > after).then_some(tick)
    }

    /// The expression as it was given.
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Name of the time zone.
    #[must_use]
    pub fn time_zone(&self) -> &'static str {
        self.zone.name()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.expression, self.zone.name())
    }
}

/// When the next cycle starts after one that ended at `ended_at`: after the rest or at the schedule's next tick,
/// whichever comes first. Ticks that came while the cycle ran are missed and not made up for. Without both: never by
/// itself.
#[must_use]
pub fn next_cycle_at(ended_at: Timestamp, rest: Option<Duration>, schedule: Option<&Schedule>) -> Option<Timestamp> {
    resting_until(ended_at, ended_at, rest, schedule)
}

/// As above, evaluated at `now` while the source rests, with a rest and a schedule that may have changed since its
/// cycle ended: the rest counts from that end, and may be over already; the schedule counts from now, because no
/// scheduler waited for its earlier ticks. Unchanged settings give the same moment as [`next_cycle_at`], until that
/// moment has passed.
#[must_use]
pub fn resting_until(
    ended_at: Timestamp,
    now: Timestamp,
    rest: Option<Duration>,
    schedule: Option<&Schedule>,
) -> Option<Timestamp> {
    let rested = rest.map(|rest| ended_at.plus(rest));
    let tick = schedule.and_then(|schedule| schedule.next_after(ended_at.max(now)));
    match (rested, tick) {
        (Some(rested), Some(tick)) => Some(rested.min(tick)),
        (rested, tick) => rested.or(tick),
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
