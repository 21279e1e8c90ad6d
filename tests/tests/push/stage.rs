//! Subscribers that the test writes, and workers that push to them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::Value;
use tideline_config::subscriptions::SubscriptionSettings;
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::{AddressPolicy, Ladder, parse_network};
use tideline_core::words::{
    Actor, EventSequence, NewEvent, PushFormat, PushSpec, Secret, SubscriptionKind, SubscriptionRecord,
    SubscriptionSpec, Verdict,
};
use tideline_expression::{Evaluator, Limits};
use tideline_queue::Queue;
use tideline_queue::in_process::InProcessQueue;
use tideline_runtime::Runtime;
use tideline_runtime::push_target::{PushTarget, secret_of};
use tideline_runtime::sealing::Sealer;
use tideline_store::sqlite::SqliteStore;
use tideline_store::{Deed, EventStart, OperatorAct, Store, SubscriptionAct};
use tideline_worker::{Pusher, PusherParts};
use tokio::sync::Semaphore;

pub(crate) const LIMIT: Duration = Duration::from_secs(90);
pub(crate) const NAME: &str = "s";

/// What a subscriber got.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Requests that were being answered when it came, and itself.
    pub(crate) side_by_side: usize,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn key(&self) -> String {
        self.json()["data"]["key"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn id(&self) -> i64 {
        self.json()["data"]["id"].as_str().unwrap().parse().unwrap()
    }
}

type Decide = Box<dyn Fn(&Request, usize) -> Response + Send + Sync>;

/// A subscriber on this machine.
pub(crate) struct Subscriber {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Mutex<Vec<Request>>,
    /// An answer takes one, and gives it back.
    pub(crate) gate: Semaphore,
    /// Requests that are being answered.
    pub(crate) open: Mutex<Vec<i64>>,
    /// Requests whose sender hung up.
    pub(crate) cut: Mutex<usize>,
    decide: Decide,
}

/// A request that is being answered; dropped when its sender hangs up.
struct Open {
    subscriber: Arc<Subscriber>,
    id: i64,
    answered: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.subscriber.open.lock();
        if let Some(place) = open.iter().position(|id| *id == self.id) {
            open.remove(place);
        }
        if !self.answered {
            *self.subscriber.cut.lock() += 1;
        }
    }
}

