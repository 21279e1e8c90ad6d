//! Cases: the log of events.

use std::sync::Arc;

use super::*;
use crate::{EventFilter, EventReading, EventStart, SettleRequest, Store};
use tideline_core::rules::EventRetention;
use tideline_core::words::{
    CycleEnd, CycleState, DeliveryId, EventGap, EventRecord, EventSequence, NewEvent, Settlement, Verdict,
};

async fn read_after(store: &Arc<dyn Store>, after: EventSequence) -> EventReading {
    store
        .list_events_after(after, &EventFilter::default(), 10_000)
        .await
        .unwrap()
}

async fn all_events(store: &Arc<dyn Store>) -> Vec<EventRecord> {
    read_after(store, EventSequence(0)).await.events
}

fn keep(before: i64, max_bytes: u64) -> EventRetention {
    EventRetention {
        before: t(before),
        max_bytes,
        unseen_before: t(before),
        unseen_max_bytes: max_bytes,
    }
}

pub async fn an_event_is_read_as_it_was_appended(store: Arc<dyn Store>) {
    let event = NewEvent {
        headers: vec![
            ("x-github-event".to_owned(), "push".to_owned()),
            ("accept".to_owned(), "a".to_owned()),
            ("accept".to_owned(), "\"b\"".to_owned()),
        ],
        body: r#"{"repository":{"full_name":"a/b"}}"#.repeat(200).into_bytes(),
        trace: Some("00-1-2-01".to_owned()),
        ..delivery("github", "1")
    };
    let appended = store.append_events(std::slice::from_ref(&event), t(7)).await.unwrap();
    let found = store.find_event(appended[0].sequence).await.unwrap().unwrap();
    assert_eq!(all_events(&store).await, std::slice::from_ref(&found));
    assert_eq!(found.headers, event.headers);
    assert_eq!(found.body, event.body);
    let head = found.head;
    assert_eq!((head.topic, head.key), (event.topic, event.key));
    assert_eq!((head.delivery, head.verdict), (event.delivery, Verdict::Verified));
    assert_eq!((head.created_at, head.malformed), (t(7), false));
    assert_eq!((head.body_bytes, head.trace), (event.body.len() as u64, event.trace));
    assert_eq!(store.find_event(EventSequence(999)).await.unwrap(), None);
}

pub async fn a_malformed_body_of_any_bytes_comes_back(store: Arc<dyn Store>) {
    let event = NewEvent {
        malformed: true,
        body: vec![0, 255, 10, 0],
        ..delivery("github", "1")
    };
    store.append_events(std::slice::from_ref(&event), T0).await.unwrap();
    let found = only(all_events(&store).await);
    assert!(found.head.malformed);
    assert_eq!(found.body, event.body);
}

pub async fn a_delivery_is_in_the_log_once_however_often_it_comes(store: Arc<dyn Store>) {
    let first = store
        .append_events(
            &[
                delivery("github", "1"),
                delivery("github", "1"),
                delivery("github", "2"),
            ],
            T0,
        )
        .await
        .unwrap();
    assert_eq!(first[0].sequence, first[1].sequence);
    assert_eq!(
        first.iter().map(|one| one.duplicate).collect::<Vec<_>>(),
        [false, true, false]
    );
    // Another hook has ids of its own.
    let again = store
        .append_events(
            &[
                delivery("github", "2"),
                delivery("gitlab", "1"),
                delivery("github", "1"),
            ],
            t(1),
        )
        .await
        .unwrap();
    assert_eq!((again[0].sequence, again[0].duplicate), (first[2].sequence, true));
    assert!(!again[1].duplicate);
    assert_eq!((again[2].sequence, again[2].duplicate), (first[0].sequence, true));
    assert_eq!(all_events(&store).await.len(), 3);
    let known = DeliveryId {
        hook: "github".to_owned(),
        id: "2".to_owned(),
    };
    assert_eq!(store.find_delivery(&known).await.unwrap(), Some(first[2].sequence));
    let unknown = DeliveryId {
        hook: "gitlab".to_owned(),
        id: "2".to_owned(),
    };
    assert_eq!(store.find_delivery(&unknown).await.unwrap(), None);
}

