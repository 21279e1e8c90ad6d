//! One attempt: run the handler within its deadline, turn its outcome into a settlement.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use parking_lot::Mutex;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::{Ladder, LadderStep};
use tideline_core::words::{ClaimedJob, Progress, Settlement, Timestamp, TraceParent};
use tideline_runtime::telemetry::{context, metrics, spans};
use tideline_store::Store;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::handler::{Attempt, Handler, HandlerError, Outcome};
use crate::holding::Holding;
use crate::settling::Settlements;

/// How long a job waits when the store failed under it: not the job's fault, so no attempt is spent.
const STORE_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// The environment of an attempt.
pub(crate) struct Circumstances {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
    /// Cancelled when another worker has the job: the handler is dropped where it waits.
    pub(crate) lost: CancellationToken,
    pub(crate) context: AttemptContext,
}

/// What an attempt needs to work on further jobs in its own slot.
#[derive(Clone)]
pub(crate) struct AttemptContext {
    pub(crate) holding: Arc<Holding>,
    pub(crate) settlements: Settlements,
}

/// Runs one attempt. `None`: the lease was lost, there is nothing to settle.
pub(crate) async fn run(
    handler: Arc<dyn Handler>,
    mut job: ClaimedJob,
    circumstances: Circumstances,
) -> Option<Settlement> {
    let Circumstances {
        store,
        clock,
        stop,
        lost,
        context,
    } = circumstances;
    let kind = job.kind.clone();
    metrics::due_lag(&kind, clock.now().since(job.due_at));
    let span = begin(&mut job);
    let attempt = Attempt {
        job,
        stop,
        clock: Arc::clone(&clock),
        store,
        progressed: Arc::default(),
        held_at: Mutex::default(),
        context,
    };
    // A panic ends this attempt and nothing else.
    let running = AssertUnwindSafe(within_deadline(&*handler, &attempt)).catch_unwind();
    let ended = tokio::select! {
        biased;
        () = lost.cancelled() => Err(HandlerError::LeaseLost),
        ended = running.instrument(span.clone()) => ended.unwrap_or_else(|panic| Err(of_panic(panic.as_ref()))),
    };
    let rung = attempt.rung();
    if let Err(error) = &ended {
        failed(&attempt.job, rung, error);
    }
    let failure = ended.as_ref().err().map(failure);
    let settlement = settlement(
        ended,
        || ladder_of(&*handler, &attempt.job),
        rung,
        clock.now(),
        rand::random(),
    );
    let outcome = settlement.as_ref().map_or("lease_lost", outcome);
    metrics::attempts(&kind, outcome, 1);
    spans::ended(&span, outcome, failure);
    if settlement.is_none() {
        metrics::lease_lost(&kind);
    }
    settlement
}

/// Jobs that read partitions.
pub(crate) const INGEST_KIND: &str = "ingest";

/// Reports a failed attempt. A lost lease says nothing about the partition.
pub(crate) fn failed(job: &ClaimedJob, rung: u32, error: &HandlerError) {
    let cause = error as &dyn std::error::Error;
    tracing::warn!(job = %job.id, kind = job.kind, key = job.key, rung, error = cause, "attempt failed");
    if job.kind == INGEST_KIND && !matches!(error, HandlerError::LeaseLost) {
        let (source, partition) = job.key.split_once('/').unwrap_or((&job.key, ""));
        metrics::partition_failed(source, partition);
    }
}

async fn within_deadline(handler: &dyn Handler, attempt: &Attempt) -> Result<Outcome, HandlerError> {
    let deadline = handler.deadline(&attempt.job);
    let running = tokio::time::timeout(deadline, handler.run(attempt));
    running.await.unwrap_or_else(|_| {
        Err(HandlerError::Transient {
            message: format!("the handler took longer than its deadline of {deadline:?} and was stopped"),
            not_before: None,
        })
    })
}

/// The handler's ladder; the default one if computing it panics.
fn ladder_of(handler: &dyn Handler, job: &ClaimedJob) -> Ladder {
    std::panic::catch_unwind(AssertUnwindSafe(|| handler.ladder(job))).unwrap_or_else(|panic| {
        tracing::error!(job = %job.id, kind = job.kind, error = panicked(panic.as_ref()), "no back-off ladder found; \
                                                                                           using the default");
        Ladder::default()
    })
}

