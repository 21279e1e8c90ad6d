//! Readers of the change feed that come now and then. Whenever one has read all there is, it knows what the catalog
//! holds: it missed nothing, or was told to start over.

use std::collections::BTreeMap;

use tideline_core::words::{Change, EntityRef, FeedPosition};
use tideline_store::{EntityFilter, Store, StoreError};

type Catalog = BTreeMap<(String, EntityRef), String>;

/// Comes every so many acts and reads a few changes, so that it is often in the middle of the feed.
struct Follower {
    every: usize,
    limit: u32,
    position: FeedPosition,
    known: Catalog,
}

/// All of them, on one store.
pub(super) struct Followers {
    all: Vec<Follower>,
    /// How often one had read everything.
    pub(super) compared: u32,
    /// How often one had to start over.
    pub(super) told: u32,
}

impl Followers {
    pub(super) fn new() -> Self {
        let follower = |(every, limit)| Follower {
            every,
            limit,
            position: FeedPosition::START,
            known: Catalog::new(),
        };
        Self {
            all: [(1, 1), (1, 100), (3, 2), (20, 3), (50, 100), (70, 100), (110, 100)]
                .map(follower)
                .into(),
            compared: 0,
            told: 0,
        }
    }

    /// Those whose time it is read on.
    pub(super) async fn look(&mut self, act: usize, store: &dyn Store) {
        for follower in &mut self.all {
            if !act.is_multiple_of(follower.every) {
                continue;
            }
            match store.list_changes(follower.position, follower.limit).await {
                Err(StoreError::StartOver(_)) => {
                    self.told += 1;
                    follower.position = FeedPosition::START;
                    follower.known.clear();
                }
                answer => {
                    let reading = answer.unwrap();
                    follower.position = reading.next;
                    let all = !reading.more;
                    for change in reading.changes {
                        follower.take(change);
                    }
                    if all {
                        self.compared += 1;
                        assert_eq!(follower.known, catalog(store).await, "act {act}: what a reader knows");
                    }
                }
            }
        }
    }
}

impl Follower {
    fn take(&mut self, change: Change) {
        let name = (change.source, change.reference);
        match change.body {
            Some(body) => self.known.insert(name, body),
            None => self.known.remove(&name),
        };
    }
}

async fn catalog(store: &dyn Store) -> Catalog {
    let all = EntityFilter {
        limit: 1_000,
        ..EntityFilter::default()
    };
    let entities = store.list_entities(&all).await.unwrap();
    let named = entities
        .into_iter()
        .map(|entity| ((entity.source, entity.reference), entity.body));
    named.collect()
}
