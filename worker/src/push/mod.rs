//! Sends the events of push subscriptions to their URLs. Any number of workers may do so at once: the events that one
//! has taken are leased, so no other one sends them meanwhile, and a request ends before its lease does. Look next at
//! `lane.rs`, one subscription's sending.

mod changes;
mod lane;
mod message;
mod sending;
mod sentence;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tideline_config::subscriptions::SubscriptionSettings;
use tideline_core::clock::Clock;
use tideline_core::rules::TopicGlob;
use tideline_core::words::{EventSequence, SubscriptionKind, SubscriptionRecord, SubscriptionState};
use tideline_expression::Evaluator;
use tideline_queue::Queue;
use tideline_runtime::sealing::Sealer;
use tideline_runtime::{LoopError, Pace, Runtime, Wake};
use tideline_store::{Store, StoreError, SubscriptionCommand};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::changes::ChangeLane;
use self::lane::{Lane, Sending};
use self::sending::Sender;

/// How often the subscriptions are polled without a wake-up.
const LOOK: Duration = Duration::from_secs(10);
/// Above this many new events they are not examined one by one: any subscription may follow them.
const MANY: i64 = 10_000;
/// How often the end of the log is read, a single row: Tideline's own events come without a wake-up.
const GLANCE: Duration = Duration::from_secs(1);

/// Dependencies of a pusher.
pub struct PusherParts {
    /// Has the events.
    pub store: Arc<dyn Store>,
    /// Brings wake-ups.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// `subscriptions`.
    pub settings: SubscriptionSettings,
    /// Opens the stored targets.
    pub sealer: Arc<Sealer>,
    /// Evaluates filters.
    pub evaluator: Arc<Evaluator>,
    /// `public_url`: where messages for people link to.
    pub public_url: Option<Url>,
}

/// Sends the events of push subscriptions.
pub struct Pusher {
    parts: PusherParts,
    sender: Sender,
    lanes: Mutex<HashMap<String, Running>>,
    /// The end of the log at the last look.
    last: Mutex<EventSequence>,
    runtime: Runtime,
}

/// A lane at work.
struct Running {
    record: SubscriptionRecord,
    wake: Arc<Notify>,
    /// Takes nothing more, and finishes the requests in flight.
    stop: CancellationToken,
    /// Also aborts the requests in flight.
    cancel: CancellationToken,
    /// When it was last woken to skip events that it does not follow.
    passed_at: Instant,
}

