//! The plans of hot statements: each keeps to its index on an empty, a small and a freshly loaded table, as a cached
//! plan, whatever the statistics say.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tideline_core::words::{FeedPosition, Sequence, Timestamp, WorkerId};
use tideline_store::{CatalogStore, ClaimRequest, EntityFilter, JobFilter, JobStore, OperatorStore, SourceStore};
use tideline_tests::wait_until;

use crate::database::Database;

/// Name, text, parameters, and the index (or one of those) it has to use for its table.
const HOT: [(&str, &str, &str, &str); 25] = [
    (
        "hasten_target_jobs",
        include_str!("../../../shared/store/src/postgres/sql/hasten_target_jobs.sql"),
        "'test', 'a', 'b', 500, 100, 1000",
        "jobs_due",
    ),
    (
        "list_follower_samples",
        include_str!("../../../shared/store/src/postgres/sql/list_follower_samples.sql"),
        "'target', 1, 'x'",
        "follower_samples_pkey",
    ),
    (
        "claim_due_jobs",
        include_str!("../../../shared/store/src/postgres/sql/claim_due_jobs.sql"),
        "'w', '{test}', 500, 100",
        "jobs_due",
    ),
    (
        "claim_hinted_jobs",
        include_str!("../../../shared/store/src/postgres/sql/claim_hinted_jobs.sql"),
        "'w', '{test}', 500, 100, '{1,2}', '{0,0}'",
        "jobs_pkey",
    ),
    (
        "take_due_jobs",
        include_str!("../../../shared/store/src/postgres/sql/take_due_jobs.sql"),
        "500, 50, 100",
        "jobs_due",
    ),
    (
        "settle_jobs",
        include_str!("../../../shared/store/src/postgres/sql/settle_jobs.sql"),
        "'{1,2}', '{1,1}', '{done,done}', '{1,1}', '{1,1}', '{e,e}', 100, false, 4611686018427387904",
        "jobs_pkey",
    ),
    (
        "enqueue_jobs",
        include_str!("../../../shared/store/src/postgres/sql/enqueue_jobs.sql"),
        r"'{k}', '{a}', '{\\x00}', '{a}', '{1}', '{manual}', '{t}', 1",
        "jobs_kind_key_key",
    ),
    (
        "checkpoint_job",
        include_str!("../../../shared/store/src/postgres/sql/checkpoint_job.sql"),
        "1, 1, 'c', 1",
        "jobs_pkey",
    ),
    (
        "find_next_due",
        include_str!("../../../shared/store/src/postgres/sql/find_next_due.sql"),
        "1, 9223372036854775807",
        "jobs_due",
    ),
    (
        "touch_pages",
        include_str!("../../../shared/store/src/postgres/sql/touch_pages.sql"),
        "1, 1, 1, 1, 'c', 'p', 1, 0, '{0,1}', 2, 1, false",
        "pages_pkey",
    ),
    (
        "claim_siblings",
        include_str!("../../../shared/store/src/postgres/sql/claim_siblings.sql"),
        "1, 1, 64, 100, 4611686018427387904",
        // Both have just those that wait for a place, the latter those of all sources.
        "jobs_cycle|jobs_due",
    ),
    (
        "touch_siblings",
        include_str!("../../../shared/store/src/postgres/sql/touch_siblings.sql"),
        "1, 1, 1, '{1,2}', '{1,1}', '{p,p}', '{1,1}', false",
        "pages_pkey",
    ),
    (
        "list_first_pages",
        include_str!("../../../shared/store/src/postgres/sql/list_first_pages.sql"),
        "'{1,2}'",
        "pages_pkey",
    ),
    (
        "write_pages",
        include_str!("../../../shared/store/src/postgres/sql/write_pages.sql"),
        r"1, 1, 1, 1, 'c', 'p', 1, 0, '{0}', 2, '{1}', '{\\x00}', '{1}', '{0}', '{a}', '{a}', '{\\x00}', '{a}', '{a}',
            '{\\x00}', '{1}', '{1}', '{0}', '{true}', '{5}', '{7}', 1, false, '{5}', '{}', '{0}'",
        "pages_pkey",
    ),
    (
        "write_siblings",
        include_str!("../../../shared/store/src/postgres/sql/write_siblings.sql"),
        r"1, 1, 1, '{1,2}', '{1,1}', '{p,p}', '{1,1}', false, '{1}', '{0}', '{\\x00}', '{1}', '{0}', '{a}', '{a}', '{\\x00}',
            '{a}', '{a}', '{\\x00}', '{1}', '{1}', '{0}', '{true}', '{5}', '{7}', '{2}', '{5}', '{2}'",
        "pages_pkey",
    ),
    (
        "compare_entities",
        include_str!("../../../shared/store/src/postgres/sql/compare_entities.sql"),
        r"1, '{a,b}', '{\\x00,\\x01}'",
        "entities_pkey",
    ),
    (
        "write_changes",
        include_str!("../../../shared/store/src/postgres/sql/write_changes.sql"),
        r"1, '{a}', '{\\x00}', '{a}', '{1}', '{b,c}', '{\\x00,\\x01}', '{a,b}', '{f,t}', 2, 1, 1, 1000",
        "entities_pkey",
    ),
    (
        "remove_entities",
        include_str!("../../../shared/store/src/postgres/sql/remove_entities.sql"),
        "1, '{a,b}', 1",
        "entities_pkey",
    ),
    (
        "list_page_memories",
        include_str!("../../../shared/store/src/postgres/sql/list_page_memories.sql"),
        "1, 0, 10",
        "pages_pkey",
    ),
    (
        "list_changes",
        include_str!("../../../shared/store/src/postgres/sql/list_changes.sql"),
        "0, 100, 1000",
        "entities_sequence",
    ),
    (
        "list_entity_changes",
        include_str!("../../../shared/store/src/postgres/sql/list_entity_changes.sql"),
        "'a', 100",
        "entities_pkey",
    ),
    (
        "list_names_by_group",
        include_str!("../../../shared/store/src/postgres/sql/list_names_by_group.sql"),
        "1, '', 'z', 'x', 'xz', '/', '0', 10, 100",
        "entities_pkey",
    ),
    (
        "read_entities",
        include_str!("../../../shared/store/src/postgres/sql/read_entities.sql"),
        "1, '{a,b}', '{}', 100",
        "entities_pkey",
    ),
    (
        "find_deltas",
        include_str!("../../../shared/store/src/postgres/sql/find_deltas.sql"),
        "1, '{1,2}', 1, '{0,1}', '{1,1}'",
        "pages_pkey",
    ),
    (
        "weigh_deltas",
        include_str!("../../../shared/store/src/postgres/sql/weigh_deltas.sql"),
        r"1, '{1,2}', '{1,1}', '{1,1}', 1, '{a,b}', '{\\x00,\\x01}'",
        "pages_pkey",
    ),
];

