//! Samples for charts: of the store, and of who follows its logs.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::sync::Arc;
use std::time::Duration;

use tideline_core::clock::{Clock, ManualClock};
use tideline_core::words::{NewEvent, SubscriptionKind, SubscriptionSpec, TargetSpec, Timestamp, Verdict};
use tideline_runtime::Pace;
use tideline_scheduler::{TakeSamples, Task};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{EventStart, Follower, FollowerSample, Store};

/// A full five minutes.
const START: Timestamp = Timestamp(1_700_000_100_000);

#[tokio::test]
async fn followers_are_sampled_every_five_minutes_and_the_store_every_minute() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open_owned(&path.to_string_lossy(), "test").await.unwrap());
    let clock = ManualClock::new(START);
    let task = TakeSamples {
        store: store.clone(),
        clock: Arc::new(clock.clone()),
    };
    let spec = SubscriptionSpec {
        name: "audit".to_owned(),
        kind: SubscriptionKind::Pull,
        topics: vec![],
        max_outstanding: 10,
        filter: None,
        push: None,
        changes: None,
    };
    store
        .put_subscription(&spec, EventStart::Beginning, START)
        .await
        .unwrap();
    let target = TargetSpec {
        name: "mocks".to_owned(),
        target_type: "microcks".to_owned(),
    };
    store.sync_targets(&[target], START).await.unwrap();
    let event = NewEvent {
        topic: "ci.done".to_owned(),
        key: String::new(),
        delivery: None,
        verdict: Verdict::Published,
        malformed: false,
        headers: vec![],
        body: b"{}".to_vec(),
        trace: None,
    };
    store.append_events(&[event], START).await.unwrap();
    // A scheduler that starts within a minute takes the sample of that minute.
    clock.advance(Duration::from_secs(30));
    for minutes in 1..=6 {
        let pace = task.run_once().await.unwrap();
        let next = START.plus(Duration::from_secs(60) * minutes);
        assert_eq!(pace, Pace::Until(next));
        clock.advance(next.since(clock.now()));
    }
    assert_eq!(store.list_samples(START).await.unwrap().len(), 6);
    let followers = async |of: Follower| store.list_follower_samples(of, None, START).await.unwrap();
    let sample = |name: &str, minute: Timestamp, behind: u64| FollowerSample {
        name: name.to_owned(),
        minute,
        position: 0,
        behind,
    };
    let later = START.plus(FollowerSample::EVERY);
    let audit = [sample("audit", START, 1), sample("audit", later, 1)];
    assert_eq!(followers(Follower::Subscription).await, audit);
    let mocks = [sample("mocks", START, 0), sample("mocks", later, 0)];
    assert_eq!(followers(Follower::Target).await, mocks);
}
