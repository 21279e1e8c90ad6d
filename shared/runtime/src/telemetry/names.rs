//! Every name that telemetry uses. Spans and attributes follow the OpenTelemetry semantic conventions for messaging
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>); what they do not name begins with
//! `tideline.`.

/// Name of the meter and the tracer.
pub const SCOPE: &str = "tideline";

/// Attributes of spans and metrics.
pub mod attribute {
    /// Always `tideline`.
    pub const MESSAGING_SYSTEM: &str = "messaging.system";
    /// `start`, `publish`, `receive`, `process`, `settle`.
    pub const MESSAGING_OPERATION: &str = "messaging.operation.name";
    /// `create`, `send`, `receive`, `process`, `settle`.
    pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
    /// The kind of the jobs.
    pub const MESSAGING_DESTINATION: &str = "messaging.destination.name";
    /// The job's number.
    pub const MESSAGING_MESSAGE_ID: &str = "messaging.message.id";
    /// Jobs in a batch.
    pub const MESSAGING_BATCH_COUNT: &str = "messaging.batch.message_count";
    /// What went wrong, from a closed list.
    pub const ERROR_TYPE: &str = "error.type";

    /// The job's key, unique within its kind.
    pub const KEY: &str = "tideline.job.key";
    /// The job's fencing token.
    pub const TOKEN: &str = "tideline.job.token";
    /// The attempt of the job, 1 for the first.
    pub const ATTEMPT: &str = "tideline.job.attempt";
    /// Name of the source.
    pub const SOURCE: &str = "tideline.source";
    /// Number of the cycle.
    pub const CYCLE: &str = "tideline.cycle";
    /// Key of the partition.
    pub const PARTITION: &str = "tideline.partition";
    /// Index of the page within its partition.
    pub const PAGE: &str = "tideline.page";
    /// How something ended.
    pub const OUTCOME: &str = "tideline.outcome";
    /// Class of an answer: `ok`, `not_modified`, `transient`, `permanent`, `config`.
    pub const CLASS: &str = "tideline.class";
    /// Place on the ladder.
    pub const RUNG: &str = "tideline.rung";
    /// The act on the store that was refused.
    pub const ACT: &str = "tideline.act";
    /// Which backend.
    pub const BACKEND: &str = "tideline.backend";
    /// Name of the hook.
    pub const HOOK: &str = "tideline.hook";
    /// Name of the subscription.
    pub const SUBSCRIPTION: &str = "tideline.subscription";
    /// Name of the target.
    pub const TARGET: &str = "tideline.target";
}

/// Names of the spans.
pub mod span {
    /// Starting a cycle.
    pub const START_CYCLE: &str = "start cycle";
    /// Sending hints.
    pub const PUBLISH: &str = "publish";
    /// One attempt of a job: of an ingest job, a burst.
    pub const PROCESS: &str = "process";
    /// Fetching one page from a source.
    pub const FETCH_PAGE: &str = "fetch page";
    /// Committing pages.
    pub const COMMIT_PAGES: &str = "commit pages";
    /// Turning changes of the catalog into jobs of a target.
    pub const FOLLOW: &str = "follow";
    /// Ending attempts.
    pub const SETTLE: &str = "settle";
}

/// Names of the metrics.
pub mod metric {
    /// From due to claimed.
    pub const DUE_LAG: &str = "tideline.job.due_lag";
    /// Attempts, by outcome.
    pub const ATTEMPTS: &str = "tideline.job.attempts";
    /// Jobs enqueued, by result.
    pub const ENQUEUED: &str = "tideline.job.enqueued";
    /// Place on the ladder.
    pub const RUNG: &str = "tideline.job.rung";
    /// Jobs rescued from dead workers.
    pub const RESCUED: &str = "tideline.job.rescued";
    /// How late cycles start.
    pub const SCHEDULE_LATENESS: &str = "tideline.schedule.lateness";
    /// Cycles, by outcome.
    pub const CYCLES: &str = "tideline.cycles";
    /// Entities that differed from their source although no event had told of it.
    pub const DRIFT: &str = "tideline.drift";
    /// How long bursts take.
    pub const BURST_DURATION: &str = "tideline.burst.duration";
    /// Failed attempts to read a partition.
    pub const PARTITION_FAILURES: &str = "tideline.partition.failures";
    /// Pages committed.
    pub const PAGES: &str = "tideline.pages";
    /// Entities by outcome.
    pub const ENTITIES: &str = "tideline.entities";
    /// How long requests to sources take, by class of the answer.
    pub const SOURCE_REQUESTS: &str = "tideline.source.request.duration";
    /// Sweeps held for approval.
    pub const HELD_SWEEPS: &str = "tideline.sweeps.held";
    /// Leases that were lost while the work went on.
    pub const LEASES_LOST: &str = "tideline.leases.lost";
    /// Writes rejected by the fence.
    pub const FENCED_WRITES: &str = "tideline.fenced_writes.refused";
    /// Hints sent.
    pub const HINTS_SENT: &str = "tideline.hints.sent";
    /// Jobs whose hint was sent again.
    pub const HINTS_RESENT: &str = "tideline.hints.resent";
    /// Hints that could not be sent.
    pub const HINTS_FAILED: &str = "tideline.hints.failed";
    /// 1 while hints do not flow.
    pub const QUEUE_DEGRADED: &str = "tideline.queue.degraded";
    /// Waiting jobs that are due.
    pub const DUE_JOBS: &str = "tideline.jobs.due";
    /// How long the oldest due job has been due.
    pub const OLDEST_DUE_AGE: &str = "tideline.jobs.oldest_due_age";
    /// Jobs running on a worker.
    pub const RUNNING_JOBS: &str = "tideline.jobs.running";
    /// Parked jobs.
    pub const PARKED_JOBS: &str = "tideline.jobs.parked";
    /// How long webhooks take, by hook and what became of them.
    pub const HOOK_REQUESTS: &str = "tideline.hook.request.duration";
    /// Live entities of a source.
    pub const SOURCE_ENTITIES: &str = "tideline.source.entities";
    /// How long the newest complete cycle of a source is ago.
    pub const SOURCE_CYCLE_AGE: &str = "tideline.source.cycle_age";
    /// 1 while a source is blocked.
    pub const SOURCE_BLOCKED: &str = "tideline.source.blocked";
    /// Events that a subscription has not looked at.
    pub const SUBSCRIPTION_LAG: &str = "tideline.subscription.lag";
    /// How long jobs of a target take, by how they ended.
    pub const TARGET_JOBS: &str = "tideline.target.job.duration";
    /// How long requests to a target take, by class of the answer.
    pub const TARGET_REQUESTS: &str = "tideline.target.request.duration";
    /// Changes that a target has not followed.
    pub const TARGET_LAG: &str = "tideline.target.lag";
    /// Entities that a target could not be brought in step with.
    pub const TARGET_FAILING: &str = "tideline.target.failing";
    /// Objects that a target owns in its external system.
    pub const TARGET_OBJECTS: &str = "tideline.target.objects";
    /// 1 while nothing is sent to a target, because it cannot be reached.
    pub const TARGET_HELD: &str = "tideline.target.held";
    /// Events that a subscription gave up.
    pub const DEAD_LETTERS: &str = "tideline.subscription.dead_letters";
    /// Events of a subscription that were handed out more than once.
    pub const REDELIVERED: &str = "tideline.subscription.redelivered";
}
