//! One attempt: run the handler within its deadline, turn what came of it into a settlement.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::{Ladder, LadderStep};
use tideline_core::words::{ClaimedJob, Progress, Settlement, Timestamp, TraceParent};
use tideline_runtime::telemetry::{context, metrics, spans};
use tideline_store::Store;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::handler::{Attempt, Handler, HandlerError, Outcome};

/// How long a job waits when the store failed under it: not the job's fault, so no attempt is spent.
const STORE_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs one attempt. `None`: the lease was lost, there is nothing to settle.
pub(crate) async fn run(
    handler: Arc<dyn Handler>,
    mut job: ClaimedJob,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Option<Settlement> {
    let ladder = handler.ladder(&job);
    let deadline = handler.deadline(&job);
    let (id, kind, key) = (job.id, job.kind.clone(), job.key.clone());
    metrics::due_lag(&kind, clock.now().since(job.due_at));
    let span = begin(&mut job);
    let attempt = Attempt {
        job,
        stop,
        clock: Arc::clone(&clock),
        store,
        progressed: Arc::default(),
    };
    // A panic ends this attempt and nothing else.
    let running = AssertUnwindSafe(async { handler.run(&attempt).await }).catch_unwind();
    let ended = match tokio::time::timeout(deadline, running.instrument(span.clone())).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(panic)) => Err(HandlerError::Transient {
            message: panicked(panic.as_ref()),
            not_before: None,
        }),
        Err(_) => Err(HandlerError::Transient {
            message: format!("the handler took longer than its deadline of {deadline:?} and was stopped"),
            not_before: None,
        }),
    };
    let rung = attempt.rung();
    if let Err(error) = &ended {
        tracing::warn!(job = %id, kind, key, rung, error = error as &dyn std::error::Error, "attempt failed");
    }
    let failure = ended.as_ref().err().map(failure);
    let settlement = settlement(ended, &ladder, rung, clock.now(), rand::random());
    let outcome = settlement.as_ref().map_or("lease_lost", outcome);
    metrics::attempts(&kind, outcome, 1);
    spans::ended(&span, outcome, failure);
    if settlement.is_none() {
        metrics::lease_lost(&kind);
    }
    settlement
}

/// The span of an attempt. A burst is linked to the one that committed the partition's newest page, and leaves its own trace
/// for the next one: it goes into the progress, which each commit writes anyway.
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
fn outcome(settlement: &Settlement) -> &'static str {
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

/// What an ended attempt settles as.
fn settlement(
    ended: Result<Outcome, HandlerError>,
    ladder: &Ladder,
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
    Some(match ladder.after_failure(rung, now, not_before, random) {
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

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn settle(ended: Result<Outcome, HandlerError>, rung: u32) -> Option<Settlement> {
        settlement(ended, &Ladder::new(vec![Duration::from_secs(10)]), rung, NOW, 0.5)
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
}
