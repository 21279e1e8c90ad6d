//! `/v1/entities`: the catalog for readers outside.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tideline_core::words::EntityRef;
use tideline_store::EntityFilter;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::page::{key_of, limit_of, token_of};
use super::problem::{Code, Problem};
use super::role::{By, Read};
use super::types::{Entity, Page};
use super::{ApiRouter, ApiState};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntitiesQuery {
    /// Owned by the source of this name.
    source: Option<String>,
    /// Of this kind.
    kind: Option<String>,
    /// With exactly this reference.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// `next_page_token` of the answer before.
    page_token: Option<String>,
    /// Records of one answer, 1 to 1,000; 100 unless said otherwise.
    limit: Option<u32>,
}

/// Live entities, ordered by source and reference.
#[utoipa::path(
    get, path = "/entities", tag = "catalog", params(EntitiesQuery), security(("token" = ["read"])),
    responses((status = 200, body = Page<Entity>)),
)]
async fn list(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<EntitiesQuery>,
) -> Result<Json<Page<Entity>>, Problem> {
    let limit = limit_of(query.limit)?;
    let reference_of = |text: &str| {
        text.parse::<EntityRef>()
            .map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))
    };
    let after = match key_of::<(String, String)>(query.page_token.as_deref())? {
        Some((source, reference)) => Some((source, reference_of(&reference)?)),
        None => None,
    };
    let filter = EntityFilter {
        source: query.source,
        kind: query.kind.map(|kind| kind.to_lowercase()),
        reference: query.reference.as_deref().map(reference_of).transpose()?,
        after,
        limit,
    };
    let found = api.store.list_entities(&filter).await?;
    let full = found.len() >= limit as usize;
    let last = found.last().filter(|_| full);
    let next_page_token = last.map(|entity| token_of(&(&entity.source, entity.reference.as_str())));
    let items = found
        .into_iter()
        .filter(|entity| by.principal.covers(&entity.source))
        .map(Entity::try_from)
        .collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next_page_token }))
}
