//! In a separate process, since instruments are made once per process.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::time::Duration;

use tideline_config::settings::{SourceSettings, TelemetrySettings};
use tideline_core::clock::{Clock, ManualClock};
use tideline_core::words::{CycleEnd, CycleNumber, CycleState, SourceId, Timestamp};
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::telemetry::{MetricsPage, init};
use tideline_scheduler::{StartCycles, Task};
use tideline_store::Store;
use tideline_store::sqlite::SqliteStore;

const START: Timestamp = Timestamp(1_700_000_000_000);
const REST: Duration = Duration::from_secs(100);

async fn rest_from(store: &dyn Store, source: SourceId, cycle: i64, now: Timestamp) {
    let end = CycleEnd {
        state: CycleState::Incomplete,
        reason: Some("for the test".into()),
        next_cycle_at: Some(now.plus(REST)),
    };
    assert!(store.end_cycle(source, CycleNumber(cycle), &end, now).await.unwrap());
}

fn lateness(page: &MetricsPage) -> Vec<String> {
    let page = page.render();
    let lines = page
        .lines()
        .filter(|line| line.starts_with("tideline_schedule_lateness_seconds_"));
    lines
        .filter(|line| ["_sum{", "_count{"].iter().any(|part| line.contains(part)))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn how_late_a_cycle_starts_is_on_the_page_for_prometheus() {
    let telemetry = init(&TelemetrySettings::default(), "test").unwrap();
    let page = telemetry.metrics_page();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lateness.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&path.to_string_lossy(), "test").await.unwrap());
    let clock = ManualClock::new(START);
    let specs = [SourceSettings::new("s").spec()];
    let source = store.sync_sources(&specs, clock.now()).await.unwrap().ids[0].1;
    let task = StartCycles {
        store: store.clone(),
        due: store.clone(),
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(clock.clone()),
    };

    // The first cycle is asked for, not due.
    task.run_once().await.unwrap();
    assert_eq!(lateness(&page), [""; 0]);

    rest_from(&*store, source, 1, clock.now()).await;
    clock.advance(REST + Duration::from_millis(1_500));
    task.run_once().await.unwrap();
    rest_from(&*store, source, 2, clock.now()).await;
    clock.advance(REST + Duration::from_millis(250));
    task.run_once().await.unwrap();
    assert_eq!(
        lateness(&page),
        [
            r#"tideline_schedule_lateness_seconds_sum{tideline_source="s"} 1.75"#,
            r#"tideline_schedule_lateness_seconds_count{tideline_source="s"} 2"#
        ]
    );
}
