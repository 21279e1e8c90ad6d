use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tideline_core::clock::SystemClock;
use tideline_core::rules::fingerprint;
use tideline_core::words::{NewEvent, NewJob, REFRESH_KIND, Role, SourceSpec, Timestamp, Trigger, Verdict};
use tideline_queue::in_process::InProcessQueue;
use tideline_store::conformance::{Reader, claim_ingest, entities, only, padded};
use tideline_store::sqlite::SqliteStore;

use super::*;

mod acts;
mod catalog;
mod checks;
mod contract;
mod forms;
mod plan;
mod positions;
mod refusals;
mod routes;
mod subscriptions;
mod targets;
mod waiting;

struct Bench {
    api: Api,
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
}

struct Answered {
    status: u16,
    etag: Option<String>,
    kind: String,
    body: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

async fn bench() -> Bench {
    bench_with(None).await
}

async fn bench_with(settings: Option<Settings>) -> Bench {
    bench_of(settings, None).await
}

async fn bench_of(settings: Option<Settings>, planner: Option<Arc<dyn Planner>>) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
    let spec = |name: &str| SourceSpec {
        name: name.into(),
        source_type: "http".into(),
        identity: fingerprint(name.as_bytes()),
        parallel_partitions: 1,
    };
    let clock = SystemClock;
    store
        .sync_sources(&[spec("platform"), spec("team-a")], clock.now())
        .await
        .unwrap();
    let api = Api::new(ApiParts {
        store: Arc::clone(&store),
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(clock),
        settings: settings.map(Arc::new),
        planner,
        stop: CancellationToken::new(),
    });
    Bench { api, store, folder }
}

fn holder(role: Role, globs: &[&str]) -> Principal {
    let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
    Principal {
        role,
        sources: SourceScope::new(&globs).unwrap(),
        ..Principal::local("somebody")
    }
}

/// An event that a program published.
fn event(body: &Value) -> NewEvent {
    NewEvent {
        topic: "ci.done".to_owned(),
        key: String::new(),
        delivery: None,
        verdict: Verdict::Published,
        malformed: false,
        headers: vec![],
        body: body.to_string().into_bytes(),
        trace: None,
    }
}

impl Bench {
    async fn append(&self, bodies: &[Value]) {
        let events: Vec<NewEvent> = bodies.iter().map(event).collect();
        self.store.append_events(&events, SystemClock.now()).await.unwrap();
    }

    async fn ask(
        &self,
        principal: Principal,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(body) => request
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let (parts, body) = self.api.call(principal, request.unwrap()).await.into_parts();
        let header = |name| {
            let value = parts.headers.get(name);
            value.map(|value: &HeaderValue| value.to_str().unwrap().to_owned())
        };
        let (status, etag) = (parts.status.as_u16(), header(ETAG));
        let kind = header(CONTENT_TYPE).unwrap_or_default();
        let body = body.collect().await.unwrap().to_bytes();
        Answered {
            status,
            etag,
            kind,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Answered {
        self.ask(holder(Role::Admin, &[]), "GET", path, None, &[]).await
    }

    async fn post(&self, path: &str, body: Option<Value>) -> Answered {
        self.ask(holder(Role::Admin, &[]), "POST", path, body, &[]).await
    }

    async fn some_entities(&self, count: u32) {
        let clock = SystemClock;
        self.store.start_cycles(10, clock.now()).await.unwrap();
        let now = clock.now();
        let claimed = claim_ingest(&self.store, "w", 2, now).await;
        let mut root = Reader::new(only(claimed.into_iter().take(1).collect()));
        root.write(&self.store, entities(0, count, 1), None, now).await;
    }
}

#[tokio::test]
async fn a_wrong_field_is_named_with_the_nearest_one() {
    let bench = bench().await;
    let answer = bench.get("/v1/jobs?stat=done").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "unknown_field"));
    assert!(answer.body.contains("did you mean state?"), "{}", answer.body);
    let answer = bench
        .post("/v1/tokens", Some(json!({"nme": "x", "role": "read"})))
        .await;
    assert!(answer.body.contains("did you mean name?"), "{}", answer.body);
    let answer = bench.get("/v1/sources/platfrom").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_source"));
    assert!(answer.body.contains("did you mean platform?"), "{}", answer.body);
    let answer = bench.get("/v1/entities?page_token=x").await;
    assert_eq!(answer.code(), "invalid_page_token");
}

