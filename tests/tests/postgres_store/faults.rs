//! What a server does to a process, and what the process makes of it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tideline_core::words::{Fingerprint, NewJob, Trigger};
use tideline_store::conformance::{t, worker};
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_store::{JobStore, OperatorStore, StoreError, WorkerStore};

use crate::database::Database;

const SOON: Duration = Duration::from_secs(20);

fn job() -> NewJob {
    NewJob {
        kind: "k".into(),
        key: "one".into(),
        fingerprint: Fingerprint([1; 32]),
        args: "{}".into(),
        due_at: t(0),
        trigger: Trigger::Manual,
        trace: None,
    }
}

/// A store of few connections on a migrated database.
async fn store(url: &str, statement_timeout: Duration) -> PostgresStore {
    let options = PostgresOptions {
        pool_size: 2,
        acquire_timeout: Duration::from_secs(5),
        statement_timeout,
        ..PostgresOptions::default()
    };
    let store = PostgresStore::connect(url, options).await.expect("it connects");
    store.migrate().await.expect("it migrates");
    store
}

/// Keeps everybody from the jobs until it is dropped.
async fn lock_jobs(database: &Database) -> PgConnection {
    let mut connection = database.connection().await;
    let text = "BEGIN; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE";
    connection.execute(sqlx::raw_sql(text)).await.expect("it is locked");
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_connections_are_all_busy_still_says_that_it_lives() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = Arc::new(store(database.url(), Duration::from_secs(60)).await);
    let lock = lock_jobs(&database).await;
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.enqueue(&[job()], t(0)).await })
        })
        .collect();
    let mut look = database.connection().await;
    loop {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let count: i64 = sqlx::query_scalar(waiting)
            .fetch_one(&mut look)
            .await
            .expect("a number");
        if count >= 2 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let name = worker("busy");
    let beating = store.heartbeat(&name, t(60_000), t(0));
    let beaten = tokio::time::timeout(Duration::from_secs(20), beating).await;
    beaten.expect("in time").expect("it beats");
    lock.close().await.expect("it closes");
    for task in busy {
        task.await.expect("no panic").expect("it goes on");
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server_and_a_migration_is_not() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = store(database.url(), Duration::from_millis(300)).await;
    let lock = lock_jobs(&database).await;
    let error = store.enqueue(&[job()], t(0)).await.expect_err("the table is locked");
    assert!(error.may_retry(), "{error:?}");
    assert!(
        tideline_core::full_text(&error).contains("statement timeout"),
        "{error:?}"
    );
    lock.close().await.expect("it closes");
    store.enqueue(&[job()], t(0)).await.expect("it goes on");
    // Like a long migration: a process that migrates waits for the one that is migrating.
    let mut other = database.connection().await;
    for text in [
        "DELETE FROM tideline_migrations WHERE version > 1",
        "BEGIN; SELECT pg_advisory_xact_lock(8388346167727582821)",
    ] {
        other.execute(sqlx::raw_sql(text)).await.expect("it is locked");
    }
    let migrating = tokio::time::timeout(Duration::from_millis(1_500), store.migrate()).await;
    assert!(migrating.is_err(), "it waits: {migrating:?}");
}

#[tokio::test]
async fn postgres_that_is_read_only_or_lacks_a_table_is_not_ready() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store().await;
    store.ping().await.expect("it is ready");
    let mut connection = database.connection().await;
    let name: String = connection
        .fetch_one("SELECT current_database()")
        .await
        .expect("a name")
        .get(0);
    let set = |value: &str| {
        AssertSqlSafe(format!(
            "ALTER DATABASE \"{name}\" SET default_transaction_read_only = {value}"
        ))
    };
    connection.execute(set("on")).await.expect("it is set");
    let error = database.connect().await.ping().await.expect_err("it only reads");
    assert!(
        matches!(&error, StoreError::Config(text) if text.contains("read-only")),
        "{error:?}"
    );
    connection.execute(set("off")).await.expect("it is set");
    database.connect().await.ping().await.expect("it is ready again");
    connection.execute("DROP TABLE misses").await.expect("it goes");
    let error = store.ping().await.expect_err("a table is missing");
    assert!(
        matches!(&error, StoreError::Schema(text) if text.contains("lacks the table misses")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_lets_nobody_in_for_a_while_is_tried_again() {
    let Some(database) = Database::create().await else {
        return;
    };
    let role = format!("tideline_shut_out_{}", std::process::id());
    let mut connection = database.connection().await;
    let say = |text: String| AssertSqlSafe(text);
    for text in [
        format!("DROP ROLE IF EXISTS {role}"),
        format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'hush'"),
    ] {
        connection.execute(say(text)).await.expect("a superuser may");
    }
    let mut url = url::Url::parse(database.url()).expect("a URL");
    url.set_username(&role).expect("a user");
    url.set_password(Some("hush")).expect("a password");
    let store = store(url.as_str(), Duration::from_secs(10)).await;
    // What a rotated password looks like, whatever the server's rules for passwords are.
    let kick = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    connection
        .execute(say(format!("ALTER ROLE {role} NOLOGIN")))
        .await
        .expect("it is shut out");
    connection.execute(say(kick)).await.expect("its connections end");
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let Err(error) = store.ping().await else { continue };
        assert!(error.may_retry(), "{error:?}");
        if tideline_core::full_text(&error).contains("not permitted to log in") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{error:?}");
    }
    connection
        .execute(say(format!("ALTER ROLE {role} LOGIN")))
        .await
        .expect("it may log in");
    store.ping().await.expect("it goes on");
    store.close().await;
    connection
        .execute(say(format!("DROP OWNED BY {role}")))
        .await
        .expect("it goes");
    connection
        .execute(say(format!("DROP ROLE {role}")))
        .await
        .expect("it goes");
}
