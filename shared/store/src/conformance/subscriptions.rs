//! Cases: subscriptions to the log of events.

use std::sync::Arc;

use super::*;
use crate::{
    Deed, EventFilter, EventStart, OperatorAct, Performed, Store, StoreError, SubscriptionAct, SubscriptionCommand,
};
use tideline_core::rules::EventRetention;
use tideline_core::words::{
    Actor, EventOutcome, EventSequence, NewEvent, PushFormat, PushSpec, SettleEvent, SubscriptionKind,
    SubscriptionRecord, SubscriptionSpec, SubscriptionState, TakeEvents, Taken,
};

pub(super) fn pulled(name: &str, topics: &[&str]) -> SubscriptionSpec {
    SubscriptionSpec {
        name: name.to_owned(),
        kind: SubscriptionKind::Pull,
        topics: topics.iter().map(|topic| topic.parse().unwrap()).collect(),
        max_outstanding: 100,
        filter: None,
        push: None,
        changes: None,
    }
}

pub(super) async fn subscribe(store: &Arc<dyn Store>, name: &str, topics: &[&str]) -> SubscriptionRecord {
    let spec = pulled(name, topics);
    store.put_subscription(&spec, EventStart::Beginning, T0).await.unwrap()
}

/// Appends `count` events of one key, then one of the key `last`, which is returned. Their deliveries are `prefix`, a
/// hyphen and a number.
pub(super) async fn append_many(store: &Arc<dyn Store>, count: usize, key: &str, prefix: &str) -> EventSequence {
    let event = |number: usize| NewEvent {
        topic: "t".to_owned(),
        key: (if number < count { key } else { "last" }).to_owned(),
        ..delivery("github", &format!("{prefix}-{number}"))
    };
    let events: Vec<NewEvent> = (0..=count).map(event).collect();
    let mut last = EventSequence(0);
    for batch in events.chunks(NewEvent::MAX_BATCH) {
        last = store.append_events(batch, T0).await.unwrap().last().unwrap().sequence;
    }
    last
}

pub(super) async fn append(store: &Arc<dyn Store>, id: &str, topic: &str, key: &str) -> EventSequence {
    let event = NewEvent {
        topic: topic.to_owned(),
        key: key.to_owned(),
        ..delivery("github", id)
    };
    only(store.append_events(&[event], T0).await.unwrap()).sequence
}

pub(super) async fn take(store: &Arc<dyn Store>, name: &str, max: u32, token: i64, now: i64) -> Taken {
    let request = TakeEvents {
        max,
        leased_until: t(now + 100),
        token,
        in_flight: None,
    };
    store.take_events(name, &request, t(now)).await.unwrap()
}

pub(super) fn ids(taken: &Taken) -> Vec<String> {
    let ids = taken
        .events
        .iter()
        .filter_map(|taken| taken.event.head.delivery.clone());
    ids.map(|delivery| delivery.id).collect()
}

pub(super) async fn settle_one(
    store: &Arc<dyn Store>,
    name: &str,
    (sequence, token): (EventSequence, i64),
    outcome: EventOutcome,
    now: i64,
) -> bool {
    let settlement = SettleEvent {
        sequence,
        token,
        outcome,
    };
    only(store.settle_events(name, &[settlement], t(now)).await.unwrap())
}

/// What a person does to `s`.
pub(super) async fn perform(store: &Arc<dyn Store>, act: SubscriptionAct) -> Result<Performed, StoreError> {
    let deed = Deed::ActOnSubscription {
        subscription: "s".to_owned(),
        act,
    };
    store.perform(&OperatorAct::new(deed, Actor::local("ann")), T0).await
}

pub(super) async fn record(store: &Arc<dyn Store>, name: &str) -> SubscriptionRecord {
    store.find_subscription(name).await.unwrap().unwrap()
}

