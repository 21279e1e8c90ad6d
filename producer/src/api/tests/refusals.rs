//! Acts that are refused before they come to the store are in the audit log.

use super::*;

impl Bench {
    async fn recorded(&self, path: &str) -> Vec<(String, String, String)> {
        let audit = self.get(path).await.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let items = audit["items"].as_array().unwrap().iter();
        let recorded = items.map(|item| (text(&item["act"]), text(&item["target"]), text(&item["detail"])));
        recorded.collect()
    }
}

#[tokio::test]
async fn an_act_that_the_token_does_not_allow_is_recorded_once_a_minute() {
    let bench = bench().await;
    for _ in 0..3 {
        let path = "/v1/sources/platform/pause";
        let answer = bench.ask(holder(Role::Read, &[]), "POST", path, None, &[]).await;
        assert_eq!(answer.status, 403, "{}", answer.body);
    }
    let recorded = bench.recorded("/v1/audit?source=platform").await;
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    let (act, target, refused) = &recorded[0];
    assert_eq!((act.as_str(), target.as_str()), ("sources.pause", "platform"));
    assert!(refused.contains("needs the role operate"), "{refused}");
    let read = bench
        .ask(holder(Role::Push, &[]), "GET", "/v1/sources", None, &[])
        .await;
    assert_eq!(read.status, 403);
    assert_eq!(
        bench.recorded("/v1/audit").await.len(),
        1,
        "a refused look is not recorded"
    );
}

#[tokio::test]
async fn an_act_on_a_source_or_job_that_does_not_exist_or_is_not_covered_is_recorded() {
    let bench = bench().await;
    let limited = holder(Role::Operate, &["team-*"]);
    for path in ["/v1/sources/platform/pause", "/v1/sources/nope/refresh"] {
        let answer = bench.ask(limited.clone(), "POST", path, None, &[]).await;
        assert_eq!(answer.code(), "unknown_source", "{}", answer.body);
    }
    let enqueue = json!({"jobs": [{"kind": "k", "key": "1"}]});
    let answer = bench.ask(limited, "POST", "/v1/jobs", Some(enqueue), &[]).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert_eq!(bench.post("/v1/jobs/999/retry", None).await.status, 404);
    let acts: Vec<(String, String)> = (bench.recorded("/v1/audit").await.into_iter())
        .map(|(act, target, refused)| {
            assert!(!refused.is_empty(), "{act}");
            (act, target)
        })
        .collect();
    let expected = [
        ("jobs.retry", "999"),
        ("jobs.enqueue", ""),
        ("sources.refresh", "nope"),
        ("sources.pause", "platform"),
    ];
    assert_eq!(acts, expected.map(|(act, target)| (act.to_owned(), target.to_owned())));
}

#[tokio::test]
async fn a_refusal_of_the_store_is_recorded_once() {
    let bench = bench().await;
    let approval = json!({"cycle": 1, "would_remove": 5});
    let answer = bench.post("/v1/sources/platform/approve", Some(approval)).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert_eq!(bench.recorded("/v1/audit").await.len(), 1);
}
