//! The routes of Backstage's event bus, below `/api/events/bus/v1`, so that plugins of Backstage publish to the log of
//! events and follow it without a change. A subscription of the bus is one of ours, `bus.ID`. The protocol has no
//! acknowledgment: events that were read count as acknowledged when the same client reads again, and are redelivered if
//! it does not within [`LEASE`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json as Answer, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tideline_core::rules::{TopicGlob, check_topic, is_own_topic, own_topic_refusal};
use tideline_core::words::{
    EventOutcome, EventSequence, NewEvent, SettleEvent, SubscriptionKind, SubscriptionRecord, SubscriptionSpec,
    TakeEvents, TakenEvent, Timestamp, Verdict,
};
use tideline_store::{Deed, EventFilter, EventStart, StoreError, SubscriptionAct};
use tokio::time::Instant;

use crate::api::event_bell::EventBell;
use crate::api::extract::{Json, Path};
use crate::api::place::Place;
use crate::api::role::{By, Operate};
use crate::api::{Api, ApiState, Code, Problem};

/// Header with the time for which an empty response is held, in milliseconds.
const HOLD_HEADER: &str = "backstage-events-notify-timeout";
/// As long as Backstage holds it: just below a minute, which is a common limit of proxies.
const HOLD: Duration = Duration::from_secs(55);
/// Events that were read are redelivered after this time, unless their reader came back.
const LEASE: Duration = Duration::from_secs(300);
/// Number of events per response, as in Backstage.
const BATCH: u32 = 10;
/// Maximum number of readers whose last batch is remembered.
const MAX_READERS: usize = 10_000;
/// The header that lists subscribers already notified by the publisher.
const NOTIFIED: &str = "backstage-notified-subscribers";
/// Maximum length of a subscription id, in bytes.
const MAX_ID: usize = 200;
/// Maximum number of topics of a subscription, and of subscribers that an event names.
const MAX_NAMES: usize = 100;

/// The last batch of each reader.
type Readers = Mutex<HashMap<String, Batch>>;

/// Events that a reader has and has not confirmed by reading again.
struct Batch {
    token: i64,
    until: Timestamp,
    events: Vec<EventSequence>,
}

struct Bus {
    api: Arc<ApiState>,
    readers: Readers,
}

type BusOf = State<Arc<Bus>>;

pub(super) fn router(api: &Api) -> Router {
    let bus = Bus {
        api: Arc::clone(&api.state),
        readers: Mutex::default(),
    };
    let routes = Router::new()
        .route("/events", post(publish))
        .route("/subscriptions/{id}", put(subscribe))
        .route("/subscriptions/{id}/events", get(read));
    Router::new()
        .nest("/api/events/bus/v1", routes)
        .with_state(Arc::new(bus))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidRequest, detail.into())
}

/// The name of our subscription. Characters that our names do not have are written as `=` and two hexadecimal digits.
fn name_of(id: &str) -> Result<String, Problem> {
    if id.is_empty() || id.len() > MAX_ID {
        return Err(invalid(format!("the id of a subscription has 1 to {MAX_ID} bytes")));
    }
    let mut name = "bus.".to_owned();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("={byte:02X}"));
        }
    }
    Ok(name)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Publication {
    event: Published,
    /// Subscribers in the publisher's own process, which already have the event.
    #[serde(default)]
    notified_subscribers: Vec<String>,
}

#[derive(Deserialize)]
struct Published {
    topic: String,
    payload: Option<Box<RawValue>>,
}

/// Appends an event, unless all followers of its topic already have it: then 204, like Backstage.
async fn publish(State(bus): BusOf, by: By<Operate>, Json(wanted): Json<Publication>) -> Result<StatusCode, Problem> {
    by.principal.require_all_sources()?;
    let topic = wanted.event.topic;
    check_topic(&topic).map_err(|error| invalid(format!("event.topic: {error}")))?;
    if is_own_topic(&topic) {
        return Err(invalid(format!("event.topic {}", own_topic_refusal())));
    }
    let notified = wanted.notified_subscribers;
    if notified.len() > MAX_NAMES || notified.iter().any(|id| id.len() > MAX_ID) {
        return Err(invalid(format!(
            "notifiedSubscribers takes at most {MAX_NAMES} ids with {MAX_ID} bytes"
        )));
    }
    if !notified.is_empty() && !is_wanted(&bus.api, &topic, &notified).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut headers = vec![];
    if !notified.is_empty() {
        headers.push((NOTIFIED.to_owned(), json!(notified).to_string()));
    }
    let event = NewEvent {
        topic,
        key: String::new(),
        delivery: None,
        verdict: Verdict::Published,
        malformed: false,
        headers,
        body: (wanted.event.payload.as_deref())
            .map_or("null", RawValue::get)
            .as_bytes()
            .to_vec(),
        trace: None,
    };
    let deed = Deed::PublishEvents {
        topic: event.topic.clone(),
    };
    bus.api.note_hourly(&by.principal.actor, "events", deed).await?;
    bus.api.store.append_events(&[event], bus.api.clock.now()).await?;
    bus.api.queue.wake().await;
    Ok(StatusCode::CREATED)
}

