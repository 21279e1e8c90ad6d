use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};

use super::delta_groups::DeltaGroups;
use super::error::{classify, message};
use super::rows::column;
use super::{PostgresOptions, PostgresStore};
use crate::StoreError;
use tideline_core::words::{POSTGRES_TLS_FILES, PostgresUrlError, parse_postgres_url};

/// A connection that was idle for longer is tested before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A heartbeat that waits longer than this for its connection would be too late anyway.
const PULSE_PATIENCE: Duration = Duration::from_secs(2);

impl PostgresStore {
    /// Connects to a database, with TLS as `sslmode` of the URL says (`prefer` unless it says more; `verify-full` to be
    /// sure of the server). Changes nothing in the database.
    ///
    /// # Errors
    /// `Config` names the setting `store` and says what to do: a URL that cannot be read, wrong credentials, a missing
    /// database, a wrong certificate, a server that is too old. `Unavailable`: nothing answers there.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        let (connect, prepares) = read_url(url)?;
        let place = describe(&connect);
        let (connect, session) = greet(connect, &options, &place).await?;
        let begin = match session.is_configured {
            true => "BEGIN".to_owned(),
            false => begin_with(&settings(&options)),
        };
        Ok(Self {
            pool: pool(&connect, options.pool_size, options.acquire_timeout),
            pulse: pool(&connect, 1, PULSE_PATIENCE.min(options.acquire_timeout)),
            options,
            begin,
            prepares,
            always_begins: !(prepares && session.keeps_to_indexes),
            delta_groups: DeltaGroups::default(),
        })
    }

    /// Closes all connections, after the acts in flight.
    pub async fn close(&self) {
        self.pool.close().await;
        self.pulse.close().await;
    }
}

fn pool(connect: &PgConnectOptions, size: u32, patience: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(size.max(1))
        .min_connections(0)
        .acquire_timeout(patience)
        .idle_timeout(Duration::from_secs(300))
        .max_lifetime(Duration::from_secs(3600))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_IDLE {
                    let asked = tokio::time::timeout(Duration::from_secs(2), sqlx::Connection::ping(connection));
                    return Ok(matches!(asked.await, Ok(Ok(()))));
                }
                Ok(true)
            })
        })
        .connect_lazy_with(connect.clone())
}

/// The session settings of each connection (docs/adr/0002).
fn settings(options: &PostgresOptions) -> Vec<(&'static str, String)> {
    let milliseconds = |limit: Duration| limit.as_millis().max(1).to_string();
    let mut settings = vec![
        ("statement_timeout", milliseconds(options.statement_timeout)),
        (
            "idle_in_transaction_session_timeout",
            milliseconds(options.idle_in_transaction),
        ),
    ];
    let fixed = [
        // Statements use their indexes, however few rows the planner believes their tables to have.
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        // Plans without alternatives look expensive; JIT compilation would take a hundred times as long as running
        // them.
        ("jit", "off"),
        // A dead host is noticed within ten seconds, instead of after TCP's two hours.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "1"),
        ("tcp_keepalives_count", "5"),
    ];
    settings.extend(fixed.map(|(name, value)| (name, value.to_owned())));
    settings
}

