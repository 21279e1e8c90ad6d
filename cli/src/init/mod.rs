//! Guesses from one answer of an API how to read it. Pure; the command fetches the answer and writes the file.

mod page;

pub(crate) use page::config;

use serde_json::Value;

/// Members that hold the list of items, likelier ones first.
const LISTS: [&str; 10] = [
    "items", "data", "results", "value", "values", "records", "entries", "nodes", "objects", "elements",
];

/// Members that hold the URL of the next page.
const NEXT_URLS: [&str; 6] = [
    "next",
    "next_url",
    "nextUrl",
    "nextLink",
    "next_page_url",
    "@odata.nextLink",
];

/// Members that hold the cursor of the next page, each with the query parameter that takes it.
const CURSORS: [(&str, &str); 9] = [
    ("next_cursor", "cursor"),
    ("nextCursor", "cursor"),
    ("next_page_token", "page_token"),
    ("nextPageToken", "pageToken"),
    ("continue", "continue"),
    ("continuation", "continuation"),
    ("continuation_token", "continuation_token"),
    ("end_cursor", "after"),
    ("cursor", "cursor"),
];

/// Objects in which APIs keep what is about paging.
const ENVELOPES: [&str; 8] = [
    "",
    "links",
    "_links",
    "paging",
    "pagination",
    "meta",
    "metadata",
    "page_info",
];

/// Members that count pages.
const PAGE_COUNTS: [&str; 4] = ["total_pages", "totalPages", "last_page", "page_count"];

/// Members that say that a request failed.
const ERRORS: [&str; 2] = ["errors", "error"];

/// Members of an error that say what is wrong.
const MESSAGES: [&str; 4] = ["message", "detail", "description", "title"];

/// Members that name an item, likelier ones first.
const NAMES: [&str; 9] = [
    "name",
    "slug",
    "key",
    "identifier",
    "id",
    "uid",
    "uuid",
    "login",
    "full_name",
];

/// What an answer looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guess {
    /// jq path of the list; none: the default of the `http` source finds it.
    pub(crate) items: Option<String>,
    /// How many items are on the page.
    pub(crate) count: usize,
    /// How to get to the next page.
    pub(crate) paging: Paging,
    /// jq path of an item's name; none: none was found.
    pub(crate) name: Option<String>,
    /// Items are Backstage-like objects already.
    pub(crate) as_is: bool,
}

/// How to get to the next page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Paging {
    /// Nothing in the answer says.
    #[default]
    Unknown,
    /// A `Link` header.
    LinkHeader,
    /// A URL in the answer, at this jq path.
    NextUrl(String),
    /// A cursor in the answer.
    Cursor {
        /// jq path.
        next: String,
        /// Query parameter.
        parameter: &'static str,
    },
    /// Numbered pages, counted at this jq path.
    Page(String),
}

/// Guesses from an answer and its `Link` header. None: there is no list of objects in it.
pub(crate) fn guess(body: &Value, link: Option<&str>) -> Option<Guess> {
    let (items, list) = find_list(body)?;
    let first = list.first();
    let as_is = first.is_some_and(|item| item["kind"].is_string() && item["metadata"]["name"].is_string());
    Some(Guess {
        items,
        count: list.len(),
        paging: paging(body, link),
        name: first.and_then(name),
        as_is,
    })
}

/// What an answer without a list says is wrong; none: it does not say that anything is.
pub(crate) fn error_in(body: &Value) -> Option<String> {
    let said = ERRORS.iter().filter_map(|name| body.get(name));
    let error = said.into_iter().find(|error| match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(errors) => !errors.is_empty(),
        _ => true,
    })?;
    let first = error.get(0).unwrap_or(error);
    let text = MESSAGES.iter().find_map(|name| first.get(name)?.as_str());
    let text = text
        .or_else(|| first.as_str())
        .map_or_else(|| first.to_string(), str::to_owned);
    Some(text.chars().take(200).collect())
}

fn find_list(body: &Value) -> Option<(Option<String>, &Vec<Value>)> {
    if let Value::Array(list) = body {
        return Some((None, list));
    }
    let members = body.as_object()?;
    let lists = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_object));
    let known = LISTS
        .iter()
        .copied()
        .filter(|name| members.get(*name).is_some_and(lists));
    let others = members
        .iter()
        .filter(|(name, value)| !ERRORS.contains(&name.as_str()) && lists(value))
        .map(|(name, _)| name.as_str());
    let name = known.chain(others).next()?;
    let path = (name != "items").then(|| member(name));
    Some((path, members.get(name)?.as_array()?))
}

