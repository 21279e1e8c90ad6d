//! One request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest, Sha256};
use tideline_config::hooks::{HookProvider, HookTopic};
use tideline_core::rules::{check_topic, topic_word};
use tideline_core::words::{Appended, DeliveryId, NewEvent, Timestamp, Verdict};
use tideline_runtime::telemetry::metrics;
use tokio::time::Instant;
use url::form_urlencoded;

use super::body::{Held, NotReceived};
use super::document::Document;
use super::figures::CameOf;
use super::intake::{Intake, NotStored};
use super::providers::{self, Id, Received, Understood};
use super::scheme::{Refusal, header};
use super::{Hook, Hooks, topic};
use crate::gateway::address_of;
use crate::secrets::is_same;

/// Time limit for responding to a webhook that has arrived: if it is not stored by then, the response is 503, and its
/// sender retries. GitHub waits for 10 s, and the body may have waited for memory before.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Minimum interval between log lines about refused webhooks of one hook, in milliseconds.
const LOG_EVERY_MS: u64 = 10_000;
/// Minimum interval between reports of oversized webhooks of one hook, in milliseconds.
const TELL_EVERY_MS: u64 = 60_000;
/// Maximum length of a stored header, in bytes.
const MAX_HEADER_BYTES: usize = 500;
/// Headers that are stored; a name that ends with `-` is a prefix. Never signatures, tokens or cookies.
const KEPT_HEADERS: [&str; 18] = [
    "content-type",
    "user-agent",
    "x-github-event",
    "x-github-delivery",
    "x-github-hook-",
    "x-github-enterprise-",
    "x-gitlab-event",
    "x-gitlab-event-uuid",
    "x-gitlab-instance",
    "x-gitlab-webhook-uuid",
    "idempotency-key",
    "x-event-key",
    "x-request-uuid",
    "x-hook-uuid",
    "x-attempt-number",
    "x-request-id",
    "webhook-id",
    "webhook-timestamp",
];
/// Headers with the time of a webhook, for those without an id.
const TIMESTAMP_HEADERS: [&str; 3] = ["webhook-timestamp", "x-timestamp", "x-request-timestamp"];

