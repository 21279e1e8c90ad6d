//! The top level and the sections about the process: everything but the sources.

use std::path::Path;
use std::time::Duration;

use url::form_urlencoded;

use super::hooks::{read_events, read_hooks};
use super::locations::read_backstage;
use super::oidc::read_oidc;
use super::reader::Section;
use super::secrets::{KEY_VARIABLE, SEALING_KEY_FORM, sealing_keys};
use super::settings::{
    DashboardSettings, DatabaseSettings, ExpressionSettings, LogFormat, PlanSettings, RetentionSettings,
    SchedulerSettings, Settings, TelemetrySettings, WorkerSettings,
};
use super::source::read_sources;
use super::subscriptions::read_subscriptions;
use super::targets::{read_handlers, read_targets};
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
    let mut settings = Settings {
        store: read_store(root),
        queue: read_queue(root),
        listen: read_listen(root),
        worker: root.section("worker", "How this process runs jobs.", read_worker),
        scheduler: root.section("scheduler", "Timers and periodic tasks.", read_scheduler),
        rescue: root.section(
            "rescue",
            "What happens to the jobs of workers that have died.",
            read_rescue,
        ),
        changes_retention: root.section("changes", "The change feed.", |changes| {
            let doc = "How long the feed reports a removed entity. A reader that was away longer must start over: HTTP \
                       410, or exit code 6 from `tideline changes`.";
            changes.duration("retention", 7 * DAY, MINUTE..=3_650 * DAY, doc)
        }),
        database: root.section("database", "The connection to Postgres.", read_database),
        retention: read_retention(root),
        expressions: root.section(
            "expressions",
            "Limits of the child processes that evaluate jq expressions.",
            read_expressions,
        ),
        plan: root.section(
            "plan",
            "Plans that the gateway makes (`POST /v1/sources/NAME/plan`).",
            read_plan,
        ),
        shutdown_grace: root.section("shutdown", "How the process shuts down.", |shutdown| {
            let doc = "How long running work may take to finish after SIGTERM before it is abandoned.";
            shutdown.duration("grace", SECONDS(25), Duration::ZERO..=HOUR, doc)
        }),
        telemetry: root.section("telemetry", "Logs, traces and metrics.", read_telemetry),
        dashboard: root.section("dashboard", "The web pages of the gateway.", read_dashboard),
        events: read_events(root),
        subscriptions: read_subscriptions(root),
        publish: read_publish(root),
        secret_key: read_secret_key(root),
        public_url: read_public_url(root),
        hooks: read_hooks(root),
        sources: read_sources(root),
        targets: read_targets(root),
        handlers: read_handlers(root),
        locations: read_backstage(root),
        effective: Vec::new(),
    };
    check_together(root, &settings);
    root.finish();
    settings.effective = root.context.take_effective();
    settings
}

/// What keys of different sections need of each other.
fn check_together(root: &Section<'_>, settings: &Settings) {
    if settings.publish && settings.queue.reveal() == "in-process" {
        root.fail("publish", "needs NATS: set queue to nats://…");
    }
    if settings.dashboard.oidc.is_some() && settings.public_url.is_none() {
        root.fail(
            "public_url",
            "is needed for dashboard.oidc: the provider redirects users to it",
        );
    }
}

fn read_retention(root: &Section<'_>) -> RetentionSettings {
    RetentionSettings {
        jobs: root.section("jobs", "Jobs that do not belong to a source.", |jobs| {
            let doc = "How long finished and cancelled jobs are remembered. Until then, enqueueing the same job \
                           with the same fingerprint does nothing.";
            jobs.duration(
                "retention",
                RetentionSettings::default().jobs,
                MINUTE..=3_650 * DAY,
                doc,
            )
        }),
        cycles: root.section("cycles", "Cycles of sources.", |cycles| {
            let doc = "How long finished cycles are kept. The ten newest of each source are always kept.";
            cycles.duration(
                "retention",
                RetentionSettings::default().cycles,
                HOUR..=3_650 * DAY,
                doc,
            )
        }),
    }
}

fn read_dashboard(dashboard: &Section<'_>) -> DashboardSettings {
    let doc =
        "Address at which a trace can be viewed. `{trace_id}` is replaced by its id; jobs then link to their trace.";
    DashboardSettings {
        trace_url: dashboard.parsed("trace_url", "`https://…{trace_id}`", "none", doc, &trace_url),
        oidc: read_oidc(dashboard),
    }
}

fn trace_url(text: &str) -> Result<String, String> {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    if is_web && text.contains("{trace_id}") {
        return Ok(text.to_owned());
    }
    Err("must be an http or https address with {trace_id} in it, as in http://jaeger:16686/trace/{trace_id}".to_owned())
}

fn read_secret_key(root: &Section<'_>) -> Option<Secret> {
    let doc = "Seals the secrets that Tideline stores, such as those of push subscriptions: 32 bytes in base64 or \
               hexadecimal. Of several keys, separated by commas, the first one seals and all of them unseal. Defaults \
               to the environment variable `TIDELINE_SECRET_KEY`.";
    let form = |text: &str| match sealing_keys(text) {
        Some(_) => Ok(Secret::new(text)),
        None => Err(SEALING_KEY_FORM.to_owned()),
    };
    let given = root.parsed_secret("secret_key", "secret", "not given", doc, &form);
    if root.has("secret_key") {
        return given;
    }
    let text = root.environment(KEY_VARIABLE)?;
    form(&text)
        .map_err(|wrong| root.fail_here(format!("the environment variable {KEY_VARIABLE} {wrong}")))
        .ok()
}

