//! Rereads one partition outside of a cycle: page by page, as deltas. When the last page is written, what the partition
//! no longer shows is removed, if that is certain; otherwise it is left to the next complete cycle.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tideline_core::rules::{came_twice, keep_cursor};
use tideline_core::words::{ChildPartition, Delta, DeltaBasis, DeltaChange, Fingerprint, Origin, Timestamp};
use tokio::time::timeout;

use super::{Part, Ready, RefreshHandler};
use crate::handler::{Attempt, HandlerError, Outcome};
use crate::ingest::{Sorted, failed, sort_out, too_many_pages};
use crate::source::{ErrorClass, Page, PageContent, PageRequest, Pass, SourceError};

/// The progress of a partition: the job's cursor.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Place {
    /// For which request; another one starts over.
    event: Fingerprint,
    page: u32,
    cursor: Option<Value>,
    kept: Option<Fingerprint>,
    /// When the reading of the first page began.
    since: Option<Timestamp>,
    /// Whether a page showed an entity.
    shown: bool,
    /// Whether something on the pages could not be read, which may be the missing items.
    doubtful: bool,
    /// Whether this is the second of two requested readings.
    looked: bool,
    /// Restarts after an expired cursor.
    restarts: u32,
}

/// The content of a page, besides its entities.
struct Rest {
    next: Option<Value>,
    children: Vec<ChildPartition>,
    hold: Option<Duration>,
    failure: Option<SourceError>,
}

impl RefreshHandler {
    /// Reads pages until the partition is finished or the burst's time is up; then goes on after the burst's interval.
    pub(super) async fn partition(
        &self,
        attempt: &Attempt,
        ready: &Ready<'_>,
        part: &Part,
        (removed, deep, look_again_ms): (bool, bool, Option<u64>),
    ) -> Result<Outcome, HandlerError> {
        let settings = &ready.readable.settings;
        let ends_at = self.clock.now().plus(settings.burst_length);
        let origin = Origin {
            partition: Some(part.job.clone()),
            item: None,
            entity: None,
        };
        let mut place = stored(attempt);
        loop {
            let began = self.clock.now();
            let since = *place.since.get_or_insert(began);
            let page = match self.read_part(ready, part, (&place, since)).await {
                Ok(page) => page,
                Err(error) if error.class == ErrorClass::CursorExpired => {
                    restart(&mut place, settings.max_restarts, &error)?;
                    tracing::warn!(partition = part.key, %error, "the cursor expired; starting over");
                    store_place(attempt, &place).await?;
                    continue;
                }
                Err(error) => return Err(failed(&*self.store, &*self.clock, ready.source, error).await),
            };
            let rest = self.write_page(ready, &origin, &mut place, (page, began)).await?;
            // The page is written, but the next one cannot be determined.
            if let Some(failure) = rest.failure {
                return Err(failed(&*self.store, &*self.clock, ready.source, failure).await);
            }
            self.reveal(attempt, ready, rest.children, deep).await?;
            if let Some(hold) = rest.hold {
                self.store.hold_back(ready.source, self.clock.now().plus(hold)).await?;
            }
            let Some(next) = rest.next else {
                if is_complete(&place, removed, settings.confirm_cycles) {
                    self.drop_unseen(ready, &origin, since, removed).await?;
                }
                return match look_again_ms.filter(|_| !place.looked) {
                    None => Ok(Outcome::Done),
                    Some(wait) => {
                        store_place(attempt, &again(&place)).await?;
                        Ok(Outcome::Again(Duration::from_millis(wait)))
                    }
                };
            };
            advance(&mut place, next, settings.max_pages)?;
            store_place(attempt, &place).await?;
            if attempt.stop.is_cancelled() {
                return Ok(Outcome::HandBack);
            }
            if rest.hold.is_some() || self.clock.now() >= ends_at {
                let wait = rest.hold.unwrap_or_default().max(settings.burst_interval);
                return Ok(Outcome::Again(wait));
            }
        }
    }

    async fn read_part(
        &self,
        ready: &Ready<'_>,
        part: &Part,
        (place, since): (&Place, Timestamp),
    ) -> Result<Page, SourceError> {
        let request = PageRequest {
            partition: &part.key,
            args: &part.args,
            cursor: place.cursor.as_ref(),
            memory: None,
            pass: Pass::Refresh(since),
        };
        let readable = ready.readable;
        let page = timeout(readable.settings.page_timeout, readable.source.read_page(request)).await;
        page.unwrap_or_else(|_| Err(too_slow()))
    }

    async fn write_page(
        &self,
        ready: &Ready<'_>,
        origin: &Origin,
        place: &mut Place,
        (page, began): (Page, Timestamp),
    ) -> Result<Rest, HandlerError> {
        let PageContent::Items(items) = page.content else {
            return Err(HandlerError::Permanent(
                "the source reported a page as unchanged that is not remembered; this is a bug in the source"
                    .to_owned(),
            ));
        };
        // What is malformed is left to the next cycle, which reports it.
        let Sorted {
            entities, malformed, ..
        } = sort_out(items, &ready.readable.settings.volatile);
        place.doubtful |= !malformed.is_empty();
        place.shown |= !entities.is_empty();
        let basis = DeltaBasis::Read(began);
        let upserts = entities.into_iter().map(DeltaChange::Upsert);
        let deltas: Vec<Delta> = upserts.map(|change| Delta { change, basis }).collect();
        // What was overtaken was read by a reading that began later, so it is up to date.
        self.write(ready, Some(origin), &deltas).await?;
        Ok(Rest {
            next: page.next,
            children: page.children,
            hold: page.hold,
            failure: page.failure,
        })
    }
}

