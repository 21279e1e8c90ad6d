//! Puts logs, traces and metrics together for one process.

use std::time::Duration;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use prometheus::{Registry, TextEncoder};
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, JsonFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::logs::{Dispatched, WithTrace};
use super::{metrics, names};
use tideline_config::settings::{LogFormat, TelemetrySettings};

/// Logs without `RUST_LOG`: ours from info on, the rest only when something is wrong.
const DEFAULT_FILTER: &str = "warn,tideline=info,tideline_core=info,tideline_config=info,tideline_store=info,tideline_queue=info,tideline_runtime=info,tideline_producer=info,tideline_worker=info,\
    tideline_scheduler=info,tideline_cli=info,async_nats=error,opentelemetry=error,opentelemetry_sdk=error";

/// How long the last flush may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Why telemetry could not be set up; the text names the setting.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` cannot be read.
    #[error("RUST_LOG is not a valid filter")]
    Filter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// `telemetry.otlp_endpoint` cannot be used.
    #[error("telemetry.otlp_endpoint cannot be used")]
    Endpoint(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Metrics cannot be registered.
    #[error("metrics cannot be registered")]
    Metrics(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Set up twice in one process.
    #[error("logging is already initialised")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keeps telemetry going; dropping it sends what is not sent yet (waits for a few seconds at most).
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped"]
pub struct Guard {
    tracer: SdkTracerProvider,
    meter: SdkMeterProvider,
    registry: Registry,
}

impl Guard {
    /// The metrics of this process as a page for Prometheus.
    #[must_use]
    pub fn metrics_page(&self) -> MetricsPage {
        MetricsPage(self.registry.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nothing can be done about a collector that is gone.
        let _ = self.tracer.shutdown_with_timeout(FLUSH_TIMEOUT);
        let _ = self.meter.shutdown_with_timeout(FLUSH_TIMEOUT);
    }
}

/// The metrics of this process, in the text format of Prometheus.
#[derive(Clone, Debug, Default)]
pub struct MetricsPage(Registry);

impl MetricsPage {
    /// Media type of [`MetricsPage::render`].
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// As they are now.
    #[must_use]
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.0.gather())
            .unwrap_or_default()
    }
}

/// Starts logs on stderr, and traces and metrics over OTLP if an endpoint is configured. Once per process; `role`
/// becomes the `service.name` `tideline-<role>`.
///
/// # Errors
/// A setting cannot be used, or it was called twice.
pub fn init(settings: &TelemetrySettings, role: &str) -> Result<Guard, TelemetryError> {
    init_with(settings, role, DEFAULT_FILTER)
}

/// Like [`init`], with another filter of logs for when `RUST_LOG` is not set (a terminal that shows progress instead).
///
/// # Errors
/// As [`init`].
pub fn init_with(settings: &TelemetrySettings, role: &str, default_filter: &str) -> Result<Guard, TelemetryError> {
    // The exporter's HTTP client takes the process's provider of cryptography; an existing one is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let resource = Resource::builder()
        .with_service_name(format!("{}-{role}", names::SCOPE))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let (meter, registry) = open_metrics(settings, resource.clone())?;
    let tracer = open_traces(settings, resource)?;
    let dispatched = Dispatched::default();
    tracing_subscriber::registry()
        .with(dispatched.clone())
        .with(
            tracing_opentelemetry::layer()
                .with_tracer(tracer.tracer(names::SCOPE))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(Targets::new().with_target("tideline", LevelFilter::INFO)),
        )
        .with(log_layer(settings.log_format, dispatched).with_filter(filter(default_filter)?))
        .try_init()
        .map_err(|error| TelemetryError::Twice(error.into()))?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_meter_provider(meter.clone());
    metrics::install(&meter.meter(names::SCOPE));
    Ok(Guard {
        tracer,
        meter,
        registry,
    })
}

fn filter(default_filter: &str) -> Result<EnvFilter, TelemetryError> {
    match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text).map_err(|error| TelemetryError::Filter(error.into())),
        _ => Ok(EnvFilter::new(default_filter)),
    }
}

fn log_layer<S>(format: LogFormat, dispatched: Dispatched) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match format {
        LogFormat::Text => layer
            .event_format(WithTrace {
                inner: Format::default(),
                json: false,
                dispatched,
            })
            .boxed(),
        LogFormat::Json => layer
            .fmt_fields(JsonFields::new())
            .event_format(WithTrace {
                inner: Format::default().json().flatten_event(true),
                json: true,
                dispatched,
            })
            .boxed(),
    }
}

/// Where a signal goes: `<endpoint>/v1/<signal>`, as the OTLP specification has it for a base URL.
fn signal_url(endpoint: &url::Url, signal: &str) -> String {
    format!("{}/v1/{signal}", endpoint.as_str().trim_end_matches('/'))
}

fn open_traces(settings: &TelemetrySettings, resource: Resource) -> Result<SdkTracerProvider, TelemetryError> {
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let Some(endpoint) = &settings.otlp_endpoint else {
        // Ids for the logs, and nothing recorded.
        return Ok(builder.with_sampler(Sampler::AlwaysOff).build());
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(signal_url(endpoint, "traces"))
        .build()
        .map_err(|error| TelemetryError::Endpoint(error.into()))?;
    Ok(builder
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            settings.trace_ratio,
        ))))
        .with_batch_exporter(exporter)
        .build())
}

fn open_metrics(
    settings: &TelemetrySettings,
    resource: Resource,
) -> Result<(SdkMeterProvider, Registry), TelemetryError> {
    let registry = Registry::new();
    let page = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false)
        .build()
        .map_err(|error| TelemetryError::Metrics(error.into()))?;
    let mut builder = SdkMeterProvider::builder().with_resource(resource).with_reader(page);
    if let Some(endpoint) = &settings.otlp_endpoint {
        let exporter = MetricExporter::builder()
            .with_http()
            .with_endpoint(signal_url(endpoint, "metrics"))
            .build()
            .map_err(|error| TelemetryError::Endpoint(error.into()))?;
        let reader = PeriodicReader::builder(exporter)
            .with_interval(settings.metrics_interval)
            .build();
        builder = builder.with_reader(reader);
    }
    Ok((builder.build(), registry))
}
