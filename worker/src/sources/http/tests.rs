//! What an answer did not say, and what must not be lost for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Map, Value, json};
use tideline_core::words::{ChildPartition, PageMemory};

use super::testing::{http_of, memory_of, names_of, ok, page, read_all, serve, settings, source};
use super::{HttpSource, check};
use crate::source::{ErrorClass, ItemContent, ItemRequest, PageContent, Source, SourceError};

const TRANSIENT: ErrorClass = ErrorClass::Transient { retry_after: None };

fn class_of(error: Option<&SourceError>) -> Option<ErrorClass> {
    error.map(|error| error.class)
}

fn thing(number: usize) -> Value {
    json!({"kind": "Thing", "metadata": {"name": format!("t{number}")}, "on": number.is_multiple_of(2)})
}

fn names(numbers: impl Iterator<Item = usize>) -> Vec<String> {
    numbers.map(|number| format!("t{number}")).collect()
}

/// The number behind `name=` in a path and query.
fn number(target: &str, name: &str) -> Option<usize> {
    let (_, query) = target.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}

/// A server of `total` things that gives two a page, whatever it is asked for, and 404 behind `last`.
async fn capped(total: usize, last: usize) -> String {
    serve(move |target| {
        let start = number(target, "offset").unwrap_or_else(|| (number(target, "page").unwrap() - 1) * 2);
        if start / 2 >= last {
            return (404, "", String::new());
        }
        let items: Vec<Value> = (start..total.min(start + 2)).map(thing).collect();
        ok(&json!({"items": items, "total": total, "pages": total.div_ceil(2)}))
    })
    .await
}

#[tokio::test]
async fn a_404_before_the_promised_number_of_pages_or_total_is_transient_and_no_end() {
    for (told, shown) in [
        ("total_pages: .pages", "4 pages"),
        ("total: .total", "8"),
        ("total: .total, size: { parameter: limit, value: 100 }", "8"),
    ] {
        for items in ["", "items: '.items[] | select(.on)', "] {
            let base = capped(8, 1).await;
            let resource = format!("{{ name: things, path: /things, {items} pagination: {{ type: page, {told} }} }}");
            let (read, error) = read_all(&source(&base, &resource)).await;
            assert_eq!(class_of(error.as_ref()), Some(TRANSIENT), "{resource}: {read:?}");
            assert!(error.unwrap().message.contains(shown), "{resource}");
        }
    }
}

#[tokio::test]
async fn a_404_before_the_promised_end_of_a_lookup_makes_no_page() {
    let base = serve(|target| match (target.starts_with("/routes"), number(target, "page")) {
        (true, Some(1)) => ok(&json!({"items": [{"key": "a", "value": 1}], "pages": 2})),
        (true, _) => (404, "", String::new()),
        _ => ok(&json!([thing(0)])),
    })
    .await;
    let resource = "{ name: things, path: /things, lookup: { path: /routes, entries: '{key, value}', pagination: { type: page, \
                    total_pages: .pages } } }";
    let error = page(&source(&base, resource), ("", &Value::Null), None, None)
        .await
        .unwrap_err();
    assert_eq!(error.class, TRANSIENT, "{error}");
}

#[tokio::test]
async fn items_that_jq_picks_from_short_pages_are_read_to_the_end() {
    for pagination in [
        "type: page, total: .total, size: { parameter: limit, value: 3 }",
        "type: page, size: { parameter: limit, value: 3 }",
        "type: offset, total: .total, size: { parameter: limit, value: 3 }",
        "type: offset, size: { parameter: limit, value: 3 }",
    ] {
        for items in [
            ".items[] | select(.on)",
            ".items | map(select(.on))",
            ".items[] | select(.metadata.name == \"t5\")",
        ] {
            let base = capped(6, 4).await;
            let resource =
                format!("{{ name: things, path: /things, items: '{items}', pagination: {{ {pagination} }} }}");
            let (read, error) = read_all(&source(&base, &resource)).await;
            let all = if items.contains("t5") {
                names(5..6)
            } else {
                names((0..6).step_by(2))
            };
            assert_eq!((read, class_of(error.as_ref())), (all, None), "{resource}");
        }
    }
}