pub async fn a_subscription_gets_its_topics_and_each_event_until_it_is_acknowledged(store: Arc<dyn Store>) {
    let first = append(&store, "1", "github.push", "a").await;
    append(&store, "2", "gitlab.push", "a").await;
    subscribe(&store, "s", &["github.*"]).await;
    append(&store, "3", "github.ping", "").await;
    let taken = take(&store, "s", 10, 7, 0).await;
    assert_eq!((ids(&taken), taken.more), (vec!["1".to_owned(), "3".to_owned()], false));
    assert_eq!(taken.events[0].event.body, b"{}");
    assert_eq!(take(&store, "s", 10, 8, 50).await.events, []);
    // The first one was not acknowledged, so it is redelivered; its previous holder is too late.
    assert!(
        settle_one(
            &store,
            "s",
            (taken.events[1].event.head.sequence, 7),
            EventOutcome::Acked,
            60
        )
        .await
    );
    let again = take(&store, "s", 10, 9, 100).await;
    assert_eq!((ids(&again), again.events[0].attempt), (vec!["1".to_owned()], 2));
    assert!(!settle_one(&store, "s", (first, 7), EventOutcome::Acked, 101).await);
    assert!(settle_one(&store, "s", (first, 9), EventOutcome::Acked, 101).await);
    let shown = record(&store, "s").await;
    assert_eq!(
        (shown.outstanding, shown.position),
        (0, store.event_bounds().await.unwrap().last)
    );
}

pub async fn events_of_one_key_reach_a_subscription_in_order_and_a_failing_key_holds_up_no_other(
    store: Arc<dyn Store>,
) {
    subscribe(&store, "s", &["t"]).await;
    let first = append(&store, "1", "t", "a").await;
    append(&store, "2", "t", "a").await;
    append(&store, "3", "t", "b").await;
    assert_eq!(ids(&take(&store, "s", 1, 1, 0).await), ["1"]);
    assert_eq!(ids(&take(&store, "s", 10, 2, 0).await), ["3"]);
    let failed = EventOutcome::Again {
        due_at: t(50),
        error: Some("500 Internal Server Error".to_owned()),
    };
    assert!(settle_one(&store, "s", (first, 1), failed, 1).await);
    let waiting = take(&store, "s", 10, 3, 49).await;
    assert_eq!((waiting.events.len(), waiting.next_due), (0, Some(t(50))));
    let shown = record(&store, "s").await;
    assert_eq!(shown.failing_since, Some(t(1)));
    assert_eq!(shown.last_error.as_deref(), Some("500 Internal Server Error"));
    // It failed before, so it comes alone.
    assert_eq!(ids(&take(&store, "s", 10, 4, 50).await), ["1"]);
    assert!(settle_one(&store, "s", (first, 4), EventOutcome::Acked, 51).await);
    assert_eq!(ids(&take(&store, "s", 10, 5, 51).await), ["2"]);
    assert_eq!(record(&store, "s").await.failing_since, None);
    let failing = EventFilter {
        topics: vec!["subscription.failing".parse().unwrap()],
        ..Default::default()
    };
    let told = store.list_events_before(None, &failing, 10).await.unwrap().events;
    assert_eq!(only(told).created_at, t(1));
}

pub async fn a_given_up_event_is_a_dead_letter_until_a_person_sends_it_again(store: Arc<dyn Store>) {
    subscribe(&store, "s", &["t"]).await;
    let first = append(&store, "1", "t", "a").await;
    append(&store, "2", "t", "a").await;
    assert_eq!(take(&store, "s", 10, 1, 0).await.events.len(), 2);
    let dead = EventOutcome::Dead {
        error: "400 Bad Request".to_owned(),
    };
    assert!(settle_one(&store, "s", (first, 1), dead, 5).await);
    let letter = only(store.list_dead_letters("s", EventSequence(0), 10).await.unwrap());
    assert_eq!((letter.sequence, letter.attempts, letter.died_at), (first, 1, t(5)));
    assert_eq!(
        (letter.error.as_str(), letter.event.unwrap().key.as_str()),
        ("400 Bad Request", "a")
    );
    assert_eq!(record(&store, "s").await.dead_letters, 1);
    let told = EventFilter {
        topics: vec!["subscription.dead_letter".parse().unwrap()],
        ..Default::default()
    };
    assert_eq!(store.list_events_before(None, &told, 10).await.unwrap().events.len(), 1);
    perform(&store, SubscriptionAct::RetryDeadLetters(Some(first)))
        .await
        .unwrap();
    assert_eq!(record(&store, "s").await.dead_letters, 0);
    let again = take(&store, "s", 10, 2, 6).await;
    assert_eq!((ids(&again), again.events[0].attempt), (vec!["1".to_owned()], 1));
}

