//! Pages as a browser gets them, from a store whose every text is markup.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use tideline_config::settings::Settings;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::fingerprint;
use tideline_core::words::{
    CycleEnd, CycleState, DeliveryId, EntityRef, EventOutcome, EventSequence, MalformedItem, NewEvent, NewJob, Role,
    SettleEvent, Settlement, SourceSpec, SubscriptionKind, SubscriptionSpec, TakeEvents, TargetHold, TargetObject,
    TargetSpec, Timestamp, Trigger, Verdict,
};
use tideline_queue::in_process::InProcessQueue;
use tideline_store::conformance::{KIND, Reader, claim, claim_ingest, entity, job_of, only, settle, written_with};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{EventStart, HookHour, Store, TargetNote};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::api::{ApiParts, Principal, SourceScope};

/// What must never reach a page as it is.
pub(super) const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&";

pub(super) struct Bench {
    pages: Router,
    pub(super) store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

pub(super) struct Shown {
    pub(super) status: u16,
    policy: String,
    pub(super) html: String,
}

pub(super) async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench_on(&folder.path().join("t.db")).await;
    Bench {
        _folder: folder,
        ..bench
    }
}

/// On a store of this path.
pub(super) async fn bench_on(path: &std::path::Path) -> Bench {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
    let api = Api::new(ApiParts {
        store: Arc::clone(&store),
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(SystemClock),
        planner: None,
        settings: Some(Arc::new(settings())),
        stop: CancellationToken::new(),
    });
    Bench {
        pages: secured(Dashboard::new(&api).pages().merge(assets())),
        store,
        _folder: tempfile::tempdir().unwrap(),
    }
}

/// A configuration with a hook and a source that follows it.
fn settings() -> Settings {
    let yaml = "hooks:\n  - { name: ci, provider: token, header: x-token, secret: s3cret }\nsources:\n  - name: s\n    type: http\n    \
                base_url: http://localhost\n    resources: [{ name: all, path: / }]\n    on: [{ topic: 'github.*', refresh: source }]\n";
    tideline_config::parse(yaml, std::path::Path::new("tideline.yaml"), &|_| None).unwrap()
}

pub(super) fn spec(name: &str) -> SourceSpec {
    SourceSpec {
        name: name.into(),
        source_type: "http".into(),
        identity: fingerprint(name.as_bytes()),
        parallel_partitions: 4,
    }
}

pub(super) fn somebody(role: Role, globs: &[&str]) -> Principal {
    let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
    Principal {
        role,
        sources: SourceScope::new(&globs).unwrap(),
        ..Principal::local("somebody")
    }
}