impl Subscriber {
    /// Answers each request as `decide` says, which gets how many came before.
    pub(crate) async fn start(decide: impl Fn(&Request, usize) -> Response + Send + Sync + 'static) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let subscriber = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            requests: Mutex::default(),
            gate: Semaphore::new(1_000),
            open: Mutex::default(),
            cut: Mutex::default(),
            decide: Box::new(decide),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&subscriber));
        tokio::spawn(async move { axum::serve(listener, router).await });
        subscriber
    }

    pub(crate) async fn that_accepts() -> Arc<Self> {
        Self::start(|_, _| StatusCode::NO_CONTENT.into_response()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    pub(crate) fn got(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }
}

async fn answer(State(subscriber): State<Arc<Subscriber>>, headers: HeaderMap, body: Bytes) -> Response {
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = value["data"]["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
    let mut open = Open {
        subscriber: Arc::clone(&subscriber),
        id,
        answered: false,
    };
    let side_by_side = {
        let mut open = subscriber.open.lock();
        assert!(
            id == 0 || !open.contains(&id),
            "event {id} is being sent twice side by side"
        );
        open.push(id);
        open.len()
    };
    let request = Request {
        headers,
        body,
        side_by_side,
    };
    let before = {
        let mut requests = subscriber.requests.lock();
        requests.push(request.clone());
        requests.len() - 1
    };
    let permit = subscriber.gate.acquire().await.unwrap();
    let answer = (subscriber.decide)(&request, before);
    drop(permit);
    open.answered = true;
    answer
}

/// A store and the workers that push from it.
pub(crate) struct Stage {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) secret: Secret,
    sealer: Arc<Sealer>,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

/// Local subscribers are allowed; the ladder is short.
pub(crate) fn settings() -> SubscriptionSettings {
    SubscriptionSettings {
        allow_http: true,
        addresses: AddressPolicy::new(vec![parse_network("127.0.0.0/8").unwrap()]),
        backoff: Ladder::new([20, 40].map(Duration::from_millis).to_vec()),
        timeout: Duration::from_secs(5),
        ..SubscriptionSettings::default()
    }
}

async fn sqlite() -> (Arc<dyn Store>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("t.db").display());
    (Arc::new(SqliteStore::open_owned(&url, "test").await.unwrap()), folder)
}

impl Stage {
    /// On SQLite, with this many workers.
    pub(crate) async fn start(settings: SubscriptionSettings, workers: usize) -> Self {
        let (store, folder) = sqlite().await;
        Self::on(store, Arc::new(InProcessQueue::default()), settings, workers, folder).await
    }

    /// On SQLite, with one worker whose expressions have these limits.
    pub(crate) async fn evaluating(settings: SubscriptionSettings, limits: Limits) -> Self {
        let (store, folder) = sqlite().await;
        Self::with(
            store,
            Arc::new(InProcessQueue::default()),
            settings,
            (1, limits),
            folder,
        )
    }

    pub(crate) async fn on(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        settings: SubscriptionSettings,
        workers: usize,
        folder: tempfile::TempDir,
    ) -> Self {
        Self::with(store, queue, settings, (workers, Limits::default()), folder)
    }

    fn with(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        settings: SubscriptionSettings,
        (workers, limits): (usize, Limits),
        folder: tempfile::TempDir,
    ) -> Self {
        let runtime = Runtime::new(Arc::new(SystemClock));
        let sealer = Arc::new(Sealer::new(Some(&Secret::new("07".repeat(32)))).unwrap());
        for _ in 0..workers {
            let parts = PusherParts {
                store: Arc::clone(&store),
                queue: Arc::clone(&queue),
                clock: Arc::new(SystemClock),
                settings: settings.clone(),
                sealer: Arc::clone(&sealer),
                evaluator: Arc::new(Evaluator::new(limits)),
                public_url: Some("https://tideline.example.com".parse().unwrap()),
            };
            Pusher::start(parts, &runtime).unwrap();
        }
        Self {
            store,
            queue,
            secret: secret_of([9; 32]),
            sealer,
            runtime,
            _folder: folder,
        }
    }

    /// Follows everything of topic `t`, and sends it to a URL.
    pub(crate) fn spec(&self, url: &str, in_flight: u32) -> SubscriptionSpec {
        let target = PushTarget {
            url: url.parse().unwrap(),
            secret: Some(self.secret.clone()),
            headers: BTreeMap::from([("x-team".to_owned(), Secret::new("web"))]),
        };
        SubscriptionSpec {
            name: NAME.to_owned(),
            kind: SubscriptionKind::Push,
            topics: vec!["t".parse().unwrap()],
            max_outstanding: 1_000,
            filter: None,
            push: Some(PushSpec {
                format: PushFormat::Event,
                shown_url: target.shown_url(false),
                sealed: target.seal(&self.sealer, NAME).unwrap(),
                in_flight,
            }),
            changes: None,
        }
    }

    pub(crate) async fn put(&self, spec: &SubscriptionSpec) {
        let now = SystemClock.now();
        self.store
            .put_subscription(spec, EventStart::Beginning, now)
            .await
            .unwrap();
        self.queue.wake().await;
    }

    /// Puts events of these keys into the log.
    pub(crate) async fn append(&self, keys: &[&str]) -> Vec<EventSequence> {
        let events: Vec<NewEvent> = keys.iter().map(|key| event("t", key)).collect();
        let appended = self.store.append_events(&events, SystemClock.now()).await.unwrap();
        self.queue.wake().await;
        appended.into_iter().map(|one| one.sequence).collect()
    }

    /// A person sends a dead letter again.
    pub(crate) async fn retry(&self, event: EventSequence) {
        let deed = Deed::ActOnSubscription {
            subscription: NAME.to_owned(),
            act: SubscriptionAct::RetryDeadLetters(Some(event)),
        };
        let act = OperatorAct::new(deed, Actor::local("test"));
        self.store.perform(&act, SystemClock.now()).await.unwrap();
        self.queue.wake().await;
    }

    pub(crate) async fn record(&self) -> SubscriptionRecord {
        self.store.find_subscription(NAME).await.unwrap().unwrap()
    }

    pub(crate) async fn stop(self) {
        self.runtime.shut_down(LIMIT).await;
    }
}

pub(crate) fn event(topic: &str, key: &str) -> NewEvent {
    NewEvent {
        topic: topic.to_owned(),
        key: key.to_owned(),
        delivery: None,
        verdict: Verdict::Published,
        malformed: false,
        headers: vec![],
        body: format!(r#"{{"key":"{key}"}}"#).into_bytes(),
        trace: None,
    }
}

/// RFC 2104, written out, so that it is not the code that it checks.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = tideline_core::rules::fingerprint(&[&padded(0x36), message].concat()).0;
    tideline_core::rules::fingerprint(&[&padded(0x5c)[..], &inner].concat()).0
}
