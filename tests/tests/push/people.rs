//! What people are told, and what only some want.

use std::time::Duration;

use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{EventSequence, NewEvent, PushFormat, Verdict};
use tideline_expression::Limits;
use tideline_store::EventStart;

use super::stage::{NAME, Stage, Subscriber, event, settings};
use super::{until_done, until_got};

/// What Tideline tells of itself.
fn own(topic: &str, key: &str) -> NewEvent {
    NewEvent {
        verdict: Verdict::Own,
        ..event(topic, key)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_once_of_one_thing_in_a_sentence_with_a_link() {
    let chat = Subscriber::that_accepts().await;
    let stage = Stage::start(settings(), 2).await;
    let mut spec = stage.spec(&chat.url(), 1);
    spec.topics = vec!["sweep.held".parse().unwrap()];
    spec.push.as_mut().unwrap().format = PushFormat::Slack;
    stage.put(&spec).await;
    let mut held = own("sweep.held", "web");
    held.body = br#"{"source":"web","cycle":4,"reason":"31% is above 20%","would_remove":31,"owned":100}"#.to_vec();
    let mut other = own("sweep.held", "api");
    other.body = br#"{"source":"api","cycle":1,"reason":"an empty cycle","would_remove":9,"owned":9}"#.to_vec();
    let all = [held.clone(), held.clone(), other, held];
    stage.store.append_events(&all, SystemClock.now()).await.unwrap();
    stage.queue.wake().await;
    until_done(&stage).await;
    let got = until_got(&chat, 2).await;
    let mut texts: Vec<String> = (got.iter())
        .map(|request| request.json()["text"].as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    assert_eq!(
        texts,
        [
            "Source api: a sweep is held and waits for your decision. It would remove 9 of 9 entities: an empty cycle. \
             <https://tideline.example.com/sources/api|Open>",
            "Source web: a sweep is held and waits for your decision. It would remove 31 of 100 entities: 31% is above 20%. \
             <https://tideline.example.com/sources/web|Open>",
        ]
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_filter_wants_is_pushed_and_an_event_on_which_it_fails_is_a_dead_letter() {
    let subscriber = Subscriber::that_accepts().await;
    let stage = Stage::start(settings(), 1).await;
    let mut spec = stage.spec(&subscriber.url(), 4);
    spec.filter = Some(r#".body.key | if . == "broken" then error("no") else startswith("a") end"#.to_owned());
    stage.put(&spec).await;
    stage.append(&["a1", "b", "broken", "a2", "b"]).await;
    until_done(&stage).await;
    let mut keys: Vec<String> = subscriber.got().iter().map(super::Request::key).collect();
    keys.sort();
    assert_eq!(keys, ["a1", "a2"]);
    let letters = stage.store.list_dead_letters(NAME, EventSequence(0), 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].error.starts_with("filter: "), "{}", letters[0].error);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_of_a_thing_although_they_were_told_nothing_of_an_earlier_event() {
    let chat = Subscriber::that_accepts().await;
    let stage = Stage::start(settings(), 2).await;
    let drift = |extra: u32| {
        let mut drift = own("drift.found", "web");
        drift.body = format!(r#"{{"source":"web","extra":{extra}}}"#).into_bytes();
        drift
    };
    // From before the subscription.
    stage
        .store
        .append_events(&[drift(900)], SystemClock.now())
        .await
        .unwrap();
    let mut spec = stage.spec(&chat.url(), 1);
    spec.topics = vec!["drift.found".parse().unwrap()];
    spec.filter = Some(".body.extra > 100".to_owned());
    spec.push.as_mut().unwrap().format = PushFormat::Text;
    let now = SystemClock.now();
    stage.store.put_subscription(&spec, EventStart::Now, now).await.unwrap();
    // The first one is filtered out, the third one a repetition, and the last one no event of Tideline's own.
    let forged = NewEvent {
        verdict: Verdict::Unsigned,
        key: "evil".to_owned(),
        ..drift(500)
    };
    let all = [drift(3), drift(500), drift(600), forged];
    stage.store.append_events(&all, SystemClock.now()).await.unwrap();
    stage.queue.wake().await;
    until_done(&stage).await;
    let told: Vec<_> = chat.got().iter().map(|request| request.body.clone()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_filter_is_tried_again_and_costs_events_that_wait_for_it_nothing() {
    let subscriber = Subscriber::that_accepts().await;
    let limits = Limits {
        timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let stage = Stage::evaluating(settings(), limits).await;
    let mut spec = stage.spec(&subscriber.url(), 4);
    let slow = r#".body.key | if . == "slow" then reduce range(3000000) as $i (true; . and true) else true end"#;
    spec.filter = Some(slow.to_owned());
    stage.put(&spec).await;
    stage.append(&["slow", "a", "b", "c"]).await;
    until_done(&stage).await;
    let mut keys: Vec<String> = subscriber.got().iter().map(super::Request::key).collect();
    keys.sort();
    assert_eq!(keys, ["a", "b", "c"]);
    let letters = stage.store.list_dead_letters(NAME, EventSequence(0), 10).await.unwrap();
    let attempts: Vec<u32> = letters.iter().map(|letter| letter.attempts).collect();
    assert_eq!(attempts, [3], "of the slow one, two rungs of the ladder");
    stage.stop().await;
}
