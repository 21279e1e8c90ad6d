//! Conditional requests, and answers that are the same byte for byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tideline_config::settings::{Auth, Pagination};
use tideline_core::words::Secret;
use tideline_worker::{Page, PageContent};

use crate::api::*;

fn is_unchanged(page: &Page) -> bool {
    matches!(page.content, PageContent::Unchanged)
}

fn with_etag(seen: &Seen, etag: &str, body: Value) -> axum::response::Response {
    if seen.header("if-none-match") == Some(etag) {
        return status(304, &[("etag", etag)], "");
    }
    let mut response = answer(body);
    response.headers_mut().insert("etag", etag.parse().unwrap());
    response
}

#[tokio::test]
async fn a_304_is_the_remembered_page() {
    let api = Api::start(|seen| with_etag(seen, "W/\"v1\"", json!(components(0, 2)))).await;
    let source = open(things(&api.url, Pagination::None));
    let page_one = first(&source).await.unwrap();
    assert_eq!(page_one.validators.etag.as_deref(), Some("W/\"v1\""));
    let again = page(&source, None, Some(&memory(&page_one))).await.unwrap();
    assert!(is_unchanged(&again));
    assert_eq!(again.validators, page_one.validators);
    assert_eq!(api.seen()[0].header("if-none-match"), None);
}

#[tokio::test]
async fn last_modified_is_sent_back_where_there_is_no_etag() {
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let api = Api::start(|seen| match seen.header("if-modified-since") {
        Some(DATE) => status(304, &[], ""),
        _ => status(200, &[("last-modified", DATE)], "[]"),
    })
    .await;
    let source = open(things(&api.url, Pagination::None));
    let page_one = first(&source).await.unwrap();
    let again = page(&source, None, Some(&memory(&page_one))).await.unwrap();
    assert!(is_unchanged(&again));
    assert_eq!(again.validators, page_one.validators);
}

#[tokio::test]
async fn validators_go_only_with_the_same_request_and_credential() {
    let api = Api::start(|seen| {
        assert_eq!(seen.header("if-none-match"), None, "{seen:?}");
        with_etag(seen, "\"v1\"", json!({"items": [], "next": "x"}))
    })
    .await;
    let pagination = Pagination::Cursor {
        next: ".next".into(),
        parameter: "after".into(),
        in_body: false,
        size: None,
    };
    let settings = things(&api.url, pagination);
    let source = open(settings.clone());
    let known = memory(&first(&source).await.unwrap());
    // Another page, another credential, other settings of the same request.
    page(&source, Some(&json!("x")), Some(&known)).await.unwrap();
    let mut other = settings.clone();
    other.auth = Auth::Bearer(Secret::new("someone else"));
    page(&open(other), None, Some(&known)).await.unwrap();
    let mut shaped = settings.clone();
    shaped.resources[0].items = Some(".items | .".into());
    page(&open(shaped), None, Some(&known)).await.unwrap();
    assert_eq!(api.count(), 4);
}

#[tokio::test]
async fn conditions_can_be_switched_off_and_equal_bytes_are_still_noticed() {
    let api = Api::start(|seen| {
        assert_eq!(seen.header("if-none-match"), None);
        with_etag(seen, "\"v1\"", json!(components(0, 2)))
    })
    .await;
    let mut settings = things(&api.url, Pagination::None);
    settings.conditional = false;
    let source = open(settings);
    let known = memory(&first(&source).await.unwrap());
    assert!(is_unchanged(&page(&source, None, Some(&known)).await.unwrap()));
}

#[tokio::test]
async fn other_bytes_are_read() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let api = Api::start(move |_| answer(json!(components(0, counter.fetch_add(1, Ordering::SeqCst))))).await;
    let source = open(things(&api.url, Pagination::None));
    let known = memory(&first(&source).await.unwrap());
    let changed = page(&source, None, Some(&known)).await.unwrap();
    assert_eq!(references(&changed).len(), 1);
}

/// The first answer has no next page, later ones have.
async fn grows(status_later: u16) -> Api {
    let calls = Arc::new(AtomicUsize::new(0));
    Api::start(move |seen| {
        let later = calls.fetch_add(1, Ordering::SeqCst) > 0;
        let mut response = if later && seen.header("if-none-match").is_some() && status_later == 304 {
            status(304, &[], "")
        } else {
            answer(json!(components(0, 2)))
        };
        response.headers_mut().insert("etag", "\"v1\"".parse().unwrap());
        if later {
            response
                .headers_mut()
                .insert("link", "</things?page=2>; rel=next".parse().unwrap());
        }
        response
    })
    .await
}

