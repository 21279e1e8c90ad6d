//! `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tideline_core::full_text;
use tideline_queue::QueueHealth;
use tideline_runtime::LoopReport;
use tideline_runtime::telemetry::{MetricsPage, metrics};
use tideline_store::StoreError;

use super::GatewayState;

/// How long the store may take to respond and still count as reachable.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Live {
    alive: bool,
    loops: Vec<LoopReport>,
}

/// Whether the loops of this process make progress. If not, a restart may help.
pub(super) async fn livez(State(state): State<Arc<GatewayState>>) -> Response {
    let loops = state.runtime.loops();
    let alive = loops.iter().all(|report| report.alive);
    let status = if alive {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Live { alive, loops })).into_response()
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    reasons: Vec<String>,
}

/// Whether this process can work: the store can be reached and has the right schema. Without the queue it is ready, but
/// degraded.
pub(super) async fn readyz(State(state): State<Arc<GatewayState>>) -> Response {
    let mut reasons = Vec::new();
    let reached = match tokio::time::timeout(STORE_TIMEOUT, state.api.state.store.ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(error = full_text(&error), "not ready");
            reasons.push(format!("store: {error}"));
            false
        }
        Err(_) => {
            reasons.push(format!("store: no answer within {} s", STORE_TIMEOUT.as_secs()));
            false
        }
    };
    if let QueueHealth::Degraded(reason) = state.queue.health() {
        reasons.push(format!("queue: {reason}"));
    }
    let stopping = state.runtime.stop().is_cancelled();
    if stopping {
        reasons.push("shutting down".into());
    }
    let (code, status) = match (reached && !stopping, reasons.is_empty()) {
        (true, true) => (StatusCode::OK, "ready"),
        (true, false) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    (code, Json(Ready { status, reasons })).into_response()
}

/// The metrics of this process, with the gauges of the whole store as they are now.
pub(super) async fn metrics(State(state): State<Arc<GatewayState>>) -> Response {
    let now = state.clock.now();
    let store = state.api.state.store.as_ref();
    let reading = async {
        state.gauges.queue(store, now).await?;
        if state.serves_api {
            state.gauges.each(store, now).await?;
        }
        Ok::<(), StoreError>(())
    };
    // Gauges that cannot be read keep their last value; `/readyz` reports an unreachable store.
    match tokio::time::timeout(STORE_TIMEOUT, reading).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = full_text(&error), "gauges of the store were not read"),
        Err(_) => tracing::debug!("gauges of the store were not read in time"),
    }
    metrics::queue_degraded(state.queue.health() != QueueHealth::Healthy);
    ([(CONTENT_TYPE, MetricsPage::CONTENT_TYPE)], state.metrics.render()).into_response()
}
