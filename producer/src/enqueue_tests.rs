use std::time::Duration;

use async_trait::async_trait;
use tideline_core::Wakeups;
use tideline_core::clock::ManualClock;
use tideline_queue::in_process::InProcessQueue;
use tideline_queue::{Delivery, QueueHealth};
use tideline_store::JobFilter;
use tideline_store::sqlite::SqliteStore;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Bench {
    store: Arc<dyn Store>,
    queue: Arc<InProcessQueue>,
    producer: Producer,
    _folder: tempfile::TempDir,
}

async fn open_store() -> (tempfile::TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = SqliteStore::open(path.to_str().unwrap()).await.unwrap();
    (folder, Arc::new(store))
}

async fn bench() -> Bench {
    let (folder, store) = open_store().await;
    let queue = Arc::new(InProcessQueue::default());
    let producer = Producer::new(
        Arc::clone(&store),
        Arc::clone(&queue) as Arc<dyn Queue>,
        Arc::new(ManualClock::new(NOW)),
    );
    Bench {
        store,
        queue,
        producer,
        _folder: folder,
    }
}

fn spec(kind: &str, key: &str, args: &str) -> JobSpec {
    JobSpec {
        kind: kind.into(),
        key: key.into(),
        args: args.into(),
        due_at: None,
        trigger: Trigger::Manual,
    }
}

/// Every hint that is there now.
async fn hints(queue: &InProcessQueue, kind: &str) -> Vec<Hint> {
    let mut hints = Vec::new();
    while let Ok(received) =
        tokio::time::timeout(Duration::from_millis(20), queue.receive(&[kind.to_owned()], 100)).await
    {
        hints.extend(received.unwrap().iter().map(|delivery| delivery.hint().clone()));
    }
    hints
}

fn outcomes(enqueued: &[Enqueued]) -> Vec<EnqueueOutcome> {
    enqueued.iter().map(|one| one.outcome).collect()
}

#[tokio::test]
async fn args_that_mean_the_same_are_nothing_to_do_and_make_no_hint() {
    let bench = bench().await;
    let first = bench
        .producer
        .enqueue(vec![spec("k", "a", r#"{"x": 1, "y": 2}"#)])
        .await
        .unwrap();
    assert_eq!(outcomes(&first), [EnqueueOutcome::Inserted]);
    assert_eq!(hints(&bench.queue, "k").await[0].jobs, [(first[0].job, first[0].token)]);
    let again = bench
        .producer
        .enqueue(vec![spec("k", "a", r#"{"y":2,"x":1}"#)])
        .await
        .unwrap();
    assert_eq!(outcomes(&again), [EnqueueOutcome::Unchanged]);
    assert!(hints(&bench.queue, "k").await.is_empty());
}

#[tokio::test]
async fn a_key_that_occurs_twice_is_superseded_by_the_later_one() {
    let bench = bench().await;
    let specs = vec![spec("k", "a", "1"), spec("k", "b", "1"), spec("k", "a", "2")];
    let enqueued = bench.producer.enqueue(specs).await.unwrap();
    assert_eq!(
        outcomes(&enqueued),
        [
            EnqueueOutcome::Inserted,
            EnqueueOutcome::Inserted,
            EnqueueOutcome::Superseded
        ]
    );
    let filter = JobFilter {
        key: Some("a".into()),
        limit: 10,
        ..JobFilter::default()
    };
    assert_eq!(bench.store.list_jobs(&filter).await.unwrap()[0].args, "2");
}

#[tokio::test]
async fn many_jobs_of_two_kinds_are_all_enqueued_and_hinted_in_order() {
    let bench = bench().await;
    let specs: Vec<_> = (0..2_500)
        .map(|n| spec(if n % 2 == 0 { "even" } else { "odd" }, &n.to_string(), "null"))
        .collect();
    let enqueued = bench.producer.enqueue(specs).await.unwrap();
    assert_eq!(enqueued.len(), 2_500);
    for (kind, parity) in [("even", 0), ("odd", 1)] {
        let hinted: Vec<JobId> = hints(&bench.queue, kind)
            .await
            .into_iter()
            .inspect(|hint| assert!(hint.jobs.len() <= Hint::MAX_JOBS))
            .flat_map(|hint| hint.jobs)
            .map(|(job, _)| job)
            .collect();
        let expected: Vec<JobId> = enqueued.iter().skip(parity).step_by(2).map(|one| one.job).collect();
        assert_eq!(hinted, expected);
    }
}

#[tokio::test]
async fn a_job_for_later_wakes_the_schedulers_and_makes_no_hint() {
    let bench = bench().await;
    let mut wakeups = bench.queue.wakeups();
    let mut later = spec("k", "a", "1");
    later.due_at = Some(NOW.plus(Duration::from_secs(60)));
    bench.producer.enqueue(vec![later]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), wakeups.next())
        .await
        .unwrap();
    assert!(hints(&bench.queue, "k").await.is_empty());
}

#[tokio::test]
async fn a_bad_job_keeps_all_the_others_out() {
    let bench = bench().await;
    for (bad, wanted) in [
        (spec("", "a", "1"), "kind is empty"),
        (spec("ingest", "a", "1"), "refresh the source"),
        (spec("k", "", "1"), "key is empty"),
        (spec("k", &"é".repeat(257), "1"), "512 bytes"),
        (spec("k", "a", "{"), "not valid JSON"),
    ] {
        let error = bench
            .producer
            .enqueue(vec![spec("k", "good", "1"), bad])
            .await
            .unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    assert_eq!(bench.store.stats(NOW).await.unwrap().due, 0);
}

/// A queue that is always down.
struct NoQueue;

#[async_trait]
impl Queue for NoQueue {
    async fn publish(&self, _: &[Hint]) -> Result<(), QueueError> {
        Err(QueueError::Unavailable {
            act: "test",
            source: "down".into(),
        })
    }
    async fn receive(&self, _: &[String], _: usize) -> Result<Vec<Box<dyn Delivery>>, QueueError> {
        std::future::pending().await
    }
    fn reaches_others(&self) -> bool {
        false
    }
    async fn wake(&self) {}
    fn wakeups(&self) -> Box<dyn Wakeups> {
        InProcessQueue::default().wakeups()
    }
    fn health(&self) -> QueueHealth {
        QueueHealth::Degraded("down".into())
    }
    async fn degraded(&self) {}
}

#[tokio::test]
async fn without_a_queue_jobs_are_enqueued_all_the_same() {
    let (_folder, store) = open_store().await;
    let producer = Producer::new(Arc::clone(&store), Arc::new(NoQueue), Arc::new(ManualClock::new(NOW)));
    producer.enqueue(vec![spec("k", "a", "1")]).await.unwrap();
    assert_eq!(store.stats(NOW).await.unwrap().due, 1);
}

#[tokio::test]
async fn refreshing_a_source_that_is_not_there_says_so() {
    let bench = bench().await;
    let error = bench.producer.refresh("nowhere", Trigger::Manual).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}
