//! Small partitions that are read in the place of a finished one: claimed, committed and ended many at a time. A
//! partition that turns out not to be a single good page is left to a burst of its own, or goes back to wait for a
//! place.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use tideline_core::words::{ClaimedJob, Lease, PageBatch, PageMemory, Progress, Settlement, Timestamp};
use tideline_runtime::telemetry::metrics;
use tideline_store::{SettleRequest, Sibling, Store};

use super::burst::{COMMIT_ENTITIES, count};
use super::failing::failed;
use super::reading::{ReadError, Reader};
use super::{IngestHandler, PartitionArgs, Readable, conclude};
use crate::attempt::{self, panicked};
use crate::handler::{Attempt, HandlerError, Outcome};
use crate::settling::Ended;
use crate::source::ErrorClass;

/// Maximum number of siblings claimed at once.
const MOST: u32 = 64;
/// The size of a claim is adjusted so that reading it takes about this long.
const GROUP: Duration = Duration::from_millis(500);
/// Maximum growth factor from one claim to the next.
const GROWTH: u128 = 8;
/// Pages are committed once they have this many entities, in one statement for all partitions.
const COMMIT_SIBLINGS: usize = 2 * COMMIT_ENTITIES;
/// Pages are committed after this time, even if there is more to read.
const COMMIT_AFTER: Duration = Duration::from_millis(200);

/// How many siblings of a source are claimed at once: 0 while its partitions have several pages.
#[derive(Debug)]
pub(super) struct ClaimSize(AtomicU32);

impl Default for ClaimSize {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl ClaimSize {
    fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// A partition was read to its end in a burst of its own.
    pub(super) fn saw_partition(&self, pages: u64) {
        let claim_size = if pages > 1 { 0 } else { self.now().max(1) };
        self.0.store(claim_size, Ordering::Relaxed);
    }

    fn saw_group(&self, took: Duration) {
        let now = self.now();
        let room = GROUP.as_millis() / took.as_millis().max(1);
        let next = match u32::try_from(room.min(GROWTH)).unwrap_or(1) {
            0 => now / 2,
            room => now.saturating_mul(room.max(2)),
        };
        self.0.store(next.clamp(1, MOST), Ordering::Relaxed);
    }
}

/// The attempt in whose place siblings are read.
pub(super) struct Siblings<'a> {
    pub(super) handler: &'a IngestHandler,
    pub(super) lead: &'a Attempt,
    pub(super) readable: &'a Arc<Readable>,
    /// The progress of the lead; siblings inherit its trace.
    pub(super) progress: &'a Progress,
    pub(super) ends_at: Timestamp,
}

/// What the first page of a sibling is.
enum First {
    /// The whole partition, without problems; and how long the source wants no further requests.
    Whole(Box<PageBatch>, Option<Duration>),
    /// More than a single good page; left to a burst.
    More,
    /// Reading failed; and whether reading from the source may continue.
    Failed(HandlerError, bool),
}

