//! Mocks as servers in their API's definition, for readers of the catalog and its feed.

use std::sync::Arc;

use anyhow::ensure;
use serde_json::Value;
use tideline_core::clock::{Clock as _, SystemClock};
use tideline_core::words::{EntityRef, FeedPosition, Sequence};
use tideline_store::{EntityFilter, Store};
use tideline_tests::wait_until;

use super::stage::{EXAMPLES, LIMIT, METADATA, Options, Stage, mock, spec, sync_file};

const ENRICH: &str = "  enrich: { servers: true, mocks_url: 'https://mocks.example.com/' }\n";

/// The address that readers see.
fn address(api: &str, id: &str) -> String {
    let name = mock(api, id);
    let (name, version) = name.split_once(':').unwrap();
    format!("https://mocks.example.com/rest/{name}/{version}")
}

/// The entity as the catalog shows it, which is as its feed shows it.
async fn shown(store: &dyn Store, api: &str) -> Value {
    let reference: EntityRef = format!("api:default/{api}").parse().unwrap();
    let filter = EntityFilter {
        reference: Some(reference.clone()),
        limit: 1,
        ..EntityFilter::default()
    };
    let entity = store.list_entities(&filter).await.unwrap().remove(0);
    let feed = store.list_changes(FeedPosition::START, 1_000).await.unwrap();
    let newest = feed
        .changes
        .into_iter()
        .find(|change| change.reference == reference)
        .unwrap();
    // One of the two may have been read a moment later.
    if newest.sequence == entity.sequence {
        assert_eq!(newest.body.as_ref(), Some(&entity.body));
    }
    serde_json::from_str(&entity.body).unwrap()
}

/// Waits until readers of the definition see these servers.
async fn names(stage: &Stage, api: &str, wanted: &[String]) -> Value {
    let seen = wait_until("the servers", LIMIT, async || {
        let entity = shown(&*stage.store, api).await;
        let definition = entity["spec"]["definition"].as_str().unwrap();
        let all = wanted.iter().all(|url| definition.contains(url.as_str()));
        let count = definition.matches("\"url\":").count();
        ensure!(all && count == wanted.len(), "{count} servers: {definition}");
        Ok(entity)
    });
    let seen = seen.await.unwrap();
    stage.idle().await;
    seen
}

async fn mocks_become_servers(stage: Stage) {
    stage.write(".mocks/meta.yaml", METADATA);
    stage.write(".mocks/examples.yaml", EXAMPLES);
    let hidden = sync_file(&[("a", &["meta.yaml"]), ("b", &[]), ("c", &[])])
        .replace("mockId: c", "mockId: c\n      includeInSwagger: false");
    stage.write(".mocks/microcks.yaml", &hidden);
    stage.write_api("pet", Some("dir:.mocks"), &format!("# comment\n{}", spec(&["/pets"])));
    stage.cycle().await;
    let both = [address("pet", "a"), address("pet", "b")];
    let seen = names(&stage, "pet", &both).await;
    assert!(
        seen["spec"]["definition"]
            .as_str()
            .unwrap()
            .starts_with("# comment\nopenapi: 3.0.3\n")
    );
    stage.has(&[mock("pet", "a"), mock("pet", "b"), mock("pet", "c")]).await;

    // It feeds back into nothing: neither the next cycle nor a look uploads anything, or changes the entity.
    let (uploads, sequence) = (imports(&stage), last_sequence(&stage).await);
    stage.cycle().await;
    stage.look().await;
    stage.idle().await;
    assert_eq!(imports(&stage), uploads);
    assert_eq!(last_sequence(&stage).await, sequence, "no change that nobody made");

    // What the source writes keeps them, be it about the mocks or not.
    stage.write_api("pet", Some("dir:.mocks"), &format!("# other\n{}", spec(&["/pets"])));
    stage.cycle().await;
    let seen = names(&stage, "pet", &both).await;
    assert!(seen["spec"]["definition"].as_str().unwrap().starts_with("# other\n"));

    // A mock that goes takes its address with it.
    stage.write(".mocks/microcks.yaml", &sync_file(&[("b", &[])]));
    stage.resync().await;
    names(&stage, "pet", &both[1..]).await;
    stage.write_api("pet", None, &format!("# other\n{}", spec(&["/pets"])));
    stage.cycle().await;
    let seen = names(&stage, "pet", &[]).await;
    assert_eq!(
        seen["spec"]["definition"].as_str().unwrap().trim_end(),
        format!("# other\n{}", spec(&["/pets"])).trim_end(),
        "as its source gives it"
    );
    stage.has(&[]).await;
    stage.stop().await;
}

async fn last_sequence(stage: &Stage) -> Sequence {
    stage.store.stats(SystemClock.now()).await.unwrap().last_sequence
}

fn imports(stage: &Stage) -> Vec<u32> {
    stage
        .microcks
        .state
        .services
        .lock()
        .values()
        .map(|service| service.imports)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mocks_are_servers_of_their_api_for_readers_as_long_as_they_are_there_and_feed_back_into_nothing() {
    let stage = Stage::with(Options {
        target: ENRICH,
        ..Options::default()
    })
    .await;
    mocks_become_servers(stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mocks_are_servers_of_their_api_on_postgres_too() {
    let Some(database) = tideline_tests::servers::database("servers").await.unwrap() else {
        return;
    };
    let options = tideline_store::postgres::PostgresOptions::default();
    let store = tideline_store::postgres::PostgresStore::connect(database.url(), options)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let stage = Stage::with(Options {
        target: ENRICH,
        store: Some(Arc::new(store)),
        ..Options::default()
    })
    .await;
    mocks_become_servers(stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switching_the_servers_off_takes_them_away_at_the_next_look() {
    let mut stage = Stage::start("").await;
    stage.write_pet(&[("a", &[])], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "a")]).await;
    names(&stage, "pet", &[]).await;
    stage.restart_with(ENRICH).await;
    stage.look().await;
    names(&stage, "pet", &[address("pet", "a")]).await;
    stage.restart_without(ENRICH).await;
    stage.look().await;
    names(&stage, "pet", &[]).await;
    stage.stop().await;
}
