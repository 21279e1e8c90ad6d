//! How well-known APIs are paged.

use serde_json::json;

use super::*;

/// URL, headers, body, and the pagination that follows.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Value,
    &'static str,
);

fn assert_paged<const N: usize>(cases: [Case; N]) {
    for (url, headers, body, pagination) in cases {
        let (guess, text) = written(&format!("https://api.example.com/{url}"), headers, body.clone());
        assert_eq!(line(&text, "pagination"), pagination, "{url} {headers:?} {body}");
        assert_eq!(guess.warnings(), [""; 0], "{url} {body}");
    }
}

#[test]
fn urls_of_next_pages_are_found_where_apis_keep_them() {
    assert_paged([
        (
            "x",
            &[("link", "<https://api.example.com/x?page=2>; rel=\"next\"")][..],
            items(1),
            "{ type: link_header }",
        ),
        (
            "x",
            &[
                ("link", "<https://a>; rel=\"https://api.w.org/\""),
                ("link", "<https://b>; rel=next"),
            ],
            items(1),
            "{ type: link_header }",
        ),
        (
            "x",
            &[("link", "</x?page=1>; rel=\"first\", </x?page=1>; rel=\"last\"")],
            items(1),
            "{ type: link_header }",
        ),
        (
            "x",
            &[],
            json!({"results": items(1), "next": "https://api.example.com/x?page=2"}),
            r#"{ type: next_url, next: ".next" }"#,
        ),
        (
            "x",
            &[],
            json!({"results": items(1), "next": null, "previous": null}),
            r#"{ type: next_url, next: ".next" }"#,
        ),
        (
            "x",
            &[],
            json!({"data": items(1), "links": {"next": {"href": "?page=2"}}}),
            r#"{ type: next_url, next: ".links.next.href" }"#,
        ),
    ]);
}

#[test]
fn cursors_are_found_where_apis_keep_them() {
    assert_paged([
        (
            "x",
            &[],
            json!({"items": items(1), "metadata": {"continue": "abc"}}),
            r#"{ type: cursor, next: ".metadata.continue", parameter: "continue" }"#,
        ),
        (
            "x",
            &[],
            json!({"items": items(1), "kind": "PodList", "metadata": {"resourceVersion": "1"}}),
            r#"{ type: cursor, next: ".metadata.continue", parameter: "continue" }"#,
        ),
        (
            "x",
            &[],
            json!({"files": items(1), "nextPageToken": "abc"}),
            r#"{ type: cursor, next: ".nextPageToken", parameter: "pageToken" }"#,
        ),
        (
            "x?limit=5",
            &[],
            json!({"data": items(1), "next_page": 2}),
            r#"{ type: cursor, next: ".next_page", parameter: "page", size: { parameter: "limit", value: 5 } }"#,
        ),
        (
            "x",
            &[],
            json!({"data": items(1), "pageInfo": {"hasNextPage": true, "endCursor": "a"}}),
            r#"{ type: cursor, next: ".pageInfo | select(.hasNextPage) | .endCursor", parameter: "after" }"#,
        ),
    ]);
}

#[test]
fn cursors_are_found_in_headers() {
    assert_paged([
        (
            "x",
            &[("x-next-page", "2")],
            items(1),
            r#"{ type: header, header: X-Next-Page, parameter: "page" }"#,
        ),
        (
            "x?per_page=20",
            &[("x-next-page", "")],
            items(1),
            r#"{ type: header, header: X-Next-Page, parameter: "page", size: { parameter: "per_page", value: 20 } }"#,
        ),
        (
            "x",
            &[("x-next-page", "https://api.example.com/x?page=2")],
            items(1),
            "{ type: next_url, header: X-Next-Page }",
        ),
        (
            "x",
            &[("x-ms-continuationtoken", "abc")],
            json!({"value": items(1)}),
            r#"{ type: header, header: x-ms-continuationtoken, parameter: "continuationToken" }"#,
        ),
    ]);
}

