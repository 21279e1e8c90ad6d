//! The handler of kind `http-target`: one job is one entity of one endpoint, and sends the entity's current state.
//! Changes of one entity reach the endpoint in order, since they share a job; of several in a row only the newest is
//! sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tideline_config::settings::{HttpTargetSettings, Removal, TargetKind, TargetSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::{Ladder, fingerprint, sent_fingerprint};
use tideline_core::words::{ClaimedJob, EntityRef, Fingerprint, HTTP_TARGET_KIND, TargetRequest};
use tideline_expression::{Evaluator, Expression};
use tideline_queue::Queue;
use tideline_store::{EntityRecord, Store};
use url::Url;

use super::entity;
use super::gate::{Gate, Pass};
use super::meter;
use crate::batches::Batches;
use crate::handler::{Attempt, Handler, HandlerError, Outcome};
use crate::places::Admission;
use crate::sources::http::client::{Call, CallError, HttpClient};

/// How long an attempt may take beyond the timeout of its request.
const MARGIN: Duration = Duration::from_secs(60);
/// Maximum size of a response; only its beginning is shown, if it is an error.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// How long a job waits whose target is not in this worker's configuration.
const UNKNOWN: Duration = Duration::from_secs(60);
/// In a path, everything else is escaped.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Sends changes to endpoints.
pub struct HttpTargetHandler {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    evaluator: Arc<Evaluator>,
    entities: Batches<EntityRef, Vec<EntityRecord>>,
    targets: HashMap<String, Target>,
}

struct Target {
    settings: TargetSettings,
    http: HttpTargetSettings,
    body: Option<Expression>,
    gate: Gate,
    client: HttpClient,
}

/// An entity as `body` sees it.
#[derive(Serialize)]
struct View<'e> {
    #[serde(rename = "ref")]
    reference: &'e EntityRef,
    kind: &'e str,
    namespace: &'e str,
    name: &'e str,
    source: Option<&'e str>,
    removed: bool,
    entity: Option<&'e RawValue>,
}

/// A request to send.
struct Message {
    method: Method,
    body: Option<String>,
}

/// A problem in the settings of an `http` target.
pub(super) fn check(http: &HttpTargetSettings) -> Vec<(String, String)> {
    let body = http.body.as_deref().map(Expression::compile);
    let wrong = body
        .and_then(Result::err)
        .map(|error| ("body".to_owned(), error.to_string()));
    wrong.into_iter().collect()
}

impl HttpTargetHandler {
    /// A handler for the `http` targets among these.
    ///
    /// # Errors
    /// Names the target and the key that cannot work.
    pub fn new(
        store: Arc<dyn Store>,
        queue: &Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        evaluator: Arc<Evaluator>,
        targets: &[TargetSettings],
    ) -> Result<Self, String> {
        let mut opened = HashMap::new();
        for settings in targets {
            let TargetKind::Http(http) = &settings.kind else {
                continue;
            };
            let name = settings.name.as_str();
            let wrong = |why: String| format!("target {name}: {why}");
            let origin: Url = filled(&http.url, ["x", "x", "x"]).map_err(wrong)?;
            let headers = http.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
            let client = HttpClient::new(
                &origin,
                &settings.auth,
                headers,
                MAX_ANSWER_BYTES,
                settings.timeout,
                Arc::clone(&clock),
            );
            let body = http.body.as_deref().map(Expression::compile).transpose();
            let parts = (Arc::clone(&store), Arc::clone(queue), Arc::clone(&clock));
            let target = Target {
                gate: Gate::new(
                    parts.0,
                    parts.1,
                    parts.2,
                    (name, HTTP_TARGET_KIND),
                    settings.concurrency,
                ),
                client: client.map_err(|problems| wrong(format!("{problems:?}")))?,
                body: body.map_err(|error| wrong(format!("body: {error}")))?,
                http: http.clone(),
                settings: settings.clone(),
            };
            opened.insert(settings.name.clone(), target);
        }
        Ok(Self {
            store,
            clock,
            evaluator,
            entities: Batches::default(),
            targets: opened,
        })
    }

    /// What is to be sent; none: nothing.
    async fn message(
        &self,
        target: &Target,
        reference: &EntityRef,
        entity: Option<&EntityRecord>,
    ) -> Result<Option<Message>, HandlerError> {
        let removal = target.http.removal;
        if entity.is_none() && url_of(target, reference).is_err() {
            // Nothing can ever have been sent there.
            return Ok(None);
        }
        if entity.is_none() && removal == Removal::Delete {
            return Ok(Some(Message {
                method: Method::DELETE,
                body: None,
            }));
        }
        if entity.is_none() && removal == Removal::Ignore {
            return Ok(None);
        }
        let method = if target.http.post { Method::POST } else { Method::PUT };
        let body = match (&target.body, entity) {
            (None, Some(entity)) => Some(entity.body.clone()),
            (None, None) => Some(json!({ "ref": reference, "removed": true }).to_string()),
            (Some(expression), entity) => self.shape(expression, reference, entity).await?,
        };
        Ok(body.map(|body| Message {
            method,
            body: Some(body),
        }))
    }

