//! What people are told, and what only some want.

use tideline_core::clock::{Clock, SystemClock};
use tideline_core::words::{EventSequence, PushFormat};

use super::stage::{NAME, Stage, Subscriber, event, settings};
use super::{until_done, until_got};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_once_of_one_thing_in_a_sentence_with_a_link() {
    let chat = Subscriber::that_accepts().await;
    let stage = Stage::start(settings(), 2).await;
    let mut spec = stage.spec(&chat.url(), 1);
    spec.topics = vec!["sweep.held".parse().unwrap()];
    spec.push.as_mut().unwrap().format = PushFormat::Slack;
    stage.put(&spec).await;
    let mut held = event("sweep.held", "web");
    held.body = br#"{"source":"web","cycle":4,"reason":"31% is above 20%","would_remove":31,"owned":100}"#.to_vec();
    let mut other = event("sweep.held", "api");
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
