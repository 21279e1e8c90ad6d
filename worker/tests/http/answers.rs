//! Answers that say in their body that they failed, that are one JSON text per line, or that say that there is nothing.

use axum::response::Response;
use serde_json::json;
use tideline_config::settings::{AnswerFormat, FailIf, HttpSettings, Pagination};
use tideline_worker::{ErrorClass, Item, PageRequest, Source, SourceError};

use crate::api::*;

const TRANSIENT: ErrorClass = ErrorClass::Transient { retry_after: None };

fn graphql(api: &Api) -> HttpSettings {
    let mut settings = things(&api.url, Pagination::None);
    settings.resources[0].post = true;
    settings.resources[0].body = Some(json!({"query": "query { things { kind metadata { name } } }"}));
    settings.resources[0].items = Some(".data.things".into());
    settings
}

async fn graphql_error(body: serde_json::Value) -> SourceError {
    let api = Api::start(move |_| answer(body.clone())).await;
    first(&open(graphql(&api))).await.unwrap_err()
}

#[tokio::test]
async fn graphql_errors_in_a_200_are_no_empty_list() {
    let error = json!([{"message": "Something went wrong", "path": ["things"]}]);
    for (body, class) in [
        (json!({"data": {"things": null}, "errors": error}), TRANSIENT),
        (json!({"data": null, "errors": error}), TRANSIENT),
        (
            json!({"data": {"things": components(0, 1)}, "errors": error}),
            TRANSIENT,
        ),
        (
            json!({"errors": [{"message": "Something went wrong: no field x"}]}),
            ErrorClass::Permanent,
        ),
        (
            json!({"errors": [{"type": "RATE_LIMITED", "message": "Something went wrong: rate limit"}]}),
            TRANSIENT,
        ),
    ] {
        let error = graphql_error(body.clone()).await;
        assert_eq!(error.class, class, "{body}: {error}");
        assert!(error.message.contains("Something went wrong"), "{error}");
    }
}

#[tokio::test]
async fn a_graphql_answer_without_errors_is_read_and_the_check_can_be_left_out() {
    for errors in [json!(null), json!([])] {
        let api = Api::start(move |_| answer(json!({"data": {"things": components(0, 2)}, "errors": errors}))).await;
        assert_eq!(pass(&open(graphql(&api))).await.names, names(2));
    }
    let api =
        Api::start(|_| answer(json!({"data": {"things": components(0, 2)}, "errors": [{"message": "partly"}]}))).await;
    let mut settings = graphql(&api);
    settings.resources[0].fail_if = FailIf::Never;
    assert_eq!(pass(&open(settings)).await.names, names(2));
}

#[tokio::test]
async fn what_an_api_says_in_a_200_can_be_called_a_failure() {
    for (expression, body, shown) in [
        (
            "if .ok then empty else .error end",
            json!({"ok": false, "error": "ratelimited"}),
            "ratelimited",
        ),
        (".ok | not", json!({"ok": false}), "fail_if"),
        (".error", json!({"error": "try later", "items": []}), "try later"),
    ] {
        let api = Api::start(move |_| answer(body.clone())).await;
        let mut settings = things(&api.url, Pagination::None);
        settings.resources[0].fail_if = FailIf::Expression(expression.into());
        let error = first(&open(settings)).await.unwrap_err();
        assert_eq!(error.class, TRANSIENT, "{expression}: {error}");
        assert!(error.message.contains(shown), "{error}");
    }
    let api = Api::start(|_| answer(json!({"ok": true, "items": components(0, 1)}))).await;
    let mut settings = things(&api.url, Pagination::None);
    settings.resources[0].fail_if = FailIf::Expression(".ok | not".into());
    assert_eq!(pass(&open(settings)).await.names, names(1));
}

fn lines(kind: &'static str, body: &str) -> Response {
    status(200, &[("content-type", kind)], body)
}

