//! Reads pages one after the other, ahead of their commits. Runs in a task of its own, so that parsing and committing
//! use different cores.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tideline_core::clock::Clock;
use tideline_core::rules::{came_twice, keep_cursor, scrub_urls};
use tideline_core::words::{CycleNumber, Fingerprint, JobId, PageMemory, PageWrite, Timestamp};
use tideline_runtime::telemetry::{metrics, spans};
use tideline_store::{IngestStore, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::pages::page_write;
use super::{PartitionArgs, Readable};
use crate::source::{ErrorClass, Page, PageContent, PageRequest, Pass, SourceError};

/// Memories fetched from the store at once.
const MEMORIES: u32 = 64;

/// Maximum number of entities read ahead of their commits: twice the size of a commit. This bounds memory, since a
/// large entity counts as several: one more for each [`COUNTS_ONCE`] bytes of its body.
const READ_AHEAD_ENTITIES: usize = 4_000;
/// 4,000 of them are 32 MiB.
const COUNTS_ONCE: usize = 8 * 1024;

/// A page waiting for its commit.
pub(crate) struct ReadPage {
    /// Its entities' share of the room; released when it is committed.
    pub(crate) room: Option<OwnedSemaphorePermit>,
    pub(crate) write: PageWrite,
    /// Where the next page starts; none: this was the last one.
    pub(crate) next: Option<Value>,
    /// How long the source wants no further requests.
    pub(crate) hold: Option<Duration>,
    /// Why reading does not continue after it.
    pub(crate) failure: Option<SourceError>,
}

/// Why reading ended before the partition did.
pub(crate) enum ReadError {
    Source(SourceError),
    Store(StoreError),
}

pub(crate) struct Reader {
    pub(crate) store: Arc<dyn IngestStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) readable: Arc<Readable>,
    pub(crate) job: JobId,
    pub(crate) cycle: CycleNumber,
    pub(crate) partition: Arc<PartitionArgs>,
    pub(crate) cursor: Option<Value>,
    pub(crate) next_page: u32,
    /// Like in [`Progress`](tideline_core::words::Progress), but of the pages read, which may not be committed yet.
    pub(crate) kept_cursor: Option<Fingerprint>,
    pub(crate) stop: CancellationToken,
    pub(crate) ends_at: Timestamp,
}

impl Reader {
    /// Reads until the partition is finished, the burst's time is up, it is stopped, or something fails. The first page
    /// is read in any case: a burst always makes progress.
    pub(crate) async fn run(mut self, pages: mpsc::Sender<Result<ReadPage, ReadError>>) {
        let mut memories = Memories {
            known: VecDeque::new(),
            fetched_to: self.next_page,
        };
        let room = Arc::new(Semaphore::new(READ_AHEAD_ENTITIES));
        loop {
            let mut read = self.read(&mut memories).await;
            if let Ok(page) = &mut read {
                page.room = take_room(&room, &page.write).await;
            }
            let mut failure = None;
            let last = match &mut read {
                Ok(page) => {
                    failure = page.failure.take();
                    failure.is_some() || page.next.is_none() || page.hold.is_some()
                }
                Err(_) => true,
            };
            if let Ok(page) = &read {
                self.cursor.clone_from(&page.next);
                self.next_page = self.next_page.saturating_add(1);
                if let Some(next) = &page.next {
                    self.kept_cursor = keep_cursor(self.kept_cursor, self.next_page, &next.to_string());
                }
            }
            // Without a receiver the burst has ended, so reading stops.
            if pages.send(read).await.is_err() {
                return;
            }
            if let Some(failure) = failure {
                // The page is on its way to the store; only its successor is missing.
                let _ = pages.send(Err(ReadError::Source(failure))).await;
                return;
            }
            if last {
                return;
            }
            if self.stop.is_cancelled() || self.clock.now() >= self.ends_at {
                return;
            }
        }
    }

    async fn read(&self, memories: &mut Memories) -> Result<ReadPage, ReadError> {
        let memory = memories
            .of(self.next_page, self.job, &*self.store)
            .await
            .map_err(ReadError::Store)?;
        self.read_page(memory).await
    }

    /// Reads the page at the cursor, given the store's memory of it.
    pub(super) async fn read_page(&self, memory: Option<PageMemory>) -> Result<ReadPage, ReadError> {
        let request = PageRequest {
            partition: &self.partition.partition,
            args: &self.partition.args,
            cursor: self.cursor.as_ref().filter(|cursor| !cursor.is_null()),
            memory: memory.as_ref(),
            pass: Pass::Cycle(self.cycle),
        };
        let timeout = self.readable.settings.page_timeout;
        let asked_at = self.clock.now();
        let span = spans::fetch_page(&self.readable.settings.name, self.cycle, self.next_page);
        let page = tokio::time::timeout(timeout, self.readable.source.read_page(request))
            .instrument(span)
            .await
            .unwrap_or_else(|_| Err(timed_out(timeout)));
        metrics::source_request(
            &self.readable.settings.name,
            class_of(&page),
            self.clock.now().since(asked_at),
        );
        let mut page = page.map_err(ReadError::Source)?;
        let hold = page.hold;
        let mut failure = page.failure.take();
        let next = match (&page.content, &memory) {
            // Not finished: a retry reads this page again.
            _ if failure.is_some() => Some(self.cursor.clone().unwrap_or(Value::Null)),
            (PageContent::Unchanged, Some(memory)) => match &memory.next {
                Some(text) => Some(serde_json::from_str(text).map_err(|error| broken_memory(&error))?),
                None => None,
            },
            _ => page.next.clone(),
        };
        if let Some(next) = &next
            && failure.is_none()
        {
            failure = self.refuse(&next.to_string());
        }
        let write =
            page_write(self.next_page, page, memory, &self.readable.settings.volatile, asked_at).ok_or_else(|| {
                ReadError::Source(SourceError::new(
                    ErrorClass::Permanent,
                    "the source reported a page as unchanged that is not remembered; this is a bug in the source",
                ))
            })?;
        Ok(ReadPage {
            room: None,
            write,
            next,
            hold,
            failure,
        })
    }

