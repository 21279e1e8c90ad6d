//! Delivers one subscription from one worker: takes events, sends those of one key one by one and those of different
//! keys concurrently, and settles the outcomes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tideline_core::full_text;
use tideline_core::rules::LadderStep;
use tideline_core::words::{
    EventOutcome, EventRecord, EventSequence, PushSpec, SettleEvent, SubscriptionRecord, TakeEvents, Taken, TakenEvent,
    Timestamp, Verdict,
};
use tideline_runtime::event_filter::{EventFilter, FilterError};
use tideline_runtime::push_target::PushTarget;
use tideline_runtime::telemetry::metrics;
use tideline_store::{StoreError, SubscriptionCommand};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::message::{self, Message};
use super::sending::Answer;
use super::{Pusher, ignore_missing, sentence};

/// How much longer a lease is than a request: two requests of one key fit into it, and the settlement.
pub(super) const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// Sending stops this long before the lease ends, since clocks differ slightly.
const CLOCK_MARGIN: Duration = Duration::from_secs(2);
/// The wait if the store cannot be reached, or expressions cannot be evaluated.
pub(super) const UNAVAILABLE: Duration = Duration::from_secs(1);
/// Maximum wait for due events: the book may have changed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Lane {
    sending: Arc<Sending>,
    in_flight: u32,
    lease: Duration,
}

/// Dependencies of a sending task.
pub(super) struct Sending {
    pub(super) pusher: Arc<Pusher>,
    pub(super) name: String,
    push: PushSpec,
    pub(super) target: PushTarget,
    filter: Option<EventFilter>,
}

/// The outcome of one event.
struct Done {
    sequence: EventSequence,
    token: i64,
    outcome: EventOutcome,
    /// The URL no longer wants events.
    gone: bool,
}

/// The events taken, when taking began, and the token.
struct Handed {
    taken: Taken,
    token: i64,
    started: Instant,
}

impl Lane {
    pub(super) fn new(sending: Arc<Sending>) -> Self {
        Self {
            in_flight: sending.push.in_flight.max(1),
            lease: sending.longest() + sending.pusher.parts.settings.timeout + LEASE_MARGIN,
            sending,
        }
    }