#[tokio::test]
async fn an_answer_of_one_json_text_per_line_is_read() {
    let body = format!("{}\r\n\n{}\n{}", component("c0"), component("c1"), component("c2"));
    for (kind, format) in [
        ("application/x-ndjson; charset=utf-8", AnswerFormat::Auto),
        ("application/jsonl", AnswerFormat::Auto),
        ("text/plain", AnswerFormat::Ndjson),
    ] {
        let body = body.clone();
        let api = Api::start(move |_| lines(kind, &body)).await;
        let mut settings = things(&api.url, Pagination::None);
        settings.resources[0].format = format;
        assert_eq!(pass(&open(settings)).await.names, names(3), "{kind}");
    }
}

#[tokio::test]
async fn a_broken_line_is_malformed_and_a_cut_last_one_is_transient() {
    let whole = format!("{}\n{{\"kind\": oops}}\n{}\n", component("c0"), component("c1"));
    let cut = whole[..whole.len() - 10].to_owned();
    let api = Api::start(move |_| lines("application/x-ndjson", &whole)).await;
    let page = first(&open(things(&api.url, Pagination::None))).await.unwrap();
    let malformed = items(&page).iter().filter(|item| matches!(item, Item::Malformed(_)));
    assert_eq!((items(&page).len(), malformed.count()), (3, 1));
    let api = Api::start(move |_| lines("application/x-ndjson", &cut)).await;
    let error = first(&open(things(&api.url, Pagination::None))).await.unwrap_err();
    assert_eq!(error.class, TRANSIENT);
}

#[tokio::test]
async fn documents_of_yaml_are_items_and_a_broken_one_costs_no_other() {
    let text =
        "kind: Component\nmetadata: { name: c0 }\n---\nkind: [broken\n---\nkind: Component\nmetadata: { name: c1 }\n";
    let api = Api::start(move |_| lines("text/plain", text)).await;
    let mut settings = things(&api.url, Pagination::None);
    settings.resources[0].format = AnswerFormat::Yaml;
    let page = first(&open(settings)).await.unwrap();
    let malformed = items(&page).iter().filter_map(|item| match item {
        Item::Malformed(item) => Some(item.error.clone()),
        Item::Entity { .. } | Item::MadeBy(_) => None,
    });
    let malformed: Vec<String> = malformed.collect();
    assert_eq!((items(&page).len(), malformed.len()), (3, 1));
    assert!(
        malformed[0].contains("line 5") || malformed[0].contains("line 4"),
        "{malformed:?}"
    );
}

#[tokio::test]
async fn a_child_that_is_gone_is_read_as_empty_and_finished() {
    for (code, headers, absent, empty) in [
        (404, &[][..], vec![404, 410], true),
        (410, &[], vec![404, 410], true),
        (409, &[], vec![409], true),
        (403, &[], vec![404, 410], false),
        (403, &[("x-ratelimit-remaining", "0")], vec![403], false),
    ] {
        let api = Api::start(move |_| status(code, headers, "gone")).await;
        let mut settings = things(&api.url, Pagination::None);
        settings.resources[0].absent = absent;
        match first(&open(settings)).await {
            Ok(page) => assert!(empty && items(&page).is_empty() && page.next.is_none(), "{code}"),
            Err(error) => assert!(!empty, "{code}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_child_that_goes_while_it_is_read_starts_over() {
    let api = Api::start(|seen| match seen.query("after") {
        None => answer(json!({"items": components(0, 1), "next": "x"})),
        Some(_) => status(404, &[], ""),
    })
    .await;
    let pagination = Pagination::Cursor {
        next: ".next".into(),
        parameter: "after".into(),
        in_body: false,
        size: None,
    };
    let mut settings = things(&api.url, pagination);
    settings.resources[0].absent = vec![404];
    let request = PageRequest {
        partition: "test",
        args: &json!({}),
        cursor: Some(&json!("x")),
        memory: None,
        pass: tideline_worker::Pass::Trial,
    };
    let error = open(settings).read_page(request).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::CursorExpired);
}