pub async fn keys_that_keep_failing_are_given_up_when_they_fill_the_room_and_others_go_on(store: Arc<dyn Store>) {
    subscribe(&store, "s", &["t"]).await;
    let bad = append(&store, "bad", "t", "bad").await;
    append(&store, "good", "t", "good").await;
    // All of them wait behind the first: 100 may be outstanding, and 2,000 more may wait.
    let last = append_many(&store, 2_120, "bad", "bad").await;
    for now in [0_i64, 10_000, 20_000] {
        let taken = take(&store, "s", 1_000, now + 1, now).await;
        for one in taken.events {
            let outcome = match one.event.head.key.as_str() {
                "bad" => EventOutcome::Again {
                    due_at: t(now + 50),
                    error: Some("500".to_owned()),
                },
                _ => EventOutcome::Acked,
            };
            let sequence = one.event.head.sequence;
            assert!(settle_one(&store, "s", (sequence, now + 1), outcome, now + 1).await);
        }
    }
    assert_eq!(record(&store, "s").await.dead_letters, 0);
    let mut reached = take(&store, "s", 1_000, 9, 20_001).await;
    assert!(
        reached.events.iter().any(|one| one.event.head.sequence == last),
        "{reached:?}"
    );
    reached.events.retain(|one| one.event.head.sequence <= bad);
    assert_eq!(reached.events, []);
    let letters = store.list_dead_letters("s", EventSequence(0), 1_000).await.unwrap();
    assert_eq!((letters[0].sequence, letters[0].attempts), (bad, 3));
    assert!(
        letters[1].error.contains(&format!("behind event {bad}")),
        "{}",
        letters[1].error
    );
}

pub async fn a_paused_or_blocked_subscription_gets_nothing_and_goes_on_where_it_stopped(store: Arc<dyn Store>) {
    subscribe(&store, "s", &["t"]).await;
    append(&store, "1", "t", "").await;
    let command = |command| {
        let store = Arc::clone(&store);
        async move { store.command_subscription("s", &command).await }
    };
    for stop in [
        SubscriptionCommand::Pause,
        SubscriptionCommand::Block("410 Gone".to_owned()),
    ] {
        command(stop).await.unwrap();
        assert_eq!(take(&store, "s", 10, 1, 0).await.events, []);
    }
    let shown = record(&store, "s").await;
    assert_eq!(shown.state, SubscriptionState::Blocked);
    assert_eq!(shown.blocked_reason.as_deref(), Some("410 Gone"));
    command(SubscriptionCommand::Resume).await.unwrap();
    assert!(matches!(
        command(SubscriptionCommand::Resume).await,
        Err(StoreError::Refused(_))
    ));
    assert_eq!(ids(&take(&store, "s", 10, 1, 0).await), ["1"]);
    // Once more from the beginning.
    command(SubscriptionCommand::Replay(EventStart::Beginning))
        .await
        .unwrap();
    assert_eq!(ids(&take(&store, "s", 10, 2, 0).await), ["1"]);
    perform(&store, SubscriptionAct::Delete).await.unwrap();
    assert!(matches!(
        perform(&store, SubscriptionAct::Delete).await,
        Err(StoreError::NotFound { .. })
    ));
    assert_eq!(store.list_subscriptions().await.unwrap(), []);
}

pub async fn a_subscription_that_exists_keeps_its_place_when_it_is_put_again(store: Arc<dyn Store>) {
    append(&store, "1", "t", "").await;
    let before = subscribe(&store, "s", &["t"]).await;
    let taken = take(&store, "s", 10, 1, 0).await;
    let sequence = taken.events[0].event.head.sequence;
    settle_one(&store, "s", (sequence, 1), EventOutcome::Acked, 1).await;
    let after = subscribe(&store, "s", &["t", "u"]).await;
    assert_eq!((after.position, after.topics.len()), (sequence, 2));
    assert_eq!(after.created_at, before.created_at);
    append(&store, "2", "u", "").await;
    assert_eq!(ids(&take(&store, "s", 10, 2, 2).await), ["2"]);
}

