use std::time::Instant;

use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tideline_core::clock::SystemClock;
use tideline_core::words::Verdict;
use tideline_queue::in_process::InProcessQueue;
use tideline_store::EventStore;
use tideline_store::sqlite::SqliteStore;

use super::*;

fn event(topic: &str, bytes: usize) -> NewEvent {
    NewEvent {
        topic: topic.to_owned(),
        key: String::new(),
        delivery: None,
        verdict: Verdict::Verified,
        malformed: false,
        headers: vec![],
        body: vec![b'1'; bytes],
        trace: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_when_a_batch_fails_is_refused_with_it_and_later_ones_are_stored_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
    let queue = Arc::new(InProcessQueue::default());
    let (intake, writer) = intake(Arc::clone(&store) as Arc<dyn Store>, queue, Arc::new(SystemClock));
    let stop = CancellationToken::new();
    // Another process writes, and does not come to an end.
    let mut other = SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let began = Instant::now();
    // More than one transaction takes: the second half waits for the first one.
    let waiting = (0..4).map(|number| intake.append(event(&format!("t{number}"), MAX_BYTES / 2)));
    let waiting = futures::future::join_all(waiting);
    let writing = tokio::spawn(writer.run(stop.clone()));
    let answers = waiting.await;
    assert!(
        answers.iter().all(|answer| *answer == Err(NotStored::Down)),
        "{answers:?}"
    );
    assert!(began.elapsed() < LONGEST * 2, "{:?}", began.elapsed());
    other.execute("ROLLBACK").await.unwrap();
    let deadline = Instant::now() + LONGEST * 5;
    while intake.append(event("t", 1)).await.is_err() {
        assert!(Instant::now() < deadline, "it refuses for good");
        tokio::time::sleep(TRY_EVERY).await;
    }
    assert!(store.event_bounds().await.unwrap().last.0 > 0);
    stop.cancel();
    drop(intake);
    writing.await.unwrap();
}