fn of_panic(panic: &(dyn Any + Send)) -> HandlerError {
    HandlerError::Transient {
        message: panicked(panic),
        not_before: None,
    }
}

/// The span of an attempt. A burst is linked to the one that committed the partition's newest page, and leaves its own
/// trace for the next one in the progress, which each commit writes anyway.
fn begin(job: &mut ClaimedJob) -> Span {
    let progress = job.source.and_then(|_| match &job.progress {
        Some(text) => serde_json::from_str::<Progress>(text).ok(),
        None => Some(Progress::default()),
    });
    let previous = progress.and_then(|progress| progress.trace);
    let span = spans::process(job, previous.as_ref().map(TraceParent::as_str));
    let trace = context::of(&span).and_then(|trace| TraceParent::new(&trace));
    if let (Some(progress), Some(_)) = (progress, trace)
        && let Ok(text) = serde_json::to_string(&Progress { trace, ..progress })
    {
        job.progress = Some(text);
    }
    span
}

/// The class of a failure in traces.
fn failure(error: &HandlerError) -> &'static str {
    match error {
        HandlerError::Transient { .. } => "transient",
        HandlerError::Permanent(_) => "permanent",
        HandlerError::GivenUp(_) => "given_up",
        HandlerError::LeaseLost => "lease_lost",
        HandlerError::Store(_) => "store",
        HandlerError::Other(_) => "other",
    }
}

/// The name of a settlement in metrics and traces.
pub(crate) fn outcome(settlement: &Settlement) -> &'static str {
    match settlement {
        Settlement::Done => "done",
        Settlement::Again { .. } => "again",
        Settlement::Retry { .. } => "retry",
        Settlement::Postponed { .. } => "postponed",
        Settlement::Parked { .. } => "parked",
        Settlement::Cancelled { .. } => "cancelled",
        Settlement::HandedBack => "handed_back",
    }
}

/// The settlement of an ended attempt.
pub(crate) fn settlement(
    ended: Result<Outcome, HandlerError>,
    ladder: impl FnOnce() -> Ladder,
    rung: u32,
    now: Timestamp,
    random: f64,
) -> Option<Settlement> {
    let (error, not_before) = match ended {
        Ok(Outcome::Done) => return Some(Settlement::Done),
        Ok(Outcome::Again(wait)) => return Some(Settlement::Again { due_at: now.plus(wait) }),
        Ok(Outcome::Postpone(due_at, reason)) => return Some(Settlement::Postponed { due_at, reason }),
        Ok(Outcome::HandBack) => return Some(Settlement::HandedBack),
        Err(HandlerError::LeaseLost) => return None,
        Err(HandlerError::Permanent(error)) => return Some(Settlement::Parked { error }),
        Err(HandlerError::GivenUp(error)) => return Some(Settlement::Cancelled { error }),
        Err(HandlerError::Store(error)) if error.may_retry() => {
            return Some(Settlement::Postponed {
                due_at: now.plus(STORE_WAIT),
                reason: full_text(&error),
            });
        }
        Err(HandlerError::Transient { message, not_before }) => (message, not_before),
        Err(error @ (HandlerError::Store(_) | HandlerError::Other(_))) => (full_text(&error), None),
    };
    Some(match ladder().after_failure(rung, now, not_before, random) {
        LadderStep::Wait { due_at, rung } => Settlement::Retry { due_at, rung, error },
        LadderStep::Exhausted => Settlement::Parked {
            error: format!("failed on the last rung: {error}"),
        },
    })
}

