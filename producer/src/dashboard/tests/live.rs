//! Pages that are open.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::Role;
use tideline_store::SourceCommand;
use tower::ServiceExt as _;

use super::{bench, somebody, spec};
use crate::dashboard::format;

#[tokio::test]
async fn an_open_page_is_told_what_has_changed() {
    let bench = bench().await;
    let now = SystemClock.now();
    bench.store.sync_sources(&[spec("s")], now).await.unwrap();
    let mut request = Request::builder().uri("/live?page=%2F").body(Body::empty()).unwrap();
    request.extensions_mut().insert(somebody(Role::Read, &[]));
    let response = bench.pages.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body();
    let mut next = async || {
        let frame = tokio::time::timeout(Duration::from_secs(20), stream.frame())
            .await
            .unwrap();
        String::from_utf8(frame.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
    };
    let whole = next().await;
    assert!(
        whole.contains("\"id\":\"sources\"") && whole.contains("\"id\":\"needs\""),
        "{whole}"
    );
    assert!(!whole.contains("/sources/s/pause"), "a reader gets no buttons");
    bench
        .store
        .command_source("s", SourceCommand::Pause, now)
        .await
        .unwrap();
    let changed = next().await;
    assert!(
        changed.contains("paused") && !changed.contains("\"id\":\"fleet\""),
        "{changed}"
    );
}

#[tokio::test]
async fn only_pages_can_be_followed() {
    let bench = bench().await;
    for page in ["", "https://evil.example", "/live?page=/"] {
        let path = format!("/live?page={}", format::encoded(page));
        assert_eq!(bench.get(&path).await.status, 400, "{page}");
    }
}
