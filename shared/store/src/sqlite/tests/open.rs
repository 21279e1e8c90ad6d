use std::path::PathBuf;
use std::sync::Arc;

use sqlx::Executor;
use tempfile::TempDir;

use super::super::SqliteStore;
use crate::conformance::{T0, enqueue, new_job};
use crate::{CatalogStore, JobStore, OperatorStore, Store, StoreError};
use tideline_core::words::{FeedPosition, Sequence};

struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("tideline.db");
        Self { _folder: folder, path }
    }

    fn location(&self) -> String {
        format!("sqlite://{}", self.path.display())
    }

    /// Everything in the folder, byte for byte.
    fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(self.path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }
}

/// What is wrong, and the folder is as it was.
async fn refused_untouched(place: &Place) -> StoreError {
    let before = place.contents();
    let error = SqliteStore::open(&place.location()).await.unwrap_err();
    let same = SqliteStore::open_existing(&place.location()).await.unwrap_err();
    let owned = SqliteStore::open_owned(&place.location(), "tideline run")
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), same.to_string());
    assert_eq!(error.to_string(), owned.to_string());
    assert!(before == place.contents(), "nothing may be touched");
    error
}

#[tokio::test]
async fn a_new_file_is_made_and_found_again() {
    let place = Place::new();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&place.location()).await.unwrap());
    let job = enqueue(&store, new_job("a", "1"), T0).await.job;
    drop(store);
    let again: Arc<dyn Store> = Arc::new(SqliteStore::open(place.path.to_str().unwrap()).await.unwrap());
    again.ping().await.unwrap();
    assert_eq!(enqueue(&again, new_job("a", "1"), T0).await.job, job);
}

#[tokio::test]
async fn many_processes_may_open_a_new_file_at_once_and_it_is_migrated_once() {
    let place = Place::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let location = place.location();
        tasks.spawn(async move { SqliteStore::open(&location).await.unwrap().ping().await.unwrap() });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn a_schema_newer_than_the_program_is_named_and_not_touched() {
    let place = Place::new();
    let store = SqliteStore::open(&place.location()).await.unwrap();
    store.writer().await.execute("PRAGMA user_version = 99").await.unwrap();
    store.close().await;
    let error = refused_untouched(&place).await;
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("99") && text.contains(&format!("up to {}", super::super::schema::VERSION)),
        "{text}"
    );
}

#[tokio::test]
async fn a_file_of_schema_1_is_migrated_and_its_readers_start_over_unless_they_are_at_the_end() {
    let place = Place::new();
    let made = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&place.path)
        .create_if_missing(true);
    let mut connection = sqlx::ConnectOptions::connect(&made).await.unwrap();
    for text in [
        include_str!("../../../../../migrations/sqlite/0001_model.sql"),
        "PRAGMA user_version = 1; PRAGMA application_id = 1414087749; UPDATE counters SET value = 7",
    ] {
        connection.execute(sqlx::raw_sql(text)).await.unwrap();
    }
    sqlx::Connection::close(connection).await.unwrap();
    let older = SqliteStore::open_existing(&place.location()).await.unwrap_err();
    assert!(
        matches!(&older, StoreError::Schema(text) if text.contains("tideline migrate")),
        "{older:?}"
    );
    let store = SqliteStore::open(&place.location()).await.unwrap();
    for (after, goes_on) in [(0, true), (6, false), (7, true)] {
        let answer = store.list_changes(FeedPosition::after(Sequence(after)), 10).await;
        assert_eq!(answer.is_ok(), goes_on, "{after}: {answer:?}");
    }
    SqliteStore::open_existing(&place.location()).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_not_touched() {
    let place = Place::new();
    std::fs::write(
        &place.path,
        "this is the diary of somebody, and long enough to look at\n".repeat(100),
    )
    .unwrap();
    let error = refused_untouched(&place).await;
    assert!(
        matches!(&error, StoreError::Config(text) if text.contains("not a SQLite database")),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_database_of_another_program_is_not_touched() {
    let place = Place::new();
    let theirs = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&place.path)
        .create_if_missing(true);
    let mut connection = sqlx::ConnectOptions::connect(&theirs).await.unwrap();
    connection.execute("CREATE TABLE diary (day TEXT)").await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let error = refused_untouched(&place).await;
    assert!(
        matches!(&error, StoreError::Config(text) if text.contains("another program")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_folder_that_is_missing_or_in_the_way_is_an_error_that_says_so() {
    let place = Place::new();
    for location in [
        place.path.join("no/such/folder/tideline.db").display().to_string(),
        place.path.parent().unwrap().display().to_string(),
        "sqlite://".to_owned(),
    ] {
        let error = SqliteStore::open(&location).await.unwrap_err();
        assert!(matches!(error, StoreError::Config(_)), "{location}: {error:?}");
    }
}

#[tokio::test]
async fn operators_commands_do_not_make_a_store() {
    let place = Place::new();
    let error = SqliteStore::open_existing(&place.location()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Config(text) if text.contains("no store")),
        "{error:?}"
    );
    assert!(place.contents().is_empty());
}

#[tokio::test]
async fn a_second_owner_is_told_who_the_first_is() {
    let place = Place::new();
    let first = SqliteStore::open_owned(&place.location(), "tideline run")
        .await
        .unwrap();
    let error = SqliteStore::open_owned(&place.location(), "tideline worker")
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Config(_)), "{error:?}");
    assert!(
        text.contains(&std::process::id().to_string()) && text.contains("tideline run"),
        "{text}"
    );
    drop(first);
    SqliteStore::open_owned(&place.location(), "tideline worker")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_command_may_look_and_write_while_another_process_owns_the_file() {
    let place = Place::new();
    let owner = SqliteStore::open_owned(&place.location(), "tideline run")
        .await
        .unwrap();
    owner.enqueue(&[new_job("a", "1")], T0).await.unwrap();
    let command = SqliteStore::open_existing(&place.location()).await.unwrap();
    assert_eq!(command.stats(T0).await.unwrap().due, 1);
    command.enqueue(&[new_job("b", "1")], T0).await.unwrap();
    assert_eq!(owner.stats(T0).await.unwrap().due, 2);
}

#[tokio::test]
async fn two_connections_that_write_at_once_wait_for_each_other() {
    let place = Place::new();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..4 {
        let store = SqliteStore::open(&place.location()).await.unwrap();
        tasks.spawn(async move {
            for m in 0..50 {
                store.enqueue(&[new_job(&format!("{n}-{m}"), "1")], T0).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let store = SqliteStore::open(&place.location()).await.unwrap();
    assert_eq!(store.stats(T0).await.unwrap().due, 200);
}
