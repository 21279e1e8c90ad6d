//! What people look at and do on the pages: causes, history, hooks, many jobs at once.

use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::{EventSequence, JobState, Role, Settlement};
use tideline_store::conformance::{KIND, Reader, claim_ingest, entity, job_of, only};

use super::tests::{Bench, EVIL, bench, somebody, spec};
use super::*;

async fn parked(bench: &Bench) -> u64 {
    bench.store.stats(SystemClock.now()).await.unwrap().parked
}

#[tokio::test]
async fn parked_jobs_are_retried_one_by_one_or_all_that_match() {
    let bench = bench().await;
    bench.hostile().await;
    assert_eq!(parked(&bench).await, 2);
    let job = job_of(&bench.store, KIND, EVIL).await;
    assert_eq!(
        bench.post("/jobs/retry", "back=%2Fjobs").await.status,
        400,
        "nothing was chosen"
    );
    assert_eq!(
        bench
            .post("/jobs/retry", &format!("job={}&back=%2Fjobs", job.id))
            .await
            .status,
        303
    );
    assert_eq!(job_of(&bench.store, KIND, EVIL).await.state, JobState::Waiting);
    let partial = bench.post("/jobs/retry", &format!("job={}&job=999999", job.id)).await;
    assert!(
        partial.status == 404 && partial.html.contains("1 of 2 jobs were refused"),
        "{}",
        partial.html
    );
    assert_eq!(bench.post("/jobs/retry", "all=1&state=parked").await.status, 303);
    assert_eq!(parked(&bench).await, 0);
}

#[tokio::test]
async fn many_jobs_are_cancelled_with_a_reason() {
    let bench = bench().await;
    bench.hostile().await;
    let job = job_of(&bench.store, KIND, EVIL).await;
    let form = format!("job={}&back=%2Fjobs", job.id);
    assert_eq!(
        bench.post("/jobs/cancel", &form).await.status,
        400,
        "no reason was given"
    );
    assert_eq!(
        bench
            .post("/jobs/cancel", &format!("{form}&reason=obsolete"))
            .await
            .status,
        303
    );
    assert_eq!(job_of(&bench.store, KIND, EVIL).await.state, JobState::Cancelled);
    let reader = bench
        .post_as(somebody(Role::Read, &[]), "/jobs/cancel", &format!("{form}&reason=r"))
        .await;
    assert_eq!(reader.status, 403);
}

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

#[tokio::test]
async fn a_hook_shows_what_it_refused_and_why() {
    let bench = bench().await;
    bench.hostile().await;
    let list = bench.get("/hooks").await.html;
    assert!(
        list.contains("wrong signatures") && list.contains("/hooks?name=ci"),
        "{list}"
    );
    let hook = bench.get("/hooks?name=ci").await.html;
    assert!(
        hook.contains("3 webhooks of the last 24 hours") && hook.contains("Last refused"),
        "{hook}"
    );
    assert_eq!(bench.get("/hooks?name=none").await.status, 404);
    assert_eq!(bench.get_as(somebody(Role::Read, &["s"]), "/hooks").await.status, 403);
}

#[tokio::test]
async fn an_entity_shows_where_it_was_read_and_what_changed_in_it() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    store.sync_sources(&[spec("s")], now).await.unwrap();
    store.start_cycles(10, now).await.unwrap();
    let mut root = Reader::new(only(claim_ingest(store, "w", 1, now).await));
    let reference = "component:default/web";
    for (replicas, next) in [(1, Some("more")), (2, None)] {
        let body = format!("{{\"kind\":\"Component\",\"spec\":{{\"replicas\":{replicas}}}}}");
        root.write(store, vec![entity(reference, &body)], next, now).await;
    }
    root.settle(store, Settlement::Done, now).await;
    let shown = bench
        .get("/catalog/entity?source=s&ref=component:default/web")
        .await
        .html;
    assert!(
        shown.contains(".spec.replicas") && shown.contains("<del>1</del>") && shown.contains("<ins>2</ins>"),
        "{shown}"
    );
    assert!(shown.contains(", page 1") && shown.contains("cycle 1"), "{shown}");
    let source = bench.get("/sources/s").await.html;
    assert!(source.contains("Timeline") && source.contains("github.*"), "{source}");
}

#[tokio::test]
async fn what_a_list_shows_is_exported_as_a_file() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    store.sync_sources(&[spec("s")], now).await.unwrap();
    store.start_cycles(10, now).await.unwrap();
    let mut root = Reader::new(only(claim_ingest(store, "w", 1, now).await));
    root.write(store, tideline_store::conformance::entities(0, 1_500, 1), None, now)
        .await;
    let all = bench.get("/catalog/export?source=s&format=ndjson").await;
    assert_eq!((all.status, all.html.lines().count()), (200, 1_500));
    let some = bench.get("/catalog/export?name=c000000*&format=yaml").await;
    assert_eq!(some.html.matches("---\n").count(), 10, "{}", some.html);
    assert_eq!(bench.get("/catalog/export?format=xml").await.status, 400);
    let list = bench.get("/catalog?name=c000000*").await.html;
    assert!(
        list.contains("/catalog/export?name=c000000%2A&amp;format=ndjson"),
        "{list}"
    );
}

#[tokio::test]
async fn a_source_that_cannot_be_planned_here_says_so() {
    let bench = bench().await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    assert!(bench.get("/sources/s/plan").await.html.contains("Make a plan"));
    let refused = bench.post("/sources/s/plan", "").await;
    assert_eq!(refused.status, 404);
    assert!(refused.html.contains("no configuration of sources"), "{}", refused.html);
    assert_eq!(
        bench.get_as(somebody(Role::Read, &[]), "/sources/s/plan").await.status,
        403
    );
}
