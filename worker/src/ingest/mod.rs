//! The handler of kind `ingest`: an attempt is a burst. Pages are read in [`reading`] while earlier ones are committed
//! in [`burst`]; between the two only a few pages wait, so memory does not grow with the source.

mod burst;
mod failing;
mod pages;
mod reading;
mod siblings;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tideline_config::settings::SourceSettings;
use tideline_core::clock::Clock;
use tideline_core::rules::Ladder;
use tideline_core::words::{ClaimedJob, Progress, Timestamp};
use tideline_runtime::telemetry::metrics;
use tideline_store::Store;
use tokio_util::sync::CancellationToken;

use self::burst::{Burst, BurstEnd};
pub(crate) use self::failing::failed;
pub use self::pages::{Sorted, sort_out};
pub(crate) use self::reading::too_many_pages;
use self::siblings::{ClaimSize, Siblings};
use crate::attempt::INGEST_KIND;
use crate::handler::{Attempt, Handler, HandlerError, Outcome};
use crate::source::Source;

/// How long a burst may exceed its length: for the last page, its commit, and a slow store.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a partition waits for a worker that knows its source, while configurations differ in the fleet.
const UNKNOWN_SOURCE_WAIT: Duration = Duration::from_secs(5);
const UNKNOWN_SOURCE: &str = "its source is not in this worker's configuration";

/// A source with its settings.
pub(crate) struct Readable {
    pub(crate) settings: SourceSettings,
    pub(crate) source: Arc<dyn Source>,
    claim_size: ClaimSize,
}

impl Readable {
    pub(crate) fn new(settings: SourceSettings, source: Arc<dyn Source>) -> Self {
        Self {
            settings,
            source,
            claim_size: ClaimSize::default(),
        }
    }
}

/// Reads partitions of sources, burst by burst.
pub struct IngestHandler {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sources: HashMap<String, Arc<Readable>>,
}

/// The args of a partition's job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartitionArgs {
    /// The child partition's key, or the name of the source for its root.
    pub(crate) partition: String,
    /// The values passed on by the parent.
    pub(crate) args: Value,
}

impl IngestHandler {
    /// A handler for these sources.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
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
        Self { store, clock, sources }
    }

    /// The source a partition belongs to: its job's key is the source's name, or begins with it and a slash.
    fn readable(&self, job: &ClaimedJob) -> Option<&Arc<Readable>> {
        self.sources.get(job.key.split('/').next().unwrap_or_default())
    }
}

#[async_trait]
impl Handler for IngestHandler {
    fn kind(&self) -> &'static str {
        INGEST_KIND
    }

    fn ladder(&self, job: &ClaimedJob) -> Ladder {
        self.readable(job)
            .map_or_else(Ladder::default, |readable| readable.settings.backoff.clone())
    }

    fn deadline(&self, job: &ClaimedJob) -> Duration {
        self.readable(job).map_or(MARGIN, |readable| {
            readable.settings.burst_length + readable.settings.page_timeout + MARGIN
        })
    }

    async fn run(&self, attempt: &Attempt) -> Result<Outcome, HandlerError> {
        let job = &attempt.job;
        let Some(readable) = self.readable(job) else {
            return Ok(Outcome::Postpone(
                self.clock.now().plus(UNKNOWN_SOURCE_WAIT),
                UNKNOWN_SOURCE.to_owned(),
            ));
        };
        let started = self.clock.now();
        let ends_at = started.plus(readable.settings.burst_length);
        let progressed = Arc::clone(&attempt.progressed);
        let mut burst = self.burst(job, readable, progressed, &attempt.stop, ends_at)?;
        let ended = burst.run().await;
        let rung = attempt.rung();
        let is_root = job.key == readable.settings.name;
        let is_alone = is_root && readable.source.roots().is_empty();
        let (end, ended) = conclude(rung, is_alone, &readable.settings, ended);
        metrics::burst(&readable.settings.name, end, self.clock.now().since(started));
        metrics::rung(
            &readable.settings.name,
            if ended.is_ok() { 0 } else { rung.saturating_add(1) },
        );
        if matches!(ended, Ok(Outcome::Done)) {
            if !is_root {
                readable.claim_size.saw_partition(burst.progress.pages);
            }
            let siblings = Siblings {
                handler: self,
                lead: attempt,
                readable,
                progress: &burst.progress,
                ends_at,
            };
            siblings.read().await;
        }
        ended
    }
}

impl IngestHandler {
    /// A burst of this partition.
    fn burst(
        &self,
        job: &ClaimedJob,
        readable: &Arc<Readable>,
        progressed: Arc<AtomicBool>,
        stop: &CancellationToken,
        ends_at: Timestamp,
    ) -> Result<Burst, HandlerError> {
        let broken =
            |what: &str, error: serde_json::Error| HandlerError::Permanent(format!("the job's {what}: {error}"));
        let (Some(source), Some(cycle)) = (job.source, job.cycle) else {
            return Err(HandlerError::Permanent(
                "the job belongs to no cycle of a source".to_owned(),
            ));
        };
        let args: PartitionArgs = serde_json::from_str(&job.args).map_err(|error| broken("args", error))?;
        let progress: Progress = match &job.progress {
            Some(text) => serde_json::from_str(text).map_err(|error| broken("progress", error))?,
            None => Progress::default(),
        };
        let cursor: Option<Value> = match &job.cursor {
            Some(text) => Some(serde_json::from_str(text).map_err(|error| broken("cursor", error))?),
            None => None,
        };
        Ok(Burst {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            readable: Arc::clone(readable),
            lease: job.lease(),
            source,
            cycle,
            partition: Arc::new(args),
            is_root: job.key == readable.settings.name,
            progress,
            cursor,
            progressed,
            stop: stop.clone(),
            ends_at,
        })
    }
}

/// The outcome of a burst for its job, and its name in metrics.
fn conclude(
    rung: u32,
    is_alone: bool,
    settings: &SourceSettings,
    ended: Result<BurstEnd, HandlerError>,
) -> (&'static str, Result<Outcome, HandlerError>) {
    match ended {
        Ok(BurstEnd::PartitionFinished) => ("finished", Ok(Outcome::Done)),
        Ok(BurstEnd::TimeIsUp) => ("time_is_up", Ok(Outcome::Again(settings.burst_interval))),
        Ok(BurstEnd::Stopped) => ("stopped", Ok(Outcome::HandBack)),
        Ok(BurstEnd::HeldBack(until)) => (
            "held_back",
            Ok(Outcome::Postpone(
                until,
                "the source asked to wait (rate limit)".to_owned(),
            )),
        ),
        // After the last rung of a root that is alone the cycle is given up without a sweep, and a fresh one starts.
        // Any other partition that exhausts its ladder is parked: its siblings are still read, and what it owns is
        // kept.
        Err(HandlerError::Transient { message, .. }) if is_alone && rung >= settings.backoff.rungs() => (
            "given_up",
            Err(HandlerError::GivenUp(format!("failed on the last rung: {message}"))),
        ),
        Err(HandlerError::LeaseLost) => ("lease_lost", Err(HandlerError::LeaseLost)),
        Err(error) => ("failed", Err(error)),
    }
}
