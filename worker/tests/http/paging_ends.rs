//! Where lists of counted pages end, and where they do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tideline_config::settings::{HttpSettings, PageSize, Pagination};
use tideline_worker::{ErrorClass, PageContent, SourceError};

use crate::api::*;

fn limit(size: u32) -> PageSize {
    PageSize {
        parameter: "limit".into(),
        size,
    }
}

fn by_page(size: u32, total: Option<&str>) -> Pagination {
    Pagination::Page {
        parameter: "page".into(),
        in_body: false,
        first: 1,
        size: Some(limit(size)),
        total_pages: None,
        total: total.map(Into::into),
    }
}

fn by_offset(size: u32, total: Option<&str>) -> Pagination {
    Pagination::Offset {
        first: 0,
        parameter: "offset".into(),
        in_body: false,
        size: limit(size),
        total: total.map(Into::into),
    }
}

fn slice(from: usize, limit: usize, total: usize) -> Vec<Value> {
    components(from.min(total), (from + limit).min(total))
}

/// Where the page begins that is asked for, with pages of `size`.
fn start(seen: &Seen, size: usize) -> usize {
    let page = seen.number("page").map(|page| (page - 1) * size);
    page.or_else(|| seen.number("offset")).unwrap()
}

/// Reads pages until one fails; returns the number of items before it.
async fn failure(settings: HttpSettings) -> (usize, SourceError) {
    let source = open(settings);
    let (mut cursor, mut read) = (None, 0);
    for _ in 0..100 {
        match page(&source, cursor.as_ref(), None).await {
            Err(error) => return (read, error),
            Ok(page) => {
                read += items(&page).len();
                if let Some(error) = page.failure {
                    return (read, error);
                }
                cursor = Some(page.next.unwrap());
            }
        }
    }
    panic!("pages without end");
}

#[tokio::test]
async fn offsets_that_begin_at_one_lose_no_item() {
    for total in [0, 1, 19, 20, 21, 30] {
        let api = Api::start(move |seen| {
            let start = seen.number("startIndex").unwrap();
            assert!(start > 0, "SCIM counts from 1");
            answer(json!({"Resources": slice(start - 1, 10, total), "totalResults": total}))
        })
        .await;
        let pagination = Pagination::Offset {
            parameter: "startIndex".into(),
            in_body: false,
            first: 1,
            size: limit(10),
            total: Some(".totalResults".into()),
        };
        let mut settings = things(&api.url, pagination);
        settings.resources[0].items = Some(".Resources".into());
        assert_eq!(pass(&open(settings)).await.names.len(), total);
        assert_eq!(api.count(), total.div_ceil(10).max(1), "{total}");
    }
}

#[tokio::test]
async fn a_short_page_in_the_middle_does_not_hide_the_pages_behind_it() {
    let api = Api::start(|seen| {
        let page = seen.number("page").unwrap();
        let mut items = slice((page - 1) * 10, 10, 100);
        if page == 9 {
            items.pop();
        }
        answer(json!({"items": items}))
    })
    .await;
    let pass = pass(&open(things(&api.url, by_page(10, None)))).await;
    assert_eq!(pass.names.len(), 99);
    assert_eq!(pass.names.last().unwrap(), "c99");
}

#[tokio::test]
async fn a_server_that_gives_less_than_was_asked_for_is_read_to_the_end() {
    for pagination in [by_page(200, None), by_offset(200, None)] {
        let api = Api::start(|seen| answer(json!({"items": slice(start(seen, 100), 100, 250)}))).await;
        let shown = format!("{pagination:?}");
        let pass = pass(&open(things(&api.url, pagination))).await;
        assert_eq!(pass.names, names(250), "{shown}");
    }
}

#[tokio::test]
async fn an_empty_page_before_the_total_is_transient_and_no_end() {
    for pagination in [by_page(10, Some(".total")), by_offset(10, Some(".total"))] {
        let api = Api::start(|seen| {
            let items = slice(start(seen, 10), 10, 20);
            answer(json!({"items": items, "total": 50}))
        })
        .await;
        let (read, error) = failure(things(&api.url, pagination)).await;
        assert_eq!(read, 20);
        assert!(matches!(error.class, ErrorClass::Transient { .. }), "{error}");
        assert!(error.message.contains("50"), "{error}");
    }
}

#[tokio::test]
async fn a_total_of_nothing_beside_a_full_page_is_not_believed() {
    for pagination in [by_page(10, Some(".total")), by_offset(10, Some(".total"))] {
        let api = Api::start(|seen| answer(json!({"items": slice(start(seen, 10), 10, 25), "total": 0}))).await;
        assert_eq!(pass(&open(things(&api.url, pagination))).await.names, names(25));
    }
}

#[tokio::test]
async fn a_404_behind_the_last_page_is_its_end() {
    for pagination in [by_page(10, None), by_offset(10, None)] {
        let api = Api::start(|seen| {
            let items = slice(start(seen, 10), 10, 20);
            if items.is_empty() {
                return status(404, &[], "{\"detail\":\"Invalid page.\"}");
            }
            answer(json!({"items": items}))
        })
        .await;
        assert_eq!(pass(&open(things(&api.url, pagination))).await.names, names(20));
    }
}

#[tokio::test]
async fn a_404_before_the_total_and_one_of_the_first_page_are_no_ends() {
    let api = Api::start(|seen| match seen.number("page") {
        Some(1) => answer(json!({"items": slice(0, 10, 10), "total": 50})),
        _ => status(404, &[], ""),
    })
    .await;
    let (read, error) = failure(things(&api.url, by_page(10, Some(".total")))).await;
    assert_eq!(read, 10);
    assert!(matches!(error.class, ErrorClass::Transient { .. }), "{error}");
    let nobody = Api::start(|_| status(404, &[], "")).await;
    let error = first(&open(things(&nobody.url, by_page(10, None)))).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
}

