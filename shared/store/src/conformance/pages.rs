//! Cases: page memories.

use std::sync::Arc;

use super::ingest::{last_sequence, next_cycle};
use super::{begin, child, entities, job, t, touched, written, written_with};
use crate::Store;
use tideline_core::rules::key_hash;
use tideline_core::words::{Commit, EntityRef, MalformedItem, PageMemory, PageWrite, Sequence, Settlement, Validators};

pub async fn a_touched_page_marks_its_entities_and_counts_them_unchanged(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 3, 1), Some("1"), t(1)).await;
    root.write(&store, entities(3, 2, 1), None, t(2)).await;
    let mut root = next_cycle(&store, &root, 10).await;
    let memories = store.list_page_memories(root.job.id, 0, 10).await.unwrap();
    assert_eq!(memories.len(), 2);
    let pages: Vec<PageWrite> = memories.into_iter().map(touched).collect();
    root.commit(&store, pages, None, t(11)).await;
    let progress = root.progress;
    assert_eq!((progress.pages, progress.pages_unchanged), (2, 2));
    assert_eq!(
        (progress.entities, progress.added, progress.modified, progress.unchanged),
        (5, 0, 0, 5)
    );
    assert_eq!(last_sequence(&store).await, Sequence(5));
    root.settle(&store, Settlement::Done, t(12)).await;
    let plan = super::sweep::plan(&store, &root, t(13), 1).await;
    assert_eq!((plan.marked, plan.owned, plan.candidates), (5, 5, 0));
}

pub async fn a_touched_page_that_is_not_remembered_is_an_error_and_writes_nothing(store: Arc<dyn Store>) {
    let root = begin(&store, "s", 1).await;
    let PageWrite::Written { memory, .. } = written(0, entities(0, 1, 1)) else {
        panic!("a written page");
    };
    let batch = root.batch(vec![touched(memory)], Some("1"));
    let error = store.commit_pages(&batch, t(1)).await.unwrap_err();
    assert!(!error.may_retry(), "{error}");
    let row = job(&store, root.job.id).await;
    assert_eq!((row.cursor, row.progress), (None, None));
}

pub async fn touched_and_written_pages_mix_in_a_batch(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    root.write(&store, entities(0, 2, 1), Some("1"), t(1)).await;
    root.write(&store, entities(2, 2, 1), Some("2"), t(2)).await;
    root.write(&store, entities(4, 2, 1), None, t(3)).await;
    let mut root = next_cycle(&store, &root, 10).await;
    let memories = store.list_page_memories(root.job.id, 0, 10).await.unwrap();
    let fresh = Validators {
        etag: Some("\"new\"".to_owned()),
        ..Default::default()
    };
    let pages = vec![
        touched(memories[0].clone()),
        written(1, entities(2, 2, 2)),
        PageWrite::Touched {
            memory: PageMemory {
                next: Some("3".to_owned()),
                ..memories[2].clone()
            },
            validators: Some(fresh.clone()),
        },
    ];
    root.commit(&store, pages, Some("3"), t(11)).await;
    let progress = root.progress;
    assert_eq!(
        (
            progress.pages,
            progress.pages_unchanged,
            progress.modified,
            progress.unchanged
        ),
        (3, 2, 2, 4)
    );
    let after = store.list_page_memories(root.job.id, 0, 10).await.unwrap();
    assert_eq!(after[0], memories[0]);
    assert_ne!(after[1].fingerprint, memories[1].fingerprint);
    let grown = PageMemory {
        next: Some("3".to_owned()),
        validators: fresh,
        ..memories[2].clone()
    };
    assert_eq!(after[2], grown, "what follows a page is stored with its new validators");
}

pub async fn a_page_is_remembered_with_all_its_parts(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let nameless = MalformedItem {
        reference: None,
        error: "no name".to_owned(),
        sample: "{\"a\":\0 1}".to_owned(),
    };
    let page = written_with(
        0,
        entities(0, 2, 1),
        vec![child("x"), child("y")],
        vec![],
        vec![nameless],
    );
    let PageWrite::Written { memory, .. } = &page else {
        panic!("a written page");
    };
    let mut expected = memory.clone();
    expected.next = Some("{\"p\":1}".to_owned());
    root.commit(&store, vec![page.clone()], Some("{\"p\":1}"), t(1)).await;
    root.write(&store, vec![], None, t(2)).await;
    let memories = store.list_page_memories(root.job.id, 0, 1).await.unwrap();
    assert_eq!(memories, [expected]);
    let from_one = store.list_page_memories(root.job.id, 1, 5).await.unwrap();
    assert_eq!(from_one.iter().map(|memory| memory.page).collect::<Vec<_>>(), [1]);
    assert_eq!((root.progress.malformed, root.progress.unidentified), (1, 1));
}

pub async fn malformed_items_are_shown_and_the_oldest_go(store: Arc<dyn Store>) {
    let mut root = begin(&store, "s", 1).await;
    let named: EntityRef = "component:default/broken".parse().unwrap();
    let item = |n: u32| MalformedItem {
        reference: Some(named.clone()),
        error: format!("error {n}"),
        sample: "{}".to_owned(),
    };
    let pages = vec![
        written_with(0, vec![], vec![], vec![key_hash(&named)], vec![item(0), item(1)]),
        written_with(1, entities(0, 1, 1), vec![], vec![], vec![item(2)]),
    ];
    let mut batch = root.batch(pages, Some("2"));
    batch.malformed_keep = 2;
    let Commit::Committed { progress, .. } = store.commit_pages(&batch, t(1)).await.unwrap() else {
        panic!("the lease holds");
    };
    root.progress = progress;
    assert_eq!(
        (progress.malformed, progress.unidentified, progress.entities),
        (3, 0, 1)
    );
    let listed = store.list_malformed(root.source(), 10).await.unwrap();
    let errors: Vec<_> = listed
        .iter()
        .map(|record| (record.item.error.as_str(), record.page))
        .collect();
    assert_eq!(errors, [("error 2", 1), ("error 1", 0)]);
    assert_eq!(listed[0].item.reference.as_ref(), Some(&named));
    assert_eq!(
        (
            listed[0].source.as_str(),
            listed[0].partition.as_str(),
            listed[0].seen_at
        ),
        ("s", "s", t(1))
    );
}

/// The cases of this file.
#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_pages {
    ($open:path) => {
        $crate::store_conformance_cases!(
            $open,
            pages: a_touched_page_marks_its_entities_and_counts_them_unchanged,
            a_touched_page_that_is_not_remembered_is_an_error_and_writes_nothing,
            touched_and_written_pages_mix_in_a_batch,
            a_page_is_remembered_with_all_its_parts,
            malformed_items_are_shown_and_the_oldest_go,
        );
    };
}
