//! What a page must never do, regardless of the store's content and the viewer.

use axum::http::Request;
use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::{Role, SourceState};

use super::{EVIL, all_pages, bench, somebody, spec};
use crate::api::Principal;
use crate::dashboard::{assets, format};

#[tokio::test]
async fn markup_is_shown_as_text_on_every_page() {
    let bench = bench().await;
    let event = bench.hostile().await;
    bench
        .post(
            &format!("/sources/{}/pause", format::encoded(EVIL)),
            &format!("reason={}", format::encoded(EVIL)),
        )
        .await;
    let evil = Principal::local(EVIL);
    bench
        .post_as(evil, &format!("/sources/{}/resume", format::encoded(EVIL)), "reason=r")
        .await;
    bench
        .post("/tokens", &format!("name={}&role=read&days=", format::encoded(EVIL)))
        .await;
    let mut escaped = 0;
    for path in all_pages(&bench, event).await {
        let shown = bench.get(&path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.html);
        assert!(!shown.html.contains("<script>alert"), "{path}");
        assert!(!shown.html.contains("<img"), "{path}");
        assert!(
            !shown.html.contains(" style=") && !shown.html.contains(" onclick="),
            "{path}"
        );
        escaped += usize::from(shown.html.contains("&lt;script&gt;alert(1)"));
    }
    assert!(escaped >= 20, "only {escaped} pages showed the text at all");
    let refused = bench.get(&format!("/sources/{}", format::encoded("<b>none</b>"))).await;
    assert_eq!(refused.status, 404);
    assert!(refused.html.contains("&lt;b&gt;none&lt;/b&gt;") && !refused.html.contains("<b>none"));
}

#[tokio::test]
async fn pages_may_load_our_own_files_and_nothing_else() {
    let bench = bench().await;
    let shown = bench.get("/").await;
    assert!(shown.policy.starts_with("default-src 'none'"), "{}", shown.policy);
    assert!(
        !shown.policy.contains("unsafe-inline") && !shown.policy.contains("http"),
        "{}",
        shown.policy
    );
    for asset in [&*assets::STYLE, &*assets::SCRIPT, &*assets::ICON] {
        assert!(shown.html.contains(&asset.path), "{}", asset.path);
        let file = bench.get(&asset.path).await;
        assert_eq!(file.status, 200);
        assert!(!file.html.contains("url(http") && !file.html.contains("@import"));
    }
    assert_eq!(bench.get("/assets/style.000000000000.css").await.status, 404);
}

#[tokio::test]
async fn an_act_that_another_site_asks_for_is_refused() {
    let bench = bench().await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = Request::builder()
            .method("POST")
            .uri("/sources/s/pause")
            .header("host", "localhost:7070")
            .header(name, value);
        let refused = bench.ask(somebody(Role::Admin, &[]), request, "").await;
        assert_eq!(refused.status, 403, "{name}: {value}");
    }
    let source = bench.store.find_source("s").await.unwrap().unwrap();
    assert_eq!(source.state, SourceState::Active);
    assert_eq!(bench.post("/sources/s/pause", "").await.status, 303);
    let source = bench.store.find_source("s").await.unwrap().unwrap();
    assert_eq!(source.state, SourceState::Paused);
}

#[tokio::test]
async fn buttons_and_acts_are_those_of_the_role() {
    let bench = bench().await;
    let now = SystemClock.now();
    bench
        .store
        .sync_sources(&[spec("s"), spec("other")], now)
        .await
        .unwrap();
    let reader = || somebody(Role::Read, &[]);
    let shown = bench.get_as(reader(), "/sources/s").await;
    assert!(!shown.html.contains("<form method=\"post\""), "{}", shown.html);
    assert!(!shown.html.contains("href=\"/tokens\"") && !shown.html.contains("href=\"/audit\""));
    for path in [
        "/sources/s/pause",
        "/sources/s/refresh",
        "/jobs/1/retry",
        "/subscriptions/x/pause",
        "/tokens",
    ] {
        assert_eq!(
            bench.post_as(reader(), path, "name=a&role=read").await.status,
            403,
            "{path}"
        );
    }
    let operator = || somebody(Role::Operate, &[]);
    assert!(
        bench
            .get_as(operator(), "/sources/s")
            .await
            .html
            .contains("/sources/s/pause")
    );
    assert_eq!(bench.get_as(operator(), "/tokens").await.status, 403);
    assert_eq!(
        bench.post_as(operator(), "/tokens", "name=a&role=admin").await.status,
        403
    );
    let limited = || somebody(Role::Operate, &["s"]);
    let shown = bench.get_as(limited(), "/").await;
    assert!(shown.html.contains("/sources/s\"") && !shown.html.contains("/sources/other\""));
    assert_eq!(bench.get_as(limited(), "/sources/other").await.status, 404);
    assert_eq!(bench.post_as(limited(), "/sources/other/pause", "").await.status, 404);
    assert_eq!(bench.get_as(limited(), "/events").await.status, 403);
    assert_eq!(bench.get_as(somebody(Role::Push, &[]), "/").await.status, 403);
}
