//! The settings as the program uses them: checked, with defaults filled in. Durations and sizes are typed; secrets print
//! as `[redacted]`.

use std::path::PathBuf;
use std::time::Duration;

mod auth;
mod check;
mod http;
mod lookup;
mod on;
mod paging;
mod target;
mod terraform;
mod warnings;

pub use self::auth::{Auth, GithubAppSettings, PrivateKey, TokenEndpoint};
pub use self::check::CheckSettings;
pub use self::http::{AnswerPattern, EntityShape, HttpSettings, RateLimitHeaders, Resource};
pub use self::lookup::{Alternative, Lookup};
pub use self::on::{EventFetch, RefreshRule, RefreshScope};
pub use self::paging::{AnswerFormat, FailIf, NextUrls, PageEnd, PageSize, Pagination};
pub use self::target::{
    DriftAction, EnrichSettings, Follow, HandlerSettings, HttpTargetSettings, MicrocksSettings, OnInvalid, Removal,
    TargetKind, TargetSettings,
};
pub use self::terraform::{DEFAULT_ATTRIBUTES, TerraformSettings};
use super::effective::EffectiveKey;
use super::hooks::{EventSettings, HookSettings};
use super::oidc::OidcSettings;
use super::subscriptions::SubscriptionSettings;
use tideline_core::rules::{DriftPolicy, Ladder, RemovalGuard, RescuePolicy, Schedule, Volatile, fingerprint};
use tideline_core::words::{Fingerprint, Secret, SourceSpec};

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite://path` or `postgres://…`; may hold a password.
    pub store: Secret,
    /// `in-process` or `nats://…`; may hold a password.
    pub queue: Secret,
    /// Address of the HTTP gateway; none: not started.
    pub listen: Option<String>,
    /// Settings of workers.
    pub worker: WorkerSettings,
    /// Settings of schedulers.
    pub scheduler: SchedulerSettings,
    /// How long tombstones stay in the change feed (`changes.retention`, default 7 days).
    pub changes_retention: Duration,
    /// `expressions`.
    pub expressions: ExpressionSettings,
    /// `plan`.
    pub plan: PlanSettings,
    /// `shutdown.grace`, default 25 s.
    pub shutdown_grace: Duration,
    /// How this process uses Postgres.
    pub database: DatabaseSettings,
    /// What is forgotten when it is old.
    pub retention: RetentionSettings,
    /// What happens to the jobs of dead workers (`rescue.free`, `rescue.delay`, `rescue.park_after`).
    pub rescue: RescuePolicy,
    /// `telemetry`.
    pub telemetry: TelemetrySettings,
    /// `dashboard`.
    pub dashboard: DashboardSettings,
    /// `events`.
    pub events: EventSettings,
    /// `subscriptions`.
    pub subscriptions: SubscriptionSettings,
    /// `publish`: every event and every change is published on NATS, default false.
    pub publish: bool,
    /// `secret_key`, or the environment's `TIDELINE_SECRET_KEY`: seals the secrets that are stored.
    pub secret_key: Option<Secret>,
    /// `public_url`: where people reach the gateway.
    pub public_url: Option<url::Url>,
    /// The hooks, in order of the file.
    pub hooks: Vec<HookSettings>,
    /// The sources, in order of the file.
    pub sources: Vec<SourceSettings>,
    /// The targets, in order of the file.
    pub targets: Vec<TargetSettings>,
    /// The handlers of other programs, in order of the file.
    pub handlers: Vec<HandlerSettings>,
    /// `backstage.locations`: the catalog as pages for Backstage; none: they are not served.
    pub locations: Option<LocationSettings>,
    /// Every key with its value or default, for people. Secrets are hidden.
    pub effective: Vec<EffectiveKey>,
}

/// The type of the sources that `tideline demo` makes. No file can name it.
pub const DEMO: &str = "demo";

impl Settings {
    /// Whether `tideline demo` made it, so that there is no file of it.
    #[must_use]
    pub fn is_demo(&self) -> bool {
        self.sources.iter().any(|source| source.source_type == DEMO)
    }
}