pub async fn events_without_a_delivery_are_all_written_in_order(store: Arc<dyn Store>) {
    let published = |key: &str| NewEvent {
        delivery: None,
        verdict: Verdict::Published,
        key: key.to_owned(),
        ..delivery("", "")
    };
    let batch = [published("a"), delivery("github", "1"), published("a"), published("b")];
    let appended = store.append_events(&batch, T0).await.unwrap();
    let mut sorted = appended.clone();
    sorted.sort_by_key(|one| one.sequence);
    assert_eq!(appended, sorted);
    let keys: Vec<_> = all_events(&store)
        .await
        .into_iter()
        .map(|event| event.head.key)
        .collect();
    assert_eq!(keys, ["a", "about-1", "a", "b"]);
}

pub async fn a_reader_follows_its_topics_and_goes_on_where_it_stopped(store: Arc<dyn Store>) {
    for number in 0..6 {
        let mut event = delivery("github", &number.to_string());
        event.topic = if number % 2 == 0 { "github.push" } else { "gitlab.push" }.to_owned();
        store.append_events(&[event], t(number)).await.unwrap();
    }
    let filter = EventFilter {
        topics: vec!["github.*".parse().unwrap()],
        ..Default::default()
    };
    let first = store.list_events_after(EventSequence(0), &filter, 2).await.unwrap();
    let ids = |reading: &EventReading| -> Vec<String> {
        let ids = reading.events.iter().filter_map(|event| event.head.delivery.clone());
        ids.map(|delivery| delivery.id).collect()
    };
    assert_eq!((ids(&first), first.more), (vec!["0".to_owned(), "2".to_owned()], true));
    let second = store.list_events_after(first.next, &filter, 2).await.unwrap();
    assert_eq!((ids(&second), second.more), (vec!["4".to_owned()], false));
    // Past what it does not follow, too.
    assert_eq!(second.next, store.event_bounds().await.unwrap().last);
    let newest = store.list_events_before(None, &filter, 2).await.unwrap();
    let topics: Vec<_> = newest
        .events
        .iter()
        .map(|head| head.delivery.clone().unwrap().id)
        .collect();
    assert_eq!(topics, ["4", "2"]);
    let rest = store.list_events_before(newest.next, &filter, 2).await.unwrap();
    assert_eq!((rest.events.len(), rest.next), (1, None));
}

pub async fn a_reader_begins_now_at_the_beginning_or_at_a_moment(store: Arc<dyn Store>) {
    assert_eq!(
        store.find_event_start(EventStart::At(T0)).await.unwrap(),
        EventSequence(0)
    );
    for number in 0..3 {
        let event = delivery("github", &number.to_string());
        store.append_events(&[event], t(number * 10)).await.unwrap();
    }
    let last = store.event_bounds().await.unwrap().last;
    assert_eq!(store.find_event_start(EventStart::Now).await.unwrap(), last);
    for (start, count) in [
        (EventStart::Beginning, 3),
        (EventStart::At(t(10)), 2),
        (EventStart::At(t(11)), 1),
        (EventStart::At(t(21)), 0),
    ] {
        let after = store.find_event_start(start).await.unwrap();
        assert_eq!(read_after(&store, after).await.events.len(), count, "{start:?}");
    }
}

