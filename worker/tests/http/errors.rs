//! What goes wrong, and its class.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use tideline_config::settings::{AnswerPattern, Pagination};
use tideline_worker::{ErrorClass, SourceError};

use crate::api::*;

const TRANSIENT: ErrorClass = ErrorClass::Transient { retry_after: None };

fn after(seconds: u64) -> ErrorClass {
    ErrorClass::Transient {
        retry_after: Some(Duration::from_secs(seconds)),
    }
}

async fn error_of(code: u16, headers: &'static [(&'static str, &str)], body: &'static str) -> SourceError {
    let api = Api::start(move |_| status(code, headers, body)).await;
    first(&open(things(&api.url, Pagination::None))).await.unwrap_err()
}

#[tokio::test]
async fn each_status_has_its_class() {
    for (code, headers, class) in [
        (500, &[][..], TRANSIENT),
        (502, &[], TRANSIENT),
        (408, &[], TRANSIENT),
        (503, &[("retry-after", "9")], after(9)),
        (429, &[("retry-after", "12")], after(12)),
        (429, &[], TRANSIENT),
        (
            429,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "33")],
            after(33),
        ),
        (429, &[("ratelimit", "\"default\";r=0;t=44")], after(44)),
        (403, &[("retry-after", "60")], after(60)),
        (
            403,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")],
            after(5),
        ),
        (403, &[("x-ratelimit-remaining", "10")], ErrorClass::Permanent),
        (401, &[], ErrorClass::Permanent),
        (400, &[], ErrorClass::Permanent),
        (404, &[], ErrorClass::Permanent),
        (410, &[], ErrorClass::Permanent),
    ] {
        let error = error_of(code, headers, "why").await;
        assert_eq!(error.class, class, "{code} {headers:?}: {error}");
        assert!(
            error.message.contains(&code.to_string()) && error.message.contains("why"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_secondary_rate_limit_that_only_the_text_tells_is_no_lack_of_rights() {
    for body in [
        "{\"message\":\"You have exceeded a secondary rate limit. Please wait a few minutes before you try again.\"}",
        "{\"message\":\"You have triggered an abuse detection mechanism.\"}",
    ] {
        let error = error_of(403, &[], body).await;
        assert_eq!(error.class, after(60), "{error}");
        assert!(!error.message.contains("credentials"), "{error}");
    }
}

#[tokio::test]
async fn retry_after_may_be_a_date_compared_with_the_answers_own() {
    let headers = &[
        ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    assert_eq!(error_of(429, headers, "").await.class, after(60));
}

#[tokio::test]
async fn a_good_answer_with_nothing_left_of_the_limit_holds_the_source() {
    for headers in [
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "30")][..],
        &[("ratelimit", "\"default\";r=0;t=30")],
        &[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")],
    ] {
        let api = Api::start(move |_| status(200, headers, "[]")).await;
        let page = first(&open(things(&api.url, Pagination::None))).await.unwrap();
        assert_eq!(page.hold, Some(Duration::from_secs(30)), "{headers:?}");
    }
}

#[tokio::test]
async fn an_expired_cursor_is_told_by_410_or_by_what_the_configuration_names() {
    let pagination = || Pagination::Cursor {
        next: ".next".into(),
        parameter: "after".into(),
        in_body: false,
        size: None,
    };
    for (code, body, expired) in [
        (410, "", true),
        (500, "the page token has expired", true),
        (500, "out of order", false),
        (400, "the page token has expired", false),
    ] {
        let api = Api::start(move |_| status(code, &[], body)).await;
        let mut settings = things(&api.url, pagination());
        settings.cursor_expired = vec![AnswerPattern {
            status: 500,
            contains: Some("token has expired".into()),
            confirm: false,
        }];
        let source = open(settings);
        let error = page(&source, Some(&json!("x")), None).await.unwrap_err();
        assert_eq!(
            error.class == ErrorClass::CursorExpired,
            expired,
            "{code} {body}: {error}"
        );
        let error = first(&source).await.unwrap_err();
        assert_ne!(
            error.class,
            ErrorClass::CursorExpired,
            "without a cursor: {code} {body}"
        );
    }
}

/// `/things?after=x` fails; what the first page and the second look answer tells why.
async fn confirmed(first_page: u16, again: u16) -> ErrorClass {
    let looks = std::sync::atomic::AtomicU32::new(0);
    let api = Api::start(move |seen| match seen.query.get("after") {
        None => status(first_page, &[], "[]"),
        Some(_) if looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => status(500, &[], "INTERNAL_ERROR"),
        Some(_) => status(again, &[], "[]"),
    })
    .await;
    let pagination = Pagination::Cursor {
        next: ".next".into(),
        parameter: "after".into(),
        in_body: false,
        size: None,
    };
    let mut settings = things(&api.url, pagination);
    settings.cursor_expired = vec![AnswerPattern {
        status: 500,
        contains: None,
        confirm: true,
    }];
    let error = page(&open(settings), Some(&json!("x")), None).await.unwrap_err();
    error.class
}

#[tokio::test]
async fn a_general_error_means_an_expired_cursor_only_if_it_repeats_while_the_first_page_can_be_read() {
    assert_eq!(confirmed(200, 500).await, ErrorClass::CursorExpired);
    assert_eq!(confirmed(500, 500).await, TRANSIENT, "the server is ill");
    assert_eq!(confirmed(200, 200).await, TRANSIENT, "it was well again");
}

#[tokio::test]
async fn the_right_that_a_refused_request_lacks_is_named() {
    let headers = &[("x-accepted-github-permissions", "contents=read")];
    let error = error_of(403, headers, "Resource not accessible by integration").await;
    assert!(error.message.contains("needs the permission contents=read"), "{error}");
    let headers = &[("x-accepted-oauth-scopes", "repo"), ("x-oauth-scopes", "public_repo")];
    let error = error_of(404, headers, "Not Found").await;
    assert!(
        error
            .message
            .contains("one of the scopes repo; the token has public_repo"),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url::Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = first(&open(things(&url, Pagination::None))).await.unwrap_err();
    assert_eq!(error.class, TRANSIENT);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_transient() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url::Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let source = open_within(things(&url, Pagination::None), Duration::from_millis(200));
    let error = first(&source).await.unwrap_err();
    assert_eq!(error.class, TRANSIENT);
    assert!(error.message.contains("in time"), "{error}");
}

#[tokio::test]
async fn a_body_that_was_cut_is_transient_however_it_was_cut() {
    let text = json!({"items": components(0, 3)}).to_string();
    let cut = &text[..text.len() - 20];
    for head in [
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{cut}", text.len()),
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{cut}"),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{cut}\r\n",
            cut.len()
        ),
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
    ] {
        let url = Api::start_raw(head.clone().into_bytes()).await;
        let error = first(&open(things(&url, Pagination::None))).await.unwrap_err();
        assert_eq!(error.class, TRANSIENT, "{head}: {error}");
    }
}

#[tokio::test]
async fn html_and_other_texts_are_permanent_and_shown() {
    for (kind, body) in [
        ("text/html; charset=utf-8", "<!doctype html><title>Sign in</title>"),
        ("application/json", "  <html>Sign in</html>"),
        ("text/plain", "Sign in please"),
        ("application/json", "{\"items\": [1,,]} Sign in"),
    ] {
        let api = Api::start(move |_| status(200, &[("content-type", kind)], body)).await;
        let error = first(&open(things(&api.url, Pagination::None))).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "{body}: {error}");
        assert!(error.message.contains("Sign in"), "{error}");
    }
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit() {
    let api = Api::start(|_| {
        let chunk = Bytes::from_static(&[b'['; 64 * 1024]);
        let endless = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
        Response::new(Body::from_stream(endless))
    })
    .await;
    let error = first(&open(things(&api.url, Pagination::None))).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(
        error.message.contains("max_body_bytes") && error.message.contains("[["),
        "{error}"
    );
    assert!(error.message.len() < 600, "{error}");
}

#[tokio::test]
async fn a_partition_of_a_resource_that_is_gone_is_permanent() {
    let api = Api::start(|_| answer(json!([]))).await;
    let source = open(things(&api.url, Pagination::None));
    let request = tideline_worker::PageRequest {
        partition: "gone/x",
        args: &json!({"resource": "gone", "values": {}}),
        cursor: None,
        memory: None,
        pass: tideline_worker::Pass::Trial,
    };
    let error = tideline_worker::Source::read_page(&source, request).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert_eq!(api.count(), 0);
}