/// The catalog as pages for a Backstage without a plugin.
#[derive(Clone, Debug)]
pub struct LocationSettings {
    /// `key` and `next_key`: any of them opens the pages.
    pub keys: Vec<Secret>,
    /// `follow`: which entities are on them.
    pub follow: Follow,
    /// `pages`, 1 to 1,024, default 64.
    pub pages: u32,
    /// `max_entities`, default 10,000.
    pub max_entities: u32,
}

/// How a process uses Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// Connections at most, beside one for heartbeats (`database.max_connections`, default 10).
    pub max_connections: u32,
    /// How long an act waits for a free connection, and connecting may take (`database.acquire_timeout`, default 10 s).
    pub acquire_timeout: Duration,
    /// How long a statement may take, migrations excepted (`database.statement_timeout`, default 1 min).
    pub statement_timeout: Duration,
}

/// What the pages for people need to know.
#[derive(Clone, Debug, Default)]
pub struct DashboardSettings {
    /// Where a trace is looked at; `{trace_id}` stands for its id (`dashboard.trace_url`).
    pub trace_url: Option<String>,
    /// How people sign in at an OpenID provider (`dashboard.oidc`).
    pub oidc: Option<OidcSettings>,
}

/// What is forgotten when it is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Jobs that are done or cancelled and belong to no source (`jobs.retention`, default 30 days).
    pub jobs: Duration,
    /// Cycles that ended, but for the newest of each source (`cycles.retention`, default 90 days).
    pub cycles: Duration,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            jobs: 30 * DAY,
            cycles: 90 * DAY,
        }
    }
}

/// Settings of workers.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Jobs at a time (`worker.concurrency`, default 8).
    pub concurrency: u32,
    /// A worker that says nothing for so long is dead (`worker.lease`, default 5 s).
    pub lease: Duration,
    /// How often it looks for due jobs without a hint (`worker.poll`, default 20 s; 50 ms while the queue is degraded).
    pub poll: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            lease: Duration::from_secs(5),
            poll: Duration::from_secs(20),
        }
    }
}

/// How jq expressions are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpressionSettings {
    /// Child processes at a time (`expressions.processes`, default 2).
    pub processes: u32,
    /// Address space of a child in bytes (`expressions.memory`, default 512 MiB).
    pub memory_bytes: u64,
    /// Stack of a child in bytes (`expressions.stack`, default 32 MiB).
    pub stack_bytes: u64,
    /// How long the expressions on one event may take (`expressions.timeout`, default 10 s).
    pub timeout: Duration,
}

impl Default for ExpressionSettings {
    fn default() -> Self {
        Self {
            processes: 2,
            memory_bytes: 512 << 20,
            stack_bytes: 32 << 20,
            timeout: Duration::from_secs(10),
        }
    }
}

/// How plans are made for callers of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSettings {
    /// Plans at a time (`plan.concurrency`, default 2).
    pub concurrency: u32,
    /// How long one may take (`plan.timeout`, default 30 min).
    pub timeout: Duration,
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self {
            concurrency: 2,
            timeout: Duration::from_secs(1_800),
        }
    }
}

/// Settings of schedulers.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    /// How often it looks without a wake-up (`scheduler.poll`, default 20 s; 1 s while none can come from other processes).
    pub poll: Duration,
    /// A hint that nobody acted on for so long is sent again (`scheduler.resend_after`, default 10 s).
    pub resend_after: Duration,
    /// Entities deleted per transaction of a sweep (`scheduler.sweep_batch`, default 5,000).
    pub sweep_batch: u32,
}

/// How logs look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Logs, traces and metrics.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// `telemetry.log_format`: `text` (default) or `json`.
    pub log_format: LogFormat,
    /// `telemetry.otlp_endpoint`: base URL of an OpenTelemetry collector (OTLP over HTTP, port 4318 as a rule); none: traces
    /// and metrics are not sent.
    pub otlp_endpoint: Option<url::Url>,
    /// `telemetry.metrics_interval`: how often metrics are sent, 1 s to 1 h, default 30 s.
    pub metrics_interval: Duration,
    /// `telemetry.trace_ratio`: part of the traces that is kept, 0 to 1, default 1.
    pub trace_ratio: f64,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log_format: LogFormat::default(),
            otlp_endpoint: None,
            metrics_interval: Duration::from_secs(30),
            trace_ratio: 1.0,
        }
    }
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(20),
            resend_after: Duration::from_secs(10),
            sweep_batch: 5_000,
        }
    }
}

