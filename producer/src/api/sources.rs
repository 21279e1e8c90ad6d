//! `/v1/sources`: what sources do, and what can be asked of them.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tideline_core::rules::SourceVersion;
use tideline_core::words::{SourceRecord, Trigger};
use tideline_store::{Deed, SourceCommand};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Path, Query};
use super::page::limit_of;
use super::problem::{Code, Problem};
use super::role::{By, Operate, Principal, Read};
use super::types::{Accepted, Approval, Cycle, Malformed, Page, Reset, Source, SourceStatus};
use super::{ApiRouter, ApiState, etag, why};

/// Largest number that the store knows.
pub(super) const LARGEST: u64 = i64::MAX as u64;

/// Entities deleted in one transaction of a reset.
const DELETE_STEP: u32 = 5_000;

/// Transactions of one request that deletes entities.
const DELETE_STEPS: u32 = 200;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(explain))
        .routes(routes!(cycles))
        .routes(routes!(malformed))
        .routes(routes!(refresh))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(reset))
        .routes(routes!(approve))
        .routes(routes!(reject))
}

/// Sources by name.
#[utoipa::path(
    get, path = "/sources", tag = "sources", security(("token" = ["read"])),
    responses((status = 200, body = Page<Source>)),
)]
async fn list(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Answer<Page<Source>>, Problem> {
    let sources = api.store.list_sources().await?;
    let covered = sources
        .into_iter()
        .filter(|source| by.principal.covers(&source.name))
        .map(Source::from);
    Ok(Answer(Page::whole(covered.collect())))
}

/// One source. Its ETag changes whenever anything changes that acts on it depend on.
#[utoipa::path(
    get, path = "/sources/{name}", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = Source)),
)]
async fn show(State(api): State<Arc<ApiState>>, by: By<Read>, Path(name): Path<String>) -> Result<Response, Problem> {
    let source = find(&api, &by.principal, &name).await?;
    let version = version(&source);
    Ok(etag(&version, Source::from(source)))
}

fn version(source: &SourceRecord) -> String {
    let held = source.held.as_ref();
    let version = SourceVersion {
        state: source.state,
        cycle: source.cycle,
        requested: source.requested,
        held: held.map(|held| (held.cycle, held.would_remove, held.approved)),
    };
    version.tag()
}

/// The source of this name, if the principal may see it.
pub(crate) async fn find(api: &ApiState, principal: &Principal, name: &str) -> Result<SourceRecord, Problem> {
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

/// A source with its latest cycle and what it is waiting for.
#[utoipa::path(
    get, path = "/sources/{name}/why", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = SourceStatus)),
)]
async fn explain(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
) -> Result<Answer<SourceStatus>, Problem> {
    let source = find(&api, &by.principal, &name).await?;
    Ok(Answer(why::of_source(&api, source).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct NewestQuery {
    /// Maximum number of records per response, 1 to 1,000 (default 100).
    pub(super) limit: Option<u32>,
}

/// The cycles of a source, newest first.
#[utoipa::path(
    get, path = "/sources/{name}/cycles", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), NewestQuery),
    responses((status = 200, body = Page<Cycle>)),
)]
async fn cycles(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<NewestQuery>,
) -> Result<Answer<Page<Cycle>>, Problem> {
    let limit = limit_of(query.limit)?;
    let source = find(&api, &by.principal, &name).await?;
    let cycles = api.store.list_cycles(source.id, limit).await?;
    Ok(Answer(Page::whole(cycles.into_iter().map(Cycle::from).collect())))
}

/// Items of a source that could not become entities, newest first. They are exempt from the sweep.
#[utoipa::path(
    get, path = "/sources/{name}/malformed", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), NewestQuery),
    responses((status = 200, body = Page<Malformed>)),
)]
async fn malformed(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<NewestQuery>,
) -> Result<Answer<Page<Malformed>>, Problem> {
    let limit = limit_of(query.limit)?;
    let source = find(&api, &by.principal, &name).await?;
    let found = api.store.list_malformed(source.id, limit).await?;
    Ok(Answer(Page::whole(found.into_iter().map(Malformed::from).collect())))
}

type ActAnswer = Result<(StatusCode, Answer<Accepted>), Problem>;

