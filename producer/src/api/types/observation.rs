use serde::{Deserialize, Serialize};
use tideline_store::{FollowerSample, HookHour, Sample, StoreSize};
use utoipa::ToSchema;

use super::Time;

/// A hook in the configuration, and what it received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hook {
    /// Its unique name.
    pub name: String,
    /// Whose webhooks it takes: `github`, `terraform`, …
    pub provider: String,
    /// Its path at the gateway; a secret part is shown as `…`.
    pub path: String,
    /// Whether it verifies who sent a webhook; otherwise anyone who knows the path can send.
    pub verifies: bool,
    /// The topic of all its events; absent: what the provider calls each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Maximum body size, in bytes.
    pub max_body_bytes: u64,
    /// Whether missed webhooks are requested from the provider.
    pub repairs: bool,
    /// Where its webhooks are, if the configuration says so and they can be verified and registered from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhooks_at: Option<String>,
    /// Whether Tideline generates its secret and can replace it.
    #[serde(default)]
    pub makes_secret: bool,
    /// When the newest webhook was stored, within the last seven days.
    pub last_stored_at: Option<Time>,
    /// When the newest one was not.
    pub last_error_at: Option<Time>,
    /// Why.
    pub last_error: Option<String>,
    /// When it was noticed that it has received nothing for much longer than usual.
    pub silent_since: Option<Time>,
    /// What it received in the last 24 hours.
    pub day: HookCounts,
    /// What it received per hour, oldest first, for seven days. Hours without webhooks are omitted.
    pub hours: Vec<HookFigures>,
}

/// Numbers of webhooks by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookCounts {
    /// Stored.
    pub stored: u64,
    /// Stored before.
    pub duplicates: u64,
    /// Without a valid signature.
    pub unproven: u64,
    /// Refused for another reason.
    pub refused: u64,
    /// They could not be stored, and their sender sends them again.
    pub unavailable: u64,
}

impl HookCounts {
    /// Adds an hour.
    pub fn add(&mut self, hour: &HookHour) {
        self.stored += hour.stored;
        self.duplicates += hour.duplicates;
        self.unproven += hour.unproven;
        self.refused += hour.refused;
        self.unavailable += hour.unavailable;
    }
}

/// What was received in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookFigures {
    /// When it began.
    pub hour: Time,
    /// How many.
    #[serde(flatten)]
    pub counts: HookCounts,
}

impl From<&HookHour> for HookFigures {
    fn from(hour: &HookHour) -> Self {
        let mut counts = HookCounts::default();
        counts.add(hour);
        Self {
            hour: Time(hour.hour),
            counts,
        }
    }
}

/// The store's figures at a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// The minute.
    pub at: Time,
    /// Waiting jobs that were due.
    pub due: u64,
    /// How long the oldest of them had waited, in milliseconds.
    pub lag_ms: u64,
    /// Running jobs.
    pub running: u64,
    /// Parked jobs.
    pub parked: u64,
    /// Events that were given up.
    pub dead_letters: u64,
    /// The number of the last change.
    pub last_sequence: i64,
    /// The number of the last event.
    pub last_event: i64,
    /// Entities that cycles read which ended in the minute before.
    pub entities: u64,
    /// Cycles that ended in the minute before and did not complete.
    pub failed_cycles: u64,
}

impl From<Sample> for Figures {
    fn from(sample: Sample) -> Self {
        Self {
            at: Time(sample.minute),
            due: sample.due,
            lag_ms: sample.lag_ms,
            running: sample.running,
            parked: sample.parked,
            dead_letters: sample.dead_letters,
            last_sequence: sample.last_sequence.0,
            last_event: sample.last_event.0,
            entities: sample.entities,
            failed_cycles: sample.failed_cycles,
        }
    }
}

/// The progress of a subscription or target at one point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// The minute.
    pub at: Time,
    /// Events, or changes, processed since the previous sample.
    pub passed: u64,
    /// How many of its log it was not done with.
    pub behind: u64,
}

impl Progress {
    /// The steps between samples of one follower, oldest first.
    pub(crate) fn steps(samples: &[FollowerSample]) -> Vec<Self> {
        let before = samples.iter().take(1).chain(samples);
        let step = |(sample, before): (&FollowerSample, &FollowerSample)| Self {
            at: Time(sample.minute),
            passed: passed([before.position], sample.position),
            behind: sample.behind,
        };
        samples.iter().zip(before).map(step).collect()
    }
}

/// How much was passed on the way along these positions, and to the last. Nothing is passed by going back.
pub(crate) fn passed(positions: impl IntoIterator<Item = i64>, last: i64) -> u64 {
    let mut before = None;
    let mut passed = 0;
    for position in positions.into_iter().chain([last]) {
        let from = before.replace(position).unwrap_or(position);
        passed += u64::try_from(position.saturating_sub(from)).unwrap_or(0);
    }
    passed
}

/// What the store takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Storage {
    /// Total size in bytes.
    pub bytes: u64,
    /// By table, largest first. Empty for a large SQLite file: measuring it would read the whole file.
    pub tables: Vec<Table>,
}

/// A table of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Bytes, with its indexes.
    pub bytes: u64,
    /// Approximate number of rows. Not known for SQLite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl From<StoreSize> for Storage {
    fn from(size: StoreSize) -> Self {
        let table = |size: tideline_store::TableSize| Table {
            name: size.table,
            bytes: size.bytes,
            rows: size.rows,
        };
        Self {
            bytes: size.bytes,
            tables: size.tables.into_iter().map(table).collect(),
        }
    }
}
