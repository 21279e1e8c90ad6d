//! Credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;
use serde_json::json;
use tideline_config::settings::{Auth, HttpSettings, Pagination, TokenEndpoint};
use tideline_core::words::Secret;
use tideline_worker::ErrorClass;

use crate::api::*;

async fn header_sent(auth: Auth, name: &str) -> String {
    let api = Api::start(|_| answer(json!([]))).await;
    let mut settings = things(&api.url, Pagination::None);
    settings.auth = auth;
    settings.headers.insert("x-tenant".into(), Secret::new("blue"));
    first(&open(settings)).await.unwrap();
    assert_eq!(api.seen()[0].header("x-tenant"), Some("blue"));
    api.seen()[0].header(name).unwrap().to_owned()
}

#[tokio::test]
async fn bearer_basic_and_own_headers_are_sent() {
    assert_eq!(
        header_sent(Auth::Bearer(Secret::new("t1")), "authorization").await,
        "Bearer t1"
    );
    let basic = Auth::Basic {
        username: "Aladdin".into(),
        password: Secret::new("open sesame"),
    };
    // The example of RFC 7617, section 2.
    assert_eq!(
        header_sent(basic, "authorization").await,
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
    let own = Auth::Header {
        name: "X-Api-Key".into(),
        value: Secret::new("k1"),
    };
    assert_eq!(header_sent(own, "x-api-key").await, "k1");
}

fn client(api: &Api) -> HttpSettings {
    let mut settings = things(&api.url, Pagination::None);
    settings.auth = Auth::ClientCredentials {
        tokens: TokenEndpoint::Url(api.url.join("/token").unwrap()),
        client_id: "me".into(),
        client_secret: Secret::new("hush-hush"),
        scope: Some("read".into()),
        audience: None,
    };
    settings
}

/// Gives `token-1`, `token-2` …, and answers with whatever `things` says of the token that came.
async fn with_tokens(things: impl Fn(&str) -> Response + Send + Sync + 'static) -> (Api, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&given);
    let api = Api::start(move |seen| {
        if seen.path == "/token" {
            assert_eq!(seen.header("authorization"), Some("Basic bWU6aHVzaC1odXNo"));
            assert_eq!(seen.body, "grant_type=client_credentials&scope=read");
            let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            return answer(
                json!({"access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": 3600}),
            );
        }
        things(seen.header("authorization").unwrap())
    })
    .await;
    (api, given)
}

#[tokio::test]
async fn one_token_is_fetched_for_many_requests_at_once() {
    let (api, given) = with_tokens(|header| {
        assert_eq!(header, "Bearer token-1");
        answer(json!([]))
    })
    .await;
    let source = open(client(&api));
    let all = futures::future::join_all((0..20).map(|_| first(&source))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(given.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_request_repeated_once() {
    let (api, given) = with_tokens(|header| match header {
        "Bearer token-2" => answer(json!(components(0, 1))),
        _ => status(401, &[], "expired"),
    })
    .await;
    let page = first(&open(client(&api))).await.unwrap();
    assert_eq!(references(&page).len(), 1);
    assert_eq!(given.load(Ordering::SeqCst), 2);

    let (api, given) = with_tokens(|_| status(401, &[], "never")).await;
    let error = first(&open(client(&api))).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert_eq!(given.load(Ordering::SeqCst), 2);
    assert_eq!(api.count(), 4);
}

#[tokio::test]
async fn a_client_that_is_refused_is_a_configuration_error_without_its_secret() {
    let api = Api::start(|_| status(401, &[], r#"{"error":"invalid_client","secret":"hush-hush"}"#)).await;
    let error = first(&open(client(&api))).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Config);
    assert!(!format!("{error:?}").contains("hush-hush"), "{error:?}");
    // Once in the header, once in the body.
    assert_eq!(api.count(), 2);
}

#[tokio::test]
async fn a_token_endpoint_that_wants_the_secret_in_the_body_gets_it_there() {
    let api = Api::start(
        |seen| match (seen.path.as_str(), seen.body.contains("client_secret=hush-hush")) {
            ("/token", false) => status(400, &[], r#"{"error":"invalid_client"}"#),
            ("/token", true) => answer(json!({"access_token": "t"})),
            _ => answer(json!([])),
        },
    )
    .await;
    first(&open(client(&api))).await.unwrap();
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_is_transient() {
    let api = Api::start(|_| status(503, &[("retry-after", "7")], "")).await;
    let error = first(&open(client(&api))).await.unwrap_err();
    let seven = Some(std::time::Duration::from_secs(7));
    assert_eq!(error.class, ErrorClass::Transient { retry_after: seven });
}
