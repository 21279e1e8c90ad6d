//! One test per sentence.

use crate::words::*;

use super::{Facts, Why, why};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const LATER: Timestamp = Timestamp(1_700_000_060_000);
const EARLIER: Timestamp = Timestamp(1_699_999_940_000);

fn source(change: impl FnOnce(&mut SourceRecord)) -> SourceRecord {
    let mut source = SourceRecord {
        id: SourceId(1),
        name: "platform".into(),
        source_type: "http".into(),
        state: SourceState::Active,
        blocked_reason: None,
        cycle: CycleNumber(3),
        cycle_ended_at: None,
        next_cycle_at: None,
        requested: None,
        hold_until: None,
        entities: 2_000,
        held: None,
    };
    change(&mut source);
    source
}

fn cycle(state: CycleState) -> CycleRecord {
    CycleRecord {
        source: SourceId(1),
        number: CycleNumber(3),
        state,
        trigger: Trigger::Schedule,
        started_at: EARLIER,
        ended_at: None,
        reason: None,
        totals: CycleTotals {
            partitions: 205,
            partitions_done: 40,
            removed: 12,
            ..CycleTotals::default()
        },
    }
}

fn job(change: impl FnOnce(&mut JobRecord)) -> JobRecord {
    let mut job = JobRecord {
        id: JobId(7),
        kind: "ingest".into(),
        key: "platform/projects/acme".into(),
        state: JobState::Waiting,
        due_at: Some(NOW),
        attempt: 0,
        rung: 0,
        token: Token(4),
        worker: None,
        leased_until: None,
        last_error: None,
        trigger: Trigger::Schedule,
        args: "{}".into(),
        cursor: None,
        progress: None,
        trace: None,
        source: Some("platform".into()),
        cycle: Some(CycleNumber(3)),
        created_at: EARLIER,
        updated_at: EARLIER,
    };
    change(&mut job);
    job
}

fn of_source(source: &SourceRecord, cycle: Option<&CycleRecord>, partitions: &[JobRecord]) -> String {
    why(
        Facts::Source {
            source,
            cycle,
            partitions,
        },
        NOW,
    )
    .to_string()
}

fn of_job(job: &JobRecord, source: &SourceRecord) -> String {
    why(
        Facts::Job {
            job,
            source: Some(source),
        },
        NOW,
    )
    .to_string()
}

fn held(approved: bool) -> HeldSweep {
    HeldSweep {
        cycle: CycleNumber(3),
        reason: "would delete 37.0 % (740 of 2000), more than 20 %".into(),
        would_remove: 740,
        owned: 2_000,
        held_at: EARLIER,
        since_cycle: None,
        approved,
    }
}

#[test]
fn a_source_before_its_first_cycle_is_not_due_yet() {
    let text = of_source(&source(|s| s.next_cycle_at = Some(LATER)), None, &[]);
    assert_eq!(text, "not due until 2023-11-14T22:14:20.000Z");
}

#[test]
fn a_source_between_two_cycles_is_resting() {
    let text = of_source(
        &source(|s| s.next_cycle_at = Some(LATER)),
        Some(&cycle(CycleState::Complete)),
        &[],
    );
    assert_eq!(text, "resting until 2023-11-14T22:14:20.000Z, after cycle 3");
}

#[test]
fn a_source_between_two_cycles_says_what_holds_up_removals() {
    let mut ended = cycle(CycleState::Complete);
    let reason = "1 malformed item has no name: up to 12 entities that it may own were kept";
    ended.reason = Some(reason.into());
    let resting = source(|s| s.next_cycle_at = Some(LATER));
    let text = of_source(&resting, Some(&ended), &[]);
    assert_eq!(
        text,
        format!("resting until 2023-11-14T22:14:20.000Z, after cycle 3: {reason}")
    );
    ended.state = CycleState::Held;
    let decided = of_source(&resting, Some(&ended), &[]);
    assert!(decided.ends_with("after cycle 3"), "{decided}");
}

#[test]
fn a_source_whose_cycle_did_not_complete_says_when_a_fresh_one_starts_and_why() {
    let mut ended = cycle(CycleState::Cancelled);
    ended.reason = Some("the last rung failed too".into());
    let text = of_source(&source(|s| s.next_cycle_at = Some(LATER)), Some(&ended), &[]);
    assert_eq!(
        text,
        "starts a fresh cycle at 2023-11-14T22:14:20.000Z: cycle 3 did not complete: the last rung failed too"
    );
}

