//! Signing in to the dashboard, over a real connection.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tests::{Answer, Bench, bench};

/// What a browser sends from our own page, with this cookie.
fn browser(cookie: &str) -> String {
    let form = "content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin\r\n";
    format!("{form}cookie: {cookie}\r\n")
}

impl Answer {
    fn cookie(&self) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        line.unwrap().split(';').next().unwrap()
    }
}

/// The head in lower case would break the cookie, whose id has upper case letters too.
async fn sign_in(bench: &Bench, token: &str, next: &str) -> (u16, String, String) {
    let to = SocketAddr::from(([127, 0, 0, 1], bench.address.port()));
    let mut stream = TcpStream::connect(to).await.unwrap();
    let form = format!("token={token}&next={next}");
    let request = format!(
        "POST /sign-in HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n{form}",
        form.len(),
        browser("")
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let head = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head("set-cookie:"), head("location:"))
}

#[tokio::test]
async fn a_session_opens_pages_until_it_is_ended_and_never_the_api() {
    let bench = bench("127.0.0.1:0", Some("s3cret")).await;
    let refused = bench.ask("GET", "/jobs?state=parked", "").await;
    assert_eq!(refused.status, 303);
    assert!(
        refused
            .head
            .contains("location: /sign-in?next=%2fjobs%3fstate%3dparked"),
        "{}",
        refused.head
    );
    assert_eq!(sign_in(&bench, "wrong", "").await.0, 401);

    let (status, cookie, location) = sign_in(&bench, "s3cret", "%2Fjobs").await;
    assert_eq!((status, location.as_str()), (303, "/jobs"));
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    assert!(!cookie.contains("s3cret"), "{cookie}");
    let session = cookie.split(';').next().unwrap().to_owned();
    let shown = bench.ask("GET", "/", &browser(&session)).await;
    assert_eq!(shown.status, 200);
    assert!(shown.body.contains("Sign out") && shown.head.contains("content-security-policy"));
    assert_eq!(bench.ask("GET", "/v1/sources", &browser(&session)).await.status, 401);

    let out = bench.ask("POST", "/sign-out", &browser(&session)).await;
    assert_eq!(out.status, 303);
    assert!(out.cookie().ends_with('='), "{}", out.head);
    assert_eq!(
        bench.ask("GET", "/", &browser(&session)).await.status,
        303,
        "the session is over"
    );
}

#[tokio::test]
async fn a_mistyped_address_shows_a_person_who_is_signed_in_that_there_is_no_such_page() {
    let bench = bench("127.0.0.1:0", Some("s3cret")).await;
    let (_, cookie, _) = sign_in(&bench, "s3cret", "").await;
    let session = cookie.split(';').next().unwrap();
    let headers = format!("accept: text/html,*/*;q=0.8\r\ncookie: {session}\r\n");
    for path in ["/nope", "/sources", "/catalog/"] {
        let page = bench.ask("GET", path, &headers).await;
        assert_eq!(page.status, 404, "{path}: {}", page.body);
        assert!(page.body.contains("may be misspelled"), "{path}: {}", page.body);
    }
    let program = format!("cookie: {session}\r\n");
    let problem = bench.ask("GET", "/nope", &program).await;
    assert_eq!(problem.json()["code"], "unauthenticated");
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let bench = bench("127.0.0.1:0", Some("s3cret")).await;
    let bearer = "authorization: Bearer s3cret\r\ncontent-type: application/json\r\n";
    let body = r#"{"name":"ops","role":"operate"}"#;
    let created = bench.send("POST", "/v1/tokens", bearer, body).await.json();
    let (status, cookie, _) = sign_in(&bench, created["secret"].as_str().unwrap(), "").await;
    assert_eq!(status, 303);
    let session = cookie.split(';').next().unwrap().to_owned();
    let shown = bench.ask("GET", "/", &browser(&session)).await;
    assert!(
        shown.status == 200 && shown.body.contains("ops · operate"),
        "{}",
        shown.body
    );
    let paused = bench
        .ask("POST", "/sources/platform%20one/pause", &browser(&session))
        .await;
    assert_eq!(paused.status, 303, "{}", paused.body);
    let audit = bench.ask("GET", "/v1/audit", bearer).await.json();
    assert_eq!(
        (&audit["items"][0]["actor"], &audit["items"][0]["act"]),
        (&"ops".into(), &"sources.pause".into())
    );
    assert_eq!(audit["items"][0]["address"], "127.0.0.1");

    let revoke = format!("/v1/tokens/{}", created["id"].as_str().unwrap());
    assert_eq!(bench.ask("DELETE", &revoke, bearer).await.status, 204);
    let over = async || bench.ask("GET", "/", &browser(&session)).await.status;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while over().await != 303 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the token was revoked and its session goes on"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_form_whose_session_is_over_leads_to_the_sign_in_page_and_back() {
    let bench = bench("127.0.0.1:0", Some("s3cret")).await;
    let over = browser("tideline_session=over");
    let from = format!("{over}referer: http://127.0.0.1/jobs?state=parked\r\n");
    for (headers, location) in [
        (from, "location: /sign-in?next=%2fjobs%3fstate%3dparked"),
        (over, "location: /sign-in?next=%2f\r\n"),
    ] {
        let answer = bench.ask("POST", "/sources/platform%20one/pause", &headers).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert!(answer.head.contains(location), "{}", answer.head);
    }
}

#[tokio::test]
async fn a_token_that_only_pushes_opens_no_pages() {
    let bench = bench("127.0.0.1:0", Some("s3cret")).await;
    let bearer = "authorization: Bearer s3cret\r\ncontent-type: application/json\r\n";
    let created = bench
        .send("POST", "/v1/tokens", bearer, r#"{"name":"p","role":"push"}"#)
        .await
        .json();
    assert_eq!(sign_in(&bench, created["secret"].as_str().unwrap(), "").await.0, 403);
}

#[tokio::test]
async fn a_link_from_another_site_leads_to_the_page_in_spite_of_a_strict_cookie() {
    let bench = bench("127.0.0.1:0", Some("s3cret")).await;
    let from_chat = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n";
    let answer = bench.ask("GET", "/jobs?state=parked", from_chat).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.contains("content=\"0; url=/jobs?state=parked\""),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn without_tokens_the_dashboard_is_open_to_this_machine_and_to_no_other_name() {
    let bench = bench("127.0.0.1:0", None).await;
    assert_eq!(bench.get("/").await.status, 200);
    let to = SocketAddr::from(([127, 0, 0, 1], bench.address.port()));
    let mut stream = TcpStream::connect(to).await.unwrap();
    let rebound = b"GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    stream.write_all(rebound).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 403"), "{text}");
}
