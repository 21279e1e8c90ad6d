//! Handlers that are programs elsewhere: each attempt is a signed POST, its response carries the outcome. This opens
//! the queue to programs in any language.
//!
//! The request has the headers of Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`) and this
//! body:
//!
//! ```json
//! {"job": {"id": "7", "kind": "send-mail", "key": "order-1", "attempt": 1, "trigger": "manual"},
//!  "args": {…}, "cursor": null, "deadline": "2026-11-29T06:00:00.000Z"}
//! ```
//!
//! | Answer | What comes of it |
//! |---|---|
//! | 2xx without a body, or `{"outcome": "done"}` | the job is done |
//! | `{"outcome": "again", "after_ms": 5000, "cursor": …}` | a part is done; goes on after that time, with that cursor |
//! | `{"outcome": "failed", "error": "…", "cursor": …}`, any other status, no answer | next rung of the ladder |
//! | `{"outcome": "permanent", "error": "…"}` | the job waits for a person |

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tideline_config::secrets::{WEBHOOK_SECRET_FORM, signing_key};
use tideline_config::settings::{Auth, HandlerSettings};
use tideline_core::clock::Clock;
use tideline_core::rules::Ladder;
use tideline_core::words::{ClaimedJob, Timestamp, Trigger};

use crate::handler::{Attempt, Handler, HandlerError, Outcome};
use crate::places::{Admission, Places};
use crate::sources::http::client::{Call, HttpClient, Reply};
use crate::standard_webhooks::signature;

/// How long an attempt may take beyond the timeout of its request.
const MARGIN: Duration = Duration::from_secs(30);
/// Maximum size of a response; a cursor is in it.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// Maximum wait between two parts of a job.
const LONGEST_WAIT_MS: u64 = 30 * 86_400_000;

/// A program elsewhere that works on one kind of job.
pub struct RemoteHandler {
    settings: HandlerSettings,
    client: HttpClient,
    key: Vec<u8>,
    places: Places,
}

/// The body of a request. Args and cursor are sent as they are: their numbers keep all their digits.
#[derive(Serialize)]
struct Request<'r> {
    job: JobView<'r>,
    args: &'r RawValue,
    cursor: Option<&'r RawValue>,
    deadline: String,
}

#[derive(Serialize)]
struct JobView<'r> {
    id: String,
    kind: &'r str,
    key: &'r str,
    attempt: u32,
    trigger: Trigger,
}

#[derive(Default, Deserialize)]
struct Answer {
    outcome: End,
    #[serde(default)]
    after_ms: u64,
    #[serde(default)]
    error: String,
    cursor: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    #[default]
    Done,
    Again,
    Failed,
    Permanent,
}

impl RemoteHandler {
    /// Connects to nothing.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub fn new(settings: HandlerSettings, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let client = HttpClient::new(
            &settings.url,
            &Auth::None,
            [],
            MAX_ANSWER_BYTES,
            settings.timeout,
            Arc::clone(&clock),
        );
        Ok(Self {
            client: client.map_err(|problems| format!("handler {}: {problems:?}", settings.kind))?,
            key: signing_key(&settings.secret)
                .ok_or_else(|| format!("handler {}: secret: {WEBHOOK_SECRET_FORM}", settings.kind))?,
            places: Places::new(settings.concurrency, clock),
            settings,
        })
    }

    fn call(&self, attempt: &Attempt) -> Result<Call, HandlerError> {
        let (job, now) = (&attempt.job, attempt.clock.now());
        let wrong = |error: serde_json::Error| HandlerError::Permanent(format!("the job's args or cursor: {error}"));
        let request = Request {
            job: JobView {
                id: job.id.to_string(),
                kind: &job.kind,
                key: &job.key,
                attempt: job.attempt,
                trigger: job.trigger,
            },
            args: serde_json::from_str(&job.args).map_err(wrong)?,
            cursor: job
                .cursor
                .as_deref()
                .map(serde_json::from_str)
                .transpose()
                .map_err(wrong)?,
            deadline: now.plus(self.settings.timeout).to_string(),
        };
        let body = serde_json::to_string(&request).map_err(wrong)?;
        // Of one claim; a request that is sent again after a lost answer has the same.
        let id = format!("job_{}_{}", job.id, job.token);
        let seconds = now.0.div_euclid(1_000);
        let signature = signature(&self.key, &id, seconds, body.as_bytes());
        let mut call = Call::new(Method::POST, self.settings.url.clone());
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                call.headers.insert(HeaderName::from_static(name), value);
            }
        }
        call.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.body = Some(body.into_bytes());
        Ok(call)
    }

    fn answer(&self, reply: &Reply, now: Timestamp) -> Result<Answer, HandlerError> {
        let said = || self.client.shown(&reply.body);
        if !reply.status.is_success() {
            return Err(HandlerError::Transient {
                message: format!(
                    "the handler of {} answered {}: {}",
                    self.settings.kind,
                    reply.status,
                    said()
                ),
                not_before: reply.retry_after.map(|wait| now.plus(wait)),
            });
        }
        if reply.body.trim_ascii().is_empty() {
            return Ok(Answer::default());
        }
        serde_json::from_slice(&reply.body).map_err(|error| HandlerError::Transient {
            message: format!(
                "the handler of {} did not answer with an outcome (done, again, failed, permanent): {error}; the \
                 response begins: {}",
                self.settings.kind,
                said()
            ),
            not_before: None,
        })
    }
}

#[async_trait]
impl Handler for RemoteHandler {
    fn kind(&self) -> &str {
        &self.settings.kind
    }

    fn ladder(&self, _: &ClaimedJob) -> Ladder {
        self.settings.backoff.clone()
    }

    fn deadline(&self, _: &ClaimedJob) -> Duration {
        self.settings.timeout + MARGIN
    }

    fn admit(&self, _: &ClaimedJob) -> Admission {
        self.places.admit(&format!("the handler of {}", self.settings.kind))
    }

    async fn run(&self, attempt: &Attempt) -> Result<Outcome, HandlerError> {
        let call = self.call(attempt)?;
        let reply = self.client.send(call).await.map_err(|error| HandlerError::Transient {
            message: error.to_string(),
            not_before: None,
        })?;
        let answer = self.answer(&reply, attempt.clock.now())?;
        if let (End::Again | End::Failed, Some(cursor)) = (&answer.outcome, &answer.cursor) {
            attempt.checkpoint(cursor.get()).await?;
        }
        match answer.outcome {
            End::Done => Ok(Outcome::Done),
            End::Again => {
                let wait = Duration::from_millis(answer.after_ms.min(LONGEST_WAIT_MS));
                Ok(Outcome::Again(wait))
            }
            End::Failed => Err(HandlerError::Transient {
                message: answer.error,
                not_before: None,
            }),
            End::Permanent => Err(HandlerError::Permanent(answer.error)),
        }
    }
}
