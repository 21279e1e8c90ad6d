//! Pulling events: taking, acknowledging, giving back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tideline_config::subscriptions::SubscriptionSettings;
use tideline_core::full_text;
use tideline_core::rules::LadderStep;
use tideline_core::words::{
    EventOutcome, EventSequence, SettleEvent, SubscriptionKind, SubscriptionRecord, TakeEvents, Taken, TakenEvent,
};
use tideline_runtime::event_filter::{EventFilter, FilterError};
use tideline_runtime::telemetry::metrics;
use utoipa::ToSchema;

use super::limits::{MAX_ACK_IDS, MAX_SECONDS};
use super::{changes, find, refuse_reserved};
use crate::api::ApiState;
use crate::api::event_bell::EventBell;
use crate::api::extract::{Json as Body, Path};
use crate::api::forms::text::ACK_ID;
use crate::api::page::records_of;
use crate::api::place::Place;
use crate::api::problem::{Code, Problem};
use crate::api::role::{By, Operate};
use crate::api::types::{Change, WholeEvent};
use crate::api::waiting::{Look, Waiting, wait_of};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pull {
    /// Maximum number of events per response, 1 to 1,000 (default 100).
    max: Option<u32>,
    /// Seconds to wait for an event if there is none, 0 to 30.
    #[serde(default)]
    wait: u64,
    /// Seconds until unacknowledged events are delivered again, 1 to 43,200 (default 30).
    lease: Option<u64>,
}

/// An event that was pulled.
#[derive(Serialize, ToSchema)]
struct Pulled {
    #[serde(flatten)]
    event: WholeEvent,
    /// How often it was delivered, 1 for the first time.
    attempt: u32,
    /// Acknowledges or returns it.
    ack_id: String,
}

#[derive(Default, Serialize, ToSchema)]
pub(super) struct PullAnswer {
    /// In order.
    events: Vec<Pulled>,
    /// For a subscription to changes: the changes, in order. One batch is delivered at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<Change>>,
    /// For a subscription to changes: acknowledges or returns the batch. Absent if nothing was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    ack_id: Option<String>,
    /// For a subscription to changes: changes were dropped before it reached them. Discard what you have; everything is
    /// delivered again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    start_over: bool,
    /// More may be available now.
    more: bool,
    /// Events up to here were dropped before the subscription reached them; reported once.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed_to: Option<String>,
}

impl PullAnswer {
    /// Of a subscription to changes. `ack_id`: a batch was handed out.
    pub(super) fn of_changes(changes: Vec<Change>, ack_id: Option<String>, (start_over, more): (bool, bool)) -> Self {
        Self {
            changes: Some(changes),
            ack_id,
            start_over,
            more,
            ..Self::default()
        }
    }
}

/// Leases events to the caller. Events with the same key come in order, and to one puller at a time.
#[utoipa::path(
    post, path = "/subscriptions/{name}/pull", tag = "events", request_body = Pull,
    security(("token" = ["operate"])), responses((status = 200, body = PullAnswer)),
)]
pub(super) async fn pull(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    place: Option<Extension<Place>>,
    Body(wanted): Body<Pull>,
) -> Result<Json<PullAnswer>, Problem> {
    by.principal.require_all_sources()?;
    by.refuse_if_match()?;
    let max = records_of("max", wanted.max)?;
    let lease = seconds_of("lease", wanted.lease.unwrap_or(30), 1..=MAX_SECONDS)?;
    let wait = wait_of(wanted.wait)?;
    refuse_reserved(&name)?;
    let subscription = find(&api, &name).await?;
    if subscription.kind == SubscriptionKind::Push {
        return Err(Problem::new(
            Code::Conflict,
            "events of this subscription are pushed, not pulled",
        ));
    }
    if subscription.changes.is_some() {
        let answer = changes::pull(&api, &subscription, (max, lease), wait, place.as_deref()).await?;
        return Ok(Json(answer));
    }
    let puller = Puller::new(&api, &subscription, max, lease)?;
    let (mut woken, mut bell) = (api.queue.wakeups(), EventBell::listen(&api));
    let mut waiting = Waiting::new(&api, wait, place.as_deref());
    let mut taken = puller.take().await?;
    let mut ring = async || {
        tokio::select! {
            () = woken.next() => {}
            _ = bell.changed() => {}
        }
    };
    while waiting.again(looked(&taken), ring()).await? {
        taken = puller.take().await?;
    }
    Ok(Json(PullAnswer {
        more: taken.more,
        missed_to: taken.missed_to.map(|sequence| sequence.to_string()),
        events: (taken.events.into_iter())
            .map(|taken| pulled(taken, puller.token))
            .collect(),
        ..PullAnswer::default()
    }))
}

