//! `/v1/targets`: systems that are kept in step with the catalog, what they know and what Tideline owns there.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tideline_core::rules::target_version;
use tideline_core::words::TargetRecord;
use tideline_store::{Deed, Follower, TargetCommand, TargetEntityFilter, TargetObjectFilter};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entities::reference_of;
use super::extract::{Path, Query};
use super::history::{HistoryQuery, last_hour, passed_since, progress};
use super::page::{ListId, limit_of};
use super::problem::{Code, Problem, nearest};
use super::role::{By, Operate, Read};
use super::types::{EntityOfTarget, ObjectOfTarget, Page, Progress, Target, TargetAct};
use super::{ApiRouter, ApiState, etag};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(history))
        .routes(routes!(entities))
        .routes(routes!(objects))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(resync))
}

/// Targets by name.
#[utoipa::path(
    get, path = "/targets", tag = "targets", security(("token" = ["read"])),
    responses((status = 200, body = Page<Target>)),
)]
async fn list(State(api): State<Arc<ApiState>>, by: By<Read>) -> Result<Answer<Page<Target>>, Problem> {
    by.principal.require_all_sources()?;
    let counts = api.store.count_targets().await?;
    let samples = last_hour(&api, Follower::Target, None).await?;
    let targets = api.store.list_targets().await?.into_iter().map(|record| {
        let counts = counts.iter().find(|counts| counts.name == record.name);
        let passed = passed_since(&samples, &record.name, record.created_at, record.looked_up_to());
        Target::new(record, counts, passed)
    });
    Ok(Answer(Page::whole(targets.collect())))
}

/// One target. Its ETag changes when it is acted on, but not with every change in the catalog.
#[utoipa::path(
    get, path = "/targets/{name}", tag = "targets", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = Target)),
)]
async fn show(State(api): State<Arc<ApiState>>, by: By<Read>, Path(name): Path<String>) -> Result<Response, Problem> {
    by.principal.require_all_sources()?;
    let record = find(&api, &name).await?;
    let counts = api.store.count_targets().await?;
    let counts = counts.iter().find(|counts| counts.name == name);
    let samples = last_hour(&api, Follower::Target, Some(&name)).await?;
    let passed = passed_since(&samples, &name, record.created_at, record.looked_up_to());
    let version = target_version(&record);
    Ok(etag(&version, Target::new(record, counts, passed)))
}

async fn unknown(api: &ApiState, name: &str) -> Result<Problem, Problem> {
    let known = api.store.list_targets().await?;
    let nearest = nearest(name, known.iter().map(|target| target.name.as_str()));
    let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"));
    Ok(Problem::new(
        Code::NotFound,
        format!("target {name} does not exist{hint}"),
    ))
}

async fn find(api: &ApiState, name: &str) -> Result<TargetRecord, Problem> {
    match api.store.find_target(name).await? {
        Some(record) => Ok(record),
        None => Err(unknown(api, name).await?),
    }
}