pub async fn dropped_events_are_told_to_a_reader_that_missed_them(store: Arc<dyn Store>) {
    let mut places = vec![];
    for number in 0..4 {
        let event = delivery("github", &number.to_string());
        places.push(store.append_events(&[event], t(number * 10)).await.unwrap()[0].sequence);
    }
    let bytes = store.event_bounds().await.unwrap().bytes;
    assert!(bytes > 0);
    assert_eq!(store.prune_events(&keep(0, bytes), &[], 100).await.unwrap(), 0);
    assert_eq!(store.prune_events(&keep(20, bytes), &[], 100).await.unwrap(), 2);
    let gap = EventGap {
        after: places[0],
        up_to: places[1],
    };
    let late = read_after(&store, places[0]).await;
    assert_eq!((late.missed, late.events.len()), (Some(gap), 2));
    // Who has seen them, and who is new, misses nothing.
    assert_eq!(read_after(&store, places[1]).await.missed, None);
    assert_eq!(read_after(&store, EventSequence(0)).await.missed, None);
    // By bytes: the oldest go.
    let left = store.event_bounds().await.unwrap().bytes;
    assert!(left < bytes);
    assert_eq!(store.prune_events(&keep(0, left - 1), &[], 100).await.unwrap(), 1);
    assert_eq!(only(all_events(&store).await).head.sequence, places[3]);
    assert_eq!(store.prune_events(&keep(1_000, 0), &[], 100).await.unwrap(), 1);
    let bounds = store.event_bounds().await.unwrap();
    assert_eq!((bounds.pruned_to, bounds.last, bounds.bytes), (places[3], places[3], 0));
}

pub async fn a_reader_that_follows_misses_no_event_while_many_append(store: Arc<dyn Store>) {
    const WRITERS: i64 = 6;
    const BATCHES: i64 = 15;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for batch in 0..BATCHES {
                    let id = |n: i64| format!("{writer}-{batch}-{n}");
                    let events: Vec<_> = (0..3).map(|n| delivery("github", &id(n))).collect();
                    store.append_events(&events, T0).await.unwrap();
                    // The neighbor's too: only one of the two writes it.
                    let shared = delivery("shared", &batch.to_string());
                    store.append_events(&[shared], T0).await.unwrap();
                }
            })
        })
        .collect();
    let expected = usize::try_from(WRITERS * BATCHES * 3 + BATCHES).unwrap();
    let mut seen: Vec<EventSequence> = vec![];
    let mut after = EventSequence(0);
    let reading = async {
        while seen.len() < expected {
            let found = store
                .list_events_after(after, &EventFilter::default(), 7)
                .await
                .unwrap();
            after = found.next;
            seen.extend(found.events.iter().map(|event| event.head.sequence));
            if found.events.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    };
    let deadline = std::time::Duration::from_secs(60);
    tokio::time::timeout(deadline, reading)
        .await
        .expect("every event is seen");
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(seen.is_sorted());
    assert_eq!(seen.len(), expected);
    assert_eq!(all_events(&store).await.len(), expected);
}

pub async fn a_cycle_tells_of_its_start_and_its_end(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.reveal_and_finish(&store, &[], T0).await;
    let cycle = only(store.list_finished_cycles(10).await.unwrap());
    let end = |state| CycleEnd {
        state,
        reason: None,
        next_cycle_at: None,
    };
    for state in [CycleState::Sweeping, CycleState::Complete] {
        assert!(
            store
                .end_cycle(cycle.source, cycle.number, &end(state), t(5))
                .await
                .unwrap()
        );
    }
    let told = all_events(&store).await;
    let topics: Vec<_> = told.iter().map(|event| event.head.topic.as_str()).collect();
    assert_eq!(topics, ["cycle.started", "cycle.completed"]);
    assert_eq!(told[1].head.created_at, t(5));
    assert_eq!((told[1].head.key.as_str(), told[1].head.verdict), ("s", Verdict::Own));
    let body: serde_json::Value = serde_json::from_slice(&told[1].body).unwrap();
    assert_eq!((&body["source"], &body["cycle"]), (&"s".into(), &1.into()));
    assert!(body["totals"].is_object(), "{body}");
}

