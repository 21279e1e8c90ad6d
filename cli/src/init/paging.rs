//! Detects pagination that names the next page: by a URL or a cursor, in the body or a header.

use reqwest::header::LINK;
use serde_json::Value;

use super::{Paging, Sample, Scope, counted};

/// Members that hold the URL of the next page.
const NEXT_URLS: [&str; 17] = [
    "next",
    "next_url",
    "nextUrl",
    "nextLink",
    "next_link",
    "next_page_url",
    "nextPageUrl",
    "next_page",
    "nextPage",
    "next_href",
    "nextHref",
    "next_uri",
    "nextUri",
    "nextRecordsUrl",
    "@nextLink",
    "@odata.nextLink",
    "odata.nextLink",
];

/// Members of a link that hold its URL.
const TARGETS: [&str; 4] = ["href", "uri", "url", "link"];

/// Members that hold the cursor of the next page, each with the query parameter that takes it.
const CURSORS: [(&str, &str); 18] = [
    ("next_cursor", "cursor"),
    ("nextCursor", "cursor"),
    ("next_page_token", "page_token"),
    ("nextPageToken", "pageToken"),
    ("next_page_cursor", "cursor"),
    ("nextToken", "nextToken"),
    ("next_token", "pagination_token"),
    ("nextPageStart", "start"),
    ("next_start", "start"),
    ("next_offset", "offset"),
    ("nextOffset", "offset"),
    ("continue", "continue"),
    ("continuation", "continuation"),
    ("continuation_token", "continuation_token"),
    ("continuationToken", "continuationToken"),
    ("end_cursor", "after"),
    ("endCursor", "after"),
    ("cursor", "cursor"),
];

/// Members that hold the number of the next page.
const NEXT_NUMBERS: [&str; 3] = ["next_page", "nextPage", "next"];

/// Headers that hold a cursor, each with the query parameter that takes it.
const HEADERS: [(&str, &str); 3] = [
    ("X-Next-Page", "page"),
    ("x-ms-continuationtoken", "continuationToken"),
    ("X-Next-Cursor", "cursor"),
];

/// How to get to the next page. What names it is better than what counts pages; what would name it if there were one
/// comes last.
pub(super) fn paging(sample: &Sample<'_>) -> Paging {
    if sample.query.begins_with_a_star() {
        return Paging::Unknown;
    }
    let named = [link_header, next_url, cursor, next_number, header, last_id];
    let counted = named.into_iter().chain([counted::counted as fn(&Sample<'_>) -> _]);
    if let Some(paging) = counted.into_iter().find_map(|form| form(sample)) {
        return paging;
    }
    if !sample.signs_of_more().is_empty() {
        return Paging::Unknown;
    }
    let announced = [empty_header, empty_url, empty_cursor, known_api];
    announced.into_iter().find_map(|form| form(sample)).unwrap_or_default()
}

fn link_header(sample: &Sample<'_>) -> Option<Paging> {
    has_relation(sample, &["next"]).then_some(Paging::LinkHeader)
}

pub(super) fn has_relation(sample: &Sample<'_>, relations: &[&str]) -> bool {
    let values = sample.headers.get_all(LINK).into_iter();
    let texts: Vec<String> = values
        .filter_map(|value| Some(value.to_str().ok()?.to_ascii_lowercase()))
        .collect();
    let parameters = texts.iter().flat_map(|text| text.split([';', ',']));
    let mut named = parameters.filter_map(|parameter| parameter.trim().strip_prefix("rel="));
    named.any(|names| {
        let mut names = names.trim_matches(['"', '\'']).split_ascii_whitespace();
        names.any(|name| relations.contains(&name))
    })
}

fn next_url(sample: &Sample<'_>) -> Option<Paging> {
    let in_scope = |scope: &Scope<'_>| {
        let found = |name: &&'static str| {
            let path = scope.path(name);
            match scope.get(name)? {
                Value::String(url) if is_url(url) => Some(Paging::NextUrl(path)),
                Value::Object(link) if link.get("after").is_some_and(is_cursor) => Some(Paging::Cursor {
                    next: format!("{path}.after"),
                    parameter: "after".to_owned(),
                    guessed: false,
                }),
                Value::Object(link) => {
                    let target = TARGETS
                        .iter()
                        .find(|name| link.get(**name).is_some_and(Value::is_string));
                    target.map(|target| Paging::NextUrl(format!("{path}.{target}")))
                }
                _ => None,
            }
        };
        NEXT_URLS.iter().find_map(found)
    };
    sample.scopes.iter().find_map(in_scope)
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://") || text.starts_with('/') || text.contains('?')
}

fn is_cursor(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| !text.is_empty())
}

