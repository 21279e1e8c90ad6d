//! Cases: redelivery of unacknowledged events, without holding up anything else.

use std::sync::Arc;

use super::subscriptions::{append, append_many, ids, perform, pulled, record, settle_one, subscribe, take};
use super::*;
use crate::{EventStart, Store, SubscriptionAct, SubscriptionCommand};
use tideline_core::rules::Ladder;
use tideline_core::words::{EventOutcome, EventSequence, SubscriptionSpec};

/// The subscription `s` with 100 events without a key, of which the first five are never acknowledged. Returns the
/// order of the others, `max` at a time; with `returns` the five are returned at once, otherwise their leases expire.
async fn read_on(store: &Arc<dyn Store>, max: u32, returns: bool) -> Vec<EventSequence> {
    let spec = pulled("s", &["t"]);
    store.put_subscription(&spec, EventStart::Now, T0).await.unwrap();
    let last = append_many(store, 99, "", &format!("{max}{returns}")).await;
    let mut acked = Vec::new();
    for turn in 1..=240 {
        let now = turn * 150;
        for one in take(store, "s", max, turn, now).await.events {
            let sequence = one.event.head.sequence;
            let outcome = match sequence.0 > last.0 - 95 {
                true => EventOutcome::Acked,
                false if returns => EventOutcome::Again {
                    due_at: t(now),
                    error: None,
                },
                false => continue,
            };
            acked.extend((outcome == EventOutcome::Acked).then_some(sequence));
            assert!(settle_one(store, "s", (sequence, turn), outcome, now).await);
        }
    }
    acked
}

pub async fn events_that_are_returned_or_left_to_expire_leave_the_others_their_part_of_every_pull(
    store: Arc<dyn Store>,
) {
    for (max, returns) in [(1, true), (1, false), (5, true), (5, false)] {
        let acked = read_on(&store, max, returns).await;
        assert_eq!(acked.len(), 95, "{max} at a time, returned: {returns}");
        assert!(acked.is_sorted());
        perform(&store, SubscriptionAct::Delete).await.unwrap();
    }
}

pub async fn a_pulled_event_that_is_never_acknowledged_is_a_dead_letter_after_its_ladder(store: Arc<dyn Store>) {
    subscribe(&store, "s", &["t"]).await;
    let returned = append(&store, "returned", "t", "a").await;
    let expired = append(&store, "expired", "t", "b").await;
    let asked = append(&store, "asked", "t", "c").await;
    let behind = append(&store, "behind", "t", "b").await;
    let mut now = 0;
    // An hour is more than any wait.
    for turn in 1..=i64::from(Ladder::PULL_ATTEMPTS) {
        now = turn * 3_600_000;
        let taken = take(&store, "s", 10, turn, now).await;
        assert_eq!(record(&store, "s").await.dead_letters, 0, "attempt {turn}");
        for one in &taken.events {
            let sequence = one.event.head.sequence;
            let error = (sequence == asked).then(|| "not now".to_owned());
            if sequence == returned || sequence == asked {
                let again = EventOutcome::Again { due_at: t(now), error };
                assert!(settle_one(&store, "s", (sequence, turn), again, now).await);
            }
        }
        let ids = ids(&taken);
        assert!(
            ids.contains(&"returned".to_owned()) && ids.contains(&"expired".to_owned()),
            "{ids:?}"
        );
    }
    let after = take(&store, "s", 10, 99, now + 3_600_000).await;
    assert_eq!(ids(&after), ["behind"]);
    assert!(settle_one(&store, "s", (behind, 99), EventOutcome::Acked, now + 3_600_000).await);
    let letters = store.list_dead_letters("s", EventSequence(0), 10).await.unwrap();
    let letters: Vec<_> = letters
        .iter()
        .map(|one| (one.sequence, one.attempts, one.error.as_str()))
        .collect();
    let never = "it was handed out 20 times and never acknowledged";
    assert_eq!(
        letters,
        [(returned, 20, never), (expired, 20, never), (asked, 20, "not now")]
    );
    // A person may send them again, as if for the first time.
    perform(&store, SubscriptionAct::RetryDeadLetters(None)).await.unwrap();
    let again = take(&store, "s", 10, 100, now + 3_600_001).await;
    assert!(
        again.events.len() == 3 && again.events.iter().all(|one| one.attempt == 1),
        "{again:?}"
    );
}

