//! The top level and the sections about the process: everything but the sources.

use std::path::Path;
use std::time::Duration;

use url::form_urlencoded;

use super::hooks::{read_events, read_hooks};
use super::reader::Section;
use super::settings::{
    DatabaseSettings, ExpressionSettings, LogFormat, RetentionSettings, SchedulerSettings, Settings, TelemetrySettings,
    WorkerSettings,
};
use super::source::read_sources;
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{NatsAddress, POSTGRES_TLS_FILES, Secret, parse_postgres_url};

/// Parameters of the URL of `queue` that name files.
const QUEUE_FILES: [&str; 5] = ["creds", "nkey", "ca", "cert", "key"];

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn read_settings(root: &Section<'_>) -> Settings {
    let settings = Settings {
        store: read_store(root),
        queue: read_queue(root),
        listen: read_listen(root),
        worker: root.section("worker", "How jobs are worked on.", read_worker),
        scheduler: root.section("scheduler", "How time is made to pass.", read_scheduler),
        rescue: root.section("rescue", "What happens to the jobs of workers that died.", read_rescue),
        changes_retention: root.section("changes", "The change feed.", |changes| {
            let doc = "How long the feed tells of a removed entity. A reader that was away for longer is told to start over: \
                       HTTP 410, exit code 6 of `tideline changes`.";
            changes.duration("retention", 7 * DAY, MINUTE..=3_650 * DAY, doc)
        }),
        database: root.section("database", "The connection to Postgres.", read_database),
        retention: RetentionSettings {
            jobs: root.section("jobs", "Jobs that no source made.", |jobs| {
                let doc = "How long a job that is done or cancelled is remembered. Until then the same job with the same \
                           fingerprint is not done again.";
                jobs.duration("retention", RetentionSettings::default().jobs, MINUTE..=3_650 * DAY, doc)
            }),
            cycles: root.section("cycles", "Cycles of sources.", |cycles| {
                let doc = "How long cycles that ended are listed. The newest ten of each source always are.";
                cycles.duration("retention", RetentionSettings::default().cycles, HOUR..=3_650 * DAY, doc)
            }),
        },
        expressions: root.section("expressions", "How jq expressions are evaluated: in child processes with limits.", read_expressions),
        shutdown_grace: root.section("shutdown", "How the process stops.", |shutdown| {
            let doc = "How long running work may take to end after SIGTERM, before it is dropped.";
            shutdown.duration("grace", SECONDS(25), Duration::ZERO..=HOUR, doc)
        }),
        telemetry: root.section("telemetry", "Logs, traces and metrics.", read_telemetry),
        events: read_events(root),
        hooks: read_hooks(root),
        sources: read_sources(root),
    };
    root.finish();
    settings
}

fn read_expressions(expressions: &Section<'_>) -> ExpressionSettings {
    let default = ExpressionSettings::default();
    let doc = "Child processes at a time. They are started when first needed, and reused.";
    let processes = expressions.count("processes", default.processes, 1..=64, doc);
    let doc =
        "Address space of a child. An item whose expression needs more is malformed; the others of its page are read.";
    let memory_bytes = expressions.size("memory", default.memory_bytes, 64 << 20..=64 << 30, doc);
    let doc = "Stack of a child, which limits how deep a value may be nested.";
    let stack_bytes = expressions.size("stack", default.stack_bytes, 1 << 20..=1 << 30, doc);
    let doc =
        "How long the expressions on one webhook or event may take. Those of a page are limited by its `page_timeout`.";
    let timeout = expressions.duration("timeout", default.timeout, MS(10)..=SECONDS(300), doc);
    ExpressionSettings {
        processes,
        memory_bytes,
        stack_bytes,
        timeout,
    }
}

fn read_database(database: &Section<'_>) -> DatabaseSettings {
    let doc = "Connections to Postgres that this process opens at most; a worker opens one more for its heartbeats.";
    let max_connections = database.count("max_connections", 10, 2..=1_000, doc);
    let doc = "How long an act waits for a free connection, and connecting may take.";
    let acquire_timeout = database.duration("acquire_timeout", SECONDS(10), MS(100)..=5 * MINUTE, doc);
    let doc = "How long a statement may take before Postgres ends it. Migrations have no limit.";
    let statement_timeout = database.duration("statement_timeout", MINUTE, SECONDS(1)..=HOUR, doc);
    DatabaseSettings {
        max_connections,
        acquire_timeout,
        statement_timeout,
    }
}

fn read_store(root: &Section<'_>) -> Secret {
    let doc =
        "Where the truth is kept: a SQLite file (the path counts from this file's folder) or a Postgres database.";
    let default = "sqlite://tideline.db";
    let kind = "`sqlite://path` or `postgres://…`";
    let url = root.parsed_secret("store", kind, default, doc, &|text| {
        check_store_url(text).map(|()| text.to_owned())
    });
    Secret::new(beside(&root.context.folder, url.as_deref().unwrap_or(default)))
}

/// Whether a text can name a store.
///
/// # Errors
/// What is wrong with it. It may hold a password, so nothing of it is shown.
pub fn check_store_url(text: &str) -> Result<(), String> {
    match text.split_once("://") {
        Some(("sqlite", "" | ":memory:")) => Err("must name a file, as in sqlite://tideline.db".to_owned()),
        Some(("sqlite", _)) => Ok(()),
        Some(("postgres" | "postgresql", _)) => parse_postgres_url(text)
            .map(|_| ())
            .map_err(|error| error.to_string().trim_start_matches("store: ").to_owned()),
        _ => Err("must start with sqlite://, postgres:// or postgresql://".to_owned()),
    }
}

