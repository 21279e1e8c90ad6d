//! One burst: commits pages while the reader fetches the next ones. Everything is fenced by the lease; whatever goes
//! wrong, the next burst starts from the store's cursor and progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tideline_core::clock::Clock;
use tideline_core::words::{Commit, CycleNumber, Lease, PageBatch, PageWrite, Progress, SourceId, Timestamp};
use tideline_runtime::telemetry::{metrics, spans};
use tideline_store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::failing::failed;
use super::reading::{ReadError, ReadPage, Reader};
use super::{PartitionArgs, Readable};
use crate::attempt::panicked;
use crate::handler::HandlerError;
use crate::source::{ErrorClass, SourceError};

/// Maximum number of entities in one commit, unless one page has more: larger commits gain nothing.
pub(super) const COMMIT_ENTITIES: usize = 2_000;

/// How a burst ended without a failure.
pub(crate) enum BurstEnd {
    PartitionFinished,
    TimeIsUp,
    Stopped,
    HeldBack(Timestamp),
}

pub(crate) struct Burst {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) readable: Arc<Readable>,
    pub(crate) lease: Lease,
    pub(crate) source: SourceId,
    pub(crate) cycle: CycleNumber,
    pub(crate) partition: Arc<PartitionArgs>,
    /// It is the root partition of its source.
    pub(crate) is_root: bool,
    pub(crate) progress: Progress,
    pub(crate) cursor: Option<Value>,
    /// Set by the first commit.
    pub(crate) progressed: Arc<AtomicBool>,
    pub(crate) stop: CancellationToken,
    pub(crate) ends_at: Timestamp,
}

/// Why a run of pages ended.
enum Run {
    Ended(BurstEnd),
    /// The cursor is no longer known.
    Expired(SourceError),
    /// A delta intervened: pages reported as unchanged must be compared.
    ReadAgain,
}

impl Burst {
    pub(crate) async fn run(&mut self) -> Result<BurstEnd, HandlerError> {
        loop {
            // Killed between the last commit and its settlement: there is nothing left to read.
            if self.progress.finished {
                return Ok(BurstEnd::PartitionFinished);
            }
            match self.read_and_commit().await? {
                Run::Ended(end) => return Ok(end),
                Run::Expired(error) => self.restart(&error).await?,
                // The store lists such pages without their content from now on.
                Run::ReadAgain => {}
            }
        }
    }

    /// Starts over from the first page; what is marked stays marked.
    async fn restart(&mut self, error: &SourceError) -> Result<(), HandlerError> {
        if self.cursor.is_none() {
            return Err(HandlerError::Permanent(format!(
                "the source calls its first page an expired cursor: {error}"
            )));
        }
        if self.progress.restarts >= self.readable.settings.max_restarts {
            return Err(HandlerError::Permanent(format!(
                "the cursor expired more than max_restarts ({}) times in this cycle: {error}",
                self.readable.settings.max_restarts
            )));
        }
        tracing::warn!(partition = self.partition.partition, %error, "the cursor expired; starting over");
        match self.store.restart_partition(self.lease, self.clock.now()).await? {
            Commit::Committed { progress, .. } => {
                // The stored trace is that of the previous burst; the coming pages belong to this one.
                let trace = self.progress.trace;
                self.progress = Progress { trace, ..progress };
                self.cursor = None;
                Ok(())
            }
            Commit::LeaseLost | Commit::ReadAgain => Err(HandlerError::LeaseLost),
        }
    }

    async fn read_and_commit(&mut self) -> Result<Run, HandlerError> {
        let limit = self.readable.settings.commit_pages.max(1) as usize;
        let (sender, mut pages) = mpsc::channel(limit);
        let reader = Reader {
            store: Arc::<dyn Store>::clone(&self.store),
            clock: Arc::clone(&self.clock),
            readable: Arc::clone(&self.readable),
            job: self.lease.job,
            cycle: self.cycle,
            partition: Arc::clone(&self.partition),
            cursor: self.cursor.clone(),
            next_page: self.progress.next_page,
            kept_cursor: self.progress.kept_cursor,
            stop: self.stop.clone(),
            ends_at: self.ends_at,
        };
        let mut reading = AbortOnDrop(tokio::spawn(reader.run(sender).in_current_span()));
        loop {
            let (ready, failure, closed) = gather(&mut pages, limit).await;
            let hold = ready.last().and_then(|page| page.hold);
            if let Some(end) = self.commit(ready, hold).await? {
                return Ok(end);
            }
            match failure {
                Some(ReadError::Source(error)) if error.class == ErrorClass::CursorExpired => {
                    return Ok(Run::Expired(error));
                }
                Some(ReadError::Source(error)) => {
                    self.reveal_roots(&error).await?;
                    return Err(failed(&*self.store, &*self.clock, self.source, error).await);
                }
                Some(ReadError::Store(error)) => return Err(error.into()),
                None if closed => {
                    // The reader ended without a last page: its time was up, it was stopped, or the source panicked.
                    if let Err(error) = (&mut reading.0).await {
                        let message = match error.try_into_panic() {
                            Ok(panic) => panicked(panic.as_ref()),
                            Err(_) => "reading was stopped".to_owned(),
                        };
                        return Err(HandlerError::Transient {
                            message,
                            not_before: None,
                        });
                    }
                    let end = if self.stop.is_cancelled() {
                        BurstEnd::Stopped
                    } else {
                        BurstEnd::TimeIsUp
                    };
                    return Ok(Run::Ended(end));
                }
                None => {}
            }
        }
    }

