//! Hints of jobs that became due.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::time::Duration;

use tideline_config::settings::SchedulerSettings;
use tideline_core::clock::{Clock, ManualClock};
use tideline_core::words::{Fingerprint, NewJob, Timestamp, Trigger};
use tideline_queue::Queue;
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::Pace;
use tideline_scheduler::{Dispatch, Task};
use tideline_store::Store;
use tideline_store::sqlite::SqliteStore;

const START: Timestamp = Timestamp(1_700_000_000_000);
const RESEND_AFTER: Duration = Duration::from_secs(7);

#[tokio::test]
async fn a_hint_that_nobody_answers_is_sent_again_when_it_should_be_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dispatch.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&path.to_string_lossy(), "test").await.unwrap());
    let queue = Arc::new(InProcessQueue::default());
    let clock = ManualClock::new(START);
    let due_at = START.plus(Duration::from_secs(3));
    let job = NewJob {
        kind: "k".into(),
        key: "a".into(),
        fingerprint: Fingerprint([1; 32]),
        args: "{}".into(),
        due_at,
        trigger: Trigger::Manual,
        trace: None,
    };
    store.enqueue(&[job], START).await.unwrap();
    let task = Dispatch {
        store: store.clone(),
        queue: queue.clone(),
        clock: Arc::new(clock.clone()),
        settings: SchedulerSettings {
            resend_after: RESEND_AFTER,
            ..SchedulerSettings::default()
        },
    };
    assert_eq!(task.run_once().await.unwrap(), Pace::Until(due_at));

    let mut look_at = due_at;
    for _ in 0..3 {
        clock.advance(look_at.since(clock.now()));
        let answered_by = look_at.plus(RESEND_AFTER);
        assert_eq!(task.run_once().await.unwrap(), Pace::Until(answered_by));
        let received = queue.receive(&["k".to_owned()], 10).await.unwrap();
        assert_eq!(received.iter().map(|hint| hint.hint().jobs.len()).sum::<usize>(), 1);
        look_at = answered_by;
    }
}