impl Pusher {
    /// Starts sending; ends with the runtime.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn start(parts: PusherParts, runtime: &Runtime) -> Result<(), LoopError> {
        let sender = Sender::new(&parts.settings, Arc::clone(&parts.clock))?;
        let wakeups = parts.queue.wakeups();
        let pusher = Arc::new(Self {
            parts,
            sender,
            lanes: Mutex::default(),
            last: Mutex::default(),
            runtime: runtime.clone(),
        });
        let looking = Arc::clone(&pusher);
        runtime.spawn_loop("push", LOOK, Wake::Queue(wakeups), move || {
            let pusher = Arc::clone(&looking);
            async move { pusher.look().await.map_err(LoopError::from) }
        });
        runtime.spawn_loop("push glance", GLANCE, Wake::Never, move || {
            let pusher = Arc::clone(&pusher);
            async move { pusher.glance().await.map_err(LoopError::from) }
        });
        Ok(())
    }

    /// Checks all subscriptions: starts lanes, ends lanes, wakes those that have something to do.
    async fn look(self: &Arc<Self>) -> Result<Pace, StoreError> {
        let last = self.parts.store.event_bounds().await?.last;
        let mut found = self.parts.store.list_subscriptions().await?;
        found.retain(|record| record.kind == SubscriptionKind::Push);
        for record in &found {
            self.switch_off(record).await?;
        }
        let before = *self.last.lock();
        let news = self.news(before, last).await?;
        *self.last.lock() = last;
        let mut lanes = self.lanes.lock();
        lanes.retain(|name, running| {
            let record = found.iter().find(|record| record.name == *name);
            let same = record.is_some_and(|record| is_same(record, &running.record));
            let active = record.is_some_and(|record| record.state == SubscriptionState::Active);
            if !same {
                running.cancel.cancel();
            } else if !active {
                running.stop.cancel();
            }
            same && active
        });
        for record in found {
            if record.state != SubscriptionState::Active {
                continue;
            }
            if let Some(running) = lanes.get_mut(&record.name) {
                if running.has_work(&record, last, &news) {
                    running.wake.notify_one();
                }
            } else if let Some(running) = self.start_lane(&record) {
                lanes.insert(record.name.clone(), running);
            }
        }
        Ok(Pace::Idle)
    }

    /// Checks whether the log has grown.
    async fn glance(self: &Arc<Self>) -> Result<Pace, StoreError> {
        if self.lanes.lock().is_empty() {
            return Ok(Pace::Idle);
        }
        let last = self.parts.store.event_bounds().await?.last;
        if *self.last.lock() == last {
            return Ok(Pace::Idle);
        }
        self.look().await
    }

    /// The events since the last look.
    async fn news(&self, before: EventSequence, last: EventSequence) -> Result<News, StoreError> {
        if before == EventSequence(0) || last.0.saturating_sub(before.0) > MANY {
            return Ok(News::Much);
        }
        if last <= before {
            return Ok(News::Topics(vec![]));
        }
        self.parts.store.list_topics(before, last).await.map(News::Topics)
    }

    /// Blocks a subscription whose URL has failed for too long.
    async fn switch_off(&self, record: &SubscriptionRecord) -> Result<(), StoreError> {
        let Some(since) = record
            .failing_since
            .filter(|_| record.state == SubscriptionState::Active)
        else {
            return Ok(());
        };
        if self.parts.clock.now().since(since) < self.parts.settings.switch_off_after {
            return Ok(());
        }
        let error = record.last_error.as_deref().unwrap_or("unknown");
        let reason = format!("nothing has succeeded since {since}; the last error: {error}");
        let command = SubscriptionCommand::BlockFailing(since, reason);
        tracing::warn!(subscription = record.name, %since, error, "a subscription is switched off: its URL fails");
        ignore_missing(self.parts.store.command_subscription(&record.name, &command).await)
    }

    fn start_lane(self: &Arc<Self>, record: &SubscriptionRecord) -> Option<Running> {
        let running = Running {
            record: record.clone(),
            wake: Arc::new(Notify::new()),
            stop: self.runtime.stop().child_token(),
            cancel: CancellationToken::new(),
            passed_at: Instant::now(),
        };
        let sending = match Sending::new(Arc::clone(self), record) {
            Ok(sending) => Arc::new(sending),
            Err(error) => {
                tracing::warn!(
                    subscription = record.name,
                    error,
                    "events cannot be pushed by this process"
                );
                return None;
            }
        };
        let (wake, stop, cancel) = (Arc::clone(&running.wake), running.stop.clone(), running.cancel.clone());
        if record.changes.is_some() {
            self.runtime.spawn(ChangeLane(sending).run(wake, stop, cancel));
        } else {
            self.runtime.spawn(Lane::new(sending).run(wake, stop, cancel));
        }
        Some(running)
    }
}

/// What has come since the last look.
enum News {
    /// Events on these topics.
    Topics(Vec<String>),
    /// Unknown, or too many to list.
    Much,
}

impl Running {
    /// Whether taking is worthwhile. Taking locks the subscription, so a pusher does not take for events that the
    /// subscription does not follow; those are skipped now and then, so that the log can be pruned.
    fn has_work(&mut self, record: &SubscriptionRecord, last: EventSequence, news: &News) -> bool {
        if record.outstanding > 0 || record.changes.is_some() {
            return true;
        }
        if record.position >= last {
            return false;
        }
        let follows = match news {
            News::Much => true,
            News::Topics(topics) => (topics.iter()).any(|topic| TopicGlob::any_matches(&record.topics, topic)),
        };
        let passes = self.passed_at.elapsed() >= LOOK;
        if passes {
            self.passed_at = Instant::now();
        }
        follows || passes
    }
}

/// Whether requests in flight for one version are still right for the other.
fn is_same(now: &SubscriptionRecord, then: &SubscriptionRecord) -> bool {
    let identity = |record: &SubscriptionRecord| (record.created_at, record.generation, record.changes.is_some());
    identity(now) == identity(then) && now.filter == then.filter && now.push == then.push
}

/// A subscription that was deleted meanwhile wants no more events.
fn ignore_missing(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