#[tokio::test]
async fn a_page_that_got_a_successor_is_not_unchanged() {
    for status_later in [200, 304] {
        let api = grows(status_later).await;
        let source = open(things(&api.url, Pagination::LinkHeader { size: None }));
        let known = memory(&first(&source).await.unwrap());
        assert_eq!(known.next, None);
        let grown = page(&source, None, Some(&known)).await.unwrap();
        assert_eq!(grown.next, Some(json!("/things?page=2")), "{status_later}");
        let known = memory(&grown);
        assert!(is_unchanged(&page(&source, None, Some(&known)).await.unwrap()));
    }
}

/// A list whose full last page gets a successor, at a server that tells the next page in `header` of a 200 and of no
/// 304, as GitHub does.
async fn grows_silently(header: &'static str, next: &'static str) -> Api {
    let calls = Arc::new(AtomicUsize::new(0));
    Api::start(move |seen| {
        let grown = calls.fetch_add(1, Ordering::SeqCst) > 0;
        let mut response = with_etag(seen, "\"v1\"", json!(components(0, 2)));
        if grown && response.status() == 200 {
            response.headers_mut().insert(header, next.parse().unwrap());
        }
        response
    })
    .await
}

#[tokio::test]
async fn a_304_without_the_header_that_tells_the_next_page_does_not_hide_a_successor() {
    let by_header = Pagination::Header {
        in_body: false,
        header: "x-next".into(),
        parameter: "after".into(),
        size: None,
    };
    for (pagination, header, told, next) in [
        (
            Pagination::LinkHeader { size: None },
            "link",
            "</things?page=2>; rel=next",
            "/things?page=2",
        ),
        (by_header, "x-next", "c2", "c2"),
    ] {
        let api = grows_silently(header, told).await;
        let source = open(things(&api.url, pagination));
        let known = memory(&first(&source).await.unwrap());
        let grown = page(&source, None, Some(&known)).await.unwrap();
        assert_eq!(grown.next, Some(json!(next)), "{header}");
        // A page in the middle is believed to be one still: its 304 costs one request.
        let asked = api.count();
        assert!(is_unchanged(&page(&source, None, Some(&memory(&grown))).await.unwrap()));
        assert_eq!(api.count(), asked + 1);
    }
}

#[tokio::test]
async fn a_last_page_whose_304_tells_links_costs_one_request() {
    let api = Api::start(|seen| {
        let mut response = with_etag(seen, "\"v1\"", json!(components(0, 2)));
        let first = "</things?page=1>; rel=first".parse().unwrap();
        response.headers_mut().insert("link", first);
        response
    })
    .await;
    let source = open(things(&api.url, Pagination::LinkHeader { size: None }));
    let known = memory(&first(&source).await.unwrap());
    assert!(is_unchanged(&page(&source, None, Some(&known)).await.unwrap()));
    assert_eq!(api.count(), 2);
}

#[tokio::test]
async fn a_last_page_that_is_asked_for_again_without_conditions_and_is_the_same_is_unchanged() {
    let api = Api::start(|seen| with_etag(seen, "\"v1\"", json!(components(0, 2)))).await;
    let source = open(things(&api.url, Pagination::LinkHeader { size: None }));
    let known = memory(&first(&source).await.unwrap());
    assert!(is_unchanged(&page(&source, None, Some(&known)).await.unwrap()));
    assert_eq!(api.count(), 3);
}

#[tokio::test]
async fn a_full_last_page_of_numbered_pages_is_followed_by_one_more_request() {
    let size = tideline_config::settings::PageSize {
        parameter: "size".into(),
        size: 2,
    };
    for pagination in [
        Pagination::Page {
            in_body: false,
            parameter: "page".into(),
            first: 1,
            size: Some(size.clone()),
            total_pages: None,
            total: None,
        },
        Pagination::Offset {
            first: 0,
            in_body: false,
            parameter: "offset".into(),
            size,
            total: None,
        },
    ] {
        let api = Api::start(|seen| with_etag(seen, "\"v1\"", json!(components(0, 2)))).await;
        let source = open(things(&api.url, pagination));
        let page_one = first(&source).await.unwrap();
        // The next page is looked for though there is none yet: a 304 hides no successor.
        assert!(page_one.next.is_some());
        assert!(is_unchanged(
            &page(&source, None, Some(&memory(&page_one))).await.unwrap()
        ));
    }
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_transient() {
    let api = Api::start(|_| status(304, &[], "")).await;
    let error = first(&open(things(&api.url, Pagination::None))).await.unwrap_err();
    assert!(
        matches!(error.class, tideline_worker::ErrorClass::Transient { .. }),
        "{error}"
    );
}