/// Why a request is refused. An unverified sender does not learn the reason.
enum Refused {
    Unknown,
    Method,
    Unproven(Refusal),
    Type(&'static str),
    Body(NotReceived),
    Stored(NotStored),
}

pub(super) async fn plain(State(hooks): State<Arc<Hooks>>, Path(name): Path<String>, request: Request) -> Response {
    answer(&hooks, &name, None, request).await
}

pub(super) async fn with_id(
    State(hooks): State<Arc<Hooks>>,
    Path((name, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    answer(&hooks, &name, Some(&id), request).await
}

pub(super) async fn terraform(State(hooks): State<Arc<Hooks>>, request: Request) -> Response {
    answer(&hooks, hooks.first_of(HookProvider::Terraform), None, request).await
}

pub(super) async fn github(State(hooks): State<Arc<Hooks>>, request: Request) -> Response {
    answer(&hooks, hooks.first_of(HookProvider::Github), None, request).await
}

impl Hooks {
    /// The name of the provider's hook, by name if there are several; none: no hook has an empty name.
    fn first_of(&self, provider: HookProvider) -> &str {
        let of_provider = self.hooks.values().filter(|hook| hook.settings.provider == provider);
        let names = of_provider.map(|hook| hook.settings.name.as_str());
        names.min().unwrap_or_default()
    }
}

async fn answer(hooks: &Hooks, name: &str, path_id: Option<&str>, request: Request) -> Response {
    let began = Instant::now();
    let received = receive(hooks, name, path_id, request).await;
    // Only for configured names, and only for senders that know the whole path: a stranger must not create time series.
    if hooks.hooks.contains_key(name) && !matches!(received, Err(Refused::Unknown)) {
        metrics::hook_request(name, outcome(&received), began.elapsed());
        hooks.figures.note(name, came_of(&received), hooks.clock.now());
    }
    match received {
        Ok(stored) => {
            let id = stored.sequence.to_string();
            let body = json!({ "status": "accepted", "id": id, "duplicate": stored.duplicate });
            (StatusCode::ACCEPTED, axum::Json(body)).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

/// The outcome of a webhook, for the statistics of its hook.
fn came_of(received: &Result<Appended, Refused>) -> CameOf {
    match received {
        Ok(stored) if stored.duplicate => CameOf::Duplicate,
        Ok(_) => CameOf::Stored,
        Err(Refused::Unproven(refusal)) => CameOf::Unproven(refusal.text()),
        Err(Refused::Body(NotReceived::Full)) => CameOf::Unavailable("too many bytes were in flight"),
        Err(Refused::Stored(_)) => CameOf::Unavailable("it could not be stored"),
        Err(Refused::Body(NotReceived::Long)) => CameOf::Refused("the body is larger than max_body_bytes"),
        Err(Refused::Body(_)) => CameOf::Refused("the body did not arrive"),
        Err(Refused::Type(_)) => CameOf::Refused("the content type is not JSON"),
        Err(Refused::Unknown | Refused::Method) => CameOf::Refused("it was not sent with POST"),
    }
}

/// The outcome of a webhook, as in the metric.
fn outcome(received: &Result<Appended, Refused>) -> &'static str {
    match received {
        Ok(stored) if stored.duplicate => "duplicate",
        Ok(_) => "stored",
        Err(Refused::Unproven(_)) => "unproven",
        Err(Refused::Body(NotReceived::Full) | Refused::Stored(_)) => "unavailable",
        Err(Refused::Unknown | Refused::Method | Refused::Type(_) | Refused::Body(_)) => "refused",
    }
}

async fn receive(hooks: &Hooks, name: &str, path_id: Option<&str>, request: Request) -> Result<Appended, Refused> {
    let hook = hooks
        .hooks
        .get(name)
        .filter(|hook| hook.has_path(path_id))
        .ok_or(Refused::Unknown)?;
    if request.method() != Method::POST {
        return Err(Refused::Method);
    }
    let address = address_of(&request);
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let form = hook.takes(&headers)?;
    if hooks.intake.is_down() {
        return Err(Refused::Stored(NotStored::Down));
    }
    let length = header(&headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
    let lengths = (length, hook.settings.max_body_bytes);
    let held = hooks.memory.receive(body, lengths, address).await;
    let storing = async {
        if matches!(held, Err(NotReceived::Long)) {
            hook.tell_of_large(&hooks.intake, &headers, hooks.clock.now()).await;
        }
        store(hooks, hook, &headers, form, held.map_err(Refused::Body)?).await
    };
    let stored = tokio::time::timeout(ANSWER_WITHIN, storing).await;
    stored.unwrap_or(Err(Refused::Stored(NotStored::Down)))
}

/// Verifies and interprets a webhook, and returns when it is in the store.
async fn store(hooks: &Hooks, hook: &Hook, headers: &HeaderMap, form: bool, held: Held) -> Result<Appended, Refused> {
    let now = hooks.clock.now();
    if let Err(refusal) = hook.verify(headers, &held.bytes, now).await {
        hook.log_refusal(refusal, now);
        return Err(Refused::Unproven(refusal));
    }
    let (bytes, memory) = held.into_parts();
    let mut event = hook.event(headers, bytes, form, now);
    if let Some(expression) = &hook.topic {
        topic::apply(expression, &hooks.evaluator, &hook.settings.name, &mut event).await;
    }
    let stored = hooks.intake.append(event).await.map_err(Refused::Stored);
    drop(memory);
    stored
}

impl Hook {
    /// Whether a secret of the hook verifies it.
    async fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
        match &self.stored {
            None => self.verifier.verify(headers, body, now),
            Some(stored) => stored.verify(headers, body, now).await,
        }
    }

    /// Whether the random part of the path is right.
    fn has_path(&self, given: Option<&str>) -> bool {
        match (&self.settings.path_id, given) {
            (None, None) => true,
            (Some(wanted), Some(given)) => is_same(wanted.reveal().as_bytes(), given.as_bytes()),
            _ => false,
        }
    }

    /// Whether the hook accepts the content type; true: it is a form.
    fn takes(&self, headers: &HeaderMap) -> Result<bool, Refused> {
        let forms = matches!(self.settings.provider, HookProvider::Github | HookProvider::Hmac);
        let Some(given) = header(headers, CONTENT_TYPE.as_str()) else {
            return Ok(false);
        };
        let given = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if given == "application/json" || (given.starts_with("application/") && given.ends_with("+json")) {
            Ok(false)
        } else if forms && given == "application/x-www-form-urlencoded" {
            Ok(true)
        } else if forms {
            Err(Refused::Type("application/json, application/x-www-form-urlencoded"))
        } else {
            Err(Refused::Type("application/json"))
        }
    }

    /// The stored form of a webhook.
    pub(super) fn event(&self, headers: &HeaderMap, received: Vec<u8>, form: bool, now: Timestamp) -> NewEvent {
        // GitHub's form has the JSON in a field, and so have Slack's.
        let payload = form.then(|| {
            form_urlencoded::parse(&received)
                .find(|(name, _)| name == "payload")
                .map(|(_, value)| value.into_owned().into_bytes())
        });
        let hash = Sha256::digest(&received);
        let body = payload.flatten().unwrap_or(received);
        let document = Document::parse(&body);
        let malformed = document.is_none();
        let understood = {
            let document = document.unwrap_or_default();
            let received = Received {
                headers,
                document: &document,
                id_header: self.settings.id_header.as_deref(),
            };
            providers::read(self.settings.provider, &received)
        };
        NewEvent {
            topic: self.topic(&understood),
            key: cut(&understood.key, NewEvent::MAX_KEY_BYTES),
            delivery: Some(DeliveryId {
                hook: self.settings.name.clone(),
                id: self.id(headers, &understood.id, &hash, now),
            }),
            verdict: if self.verifier.verifies() {
                Verdict::Verified
            } else {
                Verdict::Unsigned
            },
            malformed,
            headers: kept(headers),
            body,
            trace: header(headers, "traceparent").map(|trace| cut(trace, 64)),
        }
    }

    fn topic(&self, understood: &Understood) -> String {
        if let Some(HookTopic::Constant(topic)) = &self.settings.topic {
            return topic.clone();
        }
        let name = topic_word(&self.settings.name);
        let topic = match &understood.event {
            Some(event) => format!("{name}.{}", topic_word(event)),
            None => name,
        };
        let topic = cut(&topic, NewEvent::MAX_TOPIC_BYTES);
        if check_topic(&topic).is_ok() {
            topic
        } else {
            "unknown".to_owned()
        }
    }

    fn id(&self, headers: &HeaderMap, id: &Id, body_hash: &[u8], now: Timestamp) -> String {
        let usable = |given: &&String| given.len() <= NewEvent::MAX_ID_BYTES && !given.contains(char::is_control);
        match id {
            Id::Given(given) if usable(&given) => given.clone(),
            Id::Each => format!("{}-{:016x}", now.0, rand::random::<u64>()),
            Id::Given(_) | Id::Content => {
                let mut hash = Sha256::new();
                hash.update(self.settings.name.as_bytes());
                for name in TIMESTAMP_HEADERS {
                    hash.update(b"\n");
                    hash.update(header(headers, name).unwrap_or_default().as_bytes());
                }
                if let Id::Given(given) = id {
                    hash.update(given.as_bytes());
                }
                hash.update(body_hash);
                format!("sha256-{}", hex::encode(hash.finalize()))
            }
        }
    }

    /// An oversized webhook is refused, but not forgotten: it is recorded in the log of events, and the provider is
    /// asked for its copy. Rate-limited, so that a stranger cannot fill the log.
    async fn tell_of_large(&self, intake: &Intake, headers: &HeaderMap, now: Timestamp) {
        let moment = u64::try_from(now.0).unwrap_or(0);
        let last = self.told_at.load(Ordering::Relaxed);
        let is_early = moment < last.saturating_add(TELL_EVERY_MS);
        if is_early
            || self
                .told_at
                .compare_exchange(last, moment, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let body = json!({
            "hook": self.settings.name,
            "max_body_bytes": self.settings.max_body_bytes,
            "delivery": header(headers, "x-github-delivery").map(|id| cut(id, NewEvent::MAX_ID_BYTES)),
        });
        let event = NewEvent {
            topic: "hook.body_too_large".to_owned(),
            key: self.settings.name.clone(),
            delivery: None,
            verdict: Verdict::Own,
            malformed: false,
            headers: kept(headers),
            body: body.to_string().into_bytes(),
            trace: None,
        };
        if intake.append(event).await.is_err() {
            tracing::debug!(
                hook = self.settings.name,
                "the event for a webhook that was too large could not be stored"
            );
        }
        self.urgent.notify_one();
    }

    /// One line for many refusals, so that a stranger cannot fill the log.
    fn log_refusal(&self, refusal: Refusal, now: Timestamp) {
        let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let now = u64::try_from(now.0).unwrap_or(0);
        let last = self.logged_at.load(Ordering::Relaxed);
        if now < last.saturating_add(LOG_EVERY_MS) {
            return;
        }
        let swapped = self
            .logged_at
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
        if swapped.is_ok() {
            self.refused.fetch_sub(refused, Ordering::Relaxed);
            let hook = self.settings.name.as_str();
            tracing::warn!(hook, refused, why = refusal.text(), "webhooks were refused");
        }
    }
}

fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let is_kept = |name: &str| {
        KEPT_HEADERS
            .iter()
            .any(|kept| name == *kept || (kept.ends_with('-') && name.starts_with(kept)))
    };
    headers
        .iter()
        .filter(|(name, _)| is_kept(name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), cut(value.to_str().ok()?, MAX_HEADER_BYTES))))
        .collect()
}

/// Truncates a text to at most `most` bytes.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, detail) = match &self {
            Self::Unknown => (StatusCode::NOT_FOUND, ""),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "webhooks are sent with POST"),
            Self::Unproven(_) => (StatusCode::UNAUTHORIZED, ""),
            Self::Type(_) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "see the Accept header for accepted types",
            ),
            Self::Body(NotReceived::Long) => (StatusCode::PAYLOAD_TOO_LARGE, "see max_body_bytes of the hook"),
            Self::Body(NotReceived::Full) => (StatusCode::SERVICE_UNAVAILABLE, "too many bytes are in flight"),
            Self::Body(NotReceived::Slow) => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
            Self::Body(NotReceived::Broken) => (StatusCode::BAD_REQUEST, "the body ended too early"),
            Self::Stored(NotStored::Refused) => (StatusCode::INTERNAL_SERVER_ERROR, ""),
            Self::Stored(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "it cannot be stored right now; send it again",
            ),
        };
        let title = status.canonical_reason().unwrap_or("Error");
        let mut problem = json!({ "status": status.as_u16(), "title": title });
        if !detail.is_empty() {
            problem["detail"] = detail.into();
        }
        let mut response = (status, problem.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Method => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
            Self::Type(taken) => drop(headers.insert(axum::http::header::ACCEPT, HeaderValue::from_static(taken))),
            Self::Body(NotReceived::Full) | Self::Stored(NotStored::Down | NotStored::Busy) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
