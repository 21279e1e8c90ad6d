//! Every route that writes, each with a request that is done: the audit log has it, and what the OpenAPI document
//! forbids is refused. The routes come from the document, so that a new one without a case here fails.

use std::collections::BTreeSet;
use std::path::Path;

use tideline_core::words::{Actor, ActorKind, CycleEnd, CycleState, Settlement, TargetSpec};
use tideline_store::{Deed, NewToken, OperatorAct};

use super::*;

/// Routes that write and leave no record of each request, and why that is right.
const NOT_WRITTEN_DOWN: [(&str, &str); 4] = [
    ("POST /v1/sources/{name}/plan", "it writes nothing"),
    ("POST /v1/subscriptions/{name}/pull", "a subscriber reads"),
    ("POST /v1/subscriptions/{name}/ack", "a subscriber reads on"),
    ("POST /v1/subscriptions/{name}/nack", "a subscriber reads on"),
];

/// A request of one route that is done.
pub(super) struct Case {
    /// Method and path, as in the document.
    pub(super) route: &'static str,
    /// The path of this request.
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// In the audit log; empty: nothing is.
    act: &'static str,
    target: String,
    /// Among its arguments.
    arguments: Value,
}

impl Case {
    fn new(route: &'static str, name: &str, body: Option<Value>, act: &'static str) -> Self {
        let (_, template) = route.split_once(' ').unwrap();
        let path = template.replace("{name}", name).replace("{id}", name);
        Self {
            route,
            path,
            body,
            act,
            target: name.to_owned(),
            arguments: json!({}),
        }
    }

    fn with(self, arguments: Value) -> Self {
        Self { arguments, ..self }
    }

    fn on(self, target: &str) -> Self {
        Self {
            target: target.to_owned(),
            ..self
        }
    }

    pub(super) fn method(&self) -> &'static str {
        self.route.split_once(' ').unwrap().0
    }
}

/// A store in which every case can be done.
pub(super) async fn bench_for_acts() -> (Bench, Vec<Case>) {
    let yaml = format!(
        "secret_key: \"{}\"\npublic_url: https://tideline.example.com\n\
         hooks: [{{ name: tfc, provider: terraform, stored_secret: true }}]\n\
         sources: [{{ name: tf, type: terraform, organization: acme, base_url: \"http://127.0.0.1:1\", auth: {{ bearer: t }} }}]\n",
        "07".repeat(32)
    );
    let settings = tideline_config::parse(&yaml, Path::new("t.yaml"), &|_| None).unwrap();
    let planner: Arc<dyn Planner> = Arc::new(super::plan::Planned::default());
    let bench = bench_of(Some(settings), Some(planner)).await;
    let now = SystemClock.now();
    let spec = |name: &str, kind: &str| SourceSpec {
        name: name.to_owned(),
        source_type: kind.to_owned(),
        identity: fingerprint(name.as_bytes()),
        parallel_partitions: 1,
    };
    let specs = [
        spec("approved", "http"),
        spec("rejected", "http"),
        spec("running", "http"),
        spec("inventory", "push"),
    ];
    bench.store.sync_sources(&specs, now).await.unwrap();
    bench.store.start_cycles(10, now).await.unwrap();
    for job in claim_ingest(&bench.store, "w", 10, now).await {
        hold(&bench.store, Reader::new(job)).await;
    }
    let target = TargetSpec {
        name: "mocks".to_owned(),
        target_type: "microcks".to_owned(),
    };
    bench.store.sync_targets(&[target], now).await.unwrap();
    let events = [event(&json!({})), tideline_store::conformance::delivery("tfc", "d-1")];
    bench.store.append_events(&events, now).await.unwrap();
    let token = NewToken {
        id: "abc".to_owned(),
        hash: fingerprint(b"abc"),
        name: "old".to_owned(),
        role: Role::Read,
        sources: vec![],
        expires_at: None,
    };
    let act = OperatorAct::new(Deed::CreateToken(token), Actor::local("somebody"));
    bench.store.perform(&act, now).await.unwrap();
    let jobs = json!({"jobs": [{"kind": "mail", "key": "1"}, {"kind": "mail", "key": "2"}]});
    let jobs = bench.post("/v1/jobs", Some(jobs)).await.json();
    let job = |place: usize| jobs["jobs"][place]["id"].to_string();
    let events = bench.get("/v1/events/log?topics=ci.done").await.json();
    let cases = cases(&job(0), &job(1), events["events"][0]["id"].as_str().unwrap());
    (bench, cases)
}

