//! A source that misbehaves: an HTTP API over a model in memory, with three levels (organizations → projects →
//! components), every kind of paging, and faults whose choice follows a seed and not the order of requests.
//!
//! - `GET /orgs`, `/orgs/{org}/projects`, `/orgs/{org}/projects/{project}/components`, with `limit` and what the
//!   [`Paging`] needs. Answers have an `ETag` and honor `If-None-Match`.
//! - The truth to compare with: [`HostileServer::expected`].

mod answer;
mod config;
mod faults;
mod model;
mod paging;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde_json::Value;
use tideline_core::words::EntityRef;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use config::{HostileYaml, SOURCE};
pub use faults::{Fault, FaultRates};
pub use model::{ChangeRates, Model, Shape};
pub use paging::Paging;

/// What kind of hostile server.
#[derive(Clone, Copy, Debug)]
pub struct HostileConfig {
    /// Of the model and of the faults.
    pub seed: u64,
    /// Its size at the start.
    pub shape: Shape,
    /// How it pages.
    pub paging: Paging,
    /// What goes wrong.
    pub faults: FaultRates,
    /// What changes at the start of each cycle, which is seen by a request for the first page of organizations.
    pub changes: ChangeRates,
}

/// How often the server did what.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests, all of them.
    pub requests: AtomicU64,
    /// Pages answered in full.
    pub pages: AtomicU64,
    /// 304 answers.
    pub not_modified: AtomicU64,
    /// Requests with a fault.
    pub faults: AtomicU64,
    /// Requests for the first page of organizations.
    pub cycles: AtomicU64,
}

impl Counts {
    /// Reads one of the counts.
    #[must_use]
    pub fn of(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

struct Shared {
    config: HostileConfig,
    model: Mutex<Model>,
    asked: Mutex<HashMap<String, u64>>,
    counts: Counts,
    faults_on: AtomicBool,
    changes_on: AtomicBool,
    epoch: AtomicU64,
    address: SocketAddr,
}

/// A running hostile server. It stops when it is dropped.
pub struct HostileServer {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl HostileServer {
    /// Starts on a free port of the loopback address.
    ///
    /// # Errors
    /// No port.
    pub async fn start(config: HostileConfig) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("a port for the hostile server")?;
        let shared = Arc::new(Shared {
            config,
            model: Mutex::new(Model::new(config.shape, config.seed)),
            asked: Mutex::default(),
            counts: Counts::default(),
            faults_on: AtomicBool::new(true),
            changes_on: AtomicBool::new(true),
            epoch: AtomicU64::new(1),
            address: listener.local_addr()?,
        });
        let stop = CancellationToken::new();
        let app = axum::Router::new()
            .fallback(answer::answer)
            .with_state(Arc::clone(&shared));
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                ended = axum::serve(listener, app) => {
                    if let Err(error) = ended {
                        eprintln!("the hostile server ended: {error}");
                    }
                }
            }
        });
        Ok(Self {
            shared,
            _stop: stop.drop_guard(),
        })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// No more faults.
    pub fn stop_faults(&self) {
        self.shared.faults_on.store(false, Ordering::SeqCst);
    }

    /// The model changes no more by itself.
    pub fn stop_changes(&self) {
        self.shared.changes_on.store(false, Ordering::SeqCst);
    }

    /// Every cursor given so far is answered with 410 from now on.
    pub fn expire_cursors(&self) {
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Looks at the model or changes it.
    pub fn with_model<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut self.shared.model.lock())
    }

    /// What a catalog must hold now.
    ///
    /// # Errors
    /// A defect of the model.
    pub fn expected(&self) -> Result<BTreeMap<EntityRef, Value>> {
        self.shared.model.lock().entities()
    }

    /// How often it did what.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// How often exactly this was asked for, as `GET /orgs?limit=10`.
    #[must_use]
    pub fn times_asked(&self, what: &str) -> u64 {
        self.shared.asked.lock().get(what).copied().unwrap_or(0)
    }

    /// How many requests asked for what had been asked for before. Every cycle asks again.
    #[must_use]
    pub fn asked_again(&self) -> u64 {
        self.shared.asked.lock().values().map(|times| times - 1).sum()
    }
}

#[cfg(test)]
mod tests;