fn paging(body: &Value, link: Option<&str>) -> Paging {
    if link.is_some_and(|link| link.contains("rel=\"next\"") || link.contains("rel=next")) {
        return Paging::LinkHeader;
    }
    for envelope in ENVELOPES {
        let (within, prefix) = if envelope.is_empty() {
            (body, String::new())
        } else {
            (&body[envelope], member(envelope))
        };
        let Some(members) = within.as_object() else { continue };
        for name in NEXT_URLS {
            let path = format!("{prefix}{}", member(name));
            match members.get(name) {
                Some(Value::String(url)) if url.starts_with("http") || url.starts_with('/') => {
                    return Paging::NextUrl(path);
                }
                Some(Value::Object(link)) if link.get("href").is_some_and(Value::is_string) => {
                    return Paging::NextUrl(format!("{path}.href"));
                }
                _ => {}
            }
        }
        for (name, parameter) in CURSORS {
            if members
                .get(name)
                .is_some_and(|cursor| cursor.as_str().is_some_and(|text| !text.is_empty()))
            {
                let next = format!("{prefix}{}", member(name));
                return Paging::Cursor { next, parameter };
            }
        }
        for name in PAGE_COUNTS {
            if members.get(name).is_some_and(Value::is_u64) {
                return Paging::Page(format!("{prefix}{}", member(name)));
            }
        }
    }
    Paging::Unknown
}

fn name(item: &Value) -> Option<String> {
    if item["metadata"]["name"].is_string() {
        return Some(".metadata.name".to_owned());
    }
    let named = NAMES
        .iter()
        .find(|name| item[**name].is_string() || item[**name].is_number());
    named.map(|name| member(name))
}

/// A member as jq names it.
fn member(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !name.starts_with(|c: char| c.is_ascii_digit()) {
        format!(".{name}")
    } else {
        format!(".[{}]", Value::from(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn guessed(body: &Value) -> Guess {
        guess(body, None).unwrap()
    }

    #[test]
    fn an_array_with_a_link_header_is_paged_by_it() {
        let link = "<https://api/x?page=2>; rel=\"next\", <https://api/x?page=9>; rel=\"last\"";
        let guess = guess(&json!([{"id": 1, "name": "a"}]), Some(link)).unwrap();
        assert_eq!((guess.items, guess.paging), (None, Paging::LinkHeader));
        assert_eq!(guess.name.as_deref(), Some(".name"));
    }

    #[test]
    fn a_next_url_a_cursor_and_a_count_of_pages_are_found_where_apis_keep_them() {
        let item = json!([{"id": "x"}]);
        for (body, paging) in [
            (
                json!({"results": item, "next": "https://api/x?page=2"}),
                Paging::NextUrl(".next".into()),
            ),
            (
                json!({"data": item, "_links": {"next": {"href": "/x?page=2"}}}),
                Paging::NextUrl("._links.next.href".into()),
            ),
            (
                json!({"items": item, "metadata": {"continue": "abc"}}),
                Paging::Cursor {
                    next: ".metadata.continue".into(),
                    parameter: "continue",
                },
            ),
            (
                json!({"data": item, "meta": {"total_pages": 7}}),
                Paging::Page(".meta.total_pages".into()),
            ),
            (json!({"data": item, "next": null}), Paging::Unknown),
        ] {
            assert_eq!(guessed(&body).paging, paging, "{body}");
        }
    }

    #[test]
    fn backstage_like_items_are_taken_as_they_are_and_an_answer_without_a_list_is_none() {
        let entity = json!({"kind": "Component", "metadata": {"name": "web"}});
        assert!(guessed(&json!({"things": [entity]})).as_is);
        assert_eq!(guessed(&json!({"things": []})).items.as_deref(), Some(".things"));
        assert_eq!(guess(&json!({"message": "hello"}), None), None);
    }

    #[test]
    fn a_list_of_errors_is_not_the_list_of_items() {
        let failed = json!({"errors": [{"message": "Bad credentials"}], "data": null});
        assert_eq!(guess(&failed, None), None);
        assert_eq!(error_in(&failed).as_deref(), Some("Bad credentials"));
        assert_eq!(error_in(&json!({"error": "no"})).as_deref(), Some("no"));
        assert_eq!(
            error_in(&json!({"error": {"code": 7}})).as_deref(),
            Some("{\"code\":7}")
        );
        assert_eq!(error_in(&json!({"errors": [], "error": null})), None);
        let fine = json!({"errors": [], "things": [{"id": 1}]});
        assert_eq!(guessed(&fine).items.as_deref(), Some(".things"));
    }
}
