//! `/v1/events/ID/replay`: a delivery once more.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tideline_core::words::{DeliveryId, NewEvent, Verdict};
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

/// Puts an event into the log once more, as if it had come again: rules of sources and subscriptions see the copy. Events that
/// Tideline tells of itself are not repeated.
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
    let missing = || Problem::new(Code::NotFound, format!("event {id} does not exist, or was dropped"));
    let found = api.store.find_event(sequence_of(&id)?).await?.ok_or_else(missing)?;
    if found.head.verdict == Verdict::Own {
        let detail = "Tideline tells this of itself: it is true once, and not repeated";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let now = api.clock.now();
    let copy = NewEvent {
        topic: found.head.topic,
        key: found.head.key,
        // The log has a delivery once, so that the copy needs an id of its own.
        delivery: found.head.delivery.map(|of| DeliveryId {
            id: copy_id(&of.id, now.0),
            hook: of.hook,
        }),
        verdict: found.head.verdict,
        malformed: found.head.malformed,
        headers: found.headers,
        body: found.body,
        trace: None,
    };
    let appended = api.store.append_events(&[copy], now).await?;
    api.queue.wake().await;
    tracing::info!(event = id, actor = by.principal.actor.name, "an event was replayed");
    let sequence = appended.first().map(|appended| appended.sequence).ok_or_else(missing)?;
    let event = api.store.find_event(sequence).await?.ok_or_else(missing)?;
    Ok((StatusCode::ACCEPTED, Json(event.head.into())))
}

/// The id of the original, shortened if need be, and the moment.
fn copy_id(id: &str, at: i64) -> String {
    let suffix = format!("~{at}");
    let original = id.split('~').next().unwrap_or_default();
    let mut most = original.len().min(NewEvent::MAX_ID_BYTES - suffix.len());
    while !original.is_char_boundary(most) {
        most -= 1;
    }
    format!("{}{suffix}", &original[..most])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_copy_is_another_one_and_not_too_long() {
        assert_eq!(copy_id("72d3162e", 17), "72d3162e~17");
        assert_eq!(copy_id("72d3162e~17", 18), "72d3162e~18");
        let long = copy_id(&"ü".repeat(100), 1_700_000_000_000);
        assert!(long.len() <= NewEvent::MAX_ID_BYTES && long.ends_with("~1700000000000"));
    }
}
