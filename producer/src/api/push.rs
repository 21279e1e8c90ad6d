//! `PUT /v1/sources/{name}/entities`: programs write the entities of a source of type `push` themselves.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Json as Answer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tideline_core::rules::{Volatile, canonical_entity, key_hash};
use tideline_core::words::{Delta, DeltaBasis, DeltaChange, DeltaOutcome, Entity, EntityRef, SourceState};
use tideline_store::Deed;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Json, Path};
use super::problem::{Code, Problem};
use super::role::{By, Push};
use super::sources::find;
use super::{ApiRouter, ApiState};

/// Most entities in one request.
pub(super) const MAX_BATCH: usize = 1_000;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(push))
}

/// The entities to write: at most 1,000, each once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PushRequest {
    /// Entities that are new or changed.
    #[serde(default)]
    upserts: Vec<PushedEntity>,
    /// Entities to remove.
    #[serde(default)]
    removals: Vec<PushedRemoval>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PushedEntity {
    /// `kind:namespace/name`. If absent, it is derived from `kind` and `metadata` in the body.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// The entity.
    #[schema(value_type = Value)]
    body: Box<RawValue>,
    /// Must not decrease: a version older than the stored one is not written.
    version: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PushedRemoval {
    /// `kind:namespace/name`.
    #[serde(rename = "ref")]
    reference: String,
    /// As of an upsert.
    version: Option<i64>,
}

/// The result for each entity.
#[derive(Serialize, ToSchema)]
struct PushAnswer {
    /// In the order of the upserts.
    upserts: Vec<PushResult>,
    /// In the order of the removals.
    removals: Vec<PushResult>,
}

#[derive(Serialize, ToSchema)]
struct PushResult {
    #[serde(rename = "ref")]
    reference: String,
    /// `added`, `modified`, `removed`, `unchanged`, or `outdated`: the store has a newer version.
    outcome: &'static str,
}

/// Writes entities of a push source: all of them or, if there is a problem, none. Sending the same request again changes
/// nothing.
#[utoipa::path(
    put, path = "/sources/{name}/entities", tag = "sources", security(("token" = ["push"])),
    request_body = PushRequest,
    responses((status = 200, body = PushAnswer)),
)]
async fn push(
    State(api): State<Arc<ApiState>>,
    by: By<Push>,
    Path(name): Path<String>,
    Json(request): Json<PushRequest>,
) -> Result<Answer<PushAnswer>, Problem> {
    by.refuse_if_match()?;
    let source = find(&api, &by.principal, &name).await?;
    if source.source_type != "push" {
        let detail = format!(
            "{name} is of type {}: its entities are read from the source. Entities can be written only to sources of \
             type push",
            source.source_type
        );
        return Err(Problem::new(Code::Conflict, detail));
    }
    let why = match source.state {
        SourceState::Paused => Some(format!("{name} is paused; resume it before programs write to it again")),
        SourceState::Orphaned => Some(format!("{name} is no longer in the configuration")),
        SourceState::Active | SourceState::Blocked => None,
    };
    if let Some(why) = why {
        return Err(Problem::new(Code::Conflict, why));
    }
    let upserts = request.upserts.len();
    let deltas = deltas_of(request)?;
    let deed = Deed::PushEntities {
        source: name.clone(),
        upserts,
        removals: deltas.len() - upserts,
    };
    api.note_hourly(&by.principal.actor, &format!("source {name}"), deed)
        .await?;
    let outcomes = api.store.write_deltas(source.id, &deltas, api.clock.now()).await?;
    if outcomes.iter().any(|outcome| outcome.is_change()) {
        // Followers of the change feed look now.
        api.queue.wake().await;
    }
    let mut results: Vec<PushResult> = (deltas.iter().zip(outcomes))
        .map(|(delta, outcome)| PushResult {
            reference: delta.change.reference().to_string(),
            outcome: word(outcome),
        })
        .collect();
    let removals = results.split_off(upserts);
    Ok(Answer(PushAnswer {
        upserts: results,
        removals,
    }))
}

fn word(outcome: DeltaOutcome) -> &'static str {
    match outcome {
        DeltaOutcome::Added => "added",
        DeltaOutcome::Modified => "modified",
        DeltaOutcome::Removed => "removed",
        DeltaOutcome::Unchanged => "unchanged",
        DeltaOutcome::Overtaken | DeltaOutcome::Outdated => "outdated",
    }
}

fn deltas_of(request: PushRequest) -> Result<Vec<Delta>, Problem> {
    let count = request.upserts.len() + request.removals.len();
    if count > MAX_BATCH {
        let detail = format!("a request may contain at most {MAX_BATCH} entities, not {count}");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let mut deltas = Vec::with_capacity(count);
    for (place, entity) in request.upserts.into_iter().enumerate() {
        let invalid = |why: String| Problem::new(Code::InvalidRequest, format!("upserts[{place}]: {why}"));
        let version = entity.version;
        let change = DeltaChange::Upsert(entity_of(entity).map_err(invalid)?);
        let basis = DeltaBasis::Pushed(version);
        deltas.push(Delta { change, basis });
    }
    for (place, removal) in request.removals.iter().enumerate() {
        let reference = removal.reference.parse::<EntityRef>();
        let reference = reference.map_err(|error| {
            let detail = format!("removals[{place}].ref: {error}");
            Problem::new(Code::InvalidRequest, detail)
        })?;
        let (change, basis) = (DeltaChange::Remove(reference), DeltaBasis::Pushed(removal.version));
        deltas.push(Delta { change, basis });
    }
    let mut seen = HashSet::with_capacity(count);
    match deltas.iter().find(|delta| !seen.insert(delta.change.reference())) {
        None => Ok(deltas),
        Some(twice) => {
            let detail = format!("{} is in the request twice", twice.change.reference());
            Err(Problem::new(Code::InvalidRequest, detail))
        }
    }
}

fn entity_of(entity: PushedEntity) -> Result<Entity, String> {
    let reference = match &entity.reference {
        Some(reference) => reference
            .parse::<EntityRef>()
            .map_err(|error| format!("ref: {error}"))?,
        None => named(&entity.body)?,
    };
    // As it is written: a parsed number would lose digits.
    let body = entity.body.get();
    if !body.starts_with('{') {
        return Err("body is not an object".to_owned());
    }
    let (body, fingerprint) = canonical_entity(body, &Volatile::default()).map_err(|error| format!("body: {error}"))?;
    Ok(Entity {
        key_hash: key_hash(&reference),
        reference,
        fingerprint,
        body,
    })
}

/// The reference of a Backstage-like object.
fn named(body: &RawValue) -> Result<EntityRef, String> {
    let body: Value = serde_json::from_str(body.get()).map_err(|error| format!("body: {error}"))?;
    let text = |place: &str| body.pointer(place).and_then(Value::as_str);
    let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) else {
        return Err("give ref, or a body with kind and metadata.name".to_owned());
    };
    let namespace = text("/metadata/namespace").unwrap_or("default");
    EntityRef::new(kind, namespace, name).map_err(|error| error.to_string())
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