#[test]
fn items_of_which_nobody_knows_the_list_cannot_be_paged_by_counting() {
    let problems = |items: &str, pagination: &str| {
        let resource = format!("{{ name: things, path: /things, items: '{items}', pagination: {{ {pagination} }} }}");
        let problems = check(http_of(&settings("http://127.0.0.1:1", &resource)));
        problems.into_iter().map(|(place, _)| place).collect::<Vec<_>>()
    };
    let offsets = "type: offset, total: .total, size: { parameter: limit, value: 3 }";
    let hidden = "[.items[] | select(.on)]";
    assert_eq!(problems(hidden, "type: page, total: .total"), ["resources[0].items"]);
    assert_eq!(problems(hidden, offsets), ["resources[0].items"]);
    for (items, pagination) in [
        (hidden, "type: page, total_pages: .pages"),
        (hidden, "type: page, end: { when: .last }"),
        (hidden, "type: link_header"),
        (".items[] | select(.on)", offsets),
    ] {
        assert!(problems(items, pagination).is_empty(), "{items} {pagination}");
    }
}

#[tokio::test]
async fn a_next_link_that_cannot_be_read_keeps_the_page_and_is_no_last_page() {
    let resource = "{ name: things, path: /things, pagination: { type: link_header } }";
    let base = serve(|_| {
        (
            200,
            "link: http://h/things?page=2; rel=\"next\"\r\n",
            json!([thing(0)]).to_string(),
        )
    })
    .await;
    let (read, error) = read_all(&source(&base, resource)).await;
    assert_eq!(
        (read, class_of(error.as_ref())),
        (names(0..1), Some(ErrorClass::Permanent))
    );
    let base = serve(|target| match number(target, "page") {
        None => (
            200,
            "link: </things?q=ü&page=2>; rel='next'\r\n",
            json!([thing(0)]).to_string(),
        ),
        Some(_) => ok(&json!([thing(1)])),
    })
    .await;
    let (read, error) = read_all(&source(&base, resource)).await;
    assert_eq!((read, class_of(error.as_ref())), (names(0..2), None));
}

#[tokio::test]
async fn a_next_cursor_in_a_header_that_is_not_ascii_is_followed() {
    let base = serve(|target| match target.contains("after=%C3%BC") {
        false => (200, "x-next: ü\r\n", json!([thing(0)]).to_string()),
        true => ok(&json!([thing(1)])),
    })
    .await;
    let resource = "{ name: things, path: /things, pagination: { type: header, header: X-Next, parameter: after } }";
    let (read, error) = read_all(&source(&base, resource)).await;
    assert_eq!((read, class_of(error.as_ref())), (names(0..2), None));
}

#[tokio::test]
async fn a_full_first_page_without_the_header_that_tells_the_next_one_is_an_error_after_its_items_are_kept() {
    for pagination in [
        "type: header, header: X-Next, parameter: after",
        "type: next_url, header: X-Next",
    ] {
        let read = async |headers: &'static str, size: u32, end: &str| {
            let base = serve(move |_| (200, headers, json!([thing(0), thing(1)]).to_string())).await;
            let resource = format!(
                "{{ name: things, path: /things, pagination: {{ {pagination}, size: {{ parameter: limit, value: {size} }}, end: \
                 {{ {end} }} }} }}"
            );
            let (read, error) = read_all(&source(&base, &resource)).await;
            assert_eq!(read, names(0..2));
            class_of(error.as_ref())
        };
        assert_eq!(read("", 2, "").await, Some(ErrorClass::Permanent), "{pagination}");
        assert_eq!(read("", 2, "no_link: true").await, None);
        assert_eq!(read("", 3, "").await, None, "a short page is the only one");
        assert_eq!(read("x-next:\r\n", 2, "").await, None, "the header says so");
    }
}

