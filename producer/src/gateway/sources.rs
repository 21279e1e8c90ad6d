//! `/v1/sources`: what sources do, and what can be asked of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use tideline_core::words::{CycleRecord, SourceRecord, Trigger};
use tideline_store::SourceCommand;

use super::GatewayState;
use super::problem::Problem;

/// Cycles shown of one source.
const CYCLES: u32 = 10;

#[derive(Serialize)]
pub(super) struct Sources {
    sources: Vec<SourceRecord>,
}

pub(super) async fn list(State(state): State<Arc<GatewayState>>) -> Result<Json<Sources>, Problem> {
    let sources = state.store.list_sources().await?;
    Ok(Json(Sources { sources }))
}

#[derive(Serialize)]
pub(super) struct Source {
    #[serde(flatten)]
    source: SourceRecord,
    cycles: Vec<CycleRecord>,
}

pub(super) async fn show(
    State(state): State<Arc<GatewayState>>,
    Path(name): Path<String>,
) -> Result<Json<Source>, Problem> {
    let source = state
        .store
        .find_source(&name)
        .await?
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("source {name} does not exist")))?;
    let cycles = state.store.list_cycles(source.id, CYCLES).await?;
    Ok(Json(Source { source, cycles }))
}

#[derive(Serialize)]
pub(super) struct Accepted {
    source: String,
    command: String,
}

/// The answer says that the store has it; what follows from it takes its time.
pub(super) async fn command(
    State(state): State<Arc<GatewayState>>,
    Path((source, command)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let asked = match command.as_str() {
        "refresh" => SourceCommand::Refresh(Trigger::Manual),
        "pause" => SourceCommand::Pause,
        "resume" => SourceCommand::Resume,
        "cancel" => SourceCommand::Cancel,
        "approve" => SourceCommand::ApproveSweep,
        "reject" => SourceCommand::RejectSweep,
        _ => {
            let known = "refresh, pause, resume, cancel, approve, reject";
            let detail = format!("{command} is no command; there are {known}");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
    };
    state.producer.command(&source, asked).await?;
    tracing::info!(source, command, "a source was commanded over HTTP");
    Ok((StatusCode::ACCEPTED, Json(Accepted { source, command })))
}
