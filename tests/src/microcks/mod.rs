//! A Microcks that keeps its services in memory and refuses what Microcks refuses, with a Keycloak beside it. Written
//! from WIRE.md section 1 and 2; what it does not know, it does not do.
//!
//! - A secondary artifact of a service that is not there is skipped, and answered 201 all the same.
//! - Messages are kept by the file that they came in; a new import replaces those of the same file only.
//! - APIMetadata appends its parameter constraints at every import.
//! - A service is read with the role `user`; everything else wants `manager`.

mod api;
mod artifacts;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// One service.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Technical id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Of the main artifact's file.
    pub source_artifact: String,
    /// `metadata.labels`.
    pub labels: Map<String, Value>,
    /// By name.
    pub operations: BTreeMap<String, Operation>,
    /// How often the main artifact was imported.
    pub imports: u32,
}

/// One operation of a service.
#[derive(Clone, Debug, Default)]
pub struct Operation {
    /// What people and metadata set.
    pub properties: Map<String, Value>,
    /// They survive another import.
    pub overridden: bool,
    /// Examples: name, and the file that they came in.
    pub messages: Vec<(String, String)>,
}

/// What is wrong with the server on purpose.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Every call is answered with this status and text.
    pub status: Option<(u16, String)>,
    /// The token endpoint refuses.
    pub no_tokens: bool,
    /// Duration of each call.
    pub latency: Duration,
    /// So many calls are answered; the one after them never is …
    pub answers: Option<u64>,
    /// … although what it asks for is done.
    pub done_anyway: bool,
}

/// What the server has and counts.
#[derive(Debug)]
pub struct State {
    /// Services by id.
    pub services: Mutex<BTreeMap<String, Service>>,
    /// What is wrong.
    pub trouble: Mutex<Trouble>,
    /// Valid tokens and their roles. None: no token is needed.
    pub tokens: Mutex<Option<HashMap<String, Vec<String>>>>,
    /// Roles that new tokens get.
    pub roles: Mutex<Vec<String>>,
    /// Calls of the API, as `METHOD /path`.
    pub calls: Mutex<Vec<String>>,
    tokens_given: AtomicU64,
    next_id: AtomicU64,
    /// A call is stuck.
    pub stuck: CancellationToken,
}

/// A running server.
pub struct FakeMicrocks {
    /// What it has.
    pub state: Arc<State>,
    address: SocketAddr,
    _stop: DropGuard,
}

impl FakeMicrocks {
    /// Starts a server that wants no tokens, or (`with_tokens`) those of the Keycloak beside it.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(with_tokens: bool) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            services: Mutex::default(),
            trouble: Mutex::default(),
            tokens: Mutex::new(with_tokens.then(HashMap::new)),
            roles: Mutex::new(vec!["manager".to_owned(), "user".to_owned()]),
            calls: Mutex::default(),
            tokens_given: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            stuck: CancellationToken::new(),
        });
        let stop = CancellationToken::new();
        let router = api::router(Arc::clone(&state), address);
        let stopped = stop.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned());
            let _ = served.await;
        });
        Ok(Self {
            state,
            address,
            _stop: stop.drop_guard(),
        })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `name:version` of all services, in order.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        let services = self.state.services.lock();
        let mut all: Vec<String> = services.values().map(Service::full_name).collect();
        all.sort();
        all
    }

    /// The service of this full name.
    #[must_use]
    pub fn service(&self, full_name: &str) -> Option<Service> {
        let services = self.state.services.lock();
        services
            .values()
            .find(|service| service.full_name() == full_name)
            .cloned()
    }

    /// Puts a service there by hand.
    pub fn put(&self, name: &str, version: &str) -> String {
        let id = self.state.fresh_id();
        let service = Service {
            id: id.clone(),
            name: name.to_owned(),
            version: version.to_owned(),
            ..Service::default()
        };
        self.state.services.lock().insert(id.clone(), service);
        id
    }

    /// What is wrong from now on.
    pub fn set_trouble(&self, trouble: Trouble) {
        *self.state.trouble.lock() = trouble;
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state.calls.lock().clone()
    }

    /// Tokens given so far.
    #[must_use]
    pub fn tokens_given(&self) -> u64 {
        self.state.tokens_given.load(Ordering::SeqCst)
    }

    /// Invalidates all tokens.
    pub fn forget_tokens(&self) {
        if let Some(tokens) = self.state.tokens.lock().as_mut() {
            tokens.clear();
        }
    }
}

impl Service {
    /// `name:version`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.name, self.version)
    }

    /// As the API shows it.
    pub(self) fn json(&self) -> Value {
        let operations: Vec<Value> = (self.operations.iter())
            .map(|(name, operation)| {
                let mut shown = operation.properties.clone();
                shown.insert("name".to_owned(), json!(name));
                shown.insert("method".to_owned(), json!(name.split(' ').next()));
                Value::Object(shown)
            })
            .collect();
        json!({
            "id": self.id, "name": self.name, "version": self.version, "type": "REST", "xmlNS": null,
            "sourceArtifact": self.source_artifact,
            "metadata": { "createdOn": 1, "lastUpdate": self.imports, "annotations": null, "labels": self.labels },
            "operations": operations,
        })
    }

    pub(self) fn messages(&self) -> Value {
        let pair = |(name, file): &(String, String)| {
            json!({
                "type": "reqRespPair",
                "request": { "name": name, "sourceArtifact": file }, "response": { "name": name, "sourceArtifact": file },
            })
        };
        let map: Map<String, Value> = (self.operations.iter())
            .map(|(name, operation)| (name.clone(), operation.messages.iter().map(pair).collect()))
            .collect();
        Value::Object(map)
    }
}

impl State {
    pub(self) fn fresh_id(&self) -> String {
        format!("{:024x}", self.next_id.fetch_add(1, Ordering::SeqCst))
    }
}
