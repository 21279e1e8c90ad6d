//! The `Link` header, RFC 8288.

use http::header::LINK;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::limits::split_outside_quotes;

/// Bytes of a header that no URL has: all that are not ASCII, and control characters except the tab, which is white
/// space.
const NO_URL: &AsciiSet = &CONTROLS.remove(b'\t');

/// What the header says of the next page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextLink {
    Target(String),
    /// There is no next page.
    None,
    /// There is no such header at all.
    NoHeader,
    /// It contains something other than a link, and no link to a next page.
    Unreadable,
}

/// A header as a text of ASCII that loses nothing: bytes that no URL has are percent-encoded, as a URL wants them.
pub(super) fn url_text(value: &HeaderValue) -> String {
    percent_encode(value.as_bytes(), NO_URL).to_string()
}

/// The target of the first link whose relation is `next` (section 3.3: relations are separated by spaces and compared
/// without case; a link with an `anchor` speaks of another resource). A link with `results="false"` leads to an empty
/// page: Sentry always names a next one.
pub(super) fn next(headers: &HeaderMap) -> NextLink {
    if !headers.contains_key(LINK) {
        return NextLink::NoHeader;
    }
    let mut readable = true;
    for value in headers.get_all(LINK) {
        let value = url_text(value);
        let (links, whole) = links(&value);
        if let Some((target, _)) = links.into_iter().find(|(_, parameters)| is_next(parameters)) {
            return NextLink::Target(target.to_owned());
        }
        readable &= whole;
    }
    if readable { NextLink::None } else { NextLink::Unreadable }
}

/// The URL of the next page that the header names.
#[must_use]
pub fn next_link(headers: &HeaderMap) -> Option<String> {
    match next(headers) {
        NextLink::Target(target) => Some(target),
        NextLink::None | NextLink::NoHeader | NextLink::Unreadable => None,
    }
}

fn is_next(parameters: &str) -> bool {
    let mut next = false;
    for parameter in split_outside_quotes(parameters, ';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches(['"', '\'']);
        match name.trim().to_ascii_lowercase().as_str() {
            "rel" => {
                next |= value
                    .split_ascii_whitespace()
                    .any(|relation| relation.eq_ignore_ascii_case("next"))
            }
            "anchor" => return false,
            "results" if value.eq_ignore_ascii_case("false") => return false,
            _ => {}
        }
    }
    next
}

/// Targets and parameters of the links in one value, and whether there is nothing else in it. A comma ends a link only
/// outside of `<>` and quotes.
fn links(value: &str) -> (Vec<(&str, &str)>, bool) {
    let is_nothing = |text: &str| text.chars().all(|c| c.is_ascii_whitespace() || c == ',');
    let (mut found, mut whole) = (Vec::new(), true);
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((target, tail)) = after.split_once('>') else {
            break;
        };
        whole &= is_nothing(before);
        let parameters = split_outside_quotes(tail, ',').first().copied().unwrap_or_default();
        let end = (parameters.as_ptr() as usize)
            .saturating_sub(tail.as_ptr() as usize)
            .saturating_add(parameters.len())
            .min(tail.len());
        found.push((target.trim(), parameters));
        rest = &tail[end..];
    }
    (found, whole && is_nothing(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_str(value).unwrap());
        }
        match next(&headers) {
            NextLink::Target(target) => Some(target),
            NextLink::None | NextLink::NoHeader | NextLink::Unreadable => None,
        }
    }

    fn of_bytes(value: &[u8]) -> NextLink {
        next(&HeaderMap::from_iter([(LINK, HeaderValue::from_bytes(value).unwrap())]))
    }

    #[test]
    fn the_next_link_is_found_among_others() {
        let github =
            "<https://h/?page=1>; rel=\"prev\", <https://h/?a=1,2&page=3>; rel=\"next\", <https://h/9>; rel=last";
        assert_eq!(next_of(&[github]).unwrap(), "https://h/?a=1,2&page=3");
        assert_eq!(
            next_of(&["</a>; rel=first", "</b>; title=\"x, <y>; rel=next\"; REL=\"last Next\""]).unwrap(),
            "/b"
        );
    }

    #[test]
    fn the_relation_may_stand_in_quotes_of_any_kind_or_none() {
        for relation in ["\"next\"", "'next'", "next", "'prev next'", "\"next", "NEXT"] {
            assert_eq!(
                next_of(&[&format!("</b>; rel={relation}")]).unwrap(),
                "/b",
                "{relation}"
            );
        }
    }

    #[test]
    fn a_next_link_with_a_byte_that_is_not_ascii_is_no_last_page() {
        let target = |text: &str| NextLink::Target(text.to_owned());
        assert_eq!(
            of_bytes("</b?q=ü&page=2>; rel=\"next\"".as_bytes()),
            target("/b?q=%C3%BC&page=2")
        );
        assert_eq!(
            of_bytes(b"</b?q=\xfc&page=2>;\trel=\"next\""),
            target("/b?q=%FC&page=2"),
            "Latin-1"
        );
    }

    #[test]
    fn a_header_in_which_no_link_can_be_read_is_no_last_page() {
        for value in [
            "https://h/?page=2; rel=\"next\"",
            "<broken",
            "garbage",
            "</a>; rel=prev, https://h/?page=2; rel=next",
            "https://h/?page=2; rel=next, </a>; rel=prev",
        ] {
            assert_eq!(of_bytes(value.as_bytes()), NextLink::Unreadable, "{value}");
        }
        assert_eq!(next_of(&["garbage", "</b>; rel=next"]).unwrap(), "/b");
    }

    #[test]
    fn what_is_not_a_next_link_ends_the_pages() {
        for value in [
            "",
            "<https://h/1>; rel=prev",
            "</x>; rel=next; anchor=\"#y\"",
            "</x>; rel=nextish",
            " </x>; rel=prev , ",
        ] {
            assert_eq!(of_bytes(value.as_bytes()), NextLink::None, "{value}");
        }
        assert_eq!(next(&HeaderMap::new()), NextLink::NoHeader);
    }

    #[test]
    fn a_next_link_without_results_ends_the_pages() {
        let sentry =
            |results| format!("<https://h/?cursor=0:100:0>; rel=\"next\"; results=\"{results}\"; cursor=\"0:100:0\"");
        assert_eq!(next_of(&[&sentry("false")]), None);
        assert_eq!(next_of(&[&sentry("true")]).unwrap(), "https://h/?cursor=0:100:0");
    }
}