/// `count` more rows in each big table.
fn fill(first: u32, count: u32) -> String {
    let last = first + count - 1;
    format!(
        "INSERT INTO jobs (kind, key, fingerprint, args, state, due_at, trigger, created_at, updated_at)
         SELECT 'test', 'k' || g, sha256(''), '{{}}', 'waiting', 1, 'manual', 1, 1 FROM generate_series({first}, {last}) g;
         INSERT INTO pages (partition_id, source_id, page, cycle, entities, unidentified, fingerprint, key_hashes)
         SELECT (SELECT min(id) FROM jobs), 1, g, 1, 1, 0, sha256(''), '{{1}}' FROM generate_series({first}, {last}) g;
         INSERT INTO entities (source_id, key_hash, sequence, changed_at, ref, fingerprint, change, body)
         SELECT 1, g, g, 1, 'r' || g, sha256(''), 'added', '{{}}' FROM generate_series({first}, {last}) g;"
    )
}

async fn plan(connection: &mut PgConnection, name: &str, text: &str, parameters: &str) -> String {
    connection
        .execute(AssertSqlSafe(format!("PREPARE {name} AS {text}")))
        .await
        .expect("the statement is right");
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {name} ({parameters})");
    let rows = connection
        .fetch_all(AssertSqlSafe(explain))
        .await
        .expect("it has a plan");
    connection
        .execute(AssertSqlSafe(format!("DEALLOCATE {name}")))
        .await
        .expect("it was prepared");
    rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()
}

#[tokio::test]
async fn hot_statements_keep_to_their_index_on_an_empty_a_small_and_a_freshly_loaded_table() {
    let Some(database) = Database::create().await else {
        return;
    };
    let store = database.store().await;
    let mut connection = database.connection().await;
    // As the store's own connections, and with plans that outlive the statistics they were made with.
    for setting in [
        "enable_seqscan = off",
        "enable_bitmapscan = off",
        "jit = off",
        "plan_cache_mode = force_generic_plan",
    ] {
        let statement = format!("SET {setting}");
        connection.execute(AssertSqlSafe(statement)).await.expect("a setting");
    }
    let sizes = [
        ("empty", String::new()),
        ("empty, with statistics", "ANALYZE".to_owned()),
        ("empty, vacuumed", "VACUUM".to_owned()),
        ("one row, with statistics", fill(1, 1) + "ANALYZE"),
        ("small, with statistics", fill(2, 30) + "ANALYZE"),
        ("loaded, with the statistics of a small one", fill(100, 20_000)),
        ("loaded, with statistics", "ANALYZE".to_owned()),
    ];
    for (size, change) in sizes {
        connection
            .execute(sqlx::raw_sql(AssertSqlSafe(change)))
            .await
            .expect("rows can be added");
        for (name, text, parameters, index) in HOT {
            let plan = plan(&mut connection, name, text, parameters).await;
            let uses = |index: &str| plan.contains(&format!("using {index} on "));
            assert!(index.split('|').any(uses), "{name}, {size}:\n{plan}");
            for table in ["jobs", "pages", "entities"] {
                let walks = [format!("Seq Scan on {table} "), format!("Bitmap Heap Scan on {table} ")];
                for walk in walks {
                    assert!(!plan.contains(&walk), "{name}, {size}:\n{plan}");
                }
            }
            assert!(!plan.contains("JIT"), "{name}, {size}:\n{plan}");
        }
    }
    connection.close().await.expect("it closes");
    store.close().await;
}

