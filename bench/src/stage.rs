//! The environment of the benchmarks: servers of their own, and `tideline` as a process that is watched.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tideline_cli::bench::{Meter, Written};
use tideline_config::{parse, settings::Settings};
use tideline_core::words::{CycleRecord, CycleState};
use tideline_runtime::backends::{Mode, open_store};
use tideline_store::Store;
use tideline_tests::process::{Tideline, run};
use tideline_tests::servers::{Nats, POSTGRES_URL, Postgres, TestDatabase};

/// The name of the only source.
pub(crate) const SOURCE: &str = "bench";
/// Whatever takes longer is broken.
const LIMIT: Duration = Duration::from_secs(1_800);

/// Settings of the Postgres that the benchmarks start, beside fsync and synchronous_commit, which stay on.
const POSTGRES: [&str; 4] = [
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "min_wal_size=4GB",
    "checkpoint_timeout=15min",
];

/// Files of the log (16 MiB each) that are made before anything is measured: a server that has run for a while writes
/// over old ones, and only a new one pays for making them.
const LOG_FILES: u32 = 200;

/// A Postgres, given by `TIDELINE_TEST_POSTGRES_URL` or our own.
pub(crate) struct Stage {
    _server: Option<Postgres>,
    url: String,
    pub(crate) versions: String,
}

impl Stage {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// With further settings, on a server of our own.
    pub(crate) async fn start_with(settings: &[&str]) -> Result<Self> {
        let (server, url) = match std::env::var(POSTGRES_URL) {
            Ok(url) => (None, url),
            Err(_) => {
                ensure!(
                    Postgres::is_here(),
                    "there is no Postgres: install postgresql, or set {POSTGRES_URL}"
                );
                let server = Postgres::start_with(&[&POSTGRES[..], settings].concat()).await?;
                let url = server.url();
                (Some(server), url)
            }
        };
        let mut connection = PgConnection::connect(&url).await?;
        let (version,): (String,) = sqlx::query_as("SHOW server_version").fetch_one(&mut connection).await?;
        if server.is_some() {
            for _ in 0..LOG_FILES {
                let statement = "SELECT pg_logical_emit_message(false, 'bench', ''), pg_switch_wal()";
                sqlx::query(statement).execute(&mut connection).await?;
            }
            sqlx::query("CHECKPOINT").execute(&mut connection).await?;
        }
        connection.close().await?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let versions = format!(
            "tideline {}, PostgreSQL {version}, {cores} cores",
            env!("CARGO_PKG_VERSION")
        );
        Ok(Self {
            _server: server,
            url,
            versions,
        })
    }

    /// A fresh, empty database. What an earlier one left to write is written first.
    pub(crate) async fn database(&self) -> Result<TestDatabase> {
        let mut connection = PgConnection::connect(&self.url).await?;
        sqlx::query("CHECKPOINT").execute(&mut connection).await?;
        connection.close().await?;
        TestDatabase::create(&self.url, None).await
    }
}

/// A nats-server of our own.
pub(crate) async fn nats() -> Result<Nats> {
    ensure!(Nats::is_here(), "there is no nats-server: install it");
    Nats::start().await
}

/// One cycle of the source in a process of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CycleRun {
    pub(crate) seconds: f64,
    /// Of these, from the last page to the end.
    pub(crate) sweep_seconds: f64,
    /// Peak memory of the process (`VmHWM` of proc(5)).
    pub(crate) peak_mib: f64,
    pub(crate) written: Option<Written>,
}

impl CycleRun {
    pub(crate) fn rate(&self, n: u32) -> f64 {
        f64::from(n) / self.seconds
    }
}

/// A folder with a configuration and the store that it names.
pub(crate) struct Place {
    folder: TempDir,
    settings: Settings,
    meter: Meter,
}

impl Place {
    /// Writes the configuration and makes the tables.
    pub(crate) async fn new(store: &str, queue: &str, rest: &str) -> Result<Self> {
        Self::listening(store, queue, "none", rest).await
    }

    /// The same for a process that listens.
    pub(crate) async fn listening(store: &str, queue: &str, listen: &str, rest: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tideline-bench-").tempdir()?;
        let yaml = format!("store: {store}\nqueue: {queue}\nlisten: {listen}\n{rest}");
        let path = folder.path().join("tideline.yaml");
        std::fs::write(&path, &yaml)?;
        run(folder.path(), &["migrate"]).await?;
        let settings = parse(&yaml, &path, &|_| None)?;
        let meter = Meter::new(settings.store.reveal());
        Ok(Self {
            folder,
            settings,
            meter,
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs one cycle with `tideline run --once` and watches it.
    pub(crate) async fn cycle(&self) -> Result<CycleRun> {
        let before = self.meter.read().await?;
        let mut process = Tideline::start(self.folder(), "run", &["run", "--once"], &[])?;
        let id = process.id();
        let watch = tokio::spawn(async move {
            let mut watched = Watched::default();
            while watched.look(id) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            watched
        });
        let status = process.wait(LIMIT).await?;
        let watched = watch.await?;
        ensure!(
            status.success(),
            "tideline run --once ended with {status}:\n{}",
            process.log()?
        );
        let cycle = self.newest().await?.context("there is no cycle")?;
        ensure!(
            cycle.state == CycleState::Complete,
            "the cycle is not complete: {cycle:?}"
        );
        let written = self.meter.read().await?;
        let totals = self.sweep_seconds(&cycle).await?;
        Ok(CycleRun {
            seconds: seconds(&cycle),
            sweep_seconds: totals,
            peak_mib: watched.peak_kib / 1024.0,
            written: written.zip(before).map(|(after, before)| after.since(before)),
        })
    }

    /// The newest cycle of the source.
    pub(crate) async fn newest(&self) -> Result<Option<CycleRecord>> {
        let store = self.store().await?;
        let Some(source) = store.find_source(SOURCE).await? else {
            return Ok(None);
        };
        Ok(store.list_cycles(source.id, 1).await?.into_iter().next())
    }

    pub(crate) async fn store(&self) -> Result<std::sync::Arc<dyn Store>> {
        Ok(open_store(&self.settings, &Mode::Operator).await?.store)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// From the commit of the last page, which is the last time a partition changed, to the end of the cycle.
    async fn sweep_seconds(&self, cycle: &CycleRecord) -> Result<f64> {
        use tideline_store::JobFilter;
        let filter = JobFilter {
            source: Some(SOURCE.into()),
            limit: 1_000,
            ..JobFilter::default()
        };
        let jobs = self.store().await?.list_jobs(&filter).await?;
        let last = jobs.iter().map(|job| job.updated_at).max().unwrap_or(cycle.started_at);
        Ok(cycle.ended_at.map_or(0.0, |ended| ended.since(last).as_secs_f64()))
    }
}

/// How long a cycle took; times have a resolution of a millisecond.
pub(crate) fn seconds(cycle: &CycleRecord) -> f64 {
    let ended = cycle.ended_at.unwrap_or(cycle.started_at);
    ended.since(cycle.started_at).as_secs_f64().max(0.001)
}

/// What /proc says of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watched {
    pub(crate) peak_kib: f64,
    pub(crate) now_kib: f64,
}

impl Watched {
    /// Looks once; false when the process has ended.
    pub(crate) fn look(&mut self, id: u32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        match (field("VmHWM:"), field("VmRSS:")) {
            (Some(peak), Some(now)) => {
                self.peak_kib = peak;
                self.now_kib = now;
                true
            }
            _ => false,
        }
    }
}