#[test]
fn well_known_trackers_are_recognized() {
    assert_paged([
        // Jira
        (
            "search",
            &[][..],
            json!({"startAt": 0, "maxResults": 5, "total": 35, "issues": items(5)}),
            r#"{ type: offset, parameter: "startAt", total: ".total", size: { parameter: "maxResults", value: 5 } }"#,
        ),
        (
            "project/search?maxResults=10",
            &[],
            json!({"startAt": 0, "maxResults": 10, "isLast": false, "values": items(10)}),
            r#"{ type: offset, parameter: "startAt", size: { parameter: "maxResults", value: 10 }, end: { when: ".isLast" } }"#,
        ),
        (
            "search/jql",
            &[],
            json!({"issues": items(5), "nextPageToken": "a", "isLast": false}),
            r#"{ type: cursor, next: ".nextPageToken", parameter: "nextPageToken" }"#,
        ),
        (
            "search/jql",
            &[],
            json!({"issues": items(5), "isLast": true}),
            r#"{ type: cursor, next: ".nextPageToken", parameter: "nextPageToken" }"#,
        ),
        // Bitbucket Server
        (
            "repos",
            &[],
            json!({"values": items(5), "size": 5, "limit": 5, "isLastPage": false, "start": 0, "nextPageStart": 5}),
            r#"{ type: cursor, next: ".nextPageStart", parameter: "start" }"#,
        ),
    ]);
}

#[test]
fn well_known_cursors_are_recognized() {
    assert_paged([
        // Stripe, OpenAI, Notion
        (
            "charges?limit=10",
            &[],
            json!({"object": "list", "data": items(10), "has_more": true}),
            r#"{ type: cursor, next: "select(.has_more) | .data[-1].id", parameter: "starting_after", size: { parameter: "limit", value: 10 } }"#,
        ),
        (
            "files",
            &[],
            json!({"object": "list", "data": items(2), "first_id": "t0", "last_id": "t1", "has_more": true}),
            r#"{ type: cursor, next: "select(.has_more) | .last_id", parameter: "after" }"#,
        ),
        (
            "users",
            &[],
            json!({"object": "list", "results": items(2), "next_cursor": "a", "has_more": true}),
            r#"{ type: cursor, next: ".next_cursor", parameter: "start_cursor" }"#,
        ),
        // Slack
        (
            "users.list",
            &[],
            json!({"ok": true, "members": items(1), "response_metadata": {"next_cursor": "a"}}),
            r#"{ type: cursor, next: ".response_metadata.next_cursor", parameter: "cursor" }"#,
        ),
        (
            "users.list",
            &[],
            json!({"ok": true, "members": items(1), "response_metadata": {"next_cursor": ""}}),
            r#"{ type: cursor, next: ".response_metadata.next_cursor", parameter: "cursor" }"#,
        ),
        // Salesforce
        (
            "query?q=SELECT",
            &[],
            json!({"totalSize": 35, "done": false, "nextRecordsUrl": "/services/data/v60.0/query/01g", "records": items(5)}),
            r#"{ type: next_url, next: ".nextRecordsUrl" }"#,
        ),
        (
            "query?q=SELECT",
            &[],
            json!({"totalSize": 5, "done": true, "records": items(5)}),
            r#"{ type: next_url, next: ".nextRecordsUrl" }"#,
        ),
        // SCIM
        (
            "Users?startIndex=1&count=5",
            &[],
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "startIndex": 1, "itemsPerPage": 5, "totalResults": 35, "Resources": items(5)}),
            r#"{ type: cursor, next: "select(.startIndex + .itemsPerPage <= .totalResults) | .startIndex + .itemsPerPage", parameter: "startIndex", size: { parameter: "count", value: 5 } }"#,
        ),
    ]);
}

#[test]
fn other_well_known_apis_are_recognized() {
    let airtable = json!([{"id": "rec1", "createdTime": "2024-01-01", "fields": {}}]);
    assert_paged([
        // HubSpot
        (
            "contacts",
            &[],
            json!({"results": items(5), "paging": {"next": {"after": "5", "link": "https://api.example.com/contacts?after=5"}}}),
            r#"{ type: cursor, next: ".paging.next.after", parameter: "after" }"#,
        ),
        // Airtable
        (
            "app/Table?pageSize=5",
            &[],
            json!({"records": airtable, "offset": "itr/rec"}),
            r#"{ type: cursor, next: ".offset", parameter: "offset", size: { parameter: "pageSize", value: 5 } }"#,
        ),
        (
            "app/Table",
            &[],
            json!({"records": airtable}),
            r#"{ type: cursor, next: ".offset", parameter: "offset" }"#,
        ),
        // PagerDuty
        (
            "users",
            &[],
            json!({"users": items(25), "limit": 25, "offset": 0, "total": null, "more": true}),
            r#"{ type: offset, parameter: "offset", size: { parameter: "limit", value: 25 }, end: { when: ".more == false" } }"#,
        ),
        // Strapi
        (
            "articles",
            &[],
            json!({"data": items(25), "meta": {"pagination": {"page": 1, "pageSize": 25, "pageCount": 2, "total": 35}}}),
            r#"{ type: page, parameter: "pagination[page]", total_pages: ".meta.pagination.pageCount" }"#,
        ),
        (
            "articles",
            &[],
            json!({"data": items(25), "meta": {"pagination": {"start": 0, "limit": 25, "total": 35}}}),
            r#"{ type: offset, parameter: "pagination[start]", total: ".meta.pagination.total", size: { parameter: "pagination[limit]", value: 25 } }"#,
        ),
        // Asana
        (
            "tasks",
            &[],
            json!({"data": items(5), "next_page": {"offset": "e", "uri": "https://api.example.com/tasks?offset=e"}}),
            r#"{ type: next_url, next: ".next_page.uri" }"#,
        ),
    ]);
}