impl Siblings<'_> {
    /// Reads siblings until there are none, the burst's time is up, or the source wants a pause.
    pub(super) async fn read(&self) {
        while self.may_go_on() {
            let claim_size = self.readable.claim_size.now();
            if claim_size == 0 {
                return;
            }
            let lead = self.lead.job.lease();
            let claiming = self.handler.store.claim_siblings(lead, claim_size, self.now());
            let siblings = match claiming.await {
                Ok(siblings) if siblings.is_empty() => return,
                Ok(siblings) => siblings,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "claiming siblings failed");
                    if error.might_have_happened() {
                        self.lead.context.holding.doubt(self.now());
                    }
                    return;
                }
            };
            let mut held = Held::new(self.lead, siblings);
            let began = self.now();
            let go_on = self.read_group(&mut held).await;
            held.hand_back().await;
            if !go_on {
                return;
            }
            self.readable.claim_size.saw_group(self.now().since(began));
        }
    }

    fn now(&self) -> Timestamp {
        self.handler.clock.now()
    }

    fn may_go_on(&self) -> bool {
        !self.lead.stop.is_cancelled() && self.now() < self.ends_at
    }

    /// Reads the claimed siblings; returns true if more may be claimed.
    async fn read_group(&self, held: &mut Held<'_>) -> bool {
        let mut group = Group::default();
        while self.may_go_on()
            && let Some(sibling) = held.waiting.pop_front()
        {
            let started = self.now();
            let go_on = match self.read_first(&sibling.job, sibling.memory).await {
                First::Whole(batch, hold) => {
                    group.push(*batch, sibling.job, started);
                    match hold {
                        Some(hold) => self.hold_back(hold).await,
                        None => !group.is_full(self.now()) || self.commit(held, &mut group).await,
                    }
                }
                First::More => {
                    // The others must not wait for a long one.
                    self.commit(held, &mut group).await;
                    held.hand_back_others(sibling.job.lease()).await;
                    self.read_alone(held, &sibling.job).await;
                    self.readable.claim_size.saw_partition(u64::MAX);
                    false
                }
                First::Failed(error, go_on) => {
                    self.end(held, &sibling.job, started, Err(error)).await;
                    go_on
                }
            };
            if !go_on {
                self.commit(held, &mut group).await;
                return false;
            }
        }
        self.commit(held, &mut group).await
    }

    async fn read_first(&self, job: &ClaimedJob, memory: Option<PageMemory>) -> First {
        let (Some(source), Some(cycle)) = (job.source, job.cycle) else {
            return First::More;
        };
        let Ok(partition) = serde_json::from_str::<PartitionArgs>(&job.args) else {
            return First::More;
        };
        let reader = Reader {
            store: Arc::<dyn Store>::clone(&self.handler.store),
            clock: Arc::clone(&self.handler.clock),
            readable: Arc::clone(self.readable),
            job: job.id,
            cycle,
            partition: Arc::new(partition),
            cursor: None,
            next_page: 0,
            kept_cursor: None,
            stop: self.lead.stop.clone(),
            ends_at: self.ends_at,
        };
        // A panic fails this sibling, not the lead.
        let read = match AssertUnwindSafe(reader.read_page(memory)).catch_unwind().await {
            Ok(read) => read,
            Err(panic) => {
                let message = panicked(panic.as_ref());
                return First::Failed(
                    HandlerError::Transient {
                        message,
                        not_before: None,
                    },
                    true,
                );
            }
        };
        match read {
            Ok(page) if page.next.is_none() && page.failure.is_none() && page.write.memory().children.is_empty() => {
                let batch = PageBatch {
                    lease: job.lease(),
                    source,
                    cycle,
                    partition: reader.partition.partition.clone(),
                    pages: vec![page.write],
                    next: None,
                    progress: Progress {
                        trace: self.progress.trace,
                        ..Progress::default()
                    },
                    malformed_keep: self.readable.settings.malformed_keep,
                };
                First::Whole(Box::new(batch), page.hold)
            }
            Ok(_) => First::More,
            Err(ReadError::Source(error)) if error.class == ErrorClass::CursorExpired => First::More,
            Err(ReadError::Source(error)) => {
                let rests = ErrorClass::Transient { retry_after: None };
                let go_on = matches!(error.class, ErrorClass::Permanent) || error.class == rests;
                First::Failed(
                    failed(&*self.handler.store, &*self.handler.clock, source, error).await,
                    go_on,
                )
            }
            Err(ReadError::Store(error)) => First::Failed(error.into(), false),
        }
    }

    /// The source wants no further requests for this long, so reading stops.
    async fn hold_back(&self, hold: Duration) -> bool {
        if let Some(source) = self.lead.job.source {
            let until = self.now().plus(hold);
            if let Err(error) = self.handler.store.hold_back(source, until).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "holding a source back failed");
            }
        }
        false
    }

    /// Commits the pages that were read; returns true if reading may continue. Siblings that cannot be committed
    /// together get bursts of their own, which find out why.
    async fn commit(&self, held: &mut Held<'_>, group: &mut Group) -> bool {
        let group = std::mem::take(group);
        if group.batches.is_empty() {
            return true;
        }
        let name = &self.readable.settings.name;
        let (mut alone, mut go_on) = (Vec::new(), false);
        match self.handler.store.commit_siblings(&group.batches, self.now()).await {
            Ok(committed) => {
                go_on = committed.go_on;
                for ((batch, (job, started)), done) in group.batches.iter().zip(group.jobs).zip(committed.done) {
                    let Some(progress) = done else {
                        alone.push(job);
                        continue;
                    };
                    held.let_go(job.lease());
                    count(name, &batch.progress, &progress);
                    metrics::burst(name, "finished", self.now().since(started));
                    metrics::attempts(&job.kind, "done", 1);
                }
            }
            // Possibly committed; whatever was not is handed back.
            Err(error) if error.may_retry() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "committing siblings failed; handing them back"
                );
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "committing siblings failed; committing each separately"
                );
                alone.extend(group.jobs.into_iter().map(|(job, _)| job));
            }
        }
        for job in alone {
            if !self.may_go_on() {
                return false;
            }
            self.read_alone(held, &job).await;
        }
        go_on
    }

    /// Reads one of them in a burst of its own.
    async fn read_alone(&self, held: &mut Held<'_>, job: &ClaimedJob) {
        if !self.may_go_on() {
            return;
        }
        let started = self.now();
        let ended = match self
            .handler
            .burst(job, self.readable, Arc::default(), &self.lead.stop, self.ends_at)
        {
            Ok(mut burst) => {
                let ended = burst.run().await;
                conclude(0, false, &self.readable.settings, ended).1
            }
            Err(error) => Err(error),
        };
        self.end(held, job, started, ended).await;
    }

    /// Settles one of them by itself.
    async fn end(
        &self,
        held: &mut Held<'_>,
        job: &ClaimedJob,
        started: Timestamp,
        ended: Result<Outcome, HandlerError>,
    ) {
        if let Err(error) = &ended {
            attempt::failed(job, 0, error);
        }
        let name = &self.readable.settings.name;
        metrics::burst(
            name,
            if ended.is_ok() { "finished" } else { "failed" },
            self.now().since(started),
        );
        let ladder = || self.readable.settings.backoff.clone();
        match attempt::settlement(ended, ladder, 0, self.now(), rand::random()) {
            Some(settlement) => {
                metrics::attempts(&job.kind, attempt::outcome(&settlement), 1);
                held.settle(job.lease(), settlement).await;
            }
            None => {
                metrics::lease_lost(&job.kind);
                held.let_go(job.lease());
            }
        }
    }
}

