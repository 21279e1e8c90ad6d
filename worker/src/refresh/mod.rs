//! The handler of kind `refresh`: rereads what an event named, and writes it as deltas.
//!
//! An event says where to look, not what is true. The job's key is what to read, and whether the event said that it is
//! gone, so that many events about one thing lead to a single reading after the last of them. The start of a reading is
//! stored with its results: the store never lets an older reading win ([`DeltaStore`](tideline_store::DeltaStore)).
//! What a complete reading no longer shows is removed, unless something else shows it (`write.rs`).

mod event;
mod item;
mod known;
mod partition;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tideline_config::settings::SourceSettings;
use tideline_core::clock::Clock;
use tideline_core::rules::Ladder;
use tideline_core::words::{
    ClaimedJob, REFRESH_KIND, RefreshRequest, RefreshTarget, SourceId, SourceRecord, SourceState, Timestamp, Trigger,
};
use tideline_queue::Queue;
use tideline_store::{SourceCommand, Store, StoreError};

use self::known::Wanted;
use crate::handler::{Attempt, Handler, HandlerError, Outcome};
use crate::ingest::Readable;
use crate::source::{ItemRequest, Source};

/// How long an attempt may take beyond the time for its pages: for its commits and a slow store.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a job waits while its source is not running or is not in this worker's configuration.
const STILL: Duration = Duration::from_secs(5);
/// Maximum number of readings per attempt, each because a reading that began later was faster than the previous one.
const READINGS: u32 = 3;

/// Rereads what events named.
pub struct RefreshHandler {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    sources: HashMap<String, Arc<Readable>>,
    /// Sources known to this process whose page commits look for deltas.
    expected: Mutex<HashSet<SourceId>>,
}

/// A source that can be read now.
struct Ready<'h> {
    readable: &'h Arc<Readable>,
    source: SourceId,
}

impl RefreshHandler {
    /// A handler for these sources.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        sources: impl IntoIterator<Item = (SourceSettings, Arc<dyn Source>)>,
    ) -> Self {
        let sources = sources
            .into_iter()
            .map(|(settings, source)| {
                source.attach(Arc::<dyn Store>::clone(&store));
                (settings.name.clone(), Arc::new(Readable::new(settings, source)))
            })
            .collect();
        Self {
            store,
            queue,
            clock,
            sources,
            expected: Mutex::default(),
        }
    }

    fn readable(&self, job: &ClaimedJob) -> Option<&Arc<Readable>> {
        self.sources.get(job.key.split('/').next().unwrap_or_default())
    }

    /// The source, or until when it cannot be read, and why.
    async fn ready(&self, job: &ClaimedJob) -> Result<Result<Ready<'_>, Outcome>, StoreError> {
        let postpone = |until: Timestamp, why: &str| Ok(Err(Outcome::Postpone(until, why.to_owned())));
        let now = self.clock.now();
        let still = now.plus(STILL);
        let Some(readable) = self.readable(job) else {
            return postpone(still, "its source is not in this worker's configuration");
        };
        let Some(record) = self.store.find_source(&readable.settings.name).await? else {
            return postpone(still, "its source is not in the store yet");
        };
        if let Some(until) = record.hold_until.filter(|until| *until > now) {
            return postpone(until, "the source asked to wait (rate limit)");
        }
        if record.state != SourceState::Active {
            return postpone(still, &format!("its source is {}", standing(&record)));
        }
        let source = record.id;
        if !self.expected.lock().contains(&source) {
            self.store.expect_deltas(source).await?;
            self.expected.lock().insert(source);
        }
        Ok(Ok(Ready { readable, source }))
    }

    /// Requests a cycle.
    async fn cycle(&self, ready: &Ready<'_>) -> Result<Outcome, HandlerError> {
        let refresh = SourceCommand::Refresh(Trigger::Webhook);
        let name = &ready.readable.settings.name;
        match self.store.command_source(name, refresh, self.clock.now()).await {
            Ok(()) => {
                self.queue.wake().await;
                Ok(Outcome::Done)
            }
            Err(StoreError::Refused(why)) => Err(HandlerError::Permanent(why)),
            Err(error) => Err(error.into()),
        }
    }
}