    /// Why there must be no page at this cursor.
    fn refuse(&self, next: &str) -> Option<SourceError> {
        let most = self.readable.settings.max_pages;
        if came_twice(self.kept_cursor, next) {
            return Some(circle(next));
        }
        (self.next_page.saturating_add(1) >= most)
            .then(|| SourceError::new(ErrorClass::Permanent, too_many_pages(most)))
    }
}

/// The reason for giving up a partition that has more pages than `max_pages`.
pub(crate) fn too_many_pages(most: u32) -> String {
    format!("the partition has more than {most} pages (max_pages); do its cursors never end?")
}

/// Waits for room for the page's entities. A page that exceeds the room takes all of it.
async fn take_room(room: &Arc<Semaphore>, write: &PageWrite) -> Option<OwnedSemaphorePermit> {
    let wanted = u32::try_from(size_of(write).min(READ_AHEAD_ENTITIES)).ok()?;
    if wanted == 0 {
        return None;
    }
    Arc::clone(room).acquire_many_owned(wanted).await.ok()
}

/// How many entities the page counts as.
fn size_of(write: &PageWrite) -> usize {
    let sizes = write
        .entities()
        .iter()
        .map(|entity| 1 + entity.body.len() / COUNTS_ONCE);
    sizes.sum()
}

/// The class of an answer in metrics.
fn class_of(answer: &Result<Page, SourceError>) -> &'static str {
    match answer {
        Ok(Page {
            content: PageContent::Unchanged,
            ..
        }) => "unchanged",
        Ok(_) => "ok",
        Err(error) => match error.class {
            ErrorClass::Transient { .. } => "transient",
            ErrorClass::Permanent => "permanent",
            ErrorClass::Config => "config",
            ErrorClass::CursorExpired => "cursor_expired",
        },
    }
}

fn timed_out(timeout: Duration) -> SourceError {
    SourceError::new(
        ErrorClass::Transient { retry_after: None },
        format!("the page took longer than page_timeout ({timeout:?})"),
    )
}

fn circle(cursor: &str) -> SourceError {
    // A next URL may be signed. It has to be stored, so that the partition can continue, but is never shown.
    let shown: String = scrub_urls(cursor).chars().take(100).collect();
    SourceError::new(
        ErrorClass::Permanent,
        format!("the cursor does not advance: {shown} came twice; check how the next cursor is found"),
    )
}

fn broken_memory(error: &serde_json::Error) -> ReadError {
    ReadError::Source(SourceError::new(
        ErrorClass::Permanent,
        format!("the remembered cursor is not JSON: {error}"),
    ))
}

/// The store's memories of the next pages, fetched many at a time.
struct Memories {
    known: VecDeque<PageMemory>,
    fetched_to: u32,
}

impl Memories {
    async fn of(&mut self, page: u32, job: JobId, store: &dyn IngestStore) -> Result<Option<PageMemory>, StoreError> {
        if page >= self.fetched_to {
            self.known = store.list_page_memories(job, page, MEMORIES).await?.into();
            self.fetched_to = match self.known.back() {
                // A full batch: there may be more. Otherwise these were the last ones.
                Some(last) if self.known.len() >= MEMORIES as usize => last.page + 1,
                _ => u32::MAX,
            };
        }
        while self.known.front().is_some_and(|memory| memory.page < page) {
            self.known.pop_front();
        }
        Ok(if self.known.front().is_some_and(|memory| memory.page == page) {
            self.known.pop_front()
        } else {
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tideline_core::rules::Volatile;
    use tideline_core::words::{EntityRef, Validators};

    use super::*;
    use crate::source::Item;

    fn written(bodies: &[usize]) -> PageWrite {
        let items = (0..).zip(bodies).map(|(number, bytes): (u32, _)| Item::Entity {
            reference: EntityRef::new("component", "default", &format!("e{number}")).unwrap(),
            body: json!({ "text": "x".repeat(*bytes) }).to_string(),
        });
        let page = Page {
            content: PageContent::Items(items.collect()),
            next: None,
            children: vec![],
            validators: Validators::default(),
            hold: None,
            failure: None,
        };
        page_write(0, page, None, &Volatile::default(), Timestamp(0)).unwrap()
    }

    #[tokio::test]
    async fn large_entities_are_read_ahead_by_their_bytes() {
        assert_eq!(size_of(&written(&[10, 600, 8_000])), 3);
        assert_eq!(size_of(&written(&[1_000_000])), 123);
        let room = Arc::new(Semaphore::new(READ_AHEAD_ENTITIES));
        let large = written(&[30_000_000]);
        let held = take_room(&room, &large).await.unwrap();
        assert!(room.available_permits() < 400, "next to nothing may follow it");
        drop(held);
        let larger = written(&[50_000_000]);
        assert!(take_room(&room, &larger).await.is_some(), "one page is always read");
    }
}
