use sqlx::{Row, query};
use tempfile::TempDir;

use super::open_file;
use crate::sqlite::{SqliteStore, begin};
use crate::{JobStore, OperatorStore, StoreError};
use tideline_core::words::{Fingerprint, NewJob, Timestamp, Trigger};

const NOW: Timestamp = Timestamp(1_000);

fn jobs(count: u32, first: u32) -> Vec<NewJob> {
    (first..first + count)
        .map(|number| NewJob {
            kind: "k".into(),
            key: format!("{number}"),
            fingerprint: Fingerprint([1; 32]),
            args: format!("\"{}\"", "x".repeat(4_000)),
            due_at: NOW,
            trigger: Trigger::Manual,
            trace: None,
        })
        .collect()
}

#[tokio::test]
async fn a_disk_that_was_full_for_a_moment_is_written_to_again() {
    let (_folder, store) = open_file().await;
    let limit = async |pages: i64| {
        let mut writer = store.writer().await;
        let row = query("PRAGMA page_count").fetch_one(&mut *writer).await.unwrap();
        let limit = format!("PRAGMA max_page_count = {}", row.get::<i64, _>(0) + pages);
        query(sqlx::AssertSqlSafe(limit)).execute(&mut *writer).await.unwrap();
    };
    limit(4).await;
    let error = store.enqueue(&jobs(100, 0), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    limit(100_000).await;
    assert_eq!(store.enqueue(&jobs(100, 0), NOW).await.unwrap().len(), 100);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_connection_whose_transaction_sqlite_has_ended_by_itself_is_replaced() {
    let (_folder, store) = open_file().await;
    {
        let mut writer = store.writer().await;
        let mut tx = begin(&mut writer, "test").await.unwrap();
        // What SQLite does when the disk is full or fails in a commit; the driver's own rollback then fails.
        query("ROLLBACK").execute(&mut *tx).await.unwrap();
    }
    assert_eq!(store.enqueue(&jobs(1, 0), NOW).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_file_that_is_deleted_or_replaced_is_noticed_and_not_written_to() {
    for replaced in [false, true] {
        let (folder, store) = open_file().await;
        store.enqueue(&jobs(1, 0), NOW).await.unwrap();
        let path = folder.path().join("tideline.db");
        if replaced {
            let copy = folder.path().join("copy.db");
            std::fs::copy(&path, &copy).unwrap();
            std::fs::rename(&copy, &path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        let error = store.ping().await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Config(text) if text.contains("deleted or replaced")),
            "{error:?}"
        );
        let error = store.enqueue(&jobs(1, 1), NOW).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Config(text) if text.contains("deleted or replaced")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_second_process_is_found_through_symbolic_and_hard_links() {
    let folder = TempDir::new().unwrap();
    let [path, symbolic, hard] = ["tideline.db", "symbolic.db", "hard.db"].map(|name| folder.path().join(name));
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let _owner = SqliteStore::open_owned(&text(&path), "tideline run").await.unwrap();
    std::os::unix::fs::symlink(&path, &symbolic).unwrap();
    std::fs::hard_link(&path, &hard).unwrap();
    for link in [symbolic, hard] {
        let error = SqliteStore::open_owned(&text(&link), "tideline run").await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Config(text) if text.contains("is in use by")),
            "{error:?}"
        );
    }
}