    /// Sends until `stop`, then finishes the requests in flight; `cancel` aborts them at once.
    pub(super) async fn run(self, wake: Arc<Notify>, stop: CancellationToken, cancel: CancellationToken) {
        let (results, mut done) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        // Taken and unfinished, with the token.
        let mut held: HashMap<EventSequence, i64> = HashMap::new();
        let mut ended: Vec<Done> = Vec::new();
        let (mut look, mut next_due) = (true, None);
        loop {
            let held_now = u32::try_from(held.len()).unwrap_or(u32::MAX);
            let is_gone = ended.iter().any(|done| done.gone);
            let room = Some(self.in_flight.saturating_sub(held_now))
                .filter(|room| *room > 0 && look && !is_gone && !stop.is_cancelled());
            if room.is_some() || !ended.is_empty() {
                match self.exchange(std::mem::take(&mut ended), room).await {
                    Ok(Some(handed)) => {
                        (look, next_due) = (handed.taken.more, handed.taken.next_due);
                        self.start(handed, &mut held, &mut tasks, &results);
                    }
                    Ok(None) => {}
                    Err(StoreError::NotFound { .. }) => return,
                    Err(_) => (look, next_due) = (false, Some(self.sending.now().plus(UNAVAILABLE))),
                }
                if is_gone {
                    self.block().await;
                }
                if look && room.is_some() {
                    tokio::task::yield_now().await;
                    if held.is_empty() {
                        continue;
                    }
                }
            }
            if stop.is_cancelled() && held.is_empty() {
                return;
            }
            let wait = next_due.map_or(LONGEST_WAIT, |due: Timestamp| due.since(self.sending.now()));
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(first) = done.recv() => {
                    ended.push(first);
                    ended.extend(std::iter::from_fn(|| done.try_recv().ok()));
                    for done in &ended {
                        held.remove(&done.sequence);
                    }
                    look = true;
                }
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                () = wake.notified(), if !stop.is_cancelled() => look = true,
                () = tokio::time::sleep(wait.clamp(Duration::from_millis(1), LONGEST_WAIT)), if !stop.is_cancelled() => look = true,
            }
            while tasks.try_join_next().is_some() {}
        }
        // Requests end here, with their tasks; unfinished events become available again.
        tasks.shutdown().await;
        let left = held.into_iter().map(|(sequence, token)| Done {
            sequence,
            token,
            outcome: EventOutcome::Untried,
            gone: false,
        });
        // Failures are logged, and the leases expire by themselves.
        let _ = self.exchange(left.collect(), None).await;
    }

    /// Settles finished events and, if there is room, takes more, in one transaction. During a store outage, finished
    /// events can be settled as long as the leases are valid; after that the events are sent again.
    async fn exchange(&self, ended: Vec<Done>, room: Option<u32>) -> Result<Option<Handed>, StoreError> {
        let settlements: Vec<SettleEvent> = (ended.into_iter())
            .map(|done| SettleEvent {
                sequence: done.sequence,
                token: done.token,
                outcome: done.outcome,
            })
            .collect();
        if settlements.is_empty() && room.is_none() {
            return Ok(None);
        }
        let (parts, name) = (&self.sending.pusher.parts, &self.sending.name);
        let until = Instant::now() + self.lease;
        loop {
            let (started, now, token) = (Instant::now(), parts.clock.now(), rand::random::<i64>() | 1);
            let request = room.map(|room| TakeEvents {
                max: room,
                leased_until: now.plus(self.lease),
                token,
                in_flight: Some(self.in_flight),
            });
            let exchanged = (parts.store).exchange_events(name, &settlements, request.as_ref(), now);
            let error = match exchanged.await {
                Ok(exchanged) => {
                    let taken = exchanged.taken;
                    metrics::redelivered(name, taken.repeated());
                    if let Some(missed) = taken.missed_to {
                        tracing::warn!(subscription = name, %missed, "events were dropped before they were pushed");
                    }
                    return Ok(room.map(|_| Handed { taken, token, started }));
                }
                Err(error @ StoreError::NotFound { .. }) => return Err(error),
                Err(error) => error,
            };
            let (subscription, text) = (name, full_text(&error));
            if settlements.is_empty() {
                tracing::warn!(subscription, error = text, "events cannot be leased right now");
                return Err(error);
            }
            if !error.may_retry() || Instant::now() >= until {
                tracing::warn!(
                    subscription,
                    error = text,
                    "an acknowledged push was not recorded; it will be sent again"
                );
                return Err(error);
            }
            tracing::warn!(
                subscription,
                error = text,
                "acknowledged pushes cannot be recorded right now"
            );
            tokio::time::sleep(UNAVAILABLE).await;
        }
    }

    /// Starts sending the events taken.
    fn start(
        &self,
        handed: Handed,
        held: &mut HashMap<EventSequence, i64>,
        tasks: &mut JoinSet<()>,
        results: &mpsc::UnboundedSender<Done>,
    ) {
        let Handed { taken, token, started } = handed;
        held.extend(taken.events.iter().map(|event| (event.event.head.sequence, token)));
        for group in by_key(taken.events) {
            let (sending, results) = (Arc::clone(&self.sending), results.clone());
            let until = started + self.lease - CLOCK_MARGIN;
            tasks.spawn(async move { sending.send_all(group, token, until, &results).await });
        }
    }

    /// Switches the subscription off: its URL no longer wants events.
    async fn block(&self) {
        let block = SubscriptionCommand::Block("the URL answered 410 Gone".to_owned());
        let parts = &self.sending.pusher.parts;
        let blocked = ignore_missing(parts.store.command_subscription(&self.sending.name, &block).await);
        if let Err(error) = blocked {
            tracing::warn!(
                subscription = self.sending.name,
                error = full_text(&error),
                "cannot be switched off right now"
            );
        }
        parts.queue.wake().await;
    }
}

/// Events of one key belong together, in order; an event without a key stands alone.
fn by_key(events: Vec<TakenEvent>) -> Vec<Vec<TakenEvent>> {
    let mut groups: Vec<Vec<TakenEvent>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for event in events {
        let key = event.event.head.key.clone();
        match places.get(&key).and_then(|place| groups.get_mut(*place)) {
            Some(group) => group.push(event),
            None => {
                if !key.is_empty() {
                    places.insert(key, groups.len());
                }
                groups.push(vec![event]);
            }
        }
    }
    groups
}

