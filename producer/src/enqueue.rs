use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use tideline_core::clock::Clock;
use tideline_core::full_text;
use tideline_core::rules::{CanonicalError, canonical_json, fingerprint};
use tideline_core::words::{EnqueueOutcome, Enqueued, JobId, NewJob, OWN_KINDS, Timestamp, Token, Trigger};
use tideline_queue::{Hint, Queue, QueueError};
use tideline_runtime::telemetry::{context, metrics, spans};
use tideline_store::{Deed, OperatorAct, Outcome, Performed, SourceCommand, Store, StoreError};
use tracing::Instrument;

/// A job to enqueue, identified by (kind, key); enqueueing the same args again does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// Which handler runs it.
    pub kind: String,
    /// Unique within its kind, 1 to 512 bytes.
    pub key: String,
    /// JSON text for the handler.
    pub args: String,
    /// Not before this moment; none: now.
    pub due_at: Option<Timestamp>,
    /// Why.
    pub trigger: Trigger,
}

impl JobSpec {
    /// A job that is due now, requested by a program.
    ///
    /// # Errors
    /// The args are not JSON.
    pub fn new(
        kind: impl Into<String>,
        key: impl Into<String>,
        args: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: kind.into(),
            key: key.into(),
            args: serde_json::to_string(args)?,
            due_at: None,
            trigger: Trigger::Manual,
        })
    }
}

/// Why some or all jobs were not enqueued. Enqueueing all of them again is harmless.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// Kind or key are not allowed; nothing was enqueued.
    #[error("job {kind:?} {key:?} cannot be enqueued: {reason}")]
    Invalid {
        /// Its kind.
        kind: String,
        /// Its key.
        key: String,
        /// Why.
        reason: &'static str,
    },
    /// Args are not JSON; nothing was enqueued.
    #[error("the args of job {kind:?} {key:?} are not valid JSON")]
    Args {
        /// Its kind.
        kind: String,
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: CanonicalError,
    },
    /// The store failed after the first `done` jobs.
    #[error("the store failed after {done} jobs were enqueued")]
    Store {
        /// Number of jobs that are certainly enqueued.
        done: usize,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// Enqueues jobs: a row in the store, then a hint on the queue. Clones share both.
#[derive(Clone)]
pub struct Producer {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
}

impl Producer {
    /// Jobs in one statement.
    pub const BATCH: usize = 1_000;

    /// Maximum length of a key in bytes.
    pub const MAX_KEY_BYTES: usize = 512;

    /// On these backends.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, queue: Arc<dyn Queue>, clock: Arc<dyn Clock>) -> Self {
        Self { store, queue, clock }
    }

    /// Inserts or supersedes the jobs, in their order, and hints at those that are due. A hint that cannot be sent is
    /// logged and counted; the job still runs, later. Returns results in the order of `specs`.
    ///
    /// # Errors
    /// Nothing was enqueued, or (`Store`) only a part.
    pub async fn enqueue(&self, specs: Vec<JobSpec>) -> Result<Vec<Enqueued>, EnqueueError> {
        let now = self.clock.now();
        let jobs = self.new_jobs(specs)?;
        let mut enqueued = Vec::with_capacity(jobs.len());
        for batch in batches(&jobs) {
            let outcomes = self
                .store
                .enqueue(batch, now)
                .await
                .map_err(|source| EnqueueError::Store {
                    done: enqueued.len(),
                    source,
                })?;
            measure(batch, &outcomes);
            self.hint(batch, &outcomes, now).await;
            enqueued.extend(outcomes);
        }
        Ok(enqueued)
    }

    /// The jobs in the store's form, with canonical args and their fingerprints.
    ///
    /// # Errors
    /// Kind, key or args of one are not allowed.
    pub fn new_jobs(&self, specs: Vec<JobSpec>) -> Result<Vec<NewJob>, EnqueueError> {
        let (now, trace) = (self.clock.now(), context::current());
        specs
            .into_iter()
            .map(|spec| job_of(spec, now, trace.as_deref()))
            .collect()
    }

    /// Performs an operator's act and records it, in one transaction of the store; then sends hints and wake-ups to the
    /// affected roles.
    ///
    /// # Errors
    /// The store refused or failed.
    pub async fn perform(&self, act: &OperatorAct) -> Result<Performed, StoreError> {
        let now = self.clock.now();
        let performed = self.store.perform(act, now).await?;
        match (&act.deed, &performed.outcome) {
            (Deed::Enqueue(jobs), Outcome::Enqueued { jobs: enqueued }) => {
                let enqueued: Vec<Enqueued> = enqueued.iter().copied().map(Into::into).collect();
                measure(jobs, &enqueued);
                self.hint(jobs, &enqueued, now).await;
            }
            (
                Deed::CreateToken(_)
                | Deed::RevokeToken(_)
                | Deed::SaveHookSecret { .. }
                | Deed::RevealHookSecret { .. }
                | Deed::PushEntities { .. }
                | Deed::PublishEvents { .. }
                | Deed::VerifyHook { .. }
                | Deed::RegisterHook { .. }
                | Deed::SignIn { .. },
                _,
            ) => {}
            _ => self.queue.wake().await,
        }
        Ok(performed)
    }

    /// Requests a cycle of the source as soon as none is running.
    ///
    /// # Errors
    /// There is no such source, its state does not allow it, or the store failed.
    pub async fn refresh(&self, source: &str, trigger: Trigger) -> Result<(), StoreError> {
        self.command(source, SourceCommand::Refresh(trigger)).await
    }

    /// Executes a command on a source, and wakes the affected roles.
    ///
    /// # Errors
    /// There is no such source, its state does not allow it, or the store failed.
    pub async fn command(&self, source: &str, command: SourceCommand) -> Result<(), StoreError> {
        self.store.command_source(source, command, self.clock.now()).await?;
        self.queue.wake().await;
        Ok(())
    }

    /// Hints at what is due; wakes the schedulers for what becomes due later.
    async fn hint(&self, jobs: &[NewJob], outcomes: &[Enqueued], now: Timestamp) {
        let mut due: BTreeMap<&str, Vec<(JobId, Token)>> = BTreeMap::new();
        let mut later = false;
        for (job, outcome) in jobs.iter().zip(outcomes) {
            if !outcome.claimable || outcome.outcome == EnqueueOutcome::Unchanged {
                continue;
            }
            if job.due_at > now {
                later = true;
            } else {
                due.entry(&job.kind).or_default().push((outcome.job, outcome.token));
            }
        }
        for (kind, jobs) in due {
            let span = spans::publish(kind, jobs.len());
            let sent = self.send(kind, &jobs, context::of(&span)).instrument(span).await;
            let count = jobs.len() as u64;
            match sent {
                Ok(()) => metrics::hints_sent(kind, count),
                Err(error) => {
                    metrics::hints_failed(kind, count);
                    let error = full_text(&error);
                    tracing::warn!(
                        kind,
                        jobs = count,
                        error,
                        "hints not sent; workers claim from the store"
                    );
                }
            }
        }
        if later {
            self.queue.wake().await;
        }
    }

    async fn send(&self, kind: &str, jobs: &[(JobId, Token)], trace: Option<String>) -> Result<(), QueueError> {
        self.queue.publish(&Hint::spread(kind, jobs, trace.as_deref())).await
    }
}

