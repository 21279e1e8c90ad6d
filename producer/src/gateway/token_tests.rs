//! Tokens of the store, over HTTP.

use std::time::Duration;

use serde_json::Value;
use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::{Actor, Role, Timestamp};
use tideline_store::{Deed, OperatorAct};

use super::tests::bench;

#[tokio::test]
async fn wrong_tokens_are_slowed_down_per_address() {
    let bench = bench("127.0.0.1:0", Some("s3cr3t")).await;
    let header = "authorization: Bearer tdl_000000000000_wrong\r\n";
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(bench.ask("GET", "/v1/sources", header).await);
    }
    let first: Vec<u16> = statuses.iter().take(6).map(|answer| answer.status).collect();
    assert_eq!(first, [401, 401, 401, 401, 401, 429]);
    let last = &statuses[7];
    assert_eq!(
        (last.status, &last.json()["code"]),
        (429, &Value::from("too_many_attempts"))
    );
    assert!(last.head.contains("retry-after: "), "{}", last.head);
    let right = "authorization: Bearer s3cr3t\r\n";
    assert_eq!(bench.ask("GET", "/v1/sources", right).await.status, 200);
}

#[tokio::test]
async fn wrong_tokens_do_not_lock_out_a_right_one_behind_the_same_ingress() {
    let bench = bench("127.0.0.1:0", Some("s3cr3t")).await;
    let admin = "authorization: Bearer s3cr3t\r\ncontent-type: application/json\r\n";
    let made = bench
        .send("POST", "/v1/tokens", admin, r#"{"name":"ci","role":"read"}"#)
        .await;
    let bearer = format!("authorization: Bearer {}\r\n", made.json()["secret"].as_str().unwrap());
    let wrong = "authorization: Bearer tdl_000000000000_wrong\r\n";
    for _ in 0..9 {
        bench.ask("GET", "/v1/sources", wrong).await;
    }
    assert_eq!(bench.ask("GET", "/v1/sources", wrong).await.status, 429);
    assert_eq!(bench.ask("GET", "/v1/sources", &bearer).await.status, 200);
    let refused = bench.ask("GET", "/v1/sources", wrong).await;
    assert_eq!(refused.status, 429, "a right token ends no wait");
}

#[tokio::test]
async fn a_token_of_the_store_opens_what_its_role_allows_until_it_is_revoked() {
    let bench = bench("127.0.0.1:0", None).await;
    assert_eq!(bench.get("/v1/sources").await.status, 200);
    let body = r#"{"name":"viewer","role":"read"}"#;
    let created = bench
        .send("POST", "/v1/tokens", "content-type: application/json\r\n", body)
        .await;
    assert_eq!(created.status, 201, "{}", created.body);
    let bearer = format!(
        "authorization: Bearer {}\r\n",
        created.json()["secret"].as_str().unwrap()
    );
    assert_eq!(bench.ask("GET", "/v1/sources", &bearer).await.status, 200);
    let pause = "/v1/sources/platform%20one/pause";
    assert_eq!(bench.ask("POST", pause, &bearer).await.status, 403);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while bench.get("/v1/sources").await.status != 401 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "who shows no token still gets in"
        );
        tokio::task::yield_now().await;
    }
    let token = created.json()["id"].as_str().unwrap().to_owned();
    let act = Deed::RevokeToken(token.clone());
    let act = OperatorAct::new(act, Actor::local("test"));
    bench.store.perform(&act, SystemClock.now()).await.unwrap();
    bench.state.tokens.forget();
    let refused = bench.ask("GET", "/v1/sources", &bearer).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (401, &Value::from("token_revoked"))
    );
}

#[tokio::test]
async fn an_expired_token_is_refused_and_told_since_when() {
    let bench = bench("127.0.0.1:0", None).await;
    let secret = "tdl_0a1b2c3d4e5f_not-so-random";
    let expired = tideline_store::NewToken {
        id: "0a1b2c3d4e5f".to_owned(),
        hash: crate::api::tokens::hash_of(secret),
        name: "old".to_owned(),
        role: Role::Admin,
        sources: Vec::new(),
        expires_at: Some(Timestamp(SystemClock.now().0 - 1)),
    };
    let act = OperatorAct::new(Deed::CreateToken(expired), Actor::local("test"));
    bench.store.perform(&act, SystemClock.now()).await.unwrap();
    let bearer = format!("authorization: Bearer {secret}\r\n");
    let refused = bench.ask("GET", "/v1/whoami", &bearer).await;
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (401, &Value::from("token_expired")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("the token old expired at ") && !detail.contains(secret),
        "{detail}"
    );
}

#[tokio::test]
async fn a_token_that_differs_in_its_secret_alone_is_as_wrong_as_any() {
    let bench = bench("127.0.0.1:0", Some("for-this-test-only")).await;
    let admin = "authorization: Bearer for-this-test-only\r\ncontent-type: application/json\r\n";
    let made = bench
        .send("POST", "/v1/tokens", admin, r#"{"name":"ci","role":"read"}"#)
        .await;
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    for wrong in [
        format!("{secret}x"),
        secret[..secret.len() - 1].to_owned(),
        secret.to_uppercase(),
    ] {
        let refused = bench
            .ask("GET", "/v1/whoami", &format!("authorization: Bearer {wrong}\r\n"))
            .await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (401, &Value::from("unauthenticated"))
        );
    }
    assert_eq!(
        bench
            .ask("GET", "/v1/whoami", &format!("authorization: Bearer {secret}\r\n"))
            .await
            .status,
        200
    );
}
