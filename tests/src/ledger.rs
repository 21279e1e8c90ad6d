//! A second book, kept by Postgres itself: triggers of the test write down, within the product's own transactions,
//! every page applied, every change and every claim. What happened is counted in the store, not inferred from logs.

use anyhow::{Context, Result, ensure};
use sqlx::{Executor, PgPool, Row};
use tideline_core::words::EntityRef;
use tideline_store::postgres::{PostgresOptions, PostgresStore};

use crate::hostile::HostileServer;

/// A page may be written more than once by its own transaction (its validators come after it), never by two. Applying a
/// page writes its cycle; settling a collision writes only what is remembered of it.
const TRIGGERS: &str = "
CREATE TABLE ledger_pages (partition_id BIGINT, page INTEGER, cycle BIGINT, act BIGINT,
    PRIMARY KEY (partition_id, page, cycle, act));
CREATE TABLE ledger_changes (sequence BIGINT PRIMARY KEY, ref TEXT NOT NULL, change TEXT NOT NULL);
CREATE TABLE ledger_claims (job BIGINT, token BIGINT, attempt INTEGER, rescues INTEGER, lag_ms BIGINT, at TIMESTAMPTZ,
    PRIMARY KEY (job, token));

CREATE FUNCTION ledger_page() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO ledger_pages VALUES (NEW.partition_id, NEW.page, NEW.cycle, txid_current()) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION ledger_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO ledger_changes VALUES (NEW.sequence, NEW.ref, NEW.change);
    RETURN NULL;
END $$;
CREATE FUNCTION ledger_claim() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO ledger_claims VALUES (NEW.id, NEW.token, NEW.attempt, NEW.rescues,
        (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT - OLD.due_at, clock_timestamp());
    RETURN NULL;
END $$;

CREATE TRIGGER ledger AFTER INSERT OR UPDATE OF cycle ON pages FOR EACH ROW EXECUTE FUNCTION ledger_page();
CREATE TRIGGER ledger AFTER INSERT OR UPDATE OF sequence ON entities FOR EACH ROW EXECUTE FUNCTION ledger_change();
CREATE TRIGGER ledger AFTER UPDATE OF state ON jobs FOR EACH ROW
    WHEN (NEW.state = 'running' AND OLD.state <> 'running') EXECUTE FUNCTION ledger_claim();
";

/// The book. Its connections go to the server itself, past any proxy.
pub struct Ledger {
    pool: PgPool,
}

/// What was claimed since a moment.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    /// How many.
    pub count: i64,
    /// The highest attempt number: 1 if none was spent.
    pub attempt: i32,
    /// The most rescues of a job.
    pub rescues: i32,
    /// The longest time from due to claimed, in milliseconds.
    pub lag_ms: i64,
}

impl Ledger {
    /// Makes the schema of an empty database, and begins the book.
    ///
    /// # Errors
    /// The server's error.
    pub async fn begin(url: &str) -> Result<Self> {
        let store = PostgresStore::connect(url, PostgresOptions::default()).await?;
        store.migrate().await?;
        store.close().await;
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(2)
            .connect(url)
            .await?;
        pool.execute(TRIGGERS).await.context("beginning the ledger")?;
        Ok(Self { pool })
    }

    /// The time at the server, for [`Ledger::claims_since`].
    ///
    /// # Errors
    /// The server's error.
    pub async fn now(&self) -> Result<i64> {
        self.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT")
            .await
    }

    /// What was claimed since then.
    ///
    /// # Errors
    /// The server's error.
    pub async fn claims_since(&self, moment_ms: i64) -> Result<Claims> {
        let row = sqlx::query(
            "SELECT count(*), coalesce(max(attempt), 0), coalesce(max(rescues), 0), coalesce(max(lag_ms), 0)
             FROM ledger_claims WHERE at >= to_timestamp($1::DOUBLE PRECISION / 1000)",
        )
        .bind(moment_ms)
        .fetch_one(&self.pool)
        .await?;
        Ok(Claims {
            count: row.try_get(0)?,
            attempt: row.try_get(1)?,
            rescues: row.try_get(2)?,
            lag_ms: row.try_get(3)?,
        })
    }

    /// Checks that every page was applied once and none is missing, that the change feed's numbers have neither a gap
    /// nor a double, and that nothing was ever deleted that the source still had.
    ///
    /// # Errors
    /// What is wrong, or the server's error.
    pub async fn check(&self, source: &HostileServer) -> Result<()> {
        let twice = self
            .number(
                "SELECT count(*) FROM (
                    SELECT FROM ledger_pages GROUP BY partition_id, page, cycle HAVING count(*) > 1) twice",
            )
            .await?;
        ensure!(twice == 0, "{twice} pages were applied more than once in a cycle");
        let wrong = self
            .number(
                "SELECT count(*) FROM jobs j
                 WHERE j.state = 'done' AND (j.progress::JSON ->> 'pages')::BIGINT <> (
                    SELECT count(*) FROM ledger_pages l WHERE l.partition_id = j.id AND l.cycle = j.cycle)",
            )
            .await?;
        ensure!(
            wrong == 0,
            "{wrong} partitions say that they applied other pages than they did"
        );
        let changes = self.number("SELECT count(*) FROM ledger_changes").await?;
        let last = self
            .number("SELECT coalesce(max(sequence), 0) FROM ledger_changes")
            .await?;
        let counter = self
            .number("SELECT value FROM counters WHERE name = 'sequence'")
            .await?;
        ensure!(
            changes == last && last == counter,
            "{changes} changes were made, but the last one is number {last} and the counter says {counter}"
        );
        self.check_removals(source).await
    }

    async fn check_removals(&self, source: &HostileServer) -> Result<()> {
        let removed: Vec<String> = sqlx::query_scalar("SELECT ref FROM ledger_changes WHERE change = 'removed'")
            .fetch_all(&self.pool)
            .await?;
        for text in &removed {
            let reference: EntityRef = text.parse().with_context(|| text.clone())?;
            let gone = source.with_model(|model| model.has_removed(&reference));
            ensure!(gone, "{text} was deleted although the source still has it");
        }
        Ok(())
    }

    /// How many pages were applied in all cycles together.
    ///
    /// # Errors
    /// The server's error.
    pub async fn pages(&self) -> Result<i64> {
        self.number("SELECT count(*) FROM ledger_pages").await
    }

    async fn number(&self, statement: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(statement).fetch_one(&self.pool).await?)
    }
}