/// The progress of a target in the last hours, oldest first, five minutes apart. Times in which no scheduler ran are
/// missing.
#[utoipa::path(
    get, path = "/targets/{name}/history", tag = "targets", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), HistoryQuery),
    responses((status = 200, body = Page<Progress>)),
)]
async fn history(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Answer<Page<Progress>>, Problem> {
    by.principal.require_all_sources()?;
    let found = find(&api, &name).await?;
    progress(&api, Follower::Target, (&name, found.created_at), query.hours).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntitiesQuery {
    /// Only this one.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Only entities with an error.
    #[serde(default)]
    failing: bool,
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
    /// Maximum number of records per response, 1 to 1,000 (default 100).
    limit: Option<u32>,
}

/// Entities that a target knows, by reference.
#[utoipa::path(
    get, path = "/targets/{name}/entities", tag = "targets", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), EntitiesQuery),
    responses((status = 200, body = Page<EntityOfTarget>)),
)]
async fn entities(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<EntitiesQuery>,
) -> Result<Answer<Page<EntityOfTarget>>, Problem> {
    by.principal.require_all_sources()?;
    find(&api, &name).await?;
    let limit = limit_of(query.limit)?;
    if let Some(reference) = query.reference {
        let found = api
            .store
            .find_target_entities(&name, &[reference_of(&reference)?])
            .await?;
        return Ok(Answer(Page::whole(
            found.into_iter().map(EntityOfTarget::from).collect(),
        )));
    }
    let list = ListId::new("entities of a target", (&name, query.failing));
    let filter = TargetEntityFilter {
        target: name,
        after: list.key_of(query.page_token.as_deref())?,
        failing: query.failing,
        limit,
    };
    let found = api.store.list_target_entities(&filter).await?;
    let full = found.len() >= limit as usize;
    let next_page_token = found
        .last()
        .filter(|_| full)
        .map(|entity| list.token_of(&entity.reference));
    let items = found.into_iter().map(EntityOfTarget::from).collect();
    Ok(Answer(Page { items, next_page_token }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ObjectsQuery {
    /// Of this entity.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
    /// Maximum number of records per response, 1 to 1,000 (default 100).
    limit: Option<u32>,
}

/// What Tideline owns in a target, by name. Nothing else there is ever changed or deleted.
#[utoipa::path(
    get, path = "/targets/{name}/objects", tag = "targets", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), ObjectsQuery),
    responses((status = 200, body = Page<ObjectOfTarget>)),
)]
async fn objects(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<ObjectsQuery>,
) -> Result<Answer<Page<ObjectOfTarget>>, Problem> {
    by.principal.require_all_sources()?;
    find(&api, &name).await?;
    let limit = limit_of(query.limit)?;
    let list = ListId::new("objects of a target", (&name, &query.reference));
    let filter = TargetObjectFilter {
        target: name,
        reference: query.reference.as_deref().map(reference_of).transpose()?,
        after: list.key_of(query.page_token.as_deref())?,
        limit,
    };
    let found = api.store.list_target_objects(&filter).await?;
    let full = found.len() >= limit as usize;
    let next_page_token = found
        .last()
        .filter(|_| full)
        .map(|object| list.token_of(&object.object));
    let items = found.into_iter().map(ObjectOfTarget::from).collect();
    Ok(Answer(Page { items, next_page_token }))
}

type ActAnswer = Result<(StatusCode, Answer<TargetAct>), Problem>;

async fn command(api: &ApiState, by: &By<Operate>, target: String, command: TargetCommand) -> ActAnswer {
    by.principal.require_all_sources()?;
    find(api, &target).await?;
    let deed = Deed::CommandTarget {
        target: target.clone(),
        command,
    };
    let act = deed.name().trim_start_matches("targets.").to_owned();
    api.perform(by, deed).await?;
    Ok((StatusCode::ACCEPTED, Answer(TargetAct { target, act })))
}

/// Sends the target nothing until it is resumed; running attempts finish.
#[utoipa::path(
    post, path = "/targets/{name}/pause", tag = "targets", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = TargetAct)),
)]
async fn pause(State(api): State<Arc<ApiState>>, by: By<Operate>, Path(name): Path<String>) -> ActAnswer {
    command(&api, &by, name, TargetCommand::Pause).await
}

/// Resumes after a pause, with everything that changed in the meantime.
#[utoipa::path(
    post, path = "/targets/{name}/resume", tag = "targets", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = TargetAct)),
)]
async fn resume(State(api): State<Arc<ApiState>>, by: By<Operate>, Path(name): Path<String>) -> ActAnswer {
    command(&api, &by, name, TargetCommand::Resume).await
}

/// Compares the whole catalog again, retries what was refused, and ends a hold.
#[utoipa::path(
    post, path = "/targets/{name}/resync", tag = "targets", security(("token" = ["operate"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 202, body = TargetAct)),
)]
async fn resync(State(api): State<Arc<ApiState>>, by: By<Operate>, Path(name): Path<String>) -> ActAnswer {
    command(&api, &by, name, TargetCommand::Resync).await
}