/// Whether a follower of a topic has not been notified yet.
async fn is_wanted(api: &ApiState, topic: &str, notified: &[String]) -> Result<bool, Problem> {
    let told: Vec<String> = notified.iter().filter_map(|id| name_of(id).ok()).collect();
    let follows = |record: &SubscriptionRecord| {
        record.changes.is_none() && TopicGlob::any_matches(&record.topics, topic) && !told.contains(&record.name)
    };
    if api.store.list_subscriptions().await?.iter().any(follows) {
        return Ok(true);
    }
    let rules = api.settings.iter().flat_map(|settings| &settings.sources);
    let mut topics = rules.flat_map(|source| &source.on).flat_map(|rule| &rule.topics);
    let publishes = api.settings.as_ref().is_some_and(|settings| settings.publish);
    Ok(publishes || topics.any(|glob| glob.parse::<TopicGlob>().is_ok_and(|glob| glob.matches(topic))))
}

#[derive(Deserialize)]
struct Wanted {
    topics: Vec<String>,
}

/// Creates a subscription that begins now, or changes its topics.
async fn subscribe(
    State(bus): BusOf,
    by: By<Operate>,
    Path(id): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<StatusCode, Problem> {
    by.principal.require_all_sources()?;
    let name = name_of(&id)?;
    if wanted.topics.is_empty() || wanted.topics.len() > MAX_NAMES {
        return Err(invalid(format!("topics takes 1 to {MAX_NAMES}")));
    }
    for topic in &wanted.topics {
        check_topic(topic).map_err(|error| invalid(format!("topics: {error}")))?;
    }
    let topics = wanted.topics.iter().map(|topic| topic.parse());
    let topics: Vec<TopicGlob> = topics
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("topics: {error}")))?;
    // Every process requests it at its start; only a request that changes something is an act.
    let found = bus.api.store.find_subscription(&name).await?;
    if found.is_none_or(|found| found.topics != topics) {
        let spec = SubscriptionSpec {
            name: name.clone(),
            kind: SubscriptionKind::Pull,
            topics,
            max_outstanding: 1_000,
            filter: None,
            push: None,
            changes: None,
        };
        let act = SubscriptionAct::Put {
            spec: Box::new(spec),
            start: EventStart::Now,
        };
        let deed = Deed::ActOnSubscription {
            subscription: name,
            act,
        };
        bus.api.perform(&by, deed).await?;
    }
    Ok(StatusCode::CREATED)
}

/// The next events; or 202, with a response that ends when it is time to read again.
async fn read(
    State(bus): BusOf,
    by: By<Operate>,
    Path(id): Path<String>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    by.principal.require_all_sources()?;
    let name = name_of(&id)?;
    let actor = &by.principal.actor;
    let reader = format!("{name} {} {}", actor.name, actor.address.as_deref().unwrap_or_default());
    bus.confirm(&reader, &name).await?;
    // Before the read: events that are appended meanwhile ring the bell.
    let bell = EventBell::listen(&bus.api);
    let taken = bus.take(&id, &name).await?;
    if !taken.events.is_empty() {
        bus.remember(reader, &taken);
        let events = taken.events.into_iter().map(shown).collect::<Vec<_>>();
        return Ok(Answer(json!({ "events": events })).into_response());
    }
    let Ok(waiter) = Arc::clone(&bus.api.waiters).try_acquire_owned() else {
        return Err(Problem::new(Code::Overloaded, "too many requests wait"));
    };
    if let Some(place) = request.extensions().get::<Place>() {
        place.give_back();
    }
    let held = async move {
        bus.wait(&name, bell, taken.next_due).await;
        drop(waiter);
        Ok::<_, std::convert::Infallible>(Bytes::new())
    };
    let headers = [(HOLD_HEADER, HOLD.as_millis().to_string())];
    let body = Body::from_stream(futures::stream::once(held));
    Ok((StatusCode::ACCEPTED, headers, body).into_response())
}

