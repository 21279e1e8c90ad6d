//! Events: how fast webhooks are acknowledged, pushed, pulled and turned into changes.

pub(crate) mod deltas;
pub(crate) mod hooks;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod react;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tideline_core::words::{NewEvent, Verdict};
use tideline_store::Store;
use tideline_tests::process::Tideline;
use tideline_tests::servers::TestDatabase;
use tideline_tests::wait_until;

use crate::client::Connection;
use crate::send::body;
use crate::stage::{Place, Stage};

const LIMIT: Duration = Duration::from_secs(60);
/// Signs webhooks in the benchmarks.
const SECRET: &str = "bench-secret";
/// Seals what subscriptions keep secret.
const KEY: (&str, &str) = (
    "TIDELINE_SECRET_KEY",
    "0707070707070707070707070707070707070707070707070707070707070707",
);

/// One `tideline` process that listens, on a database of its own.
struct Running {
    process: Tideline,
    place: Place,
    database: Option<TestDatabase>,
    address: String,
}

impl Running {
    /// On a fresh database of the stage.
    async fn start(stage: &Stage, command: &str, queue: &str, rest: &str) -> Result<Self> {
        let database = stage.database().await?;
        let store = database.url().to_owned();
        Self::start_on(&store, Some(database), command, queue, rest).await
    }

    async fn start_on(
        store: &str,
        database: Option<TestDatabase>,
        command: &str,
        queue: &str,
        rest: &str,
    ) -> Result<Self> {
        let address = free_address().await?;
        let place = Place::listening(store, queue, &address, rest).await?;
        let process = Tideline::start(place.folder(), command, &[command], &[KEY])?;
        let mut running = Self {
            process,
            place,
            database,
            address,
        };
        running.until_ready().await?;
        Ok(running)
    }

    async fn until_ready(&mut self) -> Result<()> {
        let address = self.address.clone();
        let ready = wait_until("tideline", LIMIT, async || {
            let mut connection = Connection::open(&address).await?;
            connection.ask("GET", "/readyz", "").await?.successful().map(drop)
        });
        ready.await?;
        self.process.check_runs()
    }

    async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.address).await
    }

    async fn store(&self) -> Result<Arc<dyn Store>> {
        self.place.store().await
    }

    async fn stop(mut self) -> Result<()> {
        self.process.terminate()?;
        self.process.wait(LIMIT).await?;
        match self.database.take() {
            Some(database) => database.remove().await,
            None => Ok(()),
        }
    }
}

/// Where nothing listens at this moment.
async fn free_address() -> Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.to_string())
}

/// Puts events into the log, without a gateway.
async fn append(store: &Arc<dyn Store>, topic: &str, count: usize, bytes: usize) -> Result<()> {
    let event = |number: usize| NewEvent {
        topic: topic.to_owned(),
        key: String::new(),
        delivery: None,
        verdict: Verdict::Published,
        malformed: false,
        headers: vec![],
        body: body(number, bytes).into_bytes(),
        trace: None,
    };
    let mut done = 0;
    while done < count {
        let batch: Vec<NewEvent> = (done..count.min(done + 500)).map(event).collect();
        let now = tideline_core::clock::Clock::now(&tideline_core::clock::SystemClock);
        let appended = store.append_events(&batch, now).await?;
        ensure!(appended.len() == batch.len(), "not every event was appended");
        done += batch.len();
    }
    Ok(())
}