#[tokio::test]
async fn times_are_rfc_3339_and_read_back() {
    let bench = bench().await;
    bench.some_entities(1).await;
    let cycles = bench.get("/v1/sources/platform/cycles").await;
    let page: types::Page<types::Cycle> = serde_json::from_str(&cycles.body).unwrap();
    let text = serde_json::to_value(page.items[0].started_at).unwrap();
    assert!(text.as_str().unwrap().ends_with('Z'), "{text}");
    assert_eq!(serde_json::to_value(&page).unwrap(), cycles.json());
    let status = bench.get("/v1/status").await;
    let read: types::Status = serde_json::from_str(&status.body).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), status.json());
}

#[tokio::test]
async fn acts_on_sources_are_done_once_and_written_down() {
    let bench = bench().await;
    let path = "/v1/sources/platform/pause";
    for _ in 0..2 {
        let key = [("idempotency-key", "k1")];
        let answer = bench.ask(holder(Role::Operate, &[]), "POST", path, None, &key).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    let reused = [("idempotency-key", "k1")];
    let resume = "/v1/sources/platform/resume";
    let answer = bench
        .ask(holder(Role::Operate, &[]), "POST", resume, None, &reused)
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "idempotency_key_reused"));
    let audit = bench.get("/v1/audit").await.json();
    let acts = audit["items"].as_array().unwrap();
    assert_eq!(acts.len(), 2, "{audit}");
    assert_eq!(
        (&acts[0]["act"], &acts[0]["done"]),
        (&json!("sources.resume"), &json!(false))
    );
    assert_eq!(
        (&acts[1]["act"], &acts[1]["actor"]),
        (&json!("sources.pause"), &json!("somebody"))
    );
}

#[tokio::test]
async fn an_act_on_a_source_that_has_changed_is_412() {
    let bench = bench().await;
    let etag = bench.get("/v1/sources/platform").await.etag.unwrap();
    let matching = [("if-match", etag.as_str())];
    let path = "/v1/sources/platform/pause";
    let first = bench
        .ask(holder(Role::Operate, &[]), "POST", path, None, &matching)
        .await;
    assert_eq!(first.status, 202, "{}", first.body);
    let second = bench
        .ask(holder(Role::Operate, &[]), "POST", path, None, &matching)
        .await;
    assert_eq!((second.status, second.code().as_str()), (412, "precondition_failed"));
}

#[tokio::test]
async fn a_sweep_that_replaced_the_one_shown_is_not_approved() {
    let bench = bench().await;
    let approval = json!({"cycle": 1, "would_remove": 5});
    let answer = bench.post("/v1/sources/platform/approve", Some(approval)).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (409, "conflict"),
        "{}",
        answer.body
    );
    let answer = bench
        .post("/v1/sources/platform/approve", Some(json!({"cycle": 1})))
        .await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    let answer = bench.post("/v1/sources/platform/approve", None).await;
    assert_eq!(answer.status, 415, "{}", answer.body);
}