#[async_trait]
impl Handler for RefreshHandler {
    fn kind(&self) -> &'static str {
        REFRESH_KIND
    }

    fn ladder(&self, job: &ClaimedJob) -> Ladder {
        self.readable(job)
            .map_or_else(Ladder::default, |readable| readable.settings.backoff.clone())
    }

    fn deadline(&self, job: &ClaimedJob) -> Duration {
        self.readable(job).map_or(MARGIN, |readable| {
            let settings = &readable.settings;
            settings.page_timeout * READINGS + settings.burst_length + MARGIN
        })
    }

    async fn run(&self, attempt: &Attempt) -> Result<Outcome, HandlerError> {
        let request: RefreshRequest = serde_json::from_str(&attempt.job.args)
            .map_err(|error| HandlerError::Permanent(format!("the job's args: {error}")))?;
        if let RefreshTarget::FailedRule { rule, error } = &request.target {
            let place = format!("sources: {}: on[{rule}]", request.source);
            return Err(HandlerError::Permanent(format!(
                "{place} cannot be applied to event {}: {error}; fix the rule. Later events are not delayed",
                request.event
            )));
        }
        let ready = match self.ready(&attempt.job).await? {
            Ok(ready) => ready,
            Err(outcome) => return Ok(outcome),
        };
        match &request.target {
            RefreshTarget::Item {
                resource,
                values,
                removed,
            } => {
                let item = ItemRequest {
                    resource: resource.as_deref(),
                    values,
                };
                let outcome = self.item(&ready, item, *removed).await?;
                look_again(attempt, &request, outcome).await
            }
            RefreshTarget::Partition {
                resource,
                values,
                removed,
                only_known: true,
                deep,
            } => {
                let wanted = Wanted {
                    resource: resource.as_deref(),
                    values,
                    removed: *removed,
                    deep: *deep,
                };
                self.known(attempt, &ready, &wanted).await
            }
            RefreshTarget::Partition {
                resource,
                values,
                removed,
                deep,
                ..
            } => {
                let Some(part) = partition_of(ready.readable, resource.as_deref(), values) else {
                    return Err(HandlerError::Permanent(
                        "the source has no partition with these values that can be read on its own".to_owned(),
                    ));
                };
                let how = (*removed, *deep, request.look_again_ms);
                self.partition(attempt, &ready, &part, how).await
            }
            RefreshTarget::Event { rule, values } => {
                self.complete(attempt, &ready, (*rule, values), request.event).await
            }
            RefreshTarget::Source | RefreshTarget::FailedRule { .. } => self.cycle(&ready).await,
        }
    }
}

/// The first of two requested readings records itself, and the job comes back after the wait. Another event about the
/// same item makes another request, which starts over.
async fn look_again(attempt: &Attempt, request: &RefreshRequest, outcome: Outcome) -> Result<Outcome, HandlerError> {
    let (Outcome::Done, Some(wait)) = (&outcome, request.look_again_ms) else {
        return Ok(outcome);
    };
    let word = format!("{{\"looked\":{}}}", request.event);
    if attempt.job.cursor.as_deref() == Some(word.as_str()) {
        return Ok(outcome);
    }
    attempt.checkpoint(&word).await?;
    Ok(Outcome::Again(Duration::from_millis(wait)))
}

fn standing(record: &SourceRecord) -> &'static str {
    match record.state {
        SourceState::Active => "active",
        SourceState::Paused => "paused",
        SourceState::Blocked => "blocked",
        SourceState::Orphaned => "no longer in the configuration",
    }
}

/// A partition to reread.
struct Part {
    /// Its key: the source's name for the root.
    key: String,
    /// The key of the job that reads it in cycles.
    job: String,
    args: Value,
}

/// The partition of a resource.
fn partition_of(readable: &Readable, resource: Option<&str>, values: &Map<String, Value>) -> Option<Part> {
    let partition = readable.source.partition(resource, values)?;
    let name = &readable.settings.name;
    let (key, job) = if partition.key.is_empty() {
        (name.clone(), name.clone())
    } else {
        let job = format!("{name}/{}", partition.key);
        (partition.key, job)
    };
    Some(Part {
        key,
        job,
        args: partition.args,
    })
}
