//! The claim loop: turns hints (or elapsed time) into attempts, at most `worker.concurrency` at a time, not counting
//! jobs whose handlers have their own places.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tideline_config::settings::WorkerSettings;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::words::{ClaimedJob, JobId, Settlement, Timestamp, Token, WorkerId};
use tideline_queue::{Delivery, Queue, QueueError, QueueHealth};
use tideline_runtime::LoopStatus;
use tideline_runtime::telemetry::metrics;
use tideline_store::{ClaimRequest, SettleRequest, Store};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attempt::{self, AttemptContext, Circumstances};
use crate::handler::Handler;
use crate::holding::Holding;
use crate::places::Admission;
use crate::seat::{Seat, Slot};
use crate::settling::{Ended, Settlements};

/// How often a worker polls the store while hints cannot arrive.
const DEGRADED_POLL: Duration = Duration::from_millis(50);
/// The pause after the store or the queue failed.
const FAILED_WAIT: Duration = Duration::from_millis(250);
/// While more is due and fewer than one in this many slots are free, a claim waits for more slots …
const FEW: usize = 2;
/// … for up to this long.
const GATHER: Duration = Duration::from_millis(2);
/// How far the clocks of two processes may differ after both were synchronized with the store's.
const CLOCKS_DIFFER: Duration = Duration::from_millis(5);
/// Maximum number of hints taken from the queue at once.
const HINTS: usize = 8;

/// The reason why a wait ended.
enum Woken {
    Hints(Vec<Box<dyn Delivery>>),
    /// Something may be due: poll the store.
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
    pub(crate) status: Arc<LoopStatus>,
}

/// The worker's slots: how many are free, and the notification when one becomes free.
struct Slots {
    all: usize,
    free: Arc<Semaphore>,
    freed: Arc<Notify>,
}

impl Slots {
    fn new(all: usize) -> Self {
        Self {
            all,
            free: Arc::new(Semaphore::new(all)),
            freed: Arc::default(),
        }
    }

    fn free(&self) -> usize {
        self.free.available_permits()
    }
}

impl Claims {
    /// Claims until it is stopped. A panic does not end it: the jobs of an interrupted claim are handed back, and the
    /// loop continues.
    pub(crate) async fn run(self) {
        let kinds: Vec<String> = self.handlers.keys().cloned().collect();
        let slots = Slots::new(self.settings.concurrency.max(1) as usize);
        while let Err(panic) = AssertUnwindSafe(self.claim_until_stopped(&kinds, &slots))
            .catch_unwind()
            .await
        {
            self.status.panicked(panic.as_ref());
            let now = self.clock.now();
            self.holding.doubt(now);
            self.clock.sleep_until(now.plus(FAILED_WAIT)).await;
        }
        self.status.ended();
    }

    async fn claim_until_stopped(&self, kinds: &[String], slots: &Slots) {
        // At startup there may be work whose hints were already sent.
        let mut more = true;
        while !self.stop.is_cancelled() {
            self.status.starts_a_run(self.clock.now());
            more |= self.hand_back_unknown().await;
            let free = slots.free();
            if more && free > 0 {
                if free < slots.all.div_ceil(FEW) {
                    // Few slots are free: a moment later there may be more, and one statement can fill them all.
                    let _ = tokio::time::timeout(GATHER, slots.freed.notified()).await;
                    if slots.free() > free {
                        continue;
                    }
                }
                more = self.claim_due(kinds, slots).await;
                continue;
            }
            match self.wait(kinds, free, &slots.freed).await {
                Woken::Hints(hints) => more |= self.claim_hinted(kinds, hints, slots).await,
                Woken::Look => more = true,
                Woken::Freed => {}
            }
        }
    }

