//! A source of two lists: what a refresh of one must not do to the other, and what it does when its cursor expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::ensure;
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tideline_core::words::{ChildPartition, JobState, KeyHash, RefreshRequest, RefreshTarget, Validators, item_hash};
use tideline_tests::wait_until;
use tideline_worker::{
    ErrorClass, Item, ItemContent, ItemRequest, Page, PageContent, PageRequest, Source, SourceError,
};

use super::stage::{LIMIT, NAME, Stage, entity, reference};
use super::{job_state, settings};

/// The root list has x on its first page and z on its second one; the list b has x and y.
#[derive(Default)]
struct Lists {
    /// The items of b are gone, which its list does not show yet.
    gone: AtomicBool,
    /// So many readings of the second page are told that the cursor expired.
    expiring: AtomicU32,
    /// What z is.
    z: AtomicU32,
    /// What y is more than 1.
    y: AtomicU32,
}

fn maker(resource: &str, id: &str) -> KeyHash {
    item_hash(resource, [("id", id)])
}

fn listed(resource: &str, id: &str, value: u32) -> [Item; 2] {
    [Item::MadeBy(Some(maker(resource, id))), entity(id, value)]
}

fn b() -> ChildPartition {
    ChildPartition {
        key: "b".into(),
        args: json!({"resource": "b", "values": {"list": "b"}}),
    }
}

fn page(items: impl IntoIterator<Item = [Item; 2]>, next: Option<Value>) -> Page {
    Page {
        content: PageContent::Items(items.into_iter().flatten().collect()),
        next,
        children: vec![],
        validators: Validators::default(),
        hold: None,
        failure: None,
    }
}

#[async_trait]
impl Source for Lists {
    async fn read_page(&self, request: PageRequest<'_>) -> Result<Page, SourceError> {
        if request.partition == "b" {
            let y = 1 + self.y.load(Ordering::SeqCst);
            return Ok(page([listed("b", "x", 1), listed("b", "y", y)], None));
        }
        if request.cursor.is_none() {
            let first = page([listed("a", "x", 1)], Some(json!(1)));
            return Ok(Page {
                children: vec![b()],
                ..first
            });
        }
        let left = self
            .expiring
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Err(SourceError::new(ErrorClass::CursorExpired, "410 Gone"));
        }
        Ok(page([listed("a", "z", self.z.load(Ordering::SeqCst))], None))
    }

    async fn read_item(&self, request: ItemRequest<'_>) -> Result<ItemContent, SourceError> {
        let id = request.values["id"].as_str().unwrap();
        assert!(request.resource == Some("b") && self.gone.load(Ordering::SeqCst));
        Ok(ItemContent::Missing {
            reference: Some(reference(id)),
        })
    }

    fn item(&self, request: ItemRequest<'_>) -> Option<KeyHash> {
        Some(maker(request.resource.unwrap_or("a"), request.values["id"].as_str()?))
    }

    fn partition_prefix(&self, _: Option<&str>, _: &Map<String, Value>) -> Option<String> {
        Some("b".to_owned())
    }

    fn partition(&self, resource: Option<&str>, _: &Map<String, Value>) -> Option<ChildPartition> {
        Some(match resource {
            Some(_) => b(),
            None => ChildPartition {
                key: String::new(),
                args: json!({}),
            },
        })
    }
}

async fn ask(stage: &Stage, target: RefreshTarget, event: i64) -> String {
    let request = RefreshRequest {
        source: NAME.into(),
        target,
        event,
        look_again_ms: None,
    };
    stage.enqueue(&request).await;
    request.key()
}

/// An event says that an item of b is gone.
async fn deleted(stage: &Stage, id: &str, event: i64) {
    let target = RefreshTarget::Item {
        resource: Some("b".into()),
        values: [("id".to_owned(), json!(id))].into_iter().collect(),
        removed: true,
    };
    let key = ask(stage, target, event).await;
    let done = wait_until("the reading of the item", LIMIT, async || {
        let state = job_state(stage, &key).await;
        ensure!(state == Some((JobState::Done, None)), "{state:?}");
        Ok(())
    });
    done.await.unwrap();
}

fn whole_list() -> RefreshTarget {
    RefreshTarget::Partition {
        resource: None,
        values: Map::new(),
        removed: false,
        only_known: false,
        deep: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deletion_of_an_item_leaves_an_entity_that_another_list_still_shows() {
    let lists = Arc::new(Lists::default());
    let stage = Stage::of(settings(), Arc::clone(&lists) as Arc<dyn Source>).await;
    lists.gone.store(true, Ordering::SeqCst);
    deleted(&stage, "x", 1).await;
    stage.has("x", Some(1)).await;
    deleted(&stage, "y", 2).await;
    stage.has("y", None).await;
    stage.has("x", Some(1)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_cycles_have_found_are_read_at_once_when_an_event_is_about_several() {
    let lists = Arc::new(Lists::default());
    let stage = Stage::of(settings(), Arc::clone(&lists) as Arc<dyn Source>).await;
    lists.y.store(5, Ordering::SeqCst);
    let known = RefreshTarget::Partition {
        resource: Some("b".into()),
        values: Map::new(),
        removed: false,
        only_known: true,
        deep: false,
    };
    // Without a hint their jobs would wait for the scheduler to notice them, which does not happen here.
    ask(&stage, known, 1).await;
    stage.has("y", Some(6)).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_whose_cursor_expired_starts_over_and_only_so_often() {
    let lists = Arc::new(Lists::default());
    let settings = tideline_config::settings::SourceSettings {
        max_restarts: 2,
        ..settings()
    };
    let stage = Stage::of(settings, Arc::clone(&lists) as Arc<dyn Source>).await;
    lists.expiring.store(2, Ordering::SeqCst);
    lists.z.store(7, Ordering::SeqCst);
    ask(&stage, whole_list(), 1).await;
    stage.has("z", Some(7)).await;
    lists.expiring.store(3, Ordering::SeqCst);
    let key = ask(&stage, whole_list(), 2).await;
    let parked = wait_until("the refresh to be parked", LIMIT, async || {
        let state = job_state(&stage, &key).await;
        let told = matches!(&state, Some((JobState::Parked, Some(why))) if why.contains("max_restarts (2)"));
        ensure!(told, "{state:?}");
        Ok(())
    });
    parked.await.unwrap();
    stage.has("x", Some(1)).await;
    stage.has("z", Some(7)).await;
    stage.stop().await;
}
