use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};

use super::*;
use tideline_core::clock::{ManualClock, SystemClock};

const DEADLINE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

struct Notified(Arc<Notify>);

#[async_trait]
impl Wakeups for Notified {
    async fn next(&mut self) {
        self.0.notified().await;
    }
}

fn woken_by(notify: &Arc<Notify>) -> Wake {
    Wake::Queue(Box::new(Notified(Arc::clone(notify))))
}

fn driver(wake: Wake, interval: Duration, clock: Arc<dyn Clock>) -> (LoopDriver, CancellationToken, Arc<LoopStatus>) {
    let stop = CancellationToken::new();
    let status = Arc::new(LoopStatus::new("test"));
    let driver = LoopDriver {
        name: "test",
        interval,
        wake,
        stop: stop.clone(),
        clock,
        status: Arc::clone(&status),
    };
    (driver, stop, status)
}

/// A loop that reports each run on a channel and goes on at the paces given, then idles.
fn scripted(
    paces: Vec<Result<Pace, &'static str>>,
) -> (
    impl FnMut() -> futures::future::BoxFuture<'static, Result<Pace, LoopError>>,
    mpsc::UnboundedReceiver<u32>,
) {
    let (runs, seen) = mpsc::unbounded_channel();
    let mut paces = paces.into_iter();
    let mut count = 0;
    let run_once = move || {
        count += 1;
        let pace = paces.next().unwrap_or(Ok(Pace::Idle)).map_err(LoopError::from);
        let _ = runs.send(count);
        Box::pin(async move { pace }) as futures::future::BoxFuture<'static, _>
    };
    (run_once, seen)
}

async fn next_run(seen: &mut mpsc::UnboundedReceiver<u32>) -> u32 {
    tokio::time::timeout(DEADLINE, seen.recv()).await.unwrap().unwrap()
}

