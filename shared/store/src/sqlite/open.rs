use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::Mutex;

use super::SqliteStore;
use super::durable::Durable;
use super::failure::{failed, primary_code};
use super::ownership::Ownership;
use super::schema::{self, HEADER_BYTES, Schema};
use super::writer::FileIdentity;
use crate::StoreError;

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that are read ahead of their consumer: with few, both threads wake each other all the time.
const ROWS_AHEAD: usize = 1_000;
/// The pause before reopening a file that another process is creating.
const OPEN_PAUSE: Duration = Duration::from_millis(50);
/// Number of reading connections.
const READERS: u32 = 3;
/// Pages of the write-ahead log after which it is copied back into the file: 16 MiB.
const CHECKPOINT_PAGES: &str = "4000";
/// Result code "file is not a database".
const NOT_A_DATABASE: u32 = 26;

impl SqliteStore {
    /// Opens the file and brings its schema up to date; creates it if there is none. `location` is a path or a
    /// `sqlite://path` URL.
    ///
    /// # Errors
    /// `Schema`: it is newer than this program. `Config`: it cannot be read or written, or is not ours. In both cases
    /// nothing was changed.
    pub async fn open(location: &str) -> Result<Self, StoreError> {
        let path = path_of(location)?;
        Self::open_path(path, None).await
    }

    /// Like [`open`](Self::open), for a process that runs roles: no second one can, until this store is dropped or the
    /// process ends in whatever way. `command` identifies this process to the second one.
    ///
    /// # Errors
    /// As [`open`](Self::open); `Config` also if another process, which it names, has it.
    pub async fn open_owned(location: &str, command: &str) -> Result<Self, StoreError> {
        let path = path_of(location)?;
        inspect(&path).await?;
        let mut ownership = Ownership::take(&path, command)?;
        // Before it is opened: SQLite would give another name of the file a write-ahead log of its own.
        let file = FileIdentity::of(&path);
        if let Some(file) = file {
            ownership.extend_to(file, &path)?;
        }
        let mut store = Self::open_path(path, Some(ownership)).await?;
        if let (None, Some(ownership)) = (file, &mut store.ownership) {
            ownership.extend_to(store.file, &store.path)?;
        }
        Ok(store)
    }

    /// Opens an existing file, for an operator's command, even while another process runs roles on it.
    ///
    /// # Errors
    /// As [`open`](Self::open); `Config` if there is no file, `Schema` also if it is older than this program.
    pub async fn open_existing(location: &str) -> Result<Self, StoreError> {
        let path = path_of(location)?;
        match inspect(&path).await? {
            Schema::Empty => Err(StoreError::Config(format!(
                "there is no store at {} yet; start tideline run, or tideline migrate, to make it",
                path.display()
            ))),
            Schema::Version(version) if version < schema::VERSION => Err(StoreError::Schema(format!(
                "the store has schema version {version}, this program needs {}; run tideline migrate",
                schema::VERSION
            ))),
            Schema::Version(_) => Self::connect(path, None).await,
        }
    }

    async fn open_path(path: PathBuf, ownership: Option<Ownership>) -> Result<Self, StoreError> {
        inspect(&path).await?;
        let store = Self::connect(path, ownership).await?;
        schema::migrate(&mut *store.writer().await).await?;
        Ok(store)
    }

    async fn connect(path: PathBuf, ownership: Option<Ownership>) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("temp_store", "MEMORY")
            .thread_name(|number| format!("sqlite-{number}"))
            .row_buffer_size(ROWS_AHEAD)
            .disable_statement_logging();
        let writer = connect_writer(&options)
            .await
            .map_err(|error| cannot_open(&path, error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .acquire_timeout(BUSY_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().create_if_missing(false).pragma("query_only", "ON"));
        let file = FileIdentity::of(&path).ok_or_else(|| {
            StoreError::Config(format!(
                "the database file {} vanished while it was opened",
                path.display()
            ))
        })?;
        Ok(Self {
            path,
            file,
            options: options.create_if_missing(false),
            writer: Mutex::new(writer),
            readers,
            ownership,
            durable: Durable::default(),
        })
    }

    /// Closes all connections; the write-ahead log is copied into the file. Dropping does the same eventually.
    pub async fn close(self) {
        self.readers.close().await;
        let _ = self.writer.into_inner().close().await;
    }
}

/// Connects. If several processes create the write-ahead log of a new file at once, SQLite refuses all but one without
/// waiting (<https://www.sqlite.org/c3ref/busy_handler.html>), so the others try again for as long as they would have
/// waited.
async fn connect_writer(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let mut left = BUSY_TIMEOUT.as_millis() / OPEN_PAUSE.as_millis();
    loop {
        match SqliteConnection::connect_with(options).await {
            Err(error) if left > 0 && matches!(primary_code(&error), Some(5 | 6)) => left -= 1,
            connected => return connected,
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    }
}

/// The path in a `sqlite:` URL, or the path itself.
fn path_of(location: &str) -> Result<PathBuf, StoreError> {
    let path = location
        .strip_prefix("sqlite://")
        .or_else(|| location.strip_prefix("sqlite:"))
        .unwrap_or(location);
    if path.is_empty() || path.ends_with('/') || path == ":memory:" {
        return Err(StoreError::Config(format!(
            "store: \"{location}\" names no file; write sqlite://tideline.db"
        )));
    }
    Ok(PathBuf::from(path))
}

/// Inspects the path without touching anything.
async fn inspect(path: &Path) -> Result<Schema, StoreError> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| StoreError::Config(format!("cannot read the store {shown}: {error}"));
    match std::fs::metadata(path) {
        Ok(file) if file.is_dir() => {
            return Err(StoreError::Config(format!("{shown} is a folder, not a database file")));
        }
        Ok(file) if file.len() == 0 => return Ok(Schema::Empty),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Schema::Empty),
        Err(error) => return Err(unreadable(error)),
    }
    let mut header = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header))
        .map_err(unreadable)?;
    let mut schema = schema::read_header(&header).ok_or_else(|| not_a_database(path))?;
    if has_log(path) {
        // The current state is in the write-ahead log, so SQLite has to read it.
        let look = async {
            let mut connection = SqliteConnectOptions::new()
                .filename(path)
                .read_only(true)
                .busy_timeout(BUSY_TIMEOUT)
                .disable_statement_logging()
                .connect()
                .await?;
            let schema = schema::inspect(&mut connection).await?;
            connection.close().await?;
            Ok(schema)
        };
        schema = look.await.map_err(|error: sqlx::Error| cannot_open(path, error))?;
    }
    schema::check(schema)?;
    Ok(schema)
}

/// Whether the write-ahead log beside the file has any content.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

fn not_a_database(path: &Path) -> StoreError {
    StoreError::Config(format!(
        "{} is not a SQLite database; it was not changed",
        path.display()
    ))
}

fn cannot_open(path: &Path, error: sqlx::Error) -> StoreError {
    let shown = path.display();
    match primary_code(&error) {
        Some(NOT_A_DATABASE) => not_a_database(path),
        Some(5 | 6) => failed("open")(error),
        _ => StoreError::Config(format!(
            "cannot open the store {shown}: {error}; check the path and its permissions"
        )),
    }
}
