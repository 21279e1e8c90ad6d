//! `/v1/entities`: the catalog for readers outside.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tideline_core::words::EntityRef;
use tideline_store::EntityFilter;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Path, Query};
use super::page::{ListId, MAX_LIMIT, limit_of};
use super::problem::{Code, Problem};
use super::role::{By, Principal, Read};
use super::search::Search;
use super::stream::{Chunk, List, Looked, respond};
use super::types::{Change, Entity, Page};
use super::{ApiRouter, ApiState, sources};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(history))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EntitiesQuery {
    /// Only entities that this source owns.
    source: Option<String>,
    /// Of this kind.
    pub(super) kind: Option<String>,
    /// In this namespace.
    pub(super) namespace: Option<String>,
    /// Only entities whose name matches this glob, such as `payments-*`. A search by prefix is immediate, however large the
    /// catalog is; other patterns are searched part by part.
    pub(super) name: Option<String>,
    /// Only entities with this label: `key=value`, or `key` alone for any value. Searched part by part.
    pub(super) label: Option<String>,
    /// Only entities with exactly this reference.
    #[serde(rename = "ref")]
    pub(super) reference: Option<String>,
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
    /// Maximum number of records per response, 1 to 1,000 (default 100). A response may contain fewer, or none, if records
    /// are large or filters exclude most of them: continue as long as there is a `next_page_token`.
    limit: Option<u32>,
}

impl EntitiesQuery {
    pub(super) fn list_id(&self) -> ListId {
        let labelled = (&self.name, &self.label);
        ListId::new(
            "entities",
            (&self.source, &self.kind, &self.namespace, labelled, &self.reference),
        )
    }
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
) -> Result<Response, Problem> {
    let limit = limit_of(query.limit)?;
    let list = query.list_id();
    let position = list.key_of::<(String, String)>(query.page_token.as_deref())?;
    if let Some(source) = &query.source {
        sources::find(&api, &by.principal, source).await?;
    }
    if let Some(search) = Search::of(&query)? {
        let found = search
            .begin(&api, &by.principal, query.source.as_deref(), (list, position))
            .await?;
        return respond(&api, found, limit).await;
    }
    let after = match position {
        Some((source, reference)) => Some((source, reference_of(&reference)?)),
        None => None,
    };
    let entities = Entities {
        list,
        filter: EntityFilter {
            source: query.source,
            kind: query.kind.map(|kind| kind.to_lowercase()),
            reference: query.reference.as_deref().map(reference_of).transpose()?,
            after,
            limit,
        },
        api: Arc::clone(&api),
        principal: by.principal,
        looked: Looked::default(),
    };
    respond(&api, entities, limit).await
}

pub(super) fn reference_of(text: &str) -> Result<EntityRef, Problem> {
    text.parse::<EntityRef>()
        .map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))
}

struct Entities {
    list: ListId,
    api: Arc<ApiState>,
    principal: Principal,
    filter: EntityFilter,
    looked: Looked,
}

#[async_trait]
impl List for Entities {
    type Record = Entity;

    async fn read(&mut self, limit: u32) -> Result<Chunk<Entity>, Problem> {
        self.filter.limit = limit;
        let found = self.api.store.list_entities(&self.filter).await?;
        if let Some(last) = found.last() {
            self.filter.after = Some((last.source.clone(), last.reference.clone()));
        }
        let largest = found.iter().map(|entity| entity.body.len()).max().unwrap_or(0);
        let rest = self.looked.rest(found.len(), found.len() >= limit as usize);
        let records = found
            .into_iter()
            .filter(|entity| self.principal.covers(&entity.source))
            .map(Entity::try_from)
            .collect::<Result<_, _>>()?;
        Ok(Chunk { records, largest, rest })
    }

    fn head(&self) -> &'static str {
        "{\"items\":["
    }

    fn tail(&self, finished: bool) -> String {
        match &self.filter.after {
            Some((source, reference)) if !finished => {
                let token = self.list.token_of(&(source, reference.as_str()));
                format!("],\"next_page_token\":\"{token}\"}}")
            }
            _ => "]}".to_owned(),
        }
    }
}

#[derive(Deserialize)]
struct EntityPath {
    kind: String,
    namespace: String,
    name: String,
}

impl EntityPath {
    fn reference(&self) -> Result<EntityRef, Problem> {
        reference_of(&format!("{}:{}/{}", self.kind, self.namespace, self.name))
    }
}

/// The entities of one reference: one for each source that owns it.
#[utoipa::path(
    get, path = "/entities/{kind}/{namespace}/{name}", tag = "catalog", security(("token" = ["read"])),
    params(
        ("kind" = String, Path, description = "Its kind"),
        ("namespace" = String, Path, description = "Its namespace"),
        ("name" = String, Path, description = "Its name"),
    ),
    responses((status = 200, body = Page<Entity>)),
)]
async fn get(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(path): Path<EntityPath>,
) -> Result<Json<Page<Entity>>, Problem> {
    let reference = path.reference()?;
    let filter = EntityFilter {
        reference: Some(reference.clone()),
        limit: MAX_LIMIT,
        ..EntityFilter::default()
    };
    let found = api.store.list_entities(&filter).await?;
    let items: Vec<Entity> = found
        .into_iter()
        .filter(|entity| by.principal.covers(&entity.source))
        .map(Entity::try_from)
        .collect::<Result<_, _>>()?;
    if items.is_empty() {
        let detail = format!("entity {reference} does not exist");
        return Err(Problem::new(Code::NotFound, detail));
    }
    Ok(Json(Page::whole(items)))
}

/// The retained changes of one reference, newest first: the latest in each source that owns it and, for `changes.retention`,
/// in each source that owned it. For earlier states of an entity, see `/v1/revisions`.
#[utoipa::path(
    get, path = "/entities/{kind}/{namespace}/{name}/history", tag = "catalog", security(("token" = ["read"])),
    params(
        ("kind" = String, Path, description = "Its kind"),
        ("namespace" = String, Path, description = "Its namespace"),
        ("name" = String, Path, description = "Its name"),
    ),
    responses((status = 200, body = Page<Change>)),
)]
async fn history(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(path): Path<EntityPath>,
) -> Result<Json<Page<Change>>, Problem> {
    let reference = path.reference()?;
    let found = api.store.list_entity_changes(&reference, MAX_LIMIT).await?;
    let items: Vec<Change> = found
        .into_iter()
        .filter(|change| by.principal.covers(&change.source))
        .map(Change::try_from)
        .collect::<Result<_, _>>()?;
    if items.is_empty() {
        let detail = format!("no history is kept for the entity {reference}");
        return Err(Problem::new(Code::NotFound, detail));
    }
    Ok(Json(Page::whole(items)))
}
