//! Completing an event: requests missing data from the source's API, and publishes another event with it.

use serde_json::{Map, Value};
use tideline_core::rules::event_view;
use tideline_core::words::{DeliveryId, EventSequence, NewEvent, Verdict};

use super::{Ready, RefreshHandler};
use crate::handler::{Attempt, HandlerError, Outcome};
use crate::ingest::failed;
use crate::source::{ErrorClass, SourceError};

impl RefreshHandler {
    /// Publishes the event that a rule makes of an event and the response to its request. Exactly one, no matter how
    /// often the job runs.
    pub(super) async fn complete(
        &self,
        attempt: &Attempt,
        ready: &Ready<'_>,
        (rule, values): (usize, &Map<String, Value>),
        event: i64,
    ) -> Result<Outcome, HandlerError> {
        let settings = &ready.readable.settings;
        let fetch = settings.on.get(rule).and_then(|rule| rule.fetch.as_ref());
        let Some(fetch) = fetch else {
            return Err(HandlerError::Permanent(format!(
                "on[{rule}] no longer has fetch; the next cycle finds what the event announced"
            )));
        };
        let Some(record) = self.store.find_event(EventSequence(event)).await? else {
            return Err(HandlerError::Permanent(
                "the event is older than events.retention; the next cycle finds what it announced".to_owned(),
            ));
        };
        let view = event_view(&record).map_err(|error| HandlerError::Permanent(format!("the event: {error}")))?;
        let timeout = settings.page_timeout;
        let made = tokio::time::timeout(timeout, ready.readable.source.complete_event(rule, values, &view)).await;
        let made = made.unwrap_or_else(|_| {
            Err(SourceError::new(
                ErrorClass::Transient { retry_after: None },
                format!("the request for the event took longer than page_timeout ({timeout:?})"),
            ))
        });
        let body = match made {
            Ok(body) => body,
            Err(error) => return Err(failed(&*self.store, &*self.clock, ready.source, error).await),
        };
        let published = NewEvent {
            topic: fetch.topic.clone(),
            key: record.head.key.clone(),
            delivery: Some(DeliveryId {
                hook: format!("source:{}", settings.name),
                id: format!("on/{rule}/{event}"),
            }),
            verdict: Verdict::Own,
            malformed: false,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
            trace: attempt.job.trace.clone(),
        };
        self.store.append_events(&[published], self.clock.now()).await?;
        self.queue.wake().await;
        Ok(Outcome::Done)
    }
}