fn read_public_url(root: &Section<'_>) -> Option<url::Url> {
    let doc = "Public address of this gateway, such as `https://tideline.example.com`. Notifications link to it.";
    root.optional_url("public_url", doc)
}

fn read_publish(root: &Section<'_>) -> bool {
    let doc = "Publish every event on `tideline.events.<topic>` and every change on `tideline.changes.<source>.<kind>`, in \
               order and at least once. Needs NATS as the queue.";
    root.flag("publish", false, doc)
}

fn read_expressions(expressions: &Section<'_>) -> ExpressionSettings {
    let default = ExpressionSettings::default();
    let doc = "Maximum number of child processes. They start on first use and are reused.";
    let processes = expressions.count("processes", default.processes, 1..=64, doc);
    let doc = "Address space of each child. An item whose expression needs more is reported as malformed; the rest of its \
         page is read.";
    let memory_bytes = expressions.size("memory", default.memory_bytes, 64 << 20..=64 << 30, doc);
    let doc = "Stack size of each child, which limits how deeply a value can be nested.";
    let stack_bytes = expressions.size("stack", default.stack_bytes, 1 << 20..=1 << 30, doc);
    let doc = "Time limit for one expression on one webhook or event, from when it has a child process. What takes longer is \
         tried again on its ladder; waiting for a child is no failed attempt. Expressions on a page are limited by \
         `page_timeout`.";
    let timeout = expressions.duration("timeout", default.timeout, MS(10)..=SECONDS(300), doc);
    ExpressionSettings {
        processes,
        memory_bytes,
        stack_bytes,
        timeout,
    }
}

fn read_plan(plan: &Section<'_>) -> PlanSettings {
    let default = PlanSettings::default();
    let doc = "Maximum number of plans at the same time. Each reads its source into a temporary file on one thread.";
    let concurrency = plan.count("concurrency", default.concurrency, 1..=64, doc);
    let doc = "How long a plan may take before it is abandoned.";
    let timeout = plan.duration("timeout", default.timeout, SECONDS(1)..=DAY, doc);
    PlanSettings { concurrency, timeout }
}

fn read_database(database: &Section<'_>) -> DatabaseSettings {
    let doc = "Maximum number of Postgres connections per process. A worker opens one more for its heartbeat.";
    let max_connections = database.count("max_connections", 10, 2..=1_000, doc);
    let doc = "How long to wait for a free connection, or for a new one to be established.";
    let acquire_timeout = database.duration("acquire_timeout", SECONDS(10), MS(100)..=5 * MINUTE, doc);
    let doc = "Time limit per statement, enforced by Postgres. Migrations have no limit.";
    let statement_timeout = database.duration("statement_timeout", MINUTE, SECONDS(1)..=HOUR, doc);
    DatabaseSettings {
        max_connections,
        acquire_timeout,
        statement_timeout,
    }
}

fn read_store(root: &Section<'_>) -> Secret {
    let doc = "The database: a SQLite file (relative to this file's folder) or Postgres.";
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
    let doc = "What carries hints that jobs are due. `in-process` is enough for a single process. Several processes \
               also work without NATS, but then poll the store.";
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
    let doc = "Address of the HTTP gateway (dashboard, API, webhooks, health, metrics), or `none`.";
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
    let doc = "Maximum number of jobs that this process runs at the same time.";
    let concurrency = worker.count("concurrency", default.concurrency, 1..=10_000, doc);
    let doc = "A worker that has not sent a heartbeat for this long is considered dead, and other workers take over \
               its jobs.";
    let lease = worker.duration("lease", default.lease, SECONDS(1)..=5 * MINUTE, doc);
    let doc = "How often to look for due jobs without a hint. While the queue is down, at least every 50 ms.";
    let poll = worker.duration("poll", default.poll, MS(10)..=MINUTE, doc);
    WorkerSettings {
        concurrency,
        lease,
        poll,
    }
}

fn read_scheduler(scheduler: &Section<'_>) -> SchedulerSettings {
    let default = SchedulerSettings::default();
    let doc = "How often to look for due work without a wake-up. This is only a safety net: known due times are met \
               exactly. When no wake-ups can arrive from other processes (the queue is in-process, or down), at least \
               every second.";
    let poll = scheduler.duration("poll", default.poll, MS(10)..=MINUTE, doc);
    let doc = "A hint that no worker has acted on for this long is sent again.";
    let resend_after = scheduler.duration("resend_after", default.resend_after, MS(100)..=HOUR, doc);
    let doc = "Maximum number of entities deleted per transaction of a sweep.";
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
            "How many times in a row a job whose worker died is retried immediately.",
        ),
        delay: rescue.duration(
            "delay",
            SECONDS(10),
            Duration::ZERO..=DAY,
            "The delay before each later retry.",
        ),
        park_after: rescue.count(
            "park_after",
            default.park_after,
            1..=1_000,
            "After this many deaths in a row without progress, the job is parked, since it appears to kill its \
             workers.",
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
    let format = telemetry.choice("log_format", Some("text"), &["text", "json"], "Format of log lines.");
    TelemetrySettings {
        log_format: if format == Some("json") {
            LogFormat::Json
        } else {
            LogFormat::Text
        },
        otlp_endpoint: telemetry.optional_url(
            "otlp_endpoint",
            "Base URL of an OpenTelemetry collector (OTLP over HTTP, usually port 4318). If unset, nothing is sent.",
        ),
        metrics_interval: telemetry.duration(
            "metrics_interval",
            SECONDS(30),
            SECONDS(1)..=HOUR,
            "How often metrics are exported to the collector.",
        ),
        trace_ratio: telemetry.number("trace_ratio", 1.0, 0.0..=1.0, "Fraction of traces to sample."),
    }
}
