//! `/v1/sources/NAME/overview` and the lists that only it and people read: a source's problems at a glance.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Path, Query};
use super::page::limit_of;
use super::problem::Problem;
use super::role::{By, Read};
use super::sources::{NewestQuery, find};
use super::types::{Collision, Cycle, Malformed, Page, SourceOverview, Unseen};
use super::{ApiRouter, ApiState, why};

/// Records of each list in an overview.
const SHOWN: u32 = 10;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(collisions))
        .routes(routes!(unseen))
}

/// A source with what it is waiting for, its last ten cycles, and what needs attention: malformed items, references on
/// several pages, and entities that the latest cycles did not see; ten of each.
#[utoipa::path(
    get, path = "/sources/{name}/overview", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = SourceOverview)),
)]
async fn overview(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
) -> Result<Answer<SourceOverview>, Problem> {
    let source = find(&api, &by.principal, &name).await?;
    let id = source.id;
    let cycles = api.store.list_cycles(id, SHOWN).await?;
    let malformed = api.store.list_malformed(id, SHOWN).await?;
    let collisions = api.store.list_collisions(id, SHOWN).await?;
    let unseen = api.store.list_unseen_entities(id, None, SHOWN).await?;
    let status = why::of_source(&api, source).await?;
    Ok(Answer(SourceOverview {
        source: status.source,
        why: status.why,
        left: status.left,
        cycles: cycles.into_iter().map(Cycle::from).collect(),
        malformed: malformed.into_iter().map(Malformed::from).collect(),
        collisions: collisions.into_iter().map(Collision::from).collect(),
        unseen: unseen.into_iter().map(Unseen::from).collect(),
    }))
}

/// References of items on more than one page of a source. The lowest partition and page wins.
#[utoipa::path(
    get, path = "/sources/{name}/collisions", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), NewestQuery),
    responses((status = 200, body = Page<Collision>)),
)]
async fn collisions(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<NewestQuery>,
) -> Result<Answer<Page<Collision>>, Problem> {
    let limit = limit_of(query.limit)?;
    let source = find(&api, &by.principal, &name).await?;
    let found = api.store.list_collisions(source.id, limit).await?;
    Ok(Answer(Page::whole(found.into_iter().map(Collision::from).collect())))
}

/// Entities that the newest cycles of a source did not see, and that were not removed.
#[utoipa::path(
    get, path = "/sources/{name}/unseen", tag = "sources", security(("token" = ["read"])),
    params(("name" = String, Path, description = "Its name"), NewestQuery),
    responses((status = 200, body = Page<Unseen>)),
)]
async fn unseen(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<NewestQuery>,
) -> Result<Answer<Page<Unseen>>, Problem> {
    let limit = limit_of(query.limit)?;
    let source = find(&api, &by.principal, &name).await?;
    let found = api.store.list_unseen_entities(source.id, None, limit).await?;
    Ok(Answer(Page::whole(found.into_iter().map(Unseen::from).collect())))
}
