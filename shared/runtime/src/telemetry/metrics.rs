//! The instruments, each behind a function with types. They do nothing until [`install`] was called, which
//! [`init`](super::init) does. Durations are recorded in seconds.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use tideline_core::words::DriftTotals;

use super::names::{attribute, metric};

static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();

/// Bounds of the histograms, in seconds: from one millisecond to ten minutes.
const SECONDS: [f64; 18] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

struct Instruments {
    due_lag: Histogram<f64>,
    schedule_lateness: Histogram<f64>,
    burst_duration: Histogram<f64>,
    source_requests: Histogram<f64>,
    attempts: Counter<u64>,
    enqueued: Counter<u64>,
    rescued: Counter<u64>,
    cycles: Counter<u64>,
    drift: Counter<u64>,
    partition_failures: Counter<u64>,
    pages: Counter<u64>,
    entities: Counter<u64>,
    leases_lost: Counter<u64>,
    fenced_writes: Counter<u64>,
    hints_sent: Counter<u64>,
    hints_resent: Counter<u64>,
    hints_failed: Counter<u64>,
    rung: Gauge<u64>,
    held_sweeps: Gauge<u64>,
    queue_degraded: Gauge<u64>,
    due_jobs: Gauge<u64>,
    oldest_due_age: Gauge<f64>,
    running_jobs: Gauge<u64>,
    parked_jobs: Gauge<u64>,
    hook_requests: Histogram<f64>,
    source_entities: Gauge<u64>,
    source_cycle_age: Gauge<f64>,
    source_blocked: Gauge<u64>,
    subscription_lag: Gauge<u64>,
    dead_letters: Gauge<u64>,
    target_jobs: Histogram<f64>,
    target_requests: Histogram<f64>,
    target_lag: Gauge<u64>,
    target_failing: Gauge<u64>,
    target_objects: Gauge<u64>,
    target_held: Gauge<u64>,
    redelivered: Counter<u64>,
}

impl Instruments {
    fn new(meter: &Meter) -> Self {
        let seconds = |name, text| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_boundaries(SECONDS.to_vec())
                .with_description(text)
                .build()
        };
        let count = |name, text| meter.u64_counter(name).with_description(text).build();
        let gauge = |name, text| meter.u64_gauge(name).with_description(text).build();
        let age = |name, text| meter.f64_gauge(name).with_unit("s").with_description(text).build();
        Self {
            due_lag: seconds(metric::DUE_LAG, "From due to claimed"),
            schedule_lateness: seconds(metric::SCHEDULE_LATENESS, "How late cycles start"),
            burst_duration: seconds(metric::BURST_DURATION, "How long bursts take"),
            source_requests: seconds(metric::SOURCE_REQUESTS, "Requests to sources, by class of the response"),
            attempts: count(metric::ATTEMPTS, "Attempts, by outcome"),
            enqueued: count(metric::ENQUEUED, "Jobs enqueued, by result"),
            rescued: count(metric::RESCUED, "Jobs rescued from dead workers"),
            cycles: count(metric::CYCLES, "Cycles, by outcome"),
            drift: count(
                metric::DRIFT,
                "Entities that differed although no event had reported it",
            ),
            partition_failures: count(metric::PARTITION_FAILURES, "Failed attempts to read a partition"),
            pages: count(metric::PAGES, "Pages committed"),
            entities: count(metric::ENTITIES, "Entities by outcome"),
            leases_lost: count(metric::LEASES_LOST, "Leases lost during work"),
            fenced_writes: count(metric::FENCED_WRITES, "Writes rejected by the fence"),
            hints_sent: count(metric::HINTS_SENT, "Jobs whose hint was sent"),
            hints_resent: count(metric::HINTS_RESENT, "Jobs whose hint was sent again"),
            hints_failed: count(metric::HINTS_FAILED, "Jobs whose hint could not be sent"),
            rung: gauge(metric::RUNG, "Place on the ladder, 0 when all is well"),
            held_sweeps: gauge(metric::HELD_SWEEPS, "Sweeps held for approval"),
            queue_degraded: gauge(metric::QUEUE_DEGRADED, "1 while hints do not flow"),
            due_jobs: gauge(metric::DUE_JOBS, "Waiting jobs that are due"),
            oldest_due_age: age(metric::OLDEST_DUE_AGE, "How long the oldest due job has been due"),
            running_jobs: gauge(metric::RUNNING_JOBS, "Jobs running on a worker"),
            parked_jobs: gauge(metric::PARKED_JOBS, "Parked jobs"),
            hook_requests: seconds(metric::HOOK_REQUESTS, "Webhooks, by outcome"),
            source_entities: gauge(metric::SOURCE_ENTITIES, "Live entities of the source"),
            source_cycle_age: age(metric::SOURCE_CYCLE_AGE, "Time since the latest complete cycle"),
            source_blocked: gauge(metric::SOURCE_BLOCKED, "1 while the source is blocked"),
            subscription_lag: gauge(
                metric::SUBSCRIPTION_LAG,
                "Events that the subscription has not examined",
            ),
            dead_letters: gauge(metric::DEAD_LETTERS, "Dead letters of the subscription"),
            target_jobs: seconds(metric::TARGET_JOBS, "Jobs of targets, by outcome"),
            target_requests: seconds(metric::TARGET_REQUESTS, "Requests to targets, by class of the response"),
            target_lag: gauge(metric::TARGET_LAG, "Changes that the target has not followed"),
            target_failing: gauge(metric::TARGET_FAILING, "Entities for which the target is out of step"),
            target_objects: gauge(metric::TARGET_OBJECTS, "Objects that the target owns"),
            target_held: gauge(metric::TARGET_HELD, "1 while the target cannot be reached"),
            redelivered: count(metric::REDELIVERED, "Events delivered more than once"),
        }
    }
}

