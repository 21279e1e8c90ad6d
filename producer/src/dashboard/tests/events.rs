//! Events and what they cause.

use tideline_core::words::EventSequence;

use super::{EVIL, bench};
use crate::dashboard::format;

#[tokio::test]
async fn an_event_shows_what_it_caused_and_its_dead_letter_is_retried_there() {
    let bench = bench().await;
    let event = bench.hostile().await;
    let shown = bench.get(&format!("/events/{event}")).await;
    assert!(
        shown.html.contains("What it caused") && shown.html.contains("given up"),
        "{}",
        shown.html
    );
    let path = format!("/subscriptions/{}/retry", format::encoded(EVIL));
    let retried = bench.post(&path, &format!("id={event}&back=%2Fevents%2F{event}")).await;
    assert_eq!(retried.status, 303);
    let letters = bench.store.list_dead_letters(EVIL, EventSequence(0), 10).await.unwrap();
    assert!(letters.is_empty(), "{letters:?}");
    assert!(!bench.get(&format!("/events/{event}")).await.html.contains("given up"));
}