#[tokio::test]
async fn a_status_that_the_configuration_names_ends_the_pages() {
    let api = Api::start(|seen| match seen.number("page") {
        Some(1) => answer(json!({"items": slice(0, 10, 10)})),
        _ => status(422, &[], "Only the first 1000 search results are available"),
    })
    .await;
    let mut settings = things(&api.url, by_page(10, None));
    let (_, error) = failure(settings.clone()).await;
    assert_eq!(error.class, ErrorClass::Permanent);
    settings.resources[0].end.status = vec![422];
    assert_eq!(pass(&open(settings)).await.names, names(10));
}

#[tokio::test]
async fn a_last_page_that_is_repeated_for_ever_is_an_error_unless_the_api_is_known_for_it() {
    for pagination in [by_page(10, None), by_offset(10, None)] {
        let api = Api::start(|seen| answer(json!({"items": slice(start(seen, 10).min(20), 10, 30)}))).await;
        let mut settings = things(&api.url, pagination);
        let (read, error) = failure(settings.clone()).await;
        assert_eq!((read, error.class), (40, ErrorClass::Permanent));
        assert!(error.message.contains("same items as the previous page"), "{error}");
        settings.resources[0].end.repeat = true;
        let mut names_read = pass(&open(settings)).await.names;
        names_read.dedup();
        names_read.truncate(30);
        assert_eq!(names_read, names(30));
    }
}

/// Prefect: `POST /deployments/filter` with `limit` and `offset` in the body.
async fn prefect() -> Api {
    Api::start(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let number = |name: &str, default: usize| body[name].as_u64().map_or(default, |number| number as usize);
        answer(slice(number("offset", 0), number("limit", 200).min(200), 420).into())
    })
    .await
}

fn prefect_settings(api: &Api, in_body: bool) -> HttpSettings {
    let pagination = Pagination::Offset {
        first: 0,
        parameter: "offset".into(),
        in_body,
        size: limit(200),
        total: None,
    };
    let mut settings = things(&api.url, pagination);
    settings.resources[0].post = true;
    settings.resources[0].body = Some(json!({"sort": "NAME_ASC"}));
    settings
}

#[tokio::test]
async fn offsets_go_into_the_body_of_a_post() {
    let api = prefect().await;
    assert_eq!(pass(&open(prefect_settings(&api, true))).await.names, names(420));
    assert!(api.seen()[0].body.contains("NAME_ASC") && api.seen()[0].query.is_empty());
}

#[tokio::test]
async fn an_api_that_does_not_understand_how_pages_are_asked_for_is_told_at_the_second_page() {
    let api = prefect().await;
    let (read, error) = failure(prefect_settings(&api, false)).await;
    assert_eq!((read, api.count()), (400, 2));
    assert!(error.message.contains("pagination.in"), "{error}");
}

#[tokio::test]
async fn the_answers_own_word_ends_the_pages_without_one_more_request() {
    let api = Api::start(|seen| {
        let page = seen.number("page").unwrap();
        answer(json!({"items": slice((page - 1) * 10, 10, 27), "last": page == 3}))
    })
    .await;
    let mut settings = things(&api.url, by_page(10, None));
    settings.resources[0].end.when = Some(".last".into());
    let by_path = pass(&open(settings.clone())).await;
    settings.resources[0].end.when = Some(".items | length < 10".into());
    let by_jq = pass(&open(settings)).await;
    assert_eq!((by_path.names, by_path.pages, by_jq.pages), (names(27), 3, 3));
}

#[tokio::test]
async fn a_parameter_of_the_pagination_is_sent_once() {
    let api = Api::start(|seen| answer(json!({"items": slice(start(seen, 10), 10, 15)}))).await;
    let mut settings = things(&api.url, by_page(10, None));
    for (name, text) in [("page", "1"), ("limit", "500"), ("sort", "name")] {
        settings.resources[0].query.insert(name.into(), vec![text.into()]);
    }
    assert_eq!(settings.resources[0].overridden_query(), ["page", "limit"]);
    let source = open(settings);
    assert_eq!(pass(&source).await.names, names(15));
    let second = &api.seen()[1];
    assert_eq!(second.raw_query, "sort=name&limit=10&page=2");
}

#[tokio::test]
async fn unchanged_pages_end_where_changed_ones_do() {
    let short = Arc::new(AtomicUsize::new(20));
    let count = Arc::clone(&short);
    let api = Api::start(move |seen| {
        let items = slice(start(seen, 10), 10, count.load(Ordering::SeqCst));
        let etag = format!("\"{}\"", items.len());
        if seen.header("if-none-match") == Some(etag.as_str()) {
            return status(304, &[("etag", &etag)], "");
        }
        let mut response = answer(json!({"items": items}));
        response.headers_mut().insert("etag", etag.parse().unwrap());
        response
    })
    .await;
    let source = open(things(&api.url, by_page(10, None)));
    let (mut memories, mut cursor) = (Vec::new(), None);
    while memories.len() < 3 {
        let page = page(&source, cursor.as_ref(), None).await.unwrap();
        memories.push((cursor, memory(&page)));
        cursor = page.next;
    }
    assert_eq!(cursor, None, "the third page is empty");
    for (cursor, known) in &memories {
        let again = page(&source, cursor.as_ref(), Some(known)).await.unwrap();
        assert!(matches!(again.content, PageContent::Unchanged));
    }
    short.store(21, Ordering::SeqCst);
    let (cursor, known) = &memories[2];
    let grown = page(&source, cursor.as_ref(), Some(known)).await.unwrap();
    assert_eq!((references(&grown).len(), grown.next.is_some()), (1, true));
}
