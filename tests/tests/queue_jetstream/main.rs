//! The JetStream queue on a real nats-server: the conformance suite, and what happens when NATS is hurt or set up
//! wrongly.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod publish;
mod refused;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use tideline_core::words::NatsAddress;
use tideline_core::words::{JobId, Token};
use tideline_queue::conformance::Handles;
use tideline_queue::jetstream::{JetStreamQueue, wake_once};
use tideline_queue::{Hint, Queue, QueueError, QueueHealth};
use tideline_tests::servers::{self, Nats};
use tideline_tests::wait_until;
use tokio::task::JoinSet;

const LIMIT: Duration = Duration::from_secs(20);

/// How soon hints flow again after the stream was deleted.
const SOON: Duration = Duration::from_secs(5);

async fn connect(url: &str) -> Arc<dyn Queue> {
    let address = NatsAddress::parse(url).unwrap();
    Arc::new(JetStreamQueue::open(&address).await.unwrap())
}

async fn open() -> Option<Handles> {
    let (url, server) = servers::nats("queue conformance").await.unwrap()?;
    let url = format!("{url}?prefix=t{:x}&max_bytes=1048576", rand::random::<u64>());
    Some(Handles {
        here: connect(&url).await,
        there: connect(&url).await,
        keep: Box::new(server),
    })
}

tideline_queue::queue_conformance!(open);

fn hint(job: i64) -> Hint {
    Hint {
        kind: "k".into(),
        jobs: vec![(JobId(job), Token(1))],
        trace: None,
    }
}

/// Sends new hints until one is received.
async fn hints_flow(queue: &dyn Queue, from: i64) {
    let mut job = from;
    wait_until("hints to flow", LIMIT, async || {
        job += 1;
        queue
            .publish(&[hint(job)])
            .await
            .map_err(|error| format!("{error:?}"))?;
        let received = tokio::time::timeout(Duration::from_secs(1), queue.receive(&["k".into()], 1)).await;
        match received {
            Ok(Ok(deliveries)) => {
                for delivery in &deliveries {
                    delivery.ack().await;
                }
                Ok(())
            }
            other => Err(format!("nothing received: {:?}", other.map(|_| ()))),
        }
    })
    .await
    .unwrap();
}

