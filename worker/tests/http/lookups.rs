//! Lookups: a second list beside a resource's own; and alternatives: APIs of which the server has one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use serde_json::{Value, json};
use tideline_config::settings::{Alternative, EntityShape, HttpSettings, Lookup, PageEnd, Pagination};
use tideline_core::words::CycleNumber;
use tideline_worker::sources::http::check;
use tideline_worker::{ErrorClass, Item, ItemContent, ItemRequest, PageContent, PageRequest, Pass, Source};

use crate::api::*;

/// Services, with the names of their routes, which are listed elsewhere in pages of two.
fn services(base: &url::Url) -> HttpSettings {
    let pages = Pagination::Cursor {
        next: ".next".into(),
        parameter: "after".into(),
        in_body: false,
        size: None,
    };
    let mut services = resource("services", "/services", Pagination::None);
    services.entity =
        EntityShape::Shaped("{kind: \"Service\", metadata: {name: .id}, spec: {routes: ($lookup[.id] // [])}}".into());
    services.item = Some("/services/{id}".into());
    services.item_values = BTreeMap::from([("id".into(), ".id".into())]);
    services.lookup = Some(Lookup {
        path: "/routes".into(),
        query: BTreeMap::new(),
        pagination: pages,
        end: PageEnd::default(),
        items: None,
        entries: "{key: .service, value: .name}".into(),
        item_query: BTreeMap::from([("service".into(), "{id}".into())]),
    });
    rest(base, vec![services])
}

fn routes(seen: &Seen) -> Value {
    let all = [("a", "r3"), ("b", "r2"), ("a", "r1")];
    let wanted = seen.query("service");
    let all: Vec<Value> = (all.iter())
        .filter(|(service, _)| wanted.is_none_or(|wanted| wanted == *service))
        .map(|(service, name)| json!({"service": service, "name": name}))
        .collect();
    let after = seen.number("after").unwrap_or(0);
    let next = (after + 2 < all.len()).then(|| (after + 2).to_string());
    json!({"items": all.iter().skip(after).take(2).collect::<Vec<_>>(), "next": next})
}

fn specs(items: &[Item]) -> Vec<Value> {
    let bodies = items.iter().filter_map(|item| match item {
        Item::Entity { body, .. } => Some(serde_json::from_str::<Value>(body).unwrap()["spec"].clone()),
        _ => None,
    });
    bodies.collect()
}

#[tokio::test]
async fn values_of_a_second_list_are_looked_up_by_key_for_pages_and_for_single_items() {
    let api = Api::start(|seen| match seen.path.as_str() {
        "/routes" => answer(routes(seen)),
        "/services/a" => answer(json!({"id": "a"})),
        _ => answer(json!([{"id": "a"}, {"id": "b"}, {"id": "c"}])),
    })
    .await;
    let source = open(services(&api.url));
    let page = first(&source).await.unwrap();
    let expected = [
        json!({"routes": ["r1", "r3"]}),
        json!({"routes": ["r2"]}),
        json!({"routes": []}),
    ];
    assert_eq!(specs(items(&page)), expected);

    let before = api.count();
    let id = json!({"id": "a"});
    let request = ItemRequest {
        resource: None,
        values: id.as_object().unwrap(),
    };
    let ItemContent::Found(found) = source.read_item(request).await.unwrap() else {
        panic!("it is there")
    };
    assert_eq!(specs(&found), [json!({"routes": ["r1", "r3"]})]);
    assert_eq!(
        api.seen()[before + 1].query("service"),
        Some("a"),
        "only its own are listed"
    );
}

#[tokio::test]
async fn a_page_is_read_again_when_only_what_it_looks_up_has_changed() {
    let changed = Arc::new(AtomicBool::new(false));
    let other = Arc::clone(&changed);
    let api = Api::start(move |seen| match seen.path.as_str() {
        "/routes" if other.load(Ordering::SeqCst) => answer(json!([{"service": "a", "name": "new"}])),
        "/routes" => answer(routes(seen)),
        _ if seen.header("if-none-match") == Some("\"1\"") => status(304, &[("etag", "\"1\"")], ""),
        _ => status(200, &[("etag", "\"1\"")], "[{\"id\": \"a\"}]"),
    })
    .await;
    let source = open(services(&api.url));
    let remembered = memory(&first(&source).await.unwrap());
    let again = page(&source, None, Some(&remembered)).await.unwrap();
    assert!(matches!(again.content, PageContent::Unchanged));
    changed.store(true, Ordering::SeqCst);
    let again = page(&source, None, Some(&remembered)).await.unwrap();
    assert_eq!(specs(items(&again)), [json!({"routes": ["new"]})]);
}

