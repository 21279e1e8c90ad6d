//! Each kind of pagination, with its stop conditions.

use axum::response::Response;
use serde_json::{Value, json};
use tideline_config::settings::{EntityShape, Pagination};
use tideline_worker::ErrorClass;

use crate::api::*;

fn slice(from: usize, limit: usize, total: usize) -> Vec<Value> {
    components(from.min(total), (from + limit).min(total))
}

fn cursor(next: &str) -> Pagination {
    Pagination::Cursor {
        next: next.into(),
        parameter: "after".into(),
        in_body: false,
        size: size(3),
    }
}

#[tokio::test]
async fn a_cursor_in_the_body_is_followed_until_it_is_absent_null_or_empty() {
    for end in [
        json!({}),
        json!({"next": null}),
        json!({"next": ""}),
        json!({"next": false}),
    ] {
        let api = Api::start(move |seen| {
            let from = seen.number("after").unwrap_or(0);
            let mut body = if from + 3 < 8 {
                json!({"next": (from + 3).to_string()})
            } else {
                end.clone()
            };
            body["items"] = slice(from, seen.number("limit").unwrap(), 8).into();
            answer(body)
        })
        .await;
        let pass = pass(&open(things(&api.url, cursor(".next")))).await;
        assert_eq!(pass.names, names(8));
        assert_eq!(pass.cursors, [json!("3"), json!("6")]);
    }
}

#[tokio::test]
async fn a_cursor_may_be_made_by_jq_and_go_into_the_body_of_a_post() {
    let api = Api::start(|seen| {
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let from = body["variables"]["after"].as_u64().map_or(0, |after| after as usize);
        assert_eq!(
            (seen.method.as_str(), body["variables"]["first"].as_u64()),
            ("POST", Some(3))
        );
        let end = json!({"endCursor": from + 3, "hasNextPage": from + 3 < 7});
        answer(json!({"data": {"nodes": slice(from, 3, 7), "pageInfo": end}}))
    })
    .await;
    let mut settings = things(
        &api.url,
        Pagination::Cursor {
            next: ".data.pageInfo | if .hasNextPage then .endCursor else null end".into(),
            parameter: "variables.after".into(),
            in_body: true,
            size: size(3).map(|size| tideline_config::settings::PageSize {
                parameter: "variables.first".into(),
                ..size
            }),
        },
    );
    settings.resources[0].post = true;
    settings.resources[0].body = Some(json!({"query": "query{nodes}"}));
    settings.resources[0].items = Some(".data.nodes".into());
    let pass = pass(&open(settings)).await;
    assert_eq!(pass.names, names(7));
}

#[tokio::test]
async fn a_cursor_of_many_digits_comes_back_digit_by_digit() {
    const LONG: &str = "123456789012345678901234567890";
    let api = Api::start(|seen| match seen.query("after") {
        None => status(
            200,
            &[("content-type", "application/json")],
            &format!("{{\"items\":[],\"next\":{LONG}}}"),
        ),
        Some(after) => {
            assert_eq!(after, LONG);
            answer(json!({"items": components(0, 1)}))
        }
    })
    .await;
    assert_eq!(pass(&open(things(&api.url, cursor(".next")))).await.names, names(1));
}

fn next_url(api: &url::Url, seen: &Seen, absolute: bool) -> Option<String> {
    let from = seen.number("from").unwrap_or(0);
    let path = format!("/things?from={}&key=hush-hush&limit=3", from + 3);
    let url = if absolute {
        format!("{}{}", api.as_str().trim_end_matches('/'), path)
    } else {
        path
    };
    (from + 3 < 8).then_some(url)
}

fn origin_of(seen: &Seen) -> url::Url {
    url::Url::parse(&format!("http://{}", seen.header("host").unwrap())).unwrap()
}

#[tokio::test]
async fn a_next_url_in_the_body_is_followed_and_the_cursor_holds_no_host_and_no_configured_query() {
    for absolute in [true, false] {
        let api = Api::start(move |seen| {
            assert_eq!(seen.query("key"), Some("hush-hush"), "{seen:?}");
            let items = slice(seen.number("from").unwrap_or(0), 3, 8);
            answer(json!({"items": items, "links": {"next": next_url(&origin_of(seen), seen, absolute)}}))
        })
        .await;
        let pagination = Pagination::NextUrl {
            next: ".links.next".into(),
            size: size(3),
        };
        let mut settings = things(&api.url, pagination);
        settings.resources[0]
            .query
            .insert("key".into(), vec!["hush-hush".into()]);
        let pass = pass(&open(settings)).await;
        assert_eq!(pass.names, names(8));
        for cursor in &pass.cursors {
            let text = cursor.to_string();
            assert!(!text.contains("127.0.0.1") && !text.contains("hush"), "{text}");
        }
    }
}

#[tokio::test]
async fn link_headers_are_followed() {
    let api = Api::start(|seen| {
        let items = slice(seen.number("from").unwrap_or(0), 3, 8);
        let mut response = answer(Value::from(items));
        if let Some(next) = next_url(&origin_of(seen), seen, true) {
            let link = format!("<http://x/>; rel=\"first\", <{next}>; rel=\"next\"");
            response.headers_mut().insert("link", link.parse().unwrap());
        }
        response
    })
    .await;
    let pass = pass(&open(things(&api.url, Pagination::LinkHeader { size: size(3) }))).await;
    assert_eq!((pass.names, pass.pages), (names(8), 3));
}

