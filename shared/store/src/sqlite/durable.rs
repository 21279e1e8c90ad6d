//! What a reader has seen survives a power failure. With `synchronous = NORMAL` a commit is in the write-ahead log
//! before it is on the disk, so the newest ones may be taken back, and their numbers given to something else: a reader
//! that had seen them would never know. So before a reader is shown what is new, the log is forced to the disk, once
//! for all that is new (<https://www.sqlite.org/wal.html#performance_considerations>).

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::SqliteStore;
use crate::StoreError;

/// The number up to which events that readers may see are on disk.
#[derive(Debug, Default)]
pub(super) struct Durable {
    pub(super) changes: AtomicI64,
    pub(super) events: AtomicI64,
    /// Whether the log's directory entry is on disk, too.
    named: AtomicBool,
}

impl SqliteStore {
    /// Returns when everything up to the number `last`, which a reader has just found, is on the disk.
    pub(super) async fn make_durable(
        &self,
        act: &'static str,
        known: impl Fn(&Durable) -> &AtomicI64,
        last: i64,
    ) -> Result<(), StoreError> {
        let known = known(&self.durable);
        if known.load(Ordering::Acquire) >= last {
            return Ok(());
        }
        let names_too = !self.durable.named.load(Ordering::Acquire);
        let path = self.path.clone();
        let forced = tokio::task::spawn_blocking(move || force(&path, names_too)).await;
        let forced = forced.unwrap_or_else(|_| Err(std::io::Error::other("the task that did it ended")));
        forced.map_err(|error| StoreError::Unavailable {
            act,
            maybe_done: false,
            source: format!("new data cannot be flushed to disk: {error}").into(),
        })?;
        self.durable.named.store(true, Ordering::Release);
        known.fetch_max(last, Ordering::AcqRel);
        Ok(())
    }
}

/// Without a log everything is in the file, where a checkpoint wrote and synced it.
fn force(path: &Path, names_too: bool) -> std::io::Result<()> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match File::open(PathBuf::from(log)) {
        Ok(log) => log.sync_data()?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match path
        .parent()
        .filter(|parent| names_too && !parent.as_os_str().is_empty())
    {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tideline_core::words::FeedPosition;

    use super::*;
    use crate::Store;
    use crate::conformance::{T0, begin, entities};

    #[tokio::test]
    async fn what_the_feed_shows_is_on_the_disk_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let sqlite = Arc::new(SqliteStore::open(&path.display().to_string()).await.unwrap());
        let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(&sqlite);
        let synced = || sqlite.durable.changes.load(Ordering::Acquire);
        let mut root = begin(&store, "s", 1).await;
        root.write(&store, entities(0, 3, 1), Some("1"), T0).await;
        assert_eq!(synced(), 0, "nobody has seen anything");
        let reading = store.list_changes(FeedPosition::START, 10).await.unwrap();
        assert_eq!((reading.changes.len(), synced()), (3, 3));
        root.write(&store, entities(3, 2, 1), Some("2"), T0).await;
        let reading = store.list_changes(reading.next, 10).await.unwrap();
        assert_eq!((reading.changes.len(), synced()), (2, 5));
        let events = store.event_bounds().await.unwrap();
        store
            .list_events_after(Default::default(), &Default::default(), 10)
            .await
            .unwrap();
        assert!(sqlite.durable.events.load(Ordering::Acquire) >= events.last.0);
    }

    #[test]
    fn a_store_without_a_log_has_nothing_to_force() {
        let folder = tempfile::tempdir().unwrap();
        force(&folder.path().join("none.db"), true).unwrap();
    }
}
