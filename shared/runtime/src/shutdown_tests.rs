use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use tideline_core::clock::SystemClock;

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_soft_stop_waits_for_tasks_to_end_by_themselves() {
    let runtime = Runtime::new(Arc::new(SystemClock));
    let finished = Arc::new(AtomicBool::new(false));
    let (stop, flag) = (runtime.stop(), Arc::clone(&finished));
    runtime.spawn(async move {
        stop.cancelled().await;
        tokio::task::yield_now().await;
        flag.store(true, Ordering::SeqCst);
    });
    runtime.spawn_loop("loop", DEADLINE, Wake::Never, || async { Ok(Pace::Idle) });
    assert_eq!(runtime.shut_down(DEADLINE).await, ShutdownOutcome::Finished);
    assert!(finished.load(Ordering::SeqCst));
    assert!(runtime.loops().iter().all(|report| !report.alive));
}

#[tokio::test(start_paused = true)]
async fn when_the_grace_is_over_what_still_runs_is_dropped() {
    let runtime = Runtime::new(Arc::new(SystemClock));
    let dropped = Arc::new(());
    let held = Arc::clone(&dropped);
    runtime.spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    let start = tokio::time::Instant::now();
    assert_eq!(
        runtime.shut_down(Duration::from_secs(25)).await,
        ShutdownOutcome::Dropped
    );
    assert_eq!(start.elapsed().as_secs(), 25);
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[tokio::test]
async fn a_hard_stop_ends_the_grace_at_once() {
    let runtime = Runtime::new(Arc::new(SystemClock));
    runtime.spawn(std::future::pending());
    let ending = runtime.clone();
    let shutdown = tokio::spawn(async move { ending.shut_down(Duration::from_secs(3600)).await });
    runtime.stop().cancelled().await;
    runtime.hard_stop().cancel();
    let outcome = tokio::time::timeout(DEADLINE, shutdown).await.unwrap().unwrap();
    assert_eq!(outcome, ShutdownOutcome::Dropped);
}