    /// Partitions that are read beside the root do not wait for a first page that cannot be read, unless nothing can be
    /// read.
    async fn reveal_roots(&self, error: &SourceError) -> Result<(), HandlerError> {
        let roots = self.readable.source.roots();
        let none_yet = self.is_root && self.progress.next_page == 0;
        if !none_yet || roots.is_empty() || error.class == ErrorClass::Config {
            return Ok(());
        }
        let revealing = self.store.reveal_partitions(self.lease, &roots, self.clock.now());
        if revealing.await? {
            Ok(())
        } else {
            Err(HandlerError::LeaseLost)
        }
    }

    /// Commits pages that belong together; returns the end of the burst, if they end it.
    async fn commit(&mut self, pages: Vec<ReadPage>, hold: Option<Duration>) -> Result<Option<Run>, HandlerError> {
        let Some(last) = pages.last() else {
            return Ok(None);
        };
        let next = last.next.clone();
        let (pages, room): (Vec<PageWrite>, Vec<_>) = pages.into_iter().map(|page| (page.write, page.room)).unzip();
        let batch = PageBatch {
            lease: self.lease,
            source: self.source,
            cycle: self.cycle,
            partition: self.partition.partition.clone(),
            next: next.as_ref().map(Value::to_string),
            pages,
            progress: self.progress,
            malformed_keep: self.readable.settings.malformed_keep,
        };
        let span = spans::commit_pages(
            &self.readable.settings.name,
            batch.progress.next_page,
            batch.pages.len(),
        );
        let (progress, mut hold_until, paused) = match self
            .store
            .commit_pages(&batch, self.clock.now())
            .instrument(span)
            .await?
        {
            Commit::Committed {
                progress,
                hold_until,
                paused,
            } => (progress, hold_until, paused),
            Commit::ReadAgain => return Ok(Some(Run::ReadAgain)),
            Commit::LeaseLost => return Err(HandlerError::LeaseLost),
        };
        drop((batch, room));
        count(&self.readable.settings.name, &self.progress, &progress);
        self.progress = progress;
        self.cursor = next;
        self.progressed.store(true, Ordering::Relaxed);
        if let Some(hold) = hold {
            let until = self.clock.now().plus(hold);
            self.store.hold_back(self.source, until).await?;
            hold_until = Some(hold_until.map_or(until, |other| other.max(until)));
        }
        let end = if progress.finished {
            Some(BurstEnd::PartitionFinished)
        } else if paused {
            Some(BurstEnd::Stopped)
        } else {
            hold_until.map(BurstEnd::HeldBack)
        };
        Ok(end.map(Run::Ended))
    }
}

/// Counts what a commit added to the progress of a partition of this source.
pub(super) fn count(name: &str, before: &Progress, after: &Progress) {
    let unchanged = after.pages_unchanged.saturating_sub(before.pages_unchanged);
    metrics::pages(name, "touched", unchanged);
    metrics::pages(
        name,
        "written",
        after.pages.saturating_sub(before.pages).saturating_sub(unchanged),
    );
    for (outcome, after, before) in [
        ("added", after.added, before.added),
        ("modified", after.modified, before.modified),
        ("unchanged", after.unchanged, before.unchanged),
        ("malformed", after.malformed, before.malformed),
    ] {
        if after > before {
            metrics::entities(name, outcome, after - before);
        }
    }
}

/// Aborts its task on drop.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for a page and takes whatever else is ready, up to the limits of one commit. Also returns why reading ended,
/// if it did, and whether no more pages will come.
async fn gather(
    pages: &mut mpsc::Receiver<Result<ReadPage, ReadError>>,
    limit: usize,
) -> (Vec<ReadPage>, Option<ReadError>, bool) {
    let mut ready = Vec::new();
    let mut entities = 0;
    let mut next = pages.recv().await;
    loop {
        match next {
            None => return (ready, None, true),
            Some(Err(error)) => return (ready, Some(error), true),
            Some(Ok(page)) => {
                if let PageWrite::Written { entities: written, .. } = &page.write {
                    entities += written.len();
                }
                ready.push(page);
            }
        }
        if ready.len() >= limit || entities >= COMMIT_ENTITIES {
            return (ready, None, false);
        }
        match pages.try_recv() {
            Ok(page) => next = Some(page),
            Err(mpsc::error::TryRecvError::Empty) => return (ready, None, false),
            Err(mpsc::error::TryRecvError::Disconnected) => next = None,
        }
    }
}
