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

/// An API whose definition is in another file.
fn write_reference(stage: &Stage, name: &str, placeholder: &str, file: &str) {
    let entity = format!(
        "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: {name}\n  annotations: {{ bcgov/microcks-config-ref: 'dir:.mocks' }}\n\
         spec:\n  type: openapi\n  definition: {{ {placeholder}: {file} }}\n"
    );
    stage.write(&format!("{name}.yaml"), &entity);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_in_another_file_is_shown_inline_with_its_servers_and_follows_that_file() {
    let stage = Stage::with(Options {
        target: ENRICH,
        ..Options::default()
    })
    .await;
    stage.write(".mocks/microcks.yaml", &sync_file(&[("a", &[])]));
    stage.write(".specs/pet.yaml", &format!("# one\n{}", spec(&["/pets"])));
    write_reference(&stage, "pet", "$openapi", ".specs/pet.yaml");
    stage.cycle().await;
    let servers = [address("pet", "a")];
    let inline = async |beginning: &str| {
        let seen = wait_until("the definition", LIMIT, async || {
            let entity = shown(&*stage.store, "pet").await;
            let definition = entity["spec"]["definition"].as_str().unwrap_or_default().to_owned();
            ensure!(definition.starts_with(beginning), "{entity}");
            Ok(definition)
        });
        seen.await.unwrap()
    };
    assert!(inline("# one\n").await.contains(&servers[0]));

    // A change of the file is found by the periodic look. What cannot be read now changes nothing.
    stage.write(".specs/pet.yaml", &format!("# two\n{}", spec(&["/pets", "/owners"])));
    stage.look().await;
    assert!(inline("# two\n").await.contains(&servers[0]));
    stage.remove(".specs/pet.yaml");
    stage.look().await;
    stage.idle().await;
    assert!(inline("# two\n").await.contains(&servers[0]));

    // What refers to further files cannot be shown alone: it stays the reference that its source gave.
    stage.write(
        ".specs/pet.yaml",
        &format!("{}components: {{ $ref: ./common.yaml }}\n", spec(&["/pets"])),
    );
    write_reference(&stage, "dog", "$openapi", ".specs/pet.yaml");
    stage.cycle().await;
    stage.has(&[mock("pet", "a"), mock("dog", "a")]).await;
    stage.idle().await;
    let entity = shown(&*stage.store, "dog").await;
    assert_eq!(entity["spec"]["definition"]["$openapi"], ".specs/pet.yaml");

    // Without mocks, readers see what the source gave.
    let none = "apiVersion: bcgov.dev/v1alpha1\nkind: MicrocksSync\nspec: { mocks: [] }\n";
    stage.write(".mocks/microcks.yaml", none);
    stage.resync().await;
    stage.has(&[]).await;
    let seen = wait_until("the reference", LIMIT, async || {
        let entity = shown(&*stage.store, "pet").await;
        ensure!(
            entity["spec"]["definition"]["$openapi"] == ".specs/pet.yaml",
            "{entity}"
        );
        Ok(())
    });
    seen.await.unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mocks_of_an_asyncapi_definition_are_servers_at_the_address_for_events() {
    let events = "  enrich: { servers: true, events_url: 'wss://events.example.com' }\n";
    let stage = Stage::with(Options {
        target: events,
        ..Options::default()
    })
    .await;
    let definition = "asyncapi: 2.6.0\ninfo: { title: x, version: '1' }\nchannels:\n  orders:\n    subscribe: {}\n";
    stage.write(".mocks/microcks.yaml", &sync_file(&[("a", &[])]));
    stage.write_api("orders", Some("dir:.mocks"), definition);
    stage.cycle().await;
    stage.has(&[mock("orders", "a")]).await;
    let name = mock("orders", "a");
    let (name, version) = name.split_once(':').unwrap();
    let url = format!("wss://events.example.com/api/ws/{name}/{version}");
    let seen = wait_until("the server", LIMIT, async || {
        let entity = shown(&*stage.store, "orders").await;
        let definition = entity["spec"]["definition"].as_str().unwrap();
        let expected = format!("servers: {{\"{version}\":{{\"protocol\":\"wss\",\"url\":\"{url}\"}}}}\nchannels:\n");
        ensure!(definition.contains(&expected), "{definition}");
        Ok(())
    });
    seen.await.unwrap();
    stage.stop().await;
}