#[tokio::test]
async fn a_token_that_is_limited_to_sources_sees_no_other() {
    let bench = bench().await;
    bench.some_entities(3).await;
    for source in ["platform", "team-a"] {
        let job = NewJob {
            kind: REFRESH_KIND.to_owned(),
            key: format!("{source}/source"),
            fingerprint: fingerprint(source.as_bytes()),
            args: "{}".to_owned(),
            due_at: Timestamp(0),
            trigger: Trigger::Webhook,
            trace: None,
        };
        bench.store.enqueue(&[job], Timestamp(0)).await.unwrap();
    }
    let limited = || holder(Role::Operate, &["team-*"]);
    let sources = bench.ask(limited(), "GET", "/v1/sources", None, &[]).await.json();
    assert_eq!(sources["items"].as_array().unwrap().len(), 1);
    for path in ["/v1/entities", "/v1/jobs", "/v1/audit"] {
        let items = bench.ask(limited(), "GET", path, None, &[]).await.json();
        let items = items["items"].as_array().unwrap();
        assert!(items.iter().all(|item| item["source"] == "team-a"), "{path}: {items:?}");
    }
    let refreshes = bench
        .ask(limited(), "GET", "/v1/jobs?kind=refresh", None, &[])
        .await
        .json();
    assert_eq!(refreshes["items"].as_array().unwrap().len(), 1, "{refreshes}");
    let changes = bench.ask(limited(), "GET", "/v1/changes", None, &[]).await.json();
    let changes = changes["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["source"] == "team-a"), "{changes:?}");
    for (method, path) in [("GET", "/v1/sources/platform"), ("POST", "/v1/sources/platform/pause")] {
        let answer = bench.ask(limited(), method, path, None, &[]).await;
        assert_eq!(answer.status, 404, "{}", answer.body);
    }
    let jobs = json!({"jobs": [{"kind": "k", "key": "1"}]});
    assert_eq!(
        bench.ask(limited(), "POST", "/v1/jobs", Some(jobs), &[]).await.status,
        403
    );
    let administrator = holder(Role::Admin, &["team-*"]);
    assert_eq!(
        bench.ask(administrator, "GET", "/v1/tokens", None, &[]).await.status,
        403
    );
}

#[tokio::test]
async fn any_program_can_enqueue_retry_and_cancel_jobs() {
    let bench = bench().await;
    let jobs = json!({"jobs": [{"kind": "mail", "key": "1", "args": {"to": "x"}}]});
    let first = bench.post("/v1/jobs", Some(jobs.clone())).await;
    assert_eq!(
        (first.status, &first.json()["jobs"][0]["outcome"]),
        (202, &json!("inserted"))
    );
    let again = bench.post("/v1/jobs", Some(jobs)).await;
    assert_eq!(again.json()["jobs"][0]["outcome"], "unchanged");
    let id = first.json()["jobs"][0]["id"].as_i64().unwrap();
    let shown = bench.get(&format!("/v1/jobs/{id}")).await;
    assert_eq!((shown.status, &shown.json()["args"]["to"]), (200, &json!("x")));
    assert!(shown.etag.is_some());
    assert_eq!(bench.get(&format!("/v1/jobs/{id}/why")).await.status, 200);
    let cancelled = bench.post(&format!("/v1/jobs/{id}/cancel"), None).await;
    assert_eq!(
        (cancelled.status, &cancelled.json()["state"]),
        (202, &json!("cancelled"))
    );
    assert_eq!(bench.post(&format!("/v1/jobs/{id}/cancel"), None).await.status, 409);
    let retried = bench.post(&format!("/v1/jobs/{id}/retry"), None).await;
    assert_eq!((retried.status, &retried.json()["state"]), (202, &json!("waiting")));
    assert_eq!(bench.get("/v1/jobs/999").await.status, 404);
    for wrong in [json!({"jobs": []}), json!({"jobs": [{"kind": "ingest", "key": "x"}]})] {
        assert_eq!(bench.post("/v1/jobs", Some(wrong)).await.status, 400);
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_its_secret_is_in_no_other_answer() {
    let bench = bench().await;
    let new = json!({"name": "ci", "role": "operate", "sources": ["team-*"], "expires_in_seconds": 3600});
    let key = [("idempotency-key", "t1")];
    let created = bench
        .ask(holder(Role::Admin, &[]), "POST", "/v1/tokens", Some(new.clone()), &key)
        .await;
    assert_eq!(created.status, 201, "{}", created.body);
    let secret = created.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("tdl_"));
    let repeated = bench
        .ask(holder(Role::Admin, &[]), "POST", "/v1/tokens", Some(new.clone()), &key)
        .await;
    assert_eq!((repeated.status, repeated.json().get("secret")), (201, None));
    assert_eq!(bench.post("/v1/tokens", Some(new)).await.status, 409);
    for path in ["/v1/tokens", "/v1/audit"] {
        let listed = bench.get(path).await;
        let random = secret.rsplit_once('_').unwrap().1;
        assert!(!listed.body.contains(random), "{path}: {}", listed.body);
    }
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let revoke = format!("/v1/tokens/{id}");
    let revoked = bench.ask(holder(Role::Admin, &[]), "DELETE", &revoke, None, &[]).await;
    assert_eq!(revoked.status, 204);
    let unknown = bench
        .ask(holder(Role::Admin, &[]), "DELETE", "/v1/tokens/none", None, &[])
        .await;
    assert_eq!(unknown.status, 404);
    for wrong in [
        json!({"name": "", "role": "read"}),
        json!({"name": "x", "role": "read", "sources": ["[a"]}),
        json!({"name": "x", "role": "read", "sources": [""]}),
    ] {
        assert_eq!(bench.post("/v1/tokens", Some(wrong)).await.status, 400);
    }
}

#[tokio::test]
async fn a_page_of_large_bodies_is_bounded_by_bytes_and_goes_on() {
    let bench = bench().await;
    let clock = SystemClock;
    bench.store.start_cycles(10, clock.now()).await.unwrap();
    let claimed = claim_ingest(&bench.store, "w", 2, clock.now()).await;
    let mut root = Reader::new(only(claimed.into_iter().take(1).collect()));
    let large = padded(0, 12, 1024 * 1024);
    root.write(&bench.store, large, None, clock.now()).await;
    let (mut read, mut token) = (0, String::new());
    loop {
        let page = bench.get(&format!("/v1/entities?limit=1000&page_token={token}")).await;
        assert!(
            page.body.len() as u64 <= page::MAX_PAGE_BYTES + 9 * 1024 * 1024,
            "{}",
            page.body.len()
        );
        read += page.json()["items"].as_array().unwrap().len();
        match page.json()["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(read, 12);
}

#[tokio::test]
async fn entities_are_filtered_paged_and_shown() {
    let bench = bench().await;
    bench.some_entities(30).await;
    let all = bench.get("/v1/entities?limit=1000").await.json();
    let all = all["items"].as_array().unwrap().clone();
    assert_eq!(all.len(), 30);
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = bench
            .get(&format!("/v1/entities?limit=7&page_token={token}"))
            .await
            .json();
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(paged, all);
    let reference = all[0]["ref"].as_str().unwrap();
    let path = reference.replacen(':', "/", 1);
    let shown = bench.get(&format!("/v1/entities/{path}")).await;
    assert_eq!((shown.status, &shown.json()["items"][0]), (200, &all[0]));
    let name = reference.rsplit_once('/').unwrap().1;
    let named = bench.get(&format!("/v1/entities?name={name}")).await.json();
    assert_eq!(named["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        bench.get("/v1/entities?namespace=nowhere").await.json()["items"],
        json!([])
    );
    assert_eq!(bench.get("/v1/entities?label=no").await.json()["items"], json!([]));
    assert_eq!(bench.get("/v1/entities/component/default/none").await.status, 404);
}

#[tokio::test]
async fn a_commit_wakes_who_waits_for_changes() {
    let bench = Arc::new(bench().await);
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let bench = Arc::clone(&bench);
        waiting.push(tokio::spawn(async move { bench.get("/v1/changes?wait=30").await }));
    }
    while bench.api.state.waiters.available_permits() > MAX_WAITERS - 50 {
        tokio::task::yield_now().await;
    }
    let started = tokio::time::Instant::now();
    bench.some_entities(1).await;
    for waiting in waiting {
        let answer = waiting.await.unwrap();
        assert_eq!(answer.json()["changes"].as_array().unwrap().len(), 1, "{}", answer.body);
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[path = "docs_tests.rs"]
mod docs_tests;

#[path = "client_tests.rs"]
mod client_tests;
