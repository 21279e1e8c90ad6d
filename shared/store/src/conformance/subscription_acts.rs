//! Cases: operators' acts on subscriptions, dead letters and events, and their records.

use std::sync::Arc;

use super::*;
use crate::{
    AuditFilter, AuditRecord, Deed, EventStart, Idempotency, OperatorAct, Outcome, Performed, Store, StoreError,
    SubscriptionAct, SubscriptionCommand,
};
use tideline_core::rules::subscription_version;
use tideline_core::words::{
    Actor, ChangesSpec, EventOutcome, EventSequence, NewEvent, PushFormat, PushSpec, SettleEvent, SubscriptionKind,
    SubscriptionSpec, SubscriptionState, TakeEvents, Verdict,
};

fn spec(name: &str) -> SubscriptionSpec {
    SubscriptionSpec {
        name: name.to_owned(),
        kind: SubscriptionKind::Pull,
        topics: vec!["github.*".parse().unwrap()],
        max_outstanding: 100,
        filter: None,
        push: None,
        changes: None,
    }
}

fn put(spec: SubscriptionSpec) -> SubscriptionAct {
    SubscriptionAct::Put {
        spec: Box::new(spec),
        start: EventStart::Beginning,
    }
}

fn deed(name: &str, act: SubscriptionAct) -> Deed {
    Deed::ActOnSubscription {
        subscription: name.to_owned(),
        act,
    }
}

async fn perform(store: &Arc<dyn Store>, name: &str, act: SubscriptionAct) -> Result<Performed, StoreError> {
    let act = OperatorAct::new(deed(name, act), Actor::local("ann"));
    store.perform(&act, T0).await
}

/// Oldest first.
async fn audit(store: &Arc<dyn Store>) -> Vec<AuditRecord> {
    let filter = AuditFilter {
        limit: 100,
        ..AuditFilter::default()
    };
    let mut records = store.list_audit(&filter).await.unwrap();
    records.reverse();
    records
}

async fn append(store: &Arc<dyn Store>, id: &str) -> EventSequence {
    let event = NewEvent {
        topic: "github.push".to_owned(),
        ..delivery("github", id)
    };
    only(store.append_events(&[event], T0).await.unwrap()).sequence
}

/// Events that are handed out now, and given up at once.
async fn give_up_all(store: &Arc<dyn Store>, name: &str) -> usize {
    let request = TakeEvents {
        max: 100,
        leased_until: t(100),
        token: 7,
        in_flight: None,
    };
    let taken = store.take_events(name, &request, T0).await.unwrap().events;
    let dead = taken.iter().map(|taken| SettleEvent {
        sequence: taken.event.head.sequence,
        token: 7,
        outcome: EventOutcome::Dead {
            error: "400 Bad Request".to_owned(),
        },
    });
    store.settle_events(name, &dead.collect::<Vec<_>>(), T0).await.unwrap();
    taken.len()
}

async fn count_letters(store: &Arc<dyn Store>, name: &str) -> usize {
    store
        .list_dead_letters(name, EventSequence(0), 100)
        .await
        .unwrap()
        .len()
}

pub async fn every_act_on_a_subscription_is_written_down_with_who_did_it(store: Arc<dyn Store>) {
    let acts = [
        put(spec("s")),
        SubscriptionAct::Command(SubscriptionCommand::Pause),
        SubscriptionAct::Command(SubscriptionCommand::Resume),
        SubscriptionAct::Command(SubscriptionCommand::Replay(EventStart::Now)),
        SubscriptionAct::RetryDeadLetters(None),
        SubscriptionAct::DropDeadLetters(None),
        SubscriptionAct::Delete,
    ];
    let names: Vec<&str> = acts.iter().map(SubscriptionAct::name).collect();
    for act in acts {
        perform(&store, "s", act).await.unwrap();
    }
    assert_eq!(store.list_subscriptions().await.unwrap(), []);
    let records = audit(&store).await;
    let written: Vec<&str> = records.iter().map(|record| record.act.as_str()).collect();
    assert_eq!(written, names);
    for record in &records {
        assert_eq!((record.target.as_str(), &record.refused), ("s", &None));
        assert_eq!(record.actor, Actor::local("ann"));
    }
    let asked: serde_json::Value = serde_json::from_str(&records[0].arguments).unwrap();
    assert_eq!(asked["topics"], serde_json::json!(["github.*"]));
    assert!(records[3].arguments.contains("now"), "{}", records[3].arguments);
}

pub async fn a_refused_act_on_a_subscription_changes_nothing_and_is_written_down(store: Arc<dyn Store>) {
    perform(&store, "s", put(spec("s"))).await.unwrap();
    let before = store.find_subscription("s").await.unwrap();
    let pushed = SubscriptionSpec {
        kind: SubscriptionKind::Push,
        topics: vec![],
        push: Some(PushSpec {
            format: PushFormat::Event,
            shown_url: "https://example.com".to_owned(),
            sealed: "v1.hidden".to_owned(),
            in_flight: 2,
        }),
        ..spec("s")
    };
    let changes = SubscriptionSpec {
        topics: vec![],
        changes: Some(ChangesSpec::default()),
        ..spec("s")
    };
    let refused = [
        put(pushed),
        put(changes),
        SubscriptionAct::Command(SubscriptionCommand::Resume),
    ];
    for act in refused {
        let answer = perform(&store, "s", act).await;
        assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    }
    let missing = [
        ("s", SubscriptionAct::RetryDeadLetters(Some(EventSequence(9)))),
        ("s", SubscriptionAct::DropDeadLetters(Some(EventSequence(9)))),
        ("nowhere", SubscriptionAct::Delete),
        ("nowhere", SubscriptionAct::DropDeadLetters(None)),
    ];
    for (name, act) in missing {
        let answer = perform(&store, name, act).await;
        assert!(matches!(answer, Err(StoreError::NotFound { .. })), "{answer:?}");
    }
    assert_eq!(store.find_subscription("s").await.unwrap(), before);
    let records = audit(&store).await;
    let refused = records.iter().filter(|record| record.refused.is_some());
    assert_eq!((records.len(), refused.count()), (8, 7));
    let hidden = records.iter().any(|record| record.arguments.contains("hidden"));
    assert!(!hidden, "what is sealed is no business of the audit log");
}