/// Holds the sweep of the cycle, unless its source is the one that goes on.
async fn hold(store: &Arc<dyn Store>, mut root: Reader) {
    let now = SystemClock.now();
    let (source, cycle) = (root.source(), root.cycle());
    let sources = store.list_sources().await.unwrap();
    if sources.iter().any(|one| one.id == source && one.name == "running") {
        return;
    }
    root.write(store, entities(0, 4, 1), None, now).await;
    root.settle(store, Settlement::Done, now).await;
    let sweeping = CycleEnd {
        state: CycleState::Sweeping,
        reason: None,
        next_cycle_at: None,
    };
    assert!(store.end_cycle(source, cycle, &sweeping, now).await.unwrap());
    let mut plan = store.plan_sweep(source, cycle, 1).await.unwrap().unwrap();
    plan.candidates = 3;
    let held = store.hold_sweep(source, cycle, plan, "too many", None, now).await;
    assert!(held.unwrap());
}

fn cases(one_job: &str, other_job: &str, event: &str) -> Vec<Case> {
    let jobs = of_jobs_and_targets(one_job, other_job);
    [of_sources(), jobs, of_events(event), of_access()]
        .into_iter()
        .flatten()
        .collect()
}

/// Without a body.
fn bare(route: &'static str, name: &str, act: &'static str) -> Case {
    Case::new(route, name, None, act)
}

fn of_sources() -> Vec<Case> {
    let approval = json!({"cycle": 1, "would_remove": 3});
    let approve = Case::new(
        "POST /v1/sources/{name}/approve",
        "approved",
        Some(approval),
        "sources.approve",
    );
    let reset = json!({"delete": false});
    let entities = json!({
        "upserts": [{"ref": "component:default/a", "body": {}, "version": 1}],
        "removals": [{"ref": "component:default/b"}],
    });
    let push = Case::new(
        "PUT /v1/sources/{name}/entities",
        "inventory",
        Some(entities),
        "entities.push",
    );
    vec![
        approve.with(json!({"cycle": 1, "removals": 3})),
        bare("POST /v1/sources/{name}/reject", "rejected", "sources.reject"),
        bare("POST /v1/sources/{name}/pause", "rejected", "sources.pause"),
        bare("POST /v1/sources/{name}/resume", "rejected", "sources.resume"),
        bare("POST /v1/sources/{name}/refresh", "rejected", "sources.refresh"),
        bare("POST /v1/sources/{name}/cancel", "running", "sources.cancel"),
        Case::new(
            "POST /v1/sources/{name}/reset",
            "rejected",
            Some(reset),
            "sources.reset",
        ),
        bare("POST /v1/sources/{name}/plan", "rejected", ""),
        push.with(json!({"upserts": 1, "removals": 1})),
    ]
}

fn of_jobs_and_targets(one_job: &str, other_job: &str) -> Vec<Case> {
    let jobs = json!({"jobs": [{"kind": "mail", "key": "3"}]});
    let enqueue = Case::new("POST /v1/jobs", "", Some(jobs.clone()), "jobs.enqueue");
    vec![
        enqueue.on("mail 3").with(jobs),
        bare("POST /v1/jobs/{id}/retry", one_job, "jobs.retry"),
        bare("POST /v1/jobs/{id}/cancel", other_job, "jobs.cancel"),
        bare("POST /v1/targets/{name}/pause", "mocks", "targets.pause"),
        bare("POST /v1/targets/{name}/resume", "mocks", "targets.resume"),
        bare("POST /v1/targets/{name}/resync", "mocks", "targets.resync"),
    ]
}