    /// Waits for hints, a freed slot, the poll, or the end of hints.
    async fn wait(&self, kinds: &[String], free: usize, freed: &Notify) -> Woken {
        let hints_flow = self.queue.health() == QueueHealth::Healthy;
        let poll = if hints_flow {
            self.settings.poll
        } else {
            DEGRADED_POLL.min(self.settings.poll)
        };
        let now = self.clock.now();
        self.status.succeeded(now);
        if free > 0 {
            self.status.waits_until(now.plus(poll));
        }
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
            // From now on, jobs without hints have to be polled for.
            () = self.queue.degraded(), if free > 0 && hints_flow => Woken::Look,
            () = self.clock.sleep_until(now.plus(poll)), if free > 0 => Woken::Look,
        }
    }

    /// Claims the jobs that the hints name, if there is room for all; returns true if more may be due.
    async fn claim_hinted(&self, kinds: &[String], hints: Vec<Box<dyn Delivery>>, slots: &Slots) -> bool {
        let hinted: Vec<(JobId, Token)> = hints.iter().flat_map(|hint| hint.hint().jobs.iter().copied()).collect();
        let free = slots.free();
        let more = hinted.len() > free;
        let hinted = (!more).then_some(hinted);
        if self.claim(kinds, hinted, free, slots).await.is_none() {
            // The hinted work is still there.
            return true;
        }
        for hint in &hints {
            hint.ack().await;
        }
        more
    }

    /// Claims due jobs; returns true if more may be due. A claim skips rows that another transaction has just locked or
    /// updated, so only an empty claim shows that nothing is left. A failed claim shows nothing.
    async fn claim_due(&self, kinds: &[String], slots: &Slots) -> bool {
        self.claim(kinds, None, slots.free(), slots).await != Some(0)
    }

    /// How many jobs were claimed; `None`: the store failed.
    async fn claim(
        &self,
        kinds: &[String],
        hinted: Option<Vec<(JobId, Token)>>,
        limit: usize,
        slots: &Slots,
    ) -> Option<usize> {
        let request = ClaimRequest {
            worker: self.worker.clone(),
            kinds: kinds.to_vec(),
            hinted,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        };
        // The sender of the hint found the job due, by a clock that may be slightly ahead of ours.
        let ahead = if request.hinted.is_some() {
            CLOCKS_DIFFER
        } else {
            Duration::ZERO
        };
        match self.store.claim(&request, self.clock.now().plus(ahead)).await {
            Ok(jobs) => {
                let count = jobs.len();
                for job in jobs {
                    self.admit(job, slots);
                }
                Some(count)
            }
            Err(error) => {
                tracing::warn!(worker = %self.worker, error = &error as &dyn std::error::Error, "claim failed");
                self.status.failed(full_text(&error));
                if error.might_have_happened() {
                    self.holding.doubt(self.clock.now());
                }
                self.clock.sleep_until(self.clock.now().plus(FAILED_WAIT)).await;
                None
            }
        }
    }

    /// Cleans up after a claim whose answer was lost; returns true if something is due again. Only this loop claims, so
    /// no claim is in flight.
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
                tracing::warn!(worker = %self.worker, error = &error as &dyn std::error::Error, "checking for lost \
                                                                                                 claims failed");
                false
            }
        }
    }

    /// Runs a job in the slot or place that its handler chooses.
    fn admit(&self, job: ClaimedJob, slots: &Slots) {
        let Some(handler) = self.handlers.get(&job.kind).map(Arc::clone) else {
            return;
        };
        match handler.admit(&job) {
            Admission::Shared => {
                // There is a permit for each: only this loop takes them.
                if let Ok(permit) = Arc::clone(&slots.free).try_acquire_owned() {
                    let slot = Slot::new(permit, Arc::clone(&slots.freed));
                    self.start(handler, job, Seat::Slot(slot));
                }
            }
            Admission::Own(place) => self.start(handler, job, Seat::Place(place)),
            Admission::Later(due_at, reason) => self.give_back(&job, due_at, reason),
        }
    }

    fn give_back(&self, job: &ClaimedJob, due_at: Timestamp, reason: String) {
        let (lease, settlements) = (job.lease(), self.settlements.clone());
        self.holding.take(lease);
        metrics::attempts(&job.kind, "postponed", 1);
        let settlement = Settlement::Postponed { due_at, reason };
        let request = SettleRequest { lease, settlement };
        let of_source = job.source.is_some();
        // The claim loop never waits.
        self.attempts
            .spawn(async move { settlements.send(Ended { request, of_source }).await });
    }

    fn start(&self, handler: Arc<dyn Handler>, job: ClaimedJob, seat: Seat) {
        let settlements = self.settlements.clone();
        let holding = Arc::clone(&self.holding);
        let circumstances = Circumstances {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            stop: self.stop.child_token(),
            lost: self.holding.take(job.lease()),
            context: AttemptContext {
                holding: Arc::clone(&self.holding),
                settlements: self.settlements.clone(),
            },
        };
        self.attempts.spawn(async move {
            let (lease, of_source) = (job.lease(), job.source.is_some());
            // Kept until the settlement is handed over.
            let mut seated = seat.taken(&circumstances.stop, &circumstances.lost).await;
            let settlement = match &seated {
                Ok(_) => attempt::run(handler, job, circumstances).await,
                Err(settlement) => settlement.clone(),
            };
            if let (Ok(seated), Some(Settlement::Postponed { .. })) = (&mut seated, &settlement) {
                seated.put_off();
            }
            match settlement {
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
        });
    }
}

fn report(error: &QueueError) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "cannot read the queue; claiming from the store"
    );
}
