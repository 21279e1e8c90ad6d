//! Real servers that the tests start, hurt and kill themselves: Postgres and nats-server on free ports of the loopback
//! address. `TIDELINE_TEST_POSTGRES_URL` and `TIDELINE_TEST_NATS_URL` name servers to use instead; those are not hurt.

mod child;
mod nats;
mod nats_accounts;
mod pgbouncer;
mod postgres;
mod tls;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use anyhow::{Result, bail};
use tokio::sync::Mutex;

pub(crate) use child::ServerProcess;
pub use nats::Nats;
pub use nats_accounts::Operator;
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, Restart, TestDatabase};
pub use tls::{Authority, Identity, serve_tls};

/// Where the tests find a Postgres that they must not start themselves.
pub const POSTGRES_URL: &str = "TIDELINE_TEST_POSTGRES_URL";
/// Where the tests find a nats-server that they must not start themselves.
pub const NATS_URL: &str = "TIDELINE_TEST_NATS_URL";

/// A fresh, empty database: on the server that `TIDELINE_TEST_POSTGRES_URL` names, else on a server that the tests of
/// this process share. `None`, with one line that says so, where there is no Postgres.
///
/// # Errors
/// There is a Postgres, and it does not work.
pub async fn database(test: &str) -> Result<Option<TestDatabase>> {
    static SHARED: Mutex<Weak<Postgres>> = Mutex::const_new(Weak::new());
    if let Ok(url) = std::env::var(POSTGRES_URL) {
        return TestDatabase::create(&url, None).await.map(Some);
    }
    if !Postgres::is_here() {
        println!("{test}: left out, there is no Postgres (set {POSTGRES_URL} or install postgresql)");
        return Ok(None);
    }
    let mut shared = SHARED.lock().await;
    let server = match shared.upgrade() {
        Some(server) => server,
        None => {
            let server = Arc::new(Postgres::start().await?);
            *shared = Arc::downgrade(&server);
            server
        }
    };
    drop(shared);
    TestDatabase::create(&server.url(), Some(server)).await.map(Some)
}

/// A Postgres of this test alone, to be hurt. `None`, with one line that says so, where there is no Postgres.
///
/// # Errors
/// There is a Postgres, and it does not start.
pub async fn own_postgres(test: &str) -> Result<Option<Postgres>> {
    if Postgres::is_here() {
        return Postgres::start().await.map(Some);
    }
    println!("{test}: left out, there is no Postgres to start and stop (install postgresql)");
    Ok(None)
}

/// A nats-server of this test alone, to be hurt. `None`, with one line that says so, where there is none.
///
/// # Errors
/// There is a nats-server, and it does not start.
pub async fn own_nats(test: &str) -> Result<Option<Nats>> {
    if Nats::is_here() {
        return Nats::start().await.map(Some);
    }
    println!("{test}: left out, there is no nats-server to start and stop (install nats-server)");
    Ok(None)
}

/// The URL of a nats-server with JetStream, given or our own (which lives as long as the second part).
///
/// # Errors
/// There is a nats-server, and it does not start.
pub async fn nats(test: &str) -> Result<Option<(String, Option<Nats>)>> {
    if let Ok(url) = std::env::var(NATS_URL) {
        return Ok(Some((url, None)));
    }
    Ok(own_nats(test).await?.map(|server| (server.url(), Some(server))))
}

/// The newest program of this name: on `PATH`, or in the folders where Debian keeps servers.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.push("/usr/sbin".into());
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Ports that the system gives to no outgoing connection: a server that is away for a while finds its port free again.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// A port of the loopback address that is free just now, and that this process was not given before.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    static GIVEN: parking_lot::Mutex<BTreeSet<u16>> = parking_lot::Mutex::new(BTreeSet::new());
    for _ in 0..1_000 {
        // By chance, since other test processes look for ports at the same time.
        let port = rand::random_range(PORTS);
        if GIVEN.lock().insert(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {} to {} is free", PORTS.start, PORTS.end)
}