fn of_events(event: &str) -> Vec<Case> {
    let pushed = json!({
        "topics": ["ci.*"], "from": "beginning", "max_outstanding": 10, "filter": ".body != null",
        "push": {"url": "https://example.com/in", "in_flight": 2, "headers": {"x-a": "b"}},
    });
    let changes = json!({"changes": {"sources": ["a"], "kinds": ["api"]}});
    let put = |name, body| Case::new("PUT /v1/subscriptions/{name}", name, Some(body), "subscriptions.put");
    let on_s = |route, body, act| Case::new(route, "s", Some(body), act);
    let all = json!({"id": null});
    vec![
        bare("POST /v1/events/{id}/replay", event, "events.replay"),
        put("pushed", pushed),
        put("s", json!({})),
        put("feed", changes),
        on_s(
            "POST /v1/subscriptions/{name}/pull",
            json!({"max": 1, "wait": 0, "lease": 1}),
            "",
        ),
        on_s("POST /v1/subscriptions/{name}/ack", json!({"ack_ids": ["1.7"]}), ""),
        on_s(
            "POST /v1/subscriptions/{name}/nack",
            json!({"ack_ids": ["1.7"], "delay": 1}),
            "",
        ),
        bare("POST /v1/subscriptions/{name}/pause", "s", "subscriptions.pause"),
        bare("POST /v1/subscriptions/{name}/resume", "s", "subscriptions.resume"),
        on_s(
            "POST /v1/subscriptions/{name}/replay",
            json!({"from": "now"}),
            "subscriptions.replay",
        ),
        on_s(
            "POST /v1/subscriptions/{name}/dead-letters/retry",
            all.clone(),
            "dead_letters.retry",
        ),
        on_s(
            "POST /v1/subscriptions/{name}/dead-letters/drop",
            all,
            "dead_letters.drop",
        ),
        bare("DELETE /v1/subscriptions/{name}", "s", "subscriptions.delete"),
    ]
}

fn of_access() -> Vec<Case> {
    let token = json!({"name": "ci", "role": "read", "sources": ["team-*"], "expires_in_seconds": 60});
    let create = Case::new("POST /v1/tokens", "", Some(token), "tokens.create");
    let secret = |body, act| Case::new("POST /v1/hooks/{name}/secret", "tfc", Some(body), act);
    vec![
        create.with(json!({"name": "ci", "role": "read", "sources": ["team-*"]})),
        bare("DELETE /v1/tokens/{id}", "abc", "tokens.revoke"),
        secret(json!({}), "hooks.save_secret"),
        secret(json!({"rotate": false, "reveal": true}), "hooks.reveal_secret"),
        // The provider does not answer: the response says so.
        bare("POST /v1/hooks/{name}/verify", "tfc", "hooks.verify"),
        Case::new(
            "POST /v1/hooks/{name}/register",
            "tfc",
            Some(json!({"rotate": false})),
            "hooks.register",
        ),
    ]
}

