//! Dead letters: list, resend, drop.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tideline_core::words::EventSequence;
use tideline_store::{Outcome, SubscriptionAct};
use utoipa::{IntoParams, ToSchema};

use super::{find, perform};
use crate::api::ApiState;
use crate::api::events::sequence_of;
use crate::api::extract::{Json as Body, Path, Query};
use crate::api::page::{ListId, MAX_LIMIT, limit_of};
use crate::api::problem::Problem;
use crate::api::role::{By, Operate, Read};
use crate::api::types::{DeadLetter, Page};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LettersQuery {
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
    /// Maximum number of dead letters per response, 1 to 1,000 (default 1,000).
    limit: Option<u32>,
}

/// Events that were given up, oldest first.
#[utoipa::path(
    get, path = "/subscriptions/{name}/dead-letters", tag = "events", params(LettersQuery), security(("token" = ["read"])),
    responses((status = 200, body = Page<DeadLetter>)),
)]
pub(super) async fn dead_letters(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(name): Path<String>,
    Query(query): Query<LettersQuery>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    by.principal.require_all_sources()?;
    let limit = limit_of(query.limit.or(Some(MAX_LIMIT)))?;
    let list = ListId::new("dead letters", &name);
    let after = list
        .key_of::<EventSequence>(query.page_token.as_deref())?
        .unwrap_or_default();
    find(&api, &name).await?;
    let letters = api.store.list_dead_letters(&name, after, limit).await?;
    let full = letters.len() >= limit as usize;
    let last = letters.last().filter(|_| full).map(|letter| letter.sequence);
    Ok(Json(Page {
        items: letters.into_iter().map(DeadLetter::from).collect(),
        next_page_token: last.map(|last| list.token_of(&last)),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Letters {
    /// The event; absent: up to a thousand of them.
    id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    /// Events that are due again.
    retried: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Dropped {
    /// Events that are done with.
    dropped: u64,
}

/// Makes dead letters due again, as if for the first time.
#[utoipa::path(
    post, path = "/subscriptions/{name}/dead-letters/retry", tag = "events", request_body = Letters,
    security(("token" = ["operate"])), responses((status = 200, body = Retried)),
)]
pub(super) async fn retry(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Letters>,
) -> Result<Json<Retried>, Problem> {
    let retried = take(&api, &by, &name, &wanted, SubscriptionAct::RetryDeadLetters).await?;
    Ok(Json(Retried { retried }))
}

/// Drops dead letters: their events are never sent again.
#[utoipa::path(
    post, path = "/subscriptions/{name}/dead-letters/drop", tag = "events", request_body = Letters,
    security(("token" = ["operate"])), responses((status = 200, body = Dropped)),
)]
pub(super) async fn drop(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Letters>,
) -> Result<Json<Dropped>, Problem> {
    let dropped = take(&api, &by, &name, &wanted, SubscriptionAct::DropDeadLetters).await?;
    Ok(Json(Dropped { dropped }))
}

/// Returns the number of dead letters taken.
async fn take(
    api: &ApiState,
    by: &By<Operate>,
    name: &str,
    wanted: &Letters,
    act: fn(Option<EventSequence>) -> SubscriptionAct,
) -> Result<u64, Problem> {
    let event = wanted.id.as_deref().map(sequence_of).transpose()?;
    match perform(api, by, name, act(event)).await?.outcome {
        Outcome::DeadLetters { count } => Ok(count),
        _ => Ok(0),
    }
}
