//! What holds for every route: the list comes from the OpenAPI document, so that none can be forgotten.

use super::*;

/// Every operation of the document, with a path that names records which do not matter.
fn operations(api: &Api) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (path, item) in &api.document().paths.paths {
        for (method, operation) in docs::operations(item) {
            if path == "/v1/whoami" {
                continue;
            }
            let role = docs::role_of(operation).unwrap_or_else(|| panic!("{method} {path} names no role"));
            let path = path
                .replace("{id}", "1")
                .replace("{name}", "platform")
                .replace("{kind}", "component")
                .replace("{namespace}", "default");
            found.push((method.to_uppercase(), path, role));
        }
    }
    assert!(found.len() > 25, "{found:?}");
    found
}

#[tokio::test]
async fn every_route_is_forbidden_to_a_role_that_does_not_include_its_own() {
    let bench = bench().await;
    for (method, path, needed) in operations(&bench.api) {
        let needed: Role = needed.parse().unwrap();
        for role in Role::ALL.into_iter().filter(|role| !role.allows(needed)) {
            let answer = bench.ask(holder(role, &[]), &method, &path, Some(json!({})), &[]).await;
            assert_eq!(answer.status, 403, "{role} {method} {path}: {}", answer.body);
            assert!(
                answer.body.contains(&format!("needs the role {needed}")),
                "{}",
                answer.body
            );
        }
    }
    let filter = tideline_store::AuditFilter {
        limit: 1_000,
        ..Default::default()
    };
    let recorded = bench.store.list_audit(&filter).await.unwrap();
    assert!(recorded.iter().all(|record| record.refused.is_some()), "{recorded:?}");
}

#[tokio::test]
async fn no_route_answers_without_a_principal() {
    let bench = bench().await;
    for (method, path, _) in operations(&bench.api) {
        let request = Request::builder().method(method.as_str()).uri(&path);
        let response = bench
            .api
            .router()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
    }
}

#[tokio::test]
async fn every_route_answers_only_with_statuses_that_it_documents() {
    let bench = bench().await;
    bench.some_entities(3).await;
    for (method, path, _) in operations(&bench.api) {
        for (body, query) in [
            (None, ""),
            (Some(json!({"colour": "red"})), "?colour=red"),
            (Some(json!({})), ""),
        ] {
            let principal = holder(Role::Admin, &[]);
            let answer = bench
                .ask(principal, &method, &format!("{path}{query}"), body, &[])
                .await;
            assert!(answer.status < 500, "{method} {path}{query}: {}", answer.body);
            if answer.status >= 400 {
                assert_eq!(answer.kind, "application/problem+json", "{method} {path}{query}");
            }
        }
    }
    let document = serde_json::to_value(bench.api.document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for status in ["400", "401", "403", "429", "500", "503"] {
                assert!(
                    operation["responses"].get(status).is_some(),
                    "{method} {path}: {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_problem_of_the_store_tells_no_caller_where_the_store_is() {
    let bench = bench().await;
    let folder = bench.folder.path().to_str().unwrap().to_owned();
    std::fs::remove_file(bench.folder.path().join("t.db")).unwrap();
    for (method, path) in [("POST", "/v1/sources/platform/pause"), ("DELETE", "/v1/tokens/x")] {
        let answer = bench.ask(holder(Role::Admin, &[]), method, path, None, &[]).await;
        assert!(answer.status >= 500, "{method} {path}: {}", answer.body);
        assert!(!answer.body.contains(&folder), "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_configuration_shows_every_key_with_its_value_or_default_and_no_secret() {
    let key = "07".repeat(32);
    let yaml = format!(
        "store: postgres://me:hunter2@db/tideline\nworker: {{ concurrency: 3 }}\nsecret_key: \"{key}\"\n\
         hooks: [{{ name: gh, provider: github, secret: hunter3 }}]\n"
    );
    let settings = tideline_config::parse(&yaml, std::path::Path::new("t.yaml"), &|_| None).unwrap();
    let bench = bench_with(Some(settings)).await;
    let answer = bench.get("/v1/configuration").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        !answer.body.contains("hunter") && !answer.body.contains(&key),
        "{}",
        answer.body
    );
    let shown = answer.json();
    let one = |name: &str| {
        let mut keys = shown["keys"].as_array().unwrap().iter();
        let found = keys
            .find(|key| key["key"] == name)
            .unwrap_or_else(|| panic!("{name}: {shown}"));
        (found["value"].clone(), found["given"].clone())
    };
    assert_eq!(one("store"), (json!("postgres://db/tideline"), json!(true)));
    assert_eq!(one("worker.concurrency"), (json!("3"), json!(true)));
    assert_eq!(one("worker.lease"), (json!("5s"), json!(false)));
    assert_eq!(one("hooks[0].secret"), (json!("[redacted]"), json!(true)));
    let limited = holder(Role::Operate, &["team-*"]);
    let refused = bench.ask(limited, "GET", "/v1/configuration", None, &[]).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
}
