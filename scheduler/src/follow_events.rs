//! Turns events into refresh jobs, as the rules of sources (`on`) say.
//!
//! The follower continues from its own stored position, which moves only when the jobs of all events up to there are in
//! the store: each event is applied at least once, and applying it twice requests the same reading. Any number of
//! schedulers may follow at once. A rule that fails on an event is shown as a parked job of its own and holds up no
//! other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tideline_config::settings::SourceSettings;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::{canonical_json, event_view, fingerprint};
use tideline_core::words::{
    EventRecord, EventSequence, NewJob, REFRESH_KIND, RefreshRequest, RefreshTarget, Timestamp, Trigger,
};
use tideline_expression::Evaluator;
use tideline_queue::{Queue, announce};
use tideline_runtime::Pace;
use tideline_store::{EventFilter, Store, StoreError};

use crate::refresh_rules::{Rule, RuleError, rules_of};
use crate::scheduler::Task;

/// Events that are applied at a time.
const BATCH: u32 = 1_000;
/// Maximum number of things whose newest reading is remembered, for `refresh_spacing`.
const REMEMBERED: usize = 10_000;
/// How long the follower waits if expressions cannot be evaluated now.
const UNAVAILABLE: Duration = Duration::from_secs(1);

/// See the module.
pub struct FollowEvents {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    evaluator: Arc<Evaluator>,
    rules: Vec<Rule>,
    spacing: HashMap<String, Duration>,
    /// When the last requested readings are due.
    asked: Mutex<HashMap<String, Timestamp>>,
}

impl FollowEvents {
    /// Under this name its position is stored.
    pub(crate) const NAME: &str = "refresh";

    /// A follower for the rules of these sources.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        evaluator: Arc<Evaluator>,
        sources: &HashMap<String, SourceSettings>,
    ) -> Self {
        let spacing = sources
            .values()
            .map(|source| (source.name.clone(), source.refresh_spacing));
        Self {
            store,
            queue,
            clock,
            evaluator,
            rules: sources.values().flat_map(rules_of).collect(),
            spacing: spacing.collect(),
            asked: Mutex::default(),
        }
    }

    /// The readings that the events request, the newest request for each thing. None: expressions cannot be evaluated
    /// now.
    async fn requests(&self, events: &[EventRecord]) -> Option<BTreeMap<String, (RefreshRequest, Option<String>)>> {
        let mut requests = BTreeMap::new();
        for event in events {
            let mut text = None;
            for rule in &self.rules {
                if !rule.topics.iter().any(|topic| topic.matches(&event.head.topic)) {
                    continue;
                }
                if text.is_none() {
                    text = event_view(event).ok();
                }
                let targets = match rule.apply(&self.evaluator, text.as_deref().unwrap_or("null")).await {
                    Ok(targets) => targets,
                    Err(RuleError::Failed(error)) => {
                        tracing::warn!(
                            source = rule.source,
                            rule = rule.place,
                            error,
                            "a rule failed on an event"
                        );
                        vec![RefreshTarget::FailedRule {
                            rule: rule.place,
                            error,
                        }]
                    }
                    Err(RuleError::Unavailable(error)) => {
                        tracing::warn!(error = full_text(&error), "event rules cannot be applied right now");
                        return None;
                    }
                };
                for target in targets {
                    let request = RefreshRequest {
                        source: rule.source.clone(),
                        target,
                        event: event.head.sequence.0,
                        look_again_ms: rule.look_again_ms,
                    };
                    requests.insert(request.key(), (request, event.head.trace.clone()));
                }
            }
        }
        Some(requests)
    }

    /// When a request is due: at once, unless the same thing was just requested. A waiting request keeps its due time,
    /// so that a burst of events leads to one reading at once and one after its last event.
    fn due(&self, key: &str, source: &str, now: Timestamp) -> Timestamp {
        let spacing = self.spacing.get(source).copied().unwrap_or_default();
        let mut asked = self.asked.lock();
        if asked.len() >= REMEMBERED {
            asked.retain(|_, due| due.plus(spacing) > now);
        }
        let due = match asked.get(key) {
            // Not longer, if the clock was set back.
            Some(last) if *last > now => (*last).min(now.plus(spacing)),
            Some(last) => last.plus(spacing).max(now),
            None => now,
        };
        if asked.len() < REMEMBERED {
            asked.insert(key.to_owned(), due);
        }
        due
    }

    async fn enqueue(&self, requests: BTreeMap<String, (RefreshRequest, Option<String>)>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let jobs: Vec<NewJob> = (requests.into_iter())
            .filter_map(|(key, (request, trace))| {
                let args = canonical_json(&serde_json::to_string(&request).ok()?).ok()?;
                Some(NewJob {
                    kind: REFRESH_KIND.to_owned(),
                    fingerprint: fingerprint(args.as_bytes()),
                    due_at: self.due(&key, &request.source, now),
                    key,
                    args,
                    trigger: Trigger::Webhook,
                    trace,
                })
            })
            .collect();
        for batch in jobs.chunks(BATCH as usize) {
            let enqueued = self.store.enqueue(batch, now).await?;
            announce(&*self.queue, batch, &enqueued, None, now).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Task for FollowEvents {
    /// Applies the next events.
    async fn run_once(&self) -> Result<Pace, StoreError> {
        if self.rules.is_empty() {
            return Ok(Pace::Idle);
        }
        let from = self.store.find_position(Self::NAME).await?;
        let filter = EventFilter {
            topics: self.rules.iter().flat_map(|rule| rule.topics.clone()).collect(),
            ..EventFilter::default()
        };
        let after = from.unwrap_or(EventSequence(0));
        let reading = self.store.list_events_after(after, &filter, BATCH).await?;
        if let Some(gap) = reading.missed {
            tracing::warn!(
                ?gap,
                "events were dropped before they were applied; the next cycles will find what they announced"
            );
        }
        if reading.next == after {
            return Ok(Pace::Idle);
        }
        let Some(requests) = self.requests(&reading.events).await else {
            return Ok(Pace::After(UNAVAILABLE));
        };
        self.enqueue(requests).await?;
        // If another scheduler was faster, there may be more from where it stands.
        let moved = self.store.move_position(Self::NAME, from, reading.next).await?;
        Ok(if reading.more || !moved {
            Pace::Again
        } else {
            Pace::Idle
        })
    }
}
