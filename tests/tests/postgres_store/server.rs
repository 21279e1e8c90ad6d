//! What only Postgres has: connecting, migrating, the server's clock, transactions of stopped processes, cost in WAL.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tideline_core::clock::{Clock, SystemClock};
use tideline_core::rules::RescuePolicy;
use tideline_core::words::{Commit, CycleEnd, CycleState, FeedPosition, Sequence, Settlement};
use tideline_store::conformance::{Reader, begin, claim_ingest, entities, only, start_cycle, t, touched, worker};
use tideline_store::postgres::{PostgresOptions, PostgresStore};
use tideline_store::{CatalogStore, OperatorStore, Store, StoreError};
use tideline_tests::proxy::{Mode, Proxy};

use crate::database::Database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_run_once_however_many_processes_start_together() {
    let Some(database) = Database::create().await else {
        return;
    };
    let database = Arc::new(database);
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let database = Arc::clone(&database);
            tokio::spawn(async move { database.connect().await.migrate().await.expect("it migrates") })
        })
        .collect();
    let mut applied = vec![];
    for start in starts {
        applied.extend(start.await.expect("no panic"));
    }
    assert_eq!(applied, (1..=newest()).collect::<Vec<_>>());
    let store = database.connect().await;
    store.check_schema().await.expect("the schema is right");
    store.ping().await.expect("the store answers");
}

/// The number of the newest migration.
fn newest() -> i64 {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/postgres");
    let files = std::fs::read_dir(folder).expect("there are migrations");
    i64::try_from(files.count()).expect("a few")
}

#[tokio::test]
async fn a_program_older_or_newer_than_the_schema_says_so() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.connect().await;
    let older = store.check_schema().await.expect_err("nothing is there");
    let newest = format!("schema {}", newest());
    assert!(matches!(&older, StoreError::Schema(text) if text.contains("schema 0") && text.contains(&newest)));
    store.migrate().await.expect("it migrates");
    let mut connection = database.connection().await;
    connection
        .execute("INSERT INTO tideline_migrations VALUES (99, 'from the future')")
        .await
        .expect("a row");
    for error in [
        store.check_schema().await.expect_err("it is newer"),
        store.migrate().await.map(drop).expect_err("it is newer"),
    ] {
        assert!(matches!(&error, StoreError::Schema(text) if text.contains("schema 99") && text.contains(&newest)));
    }
    store
        .ping()
        .await
        .expect("a process that runs goes on until it is replaced");
}

#[tokio::test]
async fn a_database_of_schema_1_is_migrated_and_its_readers_start_over_unless_they_are_at_the_end() {
    let Some(database) = Database::create().await else {
        return;
    };
    let mut connection = database.connection().await;
    for text in [
        include_str!("../../../shared/store/src/postgres/sql/create_migrations.sql"),
        include_str!("../../../migrations/postgres/0001_model.sql"),
        "INSERT INTO tideline_migrations VALUES (1, 'model'); UPDATE counters SET value = 7",
    ] {
        connection.execute(sqlx::raw_sql(text)).await.expect("it is made");
    }
    let store = database.connect().await;
    let older = store.check_schema().await.expect_err("it is older");
    assert!(matches!(&older, StoreError::Schema(text) if text.contains("tideline migrate")));
    let applied = store.migrate().await.expect("it migrates");
    assert_eq!(applied, (2..=newest()).collect::<Vec<_>>());
    store.check_schema().await.expect("the schema is right");
    for (after, goes_on) in [(0, true), (6, false), (7, true)] {
        let answer = store.list_changes(FeedPosition::after(Sequence(after)), 10).await;
        assert_eq!(answer.is_ok(), goes_on, "{after}: {answer:?}");
    }
}

