//! The page of a source: acts, a held sweep, a plan.

use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::{
    CheckRecord, CycleEnd, CycleState, DriftDifference, DriftKind, DriftTotals, Role, Settlement, Timestamp,
};
use tideline_store::conformance::entities;

use super::{Bench, EVIL, bench, bench_with_settings, first_reader, settings, somebody, spec};

#[tokio::test]
async fn acts_of_the_dashboard_are_in_the_audit_log_with_who_and_why() {
    let bench = bench().await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    let without = bench.post("/sources/s/delete", "reason=").await;
    assert_eq!(without.status, 400, "what deletes needs a reason");
    assert_eq!(
        bench.post("/sources/s/delete", "reason=wrong+%C3%BC+data").await.status,
        303
    );
    let shown = bench.get("/audit?act=sources.reset_and_delete").await;
    assert!(
        shown.html.contains("somebody") && shown.html.contains("wrong ü data"),
        "{}",
        shown.html
    );
}

#[tokio::test]
async fn a_held_sweep_is_approved_with_its_number_and_a_reason() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    let mut root = first_reader(store, now).await;
    root.write(store, entities(0, 4, 1), None, now).await;
    root.settle(store, Settlement::Done, now).await;
    let (source, cycle) = (root.source(), root.cycle());
    let sweeping = CycleEnd {
        state: CycleState::Sweeping,
        reason: None,
        next_cycle_at: None,
    };
    assert!(store.end_cycle(source, cycle, &sweeping, now).await.unwrap());
    let mut plan = store.plan_sweep(source, cycle, 1).await.unwrap().unwrap();
    // As if the four were there before.
    (plan.candidates, plan.fresh) = (3, 0);
    let held = store
        .hold_sweep(source, cycle, plan, "would remove 75 %", None, now)
        .await;
    assert!(held.unwrap());

    let shown = bench.get("/").await;
    assert!(shown.html.contains("would delete 3 entities, 75 %"), "{}", shown.html);
    let shown = bench.get("/sources/s").await;
    for part in [
        "Delete 3 entities",
        "name=\"cycle\" value=\"1\"",
        "name=\"would_remove\" value=\"3\"",
        "Keep them",
    ] {
        assert!(shown.html.contains(part), "{part}: {}", shown.html);
    }
    let approve = async |form: &str| bench.post("/sources/s/approve", form).await.status;
    assert_eq!(approve("cycle=1&would_remove=3").await, 400, "no reason was given");
    assert_eq!(
        approve("cycle=1&would_remove=4&reason=r").await,
        409,
        "another sweep is held by now"
    );
    assert_eq!(approve("cycle=1&would_remove=3&reason=moved+away").await, 303);
    let source = store.find_source("s").await.unwrap().unwrap();
    assert!(source.held.is_none_or(|held| held.approved));
    assert!(bench.get("/audit").await.html.contains("moved away"));
}

#[tokio::test]
async fn a_source_that_cannot_be_planned_here_says_so() {
    let bench = bench().await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    assert!(bench.get("/sources/s/plan").await.html.contains("Make a plan"));
    let refused = bench.post("/sources/s/plan", "").await;
    assert_eq!(refused.status, 404);
    assert!(refused.html.contains("no configuration of sources"), "{}", refused.html);
    assert_eq!(
        bench.get_as(somebody(Role::Read, &[]), "/sources/s/plan").await.status,
        403
    );
}

/// The next cycle of `s` ends so.
async fn ends(bench: &Bench, state: CycleState, reason: &str) {
    let (store, now) = (&bench.store, SystemClock.now());
    let root = first_reader(store, now).await;
    let end = CycleEnd {
        state,
        reason: Some(reason.to_owned()),
        next_cycle_at: Some(now),
    };
    assert!(store.end_cycle(root.source(), root.cycle(), &end, now).await.unwrap());
}