/// A relative path of a SQLite URL counts from the folder of the configuration.
fn beside(folder: &Path, store: &str) -> String {
    match store.strip_prefix("sqlite://") {
        Some(path) => format!("sqlite://{}", folder.join(path).display()),
        None => files_beside(folder, store),
    }
}

/// Relative paths of certificates and credentials in the parameters of a URL count from there, too.
fn files_beside(folder: &Path, url: &str) -> String {
    let Some((place, parameters)) = url.split_once('?') else {
        return url.to_owned();
    };
    let is_file = |name: &str| POSTGRES_TLS_FILES.contains(&name) || QUEUE_FILES.contains(&name);
    if !form_urlencoded::parse(parameters.as_bytes()).any(|(name, _)| is_file(&name)) {
        return url.to_owned();
    }
    let pairs = form_urlencoded::parse(parameters.as_bytes()).map(|(name, value)| {
        let value = if is_file(&name) {
            folder.join(value.as_ref()).display().to_string()
        } else {
            value.into_owned()
        };
        (name, value)
    });
    let pairs: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    format!("{place}?{pairs}")
}

fn read_queue(root: &Section<'_>) -> Secret {
    let doc = "What carries hints between processes. `in-process` needs nothing and serves one process; several processes \
               work without NATS too, but then they look into the store at intervals.";
    let kind = "`in-process`, `nats://…` or `tls://…`";
    let url = root.parsed_secret("queue", kind, "in-process", doc, &|text| {
        if text == "in-process" {
            return Ok(text.to_owned());
        }
        match NatsAddress::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(error.to_string().trim_start_matches("queue: ").to_owned()),
        }
    });
    Secret::new(url.map_or_else(
        || "in-process".to_owned(),
        |url| files_beside(&root.context.folder, &url),
    ))
}

fn read_listen(root: &Section<'_>) -> Option<String> {
    let default = "127.0.0.1:7070";
    let doc = "Address of the HTTP gateway (management, change feed, health, metrics), or `none`. Keep it on a trusted \
               network.";
    let address = root.parsed("listen", "`host:port` or `none`", default, doc, &|text| {
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        if text == "none" {
            Ok(None)
        } else if !host.is_empty() && port.parse::<u16>().is_ok() {
            Ok(Some(text.to_owned()))
        } else {
            Err("must be host:port with a port from 0 to 65535, or none".to_owned())
        }
    });
    address.unwrap_or_else(|| Some(default.to_owned()))
}

fn read_worker(worker: &Section<'_>) -> WorkerSettings {
    let default = WorkerSettings::default();
    let doc = "Jobs that this process runs at a time.";
    let concurrency = worker.count("concurrency", default.concurrency, 1..=10_000, doc);
    let doc = "A worker that was not heard of for so long counts as dead, and others take its jobs over.";
    let lease = worker.duration("lease", default.lease, SECONDS(1)..=5 * MINUTE, doc);
    let doc =
        "How often it looks for due jobs without having been told. While the queue is down: every 50 ms at least.";
    let poll = worker.duration("poll", default.poll, MS(10)..=MINUTE, doc);
    WorkerSettings {
        concurrency,
        lease,
        poll,
    }
}

fn read_scheduler(scheduler: &Section<'_>) -> SchedulerSettings {
    let default = SchedulerSettings::default();
    let doc = "How often it looks without a wake-up. Due times are waited for exactly; this is the safety net. While no wake-up \
               of another process can come (the queue is in-process, or down): every second at least.";
    let poll = scheduler.duration("poll", default.poll, MS(10)..=MINUTE, doc);
    let doc = "A hint that nobody acted on for so long is sent again.";
    let resend_after = scheduler.duration("resend_after", default.resend_after, MS(100)..=HOUR, doc);
    let doc = "Entities that one transaction of a sweep deletes at most.";
    let sweep_batch = scheduler.count("sweep_batch", default.sweep_batch, 1..=100_000, doc);
    SchedulerSettings {
        poll,
        resend_after,
        sweep_batch,
    }
}

fn read_rescue(rescue: &Section<'_>) -> RescuePolicy {
    let default = RescuePolicy::default();
    let policy = RescuePolicy {
        free: rescue.count(
            "free",
            default.free,
            0..=1_000,
            "So many times in a row a job whose worker died is due at once.",
        ),
        delay: rescue.duration(
            "delay",
            SECONDS(10),
            Duration::ZERO..=DAY,
            "After that it waits so long each time.",
        ),
        park_after: rescue.count(
            "park_after",
            default.park_after,
            1..=1_000,
            "After so many deaths in a row without progress it is parked: it seems to kill its workers.",
        ),
    };
    if policy.park_after <= policy.free {
        rescue.fail(
            "park_after",
            format!("must be more than rescue.free, which is {}", policy.free),
        );
    }
    policy
}

fn read_telemetry(telemetry: &Section<'_>) -> TelemetrySettings {
    let format = telemetry.choice("log_format", Some("text"), &["text", "json"], "How log lines look.");
    TelemetrySettings {
        log_format: if format == Some("json") {
            LogFormat::Json
        } else {
            LogFormat::Text
        },
        otlp_endpoint: telemetry.optional_url(
            "otlp_endpoint",
            "Base URL of an OpenTelemetry collector (OTLP over HTTP, as a rule port 4318). Without it nothing is sent.",
        ),
        metrics_interval: telemetry.duration(
            "metrics_interval",
            SECONDS(30),
            SECONDS(1)..=HOUR,
            "How often metrics are sent to the collector.",
        ),
        trace_ratio: telemetry.number("trace_ratio", 1.0, 0.0..=1.0, "Part of the traces that is kept."),
    }
}
