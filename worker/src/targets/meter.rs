//! Measures durations and outcomes of a target's jobs and requests.

use std::future::Future;

use tideline_core::clock::Clock;
use tideline_runtime::telemetry::metrics;

use crate::handler::{HandlerError, Outcome};

/// Runs a job of this target. One that loses its lease is not counted: another worker has it.
pub(super) async fn job(
    clock: &dyn Clock,
    target: &str,
    run: impl Future<Output = Result<Outcome, HandlerError>>,
) -> Result<Outcome, HandlerError> {
    let began = clock.now();
    let ended = run.await;
    let outcome = match &ended {
        Ok(Outcome::Done | Outcome::Again(_)) => "done",
        Ok(Outcome::Postpone(..)) => "postponed",
        Ok(Outcome::HandBack) => "handed_back",
        Err(HandlerError::Permanent(_) | HandlerError::GivenUp(_)) => "parked",
        Err(HandlerError::LeaseLost) => return ended,
        Err(HandlerError::Transient { .. } | HandlerError::Store(_) | HandlerError::Other(_)) => "retry",
    };
    metrics::target_job(target, outcome, clock.now().since(began));
    ended
}

/// Sends one request to this target; `class` is that of an error, as in [`metrics::target_request`].
pub(super) async fn request<T, E>(
    clock: &dyn Clock,
    target: &str,
    send: impl Future<Output = Result<T, E>>,
    class: impl FnOnce(&E) -> &'static str,
) -> Result<T, E> {
    let began = clock.now();
    let sent = send.await;
    let class = sent.as_ref().err().map_or("ok", class);
    metrics::target_request(target, class, clock.now().since(began));
    sent
}
