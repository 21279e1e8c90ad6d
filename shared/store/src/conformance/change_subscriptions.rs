//! Cases: subscriptions to the change feed.

use std::sync::Arc;

use super::ingest::last_sequence;
use super::*;
use crate::{EventStart, SourceCommand, Store, StoreError, SubscriptionCommand};
use tideline_core::words::{ChangesSpec, EventOutcome, SubscriptionKind, SubscriptionSpec, TakeEvents, TakenChanges};

async fn follow(store: &Arc<dyn Store>, start: EventStart, changes: ChangesSpec) {
    let spec = SubscriptionSpec {
        name: "s".to_owned(),
        kind: SubscriptionKind::Pull,
        topics: vec![],
        max_outstanding: 100,
        filter: None,
        push: None,
        changes: Some(changes),
    };
    store.put_subscription(&spec, start, T0).await.unwrap();
}

async fn take(store: &Arc<dyn Store>, max: u32, token: i64, now: i64) -> TakenChanges {
    let request = TakeEvents {
        max,
        leased_until: t(now + 100),
        token,
        in_flight: None,
    };
    store.take_changes("s", &request, t(now)).await.unwrap()
}

async fn settle(store: &Arc<dyn Store>, token: i64, outcome: EventOutcome, now: i64) -> bool {
    store.settle_changes("s", token, &outcome, t(now)).await.unwrap()
}

fn sequences(taken: &TakenChanges) -> Vec<i64> {
    taken.changes.iter().map(|change| change.sequence.0).collect()
}

async fn remove(store: &Arc<dyn Store>, at: i64) {
    let reset = SourceCommand::ResetAndDelete;
    store.command_source("web", reset, t(at)).await.unwrap();
    assert_eq!(store.delete_source_entities("web", 100, t(at)).await.unwrap(), 0);
}

pub async fn a_subscription_to_changes_gets_one_batch_at_a_time_until_it_is_acknowledged(store: Arc<dyn Store>) {
    let mut root = begin(&store, "web", 1).await;
    root.write(&store, entities(0, 5, 1), None, t(1)).await;
    follow(&store, EventStart::Beginning, ChangesSpec::default()).await;
    let first = take(&store, 2, 1, 0).await;
    assert_eq!((sequences(&first), first.attempt, first.more), (vec![1, 2], 1, true));
    let busy = take(&store, 2, 2, 50).await;
    assert_eq!((sequences(&busy), busy.next_due), (vec![], Some(t(100))));
    let failed = EventOutcome::Again {
        due_at: t(70),
        error: Some("500".to_owned()),
    };
    assert!(settle(&store, 1, failed, 60).await);
    let shown = store.find_subscription("s").await.unwrap().unwrap();
    assert_eq!((shown.failing_since, shown.next_try), (Some(t(60)), Some(t(70))));
    let again = take(&store, 2, 3, 70).await;
    assert_eq!((sequences(&again), again.attempt), (vec![1, 2], 2));
    assert!(
        !settle(&store, 1, EventOutcome::Acked, 71).await,
        "somebody else has it"
    );
    assert!(settle(&store, 3, EventOutcome::Acked, 72).await);
    assert_eq!(sequences(&take(&store, 10, 4, 73).await), [3, 4, 5]);
    assert!(settle(&store, 4, EventOutcome::Acked, 74).await);
    assert_eq!(take(&store, 10, 5, 75).await, TakenChanges::default());
    store
        .command_subscription("s", &SubscriptionCommand::Replay(EventStart::Beginning))
        .await
        .unwrap();
    assert_eq!(sequences(&take(&store, 10, 6, 76).await), [1, 2, 3, 4, 5]);
    let events = TakeEvents::default();
    assert_eq!(store.take_events("s", &events, T0).await.unwrap().events, []);
}

pub async fn a_subscription_gets_the_changes_of_its_sources_and_kinds_only(store: Arc<dyn Store>) {
    let spec = |sources: &[&str], kinds: &[&str]| ChangesSpec {
        sources: sources.iter().map(|name| (*name).to_owned()).collect(),
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
    };
    let mut root = begin(&store, "web", 1).await;
    root.write(
        &store,
        vec![entity("api:default/a", "{}"), entity("component:default/b", "{}")],
        None,
        t(1),
    )
    .await;
    follow(&store, EventStart::Beginning, spec(&["web"], &["component"])).await;
    let taken = take(&store, 10, 1, 0).await;
    assert_eq!(taken.changes.len(), 1);
    assert_eq!(taken.changes[0].reference.as_str(), "component:default/b");
    assert!(settle(&store, 1, EventOutcome::Acked, 1).await);
    follow(&store, EventStart::Now, spec(&["other"], &[])).await;
    store
        .command_subscription("s", &SubscriptionCommand::Replay(EventStart::Beginning))
        .await
        .unwrap();
    assert_eq!(take(&store, 10, 2, 2).await, TakenChanges::default());
    let seen = store.find_subscription("s").await.unwrap().unwrap();
    assert_eq!(
        seen.feed.unwrap().position.sequence(),
        last_sequence(&store).await,
        "it moved past what it does not want"
    );
}

pub async fn what_a_follower_of_the_feed_has_not_seen_is_known_and_a_pruned_one_is_told_to_start_over(
    store: Arc<dyn Store>,
) {
    let mut root = begin(&store, "web", 1).await;
    root.write(&store, entities(0, 3, 1), None, t(1)).await;
    assert_eq!(store.find_oldest_unseen_removal().await.unwrap(), None);
    follow(&store, EventStart::Now, ChangesSpec::default()).await;
    assert_eq!(take(&store, 10, 1, 5).await, TakenChanges::default(), "it begins now");
    remove(&store, 10).await;
    assert_eq!(store.find_oldest_unseen_removal().await.unwrap(), Some(t(10)));
    assert_eq!(store.prune_tombstones(t(20), 10).await.unwrap(), 3);
    let told = take(&store, 10, 2, 30).await;
    assert!(told.starts_over && told.changes.is_empty(), "{told:?}");
    let failed = EventOutcome::Untried;
    assert!(settle(&store, 2, failed, 31).await);
    let told = take(&store, 10, 3, 32).await;
    assert!(told.starts_over, "until it has heard of it");
    assert!(settle(&store, 3, EventOutcome::Acked, 33).await);
    assert!(!take(&store, 10, 4, 34).await.starts_over);
    assert!(matches!(
        store.take_changes("nobody", &TakeEvents::default(), T0).await,
        Err(StoreError::NotFound { .. })
    ));
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_change_subscriptions {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            change_subscriptions: a_subscription_to_changes_gets_one_batch_at_a_time_until_it_is_acknowledged,
            a_subscription_gets_the_changes_of_its_sources_and_kinds_only,
            what_a_follower_of_the_feed_has_not_seen_is_known_and_a_pruned_one_is_told_to_start_over,
        );
    };
}