impl Sending {
    /// # Errors
    /// The stored target cannot be opened by this process: its key is missing or different.
    pub(super) fn new(pusher: Arc<Pusher>, record: &SubscriptionRecord) -> Result<Self, String> {
        let push = record.push.clone().ok_or("it has no target")?;
        let target = PushTarget::open(&pusher.parts.sealer, &record.name, &push.sealed);
        let filter = record.filter.as_deref().map(EventFilter::compile).transpose();
        Ok(Self {
            name: record.name.clone(),
            target: target.map_err(|error| error.to_string())?,
            filter: filter.map_err(|error| format!("filter: {error}"))?,
            push,
            pusher,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.pusher.parts.clock.now()
    }

    /// Sends events of one key one after the other. After a failure the others count as not taken, and so do those
    /// whose delivery could not finish before `until`.
    async fn send_all(
        &self,
        group: Vec<TakenEvent>,
        token: i64,
        until: Instant,
        results: &mpsc::UnboundedSender<Done>,
    ) {
        let mut failed = false;
        for taken in group {
            let in_time = Instant::now() + self.longest() <= until;
            let sequence = taken.event.head.sequence;
            let (outcome, gone) = if failed || !in_time {
                (EventOutcome::Untried, false)
            } else {
                self.send_one(&taken.event, taken.attempt, until).await
            };
            failed |= matches!(outcome, EventOutcome::Again { .. } | EventOutcome::Untried);
            let done = Done {
                sequence,
                token,
                outcome,
                gone,
            };
            if results.send(done).is_err() {
                return;
            }
        }
    }

    /// Time limit for the filter and a request together.
    fn longest(&self) -> Duration {
        let parts = &self.pusher.parts;
        let filtering = (self.filter.as_ref()).map_or(Duration::ZERO, |_| parts.evaluator.longest());
        filtering + parts.settings.timeout
    }

    async fn send_one(&self, event: &EventRecord, attempt: u32, until: Instant) -> (EventOutcome, bool) {
        if let Some(filter) = &self.filter
            && let Some(outcome) = self.not_wanted(filter, event, attempt, until).await
        {
            return (outcome, false);
        }
        let Some(message) = self.message(event).await else {
            return (EventOutcome::Skipped, false);
        };
        match self.pusher.sender.send(&self.target, &message).await {
            Answer::Accepted => {
                if self.push.format.is_for_people() {
                    sentence::note(&*self.pusher.parts.store, &self.name, &event.head).await;
                }
                (EventOutcome::Acked, false)
            }
            Answer::Gone => {
                let again = EventOutcome::Again {
                    due_at: self.now(),
                    error: Some("410 Gone".to_owned()),
                };
                (again, true)
            }
            Answer::Failed { error, not_before } => (self.after_failure(error, attempt, not_before), false),
        }
    }

    /// The outcome of an event that is not to be sent, or not now; none: it is wanted. While expressions cannot be
    /// evaluated, the event waits here until `until`, which is not a failed attempt.
    async fn not_wanted(
        &self,
        filter: &EventFilter,
        event: &EventRecord,
        attempt: u32,
        until: Instant,
    ) -> Option<EventOutcome> {
        let stop = self.pusher.runtime.stop();
        loop {
            match filter.wants(&self.pusher.parts.evaluator, event).await {
                Ok(true) => return None,
                Ok(false) => return Some(EventOutcome::Skipped),
                Err(error @ FilterError::Failed(_)) => {
                    let error = error.to_string();
                    return Some(EventOutcome::Dead { error });
                }
                Err(error @ FilterError::TimedOut(_)) => {
                    return Some(self.after_failure(error.to_string(), attempt, None));
                }
                Err(error @ FilterError::Unavailable(_)) => {
                    tracing::warn!(subscription = self.name, error = full_text(&error), "events wait");
                }
            }
            if Instant::now() + UNAVAILABLE + self.longest() > until {
                return Some(EventOutcome::Untried);
            }
            tokio::select! {
                () = stop.cancelled() => return Some(EventOutcome::Untried),
                () = tokio::time::sleep(UNAVAILABLE) => {}
            }
        }
    }

    /// The next rung of the ladder, or its end.
    fn after_failure(&self, error: String, attempt: u32, not_before: Option<Timestamp>) -> EventOutcome {
        let ladder = &self.pusher.parts.settings.backoff;
        match ladder.after_failure(attempt.saturating_sub(1), self.now(), not_before, rand::random()) {
            LadderStep::Wait { due_at, .. } => EventOutcome::Again {
                due_at,
                error: Some(error),
            },
            LadderStep::Exhausted => EventOutcome::Dead { error },
        }
    }

    /// The message for an event; none: people were already notified, or are not notified of such events.
    async fn message(&self, event: &EventRecord) -> Option<Message> {
        if !self.push.format.is_for_people() {
            return Some(message::of_event(event));
        }
        let parts = &self.pusher.parts;
        if event.head.verdict != Verdict::Own {
            return None;
        }
        if sentence::was_told(&*parts.store, &self.name, &event.head).await {
            sentence::note(&*parts.store, &self.name, &event.head).await;
            return None;
        }
        let sentence = sentence::of_event(event, parts.public_url.as_ref());
        Some(sentence.message(self.push.format, message::id_of(event)))
    }
}