pub async fn dead_letters_are_sent_again_or_dropped_one_by_one_and_all(store: Arc<dyn Store>) {
    perform(&store, "s", put(spec("s"))).await.unwrap();
    let first = append(&store, "1").await;
    let second = append(&store, "2").await;
    append(&store, "3").await;
    append(&store, "4").await;
    assert_eq!(give_up_all(&store, "s").await, 4);
    let count = async |act| match perform(&store, "s", act).await.unwrap().outcome {
        Outcome::DeadLetters { count } => count,
        other => panic!("{other:?}"),
    };
    assert_eq!(count(SubscriptionAct::DropDeadLetters(Some(first))).await, 1);
    assert_eq!(count(SubscriptionAct::RetryDeadLetters(Some(second))).await, 1);
    assert_eq!(count_letters(&store, "s").await, 2);
    // What was dropped does not come back, what is sent again does.
    assert_eq!(give_up_all(&store, "s").await, 1);
    assert_eq!(count(SubscriptionAct::RetryDeadLetters(None)).await, 3);
    assert_eq!(give_up_all(&store, "s").await, 3);
    assert_eq!(count(SubscriptionAct::DropDeadLetters(None)).await, 3);
    assert_eq!(
        (count_letters(&store, "s").await, give_up_all(&store, "s").await),
        (0, 0)
    );
}

pub async fn a_subscription_is_made_once_for_its_key_and_changed_only_as_it_was_read(store: Arc<dyn Store>) {
    let key = |act: SubscriptionAct| {
        let deed = deed("s", act);
        OperatorAct {
            idempotency: Some(Idempotency {
                key: "k".to_owned(),
                fingerprint: deed.fingerprint(),
            }),
            ..OperatorAct::new(deed, Actor::local("ann"))
        }
    };
    assert!(!store.perform(&key(put(spec("s"))), T0).await.unwrap().repeated);
    assert!(store.perform(&key(put(spec("s"))), T0).await.unwrap().repeated);
    let other = key(put(SubscriptionSpec {
        filter: Some("true".to_owned()),
        ..spec("s")
    }));
    assert!(matches!(store.perform(&other, T0).await, Err(StoreError::KeyReused)));
    let read = store.find_subscription("s").await.unwrap().unwrap();
    // An event changes no version.
    append(&store, "1").await;
    give_up_all(&store, "s").await;
    perform(&store, "s", SubscriptionAct::DropDeadLetters(None))
        .await
        .unwrap();
    let expecting = |act: SubscriptionAct| OperatorAct {
        expected: Some(vec![subscription_version(&read)]),
        ..OperatorAct::new(deed("s", act), Actor::local("ann"))
    };
    let pause = || SubscriptionAct::Command(SubscriptionCommand::Pause);
    store.perform(&expecting(pause()), T0).await.unwrap();
    for act in [pause(), put(spec("s")), SubscriptionAct::Delete] {
        let answer = store.perform(&expecting(act), T0).await;
        assert!(matches!(answer, Err(StoreError::Changed { .. })), "{answer:?}");
    }
    let found = store.find_subscription("s").await.unwrap().unwrap();
    assert_eq!(found.state, SubscriptionState::Paused);
}

pub async fn an_event_is_replayed_under_an_id_of_its_own_and_written_down(store: Arc<dyn Store>) {
    let original = append(&store, "1").await;
    let replay = async |event| {
        let act = OperatorAct::new(Deed::ReplayEvent(event), Actor::local("ann"));
        store.perform(&act, t(5)).await
    };
    let Outcome::Appended { event } = replay(original).await.unwrap().outcome else {
        panic!("nothing was appended");
    };
    let original = store.find_event(original).await.unwrap().unwrap();
    let copy = store.find_event(event).await.unwrap().unwrap();
    assert_eq!((&copy.body, &copy.head.topic), (&original.body, &original.head.topic));
    assert_ne!(copy.head.delivery, original.head.delivery);
    let missing = replay(EventSequence(event.0 + 10)).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
    let own = NewEvent {
        delivery: None,
        verdict: Verdict::Own,
        ..delivery("x", "x")
    };
    let own = only(store.append_events(&[own], T0).await.unwrap()).sequence;
    assert!(matches!(replay(own).await, Err(StoreError::Refused(_))));
    let written: Vec<_> = audit(&store).await;
    let written: Vec<_> = written
        .iter()
        .map(|record| (record.act.as_str(), record.refused.is_some()))
        .collect();
    assert_eq!(
        written,
        [
            ("events.replay", false),
            ("events.replay", true),
            ("events.replay", true)
        ]
    );
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_subscription_acts {
    ($open:path) => {
        $crate::store_conformance_cases!($open, subscription_acts:
            every_act_on_a_subscription_is_written_down_with_who_did_it,
            a_refused_act_on_a_subscription_changes_nothing_and_is_written_down,
            dead_letters_are_sent_again_or_dropped_one_by_one_and_all,
            a_subscription_is_made_once_for_its_key_and_changed_only_as_it_was_read,
            an_event_is_replayed_under_an_id_of_its_own_and_written_down,
        );
    };
}