#[test]
fn a_held_sweep_says_how_much_it_would_delete() {
    let text = of_source(
        &source(|s| {
            s.held = Some(held(false));
            s.next_cycle_at = Some(LATER);
        }),
        Some(&cycle(CycleState::Held)),
        &[],
    );
    assert_eq!(
        text,
        "held for approval since cycle 3: would delete 37.0 % (740 of 2000), more than 20 %"
    );
}

#[test]
fn an_approved_sweep_waits_for_the_end_of_the_running_cycle() {
    let text = of_source(
        &source(|s| s.held = Some(held(true))),
        Some(&cycle(CycleState::Bursting)),
        &[],
    );
    assert_eq!(
        text,
        "approved: up to 740 entities will be deleted at the end of cycle 3"
    );
}

#[test]
fn a_paused_source_says_so() {
    assert_eq!(
        of_source(&source(|s| s.state = SourceState::Paused), None, &[]),
        "paused by an operator"
    );
}

#[test]
fn a_blocked_source_says_why() {
    let blocked = source(|s| {
        s.state = SourceState::Blocked;
        s.blocked_reason = Some("the token was refused (401)".into());
    });
    assert_eq!(of_source(&blocked, None, &[]), "blocked: the token was refused (401)");
}

#[test]
fn an_orphaned_source_says_what_stays() {
    let text = of_source(&source(|s| s.state = SourceState::Orphaned), None, &[]);
    assert!(
        text.starts_with("orphaned: no longer in the configuration; its 2,000 entities stay"),
        "{text}"
    );
}

#[test]
fn a_source_that_asked_for_patience_is_held_back() {
    let text = of_source(
        &source(|s| s.hold_until = Some(LATER)),
        Some(&cycle(CycleState::Bursting)),
        &[job(|_| {})],
    );
    assert_eq!(text, "rate-limited by the source until 2023-11-14T22:14:20.000Z");
}

#[test]
fn a_source_whose_only_open_partition_failed_is_on_its_rung() {
    let failed = job(|j| {
        j.rung = 3;
        j.due_at = Some(LATER);
        j.last_error = Some("500 Internal Server Error".into());
    });
    let text = of_source(&source(|_| {}), Some(&cycle(CycleState::Bursting)), &[failed]);
    assert_eq!(
        text,
        "backing off until 2023-11-14T22:14:20.000Z (rung 3 of its `backoff`): 500 Internal Server Error"
    );
}

#[test]
fn a_source_at_work_counts_its_partitions() {
    let busy = job(|j| {
        j.state = JobState::Running;
        j.worker = Some(WorkerId("host/1".into()));
    });
    let waits = job(|j| {
        j.rung = 1;
        j.due_at = Some(LATER);
    });
    let text = of_source(&source(|_| {}), Some(&cycle(CycleState::Bursting)), &[waits, busy]);
    assert_eq!(text, "reading: cycle 3, 40 of 205 partitions finished so far");
}

#[test]
fn a_source_with_a_parked_partition_says_that_its_cycle_will_not_sweep() {
    let parked = job(|j| {
        j.state = JobState::Parked;
        j.last_error = Some("it answered HTML".into());
    });
    let text = of_source(&source(|_| {}), Some(&cycle(CycleState::Bursting)), &[parked]);
    assert!(
        text.contains("without a sweep") && text.contains("job 7 is parked: it answered HTML"),
        "{text}"
    );
}

#[test]
fn a_sweeping_source_counts_what_it_deleted() {
    let text = of_source(&source(|_| {}), Some(&cycle(CycleState::Sweeping)), &[]);
    assert_eq!(text, "sweeping: cycle 3, 12 entities deleted so far");
}

#[test]
fn a_requested_cycle_says_who_asked() {
    let text = of_source(
        &source(|s| s.requested = Some(Trigger::Manual)),
        Some(&cycle(CycleState::Complete)),
        &[],
    );
    assert!(text.starts_with("a cycle was requested (manual)"), "{text}");
}

#[test]
fn a_source_whose_rest_is_over_is_due() {
    let text = of_source(&source(|s| s.next_cycle_at = Some(EARLIER)), None, &[]);
    assert!(
        text.starts_with("its next cycle is due since 2023-11-14T22:12:20.000Z"),
        "{text}"
    );
}

#[test]
fn a_source_without_a_plan_says_so() {
    assert!(of_source(&source(|_| {}), None, &[]).starts_with("no cycle is planned"));
}

