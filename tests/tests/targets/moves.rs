//! Targets whose configuration changes: another Microcks, other entities.

use std::collections::BTreeSet;

use anyhow::ensure;
use tideline_core::words::JobState;
use tideline_tests::microcks::FakeMicrocks;
use tideline_tests::wait_until;

use super::endpoints::{Endpoint, search};
use super::stage::{LIMIT, Options, Stage, mock, spec, sync_file};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_another_microcks_is_neither_overwritten_nor_deleted_there() {
    let mut stage = Stage::start("").await;
    stage.write_pet(&[("a", &[]), ("b", &[])], &["/pets"]);
    stage.cycle().await;
    let both = [mock("pet", "a"), mock("pet", "b")];
    stage.has(&both).await;
    // Ids are counted, so one of them is that of a mock on the old server.
    let other = FakeMicrocks::start(false).await.unwrap();
    let (api, version) = both[0].split_once(':').unwrap();
    other.put(api, version);
    let foreign = other.put("foreign", "1");
    assert!(
        stage
            .owned()
            .await
            .iter()
            .any(|object| object.remote_id.as_ref() == Some(&foreign))
    );
    let (old, new) = (stage.microcks.url(), other.url());
    stage.restart_changed(&old, &new).await;
    assert_eq!(
        stage.fails_with("but Tideline did not create it there").await,
        JobState::Parked
    );
    let mut wanted = [both.to_vec(), vec!["foreign:1".to_owned()]].concat();
    wanted.sort();
    let made = wait_until("the other mock on the new server", LIMIT, async || {
        ensure!(other.services() == wanted, "{:?}", other.services());
        Ok(())
    });
    made.await.unwrap();
    assert_eq!(other.service(&both[0]).unwrap().imports, 0);
    stage.write(".mocks/microcks.yaml", &sync_file(&[]));
    stage.resync().await;
    assert_eq!(other.services(), ["foreign:1".to_owned(), both[0].clone()]);
    assert_eq!(stage.microcks.services(), both, "the old server is left alone");
    assert_eq!(stage.owned().await, []);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_that_is_changed_and_changed_back_brings_the_mocks_back() {
    let mut stage = Stage::start("").await;
    stage.write(".cat/microcks.yaml", &sync_file(&[("a", &[])]));
    stage.write_api("cat", Some("dir:.cat"), &spec(&["/a"]));
    stage.cycle().await;
    stage.has(&[mock("cat", "a")]).await;
    let (usual, other) = (
        "  type: microcks\n",
        "  type: microcks\n  annotation: example.com/other\n",
    );
    stage.restart_changed(usual, other).await;
    stage.has(&[]).await;
    stage.restart_changed(other, usual).await;
    stage.has(&[mock("cat", "a")]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_to_follow_another_source_of_an_entity_gets_its_copy() {
    let (endpoint, url) = Endpoint::start().await;
    let follow = "  follow: { sources: [code, more] }\n";
    let mut stage = Stage::with(Options {
        target: &search(&url, &format!("  body: .source\n{follow}")),
        two_sources: true,
        ..Options::default()
    })
    .await;
    stage.write_api("cat", None, &spec(&["/a"]));
    stage.cycle().await;
    endpoint.has(&[("/e/api/default/cat", r#""code""#)]).await;
    let more = "apiVersion: backstage.io/v1alpha1\nkind: API\nmetadata:\n  name: cat\nspec: {}\n";
    stage.write("../more/cat.yaml", more);
    stage.cycle_of("more").await;
    stage.follows("search").await;
    stage.restart_changed(follow, "  follow: { sources: [more] }\n").await;
    endpoint.has(&[("/e/api/default/cat", r#""more""#)]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_to_follow_other_entities_does_so_from_its_start() {
    let (endpoint, url) = Endpoint::start().await;
    let follow = "  follow: { kinds: [Component] }\n";
    let mut stage = Stage::start(&search(&url, &format!("  body: .name\n{follow}"))).await;
    for name in ["cat", "dog"] {
        stage.write(&format!(".{name}/microcks.yaml"), &sync_file(&[("a", &[])]));
        stage.write_api(name, Some(&format!("dir:.{name}")), &spec(&["/a"]));
    }
    let component = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: cow\nspec: {}\n";
    stage.write("cow.yaml", component);
    stage.cycle().await;
    stage.has(&[mock("cat", "a"), mock("dog", "a")]).await;
    endpoint.has(&[("/e/component/default/cow", r#""cow""#)]).await;
    stage.restart_changed(follow, "  follow: { kinds: [API] }\n").await;
    endpoint
        .has(&[("/e/api/default/cat", r#""cat""#), ("/e/api/default/dog", r#""dog""#)])
        .await;
    stage
        .restart_changed("{ sources: [code], kinds: [API] }", "{ namespaces: [other] }")
        .await;
    stage.has(&[]).await;
    stage
        .restart_changed("{ namespaces: [other] }", "{ sources: [code] }")
        .await;
    stage.has(&[mock("cat", "a"), mock("dog", "a")]).await;
    let puts = endpoint.seen().into_iter().map(|seen| seen.line).collect::<Vec<_>>();
    let different: BTreeSet<&String> = puts.iter().collect();
    assert_eq!(
        puts.len(),
        different.len(),
        "what did not change is not sent again: {puts:?}"
    );
    stage.stop().await;
}