/// Whether items that the reading did not show no longer exist. An empty partition may be one to which access was lost,
/// unless the event said that it is gone. Where items may move between pages during the reading (`confirm_cycles` above
/// 1), only a single page is complete.
fn is_complete(place: &Place, removed: bool, confirm_cycles: u32) -> bool {
    !place.doubtful && (place.shown || removed) && (place.page == 0 || confirm_cycles <= 1)
}

fn advance(place: &mut Place, next: Value, max_pages: u32) -> Result<(), HandlerError> {
    let text = next.to_string();
    if came_twice(place.kept, &text) {
        return Err(HandlerError::Permanent(
            "the cursor does not advance; check how the next cursor is found".to_owned(),
        ));
    }
    place.page = place.page.saturating_add(1);
    if place.page >= max_pages {
        return Err(HandlerError::Permanent(too_many_pages(max_pages)));
    }
    place.kept = keep_cursor(place.kept, place.page, &text);
    place.cursor = Some(next);
    Ok(())
}

/// Starts over at the first page. What was shown stays shown, and `page` keeps counting: such a reading does not show
/// everything at once.
fn restart(place: &mut Place, max_restarts: u32, error: &SourceError) -> Result<(), HandlerError> {
    if place.cursor.is_none() {
        return Err(HandlerError::Permanent(format!(
            "the source calls its first page an expired cursor: {error}"
        )));
    }
    if place.restarts >= max_restarts {
        return Err(HandlerError::Permanent(format!(
            "the cursor expired more than max_restarts ({max_restarts}) times in this refresh: {error}"
        )));
    }
    place.restarts += 1;
    place.cursor = None;
    place.kept = None;
    Ok(())
}

async fn store_place(attempt: &Attempt, place: &Place) -> Result<(), HandlerError> {
    let text = serde_json::to_string(place).map_err(|error| HandlerError::Other(Box::new(error)))?;
    attempt.checkpoint(&text).await
}

/// The start of the second reading.
fn again(place: &Place) -> Place {
    Place {
        event: place.event,
        looked: true,
        ..Place::default()
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
    // A cursor from an older release lacks the start of its reading.
    let place = place.filter(|place: &Place| place.event == event && (place.page == 0 || place.since.is_some()));
    place.unwrap_or(fresh)
}

fn too_slow() -> SourceError {
    SourceError::new(
        ErrorClass::Transient { retry_after: None },
        "the page took longer than page_timeout",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expired_cursor_starts_a_refresh_over_only_so_often_and_forgets_nothing_that_it_saw() {
        let expired = SourceError::new(ErrorClass::CursorExpired, "410 Gone");
        let since = Some(Timestamp(7));
        let mut place = Place {
            shown: true,
            since,
            ..Place::default()
        };
        for restarts in 1..=2 {
            // The same cursors come again.
            advance(&mut place, json!("2"), 100).unwrap();
            restart(&mut place, 2, &expired).unwrap();
            assert_eq!((place.restarts, &place.cursor), (restarts, &None));
        }
        assert!(place.shown && place.since == since);
        assert!(!is_complete(&place, false, 2), "it was read at several moments");
        let first = restart(&mut place, 9, &expired).unwrap_err();
        assert!(first.to_string().contains("its first page"), "{first}");
        advance(&mut place, json!("2"), 100).unwrap();
        let last = restart(&mut place, 2, &expired).unwrap_err();
        assert!(
            matches!(&last, HandlerError::Permanent(why) if why.contains("max_restarts (2)")),
            "{last}"
        );
    }

    #[test]
    fn only_a_reading_that_shows_everything_at_once_says_what_is_gone() {
        let shown = Place {
            shown: true,
            ..Place::default()
        };
        assert!(is_complete(&shown, false, 2));
        assert!(
            !is_complete(&Place::default(), false, 1),
            "nothing is shown: lost rights look the same"
        );
        assert!(is_complete(&Place::default(), true, 1), "the event said so");
        let doubtful = Place {
            doubtful: true,
            shown: true,
            ..Place::default()
        };
        assert!(!is_complete(&doubtful, true, 1));
        let pages = Place {
            page: 1,
            shown: true,
            ..Place::default()
        };
        assert!(is_complete(&pages, false, 1));
        assert!(!is_complete(&pages, false, 2), "items may have moved between its pages");
    }

    #[test]
    fn a_refresh_of_cursors_that_never_end_is_given_up() {
        let mut place = Place::default();
        let refusal = (1..).find_map(|number| advance(&mut place, Value::from(number), 10).err());
        assert!(refusal.unwrap().to_string().contains("more than 10 pages (max_pages)"));
        assert_eq!(place.page, 10);
    }
}