#[tokio::test]
async fn a_next_url_of_another_host_is_refused_and_never_asked() {
    let other = Api::start(|_| answer(json!({"items": []}))).await;
    let target = format!("{}things?token=x", other.url);
    let api = Api::start(move |_| answer(json!({"items": [], "next": target}))).await;
    let pagination = Pagination::NextUrl {
        next: ".next".into(),
        size: None,
    };
    let page = first(&open(things(&api.url, pagination))).await.unwrap();
    let error = page.failure.unwrap();
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(
        error.message.contains("another host") && !error.message.contains("token"),
        "{error}"
    );
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn a_next_cursor_in_a_header_is_followed_until_the_header_is_gone() {
    let api = Api::start(|seen| {
        let from = seen.number("after").unwrap_or(0);
        let mut response = answer(json!({"items": slice(from, 3, 8)}));
        if from + 3 < 8 {
            response
                .headers_mut()
                .insert("x-next-page", (from + 3).to_string().parse().unwrap());
        }
        response
    })
    .await;
    let pagination = Pagination::Header {
        in_body: false,
        header: "X-Next-Page".into(),
        parameter: "after".into(),
        size: None,
    };
    assert_eq!(pass(&open(things(&api.url, pagination))).await.names, names(8));
}

fn by_page(total: usize, first: usize) -> impl Fn(&Seen) -> Response + Send + Sync + 'static {
    move |seen| {
        let page = seen.number("page").unwrap() - first;
        answer(json!({"items": slice(page * 3, 3, total), "total": total, "pages": total.div_ceil(3)}))
    }
}

fn page_number(first: u64, sized: bool, total_pages: Option<&str>, total: Option<&str>) -> Pagination {
    Pagination::Page {
        in_body: false,
        parameter: "page".into(),
        first,
        size: if sized { size(3) } else { None },
        total_pages: total_pages.map(Into::into),
        total: total.map(Into::into),
    }
}

#[tokio::test]
async fn page_numbers_end_at_an_empty_page_or_the_total() {
    // (items, first page, pagination, pages asked for)
    let cases = [
        (7, 1, page_number(1, true, None, None), 4),
        (6, 1, page_number(1, true, None, None), 3),
        (6, 0, page_number(0, false, None, None), 3),
        (6, 1, page_number(1, true, Some(".pages"), None), 2),
        (6, 1, page_number(1, true, None, Some(".total")), 2),
        (7, 1, page_number(1, false, None, Some(".total")), 3),
        (0, 1, page_number(1, true, None, None), 1),
    ];
    for (total, start, pagination, pages) in cases {
        let api = Api::start(by_page(total, start)).await;
        let shown = format!("{total} items, {pagination:?}");
        let pass = pass(&open(things(&api.url, pagination))).await;
        assert_eq!((pass.names, pass.pages), (names(total), pages), "{shown}");
    }
}

#[tokio::test]
async fn with_a_total_a_server_that_gives_less_than_asked_is_read_to_the_end() {
    let api = Api::start(by_page(8, 1)).await;
    let mut pagination = page_number(1, true, None, Some(".total"));
    if let Pagination::Page { size: Some(size), .. } = &mut pagination {
        size.size = 100;
    }
    assert_eq!(pass(&open(things(&api.url, pagination))).await.names, names(8));
}

#[tokio::test]
async fn offsets_end_at_an_empty_page_or_the_total() {
    for (total, expression, pages) in [(7, None, 4), (6, None, 3), (6, Some(".total"), 2), (0, None, 1)] {
        let api = Api::start(move |seen| {
            let (from, limit) = (seen.number("offset").unwrap(), seen.number("limit").unwrap());
            answer(json!({"items": slice(from, limit, total), "total": total.to_string()}))
        })
        .await;
        let pagination = Pagination::Offset {
            first: 0,
            in_body: false,
            parameter: "offset".into(),
            size: size(3).unwrap(),
            total: expression.map(Into::into),
        };
        let pass = pass(&open(things(&api.url, pagination))).await;
        assert_eq!(
            (pass.names, pass.pages),
            (names(total), pages),
            "{total} {expression:?}"
        );
    }
}

#[tokio::test]
async fn one_page_is_one_page() {
    let api = Api::start(|_| answer(json!(components(0, 4)))).await;
    let pass = pass(&open(things(&api.url, Pagination::None))).await;
    assert_eq!((pass.names, pass.pages), (names(4), 1));
}

#[tokio::test]
async fn an_answer_without_content_is_an_empty_page() {
    let api = Api::start(|_| status(204, &[], "")).await;
    let pass = pass(&open(things(&api.url, Pagination::None))).await;
    assert_eq!((pass.names.len(), pass.pages), (0, 1));
}

#[test]
fn items_that_jq_thins_out_cannot_be_paged_by_counting() {
    let url = url::Url::parse("http://127.0.0.1:1").unwrap();
    let mut settings = things(&url, page_number(1, true, None, None));
    settings.resources[0].items = Some("[.items[] | select(.a)]".into());
    settings.resources[0].entity = EntityShape::AsIs;
    let problems = tideline_worker::sources::http::check(&settings);
    assert_eq!(problems[0].0, "resources[0].items");
}

#[tokio::test]
async fn a_parameter_with_several_values_is_repeated() {
    let api = Api::start(|_| answer(json!(components(0, 1)))).await;
    let mut settings = things(&api.url, Pagination::None);
    let values = vec!["a".to_owned(), "b c".to_owned()];
    settings.resources[0].query.insert("status".into(), values);
    first(&open(settings)).await.unwrap();
    assert_eq!(api.seen()[0].raw_query, "status=a&status=b+c");
}