fn job_of(spec: JobSpec, now: Timestamp, trace: Option<&str>) -> Result<NewJob, EnqueueError> {
    let JobSpec {
        kind,
        key,
        args,
        due_at,
        trigger,
    } = spec;
    let reason = if kind.is_empty() {
        Some("the kind is empty")
    } else if OWN_KINDS.contains(&kind.as_str()) {
        Some("the kind is one of Tideline's own; refresh the source, or resync the target, instead")
    } else if kind.contains(char::is_control) || key.contains(char::is_control) {
        Some("kind and key take no control characters")
    } else if key.is_empty() {
        Some("the key is empty")
    } else if key.len() > Producer::MAX_KEY_BYTES {
        Some("the key is longer than 512 bytes")
    } else {
        None
    };
    if let Some(reason) = reason {
        return Err(EnqueueError::Invalid { kind, key, reason });
    }
    let args = match canonical_json(&args) {
        Ok(canonical) => canonical,
        Err(source) => return Err(EnqueueError::Args { kind, key, source }),
    };
    Ok(NewJob {
        fingerprint: fingerprint(args.as_bytes()),
        kind,
        key,
        args,
        due_at: due_at.unwrap_or(now),
        trigger,
        trace: trace.map(str::to_owned),
    })
}

/// Batches of at most [`Producer::BATCH`] in which no (kind, key) occurs twice: a second one supersedes the first, in
/// its own batch.
fn batches(jobs: &[NewJob]) -> Vec<&[NewJob]> {
    let mut batches = Vec::new();
    let mut names = HashSet::new();
    let mut start = 0;
    for (index, job) in jobs.iter().enumerate() {
        let name = (job.kind.as_str(), job.key.as_str());
        if names.len() == Producer::BATCH || names.contains(&name) {
            batches.push(&jobs[start..index]);
            names.clear();
            start = index;
        }
        names.insert(name);
    }
    if start < jobs.len() {
        batches.push(&jobs[start..]);
    }
    batches
}

fn measure(jobs: &[NewJob], outcomes: &[Enqueued]) {
    let mut counts: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let outcome = match outcome.outcome {
            EnqueueOutcome::Inserted => "inserted",
            EnqueueOutcome::Superseded => "superseded",
            EnqueueOutcome::Unchanged => "unchanged",
        };
        *counts.entry((&job.kind, outcome)).or_default() += 1;
    }
    for ((kind, outcome), count) in counts {
        metrics::enqueued(kind, outcome, count);
    }
}

#[cfg(test)]
#[path = "enqueue_tests.rs"]
mod tests;
