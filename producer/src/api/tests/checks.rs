use tideline_core::words::{CheckRecord, DriftDifference, DriftKind, DriftTotals};

use super::*;

/// Stores a check of the source `platform` that found this many diverged and unconfirmed entities.
async fn checked(bench: &Bench, at: i64, diverged: u64, unconfirmed: u64) {
    let source = bench.store.find_source("platform").await.unwrap().unwrap().id;
    let at = Timestamp(at);
    if bench.store.next_check(source).await.unwrap().is_none() {
        assert!(bench.store.move_check(source, None, at).await.unwrap());
    }
    let token = bench.store.begin_check(source, at, at).await.unwrap().unwrap();
    let difference = DriftDifference {
        reference: "component:default/web".parse().unwrap(),
        drift: DriftKind::Diverged,
    };
    let found = CheckRecord {
        began_at: at,
        ended_at: at,
        totals: DriftTotals {
            diverged,
            ..DriftTotals::default()
        },
        unconfirmed,
        differences: (0..diverged).map(|_| difference.clone()).collect(),
        failure: None,
    };
    assert!(bench.store.end_check(source, token, &found, at).await.unwrap());
}

#[tokio::test]
async fn the_checks_of_a_source_are_shown_newest_first_with_what_is_not_confirmed() {
    let bench = bench().await;
    let path = "/v1/sources/platform/checks";
    assert_eq!(bench.get(path).await.json(), json!({"items": []}));
    checked(&bench, 1_000, 0, 3).await;
    checked(&bench, 2_000, 1, 0).await;
    let found = bench.get(path).await.json();
    let numbers = |check: &Value| {
        (
            check["began_at"].clone(),
            check["diverged"].clone(),
            check["unconfirmed"].clone(),
        )
    };
    assert_eq!(
        [numbers(&found["items"][0]), numbers(&found["items"][1])],
        [
            (json!("1970-01-01T00:00:02.000Z"), json!(1), json!(0)),
            (json!("1970-01-01T00:00:01.000Z"), json!(0), json!(3)),
        ],
        "{found}"
    );
    assert_eq!(
        found["items"][0]["differences"],
        json!([{"ref": "component:default/web", "drift": "diverged"}])
    );
    let newest = bench.get(&format!("{path}?limit=1")).await.json();
    assert_eq!(newest["items"].as_array().unwrap().len(), 1);
    let hidden = bench.ask(holder(Role::Read, &["team-*"]), "GET", path, None, &[]).await;
    assert_eq!(hidden.status, 404, "{}", hidden.body);
}