/// One source.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Unique name.
    pub name: String,
    /// `type`.
    pub source_type: String,
    /// Over what identifies its data (type, base URL, resources; no secret, no timing).
    pub identity: Fingerprint,
    /// `burst.length`, default 10 s, 1–300 s.
    pub burst_length: Duration,
    /// `burst.interval`, default 30 s, 0 allowed.
    pub burst_interval: Duration,
    /// `rest`, default 30 min; none only with a schedule.
    pub rest: Option<Duration>,
    /// `schedule` and `time_zone`.
    pub schedule: Option<Schedule>,
    /// `backoff`.
    pub backoff: Ladder,
    /// `removals.reject_above_percent`, `removals.reject_empty`.
    pub guard: RemovalGuard,
    /// `removals.confirm_cycles`, 1–10; default 2 if items may move between pages while they are read, else 1.
    pub confirm_cycles: u32,
    /// `parallel_partitions`, 1–1,000, default 1.
    pub parallel_partitions: u32,
    /// `page_timeout`, default 30 s.
    pub page_timeout: Duration,
    /// `max_restarts`: restarts of a partition after an expired cursor in one cycle, default 3.
    pub max_restarts: u32,
    /// `max_pages`: pages of a partition in one cycle, default 100,000.
    pub max_pages: u32,
    /// `volatile_annotations`.
    pub volatile: Volatile,
    /// `commit.max_pages`: pages that may share one commit while a burst lasts, 1–100, default 16.
    pub commit_pages: u32,
    /// `malformed.keep`: malformed items kept for people to look at, default 1,000.
    pub malformed_keep: u32,
    /// `drift`: what becomes of what full cycles find gone although no event told of it; default `reconcile` if there are `on`
    /// rules. None: cycles are not compared with events.
    pub drift: Option<DriftPolicy>,
    /// `check`: when it is read only to compare it with the catalog; none: never.
    pub check: Option<CheckSettings>,
    /// `on`: what events make it read again.
    pub on: Vec<RefreshRule>,
    /// `refresh_spacing`: the least time between two readings of the same thing for events, 0–1 h, default 1 s.
    pub refresh_spacing: Duration,
    /// What the type needs.
    pub kind: SourceKind,
}

impl SourceSettings {
    /// A source of the program's own (see `Source` in the worker crate) with every default.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            identity: fingerprint(name.as_bytes()),
            name,
            source_type: "own".to_owned(),
            burst_length: Duration::from_secs(10),
            burst_interval: Duration::from_secs(30),
            rest: Some(Duration::from_secs(30 * 60)),
            schedule: None,
            backoff: Ladder::default(),
            guard: RemovalGuard {
                reject_above_percent: Some(20.0),
                reject_empty: true,
            },
            confirm_cycles: 1,
            parallel_partitions: 1,
            page_timeout: Duration::from_secs(30),
            max_restarts: 3,
            max_pages: 100_000,
            volatile: Volatile::default(),
            commit_pages: 16,
            malformed_keep: 1_000,
            drift: None,
            check: None,
            on: Vec::new(),
            refresh_spacing: Duration::from_secs(1),
            kind: SourceKind::Own,
        }
    }

    /// What the store needs to know of it.
    #[must_use]
    pub fn spec(&self) -> SourceSpec {
        SourceSpec {
            name: self.name.clone(),
            source_type: self.source_type.clone(),
            identity: self.identity,
            parallel_partitions: self.parallel_partitions,
        }
    }
}

/// What a type of source needs.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// A source written in Rust, handed over by the program; no file configures it.
    Own,
    /// Any JSON API.
    Http(Box<HttpSettings>),
    /// A folder.
    Files(FilesSettings),
    /// The workspaces of an organisation of HCP Terraform or Terraform Enterprise.
    Terraform(Box<TerraformSettings>),
    /// Nothing: other programs write its entities themselves.
    Push,
}

/// The `files` source.
#[derive(Clone, Debug)]
pub struct FilesSettings {
    /// `path`: the folder.
    pub path: PathBuf,
    /// `page_size`: files per page, default 100.
    pub page_size: u32,
    /// `max_file_bytes`, default 16 MiB.
    pub max_file_bytes: u64,
    /// `exclude`: patterns of paths below the folder that are not read; `*` stands for any characters.
    pub exclude: Vec<String>,
}
