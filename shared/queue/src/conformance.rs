//! What every queue must do. A backend's test module calls [`queue_conformance!`](crate::queue_conformance) with a
//! function that opens a fresh queue, or says in one line that it cannot and returns `None`.

#![allow(missing_docs, reason = "the names of the cases are the sentences that hold")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "all of this is test code"
)]

use std::any::Any;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Delivery, Hint, Queue, QueueHealth};
use tideline_core::words::{JobId, Token};

/// A backend that does not do what a case waits for within this time fails it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Time in which something must not happen.
const QUIET: Duration = Duration::from_millis(300);

/// Two handles on one fresh queue, as of two processes (an in-process queue has one).
pub struct Handles {
    /// Sends.
    pub here: Arc<dyn Queue>,
    /// Receives.
    pub there: Arc<dyn Queue>,
    /// What must live as long as they do.
    pub keep: Box<dyn Any + Send>,
}

/// Makes a test of every case. `open` is an async function that returns `Option<Handles>`.
#[macro_export]
macro_rules! queue_conformance {
    ($open:path) => {
        $crate::queue_conformance!($open =>
            a_published_hint_is_received_as_it_was,
            a_hint_goes_to_one_of_many_receivers,
            only_hints_of_the_kinds_asked_for_are_received,
            hints_that_were_published_before_anyone_received_are_not_lost,
            one_call_receives_no_more_than_it_asked_for,
            a_cancelled_receive_loses_nothing,
            a_receiver_that_waits_gets_a_hint_at_once,
            an_acked_hint_does_not_come_again,
            a_kind_may_be_any_text,
            a_wake_up_reaches_every_waiter,
            a_wake_up_between_two_calls_is_not_lost,
            a_waiter_is_not_woken_without_a_wake_up,
            a_queue_at_work_is_healthy,
            nothing_published_is_no_error,
        );
    };
    ($open:path => $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(handles) = $open().await {
                    $crate::conformance::$case(handles).await;
                }
            }
        )+
    };
}

fn hint(kind: &str, jobs: impl IntoIterator<Item = i64>) -> Hint {
    Hint {
        kind: kind.into(),
        jobs: jobs.into_iter().map(|job| (JobId(job), Token(job + 1))).collect(),
        trace: None,
    }
}

