//! `/v1/events`: the log of events, for people and for programs that keep their own position.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use tideline_core::rules::TopicGlob;
use tideline_core::words::{EventHead, EventSequence};
use tideline_store::{EventFilter, EventReading, EventStart};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::event_bell::EventBell;
use super::extract::{Path, Query};
use super::forms::text::EVENT;
use super::page::{ListId, limit_of};
use super::place::Place;
use super::problem::{Code, Problem};
use super::role::{By, Read};
use super::subscriptions::StartAt;
use super::types::{Event, Events, Page, Time, WholeEvent};
use super::waiting::{Look, Waiting, wait_of};
use super::{ApiRouter, ApiState};

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(follow))
        .routes(routes!(show))
}

/// An event's id, or a position in the log.
pub(super) fn sequence_of(text: &str) -> Result<EventSequence, Problem> {
    EVENT.check("an event's id", text)?;
    let number = text.parse();
    number
        .map(EventSequence)
        .map_err(|_| Problem::new(Code::InvalidRequest, "an event's id is a number"))
}

/// Topics of a request, divided by commas.
fn topics_of(topics: Option<&str>) -> Result<Vec<TopicGlob>, Problem> {
    let topics = topics
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|topic| !topic.is_empty());
    topics
        .map(|topic| {
            topic
                .parse()
                .map_err(|error| Problem::new(Code::InvalidRequest, format!("topics: {error}")))
        })
        .collect()
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Topics or patterns such as `github.*`, separated by commas.
    topics: Option<String>,
    /// Deliveries of this hook.
    hook: Option<String>,
    /// About this.
    key: Option<String>,
    /// Only deliveries of hooks.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    deliveries: bool,
    /// Only events stored at or after this time.
    since: Option<Time>,
    /// Maximum number of events per response, 1 to 1,000 (default 100).
    limit: Option<u32>,
    /// `next_page_token` of the previous response.
    page_token: Option<String>,
}

/// Events without their content, newest first.
#[utoipa::path(
    get, path = "/events", tag = "events", params(ListQuery), security(("token" = ["read"])),
    responses((status = 200, body = Page<Event>)),
)]
async fn list(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Event>>, Problem> {
    by.principal.require_all_sources()?;
    let list = ListId::new(
        "events",
        (&query.topics, &query.hook, &query.key, query.deliveries, query.since),
    );
    let filter = EventFilter {
        topics: topics_of(query.topics.as_deref())?,
        hook: query.hook,
        key: query.key,
    };
    let before = list.key_of::<EventSequence>(query.page_token.as_deref())?;
    let start = match query.since {
        Some(since) => api.store.find_event_start(EventStart::At(since.0)).await?,
        None => EventSequence(0),
    };
    let page = api
        .store
        .list_events_before(before, &filter, limit_of(query.limit)?)
        .await?;
    let wanted = |head: &EventHead| head.sequence > start && (!query.deliveries || head.delivery.is_some());
    // Older events are not examined.
    let next = page.next.filter(|next| next.0 > start.0.saturating_add(1));
    Ok(Json(Page {
        items: page.events.into_iter().filter(wanted).map(Event::from).collect(),
        next_page_token: next.map(|next| list.token_of(&next)),
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FollowQuery {
    /// `next` of the previous response. If absent, see `from`. A position beyond the end of the log is answered with 410.
    after: Option<String>,
    /// Where to start without `after`: `now`, `beginning`, or a time. Default: the oldest retained event.
    #[param(value_type = Option<String>)]
    from: Option<StartAt>,
    /// Topics or patterns such as `github.*`, separated by commas.
    topics: Option<String>,
    /// Maximum number of events per response, 1 to 1,000 (default 100).
    limit: Option<u32>,
    /// Seconds to wait for an event if there is none, 0 to 30.
    #[serde(default)]
    wait: u64,
}

/// Events after a position, in commit order, with their content. With `wait`, if there are none, the response is delayed
/// until the next event, or is empty when the wait ends. 410: the log ends before `after`, because the store was restored or
/// created anew; the reader must start over.
#[utoipa::path(
    get, path = "/events/log", tag = "events", params(FollowQuery), security(("token" = ["read"])),
    responses((status = 200, body = Events)),
)]
async fn follow(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    place: Option<Extension<Place>>,
    Query(query): Query<FollowQuery>,
) -> Result<Json<Events>, Problem> {
    by.principal.require_all_sources()?;
    let limit = limit_of(query.limit)?;
    let wait = wait_of(query.wait)?;
    let after = match (query.after.as_deref(), query.from) {
        (Some(after), _) => sequence_of(after)?,
        (None, Some(from)) => api.store.find_event_start(from.into()).await?,
        (None, None) => EventSequence::default(),
    };
    let filter = EventFilter {
        topics: topics_of(query.topics.as_deref())?,
        ..Default::default()
    };
    let mut bell = EventBell::listen(&api);
    let mut waiting = Waiting::new(&api, wait, place.as_deref());
    let mut found = api.store.list_events_after(after, &filter, limit).await?;
    if found.events.is_empty() && found.next == after {
        refuse_beyond_end(&api, after).await?;
    }
    let mut missed = found.missed;
    let mut ring = async || drop(bell.changed().await);
    while waiting.again(looked(&found), ring()).await? {
        found = api.store.list_events_after(found.next, &filter, limit).await?;
        missed = missed.or(found.missed);
    }
    Ok(Json(Events {
        events: found.events.into_iter().map(WholeEvent::from).collect(),
        next: found.next.to_string(),
        more: found.more,
        missed_to: missed.map(|gap| gap.up_to.to_string()),
    }))
}

/// Refuses a position that this log never issued: its reader would wait for numbers that other events will get.
async fn refuse_beyond_end(api: &ApiState, after: EventSequence) -> Result<(), Problem> {
    let last = api.store.event_bounds().await?.last;
    if after <= last {
        return Ok(());
    }
    let detail = format!(
        "the log ends at {last}, before {after}: the store was restored or created anew; start over with after=0"
    );
    Err(Problem::new(Code::StartOver, detail))
}

fn looked(found: &EventReading) -> Look {
    match (found.events.is_empty(), found.more) {
        (false, _) => Look::Found,
        (true, true) => Look::More,
        (true, false) => Look::Nothing(None),
    }
}

/// One event with its content.
#[utoipa::path(
    get, path = "/events/{id}", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = WholeEvent)),
)]
async fn show(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(id): Path<String>,
) -> Result<Json<WholeEvent>, Problem> {
    by.principal.require_all_sources()?;
    let found = api.store.find_event(sequence_of(&id)?).await?;
    let found =
        found.ok_or_else(|| Problem::new(Code::NotFound, format!("event {id} does not exist, or was dropped")))?;
    Ok(Json(found.into()))
}