fn looked(taken: &Taken) -> Look {
    match (taken.is_idle(), taken.more) {
        (false, _) => Look::Found,
        (true, true) => Look::More,
        (true, false) => Look::Nothing(taken.next_due),
    }
}

/// Takes events of one subscription for one request.
struct Puller<'a> {
    api: &'a ApiState,
    name: &'a str,
    filter: Option<EventFilter>,
    max: u32,
    lease: Duration,
    token: i64,
}

impl<'a> Puller<'a> {
    fn new(api: &'a ApiState, of: &'a SubscriptionRecord, max: u32, lease: Duration) -> Result<Self, Problem> {
        let filter = of.filter.as_deref().map(EventFilter::compile).transpose();
        Ok(Self {
            api,
            name: &of.name,
            filter: filter.map_err(|error| Problem::new(Code::Conflict, format!("filter: {error}")))?,
            max,
            lease,
            token: rand::random::<i64>() | 1,
        })
    }

    /// Takes the wanted events that are available now.
    async fn take(&self) -> Result<Taken, Problem> {
        let now = self.api.clock.now();
        let request = TakeEvents {
            max: self.max,
            leased_until: now.plus(self.lease),
            token: self.token,
            in_flight: None,
        };
        let mut taken = self.api.store.take_events(self.name, &request, now).await?;
        metrics::redelivered(self.name, taken.repeated());
        if let Some(filter) = &self.filter {
            self.apply(filter, &mut taken).await?;
        }
        Ok(taken)
    }

    /// Keeps the events that the filter accepts, and settles the others.
    async fn apply(&self, filter: &EventFilter, taken: &mut Taken) -> Result<(), Problem> {
        let mut settlements = Vec::new();
        let mut unavailable = None;
        let all = std::mem::take(&mut taken.events);
        for one in all {
            let outcome = match &unavailable {
                Some(_) => Some(EventOutcome::Untried),
                None => match filter.wants(&self.api.evaluator, &one.event).await {
                    Ok(true) => None,
                    Ok(false) => Some(EventOutcome::Skipped),
                    Err(error @ FilterError::Failed(_)) => Some(EventOutcome::Dead {
                        error: error.to_string(),
                    }),
                    Err(error @ FilterError::TimedOut(_)) => Some(self.after_timeout(&error, one.attempt)),
                    Err(error @ FilterError::Unavailable(_)) => {
                        unavailable = Some(error);
                        Some(EventOutcome::Untried)
                    }
                },
            };
            match outcome {
                None => taken.events.push(one),
                Some(outcome) => settlements.push(SettleEvent {
                    sequence: one.event.head.sequence,
                    token: self.token,
                    outcome,
                }),
            }
        }
        if !settlements.is_empty() {
            taken.more = true;
            let now = self.api.clock.now();
            self.api.store.settle_events(self.name, &settlements, now).await?;
        }
        match unavailable {
            Some(error) if taken.events.is_empty() => Err(Problem::new(Code::Unavailable, full_text(&error))),
            _ => Ok(()),
        }
    }

    /// The next rung of the ladder of pushes, or its end.
    fn after_timeout(&self, error: &FilterError, attempt: u32) -> EventOutcome {
        let settings = self.api.settings.as_deref();
        let settings = settings.map_or_else(SubscriptionSettings::default, |all| all.subscriptions.clone());
        let now = self.api.clock.now();
        match (settings.backoff).after_failure(attempt.saturating_sub(1), now, None, rand::random()) {
            LadderStep::Wait { due_at, .. } => EventOutcome::Again {
                due_at,
                error: Some(error.to_string()),
            },
            LadderStep::Exhausted => EventOutcome::Dead {
                error: error.to_string(),
            },
        }
    }
}