/// Begins a transaction with these settings, whatever its session has.
fn begin_with(settings: &[(&'static str, String)]) -> String {
    let mut begin = "BEGIN".to_owned();
    for (name, value) in settings {
        begin.push_str(&format!("; SET LOCAL {name} = {value}"));
    }
    begin
}

/// The kind of sessions that the server provides.
struct Session {
    /// They start with our settings.
    is_configured: bool,
    /// Their planner keeps to indexes, because of our settings or those of the role.
    keeps_to_indexes: bool,
}

/// Checks that the server is reachable and recent enough; returns how to connect to it, and the kind of its sessions.
/// If a pooler in front of it refuses or ignores our settings, each transaction begins with them.
async fn greet(
    connect: PgConnectOptions,
    options: &PostgresOptions,
    place: &str,
) -> Result<(PgConnectOptions, Session), StoreError> {
    let configured = (connect.clone())
        .options(settings(options))
        .options([("tideline.session", "1")]);
    let (connect, mut connection) = match open(&configured, options, place).await? {
        Ok(connection) => (configured, connection),
        Err(error) if is_unknown_parameter(&error) => {
            let connection = open(&connect, options, place).await?;
            (connect, connection.map_err(|error| refused(place, error))?)
        }
        Err(error) => return Err(refused(place, error)),
    };
    // Never a prepared statement: behind a pooler it would stay on a connection that other clients get.
    let found = sqlx::raw_sql(include_str!("sql/read_session.sql"))
        .fetch_one(&mut connection)
        .await
        .map_err(|error| classify("connect", false, error))?;
    drop(sqlx::Connection::close(connection).await);
    let number: i32 = column(&found, "version")?;
    if number < 130_000 {
        return Err(StoreError::Config(format!(
            "store: {place} runs Postgres {}; Tideline needs 13 or newer",
            number / 10_000
        )));
    }
    let session = Session {
        is_configured: column(&found, "is_configured")?,
        keeps_to_indexes: column(&found, "keeps_to_indexes")?,
    };
    Ok((connect, session))
}

/// Not through a pool: it would retry until its timeout, whatever the error was.
async fn open(
    connect: &PgConnectOptions,
    options: &PostgresOptions,
    place: &str,
) -> Result<Result<PgConnection, sqlx::Error>, StoreError> {
    let limit = options.acquire_timeout;
    tokio::time::timeout(limit, connect.connect())
        .await
        .map_err(|_| silent(place, &format!("no answer within {} s", limit.as_secs_f32())))
}

/// What PgBouncer answers to a parameter that it does not know (protocol_violation).
fn is_unknown_parameter(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|database| {
        database.code().as_deref() == Some("08P01") && database.message().contains("startup parameter")
    })
}

/// The options in the URL, and whether statements may stay prepared (`statement-cache-capacity` is not 0).
fn read_url(url: &str) -> Result<(PgConnectOptions, bool), StoreError> {
    let parsed = parse_postgres_url(url)?;
    for (name, value) in parsed.query_pairs() {
        let names_file = POSTGRES_TLS_FILES.contains(&name.as_ref()) && !value.starts_with("-----BEGIN");
        if names_file && let Err(error) = std::fs::File::open(value.as_ref()) {
            return Err(StoreError::Config(format!(
                "store: {name} of the URL names {value}, which cannot be read: {error}"
            )));
        }
    }
    // The driver's error may quote the value, so it is not shown.
    let options =
        PgConnectOptions::from_str(url).map_err(|_| PostgresUrlError::unreadable("a parameter has a wrong value"))?;
    // Not sent, because PgBouncer refuses to begin with it unless told otherwise; no floating-point number is stored.
    let options = options.extra_float_digits(None);
    let named = options.get_application_name().is_some();
    let options = if named {
        options
    } else {
        options.application_name("tideline")
    };
    let prepares = !parsed
        .query_pairs()
        .any(|(name, value)| name == "statement-cache-capacity" && value == "0");
    Ok((options.disable_statement_logging(), prepares))
}

fn describe(options: &PgConnectOptions) -> String {
    format!(
        "{}:{}/{} as {}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username()),
        options.get_username()
    )
}

const TLS_ADVICE: &str = "check sslmode, sslrootcert and the host's name in the URL";

fn refused(place: &str, error: sqlx::Error) -> StoreError {
    let code = error
        .as_database_error()
        .and_then(|database| database.code().map(|code| code.into_owned()));
    let config = |what: &str, advice: &str| StoreError::Config(format!("store: {place}: {what}; {advice}"));
    match code.as_deref() {
        Some("28P01" | "28000") => config(
            &message(&error),
            "check user and password of the URL and the server's pg_hba.conf",
        ),
        Some("3D000") => config(&message(&error), "create the database or correct its name in the URL"),
        Some("42501") => config(
            &message(&error),
            "grant the user CONNECT on the database and CREATE and USAGE on its schema",
        ),
        Some("08P01") => config(
            &message(&error),
            "if this is PgBouncer, see ignore_startup_parameters and pool_mode in its manual",
        ),
        _ => match error {
            sqlx::Error::Tls(cause) => config(&format!("TLS failed: {cause}"), TLS_ADVICE),
            sqlx::Error::Io(cause) if cause.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                config(&format!("TLS failed: {cause}"), TLS_ADVICE)
            }
            sqlx::Error::Configuration(cause) => config(&cause.to_string(), "correct the URL"),
            sqlx::Error::Io(cause) => silent(place, &cause.to_string()),
            other => match classify("connect", false, other) {
                StoreError::Unavailable { source, .. } => unavailable(format!("store: {place}: {source}")),
                other => other,
            },
        },
    }
}

/// The error if nothing at the address responds like Postgres.
fn silent(place: &str, what: &str) -> StoreError {
    unavailable(format!(
        "store: {place}: {what}; check that Postgres is running there and that host and port in the URL are correct"
    ))
}

fn unavailable(text: String) -> StoreError {
    StoreError::Unavailable {
        act: "connect",
        maybe_done: false,
        source: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tideline_core::full_text;

    #[tokio::test]
    async fn a_server_that_cannot_be_reached_is_named_with_the_setting_and_the_cause_once() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let url = format!("postgres://me:hush@127.0.0.1:{port}/x");
        let error = PostgresStore::connect(&url, PostgresOptions::default())
            .await
            .unwrap_err();
        assert!(error.may_retry() && !error.might_have_happened(), "{error:?}");
        let text = full_text(&error);
        let place = format!("store: 127.0.0.1:{port}/x as me: ");
        assert!(
            text.contains(&place) && text.contains("host and port in the URL"),
            "{text}"
        );
        assert!(text.matches("refused").count() == 1 && !text.contains("hush"), "{text}");
    }
}