pub async fn what_a_follower_from_inside_has_not_seen_is_kept(store: Arc<dyn Store>) {
    let first = append(&store, "1", "t", "").await;
    append(&store, "2", "t", "").await;
    let retention = EventRetention {
        before: t(1_000),
        max_bytes: 1,
        unseen_before: t(-1_000),
        unseen_max_bytes: 1 << 20,
    };
    assert_eq!(
        store.prune_events(&retention, &["refresh"], 100).await.unwrap(),
        0,
        "it never moved"
    );
    assert!(store.move_position("refresh", None, first).await.unwrap());
    assert_eq!(store.prune_events(&retention, &["refresh"], 100).await.unwrap(), 1);
    assert_eq!(
        store.prune_events(&retention, &[], 100).await.unwrap(),
        1,
        "nobody follows"
    );
}

pub async fn what_a_live_subscription_has_not_seen_is_kept_and_what_it_missed_is_told_once(store: Arc<dyn Store>) {
    subscribe(&store, "s", &["t"]).await;
    let first = append(&store, "1", "t", "").await;
    append(&store, "2", "t", "").await;
    let retention = EventRetention {
        before: t(1_000),
        max_bytes: 1 << 20,
        unseen_before: t(-1_000),
        unseen_max_bytes: 1 << 20,
    };
    assert_eq!(store.prune_events(&retention, &[], 100).await.unwrap(), 0);
    let taken = take(&store, "s", 1, 1, 0).await;
    settle_one(
        &store,
        "s",
        (taken.events[0].event.head.sequence, 1),
        EventOutcome::Acked,
        1,
    )
    .await;
    assert_eq!(store.prune_events(&retention, &[], 100).await.unwrap(), 1);
    // After the limit it goes all the same.
    let limit = EventRetention {
        unseen_before: t(1_000),
        ..retention
    };
    assert_eq!(store.prune_events(&limit, &[], 100).await.unwrap(), 1);
    let late = take(&store, "s", 10, 2, 2).await;
    assert_eq!(
        (late.missed_to, late.events.len()),
        (Some(EventSequence(first.0 + 1)), 0)
    );
    assert_eq!(take(&store, "s", 10, 3, 3).await.missed_to, None);
    assert_eq!(record(&store, "s").await.missed_to, Some(EventSequence(first.0 + 1)));
}

fn push_spec(sealed: &str) -> SubscriptionSpec {
    SubscriptionSpec {
        name: "s".to_owned(),
        kind: SubscriptionKind::Push,
        topics: vec![],
        max_outstanding: 100,
        filter: Some(".key != \"\"".to_owned()),
        push: Some(PushSpec {
            format: PushFormat::Slack,
            shown_url: "https://example.com".to_owned(),
            sealed: sealed.to_owned(),
            in_flight: 2,
        }),
        changes: None,
    }
}

pub async fn no_more_is_in_flight_than_a_push_allows_whoever_takes(store: Arc<dyn Store>) {
    subscribe(&store, "s", &["t"]).await;
    for number in 1..=5 {
        append(&store, &number.to_string(), "t", &number.to_string()).await;
    }
    let take = async |token: i64, now: i64| {
        let request = TakeEvents {
            max: 10,
            leased_until: t(now + 100),
            token,
            in_flight: Some(3),
        };
        store.take_events("s", &request, t(now)).await.unwrap()
    };
    let first = take(1, 0).await;
    assert_eq!(ids(&first), ["1", "2", "3"]);
    assert_eq!(take(2, 1).await.events, []);
    let sequence = first.events[1].event.head.sequence;
    assert!(settle_one(&store, "s", (sequence, 1), EventOutcome::Skipped, 2).await);
    assert_eq!(ids(&take(3, 3).await), ["4"]);
    // The leases of the first taker are over, and so are its places. One is for what was not tried yet.
    assert_eq!(ids(&take(4, 100).await), ["1", "5"]);
    let failed = EventOutcome::Again {
        due_at: t(90_000),
        error: None,
    };
    assert!(settle_one(&store, "s", (first.events[0].event.head.sequence, 4), failed, 101).await);
    assert_eq!(record(&store, "s").await.next_try, Some(t(90_000)));
}

