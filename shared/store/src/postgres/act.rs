use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres};

use super::PostgresStore;
use super::error::{classify, timed_out};
use crate::StoreError;

/// Below this size in bytes, rows are not worth a copy: it ends with a separate message, which the client's TCP may
/// hold back until the server has acknowledged the previous one (RFC 896), and that can take the server 40 ms.
pub(super) const COPY_BYTES: usize = 256 * 1024;
/// Minimum size of a copy's messages, in bytes.
const MESSAGE_BYTES: usize = 64 * 1024;

/// The server itself ends a statement that takes too long; this timeout is for a server that does not respond.
const GRACE: Duration = Duration::from_secs(1);

pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// One act on one connection. A connection whose act failed or was dropped midway is closed, not returned to the pool:
/// no half-sent message is left on it, and the server rolls back its transaction.
pub(super) struct Act {
    name: &'static str,
    writes: bool,
    connection: Option<PoolConnection<Postgres>>,
    open: bool,
    whole: bool,
    /// None: no limit.
    timeout: Option<Duration>,
    begin: String,
    prepares: bool,
    always_begins: bool,
}

impl PostgresStore {
    /// An act that only reads.
    pub(super) async fn reading(&self, name: &'static str) -> Result<Act, StoreError> {
        self.act(&self.pool, name, false).await
    }

    /// An act that writes: outside of a transaction, a lost response leaves its outcome unknown.
    pub(super) async fn writing(&self, name: &'static str) -> Result<Act, StoreError> {
        self.act(&self.pool, name, true).await
    }

    /// A heartbeat, on a dedicated connection.
    pub(super) async fn beating(&self, name: &'static str) -> Result<Act, StoreError> {
        self.act(&self.pulse, name, true).await
    }

    /// An act without a time limit, which it announces to the server at its start.
    pub(super) async fn unlimited(&self, name: &'static str) -> Result<Act, StoreError> {
        let mut act = self.act(&self.pool, name, true).await?;
        act.timeout = None;
        act.begin.push_str("; SET LOCAL statement_timeout = 0");
        Ok(act)
    }

    async fn act(&self, pool: &PgPool, name: &'static str, writes: bool) -> Result<Act, StoreError> {
        let connection = pool.acquire().await.map_err(|error| classify(name, false, error))?;
        Ok(Act {
            name,
            writes,
            connection: Some(connection),
            open: false,
            whole: true,
            timeout: Some(self.options.statement_timeout),
            begin: self.begin.clone(),
            prepares: self.prepares,
            always_begins: self.always_begins,
        })
    }
}

