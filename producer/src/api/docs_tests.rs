//! What is made from the code for readers.

use super::*;

/// `TIDELINE_WRITE_DOCS=1` writes them instead.
fn compare(path: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(path);
    if std::env::var_os("TIDELINE_WRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{} is out of date; TIDELINE_WRITE_DOCS=1 writes it",
        path.display()
    );
}

#[tokio::test]
async fn the_openapi_document_in_docs_is_that_of_the_code() {
    let document = bench().await.api.document().to_pretty_json().unwrap();
    compare("openapi.json", &format!("{document}\n"));
}

#[tokio::test]
async fn no_two_operations_have_the_same_id() {
    let bench = bench().await;
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in &bench.api.document().paths.paths {
        for (method, operation) in docs::operations(item) {
            let id = operation.operation_id.clone().unwrap_or_default();
            assert!(!id.is_empty() && ids.insert(id.clone()), "{method} {path}: {id}");
        }
    }
    assert!(ids.contains("sources_list") && ids.contains("status"), "{ids:?}");
}

#[test]
fn the_list_of_problems_in_docs_is_that_of_the_code() {
    let mut text = String::from(
        "# Problems\n\nErrors of the API are `application/problem+json` (RFC 9457). `type` is `urn:tideline:problem:` and the \
         code; codes are\nstable. This page is made from the code.\n\n| Code | Status | Meaning |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        text.push_str(&format!(
            "| `{}` | {} | {} |\n",
            code.as_str(),
            code.status(),
            code.explanation()
        ));
        assert_eq!(serde_json::to_value(code).unwrap(), json!(code.as_str()));
    }
    compare("problems.md", &text);
}

#[tokio::test]
async fn the_documentation_loads_nothing_from_outside() {
    let bench = bench().await;
    for path in ["/docs", "/openapi.json"] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = bench.api.docs().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        if path == "/docs" {
            assert!(text.contains("/v1/sources") && !text.contains("http://") && !text.contains("https://"));
            assert!(!text.contains("<script"));
        }
    }
}
