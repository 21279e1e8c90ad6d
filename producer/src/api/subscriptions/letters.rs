//! Events that were given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tideline_core::words::EventSequence;
use utoipa::ToSchema;

use super::find;
use crate::api::ApiState;
use crate::api::events::sequence_of;
use crate::api::extract::{Json as Body, Path};
use crate::api::problem::Problem;
use crate::api::role::{By, Operate, Read};
use crate::api::types::{DeadLetter, Page};

/// Events that were given up, oldest first, at most 1,000.
#[utoipa::path(
    get, path = "/subscriptions/{name}/dead-letters", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = Page<DeadLetter>)),
)]
pub(super) async fn dead_letters(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    by.principal.require_all_sources()?;
    find(&api, &name).await?;
    let letters = api.store.list_dead_letters(&name, EventSequence(0), 1_000).await?;
    Ok(Json(Page::whole(letters.into_iter().map(DeadLetter::from).collect())))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    /// The event; absent: up to a thousand of them.
    id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    /// Events that are due again.
    retried: u64,
}

/// Dead letters are due again, as if for the first time.
#[utoipa::path(
    post, path = "/subscriptions/{name}/dead-letters/retry", tag = "events", request_body = Retry,
    security(("token" = ["operate"])), responses((status = 200, body = Retried)),
)]
pub(super) async fn retry(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Retry>,
) -> Result<Json<Retried>, Problem> {
    by.principal.require_all_sources()?;
    let sequence = wanted.id.as_deref().map(sequence_of).transpose()?;
    let retried = api.store.retry_dead_letters(&name, sequence).await?;
    api.queue.wake().await;
    Ok(Json(Retried { retried }))
}
