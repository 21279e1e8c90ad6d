//! `/v1/sources`: what sources do, and what can be asked of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tideline_core::words::{CycleNumber, SourceRecord, Trigger};
use tideline_store::SourceCommand;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Path, Query};
use super::problem::{Code, Problem};
use super::role::{By, Operate, Principal, Read};
use super::types::{Accepted, Page, Source};
use super::{ApiRouter, ApiState};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(act))
}

/// Sources by name.
#[utoipa::path(
    get, path = "/sources", tag = "sources", security(("token" = ["read"])),
    responses((status = 200, body = Page<Source>)),
)]
async fn list(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Json<Page<Source>>, Problem> {
    let sources = api.store.list_sources().await?;
    let covered = sources
        .into_iter()
        .filter(|source| by.principal.covers(&source.name))
        .map(Source::from);
    Ok(Json(Page::whole(covered.collect())))
}

/// One source.
#[utoipa::path(
    get, path = "/sources/{name}", tag = "sources", security(("token" = ["read"])),
    responses((status = 200, body = Source)),
)]
async fn show(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
) -> Result<Json<Source>, Problem> {
    Ok(Json(find(&api, &by.principal, &name).await?.into()))
}

/// The source of this name, if the principal may see it.
pub(super) async fn find(api: &ApiState, principal: &Principal, name: &str) -> Result<SourceRecord, Problem> {
    if principal.covers(name)
        && let Some(source) = api.store.find_source(name).await?
    {
        return Ok(source);
    }
    let sources = api.store.list_sources().await?;
    let known = sources.into_iter().map(|source| source.name);
    let known: Vec<_> = known.filter(|name| principal.covers(name)).collect();
    Err(Problem::unknown_source(name, &known))
}

#[derive(Deserialize)]
struct ActPath {
    name: String,
    act: String,
}

/// The held sweep that an approval is for.
#[derive(Deserialize)]
struct Seen {
    cycle: Option<i64>,
    removals: Option<u64>,
}

/// Does something to a source: refresh, pause, resume, cancel, approve or reject. The answer says that the store has it; what
/// follows from it takes its time.
#[utoipa::path(
    post, path = "/sources/{name}/{act}", tag = "sources", security(("token" = ["operate"])),
    responses((status = 202, body = Accepted)),
)]
async fn act(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(path): Path<ActPath>,
    Query(seen): Query<Seen>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let command = match path.act.as_str() {
        "refresh" => SourceCommand::Refresh(Trigger::Manual),
        "pause" => SourceCommand::Pause,
        "resume" => SourceCommand::Resume,
        "cancel" => SourceCommand::Cancel,
        "approve" => {
            let (Some(cycle), Some(removals)) = (seen.cycle, seen.removals) else {
                let detail = "an approval names what was seen: ?cycle=…&removals=… as in `held` of the source";
                return Err(Problem::new(Code::InvalidRequest, detail));
            };
            let cycle = CycleNumber(cycle);
            SourceCommand::ApproveSweep { cycle, removals }
        }
        "reject" => SourceCommand::RejectSweep,
        act => {
            let known = "refresh, pause, resume, cancel, approve, reject";
            return Err(Problem::new(
                Code::NotFound,
                format!("{act} is not an act; there are {known}"),
            ));
        }
    };
    find(&api, &by.principal, &path.name).await?;
    api.producer.command(&path.name, command).await?;
    let accepted = Accepted {
        source: path.name,
        act: path.act,
    };
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}