/// Pages that are read but not committed yet, with their jobs and when reading began.
#[derive(Default)]
struct Group {
    batches: Vec<PageBatch>,
    jobs: Vec<(ClaimedJob, Timestamp)>,
    entities: usize,
}

impl Group {
    fn push(&mut self, batch: PageBatch, job: ClaimedJob, started: Timestamp) {
        self.entities += batch.pages.iter().map(|page| page.entities().len()).sum::<usize>();
        self.batches.push(batch);
        self.jobs.push((job, started));
    }

    fn is_full(&self, now: Timestamp) -> bool {
        let oldest = self
            .jobs
            .first()
            .map_or(Duration::ZERO, |(_, started)| now.since(*started));
        self.entities >= COMMIT_SIBLINGS || oldest >= COMMIT_AFTER
    }
}

/// Siblings leased to this worker. What is left if this is dropped early is handed back by the claim loop.
struct Held<'a> {
    lead: &'a Attempt,
    waiting: VecDeque<Sibling>,
    leases: HashSet<Lease>,
}

impl<'a> Held<'a> {
    fn new(lead: &'a Attempt, siblings: Vec<Sibling>) -> Self {
        let leases: HashSet<Lease> = siblings.iter().map(|sibling| sibling.job.lease()).collect();
        for lease in &leases {
            lead.context.holding.take_along(*lease);
        }
        Self {
            lead,
            waiting: siblings.into(),
            leases,
        }
    }

    /// It is done, or another worker has leased it.
    fn let_go(&mut self, lease: Lease) {
        self.leases.remove(&lease);
        self.lead.context.holding.let_go(lease);
    }

    async fn settle(&mut self, lease: Lease, settlement: Settlement) {
        let request = SettleRequest { lease, settlement };
        // The settler removes it from the holding.
        self.leases.remove(&lease);
        let ended = Ended {
            request,
            of_source: true,
        };
        self.lead.context.settlements.send(ended).await;
    }

    /// All except the one being read wait for a place again.
    async fn hand_back_others(&mut self, reading: Lease) {
        self.waiting.clear();
        let others: Vec<Lease> = self.leases.iter().copied().filter(|lease| *lease != reading).collect();
        for lease in others {
            self.settle(lease, Settlement::HandedBack).await;
        }
    }

    /// All that are left wait for a place again.
    async fn hand_back(mut self) {
        for lease in self.leases.clone() {
            self.settle(lease, Settlement::HandedBack).await;
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        for lease in &self.leases {
            self.lead.context.holding.let_go(*lease);
        }
        self.lead.context.holding.doubt(self.lead.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_grow_while_partitions_are_small_and_quick_and_end_with_a_long_one() {
        let claim_size = ClaimSize::default();
        for (took, expected) in [(300, 2), (200, 4), (100, 20), (20, 64), (0, 64)] {
            claim_size.saw_group(Duration::from_millis(took));
            assert_eq!(claim_size.now(), expected);
        }
        claim_size.saw_group(Duration::from_secs(2));
        assert_eq!(claim_size.now(), 32);
        claim_size.saw_partition(7);
        assert_eq!(claim_size.now(), 0);
        claim_size.saw_partition(1);
        assert_eq!(claim_size.now(), 1);
    }
}
