use tideline_core::words::{EntityRef, TargetObject, TargetSpec, Timestamp};
use tideline_store::{Follower, FollowerSample, TargetNote, TargetSettled};

use super::*;

fn api_of(name: &str) -> EntityRef {
    EntityRef::new("api", "default", name).unwrap()
}

/// With a target that knows three entities, of which one fails, and owns two objects.
async fn bench_with_target() -> Bench {
    let bench = bench().await;
    let now = SystemClock.now();
    let spec = |name: &str| TargetSpec {
        name: name.to_owned(),
        target_type: "microcks".to_owned(),
    };
    bench.store.sync_targets(&[spec("mocks")], now).await.unwrap();
    let notes = ["a", "b", "c"].map(|name| TargetNote {
        reference: api_of(name),
        fingerprint: Some(fingerprint(name.as_bytes())),
    });
    bench.store.note_target_entities("mocks", &notes).await.unwrap();
    let failed = TargetSettled {
        reference: api_of("b"),
        error: Some("no artifact".to_owned()),
        sent: None,
    };
    bench
        .store
        .settle_target_entities("mocks", &[failed], now)
        .await
        .unwrap();
    for (object, of) in [("service/one", "a"), ("service/two", "b")] {
        let object = TargetObject {
            object: object.to_owned(),
            reference: api_of(of),
            part: "main".to_owned(),
            remote_id: None,
            fingerprint: None,
            detail: "{}".to_owned(),
            error: None,
            updated_at: Timestamp(now.0),
        };
        assert_eq!(
            bench.store.put_target_objects("mocks", &[object]).await.unwrap(),
            [true]
        );
    }
    bench
}

fn names(answer: &Answered, field: &str) -> Vec<String> {
    let items = answer.json()["items"].as_array().unwrap().clone();
    items
        .iter()
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_target_tells_how_far_it_came_in_the_last_hours() {
    let bench = bench().await;
    let ago = |minutes: i64| Timestamp(SystemClock.now().0 - minutes * 60_000);
    let spec = TargetSpec {
        name: "mocks".to_owned(),
        target_type: "microcks".to_owned(),
    };
    bench.store.sync_targets(&[spec], ago(60)).await.unwrap();
    let sample = |minutes: i64, position: i64| {
        let sample = FollowerSample {
            name: "mocks".to_owned(),
            minute: ago(minutes),
            position,
            behind: 5,
        };
        (Follower::Target, sample)
    };
    let samples = [sample(20, 10), sample(15, 40)];
    bench.store.add_follower_samples(&samples, ago(0)).await.unwrap();
    let history = bench.get("/v1/targets/mocks/history").await.json();
    let newest = &history["items"][1];
    assert_eq!((&newest["passed"], &newest["behind"]), (&json!(30), &json!(5)));
    for path in ["/v1/targets/mocks", "/v1/targets"] {
        let answer = bench.get(path).await;
        assert!(answer.body.contains(r#""last_hour":30"#), "{path}: {}", answer.body);
    }
    assert_eq!(bench.get("/v1/targets/none/history").await.status, 404);
}

#[tokio::test]
async fn a_target_is_listed_and_shown_with_what_it_knows_and_owns() {
    let bench = bench_with_target().await;
    let listed = bench.get("/v1/targets").await;
    assert_eq!(names(&listed, "name"), ["mocks"]);
    let shown = bench.get("/v1/targets/mocks").await.json();
    assert_eq!(shown, listed.json()["items"][0]);
    assert_eq!(
        (
            &shown["entities"],
            &shown["failing"],
            &shown["objects"],
            &shown["state"]
        ),
        (&json!(3), &json!(1), &json!(2), &json!("active"))
    );
    let failing = bench.get("/v1/targets/mocks/entities?failing=true").await;
    assert_eq!(names(&failing, "ref"), ["api:default/b"]);
    assert_eq!(failing.json()["items"][0]["error"], "no artifact");
    let objects = bench.get("/v1/targets/mocks/objects?ref=api:default/a").await;
    assert_eq!(names(&objects, "object"), ["service/one"]);
    for (list, field, all) in [
        (
            "entities",
            "ref",
            vec!["api:default/a", "api:default/b", "api:default/c"],
        ),
        ("objects", "object", vec!["service/one", "service/two"]),
    ] {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = bench
                .get(&format!("/v1/targets/mocks/{list}?limit=1&page_token={token}"))
                .await;
            found.extend(names(&page, field));
            match page.json()["next_page_token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(found, all, "{list}");
    }
}

#[tokio::test]
async fn acts_on_targets_are_done_once_and_written_down_with_their_reason() {
    let bench = bench_with_target().await;
    let operator = || holder(Role::Operate, &[]);
    let why = [
        ("tideline-reason", "upgrade%20of%20Microcks"),
        ("idempotency-key", "k1"),
    ];
    for _ in 0..2 {
        let paused = bench
            .ask(operator(), "POST", "/v1/targets/mocks/pause", None, &why)
            .await;
        assert_eq!(
            (paused.status, paused.json()),
            (202, json!({"target": "mocks", "act": "pause"}))
        );
    }
    assert_eq!(bench.get("/v1/targets/mocks").await.json()["state"], "paused");
    for act in ["resume", "resync"] {
        let path = format!("/v1/targets/mocks/{act}");
        assert_eq!(bench.ask(operator(), "POST", &path, None, &[]).await.status, 202);
    }
    assert_eq!(bench.get("/v1/targets/mocks").await.json()["looking"], true);
    let twice = bench
        .ask(operator(), "POST", "/v1/targets/mocks/resume", None, &[])
        .await;
    assert_eq!((twice.status, twice.code().as_str()), (409, "conflict"));
    let audit = bench.get("/v1/audit").await.json();
    let acts: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["act"].as_str().unwrap(), entry["done"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        acts,
        [
            ("targets.resume", false),
            ("targets.resync", true),
            ("targets.resume", true),
            ("targets.pause", true)
        ]
    );
    assert_eq!(audit["items"][3]["arguments"]["reason"], "upgrade of Microcks");
}

#[tokio::test]
async fn what_is_asked_wrongly_of_targets_is_told() {
    let bench = bench_with_target().await;
    for path in ["", "/entities", "/objects"] {
        let unknown = bench.get(&format!("/v1/targets/moks{path}")).await;
        assert_eq!(unknown.status, 404, "{path}");
        assert!(unknown.body.contains("did you mean mocks?"), "{}", unknown.body);
    }
    let unknown = bench.post("/v1/targets/moks/pause", None).await;
    assert_eq!(unknown.status, 404, "{}", unknown.body);
    for (path, code) in [
        ("entities?failng=true", "unknown_field"),
        ("entities?limit=0", "invalid_request"),
        ("objects?ref=nonsense", "invalid_request"),
        ("objects?page_token=%21", "invalid_page_token"),
    ] {
        let answer = bench.get(&format!("/v1/targets/mocks/{path}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{path}");
    }
    for (method, path) in [("GET", "/v1/targets"), ("POST", "/v1/targets/mocks/pause")] {
        let limited = holder(Role::Operate, &["team-*"]);
        let refused = bench.ask(limited, method, path, None, &[]).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"), "{path}");
    }
    let audit = bench.get("/v1/audit").await.json();
    let audit = audit["items"].as_array().unwrap();
    assert!(
        audit.len() == 2 && audit.iter().all(|act| act["done"] == false),
        "{audit:?}"
    );
}
