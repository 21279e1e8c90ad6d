//! Cases: one entity in several sources or partitions.

use std::sync::Arc;

use super::ingest::{catalog, last_sequence};
use super::{Reader, T0, begin, changes_after, claim_ingest, entity, only, padded, spec, t};
use crate::{EntityFilter, SourceCommand, Store};
use tideline_core::words::{ChangeKind, Sequence};

pub async fn two_sources_own_the_same_reference_apart(store: Arc<dyn Store>) {
    let specs = [spec("a", 1), spec("b", 1)];
    store.sync_sources(&specs, T0).await.unwrap();
    assert_eq!(store.start_cycles(10, T0).await.unwrap().len(), 2);
    let roots = claim_ingest(&store, "w", 10, T0).await;
    for root in roots {
        let mut root = Reader::new(root);
        let body = format!("{{\"by\":\"{}\"}}", root.job.key);
        root.write(&store, vec![entity("component:default/shared", &body)], None, t(1))
            .await;
    }
    let filter = EntityFilter {
        reference: Some("component:default/shared".parse().unwrap()),
        limit: 10,
        ..Default::default()
    };
    let listed = store.list_entities(&filter).await.unwrap();
    let owners: Vec<_> = listed
        .iter()
        .map(|entity| (entity.source.as_str(), entity.body.as_str()))
        .collect();
    assert_eq!(owners, [("a", "{\"by\":\"a\"}"), ("b", "{\"by\":\"b\"}")]);
    // One drops it: the other's stays.
    store
        .command_source("a", SourceCommand::ResetAndDelete, t(2))
        .await
        .unwrap();
    assert_eq!(store.delete_source_entities("a", 10, t(3)).await.unwrap(), 0);
    let left = only(store.list_entities(&filter).await.unwrap());
    assert_eq!(left.source, "b");
    let last = changes_after(&store, 2, 10).await;
    assert_eq!(
        last.iter().map(|c| (c.source.as_str(), c.change)).collect::<Vec<_>>(),
        [("a", ChangeKind::Removed)]
    );
}

pub async fn two_partitions_that_show_the_same_entity_at_once_write_it_once(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 8).await;
    let keys: Vec<String> = (0..6).map(|n| format!("p{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    root.reveal_and_finish(&store, &keys, t(1)).await;
    let children = claim_ingest(&store, "w", 10, t(2)).await;
    assert_eq!(children.len(), 6);
    let tasks: Vec<_> = children
        .into_iter()
        .map(|job| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut reader = Reader::new(job);
                for page in 0..5 {
                    // However a store writes few bytes and many: every other page is of large bodies.
                    let bytes = if page % 2 == 0 { 10 } else { 50_000 };
                    reader
                        .write(&store, padded(page * 10, 10, bytes), Some("1"), t(3))
                        .await;
                }
                reader.progress
            })
        })
        .collect();
    let mut added = 0;
    for task in tasks {
        let progress = task.await.unwrap();
        assert_eq!((progress.entities, progress.modified), (50, 0));
        added += progress.added;
    }
    assert_eq!(added, 50);
    assert_eq!(last_sequence(&store).await, Sequence(50));
    assert_eq!(catalog(&store).await.len(), 50);
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_sharing {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            sharing: two_sources_own_the_same_reference_apart,
            two_partitions_that_show_the_same_entity_at_once_write_it_once,
        );
    };
}