    /// The body that the expression makes; none: it makes nothing.
    async fn shape(
        &self,
        expression: &Expression,
        reference: &EntityRef,
        entity: Option<&EntityRecord>,
    ) -> Result<Option<String>, HandlerError> {
        let input = View {
            reference,
            kind: reference.kind(),
            namespace: reference.namespace(),
            name: reference.name(),
            source: entity.map(|entity| entity.source.as_str()),
            removed: entity.is_none(),
            entity: entity.and_then(|entity| serde_json::from_str(&entity.body).ok()),
        };
        let input = serde_json::to_string(&input).map_err(|error| HandlerError::Other(Box::new(error)))?;
        match self.evaluator.evaluate_to_texts(expression, &input).await {
            Ok(outputs) => Ok(outputs.into_iter().next()),
            Err(error) if error.is_transient() => Err(HandlerError::Transient {
                message: format!("body: {error}"),
                not_before: None,
            }),
            Err(error) => Err(HandlerError::Permanent(format!("body: {error}"))),
        }
    }

    fn call(
        target: &Target,
        request: &TargetRequest,
        entity: Option<&EntityRecord>,
        message: Message,
    ) -> Result<Call, HandlerError> {
        let reference = &request.reference;
        let url = url_of(target, reference).map_err(HandlerError::Permanent)?;
        let mut call = Call::new(message.method, url);
        let body = message.body.unwrap_or_default();
        // One change is one request, no matter how often it is retried; a resend by a person is another one.
        let change = entity.map_or(request.cause, |entity| entity.sequence.0);
        let wish = if request.again { request.cause } else { 0 };
        let key = format!(
            "{}\n{}\n{reference}\n{change}\n{wish}\n{body}",
            target.settings.name, call.method
        );
        let key = fingerprint(key.as_bytes()).to_string();
        if let Ok(key) = HeaderValue::from_str(&format!("\"{}\"", &key[..32])) {
            call.headers.insert(HeaderName::from_static("idempotency-key"), key);
        }
        if !body.is_empty() {
            call.headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            call.body = Some(body.into_bytes());
        }
        Ok(call)
    }

    async fn send(&self, target: &Target, call: Call) -> Result<(), Failure> {
        let is_delete = call.method == Method::DELETE;
        let what = format!("{} {}", call.method, address(&call.url));
        let reply = target.client.send(call).await.map_err(|error| match error {
            CallError::Outage(why) => Failure::Outage(why),
            CallError::NoReply(message) => Failure::Attempt(HandlerError::Transient {
                message,
                not_before: None,
            }),
        })?;
        let status = reply.status.as_u16();
        if reply.status.is_success() || is_delete && matches!(status, 404 | 410) {
            return Ok(());
        }
        let message = format!("{what} answered {}: {}", reply.status, target.client.shown(&reply.body));
        Err(match status {
            401 => Failure::Outage(format!("{message}; check auth")),
            408 | 425 | 429 | 500..=599 => Failure::Attempt(HandlerError::Transient {
                message,
                not_before: reply.retry_after.map(|wait| self.clock.now().plus(wait)),
            }),
            _ => Failure::Attempt(HandlerError::Permanent(message)),
        })
    }
}

/// Why an entity was not sent.
enum Failure {
    /// Nothing can be sent to the endpoint now.
    Outage(String),
    /// This attempt failed.
    Attempt(HandlerError),
}

#[async_trait]
impl Handler for HttpTargetHandler {
    fn kind(&self) -> &'static str {
        HTTP_TARGET_KIND
    }

    fn ladder(&self, job: &ClaimedJob) -> Ladder {
        let target = self.targets.get(TargetRequest::target_of(&job.key));
        target.map_or_else(Ladder::default, |target| target.settings.backoff.clone())
    }

    fn deadline(&self, job: &ClaimedJob) -> Duration {
        let target = self.targets.get(TargetRequest::target_of(&job.key));
        target.map_or(MARGIN, |target| target.settings.timeout * 2 + MARGIN)
    }

    fn admit(&self, job: &ClaimedJob) -> Admission {
        let target = self.targets.get(TargetRequest::target_of(&job.key));
        target.map_or(Admission::Shared, |target| target.gate.admit())
    }

    async fn run(&self, attempt: &Attempt) -> Result<Outcome, HandlerError> {
        let request: TargetRequest = serde_json::from_str(&attempt.job.args)
            .map_err(|error| HandlerError::Permanent(format!("the job's args: {error}")))?;
        let Some(target) = self.targets.get(&request.target) else {
            let why = "its target is not in this worker's configuration".to_owned();
            return Ok(Outcome::Postpone(self.clock.now().plus(UNKNOWN), why));
        };
        meter::job(&*self.clock, &request.target, self.tell(target, &request)).await
    }
}

