//! Entities and their changes.

use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::Settlement;
use tideline_store::conformance::{entities, entity};

use super::{bench, first_reader};
use crate::dashboard::format;

#[tokio::test]
async fn the_newest_changes_come_first_however_many_there_are() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    let mut root = first_reader(store, now).await;
    root.write(store, entities(0, 950, 1), None, now).await;
    let first = bench.get("/changes").await;
    assert!(first.html.contains("c0000949") && first.html.contains("c0000850") && !first.html.contains("c0000849"));
    let next = first.html.split("href=\"").find(|part| part.contains("rel=\"next\""));
    let (next, _) = next.unwrap().split_once('"').unwrap();
    let older = bench.get(next).await;
    assert!(older.html.contains("c0000849") && !older.html.contains("c0000850"));
    let found = bench.get("/changes?text=c0000007").await;
    assert!(found.html.contains("c0000007") && !found.html.contains("c0000008"));
}

#[tokio::test]
async fn an_entity_shows_where_it_was_read_and_what_changed_in_it() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    let mut root = first_reader(store, now).await;
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
    let mut root = first_reader(store, now).await;
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

#[tokio::test]
async fn a_search_by_name_finds_beginnings_and_parts_and_offers_them_where_a_whole_name_finds_nothing() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    let mut root = first_reader(store, now).await;
    root.write(store, entities(0, 1_500, 1), None, now).await;
    for (name, hits) in [
        ("c0001499", 1),
        ("c000149*", 10),
        ("*1499", 1),
        ("c[0]*1499", 1),
        ("{c,d}0001499", 1),
        ("C0001499", 1),
    ] {
        let shown = bench
            .get(&format!("/catalog?name={}", format::encoded(name)))
            .await
            .html;
        assert_eq!(shown.matches("/catalog/entity?").count(), hits, "{name}: {shown}");
        assert!(!shown.contains("rel=\"next\""), "{name} has another page");
    }
    let nothing = bench.get("/catalog?name=0001499&kind=component").await.html;
    for wider in ["0001499%2A", "%2A0001499%2A"] {
        let link = format!("/catalog?kind=component&amp;name={wider}");
        assert!(nothing.contains(&link), "{link}: {nothing}");
    }
    assert!(
        bench
            .get("/catalog?name=none*")
            .await
            .html
            .contains("No entity matches")
    );
}
