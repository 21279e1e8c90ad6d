//! `/v1/workers` and `/v1/configuration`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tideline_config::EffectiveKey;
use tideline_config::settings::{Settings, SourceSettings};
use tideline_core::rules::DriftPolicy;
use tideline_runtime::backends::redact_url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Code, Problem};
use super::role::{By, Operate, Read};
use super::types::{
    Configuration, ConfigurationKey, Page, SchedulerConfiguration, SourceConfiguration, Worker, WorkerConfiguration,
};
use super::{ApiRouter, ApiState};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(workers))
        .routes(routes!(configuration))
}

/// Live worker processes.
#[utoipa::path(
    get, path = "/workers", tag = "operations", security(("token" = ["read"])),
    responses((status = 200, body = Page<Worker>)),
)]
async fn workers(State(api): State<Arc<ApiState>>, _: By<Read>) -> Result<Json<Page<Worker>>, Problem> {
    let workers = api.store.list_workers().await?;
    Ok(Json(Page::whole(workers.into_iter().map(Into::into).collect())))
}

/// The configuration of the process that responds. Secrets are hidden.
#[utoipa::path(
    get, path = "/configuration", tag = "operations", security(("token" = ["operate"])),
    responses((status = 200, body = Configuration)),
)]
async fn configuration(State(api): State<Arc<ApiState>>, by: By<Operate>) -> Result<Json<Configuration>, Problem> {
    by.principal.require_all_sources()?;
    let settings = api
        .settings
        .as_deref()
        .ok_or_else(|| Problem::new(Code::NotFound, "the process that responds has no configuration file"))?;
    Ok(Json(shown(settings)))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn shown(settings: &Settings) -> Configuration {
    Configuration {
        store: redact_url(settings.store.reveal()),
        queue: redact_url(settings.queue.reveal()),
        listen: settings.listen.clone(),
        worker: WorkerConfiguration {
            concurrency: settings.worker.concurrency,
            lease_ms: ms(settings.worker.lease),
            poll_ms: ms(settings.worker.poll),
        },
        scheduler: SchedulerConfiguration {
            poll_ms: ms(settings.scheduler.poll),
            resend_after_ms: ms(settings.scheduler.resend_after),
            sweep_batch: settings.scheduler.sweep_batch,
        },
        changes_retention_seconds: settings.changes_retention.as_secs(),
        shutdown_grace_seconds: settings.shutdown_grace.as_secs(),
        database_max_connections: settings.database.max_connections,
        sources: settings.sources.iter().map(source).collect(),
        keys: settings.effective.iter().map(key).collect(),
    }
}

fn key(key: &EffectiveKey) -> ConfigurationKey {
    ConfigurationKey {
        key: key.key.clone(),
        value: key.value.clone(),
        given: key.given,
    }
}

fn policy_word(policy: DriftPolicy) -> &'static str {
    match policy {
        DriftPolicy::Report => "report",
        DriftPolicy::Hold => "hold",
        DriftPolicy::Reconcile => "reconcile",
    }
}

fn source(source: &SourceSettings) -> SourceConfiguration {
    SourceConfiguration {
        name: source.name.clone(),
        source_type: source.source_type.clone(),
        burst_length_ms: ms(source.burst_length),
        burst_interval_ms: ms(source.burst_interval),
        rest_ms: source.rest.map(ms),
        confirm_cycles: source.confirm_cycles,
        parallel_partitions: source.parallel_partitions,
        page_timeout_ms: ms(source.page_timeout),
        schedule: source.schedule.as_ref().map(ToString::to_string),
        backoff_rungs: source.backoff.rungs(),
        reject_above_percent: source.guard.reject_above_percent,
        reject_empty: source.guard.reject_empty,
        max_pages: source.max_pages,
        drift: source.drift.map(|policy| policy_word(policy).to_owned()),
        topics: source.on.iter().flat_map(|rule| rule.topics.clone()).collect(),
        warnings: source
            .warnings()
            .into_iter()
            .map(|(key, why)| format!("{key} {why}"))
            .collect(),
    }
}