fn kinds(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn soon<T>(what: &str, act: impl Future<Output = T>) -> T {
    match timeout(DEADLINE, act).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// Receives and acks.
async fn receive(queue: &dyn Queue, kinds: &[String], max: usize) -> Vec<Hint> {
    let deliveries = soon("receive", queue.receive(kinds, max)).await.expect("receive");
    assert!(!deliveries.is_empty() && deliveries.len() <= max);
    ack_all(&deliveries).await;
    deliveries.iter().map(|delivery| delivery.hint().clone()).collect()
}

async fn ack_all(deliveries: &[Box<dyn Delivery>]) {
    for delivery in deliveries {
        delivery.ack().await;
    }
}

/// Receives until every job was seen; returns the number of hints that took.
async fn receive_jobs(queue: &dyn Queue, kinds: &[String], mut missing: BTreeSet<i64>) -> usize {
    let mut hints = 0;
    while !missing.is_empty() {
        for hint in receive(queue, kinds, 10).await {
            hints += 1;
            for (job, _) in hint.jobs {
                missing.remove(&job.0);
            }
        }
    }
    hints
}

async fn publish(queue: &dyn Queue, hints: &[Hint]) {
    soon("publish", queue.publish(hints)).await.expect("publish");
}

pub async fn a_published_hint_is_received_as_it_was(queues: Handles) {
    let mut sent = hint("ingest", 0..i64::try_from(Hint::MAX_JOBS).expect("small"));
    sent.jobs[0] = (JobId(i64::MAX), Token(i64::MIN));
    sent.trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
    publish(&*queues.here, std::slice::from_ref(&sent)).await;
    assert_eq!(receive(&*queues.there, &kinds(&["ingest"]), 1).await, [sent]);
}

pub async fn a_hint_goes_to_one_of_many_receivers(queues: Handles) {
    let total = 40;
    let receivers: Vec<_> = [&queues.here, &queues.there, &queues.there]
        .into_iter()
        .map(|queue| {
            let queue = Arc::clone(queue);
            tokio::spawn(async move {
                let mut jobs = Vec::new();
                while let Ok(deliveries) = timeout(3 * QUIET, queue.receive(&kinds(&["k"]), 2)).await {
                    let deliveries = deliveries.expect("receive");
                    ack_all(&deliveries).await;
                    jobs.extend(deliveries.iter().map(|delivery| delivery.hint().jobs[0].0.0));
                }
                jobs
            })
        })
        .collect();
    let hints: Vec<Hint> = (0..total).map(|job| hint("k", [job])).collect();
    publish(&*queues.here, &hints).await;
    let mut jobs = Vec::new();
    for receiver in receivers {
        jobs.extend(soon("receivers", receiver).await.expect("receiver"));
    }
    jobs.sort_unstable();
    assert_eq!(jobs, (0..total).collect::<Vec<_>>());
}

pub async fn only_hints_of_the_kinds_asked_for_are_received(queues: Handles) {
    publish(&*queues.here, &[hint("a", [1]), hint("b", [2]), hint("c", [3])]).await;
    assert_eq!(receive(&*queues.there, &kinds(&["b"]), 10).await, [hint("b", [2])]);
    receive_jobs(&*queues.there, &kinds(&["a", "c"]), BTreeSet::from([1, 3])).await;
}

pub async fn hints_that_were_published_before_anyone_received_are_not_lost(queues: Handles) {
    let hints: Vec<Hint> = (0..30).map(|job| hint("early", [job])).collect();
    publish(&*queues.here, &hints).await;
    let taken = receive_jobs(&*queues.there, &kinds(&["early"]), (0..30).collect()).await;
    assert_eq!(taken, 30);
}

pub async fn one_call_receives_no_more_than_it_asked_for(queues: Handles) {
    let hints: Vec<Hint> = (0..5)
        .flat_map(|job| [hint("a", [job]), hint("b", [job + 10])])
        .collect();
    publish(&*queues.here, &hints).await;
    let mut taken = 0;
    while taken < hints.len() {
        // `receive` asserts the bound.
        taken += receive(&*queues.there, &kinds(&["a", "b"]), 1).await.len();
    }
}

pub async fn a_cancelled_receive_loses_nothing(queues: Handles) {
    let wanted = kinds(&["k"]);
    let mut missing: BTreeSet<i64> = (0..50).collect();
    for job in 0..50 {
        publish(&*queues.here, &[hint("k", [job])]).await;
        // Short enough that some calls are cut at every point.
        let wait = Duration::from_micros(u64::try_from(job).expect("positive") * 40);
        if let Ok(received) = timeout(wait, queues.there.receive(&wanted, 2)).await {
            let deliveries = received.expect("receive");
            ack_all(&deliveries).await;
            for delivery in deliveries {
                for (job, _) in &delivery.hint().jobs {
                    missing.remove(&job.0);
                }
            }
        }
    }
    receive_jobs(&*queues.there, &wanted, missing).await;
}

pub async fn a_receiver_that_waits_gets_a_hint_at_once(queues: Handles) {
    let mut late = 0;
    for job in 0..6 {
        let receiving = Arc::clone(&queues.there);
        let waiting = tokio::spawn(async move { receive(&*receiving, &kinds(&["k"]), 1).await });
        publish(&*queues.here, &[hint("k", [job])]).await;
        let published = Instant::now();
        assert_eq!(soon("hint", waiting).await.expect("receiver"), [hint("k", [job])]);
        late += u32::from(published.elapsed() > Duration::from_secs(2));
    }
    // The first call sets up, and a busy machine may stand still once; a queue that polls is late every time.
    assert!(late <= 2, "{late} of 6 were late");
}

pub async fn an_acked_hint_does_not_come_again(queues: Handles) {
    let wanted = kinds(&["k"]);
    publish(&*queues.here, &[hint("k", [1])]).await;
    receive(&*queues.there, &wanted, 1).await;
    let again = timeout(2 * QUIET, queues.there.receive(&wanted, 1)).await;
    assert!(again.is_err(), "it came again");
}

pub async fn a_kind_may_be_any_text(queues: Handles) {
    for (job, kind) in ["a.b", "a.*", ">", "with space", "é/ü", ""].into_iter().enumerate() {
        let sent = hint(kind, [i64::try_from(job).expect("small")]);
        publish(&*queues.here, std::slice::from_ref(&sent)).await;
        assert_eq!(receive(&*queues.there, &kinds(&[kind]), 1).await, [sent]);
    }
}

pub async fn a_wake_up_reaches_every_waiter(queues: Handles) {
    let mut waiters = [queues.here.wakeups(), queues.there.wakeups(), queues.there.wakeups()];
    for waiter in &mut waiters {
        wake_until(&*queues.here, waiter.next()).await;
    }
}

/// Wakes again and again: a wake-up may be lost while a backend connects.
async fn wake_until(queue: &dyn Queue, woken: impl Future<Output = ()>) {
    soon("wake-up", async {
        tokio::pin!(woken);
        loop {
            queue.wake().await;
            if timeout(QUIET, &mut woken).await.is_ok() {
                return;
            }
        }
    })
    .await;
}

pub async fn a_wake_up_between_two_calls_is_not_lost(queues: Handles) {
    let mut waiter = queues.here.wakeups();
    for _ in 0..3 {
        queues.here.wake().await;
        queues.here.wake().await;
        soon("wake-up", waiter.next()).await;
    }
    let mut late = queues.here.wakeups();
    assert!(
        timeout(QUIET, late.next()).await.is_err(),
        "woken by what was before it"
    );
}

pub async fn a_waiter_is_not_woken_without_a_wake_up(queues: Handles) {
    let mut waiter = queues.there.wakeups();
    // What a backend does while it connects may wake once.
    let _ = timeout(QUIET, waiter.next()).await;
    publish(&*queues.here, &[hint("k", [1])]).await;
    receive(&*queues.there, &kinds(&["k"]), 1).await;
    assert!(timeout(QUIET, waiter.next()).await.is_err(), "a hint is no wake-up");
}

pub async fn a_queue_at_work_is_healthy(queues: Handles) {
    publish(&*queues.here, &[hint("k", [1])]).await;
    receive(&*queues.there, &kinds(&["k"]), 1).await;
    assert_eq!(queues.here.health(), QueueHealth::Healthy);
    assert_eq!(queues.there.health(), QueueHealth::Healthy);
}

pub async fn nothing_published_is_no_error(queues: Handles) {
    publish(&*queues.here, &[]).await;
}
