//! What the command line and other clients rely on.

use super::*;

#[tokio::test]
async fn the_query_of_a_signed_url_in_a_cursor_is_not_shown() {
    let bench = bench().await;
    let now = SystemClock.now();
    bench.store.start_cycles(10, now).await.unwrap();
    let claimed = claim_ingest(&bench.store, "w", 1, now).await.remove(0);
    let cursor = r#"{"next":"https://host/items?page=2&sig=s3cret"}"#;
    let lease = claimed.lease();
    assert!(bench.store.checkpoint(lease, cursor, now).await.unwrap());
    let answer = bench.get(&format!("/v1/jobs/{}", claimed.id)).await;
    assert!(
        answer.body.contains("https://host/items") && !answer.body.contains("s3cret"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn an_overview_shows_a_source_with_its_lists_and_whoami_shows_every_role() {
    let bench = bench().await;
    bench.some_entities(3).await;
    let overview = bench.get("/v1/sources/platform/overview").await.json();
    assert_eq!(overview["source"]["name"], "platform");
    assert_eq!(overview["cycles"][0]["number"], 1);
    assert!(overview["why"]["sentence"].is_string() && overview["unseen"].is_array());
    for path in [
        "/v1/jobs?source=platfrom",
        "/v1/entities?source=platfrom",
        "/v1/sources/platfrom/unseen",
    ] {
        let answer = bench.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "unknown_source"),
            "{path}"
        );
    }
    for role in Role::ALL {
        let answer = bench
            .ask(holder(role, &["team-*"]), "GET", "/v1/whoami", None, &[])
            .await;
        assert_eq!(answer.json()["role"], role.as_str());
        assert_eq!(answer.json()["sources"], json!(["team-*"]));
    }
}

#[tokio::test]
async fn each_change_says_where_a_reader_goes_on_that_has_taken_it() {
    let bench = bench().await;
    bench.some_entities(3).await;
    let all = bench.get("/v1/changes").await.json();
    let second = all["changes"][1]["next"].as_str().unwrap().to_owned();
    let rest = bench.get(&format!("/v1/changes?after={second}")).await.json();
    assert_eq!(rest["changes"].as_array().unwrap().len(), 1, "{rest}");
    assert_eq!(rest["changes"][0]["sequence"], all["changes"][2]["sequence"]);
    assert_eq!(all["changes"][2]["next"], all["next"]);
}
