//! The handler of kind `refresh`: reads again what an event named, and writes it as deltas.
//!
//! An event says where to look, not what is true. The job's key is what to read, so of many events about one thing only the
//! newest request is done, after the last of them. The moment at which a reading began goes with what it found: the store
//! lets nothing older win ([`DeltaStore`](tideline_store::DeltaStore)).

mod partition;

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
    ClaimedJob, Delta, DeltaBasis, DeltaChange, DeltaOutcome, REFRESH_KIND, RefreshRequest, RefreshTarget, SourceId,
    SourceRecord, SourceState, Timestamp, Trigger,
};
use tideline_queue::Queue;
use tideline_runtime::telemetry::metrics;
use tideline_store::{SourceCommand, Store, StoreError};

use crate::handler::{Attempt, Handler, HandlerError, Outcome};
use crate::ingest::{Readable, failed, sort_out};
use crate::source::{ErrorClass, Item, ItemContent, ItemRequest, Source, SourceError};

/// Past the time of its pages an attempt may take so long: its commits, a slow store.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a job waits while its source stands still or is not in this worker's configuration.
const STILL: Duration = Duration::from_secs(5);
/// Readings of one attempt, each because a reading that began later was faster than the one before.
const READINGS: u32 = 3;

/// Reads again what events named.
pub struct RefreshHandler {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    sources: HashMap<String, Arc<Readable>>,
    /// Sources whose page commits look for deltas, as this process knows.
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

    /// The source, or until when, and why, it cannot be read.
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
            return postpone(until, "the source asked to be left alone (its limits)");
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

    /// Reads one item and writes what it is. Again if a reading that began later was faster.
    async fn item(&self, ready: &Ready<'_>, request: ItemRequest<'_>, removed: bool) -> Result<Outcome, HandlerError> {
        for _ in 0..READINGS {
            let began = self.clock.now();
            let changes = match self.read_item(ready, request, began).await? {
                ItemContent::Found(items) => upserts(&ready.readable.settings, items)?,
                ItemContent::Missing { reference: Some(gone) } if removed => vec![DeltaChange::Remove(gone)],
                ItemContent::Missing { .. } => {
                    // Whether it is gone, or only not shown, the next complete cycle tells.
                    tracing::info!(
                        source = ready.readable.settings.name,
                        removed,
                        "item not found at the source"
                    );
                    return Ok(Outcome::Done);
                }
            };
            let basis = DeltaBasis::Read(began);
            let deltas: Vec<Delta> = (changes.into_iter()).map(|change| Delta { change, basis }).collect();
            if self.write(ready, &deltas).await? {
                return Ok(Outcome::Done);
            }
        }
        Err(HandlerError::Transient {
            message: format!("{READINGS} readings in a row were overtaken by others that began later"),
            not_before: None,
        })
    }

    async fn read_item(
        &self,
        ready: &Ready<'_>,
        request: ItemRequest<'_>,
        began: Timestamp,
    ) -> Result<ItemContent, HandlerError> {
        let settings = &ready.readable.settings;
        let timeout = settings.page_timeout;
        let read = tokio::time::timeout(timeout, ready.readable.source.read_item(request)).await;
        let read = read.unwrap_or_else(|_| {
            Err(SourceError::new(
                ErrorClass::Transient { retry_after: None },
                format!("the item took longer than page_timeout ({timeout:?})"),
            ))
        });
        let class = if read.is_ok() { "ok" } else { "failed" };
        metrics::source_request(&settings.name, class, self.clock.now().since(began));
        match read {
            Ok(content) => Ok(content),
            Err(error) => Err(failed(&*self.store, &*self.clock, ready.source, error).await),
        }
    }

    /// Writes deltas. `false`: one of them was overtaken.
    async fn write(&self, ready: &Ready<'_>, deltas: &[Delta]) -> Result<bool, HandlerError> {
        let outcomes = self.store.write_deltas(ready.source, deltas, self.clock.now()).await?;
        let name = &ready.readable.settings.name;
        for (outcome, word) in [
            (DeltaOutcome::Added, "added"),
            (DeltaOutcome::Modified, "modified"),
            (DeltaOutcome::Removed, "removed"),
            (DeltaOutcome::Unchanged, "unchanged"),
        ] {
            let count = outcomes.iter().filter(|one| **one == outcome).count();
            if count > 0 {
                metrics::entities(name, word, count as u64);
            }
        }
        Ok(!outcomes.contains(&DeltaOutcome::Overtaken))
    }

    /// Asks for a cycle.
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
                "{place} cannot be applied to event {}: {error}; mend the rule, later events are not held up",
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
            RefreshTarget::Partition { resource, values } => {
                self.partition(attempt, &ready, resource.as_deref(), values).await
            }
            RefreshTarget::Source | RefreshTarget::FailedRule { .. } => self.cycle(&ready).await,
        }
    }
}

/// The first reading of a request that wants two leaves word of itself and comes again after the wait. Another event about the
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

/// What items become. An item that is no entity fails its reading: there is nothing else on it to write.
fn upserts(settings: &SourceSettings, items: Vec<Item>) -> Result<Vec<DeltaChange>, HandlerError> {
    let (entities, malformed) = sort_out(items, &settings.volatile);
    if let Some(item) = malformed.first().filter(|_| entities.is_empty()) {
        return Err(HandlerError::Permanent(format!(
            "the item is no entity: {}; it begins: {}",
            item.error, item.sample
        )));
    }
    Ok(entities.into_iter().map(DeltaChange::Upsert).collect())
}

/// The partition of a resource, with the source's name for its root.
fn partition_of(readable: &Readable, resource: Option<&str>, values: &Map<String, Value>) -> Option<(String, Value)> {
    let partition = readable.source.partition(resource, values)?;
    let key = if partition.key.is_empty() {
        readable.settings.name.clone()
    } else {
        partition.key
    };
    Some((key, partition.args))
}