async fn refusal(url: &str) -> String {
    let options = PostgresOptions {
        acquire_timeout: Duration::from_secs(5),
        ..PostgresOptions::default()
    };
    let error = PostgresStore::connect(url, options).await.expect_err("it cannot work");
    assert!(matches!(error, StoreError::Config(_)), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_wrong_setting_is_named_and_the_password_is_not_shown() {
    for url in [
        "postgres://me:hush@host:notaport/x",
        "mysql://me:hush@host/x",
        "postgres://me:hush@h/x?sslmode=hush",
    ] {
        let text = refusal(url).await;
        assert!(text.starts_with("store: ") && !text.contains("hush"), "{text}");
    }
    let Some(database) = Database::create().await else {
        return;
    };
    let mut url = url::Url::parse(database.url()).expect("a URL");
    url.set_path("/no_such_database");
    let text = refusal(url.as_str()).await;
    assert!(
        text.contains("no_such_database") && text.contains("create the database"),
        "{text}"
    );
    let mut url = url::Url::parse(database.url()).expect("a URL");
    url.set_username("no_such_user").expect("a user");
    url.set_password(Some("hush")).expect("a password");
    let text = refusal(url.as_str()).await;
    assert!(text.contains("no_such_user") && !text.contains("hush"), "{text}");
}

#[tokio::test]
async fn a_user_who_may_not_create_tables_is_told_so() {
    let Some(database) = Database::create().await else {
        return;
    };
    let role = format!("tideline_test_{}", std::process::id());
    let mut connection = database.connection().await;
    for text in [
        format!("DROP ROLE IF EXISTS {role}"),
        format!("CREATE ROLE {role} LOGIN PASSWORD 'hush'"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
    ] {
        connection.execute(AssertSqlSafe(text)).await.expect("a superuser may");
    }
    let mut url = url::Url::parse(database.url()).expect("a URL");
    url.set_username(&role).expect("a user");
    url.set_password(Some("hush")).expect("a password");
    let store = PostgresStore::connect(url.as_str(), PostgresOptions::default())
        .await
        .expect("it may connect");
    let error = store.migrate().await.expect_err("it may not create");
    assert!(matches!(&error, StoreError::Config(text) if text.starts_with("store: ") && text.contains("grant")));
    store.close().await;
    let drop_role = AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    connection.execute(sqlx::raw_sql(drop_role)).await.expect("it goes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_the_store_is_that_of_the_database_and_late_answers_do_not_move_it() {
    let Some(database) = Database::create().await else {
        return;
    };
    let mut url = url::Url::parse(database.url()).expect("a URL");
    let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
    let proxy = Proxy::start(server).await.expect("a proxy");
    url.set_ip_host(proxy.address().ip()).expect("a host");
    url.set_port(Some(proxy.address().port())).expect("a port");
    let store = PostgresStore::connect(url.as_str(), PostgresOptions::default())
        .await
        .expect("the database can be reached");
    let clock = store.clock().await.expect("it can be measured");
    // The server runs on this machine or near it: its clock is ours.
    let off = || clock.now().0 - SystemClock.now().0;
    assert!(off().abs() <= 1_000, "{}", off());
    let before = off();
    proxy.set(Mode::Delay(Duration::from_millis(400)));
    let error = clock.measure().await.expect_err("it says little");
    assert!(error.may_retry(), "{error}");
    proxy.set(Mode::Forward);
    assert!((off() - before).abs() <= 100, "{before} {}", off());
    clock.measure().await.expect("it can be measured");
}

#[tokio::test]
async fn a_transaction_of_a_stopped_process_does_not_hold_up_the_others() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(database.store().await);
    let mut root = begin(&store, "s", 1).await;
    // A process that took the counter in the way all acts do, and then stands still.
    let mut stopped = database.connection().await;
    let text = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 300; UPDATE counters SET value = value + 1";
    stopped.execute(sqlx::raw_sql(text)).await.expect("it begins");
    let page = root.write(&store, entities(0, 2, 1), None, t(1));
    tokio::time::timeout(Duration::from_secs(20), page)
        .await
        .expect("it goes on");
    assert_eq!(store.stats(t(2)).await.expect("numbers").last_sequence.0, 2);
    assert!(stopped.execute("COMMIT").await.is_err());
}

#[tokio::test]
async fn a_process_that_stops_while_it_sends_a_page_does_not_hold_up_the_others() {
    let Some(database) = Database::create().await else {
        return;
    };
    drop(database.store().await);
    let options = PostgresOptions {
        idle_in_transaction: Duration::from_millis(300),
        ..PostgresOptions::default()
    };
    let store = PostgresStore::connect(database.url(), options)
        .await
        .expect("it connects");
    let store: Arc<dyn Store> = Arc::new(store);
    let mut root = begin(&store, "s", 1).await;
    store
        .heartbeat(&worker("stopped"), t(-1), t(0))
        .await
        .expect("a lease that is over");
    let mut stopped = database.connection().await;
    let text = "BEGIN; UPDATE counters SET value = value + 1";
    stopped.execute(sqlx::raw_sql(text)).await.expect("it begins");
    let text = include_str!("../../../shared/store/src/postgres/sql/copy_entities.sql");
    let sending = stopped.copy_in_raw(text).await.expect("it may send");
    let policy = RescuePolicy::default();
    let rescue = async {
        loop {
            store.rescue(policy, 10, t(1)).await.expect("it looks for dead workers");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let page = root.write(&store, entities(0, 2, 1), None, t(1));
    tokio::select! {
        () = rescue => {}
        written = tokio::time::timeout(Duration::from_secs(20), page) => written.expect("it goes on"),
    }
    assert_eq!(store.stats(t(2)).await.expect("numbers").last_sequence.0, 2);
    assert!(sending.finish().await.is_err());
}

async fn wal(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT (pg_current_wal_insert_lsn() - '0/0')::BIGINT")
        .fetch_one(connection)
        .await
        .expect("a position")
}

#[tokio::test]
async fn a_sweep_of_many_orphans_is_planned_and_done_without_walking_them_twice() {
    const ALL: u32 = 20_000;
    const GONE: u32 = 6_000;
    let Some(database) = Database::create().await else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(database.store().await);
    let mut root = begin(&store, "s", 1).await;
    for page in 0..ALL / 2_000 {
        root.write(&store, entities(page * 2_000, 2_000, 1), Some("1"), t(1))
            .await;
    }
    let end = |state| CycleEnd {
        state,
        reason: None,
        next_cycle_at: Some(t(2)),
    };
    let cycle = (root.source(), root.cycle());
    let incomplete = end(CycleState::Incomplete);
    assert!(
        store
            .end_cycle(cycle.0, cycle.1, &incomplete, t(2))
            .await
            .expect("it ends")
    );
    start_cycle(&store, t(2)).await;
    let mut root = Reader::new(only(claim_ingest(&store, "w", 1, t(2)).await));
    for page in 0..(ALL - GONE) / 2_000 {
        root.write(&store, entities(page * 2_000, 2_000, 1), Some("1"), t(3))
            .await;
    }
    root.settle(&store, Settlement::Done, t(4)).await;
    let cycle = (root.source(), root.cycle());
    let sweeping = end(CycleState::Sweeping);
    assert!(
        store
            .end_cycle(cycle.0, cycle.1, &sweeping, t(4))
            .await
            .expect("it ends")
    );
    // With nested loops over what nothing is known about, this took minutes.
    let swept = tokio::time::timeout(Duration::from_secs(30), async {
        let plan = store.plan_sweep(cycle.0, cycle.1, 1).await.expect("it can be planned");
        assert_eq!(plan.expect("it sweeps").candidates, u64::from(GONE));
        let mut swept = vec![];
        loop {
            let step = store.sweep(cycle.0, cycle.1, 1, 2_500, t(5)).await.expect("it sweeps");
            if step == 0 {
                return swept;
            }
            swept.push(step);
        }
    });
    assert_eq!(swept.await.expect("it ends"), [2_500, 2_500, 1_000]);
}

#[tokio::test]
async fn an_unchanged_page_writes_less_than_2000_bytes_of_wal() {
    const PAGES: u32 = 200;
    let Some(database) = Database::create().await else {
        return;
    };
    let store: Arc<dyn Store> = Arc::new(database.store().await);
    let mut root = begin(&store, "s", 1).await;
    for page in 0..PAGES {
        root.write(&store, entities(page * 500, 500, 1), Some("1"), t(1)).await;
    }
    let mut connection = database.connection().await;
    for round in 0..2 {
        root.settle(&store, Settlement::Done, t(2)).await;
        let end = CycleEnd {
            state: CycleState::Incomplete,
            reason: None,
            next_cycle_at: Some(t(2)),
        };
        assert!(
            store
                .end_cycle(root.source(), root.cycle(), &end, t(2))
                .await
                .expect("it ends")
        );
        start_cycle(&store, t(2)).await;
        root = Reader::new(only(claim_ingest(&store, "w", 1, t(2)).await));
        // Full images of pages after a checkpoint are no cost of the commit.
        connection.execute("CHECKPOINT").await.expect("a checkpoint");
        let mut least = i64::MAX;
        let mut sum = 0;
        for page in 0..PAGES {
            let memory = store.list_page_memories(root.job.id, page, 1).await.expect("a memory");
            let before = wal(&mut connection).await;
            let commit = root.commit(&store, vec![touched(only(memory))], Some("1"), t(3)).await;
            assert!(matches!(commit, Commit::Committed { .. }));
            let cost = wal(&mut connection).await - before;
            least = least.min(cost);
            sum += cost;
        }
        let mean = sum / i64::from(PAGES);
        eprintln!("round {round}: {mean} bytes of WAL per unchanged page, at least {least}");
        // Other tests write on the same server at the same time, so the mean is only printed.
        assert!(least <= 2_000, "{least}");
    }
}
