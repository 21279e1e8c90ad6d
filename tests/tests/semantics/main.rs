//! What a cycle does when sources misbehave: ladders, expired cursors, malformed items, guards, holds. Real worker,
//! scheduler and store; the clock moves when the test says so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

mod cursors;
mod partitions;
mod rests;
mod siblings;
mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use stage::{LIMIT, NAME, NEVER, Stage, child, item, page, transient};
use tideline_core::rules::Schedule;
use tideline_core::words::{CycleState, EntityRef, JobRecord, JobState, MalformedItem, SourceState};
use tideline_store::SourceCommand;
use tideline_tests::wait_until;
use tideline_worker::{ErrorClass, Item, Page, PageContent, SourceError};

#[tokio::test]
async fn after_the_last_rung_a_cycle_is_cancelled_without_a_sweep_and_a_fresh_one_starts() -> Result<()> {
    let stage = Stage::start(|_| (), |_| Ok(page(&["a", "b"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    stage.rewrite(|_| Err(transient()));
    stage.refresh().await?;
    for (rung, wait) in [(1, 11), (2, 22)] {
        let job = stage
            .job(NAME, |job| job.state == JobState::Waiting && job.rung == rung)
            .await?;
        assert!(job.last_error.is_some_and(|error| error.contains("not well")));
        stage.advance(wait);
    }
    let cancelled = stage.reaches(2, CycleState::Cancelled).await?;
    assert!(cancelled.reason.is_some_and(|reason| reason.contains("last rung")));
    stage
        .job(NAME, |job| job.cycle.is_some_and(|cycle| cycle.0 == 3) && job.rung == 1)
        .await?;
    assert_eq!(stage.names().await?, ["a", "b"]);
    Ok(())
}

#[tokio::test]
async fn a_success_returns_to_rung_zero() -> Result<()> {
    let failing = Arc::new(AtomicU32::new(1));
    let failures = Arc::clone(&failing);
    let script = move |_| match failures.load(Ordering::SeqCst) {
        0 => Ok(page(&["a"], None)),
        _ => Err(transient()),
    };
    let stage = Stage::start(|_| (), script).await?;
    stage.job(NAME, |job| job.rung == 1).await?;
    failing.store(0, Ordering::SeqCst);
    stage.advance(11);
    stage.reaches(1, CycleState::Complete).await?;
    stage
        .job(NAME, |job| job.rung == 0 && job.state == JobState::Done)
        .await?;
    Ok(())
}

#[tokio::test]
async fn only_failures_in_a_row_climb_the_ladder() -> Result<()> {
    // The source fails after every second page: five times in a cycle, and the ladder has two rungs.
    let mut read = 0;
    let script = move |request: stage::Asked| {
        if read == 2 {
            read = 0;
            return Err(transient());
        }
        read += 1;
        let number = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        Ok(page(&[&format!("e{number}")], (number < 11).then_some(number + 1)))
    };
    let stage = Stage::start(|_| (), script).await?;
    for pages in [2, 4, 6, 8, 10] {
        let cursor = pages.to_string();
        let failed = |job: &JobRecord| job.state == JobState::Waiting && job.cursor.as_deref() == Some(&cursor);
        assert_eq!(stage.job(NAME, failed).await?.rung, 1);
        stage.advance(11);
    }
    let ended = stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(ended.totals.added, 12);
    Ok(())
}

#[tokio::test]
async fn a_last_page_that_got_a_successor_still_leads_there_when_it_is_next_unchanged() -> Result<()> {
    let unchanged = || Page {
        content: PageContent::Unchanged,
        ..page(&[], None)
    };
    let stage = Stage::start(|_| (), |_| Ok(page(&["a", "b"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    stage.rewrite(|request| {
        Ok(match request.cursor {
            None => page(&["a", "b"], Some(1)),
            Some(_) => page(&["c"], None),
        })
    });
    stage.refresh().await?;
    stage.reaches(2, CycleState::Complete).await?;
    assert_eq!(stage.names().await?, ["a", "b", "c"]);
    stage.rewrite(move |_| Ok(unchanged()));
    stage.refresh().await?;
    let ended = stage.reaches(3, CycleState::Complete).await?;
    assert_eq!(stage.names().await?, ["a", "b", "c"]);
    assert_eq!((ended.totals.pages, ended.totals.removed), (2, 0));
    // And back: the successor goes, and the page is the last one again.
    stage.rewrite(|_| Ok(page(&["a", "b"], None)));
    stage.refresh().await?;
    assert_eq!(stage.reaches(4, CycleState::Complete).await?.totals.removed, 1);
    stage.rewrite(move |_| Ok(unchanged()));
    stage.refresh().await?;
    let ended = stage.reaches(5, CycleState::Complete).await?;
    assert_eq!(stage.names().await?, ["a", "b"]);
    assert_eq!(ended.totals.pages, 1);
    Ok(())
}

fn malformed(reference: Option<&str>) -> Item {
    Item::Malformed(MalformedItem {
        reference: reference.map(|name| EntityRef::new("component", "default", name).unwrap()),
        error: "it has no owner".to_owned(),
        sample: "{}".to_owned(),
    })
}

fn with_malformed(reference: Option<&'static str>) -> Page {
    Page {
        content: PageContent::Items(vec![item("a"), malformed(reference)]),
        ..page(&[], None)
    }
}

#[tokio::test]
async fn a_malformed_item_with_a_name_is_kept_and_reported() -> Result<()> {
    let stage = Stage::start(|_| (), |_| Ok(page(&["a", "b", "c"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    stage.rewrite(|_| Ok(with_malformed(Some("b"))));
    stage.refresh().await?;
    let ended = stage.reaches(2, CycleState::Complete).await?;
    assert_eq!(
        stage.names().await?,
        ["a", "b"],
        "b is malformed now, so it stays; c is gone"
    );
    assert_eq!((ended.totals.malformed, ended.totals.removed), (1, 1));
    let reported = stage.store.list_malformed(stage.source().await?.id, 10).await?;
    assert_eq!(reported[0].item.error, "it has no owner");
    Ok(())
}

#[tokio::test]
async fn a_malformed_item_without_a_name_keeps_what_its_partition_owns() -> Result<()> {
    let stage = Stage::start(|_| (), |_| Ok(page(&["a", "b"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    stage.rewrite(|_| Ok(with_malformed(None)));
    stage.refresh().await?;
    let ended = stage.reaches(2, CycleState::Complete).await?;
    assert_eq!(
        ended.reason.as_deref(),
        Some("1 malformed item has no name: 1 entity that it may own was kept")
    );
    assert_eq!(stage.names().await?, ["a", "b"]);
    Ok(())
}

async fn with_a_held_sweep() -> Result<Stage> {
    let guarded = |settings: &mut tideline_config::settings::SourceSettings| {
        settings.guard.reject_above_percent = Some(20.0);
    };
    let stage = Stage::start(guarded, |_| Ok(page(&["a", "b", "c"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    stage.rewrite(|_| Ok(page(&["a"], None)));
    stage.refresh().await?;
    stage.reaches(2, CycleState::Held).await?;
    assert_eq!(stage.names().await?, ["a", "b", "c"]);
    let held = stage.source().await?.held.expect("a held sweep is shown");
    assert_eq!((held.would_remove, held.owned), (2, 3));
    Ok(stage)
}

#[tokio::test]
async fn a_held_sweep_is_done_after_its_approval() -> Result<()> {
    let stage = with_a_held_sweep().await?;
    let held = stage.source().await?.held.expect("a held sweep is shown");
    let (cycle, removals) = (held.cycle, held.would_remove);
    stage.command(SourceCommand::ApproveSweep { cycle, removals }).await?;
    let done = stage.reaches(2, CycleState::Complete).await?;
    assert_eq!(done.totals.removed, 2);
    assert_eq!(stage.names().await?, ["a"]);
    assert!(stage.source().await?.held.is_none());
    Ok(())
}

#[tokio::test]
async fn a_rejected_sweep_keeps_its_entities_and_is_not_held_again() -> Result<()> {
    let stage = with_a_held_sweep().await?;
    stage.command(SourceCommand::RejectSweep).await?;
    stage.refresh().await?;
    stage.reaches(3, CycleState::Complete).await?;
    assert_eq!(stage.names().await?, ["a", "b", "c"]);
    assert!(stage.source().await?.held.is_none());
    Ok(())
}

#[tokio::test]
async fn retry_after_holds_back_every_partition_of_the_source() -> Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let script = move |request: stage::Asked| {
        if request.partition == NAME {
            return Ok(Page {
                children: vec![child("one"), child("two")],
                ..page(&[], None)
            });
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => {
                let class = ErrorClass::Transient {
                    retry_after: Some(Duration::from_secs(50)),
                };
                Err(SourceError::new(class, "429"))
            }
            _ => Ok(page(&[], None)),
        }
    };
    let stage = Stage::start(|_| (), script).await?;
    let failed = stage.job("scripted/one", |job| job.rung == 1).await?;
    // The other partition has its place now, and is held back like every one of the source.
    assert_eq!(failed.due_at, None);
    stage.advance(30);
    stage.scheduler_turns().await;
    assert_eq!(asked.load(Ordering::SeqCst), 1, "nobody asked during the hold");
    stage.advance(21);
    stage.reaches(1, CycleState::Complete).await?;
    Ok(())
}

#[tokio::test]
async fn no_more_partitions_are_open_than_have_a_place() -> Result<()> {
    let script = |request: stage::Asked| {
        if request.partition == NAME {
            let children = (0..20).map(|number| child(&format!("part-{number}"))).collect();
            return Ok(Page {
                children,
                ..page(&[], None)
            });
        }
        Ok(page(&[request.partition.as_str()], None))
    };
    let stage = Stage::start(|settings| settings.parallel_partitions = 3, script).await?;
    let ended = stage.reaches(1, CycleState::Complete).await?;
    assert_eq!((ended.totals.partitions, ended.totals.partitions_done), (21, 21));
    assert_eq!(stage.names().await?.len(), 20);
    Ok(())
}

#[tokio::test]
async fn a_source_that_panics_climbs_the_ladder_and_stops_nobody_else() -> Result<()> {
    let script = |request: stage::Asked| {
        assert!(request.cursor.is_none(), "this page is poisoned");
        Ok(page(&["a"], Some(1)))
    };
    let stage = Stage::start(|_| (), script).await?;
    let failed = stage.job(NAME, |job| job.rung == 1).await?;
    assert!(failed.last_error.is_some_and(|error| error.contains("poisoned")));
    assert_eq!(stage.names().await?, ["a"], "the page before it was committed");
    stage.rewrite(|_| Ok(page(&["b"], None)));
    stage.advance(11);
    stage.reaches(1, CycleState::Complete).await?;
    Ok(())
}

#[tokio::test]
async fn a_configuration_error_of_the_source_blocks_it_until_it_is_refreshed() -> Result<()> {
    let stage = Stage::start(|_| (), |_| Err(SourceError::new(ErrorClass::Config, "no such host"))).await?;
    stage.reaches(1, CycleState::Incomplete).await?;
    let source = stage.source().await?;
    assert_eq!(source.state, SourceState::Blocked);
    assert!(
        source
            .blocked_reason
            .is_some_and(|reason| reason.contains("no such host"))
    );
    stage.advance(1_000);
    stage.scheduler_turns().await;
    assert_eq!(stage.source().await?.cycle.0, 1, "nothing runs while it is blocked");
    stage.rewrite(|_| Ok(page(&["a"], None)));
    stage.refresh().await?;
    stage.reaches(2, CycleState::Complete).await?;
    Ok(())
}

#[tokio::test]
async fn a_burst_ends_after_its_length_and_goes_on_after_its_interval() -> Result<()> {
    let script = |request: stage::Asked| {
        // Each page takes six seconds, a burst ten.
        request.clock.advance(Duration::from_secs(6));
        let number = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        Ok(page(
            &[format!("e{number}").as_str()],
            (number < 3).then_some(number + 1),
        ))
    };
    let stage = Stage::start(|_| (), script).await?;
    let between = stage
        .job(NAME, |job| job.state == JobState::Waiting && job.cursor.is_some())
        .await?;
    assert_eq!(between.cursor.as_deref(), Some("2"), "two pages fit into the burst");
    assert_eq!((between.rung, between.attempt), (0, 0));
    stage.advance(4);
    stage.scheduler_turns().await;
    assert_eq!(stage.names().await?.len(), 2, "the interval is not over");
    stage.advance(2);
    stage.reaches(1, CycleState::Complete).await?;
    assert_eq!(stage.names().await?.len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_shutdown_in_a_burst_hands_the_partition_back_and_spends_no_attempt() -> Result<()> {
    let endless = |request: stage::Asked| {
        std::thread::sleep(Duration::from_millis(1));
        let number = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        Ok(page(&[], Some(number + 1)))
    };
    let stage = Stage::start(|_| (), endless).await?;
    stage
        .job(NAME, |job| job.state == JobState::Running && job.cursor.is_some())
        .await?;
    let settings_store = stage.stop().await;
    let jobs = settings_store
        .list_jobs(&tideline_store::JobFilter {
            limit: 10,
            ..Default::default()
        })
        .await?;
    assert_eq!(
        (jobs[0].state, jobs[0].attempt, jobs[0].rung),
        (JobState::Waiting, 0, 0)
    );
    assert!(jobs[0].due_at.is_some() && jobs[0].cursor.is_some());
    Ok(())
}

#[tokio::test]
async fn a_missed_tick_of_a_schedule_runs_once() -> Result<()> {
    let hourly = |settings: &mut tideline_config::settings::SourceSettings| {
        settings.rest = None;
        settings.schedule = Schedule::new("0 * * * *", "UTC").ok();
    };
    let stage = Stage::start(hourly, |_| Ok(page(&["a"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    let next = stage
        .source()
        .await?
        .next_cycle_at
        .expect("the next tick is stored and shown");
    assert_eq!(next.0 % 3_600_000, 0);
    // Five ticks are missed while nothing runs.
    let stopped = stage;
    stopped.advance(5 * 3_600);
    let stage = stopped.restart().await?;
    stage.reaches(2, CycleState::Complete).await?;
    stage.scheduler_turns().await;
    assert_eq!(stage.source().await?.cycle.0, 2);
    Ok(())
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_a_transient_failure() -> Result<()> {
    let silent = |_| Err(SourceError::new(ErrorClass::Permanent, NEVER));
    let stage = Stage::start(|settings| settings.page_timeout = Duration::from_millis(50), silent).await?;
    let failed = stage.job(NAME, |job| job.rung == 1).await?;
    assert!(failed.last_error.is_some_and(|error| error.contains("page_timeout")));
    Ok(())
}

#[tokio::test]
async fn a_paused_source_stops_after_its_page_and_goes_on_where_it_was() -> Result<()> {
    let endless = |request: stage::Asked| {
        std::thread::sleep(Duration::from_millis(1));
        let number = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        Ok(page(&[format!("e{number}").as_str()], Some(number + 1)))
    };
    let stage = Stage::start(|_| (), endless).await?;
    stage.job(NAME, |job| job.cursor.is_some()).await?;
    stage.command(SourceCommand::Pause).await?;
    let paused = stage.job(NAME, |job| job.state == JobState::Waiting).await?;
    stage.scheduler_turns().await;
    let still = stage.job(NAME, |job| job.state == JobState::Waiting).await?;
    assert_eq!(paused.cursor, still.cursor, "nothing runs while it is paused");
    let at: u64 = serde_json::from_value(json!(still.cursor.unwrap().parse::<u64>()?))?;
    stage.rewrite(move |request| {
        let number = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        assert_eq!(number, at, "it goes on where it was");
        Ok(page(&["last"], None))
    });
    stage.command(SourceCommand::Resume).await?;
    stage.reaches(1, CycleState::Complete).await?;
    Ok(())
}

#[tokio::test]
async fn a_cancelled_cycle_never_sweeps() -> Result<()> {
    let stage = Stage::start(|_| (), |_| Ok(page(&["a", "b"], None))).await?;
    stage.reaches(1, CycleState::Complete).await?;
    stage.rewrite(|request| {
        std::thread::sleep(Duration::from_millis(1));
        let number = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        Ok(page(&["a"], Some(number + 1)))
    });
    stage.refresh().await?;
    stage
        .job(NAME, |job| {
            job.cycle.is_some_and(|cycle| cycle.0 == 2) && job.cursor.is_some()
        })
        .await?;
    stage.command(SourceCommand::Cancel).await?;
    stage.reaches(2, CycleState::Cancelled).await?;
    assert_eq!(stage.names().await?, ["a", "b"]);
    wait_until("the fenced burst to end", LIMIT, async || -> Result<()> {
        let running = stage
            .jobs()
            .await?
            .into_iter()
            .any(|job| job.state == JobState::Running);
        anyhow::ensure!(!running, "it runs");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn after_a_cancelled_cycle_the_source_rests_and_goes_on() -> Result<()> {
    let endless = |request: stage::Asked| {
        std::thread::sleep(Duration::from_millis(1));
        let number = request.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0);
        Ok(page(&["a"], Some(number + 1)))
    };
    let stage = Stage::start(|_| (), endless).await?;
    stage.job(NAME, |job| job.cursor.is_some()).await?;
    stage.rewrite(|_| Ok(page(&["a"], None)));
    stage.command(SourceCommand::Cancel).await?;
    stage.reaches(1, CycleState::Cancelled).await?;
    wait_until("the rest to be set", LIMIT, async || -> Result<()> {
        let source = stage.source().await?;
        anyhow::ensure!(source.next_cycle_at.is_some(), "it is idle: {source:?}");
        Ok(())
    })
    .await?;
    stage.advance(101);
    stage.reaches(2, CycleState::Complete).await?;
    Ok(())
}