/// How often each of these tables was read from end to end, once the sessions of the store are over.
async fn whole_reads(connection: &mut PgConnection) -> i64 {
    let ended = wait_until("the store's sessions to end", Duration::from_secs(10), async || {
        let statement = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'tideline'";
        let left: i64 = connection.fetch_one(statement).await?.get(0);
        anyhow::ensure!(left == 0, "{left} are there");
        Ok(())
    });
    ended.await.expect("they end");
    let statement = "SELECT sum(seq_scan)::BIGINT FROM pg_stat_user_tables
        WHERE relname IN ('jobs', 'pages', 'entities', 'events', 'cycles')";
    connection.fetch_one(statement).await.expect("statistics").get(0)
}

#[tokio::test]
async fn the_store_reads_no_big_table_from_end_to_end_even_if_statistics_call_it_empty() {
    let Some(database) = Database::create().await else {
        return;
    };
    database.store().await.close().await;
    let mut connection = database.connection().await;
    connection.execute("VACUUM ANALYZE").await.expect("statistics");
    let before = whole_reads(&mut connection).await;
    let store = database.connect().await;
    let (now, later) = (Timestamp(1), Timestamp(9));
    let claim = ClaimRequest {
        worker: WorkerId("w".to_owned()),
        kinds: vec!["test".to_owned()],
        hinted: None,
        limit: 10,
    };
    store.claim(&claim, later).await.expect("jobs");
    store.next_due(now).await.expect("a moment");
    store.list_jobs(&JobFilter::default()).await.expect("jobs");
    store.list_entities(&EntityFilter::default()).await.expect("entities");
    store.list_changes(FeedPosition::START, 10).await.expect("changes");
    store.prune_tombstones(later, 10).await.expect("tombstones");
    store.close().await;
    assert_eq!(whole_reads(&mut connection).await, before);
}

/// Processes of the server, of these sessions, that have loaded the compiler.
async fn compilers(connection: &mut PgConnection, sessions: &str) -> Vec<i32> {
    let statement = format!("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND {sessions}");
    let rows = connection.fetch_all(AssertSqlSafe(statement)).await.expect("sessions");
    let pids = rows.iter().map(|row| row.get::<i32, _>(0));
    let has_loaded = |pid: &i32| {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"));
        maps.is_ok_and(|maps| maps.contains("llvmjit"))
    };
    pids.filter(has_loaded).collect()
}

#[tokio::test]
async fn no_statement_is_compiled_however_dear_the_server_believes_it_to_be() {
    let Some(database) = Database::create().await else {
        return;
    };
    let mut connection = database.connection().await;
    let name: String = (connection.fetch_one("SELECT current_database()").await.expect("a name")).get(0);
    for setting in ["jit = on", "jit_above_cost = 0"] {
        let statement = format!("ALTER DATABASE {name} SET {setting}");
        connection.execute(AssertSqlSafe(statement)).await.expect("a setting");
    }
    let mut other = database.connection().await;
    let counted = "SELECT count(*) FROM generate_series(1, 10) AS n WHERE n > 3";
    other.fetch_one(counted).await.expect("a count");
    if compilers(
        &mut connection,
        "pid <> pg_backend_pid() AND application_name <> 'tideline'",
    )
    .await
    .is_empty()
    {
        eprintln!("left out: this server compiles nothing, or its processes cannot be looked at");
        return;
    }
    let store = database.store().await;
    store.list_sources().await.expect("sources");
    store.sync_sources(&[], Timestamp(1)).await.expect("no source");
    let reading = store.list_changes(FeedPosition::after(Sequence(0)), 10).await;
    assert!(reading.is_ok(), "{reading:?}");
    let compilers = compilers(&mut connection, "application_name = 'tideline'").await;
    assert!(compilers.is_empty(), "{compilers:?}");
    store.close().await;
}