impl Bench {
    async fn ask(&self, principal: Principal, request: axum::http::request::Builder, body: &str) -> Shown {
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request.extensions_mut().insert(principal);
        let (parts, body) = self.pages.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let policy = parts.headers.get(CONTENT_SECURITY_POLICY);
        Shown {
            status: parts.status.as_u16(),
            policy: policy.map_or("", |policy| policy.to_str().unwrap()).to_owned(),
            html: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub(super) async fn get_as(&self, principal: Principal, path: &str) -> Shown {
        self.ask(principal, Request::builder().uri(path), "").await
    }

    pub(super) async fn get(&self, path: &str) -> Shown {
        self.get_as(somebody(Role::Admin, &[]), path).await
    }

    pub(super) async fn post_as(&self, principal: Principal, path: &str, form: &str) -> Shown {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(principal, request, form).await
    }

    pub(super) async fn post(&self, path: &str, form: &str) -> Shown {
        self.post_as(somebody(Role::Admin, &[]), path, form).await
    }

    /// A source, a job, an event, a subscription and a token whose texts are all markup, wherever a store takes any text.
    pub(super) async fn hostile(&self) -> EventSequence {
        let (store, now) = (&self.store, SystemClock.now());
        store.sync_sources(&[spec(EVIL)], now).await.unwrap();
        store.start_cycles(10, now).await.unwrap();
        let mut root = Reader::new(only(claim_ingest(store, EVIL, 1, now).await));
        let body = serde_json::json!({"metadata": {"labels": {EVIL: EVIL}}, EVIL: [EVIL]}).to_string();
        let malformed = MalformedItem {
            reference: None,
            error: EVIL.to_owned(),
            sample: EVIL.to_owned(),
        };
        let page = written_with(
            0,
            vec![entity("component:default/x%3Cscript%3E", &body)],
            vec![],
            vec![],
            vec![malformed],
        );
        root.commit(store, vec![page], None, now).await;
        let parked = Settlement::Parked { error: EVIL.to_owned() };
        root.settle(store, parked, now).await;
        store.enqueue(&[job(EVIL)], now).await.unwrap();
        let running = only(claim(store, EVIL, 1, now).await);
        let parked = Settlement::Parked { error: EVIL.to_owned() };
        settle(store, running.lease(), parked, now).await;
        let event = NewEvent {
            topic: "github.push".to_owned(),
            key: EVIL.to_owned(),
            delivery: Some(DeliveryId {
                hook: EVIL.to_owned(),
                id: EVIL.to_owned(),
            }),
            verdict: Verdict::Unsigned,
            malformed: true,
            headers: vec![(EVIL.to_owned(), EVIL.to_owned())],
            body: EVIL.as_bytes().to_vec(),
            trace: None,
        };
        let appended = only(store.append_events(&[event], now).await.unwrap());
        self.dead_letter(appended.sequence).await;
        self.hostile_target().await;
        let hour = HookHour {
            hook: "ci".to_owned(),
            hour: Timestamp(now.0 - now.0.rem_euclid(3_600_000)),
            unproven: 3,
            last_error_at: Some(now),
            last_error: Some(EVIL.to_owned()),
            ..HookHour::default()
        };
        store.add_hook_hours(&[hour], now).await.unwrap();
        store.take_sample(now).await.unwrap();
        appended.sequence
    }

    /// A target that knows the entity, with markup wherever it has a text.
    async fn hostile_target(&self) {
        let (store, now) = (&self.store, SystemClock.now());
        let spec = TargetSpec {
            name: EVIL.to_owned(),
            target_type: EVIL.to_owned(),
        };
        store.sync_targets(&[spec], now).await.unwrap();
        let reference: EntityRef = "component:default/x%3Cscript%3E".parse().unwrap();
        let note = TargetNote {
            reference: reference.clone(),
            fingerprint: Some(fingerprint(b"x")),
        };
        store.note_target_entities(EVIL, &[note]).await.unwrap();
        store
            .settle_target_entity(EVIL, &reference, Some(EVIL), now)
            .await
            .unwrap();
        let object = TargetObject {
            object: EVIL.to_owned(),
            reference,
            part: EVIL.to_owned(),
            remote_id: Some(EVIL.to_owned()),
            fingerprint: None,
            detail: "{}".to_owned(),
            error: Some(EVIL.to_owned()),
            updated_at: now,
        };
        assert!(store.put_target_object(EVIL, &object).await.unwrap());
        let hold = TargetHold {
            until: now.plus(std::time::Duration::from_secs(60)),
            reason: EVIL.to_owned(),
            count: 1,
        };
        store.hold_target(EVIL, &hold).await.unwrap();
    }

    async fn dead_letter(&self, sequence: EventSequence) {
        let (store, now) = (&self.store, SystemClock.now());
        let spec = SubscriptionSpec {
            name: EVIL.to_owned(),
            kind: SubscriptionKind::Pull,
            topics: vec![],
            max_outstanding: 10,
            changes: None,
            filter: None,
            push: None,
        };
        store.put_subscription(&spec, EventStart::Beginning, now).await.unwrap();
        let request = TakeEvents {
            max: 10,
            leased_until: now.plus(std::time::Duration::from_secs(60)),
            token: 7,
            in_flight: None,
        };
        store.take_events(EVIL, &request, now).await.unwrap();
        let died = SettleEvent {
            sequence,
            token: 7,
            outcome: EventOutcome::Dead { error: EVIL.to_owned() },
        };
        assert_eq!(store.settle_events(EVIL, &[died], now).await.unwrap(), [true]);
    }
}

fn job(key: &str) -> NewJob {
    NewJob {
        kind: KIND.to_owned(),
        key: key.to_owned(),
        fingerprint: fingerprint(key.as_bytes()),
        args: serde_json::json!({EVIL: EVIL}).to_string(),
        due_at: Timestamp(1),
        trigger: Trigger::Manual,
        trace: None,
    }
}

/// Every page with something to show of the hostile store.
async fn all_pages(bench: &Bench, event: EventSequence) -> Vec<String> {
    let source = format::encoded(EVIL);
    let job = job_of(&bench.store, KIND, EVIL).await.id;
    vec![
        "/".to_owned(),
        format!("/sources/{source}"),
        format!("/sources/{source}/plan"),
        format!("/catalog?source={source}&name=x*"),
        format!("/catalog/entity?source={source}&ref=component:default/x%253Cscript%253E"),
        "/changes".to_owned(),
        format!("/changes?text={source}"),
        "/events".to_owned(),
        format!("/events/{event}"),
        format!("/jobs?key={source}"),
        "/jobs".to_owned(),
        format!("/jobs/{job}"),
        "/subscriptions".to_owned(),
        format!("/subscriptions/{source}"),
        "/targets".to_owned(),
        format!("/targets/{source}"),
        "/hooks".to_owned(),
        "/hooks?name=ci".to_owned(),
        "/jobs?state=parked&age=1h".to_owned(),
        "/operations".to_owned(),
        format!("/audit?actor={source}"),
        "/audit".to_owned(),
        "/tokens".to_owned(),
    ]
}

#[tokio::test]
async fn markup_is_shown_as_text_on_every_page() {
    let bench = bench().await;
    let event = bench.hostile().await;
    bench
        .post(
            &format!("/sources/{}/pause", format::encoded(EVIL)),
            &format!("reason={}", format::encoded(EVIL)),
        )
        .await;
    let evil = Principal::local(EVIL);
    bench
        .post_as(evil, &format!("/sources/{}/resume", format::encoded(EVIL)), "reason=r")
        .await;
    bench
        .post("/tokens", &format!("name={}&role=read&days=", format::encoded(EVIL)))
        .await;
    let mut escaped = 0;
    for path in all_pages(&bench, event).await {
        let shown = bench.get(&path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.html);
        assert!(!shown.html.contains("<script>alert"), "{path}");
        assert!(!shown.html.contains("<img"), "{path}");
        assert!(
            !shown.html.contains(" style=") && !shown.html.contains(" onclick="),
            "{path}"
        );
        escaped += usize::from(shown.html.contains("&lt;script&gt;alert(1)"));
    }
    assert!(escaped >= 20, "only {escaped} pages showed the text at all");
    let refused = bench.get(&format!("/sources/{}", format::encoded("<b>none</b>"))).await;
    assert_eq!(refused.status, 404);
    assert!(refused.html.contains("&lt;b&gt;none&lt;/b&gt;") && !refused.html.contains("<b>none"));
}

#[tokio::test]
async fn pages_may_load_our_own_files_and_nothing_else() {
    let bench = bench().await;
    let shown = bench.get("/").await;
    assert!(shown.policy.starts_with("default-src 'none'"), "{}", shown.policy);
    assert!(
        !shown.policy.contains("unsafe-inline") && !shown.policy.contains("http"),
        "{}",
        shown.policy
    );
    for asset in [&*assets::STYLE, &*assets::SCRIPT, &*assets::ICON] {
        assert!(shown.html.contains(&asset.path), "{}", asset.path);
        let file = bench.get(&asset.path).await;
        assert_eq!(file.status, 200);
        assert!(!file.html.contains("url(http") && !file.html.contains("@import"));
    }
    assert_eq!(bench.get("/assets/style.000000000000.css").await.status, 404);
}

#[tokio::test]
async fn an_act_that_another_site_asks_for_is_refused() {
    let bench = bench().await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = Request::builder()
            .method("POST")
            .uri("/sources/s/pause")
            .header("host", "localhost:7070")
            .header(name, value);
        let refused = bench.ask(somebody(Role::Admin, &[]), request, "").await;
        assert_eq!(refused.status, 403, "{name}: {value}");
    }
    let source = bench.store.find_source("s").await.unwrap().unwrap();
    assert_eq!(source.state, tideline_core::words::SourceState::Active);
    assert_eq!(bench.post("/sources/s/pause", "").await.status, 303);
    let source = bench.store.find_source("s").await.unwrap().unwrap();
    assert_eq!(source.state, tideline_core::words::SourceState::Paused);
}

#[tokio::test]
async fn buttons_and_acts_are_those_of_the_role() {
    let bench = bench().await;
    let now = SystemClock.now();
    bench
        .store
        .sync_sources(&[spec("s"), spec("other")], now)
        .await
        .unwrap();
    let reader = || somebody(Role::Read, &[]);
    let shown = bench.get_as(reader(), "/sources/s").await;
    assert!(!shown.html.contains("<form method=\"post\""), "{}", shown.html);
    assert!(!shown.html.contains("href=\"/tokens\"") && !shown.html.contains("href=\"/audit\""));
    for path in [
        "/sources/s/pause",
        "/sources/s/refresh",
        "/jobs/1/retry",
        "/subscriptions/x/pause",
        "/tokens",
    ] {
        assert_eq!(
            bench.post_as(reader(), path, "name=a&role=read").await.status,
            403,
            "{path}"
        );
    }
    let operator = || somebody(Role::Operate, &[]);
    assert!(
        bench
            .get_as(operator(), "/sources/s")
            .await
            .html
            .contains("/sources/s/pause")
    );
    assert_eq!(bench.get_as(operator(), "/tokens").await.status, 403);
    assert_eq!(
        bench.post_as(operator(), "/tokens", "name=a&role=admin").await.status,
        403
    );
    let limited = || somebody(Role::Operate, &["s"]);
    let shown = bench.get_as(limited(), "/").await;
    assert!(shown.html.contains("/sources/s\"") && !shown.html.contains("/sources/other\""));
    assert_eq!(bench.get_as(limited(), "/sources/other").await.status, 404);
    assert_eq!(bench.post_as(limited(), "/sources/other/pause", "").await.status, 404);
    assert_eq!(bench.get_as(limited(), "/events").await.status, 403);
    assert_eq!(bench.get_as(somebody(Role::Push, &[]), "/").await.status, 403);
}

#[tokio::test]
async fn acts_of_the_dashboard_are_in_the_audit_log_with_who_and_why() {
    let bench = bench().await;
    bench.store.sync_sources(&[spec("s")], SystemClock.now()).await.unwrap();
    let without = bench.post("/sources/s/delete", "reason=").await;
    assert_eq!(without.status, 400, "what deletes needs a reason");
    assert_eq!(
        bench.post("/sources/s/delete", "reason=wrong+%C3%BC+data").await.status,
        303
    );
    let shown = bench.get("/audit?act=sources.reset_and_delete").await;
    assert!(
        shown.html.contains("somebody") && shown.html.contains("wrong ü data"),
        "{}",
        shown.html
    );
}

#[tokio::test]
async fn filters_are_in_the_address_and_lists_are_paged() {
    let bench = bench().await;
    let jobs: Vec<NewJob> = (0..1_000).map(|n| job(&format!("job-{n:04}"))).collect();
    bench.store.enqueue(&jobs, SystemClock.now()).await.unwrap();
    let first = bench.get(&format!("/jobs?kind={KIND}&state=waiting")).await;
    assert!(first.html.len() < 60_000, "{} bytes", first.html.len());
    assert!(first.html.contains("job-0049") && !first.html.contains("job-0050"));
    assert!(
        first.html.contains(&format!("value=\"{KIND}\"")) && first.html.contains("<option value=\"waiting\" selected>")
    );
    let next = first
        .html
        .split("href=\"/jobs?")
        .find(|part| part.contains("rel=\"next\""))
        .unwrap();
    let (next, _) = next.split_once('"').unwrap();
    let second = bench.get(&format!("/jobs?{}", next.replace("&amp;", "&"))).await;
    assert!(
        second.html.contains("job-0050") && !second.html.contains("job-0049"),
        "{next}"
    );
    assert!(bench.get("/jobs?kind=other").await.html.contains("No job matches"));
}

#[tokio::test]
async fn the_newest_changes_come_first_however_many_there_are() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    store.sync_sources(&[spec("s")], now).await.unwrap();
    store.start_cycles(10, now).await.unwrap();
    let mut root = Reader::new(only(claim_ingest(store, "w", 1, now).await));
    root.write(store, tideline_store::conformance::entities(0, 950, 1), None, now)
        .await;
    let first = bench.get("/changes").await;
    assert!(first.html.contains("c0000949") && first.html.contains("c0000850") && !first.html.contains("c0000849"));
    assert!(first.html.contains("before=851"), "{}", first.html);
    let older = bench.get("/changes?before=851").await;
    assert!(older.html.contains("c0000849") && !older.html.contains("c0000850"));
    let found = bench.get("/changes?text=c0000007").await;
    assert!(found.html.contains("c0000007") && !found.html.contains("c0000008"));
}

