//! The spans, made in one place so that names and attributes stay the same everywhere. They are inert without
//! telemetry.

use tracing::{Span, field, info_span};

use super::context;
use super::names::{SCOPE, attribute, span};
use tideline_core::words::{ClaimedJob, CycleNumber};
use tideline_store::StartedCycle;

/// Sending hints of one kind for a number of jobs.
#[must_use]
pub fn publish(kind: &str, jobs: usize) -> Span {
    info_span!(
        span::PUBLISH,
        otel.name = format!("{} {kind}", span::PUBLISH),
        otel.kind = "producer",
        { attribute::MESSAGING_SYSTEM } = SCOPE,
        { attribute::MESSAGING_OPERATION } = "publish",
        { attribute::MESSAGING_OPERATION_TYPE } = "send",
        { attribute::MESSAGING_DESTINATION } = kind,
        { attribute::MESSAGING_BATCH_COUNT } = jobs,
    )
}

/// The start of a cycle: a trace of its own, and the creation that the bursts of the cycle are linked to.
#[must_use]
pub fn start_cycle(cycle: &StartedCycle) -> Span {
    info_span!(
        parent: None,
        span::START_CYCLE,
        otel.kind = "producer",
        { attribute::MESSAGING_SYSTEM } = SCOPE,
        { attribute::MESSAGING_OPERATION } = "start",
        { attribute::MESSAGING_OPERATION_TYPE } = "create",
        { attribute::MESSAGING_DESTINATION } = "ingest",
        { attribute::MESSAGING_MESSAGE_ID } = cycle.root.0,
        { attribute::SOURCE } = cycle.source_name,
        { attribute::CYCLE } = cycle.number.0,
    )
}

/// One attempt of a job (a burst): a trace of its own, linked to the job's creation (of a partition, the start of its
/// cycle) and to the burst before it, since bursts of one partition may be days apart.
#[must_use]
pub fn process(job: &ClaimedJob, previous: Option<&str>) -> Span {
    let process = info_span!(
        parent: None,
        span::PROCESS,
        otel.name = format!("{} {}", span::PROCESS, job.kind),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        { attribute::MESSAGING_SYSTEM } = SCOPE,
        { attribute::MESSAGING_OPERATION } = "process",
        { attribute::MESSAGING_OPERATION_TYPE } = "process",
        { attribute::MESSAGING_DESTINATION } = job.kind,
        { attribute::MESSAGING_MESSAGE_ID } = job.id.0,
        { attribute::KEY } = job.key,
        { attribute::TOKEN } = job.token.0,
        { attribute::ATTEMPT } = job.attempt,
        { attribute::RUNG } = job.rung,
        { attribute::PARTITION } = job.source.map(|_| job.key.as_str()),
        { attribute::CYCLE } = job.cycle.map(|cycle| cycle.0),
        { attribute::OUTCOME } = field::Empty,
        { attribute::ERROR_TYPE } = field::Empty,
    );
    context::link(&process, job.trace.as_deref());
    context::link(&process, previous);
    process
}

/// Turning changes of the catalog into jobs of a target: a trace of its own, linked to the bursts that wrote the
/// changes (their `traceparent`s); the attempts of these jobs link to it.
#[must_use]
pub fn follow(target: &str, kind: &str, jobs: usize, bursts: &[String]) -> Span {
    let follow = info_span!(
        parent: None,
        span::FOLLOW,
        otel.name = format!("{} {target}", span::FOLLOW),
        otel.kind = "producer",
        { attribute::MESSAGING_SYSTEM } = SCOPE,
        { attribute::MESSAGING_OPERATION } = "follow",
        { attribute::MESSAGING_OPERATION_TYPE } = "create",
        { attribute::MESSAGING_DESTINATION } = kind,
        { attribute::MESSAGING_BATCH_COUNT } = jobs,
        { attribute::TARGET } = target,
    );
    bursts.iter().for_each(|burst| context::link(&follow, Some(burst)));
    follow
}

/// Notes on a span of [`process`] how the attempt ended; `failure` is the class of the error, if there was one.
pub fn ended(process: &Span, outcome: &'static str, failure: Option<&'static str>) {
    process.record(attribute::OUTCOME, outcome);
    if let Some(class) = failure {
        process.record(attribute::ERROR_TYPE, class);
        process.record("otel.status_code", "ERROR");
    }
}

/// Fetching one page.
#[must_use]
pub fn fetch_page(source: &str, cycle: CycleNumber, page: u32) -> Span {
    info_span!(
        span::FETCH_PAGE,
        otel.kind = "client",
        { attribute::SOURCE } = source,
        { attribute::CYCLE } = cycle.0,
        { attribute::PAGE } = page,
    )
}

/// Committing pages from index `page` on.
#[must_use]
pub fn commit_pages(source: &str, page: u32, pages: usize) -> Span {
    info_span!(
        span::COMMIT_PAGES,
        { attribute::SOURCE } = source,
        { attribute::PAGE } = page,
        { attribute::MESSAGING_BATCH_COUNT } = pages,
    )
}

/// Settling a number of attempts.
#[must_use]
pub fn settle(attempts: usize) -> Span {
    info_span!(
        span::SETTLE,
        otel.kind = "client",
        { attribute::MESSAGING_SYSTEM } = SCOPE,
        { attribute::MESSAGING_OPERATION } = "settle",
        { attribute::MESSAGING_OPERATION_TYPE } = "settle",
        { attribute::MESSAGING_BATCH_COUNT } = attempts,
    )
}
