//! `/v1/events/ID/replay`: replays a delivery.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tideline_store::{Deed, Outcome};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::sequence_of;
use super::extract::Path;
use super::problem::{Code, Problem};
use super::role::{By, Operate};
use super::types::Event;
use super::{ApiRouter, ApiState};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(replay))
}

/// Appends a copy of an event to the log, as if it had been received again: source rules and subscriptions see the copy.
/// Tideline's own events cannot be replayed.
#[utoipa::path(
    post, path = "/events/{id}/replay", tag = "events", security(("token" = ["operate"])),
    params(("id" = String, Path, description = "Its id")),
    responses((status = 202, body = Event)),
)]
async fn replay(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Event>), Problem> {
    by.principal.require_all_sources()?;
    let performed = api.perform(&by, Deed::ReplayEvent(sequence_of(&id)?)).await?;
    let gone = || Problem::new(Code::NotFound, format!("the copy of event {id} was dropped"));
    let Outcome::Appended { event } = performed.outcome else {
        return Err(gone());
    };
    let copy = api.store.find_event(event).await?.ok_or_else(gone)?;
    Ok((StatusCode::ACCEPTED, Json(copy.head.into())))
}
