//! What is written is checked as `tideline check` does.

mod known_apis;
mod urls;

use std::path::Path;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::*;

/// The response of an API.
fn response(headers: &[(&'static str, &'static str)], body: Value) -> Response {
    let pairs = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    Response { headers, body }
}

/// What is guessed, and the file, which is checked.
fn written(url: &str, headers: &[(&'static str, &'static str)], body: Value) -> (Guess, String) {
    let url = Url::parse(url).unwrap();
    let guess = guess(&url, &response(headers, body)).unwrap();
    let text = config("api", &url, Some("API_TOKEN"), &guess);
    let environment = |name: &str| (name == "API_TOKEN").then(|| "secret-token".to_owned());
    let settings = tideline_config::parse(&text, Path::new("t.yaml"), &environment);
    let settings = settings.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    let opened = tideline_worker::sources::open(&settings.sources[0]);
    assert!(opened.is_ok(), "{:?}\n{text}", opened.err());
    (guess, text)
}

/// The value of a key in the file; "" if it is missing.
fn line<'t>(text: &'t str, key: &str) -> &'t str {
    let mut lines = text.lines().map(str::trim);
    lines
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        .unwrap_or_default()
}

fn guessed(body: Value) -> Guess {
    written("https://api.example.com/v1/things", &[], body).0
}

/// As many items, each with an id.
fn items(count: usize) -> Value {
    (0..count).map(|number| json!({"id": format!("t{number}")})).collect()
}

#[test]
fn items_that_have_a_kind_and_a_name_become_entities_as_they_are() {
    let entity = json!({"kind": "Component", "metadata": {"name": "web"}});
    assert!(guessed(json!({"things": [entity]})).as_is);
    assert!(!guessed(json!({"things": [entity, {"id": 1}]})).as_is);
}

#[test]
fn a_list_is_found_where_apis_put_it() {
    for (body, path) in [
        (json!([{"id": 1}]), None),
        (json!({"items": [{"id": 1}]}), None),
        (json!({"things": []}), Some(".things")),
        (json!({"results": [{"id": 1}], "things": [{"id": 1}]}), Some(".things")),
        (
            json!({"results": [{"id": 1}], "facets": [{"id": 1}, {"id": 2}]}),
            Some(".results"),
        ),
        (json!({"_embedded": {"orders": [{"id": 1}]}}), Some("._embedded.orders")),
        (json!({"data": {"results": [{"id": 1}]}}), Some(".data.results")),
    ] {
        assert_eq!(guessed(body.clone()).items.as_deref(), path, "{body}");
    }
    let url = Url::parse("https://api.example.com").unwrap();
    assert_eq!(guess(&url, &response(&[], json!({"message": "hello"}))), None);
}

#[test]
fn a_list_of_errors_is_not_the_list_of_items() {
    let failed = json!({"errors": [{"message": "Bad credentials"}], "data": null});
    let url = Url::parse("https://api.example.com").unwrap();
    assert_eq!(guess(&url, &response(&[], failed.clone())), None);
    assert_eq!(error_in(&failed).as_deref(), Some("Bad credentials"));
    assert_eq!(error_in(&json!({"error": "no"})).as_deref(), Some("no"));
    assert_eq!(
        error_in(&json!({"error": {"code": 7}})).as_deref(),
        Some("{\"code\":7}")
    );
    assert_eq!(error_in(&json!({"errors": [], "error": null})), None);
    let fine = json!({"errors": [], "things": [{"id": 1}]});
    assert_eq!(guessed(fine).items.as_deref(), Some(".things"));
}

#[test]
fn items_are_named_by_what_tells_them_apart() {
    for (items, entity) in [
        (
            json!([{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]),
            r#"name: ".id" }"#,
        ),
        (
            json!([{"name": "a", "slug": "a"}, {"name": "a", "slug": "b"}]),
            r#"name: ".slug" }"#,
        ),
        (json!([{"name": "a"}, {"name": "b"}]), r#"name: ".name" }"#),
        (
            json!([{"id": null, "key": "K"}, {"id": 2, "key": "L"}]),
            r#"name: ".key" }"#,
        ),
        (
            json!([{"name": "a", "orderNumber": 1}, {"name": "A", "orderNumber": 2}]),
            r#"name: ".orderNumber" }"#,
        ),
        (
            json!([{"metadata": {"name": "web", "namespace": "a"}}, {"metadata": {"name": "web", "namespace": "b"}}]),
            r#"namespace: ".metadata.namespace", name: ".metadata.name" }"#,
        ),
        (json!([{"metadata": {"name": "node-1"}}]), r#"name: ".metadata.name" }"#),
    ] {
        let (guess, text) = written("https://api.example.com/v1/things", &[], items.clone());
        assert!(line(&text, "entity").ends_with(entity), "{items}\n{text}");
        assert_eq!(guess.warnings(), [""; 0], "{items}");
    }
    let warnings = guessed(json!([{"name": "a"}, {"name": "a"}])).warnings();
    assert!(
        warnings[0].starts_with("Several items have the same .name"),
        "{warnings:?}"
    );
}

#[test]
fn a_response_that_says_that_there_is_more_but_not_how_to_get_it_is_a_warning() {
    for (url, headers, body, says) in [
        (
            "things",
            &[][..],
            json!({"data": items(5), "total": 35, "has_more": true}),
            "(total 35, has_more: true)",
        ),
        (
            "things",
            &[("x-total-count", "35")][..],
            items(5),
            "(x-total-count: 35)",
        ),
        (
            "things",
            &[("x-wp-totalpages", "4")][..],
            items(5),
            "(x-wp-totalpages: 4)",
        ),
        (
            "things",
            &[][..],
            json!({"data": items(5), "isLast": false}),
            "(isLast: false)",
        ),
        ("things", &[][..], json!({"data": items(5), "next": "abc"}), "(.next)"),
        (
            "things",
            &[][..],
            json!({"data": items(5), "hasMore": true, "next_cursor": null}),
            "(hasMore: true)",
        ),
        ("things?per_page=5", &[][..], items(5), "(a full page, with per_page=5)"),
        (
            "things?cursor=*",
            &[][..],
            json!({"data": items(5), "next-cursor": "a"}),
            "(.[\"next-cursor\"])",
        ),
    ] {
        let (guess, text) = written(&format!("https://api.example.com/{url}"), headers, body.clone());
        assert_eq!(line(&text, "pagination"), "{ type: none }", "{body}");
        assert!(
            text.contains("# The response says that there is more, but not how to get it."),
            "{text}"
        );
        let warnings = guess.warnings();
        assert_eq!(warnings.len(), 1, "{body}: {warnings:?}");
        assert!(warnings[0].contains(says), "{body}: {warnings:?}");
    }
    for body in [
        items(5),
        json!({"data": items(5), "total": 5, "has_more": false, "nextRun": "monday"}),
        json!({"data": items(5), "count": 25, "start": 0}),
    ] {
        let guess = guessed(body.clone());
        assert_eq!((guess.warnings(), guess.paging), (vec![], Paging::Unknown), "{body}");
    }
}