async fn failures(status: &LoopStatus, wanted: u32) -> crate::LoopReport {
    loop {
        let report = status.report(SystemClock.now());
        if report.failures_in_a_row == wanted {
            return report;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn again_runs_at_once_and_a_wake_up_ends_the_wait() {
    let notify = Arc::new(Notify::new());
    let (driver, stop, _) = driver(woken_by(&notify), HOUR, Arc::new(SystemClock));
    let (run_once, mut seen) = scripted(vec![Ok(Pace::Again), Ok(Pace::After(HOUR))]);
    let task = tokio::spawn(driver.drive(run_once));
    assert_eq!(next_run(&mut seen).await, 1);
    assert_eq!(next_run(&mut seen).await, 2);
    notify.notify_one();
    assert_eq!(next_run(&mut seen).await, 3);
    stop.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_wake_up_during_a_run_leads_to_another_run() {
    let notify = Arc::new(Notify::new());
    let (driver, stop, _) = driver(woken_by(&notify), HOUR, Arc::new(SystemClock));
    let (report, mut seen) = mpsc::unbounded_channel();
    let runs = Arc::new(AtomicU32::new(0));
    let task = tokio::spawn(driver.drive(move || {
        let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
        if run == 1 {
            notify.notify_one();
        }
        let _ = report.send(run);
        async { Ok(Pace::Idle) }
    }));
    assert_eq!(next_run(&mut seen).await, 1);
    assert_eq!(next_run(&mut seen).await, 2);
    stop.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_loop_runs_at_its_interval() {
    let (driver, stop, _) = driver(Wake::Never, Duration::from_secs(7), Arc::new(SystemClock));
    let (run_once, mut seen) = scripted(vec![]);
    let start = tokio::time::Instant::now();
    let task = tokio::spawn(driver.drive(run_once));
    assert_eq!(seen.recv().await, Some(1));
    assert_eq!(seen.recv().await, Some(2));
    assert_eq!(start.elapsed().as_secs(), 7);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn until_waits_for_the_moment_of_the_clock() {
    let clock = ManualClock::new(Timestamp(1_000));
    let (driver, stop, status) = driver(Wake::Never, HOUR, Arc::new(clock.clone()));
    let (run_once, mut seen) = scripted(vec![Ok(Pace::Until(Timestamp(61_000)))]);
    let task = tokio::spawn(driver.drive(run_once));
    assert_eq!(next_run(&mut seen).await, 1);
    // The loop is waiting as soon as its status says so.
    while status.report(clock.now()).last_success_at.is_none() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(59));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(seen.try_recv().is_err(), "it ran a second too early");
    clock.advance(Duration::from_secs(1));
    assert_eq!(next_run(&mut seen).await, 2);
    stop.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_are_retried_with_growing_waits_and_never_end_the_loop() {
    let (driver, stop, status) = driver(Wake::Never, Duration::from_secs(600), Arc::new(SystemClock));
    let (report, mut seen) = mpsc::unbounded_channel();
    let mut run = 0;
    let task = tokio::spawn(driver.drive(move || {
        run += 1;
        let _ = report.send(run);
        async move {
            match run {
                1 => Err(LoopError::from("the store is gone")),
                2 => panic!("a defect"),
                3 => Err(LoopError::from("still gone")),
                _ => Ok(Pace::Idle),
            }
        }
    }));
    let start = tokio::time::Instant::now();
    let mut at = Vec::new();
    for expected in 1..=4 {
        assert_eq!(seen.recv().await, Some(expected));
        at.push(start.elapsed());
        if expected < 4 {
            let report = failures(&status, expected).await;
            let text = ["the store is gone", "it panicked: a defect", "still gone"][expected as usize - 1];
            assert_eq!(report.last_error.as_deref(), Some(text));
            assert!(report.alive);
        }
    }
    assert!(at[1] >= Backoff::FIRST * 8 / 10 && at[3] - at[2] > at[1], "{at:?}");
    assert_eq!(failures(&status, 0).await.last_error, None);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_hung_run_is_reported_as_not_alive() {
    let clock = ManualClock::new(Timestamp(0));
    let (driver, _stop, status) = driver(Wake::Never, HOUR, Arc::new(clock.clone()));
    let (entered, mut seen) = mpsc::unbounded_channel();
    let task = tokio::spawn(driver.drive(move || {
        let _ = entered.send(1);
        future::pending()
    }));
    assert_eq!(next_run(&mut seen).await, 1);
    assert!(status.report(clock.now()).alive);
    clock.advance(LoopStatus::PATIENCE + Duration::from_secs(1));
    assert!(!status.report(clock.now()).alive);
    task.abort();
}

#[tokio::test]
async fn a_long_run_that_gets_on_is_not_reported_as_hung() {
    let clock = ManualClock::new(Timestamp(0));
    let (driver, _stop, status) = driver(Wake::Never, HOUR, Arc::new(clock.clone()));
    let (entered, mut seen) = mpsc::unbounded_channel();
    let step = Arc::new(Notify::new());
    let steps = Arc::clone(&step);
    let task = tokio::spawn(driver.drive(move || {
        let (entered, steps) = (entered.clone(), Arc::clone(&steps));
        async move {
            let _ = entered.send(1);
            steps.notified().await;
            note_progress();
            let _ = entered.send(2);
            future::pending().await
        }
    }));
    assert_eq!(next_run(&mut seen).await, 1);
    clock.advance(LoopStatus::PATIENCE);
    step.notify_one();
    assert_eq!(next_run(&mut seen).await, 2);
    clock.advance(Duration::from_secs(1));
    assert!(status.report(clock.now()).alive, "it got on a second ago");
    clock.advance(LoopStatus::PATIENCE);
    assert!(!status.report(clock.now()).alive, "now it does not");
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn wake_ups_that_never_stop_get_a_loop_a_tenth_of_the_time() {
    const RUN: Duration = Duration::from_millis(10);
    let notify = Arc::new(Notify::new());
    let (driver, stop, _) = driver(woken_by(&notify), HOUR, Arc::new(SystemClock));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let task = tokio::spawn(driver.drive(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(RUN).await;
            Ok(Pace::Idle)
        }
    }));
    let wake_for_a_second = async || {
        let before = runs.load(Ordering::SeqCst);
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < 100 * RUN {
            notify.notify_one();
            tokio::time::sleep(RUN / 10).await;
        }
        runs.load(Ordering::SeqCst) - before
    };
    wake_for_a_second().await;
    let busy = wake_for_a_second().await;
    assert!((9..=11).contains(&busy), "{busy} runs of 10 ms in a second");
    tokio::time::sleep(2 * Share::SAVED).await;
    let rested = wake_for_a_second().await;
    assert!((18..=21).contains(&rested), "{rested} runs with what was saved before");
    stop.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}