#[tokio::test]
async fn a_source_that_always_fails_needs_a_person_and_wears_no_calm_badge() {
    let bench = bench().await;
    for cycles in 1..=3 {
        ends(&bench, CycleState::Cancelled, "503 <b>").await;
        let shown = bench.get("/").await.html;
        assert_eq!(
            shown.contains("none of its last 3 cycles completed"),
            cycles == 3,
            "{shown}"
        );
        assert!(shown.contains("<span class=\"badge bad\">failing</span>"), "{shown}");
        assert!(
            cycles < 3 || shown.contains("<span class=\"why\">503 &lt;b&gt;</span>"),
            "{shown}"
        );
    }
    let shown = bench.get("/sources/s").await.html;
    assert!(
        shown.contains(">failed</span>") && !shown.contains("cancelled"),
        "{shown}"
    );
    assert_eq!(shown.matches("with the same error").count(), 2, "{shown}");
}

#[tokio::test]
async fn a_source_whose_last_cycle_was_incomplete_says_so_and_one_that_a_person_cancelled_rests() {
    let bench = bench().await;
    ends(&bench, CycleState::Incomplete, "1 of 1 partitions failed: 401").await;
    let shown = bench.get("/").await.html;
    assert!(shown.contains("<span class=\"badge bad\">incomplete</span>"), "{shown}");
    first_reader(&bench.store, SystemClock.now()).await;
    assert_eq!(bench.post("/sources/s/cancel", "").await.status, 303);
    let shown = bench.get("/sources/s").await.html;
    for part in [
        ">resting</span>",
        "<span class=\"badge plain\">cancelled</span>",
        "<p class=\"soft\">cancelled by a person",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("was cancelled") && !shown.contains("failing"), "{shown}");
}

#[tokio::test]
async fn commands_that_need_a_file_are_not_told_where_there_is_none() {
    let mut settings = settings("");
    settings.sources[0].source_type = tideline_config::settings::DEMO.to_owned();
    let bench = bench_with_settings(settings).await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    let plan = bench.get("/sources/s/plan").await.html;
    assert!(
        plan.contains("<code>tideline plan s --server http://127.0.0.1:7070</code>"),
        "{plan}"
    );
    assert!(!bench.get("/operations").await.html.contains("tideline check"));
}

/// The source was checked just now, and this was found.
async fn checked(bench: &Bench, found: u64, failure: Option<&str>) {
    let (store, now) = (&bench.store, SystemClock.now());
    let source = store.find_source("s").await.unwrap().unwrap().id;
    let due = store.next_check(source).await.unwrap();
    store.move_check(source, due, now).await.unwrap();
    let token = store.begin_check(source, now, now).await.unwrap().unwrap();
    let differs = |number| DriftDifference {
        reference: format!("component:default/x{number}").parse().unwrap(),
        drift: DriftKind::Extra,
    };
    let record = CheckRecord {
        began_at: now,
        ended_at: now,
        totals: DriftTotals {
            extra: found,
            ..DriftTotals::default()
        },
        differences: (0..found).map(differs).collect(),
        unconfirmed: 0,
        failure: failure.map(str::to_owned),
    };
    let next = Timestamp(now.0 + 3_600_000);
    assert!(store.end_check(source, token, &record, next).await.unwrap());
}

#[tokio::test]
async fn a_source_shows_what_its_checks_found_and_when_the_next_one_is_due() {
    let bench = bench().await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    assert!(!bench.get("/").await.html.contains("Checked "));
    checked(&bench, 0, None).await;
    for page in ["/", "/sources/s"] {
        let shown = bench.get(page).await.html;
        assert!(shown.contains("nothing differs from the source"), "{page}: {shown}");
    }
    checked(&bench, 3, None).await;
    assert!(bench.get("/").await.html.contains("3 entities differ"));
    let shown = bench.get("/sources/s").await.html;
    for part in [
        "component:default/x2",
        "gone at the source",
        "The next check is due",
        "a check found that 3 entities differ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(
        !shown.contains("drift was found"),
        "it is in the timeline twice: {shown}"
    );
    checked(&bench, 0, Some(EVIL)).await;
    assert!(bench.get("/").await.html.contains("not complete"));
    let shown = bench.get("/sources/s").await.html;
    assert!(
        shown.contains("a check was not complete") && shown.contains("&lt;script&gt;alert(1)"),
        "{shown}"
    );
    assert!(!shown.contains("<script>alert"), "{shown}");
}
