//! The one file that chooses the backends, by the URLs of the configuration.

use std::sync::Arc;
use std::time::Duration;

use crate::{Backoff, Pace, Runtime, Wake};
use tideline_config::settings::{DatabaseSettings, Settings};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::full_text;
use tideline_core::words::NatsAddress;
use tideline_queue::in_process::InProcessQueue;
use tideline_queue::jetstream::{JetStreamQueue, wake_once};
use tideline_queue::{Queue, QueueError};
use tideline_store::postgres::{PostgresOptions, PostgresStore, StoreClock};
use tideline_store::sqlite::SqliteStore;
use tideline_store::{Store, StoreError};

/// How long a process that runs roles waits for a store that is still starting.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How often the offset to the database's clock is measured.
const MEASURE_CLOCK: Duration = Duration::from_secs(60);

/// What the store is opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To run roles: the schema is brought up to date, and a SQLite file belongs to this process alone.
    Role {
        /// Tells a second process who has the SQLite file: `tideline run`.
        command: String,
    },
    /// To read and to command, even while roles run. The schema must be this program's.
    Operator,
    /// To bring the schema up to date.
    Migrate,
}

/// An open store and the time that all its users agree on.
pub struct Opened {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The database's time for a fleet, this machine's time for SQLite.
    pub clock: Arc<dyn Clock>,
    measured: Option<StoreClock>,
}

impl Opened {
    /// Keeps the clock true for as long as the process runs.
    pub fn keep_time(&self, runtime: &Runtime) {
        let Some(clock) = self.measured.clone() else { return };
        runtime.spawn_loop("clock", MEASURE_CLOCK, Wake::Never, move || {
            let clock = clock.clone();
            async move {
                clock.measure().await?;
                Ok(Pace::Idle)
            }
        });
    }
}

/// Opens the store that the setting `store` names.
///
/// # Errors
/// See `SqliteStore::open` and `PostgresStore::connect`. A role tries again for half a minute while nothing answers.
pub async fn open_store(settings: &Settings, mode: &Mode) -> Result<Opened, StoreError> {
    let patience = if matches!(mode, Mode::Role { .. }) {
        START_PATIENCE
    } else {
        Duration::ZERO
    };
    try_patiently(settings, patience, async || open_once(settings, mode).await).await
}

/// Retries an idempotent store operation for up to half a minute while the store does not respond: for what a role does
/// before its loops start.
///
/// # Errors
/// The last error, or the first permanent one.
pub async fn persist<T>(settings: &Settings, act: impl AsyncFnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    try_patiently(settings, START_PATIENCE, act).await
}

async fn try_patiently<T>(
    settings: &Settings,
    patience: Duration,
    mut act: impl AsyncFnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let given_up = tokio::time::Instant::now() + patience;
    let mut backoff = Backoff::default();
    loop {
        let error = match act().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let wait = backoff.next_wait();
        if !error.may_retry() || tokio::time::Instant::now() + wait > given_up {
            return Err(error);
        }
        tracing::warn!(
            store = redact_url(settings.store.reveal()),
            error = full_text(&error),
            "the store is not responding yet"
        );
        tokio::time::sleep(wait).await;
    }
}

async fn open_once(settings: &Settings, mode: &Mode) -> Result<Opened, StoreError> {
    let url = settings.store.reveal();
    if !url.starts_with("sqlite:") {
        return open_postgres(url, settings.database, mode).await;
    }
    let store = match mode {
        Mode::Role { command } => SqliteStore::open_owned(url, command).await?,
        Mode::Operator => SqliteStore::open_existing(url).await?,
        Mode::Migrate => SqliteStore::open(url).await?,
    };
    Ok(Opened {
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        measured: None,
    })
}

async fn open_postgres(url: &str, database: DatabaseSettings, mode: &Mode) -> Result<Opened, StoreError> {
    let options = PostgresOptions {
        pool_size: database.max_connections,
        acquire_timeout: database.acquire_timeout,
        statement_timeout: database.statement_timeout,
        ..PostgresOptions::default()
    };
    let store = PostgresStore::connect(url, options).await?;
    match mode {
        Mode::Operator => store.check_schema().await?,
        Mode::Role { .. } | Mode::Migrate => {
            store.migrate().await?;
            // A user without the privilege to create tables may run roles on an existing schema.
            store.check_schema().await?;
        }
    }
    let clock = store.clock().await?;
    Ok(Opened {
        store: Arc::new(store),
        clock: Arc::new(clock.clone()),
        measured: Some(clock),
    })
}