#[test]
fn spring_counts_pages_from_zero() {
    let spring = |number: u64, first: bool| json!({"content": items(10), "number": number, "first": first, "last": false, "totalPages": 4, "totalElements": 35, "size": 10});
    let paged = |first: &str| format!("{{ type: page, parameter: \"page\"{first}, total_pages: \".totalPages\"");
    for (query, body, first) in [
        ("?page=0&size=10", spring(0, true), ", first: 0"),
        ("", spring(0, true), ", first: 0"),
        ("?page=1&size=10", spring(1, false), ", first: 0"),
        ("?page=2&size=10", spring(2, false), ", first: 0"),
        // With spring.data.web.pageable.one-indexed-parameters.
        ("?page=1&size=10", spring(0, true), ""),
        ("?page=2&size=10", spring(1, false), ""),
    ] {
        let (_, text) = written(&format!("https://api.example.com/api/things{query}"), &[], body);
        assert!(line(&text, "pagination").starts_with(&paged(first)), "{query}\n{text}");
        assert_eq!(line(&text, "query"), "", "{query}");
    }
    let model = json!({"content": items(10), "page": {"size": 10, "number": 0, "totalPages": 4, "totalElements": 35}});
    let (_, text) = written("https://api.example.com/api/things", &[], model);
    assert_eq!(
        line(&text, "pagination"),
        r#"{ type: page, parameter: "page", first: 0, total_pages: ".page.totalPages" }"#
    );
}

#[test]
fn pages_and_offsets_are_counted_as_the_response_or_the_url_does() {
    assert_paged([
        (
            "x?page=0&per_page=10",
            &[][..],
            items(10),
            r#"{ type: page, parameter: "page", first: 0, size: { parameter: "per_page", value: 10 } }"#,
        ),
        ("x?page=3", &[], items(10), r#"{ type: page, parameter: "page" }"#),
        (
            "x?page=1&page_size=10",
            &[],
            json!({"results": items(10), "count": 35}),
            r#"{ type: page, parameter: "page", total: ".count", size: { parameter: "page_size", value: 10 } }"#,
        ),
        (
            "x?limit=50&offset=0",
            &[],
            json!({"data": items(5), "total": 35}),
            r#"{ type: offset, parameter: "offset", total: ".total", size: { parameter: "limit", value: 50 } }"#,
        ),
        (
            "x?skip=20",
            &[],
            items(5),
            r#"{ type: offset, parameter: "skip", size: { parameter: "limit", value: 5 } }"#,
        ),
        (
            "x",
            &[],
            json!({"data": items(5), "page": 1, "per_page": 5, "total": 35}),
            r#"{ type: page, parameter: "page", total: ".total" }"#,
        ),
        (
            "x",
            &[],
            json!({"data": items(5), "meta": {"total_pages": 7}}),
            r#"{ type: page, parameter: "page", total_pages: ".meta.total_pages" }"#,
        ),
        // Neither counts all items: that of the page, and that of something else.
        (
            "x?page=1",
            &[],
            json!({"data": items(5), "total": 5}),
            r#"{ type: page, parameter: "page" }"#,
        ),
        (
            "x?page=1",
            &[],
            json!({"data": items(5), "total": 35, "page_count": 5, "pages": 7}),
            r#"{ type: page, parameter: "page", total_pages: ".pages" }"#,
        ),
    ]);
}