pub async fn a_push_shows_where_it_is_sent_and_a_change_of_that_raises_its_generation(store: Arc<dyn Store>) {
    let spec = push_spec("v1.abc");
    let made = store.put_subscription(&spec, EventStart::Beginning, T0).await.unwrap();
    assert_eq!((made.push, made.filter), (spec.push.clone(), spec.filter.clone()));
    let same = store.put_subscription(&spec, EventStart::Beginning, T0).await.unwrap();
    assert_eq!(same.generation, made.generation);
    let other = store
        .put_subscription(&push_spec("v1.def"), EventStart::Beginning, T0)
        .await;
    assert_eq!(other.unwrap().generation, made.generation + 1);
    let replay = SubscriptionCommand::Replay(EventStart::Beginning);
    store.command_subscription("s", &replay).await.unwrap();
    let shown = record(&store, "s").await;
    assert_eq!((shown.generation, shown.behind_since), (made.generation + 2, None));
    append(&store, "1", "t", "").await;
    assert_eq!(record(&store, "s").await.behind_since, Some(T0));
}

pub async fn a_failing_push_is_switched_off_only_if_it_still_fails_since_then(store: Arc<dyn Store>) {
    store
        .put_subscription(&push_spec("v1.abc"), EventStart::Beginning, T0)
        .await
        .unwrap();
    let first = append(&store, "1", "t", "a").await;
    take(&store, "s", 1, 1, 0).await;
    let failed = EventOutcome::Again {
        due_at: t(50),
        error: Some("500".to_owned()),
    };
    assert!(settle_one(&store, "s", (first, 1), failed, 7).await);
    let block = async |since: i64| {
        let command = SubscriptionCommand::BlockFailing(t(since), "it fails".to_owned());
        store.command_subscription("s", &command).await.unwrap();
        record(&store, "s").await
    };
    assert_eq!(block(6).await.state, SubscriptionState::Active);
    let blocked = block(7).await;
    assert_eq!(blocked.state, SubscriptionState::Blocked);
    assert_eq!(blocked.blocked_reason.as_deref(), Some("it fails"));
}

pub async fn what_people_were_told_is_known_for_each_thing_until_it_was_quiet(store: Arc<dyn Store>) {
    for name in ["s", "other"] {
        subscribe(&store, name, &["t"]).await;
    }
    for id in ["1", "2", "3"] {
        append(&store, id, "t", id).await;
    }
    let events = store
        .list_events_before(None, &EventFilter::default(), 3)
        .await
        .unwrap();
    let told = async |at: i64, key: &str, forget_before: i64| {
        let mut head = only(events.events.iter().filter(|head| head.key == key).cloned().collect());
        head.created_at = t(at);
        store.note_notice("s", &head, t(forget_before)).await.unwrap();
        head.sequence
    };
    let found = async |name: &str, key: &str| {
        let notice = store.find_notice(name, "t", key).await.unwrap();
        notice.map(|notice| (notice.sequence, notice.created_at))
    };
    assert_eq!(found("s", "1").await, None);
    let (one, two) = (told(1, "1", 0).await, told(2, "2", 0).await);
    assert_eq!(found("s", "1").await, Some((one, t(1))));
    assert_eq!(found("other", "1").await, None);
    told(5, "1", 0).await;
    assert_eq!(found("s", "1").await, Some((one, t(5))));
    assert_eq!(found("s", "2").await, Some((two, t(2))));
    told(6, "3", 5).await;
    assert_eq!(found("s", "2").await, None, "it was quiet");
    assert_eq!(found("s", "1").await, Some((one, t(5))));
    let unknown = store.note_notice("nobody", &events.events[0], T0).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_subscriptions {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            subscriptions: a_subscription_gets_its_topics_and_each_event_until_it_is_acknowledged,
            events_of_one_key_reach_a_subscription_in_order_and_a_failing_key_holds_up_no_other,
            a_given_up_event_is_a_dead_letter_until_a_person_sends_it_again,
            keys_that_keep_failing_are_given_up_when_they_fill_the_room_and_others_go_on,
            a_paused_or_blocked_subscription_gets_nothing_and_goes_on_where_it_stopped,
            a_subscription_that_exists_keeps_its_place_when_it_is_put_again,
            what_a_follower_from_inside_has_not_seen_is_kept,
            what_a_live_subscription_has_not_seen_is_kept_and_what_it_missed_is_told_once,
            no_more_is_in_flight_than_a_push_allows_whoever_takes,
            a_push_shows_where_it_is_sent_and_a_change_of_that_raises_its_generation,
            a_failing_push_is_switched_off_only_if_it_still_fails_since_then,
            what_people_were_told_is_known_for_each_thing_until_it_was_quiet,
        );
    };
}