impl HttpTargetHandler {
    /// Sends the entity's current state.
    async fn tell(&self, target: &Target, request: &TargetRequest) -> Result<Outcome, HandlerError> {
        let pass = match target.gate.enter().await? {
            Ok(pass) => pass,
            Err(outcome) => return Ok(outcome),
        };
        let (name, reference) = (&request.target, &request.reference);
        let entity = entity::find(&*self.store, &self.entities, &target.settings.follow, reference).await?;
        let sent = match self.message(target, reference, entity.as_ref()).await {
            Ok(None) => Ok(()),
            Ok(Some(message)) => match Self::call(target, request, entity.as_ref(), message) {
                Ok(call) => {
                    let class = |failure: &Failure| match failure {
                        Failure::Outage(_) => "outage",
                        Failure::Attempt(HandlerError::Permanent(_)) => "refused",
                        Failure::Attempt(_) => "transient",
                    };
                    meter::request(&*self.clock, name, self.send(target, call), class).await
                }
                Err(error) => Err(Failure::Attempt(error)),
            },
            Err(error) => Err(Failure::Attempt(error)),
        };
        match sent {
            Ok(()) => {
                target.gate.answered(&pass).await;
                let sent = entity.map(|entity| print_of(target, &pass, &entity));
                self.keep(target, &pass, reference, sent).await
            }
            Err(Failure::Outage(why)) => {
                target.gate.settle(reference, Some(why.clone())).await?;
                Ok(target.gate.hold_back(&pass, &why).await?)
            }
            Err(Failure::Attempt(error)) => {
                target.gate.answered(&pass).await;
                target.gate.settle(reference, Some(error.to_string())).await?;
                Err(error)
            }
        }
    }
}

impl HttpTargetHandler {
    /// Records what the endpoint has now. Changes are compared with that, so a change back to the previous state may
    /// have been skipped meanwhile: the catalog is checked again.
    async fn keep(
        &self,
        target: &Target,
        pass: &Pass,
        reference: &EntityRef,
        sent: Option<Fingerprint>,
    ) -> Result<Outcome, HandlerError> {
        let may_have_changed = match sent {
            Some(sent) => target.gate.sent(reference, sent).await?,
            None => {
                target.gate.settle(reference, None).await?;
                let name = &target.settings.name;
                self.store.forget_target_entity(name, reference).await?;
                true
            }
        };
        if may_have_changed {
            let entity = entity::find(&*self.store, &self.entities, &target.settings.follow, reference).await?;
            if entity.map(|entity| print_of(target, pass, &entity)) != sent {
                return Ok(Outcome::Again(Duration::ZERO));
            }
        }
        Ok(Outcome::Done)
    }
}

fn print_of(target: &Target, pass: &Pass, entity: &EntityRecord) -> Fingerprint {
    sent_fingerprint(&entity.source, &entity.body, target.http.repeats(pass.starts))
}

/// Where an entity is at the endpoint.
fn url_of(target: &Target, reference: &EntityRef) -> Result<Url, String> {
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parts = [reference.kind(), reference.namespace(), reference.name()].map(text);
    filled(&target.http.url, [&parts[0], &parts[1], &parts[2]])
}

/// A URL with parts of a reference in it, each escaped.
fn filled(template: &str, [kind, namespace, name]: [&str; 3]) -> Result<Url, String> {
    let escaped = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
    let text = template
        .replace("{kind}", &escaped(kind))
        .replace("{namespace}", &escaped(namespace));
    let text = text.replace("{name}", &escaped(name));
    // RFC 3986, section 5.2.4: such a segment is taken out, and `..` takes the one before it along.
    let path = |text: &'_ str| text.split(['?', '#']).next().unwrap_or_default().to_owned();
    let (before, after) = (path(template), path(&text));
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    let mut segments = before.split('/').zip(after.split('/'));
    if segments.any(|(before, after)| before != after && is_dots(after)) {
        return Err(format!(
            "url: {kind}:{namespace}/{name} has no address: `.` and `..` cannot be a segment of a path"
        ));
    }
    Url::parse(&text).map_err(|error| format!("url: {error}"))
}

/// For people: without a query.
fn address(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_reference_cannot_leave_their_place_in_the_url() {
        let url = filled(
            "https://s.example/e/{kind}/{namespace}/{name}?x=1",
            ["npm", "../..", "@babel/core?a#b"],
        )
        .unwrap();
        assert_eq!(
            url.as_str(),
            "https://s.example/e/npm/..%2F../%40babel%2Fcore%3Fa%23b?x=1"
        );
        for parts in [["a", "b", ".."], ["a", ".", "b"], ["..", "b", "c"]] {
            let error = filled("https://s.example/put/{kind}/{namespace}/{name}", parts).unwrap_err();
            assert!(error.contains("cannot be a segment of a path"), "{error}");
        }
        for (template, path) in [
            ("https://s.example/e/{namespace}-{name}", "/e/.-.."),
            ("https://s.example/e?of={name}", "/e"),
        ] {
            assert_eq!(filled(template, ["a", ".", ".."]).unwrap().path(), path);
        }
    }
}
