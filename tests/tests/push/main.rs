//! Push subscriptions from end to end: events in the log, workers that send them, subscribers that answer as they like.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod changes;
mod people;
mod stage;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tideline_config::subscriptions::SubscriptionSettings;
use tideline_core::rules::{AddressPolicy, Ladder};
use tideline_core::words::{EventSequence, SubscriptionState};
use tideline_runtime::push_target::signing_key;
use tideline_store::{EventStart, SubscriptionCommand};
use tideline_tests::wait_until;

use self::stage::{LIMIT, NAME, Request, Stage, Subscriber, settings};

async fn until_got(subscriber: &Subscriber, count: usize) -> Vec<Request> {
    let got = wait_until("requests", LIMIT, async || {
        let got = subscriber.got();
        ensure!(got.len() >= count, "{} of {count} requests", got.len());
        Ok(got)
    });
    got.await.unwrap()
}

async fn until_done(stage: &Stage) {
    let done = wait_until("everything to be done with", LIMIT, async || {
        let (record, last) = (stage.record().await, stage.store.event_bounds().await?.last);
        ensure!(
            record.outstanding == 0 && record.position == last,
            "{record:?}, last {last:?}"
        );
        Ok(())
    });
    done.await.unwrap();
}

async fn until_state(stage: &Stage, state: SubscriptionState) {
    let reached = wait_until("the state", LIMIT, async || {
        let record = stage.record().await;
        ensure!(record.state == state, "{record:?}");
        Ok(())
    });
    reached.await.unwrap();
}

