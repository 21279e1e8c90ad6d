//! `/v1/deliveries`: what became of a webhook, or of any other event: who follows it, and what it made them do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tideline_core::rules::TopicGlob;
use tideline_core::words::{
    EventHead, EventSequence, JobRecord, JobState, REFRESH_KIND, RefreshRequest, SubscriptionRecord,
};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::sequence_of;
use super::extract::Path;
use super::problem::{Code, Problem};
use super::role::{By, Read};
use super::types::{Event, words};
use super::{ApiRouter, ApiState};

/// Under this name the rules of sources store how far they have come.
const RULES: &str = "refresh";
/// Refresh jobs that are shown.
const MAX_JOBS: u32 = 1_000;

pub(super) fn router() -> ApiRouter {
    OpenApiRouter::new().routes(routes!(show))
}

/// What became of an event.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Delivery {
    #[serde(flatten)]
    pub(crate) event: Event,
    /// A summary in one sentence.
    pub(crate) summary: String,
    /// Readings that it requested, unless a later event requested the same.
    pub(crate) refreshed: Vec<Refreshed>,
    /// Sources with a rule for the topic.
    pub(crate) sources: Vec<String>,
    /// Subscriptions that follow the topic.
    pub(crate) subscriptions: Vec<Followed>,
}

/// A reading requested by an event.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Refreshed {
    /// Of this source.
    pub(crate) source: String,
    /// What was read: the key of the job.
    pub(crate) key: String,
    /// The job.
    pub(crate) job: String,
    /// Where that stands.
    #[schema(value_type = words::JobState)]
    pub(crate) state: JobState,
    /// Milliseconds from the event to the end of the reading; absent: it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after_ms: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A subscription that follows the topic of an event.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Followed {
    /// Its name.
    pub(crate) name: String,
    /// The state of the event in it.
    pub(crate) state: Reached,
}

/// The state of an event in a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reached {
    /// It is not that far.
    Ahead,
    /// It may be handed out now, or wait behind another one.
    Outstanding,
    /// It was given up: a dead letter.
    GivenUp,
    /// Done with.
    Done,
}

/// What happened to a webhook, or to another event.
#[utoipa::path(
    get, path = "/deliveries/{id}", tag = "events", security(("token" = ["read"])),
    responses((status = 200, body = Delivery)),
)]
async fn show(
    State(api): State<Arc<ApiState>>,
    by: By<Read>,
    Path(id): Path<String>,
) -> Result<Json<Delivery>, Problem> {
    by.principal.require_all_sources()?;
    let sequence = sequence_of(&id)?;
    let event = api.store.find_event(sequence).await?;
    let missing = || Problem::new(Code::NotFound, format!("event {id} does not exist, or was dropped"));
    let head = event.ok_or_else(missing)?.head;
    let sources = sources_for(&api, &head.topic);
    let refreshed = refreshed_by(&api, &head).await?;
    let mut subscriptions = Vec::new();
    for record in api.store.list_subscriptions().await? {
        if record.changes.is_none() && TopicGlob::any_matches(&record.topics, &head.topic) {
            let state = reached(&api, &record, &head).await?;
            let name = record.name;
            subscriptions.push(Followed { name, state });
        }
    }
    let applied = api
        .store
        .find_position(RULES)
        .await?
        .is_some_and(|position| position >= sequence);
    Ok(Json(Delivery {
        summary: summary_of(&sources, &refreshed, &subscriptions, applied),
        event: head.into(),
        refreshed,
        sources,
        subscriptions,
    }))
}

fn sources_for(api: &ApiState, topic: &str) -> Vec<String> {
    let sources = api.settings.iter().flat_map(|settings| &settings.sources);
    let follows = |topics: &[String]| {
        let globs = topics.iter().filter_map(|topic| topic.parse::<TopicGlob>().ok());
        globs.into_iter().any(|glob| glob.matches(topic))
    };
    sources
        .filter(|source| source.on.iter().any(|rule| follows(&rule.topics)))
        .map(|source| source.name.clone())
        .collect()
}

async fn refreshed_by(api: &ApiState, head: &EventHead) -> Result<Vec<Refreshed>, Problem> {
    let text = format!("\"event\":{}", head.sequence);
    let jobs = api.store.find_jobs(REFRESH_KIND, &text, MAX_JOBS).await?;
    let mut found = Vec::new();
    for job in jobs {
        let request: Option<RefreshRequest> = serde_json::from_str(&job.args).ok();
        if let Some(request) = request.filter(|request| request.event == head.sequence.0) {
            found.push(refreshed(request.source, job, head));
        }
    }
    Ok(found)
}

fn refreshed(source: String, job: JobRecord, head: &EventHead) -> Refreshed {
    let took = job.updated_at.since(head.created_at).as_millis();
    Refreshed {
        source,
        key: job.key,
        job: job.id.0.to_string(),
        after_ms: (job.state == JobState::Done).then(|| u64::try_from(took).unwrap_or(u64::MAX)),
        state: job.state,
        error: job.last_error.filter(|_| job.state != JobState::Done),
    }
}

async fn reached(api: &ApiState, record: &SubscriptionRecord, head: &EventHead) -> Result<Reached, Problem> {
    let sequence = head.sequence;
    if record.dead_letters > 0 {
        let before = EventSequence(sequence.0 - 1);
        let letters = api.store.list_dead_letters(&record.name, before, 1).await?;
        if letters.first().is_some_and(|letter| letter.sequence == sequence) {
            return Ok(Reached::GivenUp);
        }
    }
    Ok(if record.position < sequence {
        Reached::Ahead
    } else if record.outstanding > 0 && record.behind_since.is_some_and(|since| since <= head.created_at) {
        Reached::Outstanding
    } else {
        Reached::Done
    })
}

fn summary_of(sources: &[String], refreshed: &[Refreshed], subscriptions: &[Followed], applied: bool) -> String {
    let mut parts = vec!["stored".to_owned()];
    for reading in refreshed {
        let what = format!("{} of source {}", reading.key, reading.source);
        parts.push(match (reading.after_ms, &reading.error) {
            (Some(after), _) => format!("refreshed {what} after {:.1} s", after as f64 / 1_000.0),
            (None, Some(error)) => format!("the refresh of {what} is {:?}: {error}", reading.state),
            (None, None) => format!("the refresh of {what} is {:?}", reading.state),
        });
    }
    if refreshed.is_empty() && !sources.is_empty() {
        let sources = sources.join(", ");
        parts.push(if applied {
            format!("{sources}: the rule did not match, or a later event requested the same")
        } else {
            format!("{sources}: the rules have not reached it yet")
        });
    }
    let with = |state: Reached| {
        let names = subscriptions.iter().filter(|followed| followed.state == state);
        names
            .map(|followed| followed.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    for (state, words) in [
        (Reached::Done, "done with by"),
        (Reached::Outstanding, "outstanding at"),
        (Reached::GivenUp, "given up by"),
        (Reached::Ahead, "not yet handed out to"),
    ] {
        let names = with(state);
        if !names.is_empty() {
            parts.push(format!("{words} {names}"));
        }
    }
    if sources.is_empty() && subscriptions.is_empty() {
        parts.push("nothing follows this topic".to_owned());
    }
    parts.join("; ")
}