#[tokio::test]
async fn an_open_page_is_told_what_has_changed() {
    let bench = bench().await;
    let now = SystemClock.now();
    bench.store.sync_sources(&[spec("s")], now).await.unwrap();
    let mut request = Request::builder().uri("/live?page=%2F").body(Body::empty()).unwrap();
    request.extensions_mut().insert(somebody(Role::Read, &[]));
    let response = bench.pages.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body();
    let mut next = async || {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(20), stream.frame())
            .await
            .unwrap();
        String::from_utf8(frame.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
    };
    let whole = next().await;
    assert!(
        whole.contains("\"id\":\"sources\"") && whole.contains("\"id\":\"needs\""),
        "{whole}"
    );
    assert!(!whole.contains("/sources/s/pause"), "a reader gets no buttons");
    bench
        .store
        .command_source("s", tideline_store::SourceCommand::Pause, now)
        .await
        .unwrap();
    let changed = next().await;
    assert!(
        changed.contains("paused") && !changed.contains("\"id\":\"fleet\""),
        "{changed}"
    );
}

#[tokio::test]
async fn only_pages_can_be_followed() {
    let bench = bench().await;
    for page in ["", "https://evil.example", "/live?page=/"] {
        let path = format!("/live?page={}", format::encoded(page));
        assert_eq!(bench.get(&path).await.status, 400, "{page}");
    }
}

