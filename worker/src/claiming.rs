//! The claim loop: turns hints (or the passing of time) into attempts, never more than `worker.concurrency` at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tideline_config::settings::WorkerSettings;
use tideline_core::clock::Clock;
use tideline_core::words::{ClaimedJob, JobId, Token, WorkerId};
use tideline_queue::{Delivery, Queue, QueueError, QueueHealth};
use tideline_store::{ClaimRequest, SettleRequest, Store};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt;
use crate::handler::Handler;
use crate::holding::Holding;
use crate::settling::{Ended, Settlements};

/// How often a worker looks into the store by itself while no hints can come.
const DEGRADED_POLL: Duration = Duration::from_millis(50);
/// The pause after the store or the queue failed.
const FAILED_WAIT: Duration = Duration::from_millis(250);
/// While more is due and fewer than one in so many slots are free, a claim waits for company …
const FEW: usize = 2;
/// … for so long.
const GATHER: Duration = Duration::from_millis(2);
/// By so much the clocks of two processes may differ after they were measured against the store's.
const CLOCKS_DIFFER: Duration = Duration::from_millis(5);
/// Most hints taken from the queue at once.
const HINTS: usize = 8;

/// What ended a wait.
enum Woken {
    Hints(Vec<Box<dyn Delivery>>),
    /// Something may be due: look into the store.
    Look,
    /// A slot is free.
    Freed,
}

pub(crate) struct Claims {
    pub(crate) worker: WorkerId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: WorkerSettings,
    pub(crate) handlers: Arc<HashMap<String, Arc<dyn Handler>>>,
    pub(crate) settlements: Settlements,
    pub(crate) holding: Arc<Holding>,
    /// Settlements were written: the next partition or burst may be due.
    pub(crate) settled: Arc<Notify>,
    pub(crate) attempts: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Claims {
    /// Claims until it is stopped.
    pub(crate) async fn run(self) {
        let kinds: Vec<String> = self.handlers.keys().cloned().collect();
        let concurrency = self.settings.concurrency.max(1) as usize;
        let slots = Arc::new(Semaphore::new(concurrency));
        let freed = Arc::new(Notify::new());
        // At the start there may be work that nobody will hint at again.
        let mut more = true;
        while !self.stop.is_cancelled() {
            more |= self.hand_back_unknown().await;
            let free = slots.available_permits();
            if more && free > 0 {
                if free < concurrency.div_ceil(FEW) {
                    // Few slots: a moment later there may be more, and one statement fills them all.
                    let _ = tokio::time::timeout(GATHER, freed.notified()).await;
                    if slots.available_permits() > free {
                        continue;
                    }
                }
                more = self.claim_due(&kinds, slots.available_permits(), &slots, &freed).await;
                continue;
            }
            match self.wait(&kinds, free, &freed).await {
                Woken::Hints(hints) => more |= self.claim_hinted(&kinds, hints, &slots, &freed).await,
                Woken::Look => more = true,
                Woken::Freed => {}
            }
        }
    }

    /// Waits for hints, a freed slot, or the poll.
    async fn wait(&self, kinds: &[String], free: usize, freed: &Notify) -> Woken {
        let poll = match self.queue.health() {
            QueueHealth::Healthy => self.settings.poll,
            QueueHealth::Degraded(_) => DEGRADED_POLL.min(self.settings.poll),
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Woken::Freed,
            () = freed.notified(), if free == 0 => Woken::Freed,
            () = self.settled.notified() => Woken::Look,
            received = self.queue.receive(kinds, HINTS.min(free)), if free > 0 => match received {
                Ok(hints) => Woken::Hints(hints),
                Err(error) => {
                    report(&error);
                    self.clock.sleep_until(self.clock.now().plus(FAILED_WAIT)).await;
                    Woken::Look
                }
            },
            () = self.clock.sleep_until(self.clock.now().plus(poll)), if free > 0 => Woken::Look,
        }
    }

    /// Claims what the hints name, if there is room for all of it; says whether more may be due.
    async fn claim_hinted(
        &self,
        kinds: &[String],
        hints: Vec<Box<dyn Delivery>>,
        slots: &Arc<Semaphore>,
        freed: &Arc<Notify>,
    ) -> bool {
        let hinted: Vec<(JobId, Token)> = hints.iter().flat_map(|hint| hint.hint().jobs.iter().copied()).collect();
        let free = slots.available_permits();
        let more = hinted.len() > free;
        let hinted = (!more).then_some(hinted);
        let claimed = self.claim(kinds, hinted, free, slots, freed).await;
        if claimed.is_some() {
            for hint in &hints {
                hint.ack().await;
            }
        }
        more
    }

    /// Claims whatever is due; says whether more may be due. A claim may leave out what somebody else just touched, so only
    /// one that finds nothing says that nothing is left.
    async fn claim_due(&self, kinds: &[String], free: usize, slots: &Arc<Semaphore>, freed: &Arc<Notify>) -> bool {
        self.claim(kinds, None, free, slots, freed).await > Some(0)
    }

    /// How many jobs were claimed; `None`: the store failed.
    async fn claim(
        &self,
        kinds: &[String],
        hinted: Option<Vec<(JobId, Token)>>,
        limit: usize,
        slots: &Arc<Semaphore>,
        freed: &Arc<Notify>,
    ) -> Option<usize> {
        let request = ClaimRequest {
            worker: self.worker.clone(),
            kinds: kinds.to_vec(),
            hinted,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        };
        // Whoever hinted found the job due: by a clock that may be a little ahead of ours.
        let ahead = if request.hinted.is_some() {
            CLOCKS_DIFFER
        } else {
            Duration::ZERO
        };
        match self.store.claim(&request, self.clock.now().plus(ahead)).await {
            Ok(jobs) => {
                let count = jobs.len();
                for job in &jobs {
                    self.holding.take(job.lease());
                }
                for job in jobs {
                    // There is a permit for each: only this loop takes them.
                    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
                        self.start(job, slot, Arc::clone(freed));
                    }
                }
                Some(count)
            }
            Err(error) => {
                tracing::warn!(worker = %self.worker, error = &error as &dyn std::error::Error, "claim failed");
                if error.might_have_happened() {
                    self.holding.doubt(self.clock.now());
                }
                self.clock.sleep_until(self.clock.now().plus(FAILED_WAIT)).await;
                None
            }
        }
    }