fn cursor(sample: &Sample<'_>) -> Option<Paging> {
    cursor_that(sample, &CURSORS, is_cursor)
}

fn cursor_that(sample: &Sample<'_>, cursors: &[(&str, &'static str)], fits: impl Fn(&Value) -> bool) -> Option<Paging> {
    // Airtable calls it offset.
    let airtable = sample
        .scopes
        .first()
        .is_some_and(|scope| scope.get("offset").is_some_and(Value::is_string));
    if airtable {
        return Some(known_cursor(".offset", "offset"));
    }
    let in_scope = |scope: &Scope<'_>| {
        let (name, usual) = cursors.iter().find(|(name, _)| scope.get(name).is_some_and(&fits))?;
        let special = special_parameter(sample, scope, name);
        let given = sample.query.cursor(usual);
        let parameter = given.unwrap_or_else(|| special.unwrap_or(usual)).to_owned();
        Some(Paging::Cursor {
            next: next_if_more(scope, name),
            guessed: given.or(special).is_none(),
            parameter,
        })
    };
    sample.scopes.iter().find_map(in_scope)
}

/// Parameters of APIs that are known by other members.
fn special_parameter(sample: &Sample<'_>, scope: &Scope<'_>, name: &str) -> Option<&'static str> {
    match name {
        // Jira
        "nextPageToken" if scope.has("isLast") => Some("nextPageToken"),
        // Notion
        "next_cursor" if is_list_object(sample) && scope.has("results") => Some("start_cursor"),
        // Slack
        "next_cursor" if scope.prefix == ".response_metadata" => Some("cursor"),
        // Kubernetes
        "continue" if scope.prefix == ".metadata" => Some("continue"),
        _ => None,
    }
}

/// A cursor that is not called the next one may be there on the last page too.
fn next_if_more(scope: &Scope<'_>, name: &str) -> String {
    let flags = [
        "has_more",
        "hasMore",
        "has_next",
        "hasNext",
        "hasNextPage",
        "has_next_page",
    ];
    let flag = flags
        .into_iter()
        .find(|flag| scope.get(flag).is_some_and(Value::is_boolean));
    match flag {
        Some(flag) if !name.starts_with("next") => {
            let within = if scope.prefix.is_empty() { "." } else { &scope.prefix };
            format!("{within} | select(.{flag}) | .{name}")
        }
        _ => scope.path(name),
    }
}

fn known_cursor(next: &str, parameter: &str) -> Paging {
    Paging::Cursor {
        next: next.to_owned(),
        parameter: parameter.to_owned(),
        guessed: false,
    }
}

/// The number of the next page is a cursor that does not depend on where numbers begin.
fn next_number(sample: &Sample<'_>) -> Option<Paging> {
    let numbers = |scope: &Scope<'_>| {
        let name = NEXT_NUMBERS.into_iter().find(|name| scope.number(name).is_some())?;
        let page = sample.query.page().map(|(name, _)| name);
        let given = page.or_else(|| sample.query.offset());
        Some(Paging::Cursor {
            next: scope.path(name),
            parameter: given.unwrap_or("page").to_owned(),
            guessed: given.is_none(),
        })
    };
    sample.scopes.iter().find_map(numbers)
}

fn header(sample: &Sample<'_>) -> Option<Paging> {
    header_that(sample, |value| !value.is_empty())
}

