//! Acts that are refused before they come to the store are in the audit log.

use tideline_store::SourceCommand;

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
async fn a_list_of_a_source_that_the_token_does_not_cover_is_no_empty_list() {
    let bench = bench().await;
    let limited = holder(Role::Read, &["team-*"]);
    for path in [
        "/v1/changes/newest?source=platform",
        "/v1/entities?source=platform",
        "/v1/jobs?source=platform",
        "/v1/sources/platform",
    ] {
        let answer = bench.ask(limited.clone(), "GET", path, None, &[]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "unknown_source"),
            "{path}"
        );
    }
    assert_eq!(bench.get("/v1/changes/newest?source=platform").await.status, 200);
}

#[tokio::test]
async fn a_reason_that_is_not_percent_encoded_is_refused() {
    let bench = bench().await;
    for (reason, status) in [
        ("bad%ZZ", 400),
        ("100%", 400),
        ("%2", 400),
        ("%FF", 400),
        ("100%25%20sure", 202),
    ] {
        let path = "/v1/sources/platform/refresh";
        let answer = bench
            .ask(
                holder(Role::Operate, &[]),
                "POST",
                path,
                None,
                &[("tideline-reason", reason)],
            )
            .await;
        assert_eq!(answer.status, status, "{reason}: {}", answer.body);
    }
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

#[tokio::test]
async fn nothing_is_pushed_to_a_source_that_is_paused_or_not_configured_any_more() {
    let bench = bench().await;
    let now = SystemClock.now();
    let inventory = SourceSpec {
        name: "inventory".to_owned(),
        source_type: "push".to_owned(),
        identity: fingerprint(b"inventory"),
        parallel_partitions: 1,
    };
    bench.store.sync_sources(&[inventory], now).await.unwrap();
    let body =
        json!({"upserts": [{"ref": "component:default/a", "body": {"kind": "Component", "metadata": {"name": "a"}}}]});
    let push = async |status: u16, why: &str| {
        let path = "/v1/sources/inventory/entities";
        let answer = bench
            .ask(holder(Role::Admin, &[]), "PUT", path, Some(body.clone()), &[])
            .await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(why), "{}", answer.body);
    };
    push(200, "added").await;
    let why = bench.get("/v1/sources/inventory/why").await;
    assert!(
        why.body.contains("waiting for programs to write its entities"),
        "{}",
        why.body
    );
    bench
        .store
        .command_source("inventory", SourceCommand::Pause, now)
        .await
        .unwrap();
    push(409, "is paused").await;
    bench
        .store
        .command_source("inventory", SourceCommand::Resume, now)
        .await
        .unwrap();
    push(200, "unchanged").await;
    bench.store.sync_sources(&[], now).await.unwrap();
    push(409, "is no longer in the configuration").await;
}
