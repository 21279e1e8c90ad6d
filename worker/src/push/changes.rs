//! Delivers a subscription to the change feed: batch by batch, in order. A failed batch is retried until it is accepted
//! or the subscription is switched off: a follower that missed one would stay wrong forever.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tideline_core::full_text;
use tideline_core::rules::{LadderStep, fingerprint};
use tideline_core::words::{EventOutcome, TakeEvents, TakenChanges, Timestamp};
use tideline_runtime::documents::ChangeDocument;
use tideline_store::{StoreError, SubscriptionCommand};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ignore_missing;
use super::lane::{LEASE_MARGIN, Sending, UNAVAILABLE};
use super::message::Message;
use super::sending::Answer;

/// Maximum number of changes per request.
const BATCH: u32 = 500;
/// How often it polls for changes without a wake-up.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct ChangeLane(pub(super) Arc<Sending>);

#[derive(Serialize)]
struct Envelope<'c> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'c>,
}

#[derive(Serialize)]
struct Data<'c> {
    /// Discard what you have: everything is sent again.
    start_over: bool,
    changes: Vec<ChangeDocument<'c>>,
}

impl ChangeLane {
    /// Sends until `stop`, then finishes the request in flight; `cancel` aborts it at once.
    pub(super) async fn run(self, wake: Arc<Notify>, stop: CancellationToken, cancel: CancellationToken) {
        while !stop.is_cancelled() && !cancel.is_cancelled() {
            let wait = match self.send_next(&cancel).await {
                Ok(None) => Duration::ZERO,
                Ok(Some(wait)) => wait,
                Err(StoreError::NotFound { .. }) => return,
                Err(error) => {
                    let error = full_text(&error);
                    tracing::warn!(subscription = self.0.name, error, "changes cannot be leased right now");
                    UNAVAILABLE
                }
            };
            if wait.is_zero() {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = cancel.cancelled() => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends one batch; none: there may be more at once.
    async fn send_next(&self, cancel: &CancellationToken) -> Result<Option<Duration>, StoreError> {
        let (sending, parts) = (&self.0, &self.0.pusher.parts);
        let (now, token) = (sending.now(), rand::random::<i64>() | 1);
        let request = TakeEvents {
            max: BATCH,
            leased_until: now.plus(parts.settings.timeout + LEASE_MARGIN),
            token,
            in_flight: None,
        };
        let taken = parts.store.take_changes(&sending.name, &request, now).await?;
        if taken.attempt == 0 {
            let due = taken.next_due.map_or(LOOK, |due| due.since(now));
            return Ok((!taken.more).then(|| due.clamp(Duration::from_millis(1), LOOK)));
        }
        let message = message_of(&taken, now);
        let answer = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            answer = sending.pusher.sender.send(&sending.target, &message) => Some(answer),
        };
        let gone = answer == Some(Answer::Gone);
        let outcome = match answer {
            None => EventOutcome::Untried,
            Some(Answer::Accepted) => EventOutcome::Acked,
            Some(Answer::Gone) => again(sending.now(), "410 Gone".to_owned()),
            Some(Answer::Failed { error, not_before }) => again(self.next_try(taken.attempt, not_before), error),
        };
        parts
            .store
            .settle_changes(&sending.name, token, &outcome, sending.now())
            .await?;
        if gone {
            let block = SubscriptionCommand::Block("the URL answered 410 Gone".to_owned());
            ignore_missing(parts.store.command_subscription(&sending.name, &block).await)?;
            parts.queue.wake().await;
        }
        Ok(None)
    }

    /// The next rung; the last one repeats.
    fn next_try(&self, attempt: u32, not_before: Option<Timestamp>) -> Timestamp {
        let ladder = &self.0.pusher.parts.settings.backoff;
        let (now, random) = (self.0.now(), rand::random());
        let rung = attempt.saturating_sub(1).min(ladder.rungs().saturating_sub(1));
        match ladder.after_failure(rung, now, not_before, random) {
            LadderStep::Wait { due_at, .. } => due_at,
            LadderStep::Exhausted => not_before.unwrap_or(now.plus(UNAVAILABLE)),
        }
    }
}

fn again(due_at: Timestamp, error: String) -> EventOutcome {
    EventOutcome::Again {
        due_at,
        error: Some(error),
    }
}

fn message_of(taken: &TakenChanges, now: Timestamp) -> Message {
    let changes = taken.changes.iter().map(ChangeDocument::new);
    let data = Data {
        start_over: taken.starts_over,
        changes: changes.collect(),
    };
    // The same batch has the same id, however often it is sent.
    let id = fingerprint(&serde_json::to_vec(&data).unwrap_or_default()).to_string();
    let envelope = Envelope {
        r#type: "changes",
        timestamp: now.to_string(),
        data,
    };
    Message {
        id: format!("chg_{}", &id[..32.min(id.len())]),
        content_type: "application/json",
        body: serde_json::to_vec(&envelope).unwrap_or_default(),
    }
}