#[tokio::test]
async fn a_held_sweep_is_approved_with_its_number_and_a_reason() {
    let bench = bench().await;
    let (store, now) = (&bench.store, SystemClock.now());
    store.sync_sources(&[spec("s")], now).await.unwrap();
    store.start_cycles(10, now).await.unwrap();
    let mut root = Reader::new(only(claim_ingest(store, "w", 1, now).await));
    root.write(store, tideline_store::conformance::entities(0, 4, 1), None, now)
        .await;
    root.settle(store, Settlement::Done, now).await;
    let (source, cycle) = (root.source(), root.cycle());
    let sweeping = CycleEnd {
        state: CycleState::Sweeping,
        reason: None,
        next_cycle_at: None,
    };
    assert!(store.end_cycle(source, cycle, &sweeping, now).await.unwrap());
    let mut plan = store.plan_sweep(source, cycle, 1).await.unwrap().unwrap();
    plan.candidates = 3;
    let held = store
        .hold_sweep(source, cycle, plan, "would remove 75 %", None, now)
        .await;
    assert!(held.unwrap());

    let shown = bench.get("/").await;
    assert!(shown.html.contains("would delete 3 entities, 75 %"), "{}", shown.html);
    let shown = bench.get("/sources/s").await;
    for part in [
        "Delete 3 entities",
        "name=\"cycle\" value=\"1\"",
        "name=\"would_remove\" value=\"3\"",
        "Keep them",
    ] {
        assert!(shown.html.contains(part), "{part}: {}", shown.html);
    }
    let approve = async |form: &str| bench.post("/sources/s/approve", form).await.status;
    assert_eq!(approve("cycle=1&would_remove=3").await, 400, "no reason was given");
    assert_eq!(
        approve("cycle=1&would_remove=4&reason=r").await,
        409,
        "another sweep is held by now"
    );
    assert_eq!(approve("cycle=1&would_remove=3&reason=moved+away").await, 303);
    let source = store.find_source("s").await.unwrap().unwrap();
    assert!(source.held.is_none_or(|held| held.approved));
    assert!(bench.get("/audit").await.html.contains("moved away"));
}