pub async fn a_blocked_source_and_a_parked_job_are_told_once(store: Arc<dyn Store>) {
    let source = add_source(&store, "s", 1).await;
    for _ in 0..2 {
        store.block_source(source, "the token is wrong").await.unwrap();
    }
    enqueue(&store, new_job("a", "1"), T0).await;
    let lease = claim_one(&store, "w", T0).await.lease();
    let parked = SettleRequest {
        lease,
        settlement: Settlement::Parked {
            error: "no such thing".to_owned(),
        },
    };
    store.settle(&[parked.clone(), parked], t(3)).await.unwrap();
    let told = all_events(&store).await;
    let topics: Vec<_> = told.iter().map(|event| event.head.topic.as_str()).collect();
    assert_eq!(topics, ["source.blocked", "job.parked"]);
    let body = |at: usize| -> serde_json::Value { serde_json::from_slice(&told[at].body).unwrap() };
    assert_eq!(body(0)["reason"], "the token is wrong");
    assert_eq!(
        (&body(1)["error"], &body(1)["key"]),
        (&"no such thing".into(), &"a".into())
    );
    assert_eq!(told[1].head.created_at, t(3));
}

pub async fn a_source_that_fails_three_times_in_a_day_is_told_once(store: Arc<dyn Store>) {
    const MINUTE: i64 = 60_000;
    let mut reader = begin(&store, "s", 1).await;
    // The first three are within an hour: one failure. A day after it was told it is told again.
    let moments = [0, 1, 30, 120, 240, 300, 400, 1_700, 1_800, 1_900];
    let told_by_then = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2];
    for (rung, (minute, told)) in (1..).zip(moments.into_iter().zip(told_by_then)) {
        let at = minute * MINUTE;
        let retry = Settlement::Retry {
            due_at: t(at + 1),
            rung,
            error: "503".to_owned(),
        };
        reader.settle(&store, retry, t(at)).await;
        let failing = EventFilter {
            topics: vec!["source.failing".parse().unwrap()],
            ..EventFilter::default()
        };
        let found = store.list_events_before(None, &failing, 10).await.unwrap().events;
        assert_eq!(found.len(), told, "after {minute} minutes");
        reader = Reader::new(only(claim_ingest(&store, "w", 10, t(at + 1)).await));
    }
    let events = all_events(&store).await;
    let first = events
        .iter()
        .find(|event| event.head.topic == "source.failing")
        .unwrap();
    let body: serde_json::Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(body, serde_json::json!({"source": "s", "error": "503", "failures": 3}));
    assert_eq!((first.head.key.as_str(), first.head.created_at), ("s", t(240 * MINUTE)));
}

pub async fn the_topics_between_two_places_are_listed_once_each(store: Arc<dyn Store>) {
    let event = |id: &str, topic: &str| NewEvent {
        topic: topic.to_owned(),
        ..delivery("h", id)
    };
    let events = [event("1", "a"), event("2", "b"), event("3", "b"), event("4", "c")];
    let places = store.append_events(&events, T0).await.unwrap();
    let mut between = store.list_topics(places[0].sequence, places[2].sequence).await.unwrap();
    assert_eq!(between, ["b"]);
    between = store.list_topics(EventSequence(0), places[3].sequence).await.unwrap();
    between.sort();
    assert_eq!(between, ["a", "b", "c"]);
}

/// Lists the cases.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_events {
    ($open:path) => {
        $crate::store_conformance_cases!($open, events:
            an_event_is_read_as_it_was_appended,
            a_malformed_body_of_any_bytes_comes_back,
            a_delivery_is_in_the_log_once_however_often_it_comes,
            events_without_a_delivery_are_all_written_in_order,
            a_reader_follows_its_topics_and_goes_on_where_it_stopped,
            a_reader_begins_now_at_the_beginning_or_at_a_moment,
            dropped_events_are_told_to_a_reader_that_missed_them,
            a_reader_that_follows_misses_no_event_while_many_append,
            a_cycle_tells_of_its_start_and_its_end,
            a_blocked_source_and_a_parked_job_are_told_once,
            a_source_that_fails_three_times_in_a_day_is_told_once,
            the_topics_between_two_places_are_listed_once_each,
        );
    };
}
