//! Processes that die between two requests.

use futures::StreamExt as _;
use tideline_tests::microcks::Trouble;

use super::stage::{Stage, mock, spec, sync_file};

/// What is done after the crash, and what there should be then.
async fn crash_after(requests: u64, done_anyway: bool) -> bool {
    let mut stage = Stage::start("").await;
    stage.write_pet(&[("a", &["meta.yaml", "examples.yaml"]), ("b", &[])], &["/pets"]);
    stage.microcks.put("pet", "somebody-elses");
    stage.cycle().await;
    let foreign = "pet:somebody-elses".to_owned();
    stage.has(&[mock("pet", "a"), mock("pet", "b"), foreign.clone()]).await;
    let id = stage.microcks.service(&mock("pet", "a")).unwrap().id;
    stage.microcks.set_trouble(Trouble {
        answers: Some(requests),
        done_anyway,
        ..Trouble::default()
    });
    // Mock a changes, b goes, c comes.
    stage.write(
        ".mocks/microcks.yaml",
        &sync_file(&[("a", &["meta.yaml", "examples.yaml"]), ("c", &[])]),
    );
    stage.write_api("pet", Some("dir:.mocks"), &spec(&["/pets", "/more"]));
    stage.cycle().await;
    let stuck = stage.microcks.state.stuck.clone();
    let crashed = tokio::select! {
        () = stuck.cancelled() => true,
        () = stage.idle() => false,
    };
    if crashed {
        stage.kill();
        stage.microcks.set_trouble(Trouble::default());
        stage.run().await;
    }
    stage.has(&[mock("pet", "a"), mock("pet", "c"), foreign]).await;
    let service = stage.microcks.service(&mock("pet", "a")).unwrap();
    assert_eq!(service.id, id, "in place, also after {requests} requests");
    assert!(service.operations.contains_key("GET /more"));
    let operation = &service.operations["GET /pets"];
    assert_eq!(operation.messages.len(), 1);
    assert_eq!(
        operation.properties["parameterConstraints"].as_array().unwrap().len(),
        1
    );
    assert_eq!(stage.owned().await.len(), 2);
    stage.stop().await;
    crashed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_requests_leaves_exactly_the_wanted_mocks() {
    let places = (0..24).flat_map(|requests| [(requests, false), (requests, true)]);
    let runs = places.map(|(requests, done_anyway)| crash_after(requests, done_anyway));
    let crashes: Vec<bool> = futures::stream::iter(runs).buffer_unordered(8).collect().await;
    let count = crashes.iter().filter(|crashed| **crashed).count();
    assert!(
        count >= 16 && count < crashes.len(),
        "every place was tried: {count} of {}",
        crashes.len()
    );
}