#[tokio::test]
async fn a_worker_that_goes_on_with_a_pass_does_not_reuse_what_it_looked_up_in_an_earlier_one() {
    let changed = Arc::new(AtomicBool::new(false));
    let other = Arc::clone(&changed);
    let api = Api::start(move |seen| match seen.path.as_str() {
        "/routes" if other.load(Ordering::SeqCst) => answer(json!([{"service": "a", "name": "new"}])),
        "/routes" => answer(routes(seen)),
        _ => answer(json!({"items": [{"id": "a"}], "next": "more"})),
    })
    .await;
    let mut settings = services(&api.url);
    settings.resources[0].pagination = Pagination::Cursor {
        next: ".next".into(),
        parameter: "after".into(),
        in_body: false,
        size: None,
    };
    let source = open(settings);
    let read = async |cycle, cursor: Option<&Value>| {
        let request = PageRequest {
            partition: "test",
            args: &json!({}),
            cursor,
            memory: None,
            pass: Pass::Cycle(CycleNumber(cycle)),
        };
        specs(items(&source.read_page(request).await.unwrap()))
    };
    let (old, new) = ([json!({"routes": ["r1", "r3"]})], [json!({"routes": ["new"]})]);
    assert_eq!(read(1, None).await, old);
    changed.store(true, Ordering::SeqCst);
    assert_eq!(read(1, Some(&json!("more"))).await, old, "one pass looks up once");
    // Another worker read the end of that pass, and the first page of the next one.
    assert_eq!(read(2, Some(&json!("more"))).await, new);
}

#[tokio::test]
async fn a_lookup_that_fails_makes_no_page_rather_than_one_without_its_values() {
    let code = Arc::new(AtomicU16::new(500));
    let current = Arc::clone(&code);
    let api = Api::start(move |seen| match (seen.path.as_str(), current.load(Ordering::SeqCst)) {
        ("/routes", 200) => answer(json!([{"name": "no service"}])),
        ("/routes", code) => status(code, &[], "no"),
        _ => answer(json!([{"id": "a"}])),
    })
    .await;
    let source = open(services(&api.url));
    let error = first(&source).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient { retry_after: None });
    for (next, words) in [(403, "403"), (200, "a text `key` and a `value`")] {
        code.store(next, Ordering::SeqCst);
        let error = first(&source).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent);
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_lookup_is_told_at_its_place() {
    let api = Api::start(|_| answer(json!([]))).await;
    let mut settings = services(&api.url);
    let lookup = settings.resources[0].lookup.as_mut().unwrap();
    lookup.entries = "{key: .a".into();
    lookup.path = "/routes/{nowhere}".into();
    let places: Vec<String> = check(&settings).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["resources[0].lookup.path", "resources[0].lookup.entries"]);
}

/// A source that reads `/new` or `/old`, and `/both` besides.
fn old_or_new(base: &url::Url) -> HttpSettings {
    let of = |name: &str, alternative: Option<&str>| {
        let mut resource = resource(name, &format!("/{name}"), Pagination::None);
        resource.alternative = alternative.map(str::to_owned);
        resource
    };
    let mut settings = rest(
        base,
        vec![of("new", Some("new")), of("old", Some("old")), of("both", None)],
    );
    settings.alternatives = ["new", "old"]
        .map(|name| Alternative {
            name: name.into(),
            probe: format!("/{name}"),
            query: BTreeMap::new(),
        })
        .to_vec();
    settings
}

#[tokio::test]
async fn the_first_alternative_that_the_server_has_is_read_with_what_belongs_to_none() {
    let api = Api::start(|seen| match seen.path.as_str() {
        "/new" => status(404, &[], "{}"),
        "/old" => answer(json!(components(0, 1))),
        _ => answer(json!(components(1, 2))),
    })
    .await;
    let mut pass = pass(&open(old_or_new(&api.url))).await;
    pass.names.sort();
    let keys: Vec<&str> = pass.partitions.iter().map(|partition| partition.key.as_str()).collect();
    assert_eq!(keys, ["old", "both"]);
    assert_eq!(pass.names, names(2));
}

#[tokio::test]
async fn a_choice_once_made_is_kept_and_an_answer_that_says_neither_yes_nor_no_makes_none() {
    let code = Arc::new(AtomicU16::new(404));
    let current = Arc::clone(&code);
    let api = Api::start(move |seen| match (seen.path.as_str(), current.load(Ordering::SeqCst)) {
        ("/new", 200) => answer(json!([])),
        ("/new", code) => status(code, &[], "{}"),
        ("/old", 200) => status(404, &[], "{}"),
        _ => answer(json!([])),
    })
    .await;
    let source = open(old_or_new(&api.url));
    for (answer, class) in [
        (503, ErrorClass::Transient { retry_after: None }),
        (403, ErrorClass::Permanent),
    ] {
        code.store(answer, Ordering::SeqCst);
        assert_eq!(first(&source).await.unwrap_err().class, class, "{answer}");
    }
    code.store(404, Ordering::SeqCst);
    let remembered = memory(&first(&source).await.unwrap());
    let again = page(&source, None, Some(&remembered)).await.unwrap();
    assert_eq!(again.children[0].key, "old");
    // The server has the other one now. What is remembered counts, also at another address of it.
    code.store(200, Ordering::SeqCst);
    let error = page(&source, None, Some(&remembered)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(error.message.contains("no longer has the API \"old\""), "{error}");
}