pub async fn an_event_that_is_returned_waits_as_long_as_it_was_asked_for_or_longer(store: Arc<dyn Store>) {
    subscribe(&store, "s", &["t"]).await;
    let event = append(&store, "1", "t", "a").await;
    let take_it = async |token: i64, now: i64| take(&store, "s", 1, token, now).await;
    let return_it = async |token: i64, now: i64, delay: i64| {
        let again = EventOutcome::Again {
            due_at: t(now + delay),
            error: None,
        };
        assert!(settle_one(&store, "s", (event, token), again, now).await);
    };
    // At once for the first time, and not so soon the next time.
    assert_eq!(ids(&take_it(1, 0).await), ["1"]);
    return_it(1, 0, 0).await;
    assert_eq!(ids(&take_it(2, 0).await), ["1"]);
    return_it(2, 0, 0).await;
    let waiting = take_it(3, 0).await;
    let due = waiting.next_due.unwrap();
    assert!(
        waiting.events.is_empty() && due >= t(900) && due <= t(1_100),
        "{waiting:?}"
    );
    assert_eq!(ids(&take_it(4, 1_100).await), ["1"]);
    return_it(4, 1_100, 60_000).await;
    assert_eq!(take_it(5, 1_100).await.next_due, Some(t(61_100)));
}

pub async fn a_key_that_is_left_to_expire_stops_no_other_key(store: Arc<dyn Store>) {
    let spec = SubscriptionSpec {
        max_outstanding: 6,
        ..pulled("s", &["t"])
    };
    store.put_subscription(&spec, EventStart::Beginning, T0).await.unwrap();
    let other = append_many(&store, 12, "bad", "bad").await;
    assert_eq!(take(&store, "s", 10, 1, 0).await.events.len(), 6);
    let taken = take(&store, "s", 10, 2, 1_000).await;
    assert_eq!(ids(&taken), ["bad-0", "bad-12"]);
    assert!(settle_one(&store, "s", (other, 2), EventOutcome::Acked, 1_000).await);
    // What waits is in its order, and the lag does not grow.
    let first = taken.events[0].event.head.sequence;
    assert!(settle_one(&store, "s", (first, 2), EventOutcome::Acked, 1_000).await);
    assert_eq!(ids(&take(&store, "s", 10, 3, 1_000).await), ["bad-1"]);
    assert_eq!(record(&store, "s").await.position, other);
}

pub async fn dead_letters_that_are_sent_again_during_a_replay_come_once_and_are_acknowledged(store: Arc<dyn Store>) {
    subscribe(&store, "s", &["t"]).await;
    let last = append_many(&store, 39, "", "e").await;
    let events = take(&store, "s", 100, 1, 0).await.events;
    assert_eq!(events.len(), 40);
    for (place, one) in events.iter().enumerate() {
        let outcome = match place % 10 {
            7 => EventOutcome::Dead {
                error: "400 Bad Request".to_owned(),
            },
            _ => EventOutcome::Acked,
        };
        assert!(settle_one(&store, "s", (one.event.head.sequence, 1), outcome, 1).await);
    }
    let replay = SubscriptionCommand::Replay(EventStart::Beginning);
    perform(&store, SubscriptionAct::Command(replay)).await.unwrap();
    perform(&store, SubscriptionAct::RetryDeadLetters(None)).await.unwrap();
    let mut got = Vec::new();
    for turn in 2..20 {
        for one in take(&store, "s", 7, turn, turn).await.events {
            let sequence = one.event.head.sequence;
            assert!(
                settle_one(&store, "s", (sequence, turn), EventOutcome::Acked, turn).await,
                "{sequence} is stale"
            );
            got.push(sequence);
        }
    }
    let all: Vec<EventSequence> = events.iter().map(|one| one.event.head.sequence).collect();
    assert_eq!(got, all);
    let shown = record(&store, "s").await;
    assert!(shown.position >= last, "{shown:?}");
    assert_eq!((shown.outstanding, shown.dead_letters), (0, 0));
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_redelivery {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            redelivery: events_that_are_returned_or_left_to_expire_leave_the_others_their_part_of_every_pull,
            a_pulled_event_that_is_never_acknowledged_is_a_dead_letter_after_its_ladder,
            an_event_that_is_returned_waits_as_long_as_it_was_asked_for_or_longer,
            a_key_that_is_left_to_expire_stops_no_other_key,
            dead_letters_that_are_sent_again_during_a_replay_come_once_and_are_acknowledged,
        );
    };
}
