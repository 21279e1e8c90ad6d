//! What of a URL stays.

use serde_json::json;

use super::*;

#[test]
fn parameters_stay_unless_they_are_positions_that_the_pagination_sets() {
    let next = |url: &str| json!({"data": items(5), "next": format!("https://api.example.com/things{url}")});
    let cursor = || json!({"data": items(5), "next_cursor": "abc"});
    for (query, body, kept) in [
        ("?per_page=100", items(5), r#"{ "per_page": "100" }"#),
        (
            "?maxResults=10&state=open",
            items(5),
            r#"{ "maxResults": "10", "state": "open" }"#,
        ),
        ("?limit=50&offset=0&state=open", items(5), r#"{ "state": "open" }"#),
        (
            "?page=1&page_size=5&from=2024-01-01",
            items(5),
            r#"{ "from": "2024-01-01" }"#,
        ),
        ("?limit=5&state=open", cursor(), r#"{ "state": "open" }"#),
        ("?cursor=x", cursor(), ""),
        ("?after=2024-01-01", cursor(), r#"{ "after": "2024-01-01" }"#),
        (
            "?page=1&state=open",
            next("?page=2&state=open"),
            r#"{ "page": "1", "state": "open" }"#,
        ),
        (
            "?page=3&state=open",
            next("?page=4&state=open"),
            r#"{ "state": "open" }"#,
        ),
        (
            "?page=1",
            json!({"data": items(5), "next": "/things?page=2", "previous": "/things?page=0"}),
            "",
        ),
        ("?offset=0&x=y", json!({"data": items(5), "next": 5}), r#"{ "x": "y" }"#),
        ("?pg=3", next("?pg=4"), ""),
        ("?start=1700000000&limit=5", cursor(), r#"{ "start": "1700000000" }"#),
        ("?sort=Name", next("?sort=name&page=2"), r#"{ "sort": "Name" }"#),
        ("?cursor=b", next("?cursor=c"), ""),
        ("?limit=0", items(5), r#"{ "limit": "0" }"#),
    ] {
        let (_, text) = written(&format!("https://api.example.com/things{query}"), &[], body.clone());
        assert_eq!(line(&text, "query"), kept, "{query} {body}");
    }
}

#[test]
fn a_parameter_that_is_given_several_times_is_a_list() {
    let url = Url::parse("https://api.example.com/things?status=a&status=b&x=1").unwrap();
    let guess = guess(&url, &response(&[], items(1))).unwrap();
    let text = config("api", &url, None, &guess);
    assert_eq!(line(&text, "query"), r#"{ "status": ["a", "b"], "x": "1" }"#);
}

#[test]
fn a_list_of_values_can_be_read() {
    let (_, text) = written("https://api.example.com/things?status=a&status=b", &[], items(1));
    assert_eq!(line(&text, "query"), r#"{ "status": ["a", "b"] }"#);
}

#[test]
fn the_final_slash_of_a_path_stays() {
    for (url, base, path, name) in [
        (
            "https://api.example.com/api/books/",
            "https://api.example.com/api/",
            "books/",
            "books",
        ),
        (
            "https://api.example.com/api/books?x=1",
            "https://api.example.com/api/",
            "books",
            "books",
        ),
        (
            "https://api.example.com/books/",
            "https://api.example.com/",
            "books/",
            "books",
        ),
        ("https://api.example.com/", "https://api.example.com/", ".", "items"),
        ("http://localhost:8080/a/b/", "http://localhost:8080/a/", "b/", "b"),
    ] {
        let (_, text) = written(url, &[], items(1));
        let resource = format!("      - name: {name:?}\n        path: {path:?}\n");
        assert_eq!(line(&text, "base_url"), format!("{base:?}"), "{url}");
        assert!(text.contains(&resource), "{url}\n{text}");
    }
}

#[test]
fn next_urls_of_confluence_leave_out_the_path_of_its_base() {
    let body = |next: &str| json!({"results": items(5), "_links": {"base": "https://x.example.com/wiki", "context": "/wiki", "next": next}});
    let left_out = body("/rest/api/content?limit=5&start=5");
    let (_, text) = written("https://x.example.com/wiki/rest/api/content?limit=5", &[], left_out);
    assert_eq!(line(&text, "base_url"), r#""https://x.example.com/wiki/""#);
    assert_eq!(line(&text, "next_urls"), "{ base_path: / }");
    assert!(
        text.contains("name: \"content\"\n        path: \"rest/api/content\"\n"),
        "{text}"
    );
    assert!(
        line(&text, "pagination").starts_with(r#"{ type: next_url, next: "._links.next""#),
        "{text}"
    );
    let whole = body("/wiki/api/v2/pages?cursor=a");
    let (_, text) = written("https://x.example.com/wiki/api/v2/pages", &[], whole);
    assert_eq!(line(&text, "next_urls"), "");
    assert_eq!(line(&text, "base_url"), r#""https://x.example.com/wiki/api/v2/""#);
}