/// A list below a project, whose version never changes, at a server that hides it as long as `hidden`.
async fn versioned(hidden: &Arc<AtomicBool>, below: Value) -> (HttpSource, Arc<AtomicUsize>) {
    let (hidden, asked) = (Arc::clone(hidden), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&asked);
    let base = serve(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        if hidden.load(Ordering::SeqCst) {
            (404, "", String::new())
        } else {
            ok(&below)
        }
    })
    .await;
    let resources = "{ name: projects, path: /projects, entity: none }, { name: things, path: '/things/{id}', parent: projects, \
                     values: { id: .id }, version: .v }, { name: parts, path: '/parts/{part}', parent: things, values: { part: .id } }";
    (source(&base, resources), asked)
}

#[tokio::test]
async fn one_404_of_a_partition_with_a_version_does_not_count_for_several_cycles() {
    let args = |version: u32| json!({"resource": "things", "values": {"id": 1}, "version": version.to_string()});
    let list = |entity: bool| match entity {
        true => json!([{"id": 1, "kind": "Thing", "metadata": {"name": "t0"}}]),
        false => json!([]),
    };
    for had_items in [true, false] {
        let hidden = Arc::new(AtomicBool::new(false));
        let (source, asked) = versioned(&hidden, list(had_items)).await;
        let read = async |version, memory: PageMemory| {
            page(&source, ("things/1", &args(version)), None, Some(&memory))
                .await
                .unwrap()
        };
        let shown = page(&source, ("things/1", &args(1)), None, None).await.unwrap();
        hidden.store(true, Ordering::SeqCst);
        let gone = read(2, memory_of(&shown)).await;
        assert!(names_of(&gone).is_empty());
        hidden.store(false, Ordering::SeqCst);
        let count = asked.load(Ordering::SeqCst);
        let again = read(2, memory_of(&gone)).await;
        assert_eq!(
            asked.load(Ordering::SeqCst) > count,
            had_items,
            "what had nothing is not asked for again"
        );
        assert_eq!(matches!(again.content, PageContent::Unchanged), !had_items);
    }
}

#[tokio::test]
async fn a_second_404_of_a_partition_with_a_version_is_believed() {
    let hidden = Arc::new(AtomicBool::new(true));
    let (source, asked) = versioned(&hidden, json!([])).await;
    let args = json!({"resource": "things", "values": {"id": 1}, "version": "2"});
    let partition = ("things/1", &args);
    let mut memory = memory_of(&page(&source, partition, None, None).await.unwrap());
    // Only the partitions below it would be lost.
    memory.children = vec![ChildPartition {
        key: "parts/1/1".to_owned(),
        args: json!({}),
    }];
    memory.validators.request = memory.validators.request.map(super::version::without_version);
    let first = memory_of(&page(&source, partition, None, Some(&memory)).await.unwrap());
    let second = memory_of(&page(&source, partition, None, Some(&first)).await.unwrap());
    let third = page(&source, partition, None, Some(&second)).await.unwrap();
    assert!(matches!(third.content, PageContent::Unchanged));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_reading_with_an_item_without_a_name_is_not_believed_for_as_long_as_the_version_stays() {
    let hidden = Arc::new(AtomicBool::new(false));
    let list = json!([{"id": 1, "kind": "Thing", "metadata": {"name": "t0"}}, null]);
    let (source, asked) = versioned(&hidden, list).await;
    let args = json!({"resource": "things", "values": {"id": 1}, "version": "1"});
    let partition = ("things/1", &args);
    let mut memory = memory_of(&page(&source, partition, None, None).await.unwrap());
    memory.unidentified = 1;
    for times in [2, 3] {
        let again = page(&source, partition, None, Some(&memory)).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), times);
        memory.validators = again.validators;
    }
}

