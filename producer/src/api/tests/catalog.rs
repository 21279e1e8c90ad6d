use super::acts::bench_for_acts;
use super::*;

#[tokio::test]
async fn the_history_of_an_entity_is_what_each_source_did_to_it_last() {
    let bench = bench().await;
    bench.some_entities(3).await;
    let all = bench.get("/v1/entities").await.json();
    let reference = all["items"][0]["ref"].as_str().unwrap().replacen(':', "/", 1);
    let path = format!("/v1/entities/{reference}/history");
    let history = bench.get(&path).await;
    assert_eq!(history.status, 200, "{}", history.body);
    let items = history.json()["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1);
    assert_eq!(
        (&items[0]["change"], &items[0]["source"]),
        (&json!("added"), &json!("platform"))
    );
    assert_eq!(items[0]["sequence"], all["items"][0]["sequence"]);

    let hidden = bench
        .ask(holder(Role::Read, &["team-*"]), "GET", &path, None, &[])
        .await;
    assert_eq!((hidden.status, hidden.code().as_str()), (404, "not_found"));
    let unknown = bench.get("/v1/entities/component/default/none/history").await;
    assert_eq!(unknown.status, 404);
    let wrong = bench.get("/v1/entities/comp%3Aonent/default/x/history").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "invalid_request"));
}

#[tokio::test]
async fn the_partitions_of_a_source_are_the_jobs_that_read_it() {
    let bench = bench().await;
    bench.some_entities(3).await;
    let jobs = json!({"jobs": [{"kind": "mail", "key": "1"}]});
    assert_eq!(bench.post("/v1/jobs", Some(jobs)).await.status, 202);
    let partitions = bench.get("/v1/sources/platform/partitions").await.json();
    let items = partitions["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{partitions}");
    assert_eq!(
        (&items[0]["kind"], &items[0]["source"]),
        (&json!("ingest"), &json!("platform"))
    );
    let parked = bench.get("/v1/sources/platform/partitions?state=parked").await.json();
    assert_eq!(parked["items"], json!([]));
    let unknown = bench.get("/v1/sources/platfrom/partitions").await;
    assert!(
        unknown.status == 404 && unknown.body.contains("did you mean platform?"),
        "{}",
        unknown.body
    );
    let wrong = bench.get("/v1/sources/platform/partitions?state=lost").await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
}

#[tokio::test]
async fn a_reference_is_compared_without_case_and_shown_as_its_source_writes_it() {
    let (bench, _) = bench_for_acts().await;
    let body = json!({"apiVersion": "v1", "kind": "API", "metadata": {"name": "API-Gateway"}});
    let path = "/v1/sources/inventory/entities";
    let pushed = bench
        .ask(
            holder(Role::Admin, &[]),
            "PUT",
            path,
            Some(json!({"upserts": [{"body": body}]})),
            &[],
        )
        .await;
    assert_eq!(pushed.status, 200, "{}", pushed.body);
    let twice = json!({"upserts": [{"body": body}, {"ref": "api:default/api-gateway", "body": {}}]});
    let twice = bench.ask(holder(Role::Admin, &[]), "PUT", path, Some(twice), &[]).await;
    assert_eq!(twice.status, 400, "one reference, written in two ways: {}", twice.body);
    for reference in ["api:default/api-gateway", "API:default/API-Gateway"] {
        let found = bench.get(&format!("/v1/entities?ref={reference}")).await.json();
        let entity = &found["items"][0];
        assert_eq!(
            (&entity["ref"], &entity["written_ref"]),
            (&json!("api:default/api-gateway"), &json!("api:default/API-Gateway")),
            "{found}"
        );
    }
    let changes = bench.get("/v1/changes").await.json();
    let changes = changes["changes"].as_array().unwrap();
    let change = changes
        .iter()
        .find(|change| change["ref"] == "api:default/api-gateway")
        .unwrap();
    assert_eq!(change["written_ref"], "api:default/API-Gateway", "{change}");
}
