//! Next pages that the answer names: where they may lead, and what becomes of a page whose next one cannot be read.

use serde_json::{Value, json};
use tideline_config::settings::{NextUrls, Pagination};
use tideline_worker::{ErrorClass, Page};

use crate::api::*;

fn next_url() -> Pagination {
    Pagination::NextUrl {
        next: ".next".into(),
        size: None,
    }
}

fn with_link(items: Vec<Value>, link: Option<&str>) -> axum::response::Response {
    let mut response = answer(items.into());
    if let Some(link) = link {
        response.headers_mut().insert("link", link.parse().unwrap());
    }
    response
}

/// A page of two items that are kept, and what is wrong behind it.
async fn kept(settings: tideline_config::settings::HttpSettings) -> Page {
    let page = first(&open(settings)).await.unwrap();
    assert_eq!(references(&page).len(), 2);
    assert!(page.next.is_none() && page.validators.request.is_none());
    let failure = page.failure.as_ref().unwrap();
    assert_eq!(failure.class, ErrorClass::Permanent, "{failure}");
    page
}

#[tokio::test]
async fn a_page_whose_next_url_is_refused_keeps_its_items() {
    for next in [
        "http://other.example/things?page=2",
        "http://[",
        "/x".repeat(5000).as_str(),
    ] {
        let next = next.to_owned();
        let api = Api::start(move |_| answer(json!({"items": components(0, 2), "next": next}))).await;
        kept(things(&api.url, next_url())).await;
    }
}

#[tokio::test]
async fn a_next_url_that_is_the_pages_own_is_an_error_after_its_items_are_kept_or_the_end() {
    let api = Api::start(|seen| {
        let next = format!("http://{}/things?limit=2", seen.header("host").unwrap());
        answer(json!({"items": components(0, 2), "next": next}))
    })
    .await;
    let pagination = Pagination::NextUrl {
        next: ".next".into(),
        size: size(2),
    };
    let mut settings = things(&api.url, pagination);
    kept(settings.clone()).await;
    settings.resources[0].end.repeat = true;
    assert_eq!(pass(&open(settings)).await.names, names(2));
}

#[tokio::test]
async fn a_cursor_that_is_the_pages_own_is_an_error_after_its_items_are_kept_or_the_end() {
    let api = Api::start(|seen| {
        let from = seen.number("after").unwrap_or(0);
        answer(json!({"items": components(from, from + 2), "next": "2"}))
    })
    .await;
    let pagination = Pagination::Cursor {
        next: ".next".into(),
        parameter: "after".into(),
        in_body: false,
        size: None,
    };
    let mut settings = things(&api.url, pagination);
    let page = page(&open(settings.clone()), Some(&json!("2")), None).await.unwrap();
    assert_eq!((references(&page).len(), page.failure.is_some()), (2, true));
    settings.resources[0].end.repeat = true;
    assert_eq!(pass(&open(settings)).await.names, names(4));
}

#[tokio::test]
async fn a_full_first_page_without_any_link_header_is_an_error_after_its_items_are_kept() {
    let api = Api::start(|_| with_link(components(0, 2), None)).await;
    let mut settings = things(&api.url, Pagination::LinkHeader { size: size(2) });
    let page = kept(settings.clone()).await;
    assert!(page.failure.unwrap().message.contains("no_link"));
    settings.resources[0].end.no_link = true;
    assert_eq!(pass(&open(settings)).await.names, names(2));
    let short = things(&api.url, Pagination::LinkHeader { size: size(3) });
    assert_eq!(pass(&open(short)).await.names, names(2), "a short page is the only one");
    let told = Api::start(|_| with_link(components(0, 2), Some("</things>; rel=first"))).await;
    let told = things(&told.url, Pagination::LinkHeader { size: size(2) });
    assert_eq!(pass(&open(told)).await.names, names(2), "the header says so");
}

#[tokio::test]
async fn a_next_link_without_results_is_the_end() {
    let api = Api::start(|seen| {
        let from = seen.number("cursor").unwrap_or(0);
        let link = format!(
            "</things?cursor=0>; rel=\"previous\"; results=\"true\", </things?cursor={}>; rel=\"next\"; results=\"{}\"",
            from + 2,
            from < 4
        );
        with_link(components(from, from + 2), Some(&link))
    })
    .await;
    let pass = pass(&open(things(&api.url, Pagination::LinkHeader { size: None }))).await;
    assert_eq!((pass.names, pass.pages), (names(6), 3));
}

#[tokio::test]
async fn a_next_url_in_any_header_is_followed() {
    let api = Api::start(|seen| {
        let from = seen.number("from").unwrap_or(0);
        let mut response = answer(components(from, from + 2).into());
        if from < 4 {
            let next = format!("/things?from={}", from + 2);
            response.headers_mut().insert("x-next-url", next.parse().unwrap());
        }
        response
    })
    .await;
    let pagination = Pagination::NextUrlHeader {
        header: "X-Next-Url".into(),
        size: None,
    };
    let pass = pass(&open(things(&api.url, pagination))).await;
    assert_eq!((pass.names, pass.pages), (names(6), 3));
}

#[tokio::test]
async fn next_urls_of_an_api_behind_a_proxy_lead_back_through_it() {
    for (hosts, base_path, next) in [
        (
            vec!["api.internal:8080"],
            Some("/v1"),
            "http://api.internal:8080/v1/things?from=2",
        ),
        (vec!["api.internal"], Some(""), "https://api.internal/things?from=2"),
        (vec![], Some("/v1"), "/v1/things?from=2"),
        (vec![], Some(""), "?from=2"),
        (vec![], Some(""), "/gateway/api/things?from=2"),
        (vec![], None, "/gateway/api/things?from=2"),
    ] {
        let shown = next.to_owned();
        let api = Api::start(move |seen| {
            assert_eq!(seen.path, "/gateway/api/things", "{next}");
            let from = seen.number("from").unwrap_or(0);
            let next = (from == 0).then_some(next);
            answer(json!({"items": components(from, from + 2), "next": next}))
        })
        .await;
        let mut settings = things(&api.url.join("/gateway/api").unwrap(), next_url());
        settings.next_urls = NextUrls {
            hosts: hosts.into_iter().map(Into::into).collect(),
            base_path: base_path.map(Into::into),
        };
        assert_eq!(pass(&open(settings)).await.names, names(4), "{shown}");
    }
}
