//! Entities and their changes.

use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::Settlement;
use tideline_store::conformance::{Reader, claim_ingest, entities, entity, only};

use super::{bench, spec};

#[tokio::test]
async fn the_newest_changes_come_first_however_many_there_are() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    store.sync_sources(&[spec("s")], now).await.unwrap();
    store.start_cycles(10, now).await.unwrap();
    let mut root = Reader::new(only(claim_ingest(store, "w", 1, now).await));
    root.write(store, entities(0, 950, 1), None, now).await;
    let first = bench.get("/changes").await;
    assert!(first.html.contains("c0000949") && first.html.contains("c0000850") && !first.html.contains("c0000849"));
    assert!(first.html.contains("before=851"), "{}", first.html);
    let older = bench.get("/changes?before=851").await;
    assert!(older.html.contains("c0000849") && !older.html.contains("c0000850"));
    let found = bench.get("/changes?text=c0000007").await;
    assert!(found.html.contains("c0000007") && !found.html.contains("c0000008"));
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
    root.write(store, entities(0, 1_500, 1), None, now).await;
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
