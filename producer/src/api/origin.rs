//! `/v1/origin` and `/v1/revisions`: where an entity was read, and what changed in it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tideline_core::rules::differences;
use tideline_core::words::EntityRef;
use tideline_store::{EntityFilter, Version};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Query;
use super::problem::{Code, Problem};
use super::role::{By, Read};
use super::types::{Difference, Origin, Page, Revision, Time};
use super::{ApiRouter, ApiState, sources};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(revisions))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OriginQuery {
    /// The source that owns it.
    source: String,
    /// Its reference, `kind:namespace/name`.
    #[serde(rename = "ref")]
    #[param(value_type = String)]
    reference: EntityRef,
}

/// The pages of a source that show an entity, and whether an event wrote it since the last complete cycle.
#[utoipa::path(
    get, path = "/origin", tag = "catalog", params(OriginQuery), security(("token" = ["read"])),
    responses((status = 200, body = Origin)),
)]
async fn show(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<OriginQuery>,
) -> Result<Json<Origin>, Problem> {
    let source = sources::find(&api, &by.principal, &query.source).await?;
    Ok(Json(api.store.find_origin(source.id, &query.reference).await?.into()))
}

/// Revisions of one answer.
const REVISIONS: u32 = 20;

/// The latest states of an entity, newest first, each with its changes. Earlier states are kept for seven days after a
/// modification, unless the commit modified more than a thousand entities.
#[utoipa::path(
    get, path = "/revisions", tag = "catalog", params(OriginQuery), security(("token" = ["read"])),
    responses((status = 200, body = Page<Revision>)),
)]
async fn revisions(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<OriginQuery>,
) -> Result<Json<Page<Revision>>, Problem> {
    let source = sources::find(&api, &by.principal, &query.source).await?;
    let filter = EntityFilter {
        source: Some(query.source),
        reference: Some(query.reference.clone()),
        limit: 1,
        ..EntityFilter::default()
    };
    let Some(newest) = api.store.list_entities(&filter).await?.into_iter().next() else {
        let detail = format!("entity {} does not exist", query.reference);
        return Err(Problem::new(Code::NotFound, detail));
    };
    let mut states = vec![Version {
        sequence: newest.sequence,
        changed_at: newest.changed_at,
        body: newest.body,
    }];
    states.extend(api.store.list_versions(source.id, &query.reference, REVISIONS).await?);
    let parsed: Vec<serde_json::Value> = states
        .iter()
        .map(|state| serde_json::from_str(&state.body))
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::internal("a stored entity is not JSON", &error))?;
    let revision = |(place, state): (usize, &Version)| Revision {
        sequence: state.sequence.0,
        changed_at: Time(state.changed_at),
        differences: parsed
            .get(place)
            .zip(parsed.get(place + 1))
            .map(|(after, before)| differences(before, after).into_iter().map(Difference::from).collect()),
    };
    Ok(Json(Page::whole(states.iter().enumerate().map(revision).collect())))
}
