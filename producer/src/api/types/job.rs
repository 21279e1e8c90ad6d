use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tideline_core::rules::scrub_urls;
use tideline_core::words::{CycleNumber, EnqueueOutcome, JobId, JobRecord, JobState, MalformedRecord, Token, Trigger};
use tideline_store::EnqueuedJob;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::{Time, raw, words};

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its number.
    #[schema(value_type = i64)]
    pub id: JobId,
    /// Which handler runs it.
    pub kind: String,
    /// Its name within the kind.
    pub key: String,
    /// Where it stands.
    #[schema(value_type = words::JobState)]
    pub state: JobState,
    /// When it runs next, if it waits; null: it waits for a place.
    pub due_at: Option<Time>,
    /// Attempts since it was enqueued or last succeeded.
    pub attempt: u32,
    /// Place on the ladder of waits.
    pub rung: u32,
    /// Claims so far.
    #[schema(value_type = i64)]
    pub token: Token,
    /// The worker that runs it.
    pub worker: Option<String>,
    /// When that worker's lease expires.
    pub leased_until: Option<Time>,
    /// Full text of the last failure.
    pub last_error: Option<String>,
    /// Why it started.
    #[schema(value_type = words::Trigger)]
    pub trigger: Trigger,
    /// For its handler.
    #[schema(value_type = serde_json::Value)]
    pub args: Box<RawValue>,
    /// Where the last attempt stopped.
    #[schema(value_type = Option<serde_json::Value>)]
    pub cursor: Option<Box<RawValue>>,
    /// What its handler keeps besides the cursor.
    #[schema(value_type = Option<serde_json::Value>)]
    pub progress: Option<Box<RawValue>>,
    /// W3C `traceparent` of its creation.
    pub trace: Option<String>,
    /// The source that it reads, as a part of a cycle or because of an event.
    pub source: Option<String>,
    /// The cycle it belongs to.
    #[schema(value_type = Option<i64>)]
    pub cycle: Option<CycleNumber>,
    /// When it was first enqueued.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl TryFrom<JobRecord> for Job {
    type Error = Problem;

    fn try_from(job: JobRecord) -> Result<Self, Problem> {
        let source = job.source_name().map(str::to_owned);
        Ok(Self {
            id: job.id,
            kind: job.kind,
            key: job.key,
            state: job.state,
            due_at: job.due_at.map(Time),
            attempt: job.attempt,
            rung: job.rung,
            token: job.token,
            worker: job.worker.map(|worker| worker.0),
            leased_until: job.leased_until.map(Time),
            last_error: job.last_error,
            trigger: job.trigger,
            args: raw(job.args)?,
            // It may hold a signed URL.
            cursor: job.cursor.as_deref().map(scrub_urls).map(raw).transpose()?,
            progress: job.progress.map(raw).transpose()?,
            trace: job.trace,
            source,
            cycle: job.cycle,
            created_at: Time(job.created_at),
            updated_at: Time(job.updated_at),
        })
    }
}

/// A job to enqueue. Kind and key identify it; enqueueing the same args again does nothing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// Which handler runs it.
    pub kind: String,
    /// Unique within its kind, 1 to 512 bytes.
    pub key: String,
    /// For the handler.
    #[serde(default = "no_args")]
    #[schema(value_type = serde_json::Value)]
    pub args: Box<RawValue>,
    /// Not before this moment; absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
}

fn no_args() -> Box<RawValue> {
    serde_json::value::to_raw_value(&serde_json::Map::new()).unwrap_or_default()
}

/// Jobs to enqueue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enqueue {
    /// 1 to 1,000, no (kind, key) twice.
    pub jobs: Vec<NewJob>,
}

/// What enqueueing did to each job, in the order of the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnqueueAnswer {
    /// One for each job.
    pub jobs: Vec<Enqueued>,
}

/// What enqueueing did to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Enqueued {
    /// Its number.
    #[schema(value_type = i64)]
    pub id: JobId,
    /// What happened.
    #[schema(value_type = words::EnqueueOutcome)]
    pub outcome: EnqueueOutcome,
}

impl From<EnqueuedJob> for Enqueued {
    fn from(enqueued: EnqueuedJob) -> Self {
        Self {
            id: enqueued.job,
            outcome: enqueued.outcome,
        }
    }
}

/// An item that could not become an entity. It is exempt from the sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Malformed {
    /// The source.
    pub source: String,
    /// The cycle that found it.
    #[schema(value_type = i64)]
    pub cycle: CycleNumber,
    /// The partition.
    pub partition: String,
    /// The page within the partition, from 0.
    pub page: u32,
    /// The entity it would be, if that much is known.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// What is wrong.
    pub error: String,
    /// The beginning of the item.
    pub sample: String,
    /// When it was found.
    pub seen_at: Time,
}

impl From<MalformedRecord> for Malformed {
    fn from(record: MalformedRecord) -> Self {
        Self {
            source: record.source,
            cycle: record.cycle,
            partition: record.partition,
            page: record.page,
            reference: record.item.reference.map(|reference| reference.to_string()),
            error: record.item.error,
            sample: record.item.sample,
            seen_at: Time(record.seen_at),
        }
    }
}