/// Makes the instruments. The first call counts.
pub fn install(meter: &Meter) {
    INSTRUMENTS.get_or_init(|| Instruments::new(meter));
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Disables metrics for this thread from now on: it only rehearses.
pub fn silence_thread() {
    SILENT.set(true);
}

fn with(record: impl FnOnce(&Instruments)) {
    if let Some(instruments) = INSTRUMENTS.get().filter(|_| !SILENT.get()) {
        record(instruments);
    }
}

fn text(key: &'static str, value: &str) -> KeyValue {
    KeyValue::new(key, value.to_owned())
}

fn kind_of(kind: &str) -> KeyValue {
    text(attribute::MESSAGING_DESTINATION, kind)
}

/// Records how long after its due time a job of this kind was claimed.
pub fn due_lag(kind: &str, lag: Duration) {
    with(|i| i.due_lag.record(lag.as_secs_f64(), &[kind_of(kind)]));
}

/// Records how late a cycle of the source started, after the end of its rest or its tick.
pub fn schedule_lateness(source: &str, late: Duration) {
    with(|i| {
        i.schedule_lateness
            .record(late.as_secs_f64(), &[text(attribute::SOURCE, source)]);
    });
}

/// A burst ended; `outcome` as in the settlement: `done`, `again`, `retry`, …
pub fn burst(source: &str, outcome: &'static str, took: Duration) {
    with(|i| {
        let attributes = [
            text(attribute::SOURCE, source),
            KeyValue::new(attribute::OUTCOME, outcome),
        ];
        i.burst_duration.record(took.as_secs_f64(), &attributes);
    });
}

/// Attempts ended; `outcome` as in the settlement, or `lease_lost`.
pub fn attempts(kind: &str, outcome: &'static str, count: u64) {
    with(|i| {
        i.attempts
            .add(count, &[kind_of(kind), KeyValue::new(attribute::OUTCOME, outcome)]);
    });
}

/// Jobs were enqueued; `outcome` is `inserted`, `superseded` or `unchanged`.
pub fn enqueued(kind: &str, outcome: &'static str, count: u64) {
    with(|i| {
        i.enqueued
            .add(count, &[kind_of(kind), KeyValue::new(attribute::OUTCOME, outcome)]);
    });
}

/// Jobs were taken back from dead workers.
pub fn rescued(parked: bool, count: u64) {
    let outcome = if parked { "parked" } else { "due" };
    with(|i| i.rescued.add(count, &[KeyValue::new(attribute::OUTCOME, outcome)]));
}

/// A cycle ended; `outcome` is its last state: `complete`, `held`, `incomplete`, `cancelled`.
pub fn cycle_ended(source: &str, outcome: &'static str) {
    with(|i| {
        let attributes = [
            text(attribute::SOURCE, source),
            KeyValue::new(attribute::OUTCOME, outcome),
        ];
        i.cycles.add(1, &attributes);
    });
}

/// Counts entities that a complete cycle or a check found changed without an event, by outcome.
pub fn drift(source: &str, found: DriftTotals) {
    with(|i| {
        for (outcome, count) in [
            ("missing", found.missing),
            ("extra", found.extra),
            ("diverged", found.diverged),
        ] {
            let attributes = [
                text(attribute::SOURCE, source),
                KeyValue::new(attribute::OUTCOME, outcome),
            ];
            i.drift.add(count, &attributes);
        }
    });
}

/// Pages were committed; `outcome` is `written`, `touched` (nothing to write) or `not_modified` (304).
pub fn pages(source: &str, outcome: &'static str, count: u64) {
    with(|i| {
        let attributes = [
            text(attribute::SOURCE, source),
            KeyValue::new(attribute::OUTCOME, outcome),
        ];
        i.pages.add(count, &attributes);
    });
}

/// Entities were committed; `outcome` is `added`, `modified`, `unchanged`, `removed` or `malformed`.
pub fn entities(source: &str, outcome: &'static str, count: u64) {
    if count > 0 {
        with(|i| {
            let attributes = [
                text(attribute::SOURCE, source),
                KeyValue::new(attribute::OUTCOME, outcome),
            ];
            i.entities.add(count, &attributes);
        });
    }
}

/// A source was asked; `class` is `ok`, `not_modified`, `transient`, `permanent` or `config`.
pub fn source_request(source: &str, class: &'static str, took: Duration) {
    with(|i| {
        let attributes = [text(attribute::SOURCE, source), KeyValue::new(attribute::CLASS, class)];
        i.source_requests.record(took.as_secs_f64(), &attributes);
    });
}

/// Reading a partition failed: a workspace, a repository, …; `partition` is its key, empty for the source's own list.
/// Only what fails is counted, and the SDK counts together what exceeds 2,000 of them.
pub fn partition_failed(source: &str, partition: &str) {
    with(|i| {
        let attributes = [text(attribute::SOURCE, source), text(attribute::PARTITION, partition)];
        i.partition_failures.add(1, &attributes);
    });
}

/// The place on the ladder of a source's newest attempt; 0 after a success.
pub fn rung(source: &str, rung: u32) {
    with(|i| i.rung.record(rung.into(), &[text(attribute::SOURCE, source)]));
}

/// Sweeps held for approval.
pub fn held_sweeps(count: u64) {
    with(|i| i.held_sweeps.record(count, &[]));
}

/// A job's lease was lost while the work went on.
pub fn lease_lost(kind: &str) {
    with(|i| i.leases_lost.add(1, &[kind_of(kind)]));
}

/// The fence refused a write; `act` is `commit_pages`, `settle`, `checkpoint`, …
pub fn fenced_write_refused(act: &'static str) {
    with(|i| i.fenced_writes.add(1, &[KeyValue::new(attribute::ACT, act)]));
}

/// Counts jobs whose hints were sent.
pub fn hints_sent(kind: &str, jobs: u64) {
    with(|i| i.hints_sent.add(jobs, &[kind_of(kind)]));
}

/// Counts jobs whose hints were resent because no worker had acted on the first ones.
pub fn hints_resent(kind: &str, jobs: u64) {
    with(|i| i.hints_resent.add(jobs, &[kind_of(kind)]));
}

/// Counts jobs whose hints could not be sent.
pub fn hints_failed(kind: &str, jobs: u64) {
    with(|i| i.hints_failed.add(jobs, &[kind_of(kind)]));
}

/// Whether hints do not flow.
pub fn queue_degraded(degraded: bool) {
    with(|i| i.queue_degraded.record(u64::from(degraded), &[]));
}

/// Waiting jobs that are due, and how long the oldest of them is.
pub fn due_jobs(count: u64, oldest: Duration) {
    with(|i| {
        i.due_jobs.record(count, &[]);
        i.oldest_due_age.record(oldest.as_secs_f64(), &[]);
    });
}

/// Jobs running on a worker, and jobs that wait for a person.
pub fn jobs(running: u64, parked: u64) {
    with(|i| {
        i.running_jobs.record(running, &[]);
        i.parked_jobs.record(parked, &[]);
    });
}

/// A webhook for a hook of the configuration was answered; `outcome` is `stored`, `duplicate`, `unproven`, `refused`
/// (by its method, type or body) or `unavailable` (the sender has to try again).
pub fn hook_request(hook: &str, outcome: &'static str, took: Duration) {
    with(|i| {
        let attributes = [text(attribute::HOOK, hook), KeyValue::new(attribute::OUTCOME, outcome)];
        i.hook_requests.record(took.as_secs_f64(), &attributes);
    });
}

/// The current state of a source: its live entities, and the time since its newest complete cycle.
pub fn source(name: &str, entities: u64, cycle_age: Duration, blocked: bool) {
    with(|i| {
        let attributes = [text(attribute::SOURCE, name)];
        i.source_entities.record(entities, &attributes);
        i.source_cycle_age.record(cycle_age.as_secs_f64(), &attributes);
        i.source_blocked.record(u64::from(blocked), &attributes);
    });
}

/// The current state of a subscription: events that it has not examined, and events that it gave up.
pub fn subscription(name: &str, lag: u64, dead_letters: u64) {
    with(|i| {
        let attributes = [text(attribute::SUBSCRIPTION, name)];
        i.subscription_lag.record(lag, &attributes);
        i.dead_letters.record(dead_letters, &attributes);
    });
}

/// A job of a target ended; `outcome` is `done`, `retry`, `parked`, `postponed` (the target is paused or held back) or
/// `handed_back`.
pub fn target_job(target: &str, outcome: &'static str, took: Duration) {
    with(|i| {
        let attributes = [
            text(attribute::TARGET, target),
            KeyValue::new(attribute::OUTCOME, outcome),
        ];
        i.target_jobs.record(took.as_secs_f64(), &attributes);
    });
}

/// A target was sent a request; `class` is `ok`, `transient` (tried again), `refused` (not tried again) or `outage`
/// (the target is held back).
pub fn target_request(target: &str, class: &'static str, took: Duration) {
    with(|i| {
        let attributes = [text(attribute::TARGET, target), KeyValue::new(attribute::CLASS, class)];
        i.target_requests.record(took.as_secs_f64(), &attributes);
    });
}

/// The current state of a target: changes not followed yet, entities out of sync, objects it owns, and whether it is
/// held back.
pub fn target(name: &str, lag: u64, failing: u64, objects: u64, held: bool) {
    with(|i| {
        let attributes = [text(attribute::TARGET, name)];
        i.target_lag.record(lag, &attributes);
        i.target_failing.record(failing, &attributes);
        i.target_objects.record(objects, &attributes);
        i.target_held.record(u64::from(held), &attributes);
    });
}

/// Counts redelivered events of a subscription: the subscriber may have seen them before.
pub fn redelivered(name: &str, events: u64) {
    if events > 0 {
        with(|i| i.redelivered.add(events, &[text(attribute::SUBSCRIPTION, name)]));
    }
}