fn header_that(sample: &Sample<'_>, fits: impl Fn(&str) -> bool) -> Option<Paging> {
    HEADERS.into_iter().find_map(|(header, usual)| {
        let value = sample.headers.get(header)?.to_str().ok()?.trim();
        if !fits(value) {
            return None;
        }
        if is_url(value) {
            return Some(Paging::NextUrlHeader(header));
        }
        let given = if usual == "page" {
            sample.query.page().map(|(name, _)| name)
        } else {
            sample.query.cursor(usual)
        };
        Some(Paging::Header {
            header,
            parameter: given.unwrap_or(usual).to_owned(),
        })
    })
}

/// `{"object": "list"}`, as Stripe and those who follow it say.
fn is_list_object(sample: &Sample<'_>) -> bool {
    sample.body["object"] == "list"
}

/// Stripe, OpenAI and Anthropic: the id of the last item is the cursor.
fn last_id(sample: &Sample<'_>) -> Option<Paging> {
    sample.body.get("has_more")?.as_bool()?;
    let (given, last_id) = (sample.query.cursor("starting_after"), sample.body.get("last_id"));
    if last_id.is_some_and(|id| is_cursor(id) || id.is_null()) {
        let usual = if is_list_object(sample) { "after" } else { "after_id" };
        return Some(known_cursor("select(.has_more) | .last_id", given.unwrap_or(usual)));
    }
    let with_ids = sample.list.items.iter().all(|item| is_cursor(&item["id"]));
    let is_stripe = is_list_object(sample) || given == Some("starting_after");
    (is_stripe && with_ids).then(|| {
        let next = format!("select(.has_more) | {}[-1].id", sample.list.path);
        known_cursor(&next, given.unwrap_or("starting_after"))
    })
}

fn empty_header(sample: &Sample<'_>) -> Option<Paging> {
    if has_relation(sample, &["first", "last", "prev", "previous"]) {
        return Some(Paging::LinkHeader);
    }
    header_that(sample, str::is_empty)
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// A member for the URL of the next page that is null. `next` alone may be anything.
fn empty_url(sample: &Sample<'_>) -> Option<Paging> {
    let in_scope = |scope: &Scope<'_>| {
        let is_sure = |name: &str| {
            let lower = name.to_ascii_lowercase();
            let says_so = ["url", "link", "href", "uri"].iter().any(|word| lower.contains(word));
            let beside = ["previous", "prev", "self", "first"]
                .iter()
                .any(|other| scope.has(other));
            says_so || (name == "next" && beside)
        };
        let name = NEXT_URLS
            .iter()
            .find(|name| scope.get(name).is_some_and(is_nothing) && is_sure(name))?;
        Some(Paging::NextUrl(scope.path(name)))
    };
    sample.scopes.iter().find_map(in_scope)
}

fn empty_cursor(sample: &Sample<'_>) -> Option<Paging> {
    let sure = CURSORS.map(|(name, parameter)| {
        if name == "cursor" {
            ("", parameter)
        } else {
            (name, parameter)
        }
    });
    cursor_that(sample, &sure, is_nothing)
}

/// APIs that leave out what leads to the next page where there is none.
fn known_api(sample: &Sample<'_>) -> Option<Paging> {
    let body = sample.body.as_object()?;
    let has = |name: &str| body.contains_key(name);
    let first = sample.list.items.first();
    let airtable = || first.is_some_and(|item| item["createdTime"].is_string() && item["fields"].is_object());
    let kind = sample.body["kind"].as_str().unwrap_or_default();
    if has("done") && has("totalSize") {
        // Salesforce
        Some(Paging::NextUrl(".nextRecordsUrl".to_owned()))
    } else if has("@odata.context") {
        Some(Paging::NextUrl(".[\"@odata.nextLink\"]".to_owned()))
    } else if has("_embedded") && sample.body["_links"]["self"].is_object() {
        Some(Paging::NextUrl("._links.next.href".to_owned()))
    } else if kind.ends_with("List") && sample.body["metadata"]["resourceVersion"].is_string() {
        // Kubernetes
        Some(known_cursor(".metadata.continue", "continue"))
    } else if has("isLast") && has("issues") {
        // Jira's search
        Some(known_cursor(".nextPageToken", "nextPageToken"))
    } else if has("records") && airtable() {
        Some(known_cursor(".offset", "offset"))
    } else {
        None
    }
}
