use std::collections::BTreeSet;
use std::path::Path as FilePath;

use axum::body::Body;
use axum::http::header::IF_NONE_MATCH;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::{CycleEnd, CycleState, Entity, Settlement};
use tideline_queue::in_process::InProcessQueue;
use tideline_store::Store;
use tideline_store::conformance::{Reader, claim_ingest, entity, only, spec, start_cycle};
use tideline_store::sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::api::ApiParts;

const KEY: &str = "0123456789abcdef0123456789abcdef";

struct Stage {
    routes: Router,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: u16,
    etag: String,
    text: String,
}

impl Stage {
    /// With these keys of `backstage.locations`, and a source that was not read yet.
    async fn start(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path.to_str().unwrap()).await.unwrap());
        store.sync_sources(&[spec("a", 1)], SystemClock.now()).await.unwrap();
        let yaml = format!("backstage: {{ locations: {{ {keys} }} }}\n");
        let settings = tideline_config::parse(&yaml, FilePath::new("t.yaml"), &|_| None).unwrap();
        let api = Api::new(ApiParts {
            store: Arc::clone(&store),
            queue: Arc::new(InProcessQueue::default()),
            clock: Arc::new(SystemClock),
            planner: None,
            settings: Some(Arc::new(settings)),
            stop: CancellationToken::new(),
        });
        Self {
            routes: router(&api),
            store,
            _folder: folder,
        }
    }

    /// A cycle of the source that finds these.
    async fn cycle(&self, entities: Vec<Entity>) {
        let now = SystemClock.now();
        start_cycle(&self.store, now).await;
        let mut root = Reader::new(only(claim_ingest(&self.store, "w", 1, now).await));
        root.write(&self.store, entities, None, now).await;
        root.settle(&self.store, Settlement::Done, now).await;
        let (source, cycle) = (root.source(), root.cycle());
        let end = |state| CycleEnd {
            state,
            reason: None,
            next_cycle_at: Some(now),
        };
        self.store
            .end_cycle(source, cycle, &end(CycleState::Sweeping), now)
            .await
            .unwrap();
        self.store.plan_sweep(source, cycle, 1).await.unwrap();
        while self.store.sweep(source, cycle, 1, 100, now).await.unwrap() > 0 {}
        assert!(
            self.store
                .end_cycle(source, cycle, &end(CycleState::Complete), now)
                .await
                .unwrap()
        );
    }

    async fn ask(&self, path: &str, etag: &str) -> Answer {
        let request = axum::http::Request::get(format!("/backstage/{path}")).header(IF_NONE_MATCH, etag);
        let request = request.body(Body::empty()).unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let etag = response
            .headers()
            .get(ETAG)
            .map(|etag| etag.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer {
            status,
            etag: etag.unwrap_or_default(),
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    async fn pages(&self, count: u32) -> Vec<Answer> {
        let mut pages = Vec::new();
        for page in 0..count {
            pages.push(self.ask(&format!("{KEY}/pages/{page}.yaml"), "").await);
        }
        pages
    }
}

fn component(name: &str, version: u32) -> Entity {
    let annotations = r#"{"backstage.io/managed-by-location":"url:https://git.example.com/a.yaml"}"#;
    let body = format!(
        r#"{{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{{"annotations":{annotations},"name":"{name}"}},"spec":{{"text":"a: b\n---\n\"{version}\""}}}}"#
    );
    entity(&format!("component:default/{name}"), &body)
}

/// The documents of a page, as a YAML parser splits them.
fn names(text: &str) -> Vec<String> {
    let documents = text.split("---\n{").skip(1).map(|rest| format!("{{{rest}"));
    let parsed = documents.map(|text| serde_json::from_str::<Value>(text.trim()).unwrap());
    parsed
        .map(|entity| entity["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_entity_is_on_one_page_and_a_change_alters_one_page() {
    let stage = Stage::start(&format!("key: {KEY}, pages: 8")).await;
    let all: Vec<Entity> = (0..100).map(|number| component(&format!("c{number}"), 1)).collect();
    let mut shapeless = all.clone();
    shapeless.push(entity("component:default/shapeless", "{}"));
    stage.cycle(shapeless).await;
    let index = stage.ask(&format!("{KEY}/locations.yaml"), "").await;
    assert_eq!(index.text.matches("    - ./pages/").count(), 8);
    let before = stage.pages(8).await;
    let found: Vec<String> = before.iter().flat_map(|page| names(&page.text)).collect();
    assert_eq!(found.len(), 100);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 100);
    assert!(
        before
            .iter()
            .all(|page| page.text.contains("backstage.io/managed-by-location"))
    );

    let mut changed = all;
    changed[42] = component("c42", 2);
    stage.cycle(changed).await;
    let mut altered = 0;
    for (page, before) in before.iter().enumerate() {
        let after = stage.ask(&format!("{KEY}/pages/{page}.yaml"), &before.etag).await;
        if after.status == 304 {
            assert_eq!((after.etag.as_str(), after.text.as_str()), (before.etag.as_str(), ""));
        } else {
            assert!(after.status == 200 && after.etag != before.etag && names(&after.text).contains(&"c42".to_owned()));
            altered += 1;
        }
    }
    assert_eq!(altered, 1);
    assert_eq!(
        stage.ask(&format!("{KEY}/locations.yaml"), &index.etag).await.status,
        304
    );
}

#[tokio::test]
async fn nobody_reads_the_pages_without_a_key_and_two_keys_open_them_while_one_replaces_the_other() {
    let next = "f".repeat(40);
    let stage = Stage::start(&format!("key: {KEY}, next_key: {next}")).await;
    stage.cycle(vec![component("a", 1)]).await;
    for key in [KEY, &next] {
        assert_eq!(stage.ask(&format!("{key}/locations.yaml"), "").await.status, 200);
        assert_eq!(stage.ask(&format!("{key}/pages/0.yaml"), "").await.status, 200);
    }
    for path in [
        "x/locations.yaml",
        "x/pages/0.yaml",
        &format!("{KEY}/pages/64.yaml"),
        &format!("{KEY}/pages/x"),
    ] {
        assert_eq!(stage.ask(path, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_known_yet_or_too_much_is_not_served_as_if_it_were_all() {
    let stage = Stage::start(&format!("key: {KEY}, max_entities: 1")).await;
    for path in ["locations.yaml", "pages/0.yaml"] {
        let early = stage.ask(&format!("{KEY}/{path}"), "").await;
        assert!(
            early.status == 503 && early.text.contains("a has not been read completely yet"),
            "{}",
            early.text
        );
    }
    stage.cycle(vec![component("a", 1), component("b", 1)]).await;
    let refused = stage.ask(&format!("{KEY}/pages/0.yaml"), "").await;
    assert!(
        refused.status == 409 && refused.text.contains("max_entities"),
        "{}",
        refused.text
    );
}
