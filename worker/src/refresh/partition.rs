//! Reading one partition again outside of a cycle: page by page, as deltas. What it no longer has is left to the next
//! complete cycle.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tideline_core::rules::{came_twice, keep_cursor};
use tideline_core::words::{Delta, DeltaBasis, Fingerprint};
use tokio::time::timeout;

use super::{Ready, RefreshHandler, partition_of, upserts};
use crate::handler::{Attempt, HandlerError, Outcome};
use crate::ingest::failed;
use crate::source::{ErrorClass, Page, PageContent, PageRequest, SourceError};

/// How far a partition is: the job's cursor.
#[derive(Default, Serialize, Deserialize)]
struct Place {
    /// For which request; another one starts over.
    event: Fingerprint,
    page: u32,
    cursor: Option<Value>,
    kept: Option<Fingerprint>,
}

impl RefreshHandler {
    /// Reads pages until the partition is finished or the burst's time is up; then goes on after the burst's interval.
    pub(super) async fn partition(
        &self,
        attempt: &Attempt,
        ready: &Ready<'_>,
        resource: Option<&str>,
        values: &Map<String, Value>,
    ) -> Result<Outcome, HandlerError> {
        let settings = &ready.readable.settings;
        let Some((partition, args)) = partition_of(ready.readable, resource, values) else {
            return Err(HandlerError::Permanent(
                "the source has no partition of these values that can be read alone".to_owned(),
            ));
        };
        let ends_at = self.clock.now().plus(settings.burst_length);
        let mut place = stored(attempt);
        loop {
            let began = self.clock.now();
            let request = PageRequest {
                partition: &partition,
                args: &args,
                cursor: place.cursor.as_ref(),
                memory: None,
            };
            let page = timeout(settings.page_timeout, ready.readable.source.read_page(request)).await;
            let mut page = match page.unwrap_or_else(|_| Err(too_slow())) {
                Ok(page) => page,
                Err(error) => return Err(failed(&*self.store, &*self.clock, ready.source, error).await),
            };
            let (hold, next, failure) = (page.hold, page.next.clone(), page.failure.take());
            let basis = DeltaBasis::Read(began);
            let deltas: Vec<Delta> = (changes_of(ready, page)?.into_iter())
                .map(|change| Delta { change, basis })
                .collect();
            // What was overtaken has been read by somebody who began later: it is as new as it can be.
            self.write(ready, &deltas).await?;
            // The page is written; nobody can tell what follows it.
            if let Some(failure) = failure {
                return Err(failed(&*self.store, &*self.clock, ready.source, failure).await);
            }
            if let Some(hold) = hold {
                self.store.hold_back(ready.source, self.clock.now().plus(hold)).await?;
            }
            let Some(next) = next else { return Ok(Outcome::Done) };
            let text = next.to_string();
            if came_twice(place.kept, &text) {
                return Err(HandlerError::Permanent(
                    "the cursor does not advance; check how the next cursor is found".to_owned(),
                ));
            }
            place.page = place.page.saturating_add(1);
            place.kept = keep_cursor(place.kept, place.page, &text);
            place.cursor = Some(next);
            let text = serde_json::to_string(&place).map_err(|error| HandlerError::Other(Box::new(error)))?;
            attempt.checkpoint(&text).await?;
            if attempt.stop.is_cancelled() {
                return Ok(Outcome::HandBack);
            }
            if hold.is_some() || self.clock.now() >= ends_at {
                return Ok(Outcome::Again(hold.unwrap_or_default().max(settings.burst_interval)));
            }
        }
    }
}

/// Where the last attempt for the same request stopped.
fn stored(attempt: &Attempt) -> Place {
    let event = attempt.job.fingerprint;
    let place = attempt
        .job
        .cursor
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let fresh = Place {
        event,
        ..Place::default()
    };
    place.filter(|place: &Place| place.event == event).unwrap_or(fresh)
}

/// What is malformed on a page is left to the next cycle, which reports it.
fn changes_of(ready: &Ready<'_>, page: Page) -> Result<Vec<tideline_core::words::DeltaChange>, HandlerError> {
    match page.content {
        PageContent::Items(mut items) => {
            items.retain(|item| matches!(item, crate::source::Item::Entity { .. }));
            upserts(&ready.readable.settings, items)
        }
        PageContent::Unchanged => Err(HandlerError::Permanent(
            "the source called a page unchanged that nobody remembers; this is a defect of the source".to_owned(),
        )),
    }
}

fn too_slow() -> SourceError {
    SourceError::new(
        ErrorClass::Transient { retry_after: None },
        "the page took longer than page_timeout",
    )
}