/// Opens the queue that the setting `queue` names. An unreachable NATS server is not an error: the queue is then
/// degraded and keeps trying.
///
/// # Errors
/// The URL is wrong, or the server refuses us for good; the text says what to do.
pub async fn open_queue(settings: &Settings) -> Result<Arc<dyn Queue>, QueueError> {
    match settings.queue.reveal() {
        "in-process" => Ok(Arc::new(InProcessQueue::new(InProcessQueue::DEFAULT_MAX_HINTS))),
        url => Ok(Arc::new(JetStreamQueue::open(&NatsAddress::parse(url)?).await?)),
    }
}

/// Wakes the roles that share the queue of the setting `queue`, for a command that changed the store. Roles of one
/// process cannot be reached: they look at the store by themselves.
///
/// # Errors
/// The URL is wrong, or the server cannot be reached or refuses us.
pub async fn wake_roles(settings: &Settings) -> Result<(), QueueError> {
    match settings.queue.reveal() {
        "in-process" => Ok(()),
        url => wake_once(&NatsAddress::parse(url)?).await,
    }
}

/// A URL for people: without user, password, token and parameters. In doubt it shows too little, in case a password
/// contains an unescaped character.
#[must_use]
pub fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.split(['?', '@']).next().unwrap_or_default().to_owned();
    };
    let (secret, place) = rest
        .rsplit_once('@')
        .map_or(("", rest), |(secret, place)| (secret, place));
    let place = place.split(['?', '#']).next().unwrap_or_default();
    let hidden = if secret.is_empty() { "" } else { "…@" };
    format!("{scheme}://{hidden}{place}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use tideline_config::parse;

    fn settings(text: &str, folder: &Path) -> Settings {
        parse(text, &folder.join("tideline.yaml"), &|_| None).unwrap()
    }

    fn role() -> Mode {
        Mode::Role {
            command: "tideline run".to_owned(),
        }
    }

    #[test]
    fn a_url_for_people_has_no_secrets() {
        for (url, shown) in [
            ("sqlite:///var/lib/tideline.db", "sqlite:///var/lib/tideline.db"),
            ("postgres://u:p@db:5432/x?password=p", "postgres://…@db:5432/x"),
            ("postgres://u:p/a?s#s@w@db/x", "postgres://…@db/x"),
            ("nats://token@one:4222,token@two:4222", "nats://…@two:4222"),
            ("tls://nats:4222?creds=/secret.creds", "tls://nats:4222"),
            ("in-process", "in-process"),
        ] {
            assert_eq!(redact_url(url), shown);
        }
    }

    #[tokio::test]
    async fn a_sqlite_file_has_one_process_that_runs_roles_and_any_that_look() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings("store: sqlite://t.db", folder.path());
        assert!(matches!(
            open_store(&settings, &Mode::Operator).await,
            Err(StoreError::Config(_))
        ));
        let opened = open_store(&settings, &role()).await.unwrap();
        opened.store.ping().await.unwrap();
        let looking = open_store(&settings, &Mode::Operator).await.unwrap();
        looking.store.ping().await.unwrap();
        let error = open_store(&settings, &role()).await.err().unwrap();
        assert!(
            matches!(&error, StoreError::Config(text) if text.contains("tideline run")),
            "{error}"
        );
        assert!(folder.path().join("t.db").exists());
    }

    #[tokio::test]
    async fn a_start_outlasts_a_store_that_is_silent_for_a_moment_and_no_mistake() {
        let settings = settings("", Path::new("."));
        let mut tries = 0;
        let third_time_lucky = persist(&settings, async || {
            tries += 1;
            let silent = StoreError::Unavailable {
                act: "ask",
                maybe_done: true,
                source: "silence".into(),
            };
            if tries < 3 { Err(silent) } else { Ok(tries) }
        });
        assert_eq!(third_time_lucky.await.unwrap(), 3);
        let mut tries = 0;
        let mistaken = persist(&settings, async || {
            tries += 1;
            Err::<(), _>(StoreError::Config("wrong".into()))
        });
        assert!(mistaken.await.is_err());
        assert_eq!(tries, 1);
    }

    #[tokio::test]
    async fn the_queue_is_in_process_unless_a_url_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open_queue(&settings("", folder.path())).await.unwrap();
        assert_eq!(queue.health(), tideline_queue::QueueHealth::Healthy);
    }
}
