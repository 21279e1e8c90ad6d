//! What the layer over all routes does; the routes come from the OpenAPI document.

use super::*;

fn path_of(template: &str) -> String {
    template
        .replace("{id}", "1")
        .replace("{name}", "platform")
        .replace("{kind}", "component")
        .replace("{namespace}", "default")
}

#[tokio::test]
async fn no_route_ignores_a_parameter_that_it_does_not_know() {
    let bench = bench().await;
    for (template, item) in &bench.api.document().paths.paths {
        for (method, _) in docs::operations(item) {
            let path = format!("{}?foo=1", path_of(template));
            let answer = bench
                .ask(holder(Role::Admin, &[]), &method.to_uppercase(), &path, None, &[])
                .await;
            let found = (answer.status, answer.code());
            assert_eq!(found, (400, "unknown_field".to_owned()), "{method} {path}");
        }
    }
    let answer = bench.get("/v1/changes?aftr=1").await;
    assert!(answer.body.contains("did you mean after?"), "{}", answer.body);
    let answer = bench.get("/v1/status?foo=1").await;
    assert!(
        answer.body.contains("unknown field foo; this request takes no fields"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn no_route_ignores_a_body_that_it_does_not_know() {
    let bench = bench().await;
    for (template, item) in &bench.api.document().paths.paths {
        for (method, operation) in docs::operations(item) {
            if method == "get" || operation.request_body.is_some() {
                continue;
            }
            let (method, path) = (method.to_uppercase(), path_of(template));
            let body = Some(json!({"foo": 1}));
            let answer = bench.ask(holder(Role::Admin, &[]), &method, &path, body, &[]).await;
            assert_eq!(answer.code(), "unknown_field", "{method} {path}: {}", answer.body);
            let answer = bench
                .ask(holder(Role::Admin, &[]), &method, &path, Some(json!({})), &[])
                .await;
            assert_ne!(answer.status, 400, "{method} {path}: {}", answer.body);
        }
    }
    let answer = bench.post("/v1/sources/platform/pause", Some(json!([1]))).await;
    assert!(answer.body.contains("this request takes no body"), "{}", answer.body);
}

#[tokio::test]
async fn a_number_that_is_none_is_refused_with_what_is_accepted() {
    let bench = bench().await;
    for (path, says) in [
        ("/v1/jobs?limit=-1", "limit must be a number from 1 to 1000"),
        ("/v1/jobs?limit=", "limit must be a number from 1 to 1000"),
        ("/v1/changes?wait=x", "wait must be a number from 0 to 30"),
        ("/v1/jobs/abc", "abc in the path must be a number"),
    ] {
        let answer = bench.get(path).await;
        assert_eq!(
            (answer.status, answer.json()["detail"].as_str()),
            (400, Some(says)),
            "{path}"
        );
    }
    let answer = bench.post("/v1/subscriptions/s/pull", Some(json!({"max": 1001}))).await;
    assert_eq!(answer.json()["detail"], "max must be a number from 1 to 1000");
}

#[tokio::test]
async fn a_client_that_has_the_newest_record_gets_304() {
    let bench = bench().await;
    let path = "/v1/sources/platform";
    let tag = bench.get(path).await.etag.unwrap();
    for (given, status) in [
        (tag.clone(), 304),
        (format!("\"x\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        let known = [("if-none-match", given.as_str())];
        let answer = bench.ask(holder(Role::Read, &[]), "GET", path, None, &known).await;
        assert_eq!((answer.status, answer.etag), (status, Some(tag.clone())), "{given}");
        assert_eq!(answer.body.is_empty(), status == 304);
    }
    let known = [("if-none-match", "*")];
    let list = bench
        .ask(holder(Role::Read, &[]), "GET", "/v1/sources", None, &known)
        .await;
    assert_eq!(list.status, 200, "a list has no version");
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_such() {
    let bench = bench().await;
    let zipped = [("content-encoding", "gzip")];
    for path in ["/v1/jobs", "/v1/sources/platform/pause"] {
        let answer = bench
            .ask(holder(Role::Operate, &[]), "POST", path, Some(json!({})), &zipped)
            .await;
        assert_eq!(answer.code(), "unsupported_media_type", "{}", answer.body);
        assert!(answer.body.contains("Content-Encoding gzip"), "{}", answer.body);
    }
}
