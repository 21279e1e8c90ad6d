//! Where readers go on.

use super::*;

#[tokio::test]
async fn a_reader_ahead_of_the_log_of_events_is_told_to_start_over() {
    let bench = bench().await;
    let empty = bench.get("/v1/events/log?after=0").await;
    assert_eq!(empty.status, 200, "{}", empty.body);
    bench.append(&vec![json!({}); 9]).await;
    let end = bench.get("/v1/events/log?after=0").await.json()["next"].clone();
    let end: u64 = end.as_str().unwrap().parse().unwrap();
    let at_end = bench.get(&format!("/v1/events/log?after={end}")).await;
    assert_eq!(at_end.status, 200, "{}", at_end.body);
    for after in [end + 1, 5_000] {
        for query in ["", "&wait=30", "&topics=none"] {
            let answer = bench.get(&format!("/v1/events/log?after={after}{query}")).await;
            let found = (answer.status, answer.code());
            assert_eq!(found, (410, "start_over".to_owned()), "{}", answer.body);
            assert!(answer.body.contains("after=0"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_page_token_opens_no_other_list_and_no_other_filters() {
    let bench = bench().await;
    bench.some_entities(5).await;
    let jobs = (0..5).map(|key| json!({"kind": "mail", "key": format!("{key}")}));
    let jobs = bench
        .post("/v1/jobs", Some(json!({"jobs": jobs.collect::<Vec<_>>()})))
        .await;
    assert_eq!(jobs.status, 202, "{}", jobs.body);
    for list in [
        "/v1/jobs?kind=mail",
        "/v1/entities?kind=component",
        "/v1/changes/newest?change=added",
    ] {
        let first = bench.get(&format!("{list}&limit=2")).await.json();
        let token = first["next_page_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{list}: {first}"));
        let next = bench.get(&format!("{list}&limit=3&page_token={token}")).await;
        assert_eq!(next.status, 200, "{list}: {}", next.body);
        let (path, _) = list.split_once('?').unwrap();
        for other in [path, "/v1/audit", "/v1/events", "/v1/jobs?kind=other"] {
            let mark = if other.contains('?') { '&' } else { '?' };
            let answer = bench.get(&format!("{other}{mark}page_token={token}")).await;
            assert_eq!(answer.code(), "invalid_page_token", "{list} {other}: {}", answer.body);
        }
    }
}