fn refused(status: StatusCode) -> Response {
    (status, "not today").into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_pushed_well_within_a_second_and_signed_as_standard_webhooks() {
    let subscriber = Subscriber::that_accepts().await;
    let stage = Stage::start(settings(), 1).await;
    stage.put(&stage.spec(&subscriber.url(), 4)).await;
    stage.append(&["warm"]).await;
    until_got(&subscriber, 1).await;
    let started = Instant::now();
    stage.append(&["a"]).await;
    let request = until_got(&subscriber, 2).await.remove(1);
    assert!(
        started.elapsed() < Duration::from_millis(800),
        "{:?}",
        started.elapsed()
    );
    let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        (header("x-team"), header("content-type")),
        ("web".to_owned(), "application/json".to_owned())
    );
    assert_eq!(
        (request.key().as_str(), request.json()["data"]["body"]["key"].as_str()),
        ("a", Some("a"))
    );
    // What a receiver of Standard Webhooks does.
    let signed = [
        header("webhook-id").as_bytes(),
        b".",
        header("webhook-timestamp").as_bytes(),
        b".",
        &request.body,
    ]
    .concat();
    let key = signing_key(&stage.secret).unwrap();
    let signature = STANDARD.encode(stage::hmac_sha256(&key, &signed));
    assert_eq!(header("webhook-signature"), format!("v1,{signature}"));
    until_done(&stage).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushed_events_of_one_key_come_in_order_and_a_key_that_fails_holds_up_nobody_else() {
    let subscriber = Subscriber::start(|request, _| match request.key().as_str() {
        "bad" => refused(StatusCode::INTERNAL_SERVER_ERROR),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let slow = Ladder::new(vec![Duration::from_secs(3_600)]);
    let stage = Stage::start(
        SubscriptionSettings {
            backoff: slow,
            ..settings()
        },
        2,
    )
    .await;
    stage.put(&stage.spec(&subscriber.url(), 3)).await;
    let keys: Vec<String> = (0..60).map(|number| format!("k{}", number % 7)).collect();
    let mut all: Vec<&str> = vec!["bad", "bad"];
    all.extend(keys.iter().map(String::as_str));
    stage.append(&all).await;
    let got = until_got(&subscriber, 61).await;
    assert_eq!(got.len(), 61, "the second event of the failing key waits");
    let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for request in &got {
        assert!(request.side_by_side <= 3, "{} at a time", request.side_by_side);
        seen.entry(request.key()).or_default().push(request.id());
    }
    assert!(seen.values().all(|ids| ids.is_sorted()), "{seen:?}");
    let waiting = wait_until("the failure to be shown", LIMIT, async || {
        let record = stage.record().await;
        ensure!(record.outstanding == 2, "{record:?}");
        ensure!(record.next_try.is_some() && record.behind_since.is_some(), "{record:?}");
        Ok(())
    });
    waiting.await.unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_workers_never_send_one_event_side_by_side_nor_more_than_are_allowed_in_flight() {
    // The subscriber itself fails the test if an event comes twice at a time.
    let subscriber = Subscriber::that_accepts().await;
    let stage = Stage::start(settings(), 4).await;
    stage.put(&stage.spec(&subscriber.url(), 5)).await;
    for _ in 0..10 {
        stage.append(&["", "", "", "a", "a", "b", "b", "", "c", ""]).await;
    }
    until_done(&stage).await;
    let got = subscriber.got();
    assert!(got.iter().all(|request| request.side_by_side <= 5));
    let mut ids: Vec<i64> = got.iter().map(Request::id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>(), "each once: nothing failed");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_a_dead_letter_after_the_ladder_and_a_person_can_send_it_again() {
    let subscriber = Subscriber::start(|request, before| match request.key().as_str() {
        "bad" if before < 3 => refused(StatusCode::BAD_REQUEST),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let stage = Stage::start(settings(), 1).await;
    stage.put(&stage.spec(&subscriber.url(), 1)).await;
    let bad = stage.append(&["bad"]).await;
    let letter = wait_until("a dead letter", LIMIT, async || {
        let letters = stage.store.list_dead_letters(NAME, EventSequence(0), 10).await?;
        letters.into_iter().next().ok_or_else(|| anyhow::anyhow!("none"))
    });
    let letter = letter.await.unwrap();
    assert_eq!((letter.sequence, letter.attempts), (bad[0], 3));
    assert_eq!(letter.error, "400 Bad Request: not today");
    assert_eq!(subscriber.got().len(), 3);
    stage.retry(bad[0]).await;
    until_got(&subscriber, 4).await;
    until_done(&stage).await;
    assert_eq!(stage.record().await.failing_since, None);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_answers_410_or_fails_for_too_long_is_switched_off_until_it_is_resumed() {
    let subscriber = Subscriber::start(|_, before| match before {
        0 => refused(StatusCode::GONE),
        1..=5 => refused(StatusCode::SERVICE_UNAVAILABLE),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let short = SubscriptionSettings {
        switch_off_after: Duration::from_millis(300),
        backoff: Ladder::new([100; 50].map(Duration::from_millis).to_vec()),
        ..settings()
    };
    let stage = Stage::start(short, 1).await;
    stage.put(&stage.spec(&subscriber.url(), 1)).await;
    stage.append(&["a"]).await;
    until_state(&stage, SubscriptionState::Blocked).await;
    assert_eq!(
        stage.record().await.blocked_reason.as_deref(),
        Some("the URL answered 410 Gone")
    );
    assert_eq!(subscriber.got().len(), 1, "nothing is sent any more");
    let resume = async || {
        stage
            .store
            .command_subscription(NAME, &SubscriptionCommand::Resume)
            .await
            .unwrap();
        stage.queue.wake().await;
    };
    resume().await;
    wait_until("the failures", LIMIT, async || {
        stage.queue.wake().await;
        let record = stage.record().await;
        ensure!(record.state == SubscriptionState::Blocked, "{record:?}");
        Ok(())
    })
    .await
    .unwrap();
    let reason = stage.record().await.blocked_reason.unwrap();
    assert!(
        reason.contains("nothing has succeeded since") && reason.contains("503"),
        "{reason}"
    );
    for _ in 0..6 {
        if stage.record().await.state == SubscriptionState::Blocked {
            resume().await;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    until_done(&stage).await;
    assert_eq!(stage.record().await.state, SubscriptionState::Active);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_asks_for_time_gets_it() {
    let subscriber = Subscriber::start(|_, before| match before {
        0 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response(),
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let stage = Stage::start(settings(), 2).await;
    stage.put(&stage.spec(&subscriber.url(), 1)).await;
    stage.append(&["a"]).await;
    until_got(&subscriber, 1).await;
    let started = Instant::now();
    until_got(&subscriber, 2).await;
    assert!(
        started.elapsed() > Duration::from_millis(700),
        "{:?}",
        started.elapsed()
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_reaches_an_address_that_is_not_allowed_by_name_by_number_or_by_redirect() {
    let inside = Subscriber::that_accepts().await;
    let strict = SubscriptionSettings {
        addresses: AddressPolicy::default(),
        ..settings()
    };
    let port = inside.address.port();
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        let stage = Stage::start(strict.clone(), 1).await;
        stage.put(&stage.spec(&format!("http://{host}:{port}/in"), 1)).await;
        stage.append(&["a"]).await;
        let failing = wait_until("the refusal", LIMIT, async || {
            let error = stage.record().await.last_error;
            error.ok_or_else(|| anyhow::anyhow!("no error yet"))
        });
        let error = failing.await.unwrap();
        assert!(error.contains("subscriptions.allow_networks"), "{host}: {error}");
        stage.stop().await;
    }
    assert_eq!(inside.got().len(), 0);
    let elsewhere = inside.url();
    let outside =
        Subscriber::start(move |_, _| (StatusCode::FOUND, [(header::LOCATION, elsewhere.clone())]).into_response())
            .await;
    let stage = Stage::start(settings(), 1).await;
    stage.put(&stage.spec(&outside.url(), 1)).await;
    stage.append(&["a"]).await;
    until_got(&outside, 2).await;
    let error = stage.record().await.last_error.unwrap();
    assert_eq!(error, "302 Found; redirects are not followed");
    assert_eq!(inside.got().len(), 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_or_another_url_cancels_what_is_being_sent_and_sends_it_anew() {
    let first = Subscriber::that_accepts().await;
    let second = Subscriber::that_accepts().await;
    let permits = first.gate.acquire_many(1_000).await.unwrap();
    let stage = Stage::start(settings(), 2).await;
    stage.put(&stage.spec(&first.url(), 2)).await;
    stage.append(&["a", "b"]).await;
    until_got(&first, 2).await;
    let replay = SubscriptionCommand::Replay(EventStart::Beginning);
    stage.store.command_subscription(NAME, &replay).await.unwrap();
    stage.queue.wake().await;
    let cut = async |count: usize| {
        let cut = wait_until("the requests to be cancelled", LIMIT, async || {
            let cut = *first.cut.lock();
            ensure!(cut >= count, "{cut} of {count}");
            Ok(())
        });
        cut.await.unwrap();
    };
    cut(2).await;
    until_got(&first, 4).await;
    stage.put(&stage.spec(&second.url(), 2)).await;
    cut(4).await;
    until_got(&second, 2).await;
    until_done(&stage).await;
    drop(permits);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_lets_requests_end_and_hands_nothing_out_twice() {
    let subscriber = Subscriber::that_accepts().await;
    let permits = subscriber.gate.acquire_many(1_000).await.unwrap();
    let stage = Stage::start(settings(), 1).await;
    stage.put(&stage.spec(&subscriber.url(), 2)).await;
    stage.append(&["a", "b", "c"]).await;
    until_got(&subscriber, 2).await;
    let store = std::sync::Arc::clone(&stage.store);
    let stopping = tokio::spawn(stage.stop());
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(permits);
    stopping.await.unwrap();
    let record = store.find_subscription(NAME).await.unwrap().unwrap();
    assert_eq!((record.outstanding, subscriber.got().len()), (0, 2), "{record:?}");
}
