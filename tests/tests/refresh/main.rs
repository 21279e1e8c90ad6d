//! What an event names is read again: refresh jobs from end to end.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod events;
mod lists;
mod stage;

use std::time::Duration;

use anyhow::ensure;
use tideline_config::settings::SourceSettings;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::RemovalGuard;
use tideline_core::words::{JobState, REFRESH_KIND, RefreshRequest, RefreshTarget};
use tideline_store::JobFilter;
use tideline_tests::wait_until;

use self::stage::{LIMIT, NAME, Stage};

fn settings() -> SourceSettings {
    SourceSettings {
        burst_interval: Duration::ZERO,
        guard: RemovalGuard {
            reject_above_percent: None,
            reject_empty: true,
        },
        ..SourceSettings::new(NAME)
    }
}

async fn job_state(stage: &Stage, key: &str) -> Option<(JobState, Option<String>)> {
    let filter = JobFilter {
        kind: Some(REFRESH_KIND.into()),
        key: Some(key.into()),
        limit: 1,
        ..JobFilter::default()
    };
    let jobs = stage.store.list_jobs(&filter).await.unwrap();
    jobs.into_iter().next().map(|job| (job.state, job.last_error))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_an_event_names_is_read_again_and_a_new_one_too() {
    let stage = Stage::start(settings(), &["a", "b"]).await;
    stage.set("a", Some(2));
    stage.set("new", Some(7));
    stage.ask("a", false, 1).await;
    stage.ask("new", false, 2).await;
    stage.has("a", Some(2)).await;
    stage.has("new", Some(7)).await;
    assert_eq!(stage.readings(), 2, "nothing else was read");
    // The cycles agree, and what only a refresh saw goes when a complete cycle does not see it.
    stage.cycle().await;
    stage.has("new", Some(7)).await;
    stage.set("new", None);
    stage.cycle().await;
    stage.has("new", None).await;
    stage.has("a", Some(2)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_is_not_there_is_removed_at_once_only_if_the_event_said_so() {
    let stage = Stage::start(settings(), &["a", "b", "c", "d", "e", "f"]).await;
    stage.set("a", None);
    stage.set("b", None);
    stage.ask("a", true, 1).await;
    stage.has("a", None).await;
    stage.ask("b", false, 2).await;
    let done = wait_until("the reading of b", LIMIT, async || {
        let state = job_state(&stage, r#"things/item//{"id":"b"}"#).await;
        ensure!(state == Some((JobState::Done, None)), "{state:?}");
        Ok(())
    });
    done.await.unwrap();
    stage.has("b", Some(1)).await;
    // The next complete cycle decides.
    stage.cycle().await;
    stage.has("b", None).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_not_lost_when_another_event_follows_it_and_what_was_made_again_stays() {
    let stage = Stage::start(settings(), &["a", "b", "c", "d", "e", "f"]).await;
    stage.things.gate.forget_permits(1_000_000);
    stage.set("a", None);
    stage.set("b", None);
    // Nothing of this is done before the last of it was asked for.
    for (event, removed) in [(1, false), (2, true), (3, false)] {
        stage.ask("a", removed, event).await;
        stage.ask("b", removed, event).await;
    }
    stage.set("b", Some(2));
    stage.ask("b", false, 4).await;
    stage.things.gate.add_permits(1_000);
    stage.has("a", None).await;
    stage.has("b", Some(2)).await;
    for key in [r#"things/item-removed//{"id":"b"}"#, r#"things/item//{"id":"b"}"#] {
        let done = wait_until("the readings of b", LIMIT, async || {
            let state = job_state(&stage, key).await;
            ensure!(state == Some((JobState::Done, None)), "{state:?}");
            Ok(())
        });
        done.await.unwrap();
    }
    stage.has("b", Some(2)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_about_an_item_that_is_being_read_are_one_reading_after_the_last_of_them() {
    let stage = Stage::start(settings(), &["a"]).await;
    stage.things.gate.forget_permits(1_000_000);
    stage.set("a", Some(2));
    stage.ask("a", false, 1).await;
    let reading = wait_until("the first reading", LIMIT, async || {
        ensure!(stage.readings() == 1, "{} readings", stage.readings());
        Ok(())
    });
    reading.await.unwrap();
    // It has looked already: what comes now is news.
    for event in 2..20 {
        stage.set("a", Some(u32::try_from(event).unwrap()));
        stage.ask("a", false, event).await;
    }
    stage.things.gate.add_permits(1_000);
    stage.has("a", Some(19)).await;
    assert!(stage.readings() <= 3, "{} readings", stage.readings());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_asked_to_be_left_alone_is_not_refreshed_before_its_time() {
    let stage = Stage::start(settings(), &["a"]).await;
    let source = stage.store.find_source(NAME).await.unwrap().unwrap().id;
    let until = SystemClock.now().plus(Duration::from_secs(1));
    stage.store.hold_back(source, until).await.unwrap();
    stage.set("a", Some(2));
    stage.ask("a", false, 1).await;
    stage.has("a", Some(2)).await;
    assert!(SystemClock.now() >= until, "it was read too early");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_failed_is_shown_as_a_parked_job_and_a_refresh_of_the_source_is_a_cycle() {
    let stage = Stage::start(settings(), &["a"]).await;
    let failed = RefreshRequest {
        source: NAME.into(),
        target: RefreshTarget::FailedRule {
            rule: 0,
            error: "values.id is absent or null".into(),
        },
        event: 7,
        look_again_ms: None,
    };
    stage.enqueue(&failed).await;
    let parked = wait_until("the rule to be shown", LIMIT, async || {
        let state = job_state(&stage, "things/rule/0/7").await;
        let shown =
            matches!(&state, Some((JobState::Parked, Some(why))) if why.contains("on[0]") && why.contains("event 7"));
        ensure!(shown, "{state:?}");
        Ok(())
    });
    parked.await.unwrap();
    stage.set("a", Some(2));
    let all = RefreshRequest {
        source: NAME.into(),
        target: RefreshTarget::Source,
        event: 8,
        look_again_ms: None,
    };
    stage.enqueue(&all).await;
    stage.has("a", Some(2)).await;
    assert_eq!(stage.readings(), 0, "a page was read");
    stage.stop().await;
}
