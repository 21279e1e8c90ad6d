//! Hot statements use the index that was made for them, on an empty store and on a full one.

use sqlx::{AssertSqlSafe, Row};

use super::super::SqliteStore;
use super::super::ingest::look_up_statement;
use super::open_file;
use crate::Store;
use crate::conformance::{Reader, T0, add_source, claim_ingest, entities, new_job, only, start_cycle, t};

async fn plan(store: &SqliteStore, statement: &str) -> String {
    let explain = format!("EXPLAIN QUERY PLAN\n{statement}");
    let rows = sqlx::query(AssertSqlSafe(explain))
        .fetch_all(&store.readers)
        .await
        .unwrap();
    let steps: Vec<String> = rows.iter().map(|row| row.get::<String, _>(3)).collect();
    steps.join("\n")
}

/// The statement in `sql/{name}.sql`.
fn statement(name: &str) -> String {
    let file = format!("{}/src/sqlite/sql/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap()
}

/// Statements, and a step of their plans.
const HOT: &[(&str, &str)] = &[
    ("claim_due_jobs", "USING INDEX jobs_due (due_at<?)"),
    ("claim_hinted_jobs", "SEARCH j USING INTEGER PRIMARY KEY"),
    ("settle_jobs", "SEARCH jobs USING INTEGER PRIMARY KEY"),
    ("find_unhinted_jobs", "USING INDEX jobs_unhinted (due_at<?)"),
    ("find_unanswered_jobs", "USING INDEX jobs_hinted (hinted_at>?"),
    ("find_next_due", "USING INDEX jobs_due (due_at>?)"),
    ("find_lost_jobs", "USING INDEX jobs_running"),
    (
        "open_places",
        "jobs_cycle (source_id=? AND cycle=? AND state=? AND due_at=?)",
    ),
    (
        "list_page_memories",
        "SEARCH p USING PRIMARY KEY (partition_id=? AND page>?",
    ),
    ("list_page_keys", "(partition_id=? AND page=?)"),
    (
        "touch_pages",
        "SEARCH pages USING PRIMARY KEY (partition_id=? AND page=?)",
    ),
    ("look_up", "SEARCH entities USING PRIMARY KEY (source_id=? AND ref=?)"),
    ("list_changes", "SEARCH c USING INTEGER PRIMARY KEY (rowid>?)"),
    ("list_entities", "SEARCH e USING PRIMARY KEY (source_id=? AND ref>?)"),
    (
        "list_names",
        "SEARCH e USING PRIMARY KEY (source_id=? AND ref>? AND ref<?)",
    ),
    (
        "list_names_by_group",
        "SEARCH e USING PRIMARY KEY (source_id=? AND ref>? AND ref<?)",
    ),
    ("read_entities", "SEARCH e USING PRIMARY KEY (source_id=? AND ref=?)"),
    (
        "find_jobs_by_args",
        "SEARCH j USING INDEX sqlite_autoindex_jobs_1 (kind=?)",
    ),
    ("find_changes", "SEARCH c USING INTEGER PRIMARY KEY (rowid<?)"),
    (
        "list_entity_changes",
        "SEARCH e USING PRIMARY KEY (source_id=? AND ref=?)",
    ),
    ("list_marks", "INDEX pages_source (source_id=?)"),
    (
        "resolve_misses",
        "SEARCH m USING PRIMARY KEY (source_id=? AND key_hash=?)",
    ),
    ("find_candidates", "SEARCH e USING PRIMARY KEY (source_id=? AND ref=?)"),
    ("remove_entities", "SEARCH e USING PRIMARY KEY (source_id=? AND ref=?)"),
    ("list_finished_cycles", "USING INDEX cycles_running"),
    ("list_parked_jobs", "USING INDEX jobs_parked (id>?)"),
    ("list_running_jobs", "USING INDEX jobs_running"),
    (
        "list_failing_target_entities",
        "target_entities_failing (target=? AND reference>?)",
    ),
    (
        "list_objects_of_entity",
        "target_objects_entity (target=? AND reference=? AND object>?)",
    ),
    (
        "find_target_objects",
        "target_objects_entity (target=? AND reference=?)",
    ),
    ("list_originals", "SEARCH e USING PRIMARY KEY (source_id=? AND ref=?)"),
    ("list_audit_of_source", "audit_source (source=?)"),
];

async fn assert_plans(store: &SqliteStore) {
    for (name, step) in HOT {
        let text = if *name == "look_up" {
            look_up_statement(500)
        } else {
            statement(name)
        };
        let plan = plan(store, &text).await;
        assert!(plan.contains(step), "{name} does not say {step}:\n{plan}");
    }
}

#[tokio::test]
async fn hot_statements_use_their_indexes_on_an_empty_and_on_an_analysed_full_store() {
    let (folder, store) = open_file().await;
    assert_plans(&store).await;
    let location = folder.path().join("tideline.db");
    let filling: std::sync::Arc<dyn Store> = std::sync::Arc::new(store);
    let jobs: Vec<_> = (0..1_000).map(|n| new_job(&format!("{n}"), "1")).collect();
    filling.enqueue(&jobs, T0).await.unwrap();
    add_source(&filling, "s", 1).await;
    start_cycle(&filling, T0).await;
    let mut reader = Reader::new(only(claim_ingest(&filling, "w", 1, T0).await));
    for page in 0..10 {
        reader
            .write(&filling, entities(page * 500, 500, 1), Some(&format!("{page}")), t(1))
            .await;
    }
    drop(filling);
    let store = SqliteStore::open(location.to_str().unwrap()).await.unwrap();
    sqlx::Executor::execute(&mut *store.writer().await, "ANALYZE")
        .await
        .unwrap();
    let analysed = SqliteStore::open(location.to_str().unwrap()).await.unwrap();
    assert_plans(&analysed).await;
}
