//! Deltas that are written beside the sweep of their source.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use tideline_store::conformance::{begin, delivery, t};
use tideline_store::{EventStore, Store};

use crate::database::Database;

#[tokio::test]
async fn a_sweep_waits_for_the_deltas_of_its_source() {
    let Some(database) = Database::create().await else {
        return;
    };
    let postgres = database.store().await;
    let store: Arc<dyn Store> = Arc::new(postgres.clone());
    let root = begin(&store, "s", 1).await;
    let mut connection = database.connection().await;
    let number = root.source().0;
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock(x'74646c74'::INTEGER, {number})");
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(lock)))
        .await
        .expect("the lock of the source's deltas");
    let mut sweep = Box::pin(store.sweep(root.source(), root.cycle(), 1, 10, t(2)));
    let early = tokio::time::timeout(Duration::from_millis(500), &mut sweep).await;
    assert!(
        early.is_err(),
        "it took candidates that a delta may have seen: {early:?}"
    );
    connection.execute("COMMIT").await.expect("the deltas are written");
    assert_eq!(sweep.await.expect("a sweep"), 0);
    postgres.close().await;
}

#[tokio::test]
async fn what_a_delta_saw_while_a_sweep_was_planned_is_left_to_the_next_one() {
    let Some(database) = Database::create().await else {
        return;
    };
    let postgres = database.store().await;
    let store: Arc<dyn Store> = Arc::new(postgres.clone());
    let source = begin(&store, "s", 1).await.source().0;
    let mut connection = database.connection().await;
    // One that pages left, and one that a delta wrote in cycle 5 after the entities of misses had been looked for.
    let misses =
        format!("INSERT INTO misses (source_id, key_hash, last_cycle) VALUES ({source}, 1, 4), ({source}, 2, 5)");
    connection.execute(AssertSqlSafe(misses)).await.expect("misses");
    let delete = include_str!("../../../shared/store/src/postgres/sql/delete_unresolved_misses.sql");
    let delete = sqlx::query(delete).bind(source).bind(5_i64);
    delete.execute(&mut connection).await.expect("it deletes");
    let left: Vec<i64> = sqlx::query_scalar("SELECT key_hash FROM misses")
        .fetch_all(&mut connection)
        .await
        .expect("the rest");
    assert_eq!(left, [2]);
    postgres.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_two_gateways_receive_at_once_is_counted_once() {
    let Some(database) = Database::create().await else {
        return;
    };
    let postgres = database.store().await;
    let mut connection = database.connection().await;
    // Both look for it before one of them may write.
    connection
        .execute("BEGIN; UPDATE event_log SET last = last")
        .await
        .expect("the log's row");
    let event = delivery("github", "1");
    let writers = [0, 1].map(|_| {
        let (store, events) = (postgres.clone(), vec![event.clone()]);
        tokio::spawn(async move { store.append_events(&events, t(1)).await })
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    connection.execute("COMMIT").await.expect("they may go on");
    let mut duplicates = vec![];
    for writer in writers {
        duplicates.extend(
            writer
                .await
                .expect("no panic")
                .expect("it is stored")
                .iter()
                .map(|one| one.duplicate),
        );
    }
    duplicates.sort_unstable();
    assert_eq!(duplicates, [false, true]);
    let (bytes, rows): (i64, i64) =
        sqlx::query_as("SELECT bytes, (SELECT sum(stored_bytes)::BIGINT FROM events) FROM event_log")
            .fetch_one(&mut connection)
            .await
            .expect("the log");
    assert_eq!(bytes, rows);
    postgres.close().await;
}