fn pulled(taken: TakenEvent, token: i64) -> Pulled {
    Pulled {
        ack_id: format!("{}.{token}", taken.event.head.sequence),
        attempt: taken.attempt,
        event: taken.event.into(),
    }
}

fn seconds_of(name: &str, seconds: u64, range: std::ops::RangeInclusive<u64>) -> Result<Duration, Problem> {
    if range.contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    let detail = format!("{name} takes seconds from {} to {}", range.start(), range.end());
    Err(Problem::new(Code::InvalidRequest, detail))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ack {
    /// `ack_id` of the events to acknowledge, at most 1,000.
    ack_ids: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nack {
    /// `ack_id` of the events to deliver again, at most 1,000.
    ack_ids: Vec<String>,
    /// Seconds until then, 0 to 43,200.
    #[serde(default)]
    delay: u64,
    /// Why, for people.
    error: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Settled {
    /// Events that were settled.
    pub(super) settled: usize,
    /// `ack_id` of events that another puller has by now, or that are already settled.
    pub(super) stale: Vec<String>,
}

/// Acknowledges events: they are not delivered again.
#[utoipa::path(
    post, path = "/subscriptions/{name}/ack", tag = "events", request_body = Ack,
    security(("token" = ["operate"])), responses((status = 200, body = Settled)),
)]
pub(super) async fn ack(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Ack>,
) -> Result<Json<Settled>, Problem> {
    by.principal.require_all_sources()?;
    by.refuse_if_match()?;
    settle(&api, &name, wanted.ack_ids, &EventOutcome::Acked).await
}

/// Returns events, to be delivered again after the delay, or later if they failed before; after 20 attempts they become dead
/// letters.
#[utoipa::path(
    post, path = "/subscriptions/{name}/nack", tag = "events", request_body = Nack,
    security(("token" = ["operate"])), responses((status = 200, body = Settled)),
)]
pub(super) async fn nack(
    State(api): State<Arc<ApiState>>,
    by: By<Operate>,
    Path(name): Path<String>,
    Body(wanted): Body<Nack>,
) -> Result<Json<Settled>, Problem> {
    by.principal.require_all_sources()?;
    by.refuse_if_match()?;
    let delay = seconds_of("delay", wanted.delay, 0..=MAX_SECONDS)?;
    let again = EventOutcome::Again {
        due_at: api.clock.now().plus(delay),
        error: wanted.error,
    };
    let settled = settle(&api, &name, wanted.ack_ids, &again).await;
    // Waiting requests learn when they are due.
    api.queue.wake().await;
    settled
}

async fn settle(
    api: &ApiState,
    name: &str,
    ack_ids: Vec<String>,
    outcome: &EventOutcome,
) -> Result<Json<Settled>, Problem> {
    if ack_ids.len() > MAX_ACK_IDS {
        let detail = format!("ack_ids takes at most {MAX_ACK_IDS}");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    for id in &ack_ids {
        ACK_ID.check("ack_ids", id)?;
    }
    if ack_ids.iter().any(|id| id.starts_with(changes::ACK_PREFIX)) {
        return changes::settle(api, name, ack_ids, outcome).await.map(Json);
    }
    let settlement = |id: &String| -> Result<SettleEvent, Problem> {
        let parts = id
            .split_once('.')
            .and_then(|(sequence, token)| Some((sequence.parse().ok()?, token.parse().ok()?)));
        let (sequence, token) = parts
            .ok_or_else(|| Problem::new(Code::InvalidRequest, "ack_ids must contain the ack_id of pulled events"))?;
        Ok(SettleEvent {
            sequence: EventSequence(sequence),
            token,
            outcome: outcome.clone(),
        })
    };
    let settlements = ack_ids.iter().map(settlement).collect::<Result<Vec<_>, _>>()?;
    let settled = api.store.settle_events(name, &settlements, api.clock.now()).await?;
    let stale = ack_ids.into_iter().zip(&settled).filter(|(_, settled)| !**settled);
    Ok(Json(Settled {
        settled: settled.iter().filter(|settled| **settled).count(),
        stale: stale.map(|(id, _)| id).collect(),
    }))
}