async fn becomes(queue: &dyn Queue, healthy: bool) {
    wait_until("the health", LIMIT, async || {
        let health = queue.health();
        if (health == QueueHealth::Healthy) == healthy {
            Ok(())
        } else {
            Err(format!("{health:?}"))
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_recovers_by_itself_from_a_restart_a_kill_and_a_wiped_store() {
    let Some(server) = servers::own_nats("nats restarts").await.unwrap() else {
        return;
    };
    let queue = connect(&server.url()).await;
    hints_flow(&*queue, 0).await;
    for (round, how) in ["restart", "kill", "wipe"].into_iter().enumerate() {
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.receive(&["waits".into()], 1).await.map(|received| received.len()) }
        });
        server.stop(how != "restart").await.unwrap();
        becomes(&*queue, false).await;
        assert!(matches!(
            queue.publish(&[hint(1)]).await,
            Err(QueueError::Unavailable { .. })
        ));
        if how == "wipe" {
            server.wipe().await.unwrap();
        } else {
            server.launch().await.unwrap();
        }
        becomes(&*queue, true).await;
        hints_flow(&*queue, 1_000 * (1 + i64::try_from(round).unwrap())).await;
        // A call that waited all the time is answered too.
        let mut late = hint(7);
        late.kind = "waits".into();
        late.jobs[0].1 = Token(i64::try_from(round).unwrap());
        wait_until("publishing", LIMIT, async || {
            queue.publish(std::slice::from_ref(&late)).await
        })
        .await
        .unwrap();
        let received = tokio::time::timeout(LIMIT, waiting).await;
        assert_eq!(received.expect("received in time").unwrap().unwrap(), 1, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_stream_or_consumer_is_made_again() {
    let Some(server) = servers::own_nats("deleted streams").await.unwrap() else {
        return;
    };
    let queue = connect(&server.url()).await;
    hints_flow(&*queue, 0).await;
    let admin = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    admin.delete_consumer_from_stream("k", "TIDELINE_HINTS").await.unwrap();
    hints_flow(&*queue, 1_000).await;
    admin.delete_stream("TIDELINE_HINTS").await.unwrap();
    hints_flow(&*queue, 2_000).await;
    becomes(&*queue, true).await;
}

/// Publishes without a pause until it is stopped; the count goes up with every hint that the queue took.
async fn publish_on_and_on(queue: Arc<dyn Queue>, next_job: Arc<AtomicI64>) {
    loop {
        let job = next_job.fetch_add(1, Ordering::Relaxed);
        // Failures are what this is about; the next one follows.
        let _ = queue.publish(&[hint(job)]).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Receives as a busy worker does, which breaks off and comes back.
async fn receive_on_and_on(queue: Arc<dyn Queue>, received: Arc<AtomicU64>) {
    loop {
        let wait = Duration::from_millis(rand::random_range(1..60));
        if let Ok(Ok(deliveries)) = tokio::time::timeout(wait, queue.receive(&["k".into()], 8)).await {
            for delivery in &deliveries {
                delivery.ack().await;
            }
            received.fetch_add(deliveries.len() as u64, Ordering::Relaxed);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hints_flow_again_within_seconds_whenever_the_stream_is_deleted_under_load() {
    let Some(server) = servers::own_nats("streams deleted under load").await.unwrap() else {
        return;
    };
    let (next_job, mut tasks, mut receivers) = (Arc::new(AtomicI64::new(0)), JoinSet::new(), Vec::new());
    for _ in 0..3 {
        let queue = connect(&server.url()).await;
        tasks.spawn(publish_on_and_on(queue, Arc::clone(&next_job)));
    }
    for _ in 0..3 {
        let received = Arc::new(AtomicU64::new(0));
        let queue = connect(&server.url()).await;
        tasks.spawn(receive_on_and_on(queue, Arc::clone(&received)));
        receivers.push(received);
    }
    let admin = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let count = || {
        receivers
            .iter()
            .map(|it| it.load(Ordering::Relaxed))
            .collect::<Vec<_>>()
    };
    for round in 0..8 {
        // Each receiver for itself: one that fell silent would not be missed in a sum.
        let before = count();
        wait_until("every receiver to receive", SOON, async || {
            let now = count();
            let silent = now.iter().zip(&before).any(|(now, before)| *now < before + 5);
            if silent {
                Err(format!("round {round}: {before:?}, {now:?}"))
            } else {
                Ok(())
            }
        })
        .await
        .unwrap();
        admin.delete_stream("TIDELINE_HINTS").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_store_hints_is_made_anew() {
    let Some(server) = servers::own_nats("a stream without files").await.unwrap() else {
        return;
    };
    let queue = connect(&server.url()).await;
    queue.publish(&[hint(1)]).await.unwrap();
    for round in 1..=5_i64 {
        // After a restart the server opens its files when it needs them.
        server.restart(false).await.unwrap();
        server.lose_files().unwrap();
        hints_flow(&*queue, 1_000 * round).await;
        becomes(&*queue, true).await;
        if server.has_files("TIDELINE_HINTS") {
            return;
        }
        // It needed them before they were lost: what it has open it goes on with.
        println!("round {round}: the server had its files open");
    }
    panic!("the stream was not made anew");
}

/// Deletes the stream and makes it again at once, as a program that knows no better, until the server has deleted the
/// files of a new one that takes messages all the same. `false`: this server does not do that.
async fn break_stream(server: &Nats) -> bool {
    let admin = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let config = admin
        .get_stream("TIDELINE_HINTS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    for _ in 0..500 {
        let other = jetstream::new(async_nats::connect(server.url()).await.unwrap());
        let deleting = tokio::spawn(async move { other.delete_stream("TIDELINE_HINTS").await.map(drop) });
        while !deleting.is_finished() {
            let _ = admin.create_stream(config.clone()).await;
        }
        deleting.await.unwrap().unwrap();
        let _ = admin.create_stream(config.clone()).await;
        if !server.has_files("TIDELINE_HINTS") {
            let sent = admin.publish("tideline.hints.k", "no hint".into()).await.unwrap();
            if sent.await.is_ok() && !server.has_files("TIDELINE_HINTS") {
                return true;
            }
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_takes_hints_and_delivers_none_is_made_anew() {
    let test = "a_stream_that_takes_hints_and_delivers_none_is_made_anew";
    let Some(server) = servers::own_nats(test).await.unwrap() else {
        return;
    };
    let queue = connect(&server.url()).await;
    if !break_stream(&server).await {
        println!("{test}: left out, this nats-server keeps the files of a new stream when an old one is deleted");
        return;
    }
    hints_flow(&*queue, 1_000).await;
    becomes(&*queue, true).await;
    assert!(server.has_files("TIDELINE_HINTS"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_whose_nats_comes_later_begins_to_work_then() {
    let Some(server) = servers::own_nats("late nats").await.unwrap() else {
        return;
    };
    server.stop(true).await.unwrap();
    let queue = connect(&server.url()).await;
    let QueueHealth::Degraded(reason) = queue.health() else {
        panic!("healthy without NATS");
    };
    assert!(reason.contains("NATS cannot be reached"), "{reason}");
    let mut waiter = queue.wakeups();
    queue.wake().await;
    tokio::time::timeout(LIMIT, waiter.next())
        .await
        .expect("a wake-up within the process");
    server.launch().await.unwrap();
    becomes(&*queue, true).await;
    hints_flow(&*queue, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_only_wakes_reaches_those_who_wait() {
    let Some(server) = servers::own_nats("a command that wakes").await.unwrap() else {
        return;
    };
    let queue = connect(&server.url()).await;
    hints_flow(&*queue, 0).await;
    let mut waiter = queue.wakeups();
    // Connecting rang, too.
    while tokio::time::timeout(Duration::from_millis(300), waiter.next())
        .await
        .is_ok()
    {}
    let address = NatsAddress::parse(&server.url()).unwrap();
    wake_once(&address).await.unwrap();
    tokio::time::timeout(LIMIT, waiter.next()).await.expect("a wake-up");
    server.stop(true).await.unwrap();
    assert!(matches!(wake_once(&address).await, Err(QueueError::Unavailable { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_nats_is_noticed_and_used_again_when_it_thaws() {
    let Some(server) = servers::own_nats("frozen nats").await.unwrap() else {
        return;
    };
    let queue = connect(&server.url()).await;
    hints_flow(&*queue, 0).await;
    server.freeze().unwrap();
    // A process is stopped a moment after it is told to: until then it may still answer.
    wait_until("a publish to fail", LIMIT, async || {
        match queue.publish(&[hint(1)]).await {
            Err(QueueError::Unavailable { .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    assert!(matches!(queue.health(), QueueHealth::Degraded(_)));
    server.thaw().unwrap();
    hints_flow(&*queue, 1_000).await;
    becomes(&*queue, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_hint_published_again_at_once_is_stored_once() {
    let Some(server) = servers::own_nats("duplicates").await.unwrap() else {
        return;
    };
    let queue = connect(&server.url()).await;
    for _ in 0..3 {
        queue.publish(&[hint(1), hint(2)]).await.unwrap();
    }
    let admin = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = admin.get_stream("TIDELINE_HINTS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_of_another_version_is_passed_over() {
    let Some(server) = servers::own_nats("other versions").await.unwrap() else {
        return;
    };
    let queue = connect(&server.url()).await;
    let admin = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    for payload in [&b"\x63what comes"[..], b"", b"\x01"] {
        let ack = admin.publish("tideline.hints.k", payload.into()).await.unwrap();
        ack.await.unwrap();
    }
    queue.publish(&[hint(1)]).await.unwrap();
    let received = tokio::time::timeout(LIMIT, queue.receive(&["k".into()], 1)).await;
    let received = received.unwrap().unwrap();
    assert_eq!(received[0].hint(), &hint(1));
    received[0].ack().await;
    let stream = admin.get_stream("TIDELINE_HINTS").await.unwrap();
    wait_until("an empty stream", LIMIT, async || {
        match stream.get_info().await.unwrap().state.messages {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        }
    })
    .await
    .unwrap();
}
