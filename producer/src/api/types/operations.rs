use serde::{Deserialize, Serialize};
use tideline_core::rules;
use tideline_store::{StoreStats, WorkerRecord};
use utoipa::ToSchema;

use super::{Check, Collision, Cycle, Left, Malformed, Source, Time, Unseen};

/// A live worker process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its host and a random part.
    pub worker: String,
    /// Its leases last until then.
    pub alive_until: Time,
    /// When it was first seen.
    pub started_at: Time,
    /// Jobs it runs.
    pub running: u64,
}

impl From<WorkerRecord> for Worker {
    fn from(worker: WorkerRecord) -> Self {
        Self {
            worker: worker.worker.0,
            alive_until: Time(worker.alive_until),
            started_at: Time(worker.started_at),
            running: worker.running,
        }
    }
}

/// What a source or job is doing or waiting for, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// `source NAME`, or `job NUMBER (KIND KEY)`.
    pub subject: String,
    /// For people.
    pub sentence: String,
    /// For programs: which sentence of the closed list, and what it says.
    #[schema(value_type = Object)]
    pub reason: rules::Why,
}

impl Why {
    /// About a subject.
    #[must_use]
    pub fn new(subject: impl Into<String>, reason: rules::Why) -> Self {
        Self {
            subject: subject.into(),
            sentence: reason.to_string(),
            reason,
        }
    }

    /// The sentence without what a word before it has said already.
    #[must_use]
    pub fn sentence_after(&self, word: &str) -> &str {
        let rest = self.sentence.strip_prefix(word);
        let rest = rest.and_then(|rest| rest.strip_prefix(": ").or(rest.strip_prefix(' ')));
        rest.unwrap_or(if self.sentence == word { "" } else { &self.sentence })
    }
}

/// What holds for everything of a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The source of that name, or the jobs of that number or key.
    pub subjects: Vec<Why>,
}

/// A source with its latest cycle and what it is waiting for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceStatus {
    /// The source.
    pub source: Source,
    /// Its newest cycle.
    pub newest_cycle: Option<Cycle>,
    /// What its latest complete cycle left for review.
    #[serde(default)]
    pub left: Option<Left>,
    /// What its newest check found (`check` in the configuration); absent: it was never checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_check: Option<Check>,
    /// What it waits for.
    pub why: Why,
}

/// A source with its details: the latest records of each list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceOverview {
    /// The source.
    pub source: Source,
    /// What it waits for.
    pub why: Why,
    /// What its latest complete cycle left for review.
    pub left: Option<Left>,
    /// Its cycles, newest first.
    pub cycles: Vec<Cycle>,
    /// Items that are no entities, newest first.
    pub malformed: Vec<Malformed>,
    /// References that more than one page shows.
    pub collisions: Vec<Collision>,
    /// Entities that the newest cycles did not see, and that were not removed.
    pub unseen: Vec<Unseen>,
}

/// An overview of the whole store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// When this was read.
    pub now: Time,
    /// Jobs.
    pub jobs: JobNumbers,
    /// Held sweeps that wait for a person.
    pub held_sweeps: u64,
    /// The number of the last change.
    pub last_sequence: i64,
    /// `healthy`, or why the queue is degraded.
    pub queue: String,
    /// Live worker processes.
    pub workers: Vec<Worker>,
    /// Sources by name.
    pub sources: Vec<SourceStatus>,
}

/// How many jobs there are of what needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobNumbers {
    /// Waiting jobs that are due.
    pub due: u64,
    /// When the oldest of them became due.
    pub oldest_due_at: Option<Time>,
    /// Running jobs.
    pub running: u64,
    /// Parked jobs.
    pub parked: u64,
}

impl From<StoreStats> for JobNumbers {
    fn from(stats: StoreStats) -> Self {
        Self {
            due: stats.due,
            oldest_due_at: stats.oldest_due_at.map(Time::from),
            running: stats.running,
            parked: stats.parked,
        }
    }
}

/// The configuration of the process that responds. Secrets are hidden.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Configuration {
    /// The store's URL, without user, password and parameters.
    pub store: String,
    /// The queue's URL, without user, password and parameters.
    pub queue: String,
    /// Address of the gateway.
    pub listen: Option<String>,
    /// `worker`.
    pub worker: WorkerConfiguration,
    /// `scheduler`.
    pub scheduler: SchedulerConfiguration,
    /// `changes.retention`, in seconds.
    pub changes_retention_seconds: u64,
    /// `shutdown.grace`, in seconds.
    pub shutdown_grace_seconds: u64,
    /// `database.max_connections`.
    pub database_max_connections: u32,
    /// Sources, in the order of the file.
    pub sources: Vec<SourceConfiguration>,
    /// Every key, in the order of the reference; secrets are hidden.
    pub keys: Vec<ConfigurationKey>,
}

/// One key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationKey {
    /// Its path, such as `sources[0].burst.length`.
    pub key: String,
    /// The value in the file, with the names of variables instead of their values, or the default.
    pub value: serde_json::Value,
    /// Whether the file sets it.
    pub given: bool,
}

/// `worker` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerConfiguration {
    /// Jobs at a time.
    pub concurrency: u32,
    /// The lease, in milliseconds.
    pub lease_ms: u64,
    /// How often it looks for due jobs, in milliseconds.
    pub poll_ms: u64,
}

/// `scheduler` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchedulerConfiguration {
    /// Polling interval, in milliseconds.
    pub poll_ms: u64,
    /// Time after which a hint is sent again, in milliseconds.
    pub resend_after_ms: u64,
    /// Entities deleted in one transaction of a sweep.
    pub sweep_batch: u32,
}

/// A source of the configuration: what it reads is left out, since URLs, headers and queries may hold secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceConfiguration {
    /// Its name.
    pub name: String,
    /// `type`.
    #[serde(rename = "type")]
    pub source_type: String,
    /// `burst.length`, in milliseconds.
    pub burst_length_ms: u64,
    /// `burst.interval`, in milliseconds.
    pub burst_interval_ms: u64,
    /// `rest`, in milliseconds; null: only by schedule.
    pub rest_ms: Option<u64>,
    /// `removals.confirm_cycles`.
    pub confirm_cycles: u32,
    /// `parallel_partitions`.
    pub parallel_partitions: u32,
    /// `page_timeout`, in milliseconds.
    pub page_timeout_ms: u64,
    /// `schedule` with its time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Number of waits on the back-off ladder (`backoff`).
    #[serde(default)]
    pub backoff_rungs: u32,
    /// `removals.reject_above_percent`; null: no such guard.
    #[serde(default)]
    pub reject_above_percent: Option<f64>,
    /// `removals.reject_empty`.
    #[serde(default)]
    pub reject_empty: bool,
    /// `max_pages`.
    #[serde(default)]
    pub max_pages: u32,
    /// `drift`; null: cycles are not compared with events.
    #[serde(default)]
    pub drift: Option<String>,
    /// Topics of its rules (`on`).
    #[serde(default)]
    pub topics: Vec<String>,
    /// Something valid but probably not intended: a key, and what is odd about it.
    #[serde(default)]
    pub warnings: Vec<String>,
}
