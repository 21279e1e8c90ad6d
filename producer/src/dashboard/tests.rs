//! Pages as a browser gets them, from a store whose every text is markup. Tests are divided by page.

mod acts;
mod catalog;
mod events;
mod hooks;
mod jobs;
mod live;
mod safety;
mod source;

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use tideline_config::settings::Settings;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::fingerprint;
use tideline_core::words::{
    DeliveryId, EntityRef, EventOutcome, EventSequence, MalformedItem, NewEvent, NewJob, Role, SettleEvent, Settlement,
    SourceSpec, SubscriptionKind, SubscriptionSpec, TakeEvents, TargetHold, TargetObject, TargetSpec, Timestamp,
    Trigger, Verdict,
};
use tideline_queue::in_process::InProcessQueue;
use tideline_store::conformance::{KIND, Reader, claim, claim_ingest, entity, job_of, only, settle, written_with};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{EventStart, HookHour, Store, TargetNote, TargetSettled};
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

/// With more configuration.
pub(super) async fn bench_with(yaml: &str) -> Bench {
    bench_with_settings(settings(yaml)).await
}

pub(super) async fn bench_with_settings(settings: Settings) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench_of(&folder.path().join("t.db"), settings).await;
    Bench {
        _folder: folder,
        ..bench
    }
}

/// On a store of this path.
pub(super) async fn bench_on(path: &std::path::Path) -> Bench {
    bench_of(path, settings("")).await
}

async fn bench_of(path: &std::path::Path, settings: Settings) -> Bench {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
    let api = Api::new(ApiParts {
        store: Arc::clone(&store),
        queue: Arc::new(InProcessQueue::default()),
        clock: Arc::new(SystemClock),
        planner: None,
        settings: Some(Arc::new(settings)),
        stop: CancellationToken::new(),
    });
    over(&api, store)
}

/// The pages of an API.
fn over(api: &Api, store: Arc<dyn Store>) -> Bench {
    Bench {
        pages: secured(Dashboard::new(api).pages().merge(assets())),
        store,
        _folder: tempfile::tempdir().unwrap(),
    }
}

/// A configuration with a hook and a source that follows it.
pub(super) fn settings(more: &str) -> Settings {
    let yaml = "hooks:\n  - { name: ci, provider: token, header: x-token, secret: s3cret }\nsources:\n  - name: s\n    type: http\n    \
                base_url: http://localhost\n    resources: [{ name: all, path: / }]\n    on: [{ topic: 'github.*', refresh: source }]\n";
    tideline_config::parse(&format!("{yaml}{more}"), std::path::Path::new("tideline.yaml"), &|_| {
        None
    })
    .unwrap()
}

/// The reader of the first cycle of a source, `s`.
pub(super) async fn first_reader(store: &Arc<dyn Store>, now: Timestamp) -> Reader {
    store.sync_sources(&[spec("s")], now).await.unwrap();
    store.start_cycles(10, now).await.unwrap();
    Reader::new(only(claim_ingest(store, "w", 1, now).await))
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

    /// A source, a job, an event, a subscription and a token whose texts are all markup, wherever a store takes any
    /// text.
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
        let failed = TargetSettled {
            reference: reference.clone(),
            error: Some(EVIL.to_owned()),
            sent: None,
        };
        store.settle_target_entities(EVIL, &[failed], now).await.unwrap();
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
        assert_eq!(store.put_target_objects(EVIL, &[object]).await.unwrap(), [true]);
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