#[tokio::test]
async fn no_content_is_an_empty_list_but_no_page_that_was_announced() {
    for (pagination, is_error) in [
        ("{ type: cursor, next: .next, parameter: after }", true),
        ("{ type: next_url, next: .url }", true),
        ("{ type: page, size: { parameter: n, value: 1 } }", false),
        ("{ type: page, size: { parameter: n, value: 1 }, total: .total }", true),
    ] {
        let base = serve(
            move |request| match request.contains("after=") || request.contains("page=2") {
                true => (204, "", String::new()),
                false => {
                    let item = json!({"id": 1, "kind": "Thing", "metadata": {"name": "t0"}});
                    ok(&json!({"items": [item], "next": "x", "url": "/things?after=x", "total": 3}))
                }
            },
        )
        .await;
        let source = source(
            &base,
            &format!("{{ name: things, path: /things, items: .items, pagination: {pagination} }}"),
        );
        let root = ("", &json!({}));
        let first = page(&source, root, None, None).await.unwrap();
        let second = page(&source, root, first.next.as_ref(), None).await;
        assert_eq!(second.is_err(), is_error, "{pagination}: {second:?}");
    }
}

#[tokio::test]
async fn an_answer_in_lines_in_which_the_next_page_or_an_error_would_be_looked_for_is_no_last_page() {
    for looked_for in [
        "pagination: { type: cursor, next: .next, parameter: after }",
        "pagination: { type: next_url, next: .next }",
        "pagination: { type: page, total: .total }",
        "pagination: { type: page, end: { when: .last } }",
        "fail_if: .error",
    ] {
        let base = serve(|_| (200, "content-type: application/x-ndjson\r\n", thing(0).to_string())).await;
        let resource = format!("{{ name: things, path: /things, {looked_for} }}");
        let (read, error) = read_all(&source(&base, &resource)).await;
        assert_eq!(
            (read, class_of(error.as_ref())),
            (vec![], Some(ErrorClass::Permanent)),
            "{looked_for}"
        );
        assert!(error.unwrap().message.contains("not one JSON text"), "{looked_for}");
    }
}

#[test]
fn what_is_looked_for_in_an_answer_of_lines_or_documents_is_refused_by_the_check() {
    let problems = |resource: &str| {
        let resource = format!("{{ name: things, path: /things, {resource} }}");
        let problems = check(http_of(&settings("http://127.0.0.1:1", &resource)));
        problems.into_iter().map(|(place, _)| place).collect::<Vec<_>>()
    };
    assert_eq!(
        problems("format: yaml, fail_if: .error, pagination: { type: next_url, next: .next }"),
        ["resources[0].fail_if", "resources[0].pagination.next"]
    );
    assert_eq!(
        problems(
            "format: ndjson, lookup: { path: /x, entries: '{key, value}', pagination: { type: next_url, next: .next } }"
        ),
        ["resources[0].lookup.pagination.next"]
    );
    assert!(problems("format: ndjson, pagination: { type: page }").is_empty());
    assert!(problems("format: yaml, pagination: { type: link_header }").is_empty());
}

#[tokio::test]
async fn an_item_that_is_answered_with_nothing_is_missing_and_not_an_item_without_entities() {
    for (status, body) in [(200, "[]"), (200, "null"), (204, "")] {
        let base = serve(move |_| (status, "", body.to_owned())).await;
        let source = source(
            &base,
            "{ name: things, path: /things, item: '/things/{id}', values: { id: .metadata.name } }",
        );
        let values: Map<String, Value> = [("id".to_owned(), json!("t0"))].into_iter().collect();
        let request = ItemRequest {
            resource: None,
            values: &values,
        };
        let read = source.read_item(request).await.unwrap();
        assert!(matches!(read, ItemContent::Missing { .. }), "{status} {body}: {read:?}");
    }
}

#[test]
fn a_graphql_query_that_a_value_of_the_parent_would_change_is_refused_by_the_check() {
    let problems = |query: &str| {
        let resources = format!(
            "{{ name: orgs, path: /orgs, entity: none }}, {{ name: things, path: /graphql, parent: orgs, values: {{ id: .id }}, \
             method: POST, body: {{ query: '{query}', variables: {{ org: '{{id}}' }} }} }}"
        );
        check(http_of(&settings("http://127.0.0.1:1", &resources)))
    };
    let found = problems("query($org: ID) { org(id: $org) { items{id} } }");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].0 == "resources[1].body" && found[0].1.contains("variables"),
        "{found:?}"
    );
    assert!(problems("query($org: ID) { org(id: $org) { items { id } } }").is_empty());
}