    /// After a claim whose answer was lost; says whether something is due again. Claims are made by this loop alone, so none
    /// is under way.
    async fn hand_back_unknown(&self) -> bool {
        let now = self.clock.now();
        if !self.holding.wants_a_look(now) {
            return false;
        }
        let looking = self
            .holding
            .hand_back_unknown(&*self.store, &self.worker, now, self.settings.lease);
        match looking.await {
            Ok(count) => count > 0,
            // The next look tries again.
            Err(error) => {
                tracing::warn!(worker = %self.worker, error = &error as &dyn std::error::Error, "looking for lost claims failed");
                false
            }
        }
    }

    fn start(&self, job: ClaimedJob, slot: OwnedSemaphorePermit, freed: Arc<Notify>) {
        let Some(handler) = self.handlers.get(&job.kind).map(Arc::clone) else {
            return;
        };
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.clock);
        let settlements = self.settlements.clone();
        let holding = Arc::clone(&self.holding);
        let stop = self.stop.child_token();
        self.attempts.spawn(async move {
            let (lease, of_source) = (job.lease(), job.source.is_some());
            match attempt::run(handler, job, store, clock, stop).await {
                Some(settlement) => {
                    settlements
                        .send(Ended {
                            request: SettleRequest { lease, settlement },
                            of_source,
                        })
                        .await;
                }
                None => holding.let_go(lease),
            }
            drop(slot);
            freed.notify_one();
        });
    }
}

fn report(error: &QueueError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the queue cannot be read; claiming from the store"
    );
}