/// Events for a reader.
struct Reading {
    token: i64,
    until: Timestamp,
    events: Vec<TakenEvent>,
    next_due: Option<Timestamp>,
}

impl Bus {
    /// The reader's previous events are finished: it reads on only when it has handled that.
    async fn confirm(&self, reader: &str, name: &str) -> Result<(), Problem> {
        let Some(batch) = self.readers.lock().remove(reader) else {
            return Ok(());
        };
        let acks = batch.events.iter().map(|sequence| SettleEvent {
            sequence: *sequence,
            token: batch.token,
            outcome: EventOutcome::Acked,
        });
        let acks: Vec<SettleEvent> = acks.collect();
        let now = self.api.clock.now();
        match self.api.store.settle_events(name, &acks, now).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => {
                self.readers.lock().insert(reader.to_owned(), batch);
                Err(error.into())
            }
        }
    }

    /// Takes events, except those that the publisher has delivered to the subscriber itself.
    async fn take(&self, id: &str, name: &str) -> Result<Reading, Problem> {
        loop {
            let (now, token) = (self.api.clock.now(), rand::random::<i64>() | 1);
            let until = now.plus(LEASE);
            let request = TakeEvents {
                max: BATCH,
                leased_until: until,
                token,
                in_flight: None,
            };
            let taken = self.api.store.take_events(name, &request, now).await?;
            let (told, events): (Vec<_>, Vec<_>) = taken.events.into_iter().partition(|event| was_told(event, id));
            let skipped = told.iter().map(|event| SettleEvent {
                sequence: event.event.head.sequence,
                token,
                outcome: EventOutcome::Skipped,
            });
            let skipped: Vec<_> = skipped.collect();
            if !skipped.is_empty() {
                self.api.store.settle_events(name, &skipped, now).await?;
            }
            if events.is_empty() && (taken.more || !skipped.is_empty()) {
                continue;
            }
            return Ok(Reading {
                token,
                until,
                events,
                next_due: taken.next_due,
            });
        }
    }

    /// A reader that is not remembered gets its batch again when the lease expires.
    fn remember(&self, reader: String, reading: &Reading) {
        let now = self.api.clock.now();
        let mut readers = self.readers.lock();
        if readers.len() >= MAX_READERS {
            readers.retain(|_, batch| batch.until > now);
        }
        if readers.len() < MAX_READERS {
            let events = reading.events.iter().map(|event| event.event.head.sequence);
            let batch = Batch {
                token: reading.token,
                until: reading.until,
                events: events.collect(),
            };
            readers.insert(reader, batch);
        }
    }

    /// Waits until there is something to read, or [`HOLD`] is over.
    async fn wait(&self, name: &str, mut bell: tokio::sync::watch::Receiver<EventSequence>, due: Option<Timestamp>) {
        let deadline = Instant::now() + HOLD;
        let due = due.map_or(deadline, |due| Instant::now() + due.since(self.api.clock.now()));
        let until = due.min(deadline);
        let found = self.api.store.find_subscription(name).await;
        let Ok(Some(SubscriptionRecord { topics, position, .. })) = found else {
            return;
        };
        let filter = EventFilter {
            topics,
            ..EventFilter::default()
        };
        let mut from = position;
        loop {
            let Ok(reading) = self.api.store.list_events_after(from, &filter, 1).await else {
                return;
            };
            if !reading.events.is_empty() {
                return;
            }
            from = reading.next;
            if reading.more {
                continue;
            }
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                () = tokio::time::sleep_until(until) => return,
                () = self.api.stop.cancelled() => return,
            }
        }
    }
}

/// Whether the publisher has delivered an event to a subscriber itself.
fn was_told(event: &TakenEvent, id: &str) -> bool {
    let told = event.event.headers.iter().find(|(name, _)| name == NOTIFIED);
    let told = told.and_then(|(_, ids)| serde_json::from_str::<Vec<String>>(ids).ok());
    told.is_some_and(|told| told.iter().any(|told| told == id))
}

/// An event as the bus shows it.
fn shown(event: TakenEvent) -> Value {
    let payload = serde_json::from_slice::<Value>(&event.event.body).unwrap_or_default();
    json!({ "topic": event.event.head.topic, "payload": payload })
}
