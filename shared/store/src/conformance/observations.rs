//! Cases: statistics over time.

use std::sync::Arc;

use tideline_core::words::{EventSequence, Timestamp};

use super::{begin, enqueue, entities, new_job, t};
use crate::{EntityFilter, Follower, FollowerSample, HookHour, Sample, Store};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;

pub async fn a_sample_is_taken_once_a_minute_and_is_kept_for_a_day(store: Arc<dyn Store>) {
    let day = i64::try_from(Sample::KEPT.as_millis()).unwrap();
    let at = |ms: i64| Timestamp(10 * day + ms);
    store.take_sample(at(0)).await.unwrap();
    let before = store.list_samples(Timestamp(0)).await.unwrap();
    assert_eq!(before.len(), 1);
    assert_eq!((before[0].minute, before[0].due, before[0].lag_ms), (at(0), 0, 0));
    let mut late = new_job("late", "{}");
    late.due_at = at(1_000);
    enqueue(&store, late, at(1_000)).await;
    store.take_sample(at(MINUTE - 1)).await.unwrap();
    assert_eq!(
        store.list_samples(Timestamp(0)).await.unwrap(),
        before,
        "the minute has its sample"
    );
    store.take_sample(at(MINUTE + 5_000)).await.unwrap();
    let samples = store.list_samples(at(1)).await.unwrap();
    assert_eq!(samples.len(), 1);
    assert_eq!((samples[0].due, samples[0].lag_ms), (1, 64_000));
    store.take_sample(at(day + MINUTE)).await.unwrap();
    let kept = store.list_samples(Timestamp(0)).await.unwrap();
    let minutes: Vec<Timestamp> = kept.iter().map(|sample| sample.minute).collect();
    assert_eq!(minutes, [at(MINUTE), at(day + MINUTE)]);
}

pub async fn how_far_followers_had_come_is_kept_for_a_day(store: Arc<dyn Store>) {
    let kept = i64::try_from(FollowerSample::KEPT.as_millis()).unwrap();
    let now = 10 * kept;
    let sample = |name: &str, at: i64, position: i64| FollowerSample {
        name: name.to_owned(),
        minute: Timestamp(at),
        position,
        behind: 7,
    };
    let add = async |of: Follower, samples: &[FollowerSample], at: i64| {
        let samples: Vec<_> = samples.iter().map(|sample| (of, sample.clone())).collect();
        store.add_follower_samples(&samples, Timestamp(at)).await.unwrap();
    };
    let all = async |of: Follower, name: Option<&str>| {
        let since = Timestamp(now - kept);
        store.list_follower_samples(of, name, since).await.unwrap()
    };
    add(Follower::Subscription, &[sample("b", now, 1), sample("a", now, 2)], now).await;
    add(Follower::Subscription, &[sample("a", now + 1, 3)], now).await;
    add(Follower::Target, &[sample("a", now, 9)], now).await;
    let both = [sample("a", now, 2), sample("b", now, 1)];
    assert_eq!(
        all(Follower::Subscription, None).await,
        both,
        "the first of a minute stays"
    );
    assert_eq!(all(Follower::Subscription, Some("b")).await, both[1..]);
    assert_eq!(all(Follower::Target, None).await, [sample("a", now, 9)]);
    let later = now + kept + MINUTE;
    add(Follower::Subscription, &[sample("a", later, 5)], later).await;
    let left = all(Follower::Subscription, None).await;
    assert_eq!(left, [sample("a", later, 5)], "old ones are forgotten");
    add(Follower::Subscription, &[], later + kept + MINUTE).await;
    assert_eq!(all(Follower::Subscription, None).await, [], "even if nobody is left");
}

pub async fn what_comes_to_a_hook_is_added_up_by_the_hour(store: Arc<dyn Store>) {
    let hour = |stored: u64, error: Option<&str>, at: i64| HookHour {
        hook: "ci".to_owned(),
        hour: Timestamp(at - at.rem_euclid(HOUR)),
        stored,
        unproven: u64::from(error.is_some()),
        last_stored_at: (stored > 0).then_some(Timestamp(at)),
        last_error_at: error.map(|_| Timestamp(at)),
        last_error: error.map(str::to_owned),
        ..HookHour::default()
    };
    let now = Timestamp(1_000 * HOUR);
    store
        .add_hook_hours(
            &[hour(3, None, now.0), hour(0, Some("the signature is wrong"), now.0 + 1)],
            now,
        )
        .await
        .unwrap();
    store.add_hook_hours(&[hour(2, None, now.0 + 2)], now).await.unwrap();
    let found = store.list_hook_hours(now).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].stored, found[0].unproven), (5, 1));
    assert_eq!(found[0].last_stored_at, Some(Timestamp(now.0 + 2)));
    assert_eq!(found[0].last_error_at, Some(Timestamp(now.0 + 1)));
    assert_eq!(found[0].last_error.as_deref(), Some("the signature is wrong"));
    let kept = i64::try_from(HookHour::KEPT.as_millis()).unwrap();
    let later = Timestamp(now.0 + kept + HOUR);
    store.add_hook_hours(&[hour(1, None, later.0)], later).await.unwrap();
    let found = store.list_hook_hours(Timestamp(0)).await.unwrap();
    assert_eq!(found.len(), 1, "old hours are forgotten");
    assert_eq!(found[0].stored, 1);
}

pub async fn the_store_says_what_its_tables_take(store: Arc<dyn Store>) {
    let size = store.measure().await.unwrap();
    assert!(size.bytes > 0);
    assert!(
        size.tables
            .iter()
            .any(|table| table.table == "entities" && table.bytes > 0),
        "{size:?}"
    );
    assert!(
        size.tables.windows(2).all(|pair| pair[0].bytes >= pair[1].bytes),
        "{size:?}"
    );
    assert_eq!(store.event_bounds().await.unwrap().last, EventSequence(0));
}

pub async fn an_entity_knows_the_page_that_shows_it(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 4).await;
    root.write(&store, entities(0, 3, 1), Some("more"), t(0)).await;
    root.write(&store, entities(3, 3, 1), None, t(0)).await;
    let listed = store
        .list_entities(&EntityFilter {
            limit: 10,
            ..EntityFilter::default()
        })
        .await
        .unwrap();
    for (place, entity) in listed.iter().enumerate() {
        let origin = store.find_origin(root.source(), &entity.reference).await.unwrap();
        let pages: Vec<u32> = origin.pages.iter().map(|page| page.page).collect();
        assert_eq!(pages, [if place < 3 { 0 } else { 1 }], "{}", entity.reference);
        assert_eq!(origin.pages[0].cycle, root.cycle());
        assert_eq!(origin.delta_read_at, None);
    }
    let unknown = "component:default/none".parse().unwrap();
    let origin = store.find_origin(root.source(), &unknown).await.unwrap();
    assert!(origin.pages.is_empty());
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_observations {
    ($open:path) => {
        $crate::store_conformance_cases!($open, observations:
            a_sample_is_taken_once_a_minute_and_is_kept_for_a_day,
            how_far_followers_had_come_is_kept_for_a_day,
            what_comes_to_a_hook_is_added_up_by_the_hour,
            the_store_says_what_its_tables_take,
            an_entity_knows_the_page_that_shows_it,
        );
    };
}