impl Act {
    /// Begins a transaction that the server ends if this process stays silent for too long.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        let begin = self.begin.clone();
        self.open = true;
        self.say(begin, false).await
    }

    /// Like [`Act::begin`], with a statement (without parameters) in the same round trip. What follows sees what was
    /// committed before that statement ended, so it may be a lock.
    pub(super) async fn begin_with(&mut self, statement: &str) -> Result<(), StoreError> {
        let begin = format!("{}; {statement}", self.begin);
        self.open = true;
        self.say(begin, false).await
    }

    /// Commits. If the response is lost, the commit may have happened.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.say("COMMIT".to_owned(), true).await?;
        self.open = false;
        Ok(())
    }

    /// Rolls the transaction back.
    pub(super) async fn rollback(mut self) -> Result<(), StoreError> {
        self.say("ROLLBACK".to_owned(), false).await?;
        self.open = false;
        Ok(())
    }

    /// The rows of a statement.
    pub(super) async fn rows(&mut self, statement: Statement<'_>) -> Result<Vec<PgRow>, StoreError> {
        let alone = self.begin_alone().await?;
        let (name, maybe_done, timeout) = (self.name, self.writes && !self.open, self.timeout);
        let statement = statement.persistent(self.prepares);
        let connection = self.connection()?;
        let answer = within(timeout, statement.fetch_all(connection)).await;
        let answer = self.judge(name, maybe_done, answer);
        self.end_alone(alone, answer).await
    }

    /// The only row of a statement, if it has one.
    pub(super) async fn row(&mut self, statement: Statement<'_>) -> Result<Option<PgRow>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// How many rows a statement changed.
    pub(super) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let alone = self.begin_alone().await?;
        let (name, maybe_done, timeout) = (self.name, self.writes && !self.open, self.timeout);
        let statement = statement.persistent(self.prepares);
        let connection = self.connection()?;
        let answer = within(timeout, statement.execute(connection)).await;
        let answer = self.judge(name, maybe_done, answer);
        Ok(self.end_alone(alone, answer).await?.rows_affected())
    }

    /// Copies rows in binary form (PostgreSQL manual, COPY, "Binary Format"): `put` appends a row. They are sent as
    /// they are made, so that neither side waits for all of them, and memory stays small.
    pub(super) async fn copy<R>(
        &mut self,
        statement: &'static str,
        rows: impl Iterator<Item = R>,
        put: impl Fn(&mut Vec<u8>, R),
    ) -> Result<(), StoreError> {
        let (name, timeout) = (self.name, self.timeout);
        let connection = self.connection()?;
        let copied = async {
            let mut copy = connection.copy_in_raw(statement).await?;
            let mut data = Vec::with_capacity(3 * MESSAGE_BYTES);
            data.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
            data.extend_from_slice(&[0; 8]);
            for row in rows {
                put(&mut data, row);
                // Some bytes are held back, so that the end of the rows is not a short message too.
                if data.len() >= 2 * MESSAGE_BYTES {
                    let ready = data.len() - MESSAGE_BYTES;
                    copy.send(&data[..ready]).await?;
                    data.drain(..ready);
                }
            }
            data.extend_from_slice(&(-1_i16).to_be_bytes());
            copy.send(&data[..]).await?;
            copy.finish().await
        };
        let answer = within(timeout, copied).await;
        self.judge(name, false, answer).map(|_| ())
    }

    /// Sends a text of one or more statements, in one round trip; never as a prepared statement.
    pub(super) async fn say(&mut self, text: String, commits: bool) -> Result<(), StoreError> {
        let (name, timeout) = (self.name, self.timeout);
        let connection = self.connection()?;
        let answer = within(timeout, connection.execute(sqlx::raw_sql(AssertSqlSafe(text)))).await;
        self.judge(name, commits, answer).map(|_| ())
    }

    /// Begins a transaction for the next statement alone, if that needs one. Without prepared statements a statement is
    /// parsed and run in two steps, which a pooler keeps on one connection only within a transaction. Returns true if
    /// it did.
    async fn begin_alone(&mut self) -> Result<bool, StoreError> {
        if !self.always_begins || self.open {
            return Ok(false);
        }
        self.begin().await?;
        Ok(true)
    }

    /// Ends what [`Act::begin_alone`] began. Nothing is committed before; if the response to the commit is lost, it may
    /// have happened.
    async fn end_alone<T>(&mut self, alone: bool, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if alone && answer.is_ok() {
            self.say("COMMIT".to_owned(), self.writes).await?;
            self.open = false;
        } else if alone && self.whole && self.say("ROLLBACK".to_owned(), false).await.is_ok() {
            self.open = false;
        }
        answer
    }

    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        // Until the response arrives, the connection must not go back to the pool.
        self.whole = false;
        let name = self.name;
        self.connection
            .as_deref_mut()
            .ok_or_else(|| classify(name, false, sqlx::Error::PoolClosed))
    }

    fn judge<T>(
        &mut self,
        name: &'static str,
        maybe_done: bool,
        answer: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, StoreError> {
        match answer {
            Ok(Ok(value)) => {
                self.whole = true;
                Ok(value)
            }
            Ok(Err(error)) => {
                // A statement error leaves the connection usable, unless the server closes it.
                let code = error.as_database_error().and_then(|database| database.code());
                self.whole = code.is_some_and(|code| !code.starts_with("57P") && !code.starts_with("08"));
                Err(classify(name, maybe_done, error))
            }
            Err(Elapsed(limit)) => Err(timed_out(name, maybe_done, limit)),
        }
    }
}

/// The time limit that was exceeded.
struct Elapsed(Duration);

async fn within<T>(limit: Option<Duration>, answer: impl Future<Output = T>) -> Result<T, Elapsed> {
    match limit {
        None => Ok(answer.await),
        Some(limit) => tokio::time::timeout(limit + GRACE, answer)
            .await
            .map_err(|_| Elapsed(limit)),
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && (self.open || !self.whole)
        {
            drop(connection.detach());
        }
    }
}