/// The error of an attempt that panicked.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> String {
    format!("panicked: {}", tideline_runtime::panic_text(panic))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use tideline_core::clock::SystemClock;
    use tideline_core::words::{Fingerprint, NewJob, Trigger, WorkerId};
    use tideline_store::sqlite::SqliteStore;
    use tideline_store::{ClaimRequest, JobStore as _, WorkerStore as _};

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn settle(ended: Result<Outcome, HandlerError>, rung: u32) -> Option<Settlement> {
        settlement(ended, || Ladder::new(vec![Duration::from_secs(10)]), rung, NOW, 0.5)
    }

    #[test]
    fn a_transient_failure_climbs_and_the_last_rung_parks() {
        let failed = || {
            Err(HandlerError::Transient {
                message: "no".into(),
                not_before: None,
            })
        };
        assert_eq!(
            settle(failed(), 0),
            Some(Settlement::Retry {
                due_at: Timestamp(1_010_000),
                rung: 1,
                error: "no".into()
            })
        );
        assert!(matches!(settle(failed(), 1), Some(Settlement::Parked { error }) if error.contains("last rung")));
    }

    #[test]
    fn a_store_that_is_away_spends_no_attempt() {
        let error = tideline_store::StoreError::Unavailable {
            act: "claim",
            maybe_done: false,
            source: "gone".into(),
        };
        assert!(matches!(
            settle(Err(error.into()), 0),
            Some(Settlement::Postponed { due_at, reason }) if due_at == NOW.plus(STORE_WAIT) && reason.ends_with("gone")
        ));
    }

    #[test]
    fn a_lost_lease_settles_nothing() {
        assert_eq!(settle(Err(HandlerError::LeaseLost), 0), None);
    }

    #[test]
    fn a_success_goes_on_after_its_wait() {
        let again = settle(Ok(Outcome::Again(Duration::from_secs(3))), 2);
        assert_eq!(
            again,
            Some(Settlement::Again {
                due_at: Timestamp(1_003_000)
            })
        );
    }

    /// Panics where it is told to; otherwise it never ends.
    struct Panicking(&'static str);

    #[async_trait]
    impl Handler for Panicking {
        fn kind(&self) -> &'static str {
            "k"
        }

        fn ladder(&self, _: &ClaimedJob) -> Ladder {
            assert_ne!(self.0, "ladder", "no ladder");
            Ladder::default()
        }

        fn deadline(&self, _: &ClaimedJob) -> Duration {
            assert_ne!(self.0, "deadline", "no deadline");
            Duration::from_secs(3_600)
        }

        async fn run(&self, _: &Attempt) -> Result<Outcome, HandlerError> {
            if self.0 == "ladder" {
                return Err(HandlerError::Transient {
                    message: "failed".into(),
                    not_before: None,
                });
            }
            std::future::pending().await
        }
    }

    async fn run_one(panics: &'static str, lost: CancellationToken) -> Option<Settlement> {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let store = SqliteStore::open(&url).await.unwrap();
        let (worker, now) = (WorkerId("w/1".into()), SystemClock.now());
        let job = NewJob {
            kind: "k".into(),
            key: "one".into(),
            fingerprint: Fingerprint([1; 32]),
            args: "{}".into(),
            due_at: now,
            trigger: Trigger::Manual,
            trace: None,
        };
        store
            .heartbeat(&worker, now.plus(Duration::from_secs(60)), now)
            .await
            .unwrap();
        store.enqueue(&[job], now).await.unwrap();
        let request = ClaimRequest {
            worker,
            kinds: vec!["k".into()],
            hinted: None,
            limit: 1,
        };
        let job = store.claim(&request, now).await.unwrap().remove(0);
        let (settlements, _receiver) = Settlements::without_settler();
        let circumstances = Circumstances {
            store: Arc::new(store),
            clock: Arc::new(SystemClock),
            stop: CancellationToken::new(),
            lost,
            context: AttemptContext {
                holding: Arc::default(),
                settlements,
            },
        };
        run(Arc::new(Panicking(panics)), job, circumstances).await
    }

    #[tokio::test]
    async fn a_panic_over_deadline_or_ladder_is_a_failed_attempt() {
        let settlement = run_one("deadline", CancellationToken::new()).await;
        assert!(
            matches!(&settlement, Some(Settlement::Retry { rung: 1, error, .. }) if error.contains("no deadline")),
            "{settlement:?}"
        );
        let settlement = run_one("ladder", CancellationToken::new()).await;
        assert!(
            matches!(&settlement, Some(Settlement::Retry { rung: 1, error, .. }) if error == "failed"),
            "{settlement:?}"
        );
    }

    #[tokio::test]
    async fn a_lost_lease_drops_a_handler_where_it_waits() {
        let lost = CancellationToken::new();
        let attempt = tokio::spawn(run_one("nowhere", lost.clone()));
        lost.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), attempt).await;
        assert_eq!(ended.unwrap().unwrap(), None, "nothing is settled");
    }
}