/// Every route of the document that writes.
fn writing_routes(api: &Api) -> BTreeSet<String> {
    let paths = api.document().paths.paths.iter();
    let routes = paths.flat_map(|(path, item)| {
        let methods = docs::operations(item).map(|(method, _)| method);
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    routes.filter(|route| !route.starts_with("GET ")).collect()
}

fn program(request: &str) -> Principal {
    let actor = Actor {
        kind: ActorKind::Token,
        ..Actor::local("ci")
    };
    let principal = Principal {
        actor,
        ..holder(Role::Admin, &[])
    };
    principal.in_request(Some("192.0.2.7".to_owned()), Some(request.to_owned()))
}

/// The record of a request.
async fn record(bench: &Bench, request: &str) -> Option<Value> {
    let audit = bench.get("/v1/audit?limit=1000").await.json();
    let records = audit["items"].as_array().unwrap();
    records.iter().find(|record| record["request_id"] == request).cloned()
}

#[tokio::test]
async fn every_route_that_writes_leaves_a_record_of_who_did_what_to_what_with_its_result() {
    let (bench, cases) = bench_for_acts().await;
    let covered: BTreeSet<String> = cases.iter().map(|case| case.route.to_owned()).collect();
    assert_eq!(
        writing_routes(&bench.api),
        covered,
        "each route that writes needs a case"
    );
    let silent: BTreeSet<&str> = cases
        .iter()
        .filter(|case| case.act.is_empty())
        .map(|case| case.route)
        .collect();
    assert_eq!(silent, NOT_WRITTEN_DOWN.map(|(route, _)| route).into_iter().collect());

    for (number, case) in cases.iter().enumerate() {
        let id = format!("request-{number}");
        let reason = [("tideline-reason", "because")];
        let answer = bench
            .ask(program(&id), case.method(), &case.path, case.body.clone(), &reason)
            .await;
        assert!(
            (200..300).contains(&answer.status),
            "{} {}: {}",
            case.route,
            case.path,
            answer.body
        );
        let Some(record) = record(&bench, &id).await else {
            assert!(case.act.is_empty(), "{} left no record", case.route);
            continue;
        };
        assert_eq!(record["act"], case.act, "{}", case.route);
        assert_eq!(
            (
                &record["actor"],
                &record["actor_kind"],
                &record["address"],
                &record["done"]
            ),
            (&json!("ci"), &json!("token"), &json!("192.0.2.7"), &json!(true)),
            "{record}"
        );
        if case.route != "POST /v1/tokens" {
            assert_eq!(record["target"], case.target, "{}", case.route);
        }
        let kept = record["arguments"].as_object().unwrap();
        for (name, value) in case.arguments.as_object().unwrap() {
            assert_eq!(kept.get(name), Some(value), "{}: {record}", case.route);
        }
        // Who writes entities is noted once an hour, without a reason.
        let reason = (case.act != "entities.push").then(|| json!("because"));
        assert_eq!(kept.get("reason"), reason.as_ref(), "{}: {record}", case.route);
    }
}

#[tokio::test]
async fn an_act_that_is_refused_leaves_a_record_of_why() {
    let (bench, _) = bench_for_acts().await;
    for (number, (method, path, body, status)) in [
        (
            "POST",
            "/v1/sources/approved/approve",
            Some(json!({"cycle": 1, "would_remove": 4})),
            409,
        ),
        ("POST", "/v1/sources/running/reject", None, 409),
        ("DELETE", "/v1/tokens/none", None, 404),
        ("DELETE", "/v1/subscriptions/none", None, 404),
        ("POST", "/v1/tokens", Some(json!({"name": "old", "role": "read"})), 409),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("request-{number}");
        let answer = bench.ask(program(&id), method, path, body, &[]).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let record = record(&bench, &id)
            .await
            .unwrap_or_else(|| panic!("{method} {path} left no record"));
        assert_eq!(record["done"], json!(false), "{record}");
        assert!(!record["detail"].as_str().unwrap().is_empty(), "{record}");
    }
}

#[tokio::test]
async fn every_act_on_a_record_with_an_etag_is_412_when_the_record_has_changed_and_no_other_takes_if_match() {
    let (bench, cases) = bench_for_acts().await;
    let document = serde_json::to_value(bench.api.document()).unwrap();
    for path in ["/v1/subscriptions/pushed", "/v1/subscriptions/s"] {
        let put = bench
            .ask(holder(Role::Admin, &[]), "PUT", path, Some(json!({})), &[])
            .await;
        assert_eq!(put.status, 200, "{}", put.body);
    }
    for case in &cases {
        let (method, path) = case.route.split_once(' ').unwrap();
        let parameters = &document["paths"][path][method.to_lowercase()]["parameters"];
        let takes = parameters
            .as_array()
            .unwrap()
            .iter()
            .any(|parameter| parameter["name"] == "If-Match");
        let stale = [("if-match", "\"stale\"")];
        let answer = bench
            .ask(program("stale"), case.method(), &case.path, case.body.clone(), &stale)
            .await;
        if case.path == "/v1/subscriptions/feed" {
            assert_eq!(answer.status, 404, "there is none to match: {}", answer.body);
            continue;
        }
        let expected = if takes {
            (412, "precondition_failed")
        } else {
            (400, "invalid_request")
        };
        assert_eq!(
            (answer.status, answer.code().as_str()),
            expected,
            "{}: {}",
            case.route,
            answer.body
        );
    }
    for (path, act) in [
        ("/v1/sources/rejected", "/pause"),
        ("/v1/targets/mocks", "/pause"),
        ("/v1/subscriptions/s", "/pause"),
    ] {
        let etag = bench
            .get(path)
            .await
            .etag
            .unwrap_or_else(|| panic!("{path} has no ETag"));
        let matching = [("if-match", etag.as_str())];
        let ask = async || {
            bench
                .ask(program("x"), "POST", &format!("{path}{act}"), None, &matching)
                .await
                .status
        };
        assert!(matches!(ask().await, 200 | 202), "{path}{act}");
        assert_eq!(ask().await, 412, "{path}{act}: it is paused by now");
    }
}