async fn command(api: &ApiState, by: &By<Operate>, source: String, command: SourceCommand) -> ActAnswer {
    find(api, &by.principal, &source).await?;
    let deed = Deed::CommandSource {
        source: source.clone(),
        command,
    };
    let act = deed.name().trim_start_matches("sources.").to_owned();
    api.perform(by, deed).await?;
    Ok((StatusCode::ACCEPTED, Answer(Accepted::new(source, act))))
}

/// Requests a cycle, which starts as soon as none is running; unblocks a blocked source.
#[utoipa::path(
    post, path = "/sources/{name}/refresh", tag = "sources", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = Accepted)),
)]
async fn refresh(State(api): State<Arc<ApiState>>, by: By<Operate>, Path(name): Path<String>) -> ActAnswer {
    command(&api, &by, name, SourceCommand::Refresh(Trigger::Manual)).await
}

/// Stops running the source until it is resumed; a running burst stops after its current page.
#[utoipa::path(
    post, path = "/sources/{name}/pause", tag = "sources", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = Accepted)),
)]
async fn pause(State(api): State<Arc<ApiState>>, by: By<Operate>, Path(name): Path<String>) -> ActAnswer {
    command(&api, &by, name, SourceCommand::Pause).await
}

/// Resumes after a pause.
#[utoipa::path(
    post, path = "/sources/{name}/resume", tag = "sources", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = Accepted)),
)]
async fn resume(State(api): State<Arc<ApiState>>, by: By<Operate>, Path(name): Path<String>) -> ActAnswer {
    command(&api, &by, name, SourceCommand::Resume).await
}

/// Cancels the running cycle. Nothing is swept.
#[utoipa::path(
    post, path = "/sources/{name}/cancel", tag = "sources", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = Accepted)),
)]
async fn cancel(State(api): State<Arc<ApiState>>, by: By<Operate>, Path(name): Path<String>) -> ActAnswer {
    command(&api, &by, name, SourceCommand::Cancel).await
}

/// Cancels the running cycle and discards cursors and remembered pages, so the next cycle reads everything. With `delete`,
/// the source's entities are deleted too; if `remaining` is more than 0, repeat the request.
#[utoipa::path(
    post, path = "/sources/{name}/reset", tag = "sources", security(("token" = ["operate"])), request_body = Reset,
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = Accepted)),
)]
async fn reset(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Json(reset): Json<Reset>,
) -> ActAnswer {
    if !reset.delete {
        return command(&api, &by, name, SourceCommand::Reset).await;
    }
    let owned = find(&api, &by.principal, &name).await?.entities;
    let (status, Answer(mut accepted)) = command(&api, &by, name, SourceCommand::ResetAndDelete).await?;
    let mut left = owned;
    // A cycle that starts meanwhile may add entities again: stops when a step does not get further.
    for _ in 0..DELETE_STEPS {
        let now = api.clock.now();
        let after = api
            .store
            .delete_source_entities(&accepted.source, DELETE_STEP, now)
            .await?;
        let stuck = after >= left;
        left = after;
        if left == 0 || stuck {
            break;
        }
    }
    accepted.deleted = Some(owned.saturating_sub(left));
    accepted.remaining = Some(left);
    Ok((status, Answer(accepted)))
}

/// Approves the held sweep that the caller saw. If a different one is held by now, the response is 409.
#[utoipa::path(
    post, path = "/sources/{name}/approve", tag = "sources", security(("token" = ["operate"])), request_body = Approval,
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = Accepted)),
)]
async fn approve(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Json(approval): Json<Approval>,
) -> ActAnswer {
    if approval.cycle.0 < 1 || approval.would_remove > LARGEST {
        let detail = "cycle and would_remove take the numbers of the held sweep (held of the source)";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let approved = SourceCommand::ApproveSweep {
        cycle: approval.cycle,
        removals: approval.would_remove,
    };
    command(&api, &by, name, approved).await
}

/// Rejects the held sweep: its entities stay until the source shows them and then drops them again.
#[utoipa::path(
    post, path = "/sources/{name}/reject", tag = "sources", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = Accepted)),
)]
async fn reject(State(api): State<Arc<ApiState>>, by: By<Operate>, Path(name): Path<String>) -> ActAnswer {
    command(&api, &by, name, SourceCommand::RejectSweep).await
}
