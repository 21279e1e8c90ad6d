use std::time::Duration;

use tideline_core::rules::Schedule;

/// When a source is read only to compare it with the catalog.
#[derive(Clone, Debug)]
pub struct CheckSettings {
    /// `check.every`, 1 min to 365 days.
    pub every: Option<Duration>,
    /// `check.schedule`, in `check.time_zone`.
    pub schedule: Option<Schedule>,
    /// `check.timeout`, 1 min to 7 days, default 6 h.
    pub timeout: Duration,
}

impl CheckSettings {
    /// The default of `check.timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(6 * 60 * 60);

    /// Checks at these times (UTC); none if that is no cron expression.
    #[must_use]
    pub fn usual(schedule: &str) -> Option<Self> {
        Some(Self {
            every: None,
            schedule: Some(Schedule::new(schedule, "UTC").ok()?),
            timeout: Self::TIMEOUT,
        })
    }
}
