//! Mocks that somebody changed in Microcks.

use serde_json::json;
use tideline_store::EventFilter;

use super::stage::{Stage, mock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_asks_for_one_listing_and_puts_back_what_was_changed_or_removed_by_hand() {
    let mut stage = Stage::start("").await;
    stage.write_pet(&[("a", &["meta.yaml"]), ("b", &[])], &["/pets"]);
    stage.cycle().await;
    let both = [mock("pet", "a"), mock("pet", "b")];
    stage.has(&both).await;
    let before = stage.microcks.calls().len();
    stage.look().await;
    let calls = stage.microcks.calls()[before..].to_vec();
    assert_eq!(calls, ["GET /api/services?page=0&size=100"], "nothing changed");
    {
        let mut services = stage.microcks.state.services.lock();
        services.retain(|_, service| service.full_name() != both[1]);
        let changed = services
            .values_mut()
            .find(|service| service.full_name() == both[0])
            .unwrap();
        let operation = changed.operations.get_mut("GET /pets").unwrap();
        operation.properties.insert("dispatcher".into(), json!("SCRIPT"));
    }
    stage.restart_with("").await;
    stage.look().await;
    stage.has(&both).await;
    let mended = stage.microcks.service(&both[0]).unwrap();
    assert_eq!(mended.operations["GET /pets"].properties["dispatcher"], "URI_PARAMS");
    let filter = EventFilter {
        topics: vec!["sync.drift_found".parse().unwrap()],
        ..EventFilter::default()
    };
    let told = stage.store.list_events_before(None, &filter, 10).await.unwrap();
    assert_eq!(told.events.len(), 2, "{told:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_that_is_only_to_be_reported_is_shown_and_left() {
    let stage = Stage::start("  drift: report\n").await;
    stage.write_pet(&[("a", &[])], &["/pets"]);
    stage.cycle().await;
    stage.has(&[mock("pet", "a")]).await;
    stage.microcks.state.services.lock().clear();
    stage.look().await;
    stage.fails_with("was removed in Microcks by somebody else").await;
    stage.has(&[]).await;
    stage.stop().await;
}