#[test]
fn a_waiting_job_is_not_due_yet() {
    let text = of_job(&job(|j| j.due_at = Some(LATER)), &source(|_| {}));
    assert_eq!(text, "not due until 2023-11-14T22:14:20.000Z");
}

#[test]
fn a_due_job_waits_for_a_worker() {
    assert!(of_job(&job(|_| {}), &source(|_| {})).starts_with("due since 2023-11-14T22:13:20.000Z"));
}

#[test]
fn a_postponed_job_says_what_it_was_put_back_for() {
    let put_back = job(|j| {
        j.due_at = Some(LATER);
        j.last_error = Some("the source is held back".into());
    });
    assert_eq!(
        of_job(&put_back, &source(|_| {})),
        "postponed until 2023-11-14T22:14:20.000Z, not because of a failure: the source is held back"
    );
}

#[test]
fn a_running_job_names_its_worker() {
    let running = job(|j| {
        j.state = JobState::Running;
        j.worker = Some(WorkerId("host/1".into()));
        j.leased_until = Some(LATER);
    });
    assert_eq!(
        of_job(&running, &source(|_| {})),
        "running on worker host/1, lease valid until 2023-11-14T22:14:20.000Z"
    );
}

#[test]
fn a_running_job_of_a_silent_worker_says_so() {
    let lost = job(|j| {
        j.state = JobState::Running;
        j.worker = Some(WorkerId("host/1".into()));
        j.leased_until = Some(EARLIER);
    });
    assert!(
        of_job(&lost, &source(|_| {})).starts_with("the lease of worker host/1 expired at 2023-11-14T22:12:20.000Z")
    );
}

#[test]
fn a_partition_without_a_due_time_waits_for_a_place() {
    assert!(of_job(&job(|j| j.due_at = None), &source(|_| {})).starts_with("waiting for a free slot"));
}

#[test]
fn a_job_of_a_source_that_runs_nothing_says_what_holds_the_source() {
    let waiting = job(|_| {});
    let state = |state| source(move |s| s.state = state);
    assert_eq!(
        of_job(&waiting, &state(SourceState::Paused)),
        "its source platform is paused by an operator"
    );
    assert!(of_job(&waiting, &state(SourceState::Blocked)).starts_with("its source platform is blocked: "));
    assert!(of_job(&waiting, &state(SourceState::Orphaned)).starts_with("its source platform is orphaned"));
    let held_back = source(|s| s.hold_until = Some(LATER));
    assert!(of_job(&waiting, &held_back).starts_with("rate-limited by the source until "));
}

#[test]
fn a_job_that_is_at_an_end_says_which() {
    let ended = |state, error: Option<&str>| {
        job(|j| {
            j.state = state;
            j.last_error = error.map(str::to_owned);
        })
    };
    let text = |state, error| of_job(&ended(state, error), &source(|_| {}));
    assert_eq!(text(JobState::Done, None), "done at 2023-11-14T22:12:20.000Z");
    assert_eq!(
        text(JobState::Parked, Some("it answered HTML")),
        "parked: it answered HTML"
    );
    assert_eq!(
        text(JobState::Cancelled, Some("the last rung")),
        "cancelled: the last rung"
    );
}

#[test]
fn programs_get_the_code_of_the_sentence_and_its_values_with_rfc_3339_times() {
    let why = Why::OnRung {
        rung: 3,
        until: LATER,
        error: None,
    };
    let value = serde_json::to_value(&why).unwrap();
    assert_eq!(
        value,
        serde_json::json!({"code": "on_rung", "rung": 3, "until": "2023-11-14T22:14:20.000Z", "error": null})
    );
    assert_eq!(serde_json::from_value::<Why>(value).unwrap(), why);
}

#[test]
fn a_due_job_of_a_kind_that_no_worker_has_by_itself_says_that_it_needs_one() {
    let foreign = job(|job| job.kind = "mail".into());
    let said = |job: &JobRecord| why(Facts::Job { job, source: None }, LATER).to_string();
    let text = said(&foreign);
    assert!(text.ends_with("will run it, if one runs jobs of kind mail"), "{text}");
    for kind in ["ingest", REFRESH_KIND, MICROCKS_KIND, HTTP_TARGET_KIND] {
        let own = job(|job| job.kind = kind.into());
        let text = said(&own);
        assert!(text.ends_with("the next free worker will run it"), "{text}");
    }
}
