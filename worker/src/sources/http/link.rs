//! The `Link` header, RFC 8288.

use http::HeaderMap;
use http::header::LINK;

use super::limits::split_outside_quotes;

/// What the header says of the next page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextLink {
    Target(String),
    /// There is no next page.
    None,
    /// There is no such header at all.
    NoHeader,
}

/// The target of the first link whose relation is `next` (section 3.3: relations are separated by spaces and compared
/// without case; a link with an `anchor` speaks of another resource). A link with `results="false"` leads to an empty page:
/// Sentry always names a next one.
pub(super) fn next(headers: &HeaderMap) -> NextLink {
    if !headers.contains_key(LINK) {
        return NextLink::NoHeader;
    }
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(links)
        .find_map(|(target, parameters)| is_next(parameters).then(|| target.to_owned()))
        .map_or(NextLink::None, NextLink::Target)
}

fn is_next(parameters: &str) -> bool {
    let mut next = false;
    for parameter in split_outside_quotes(parameters, ';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
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

/// Targets and parameters of the links in one value. A comma ends a link only outside of `<>` and quotes.
fn links(value: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, tail)) = after.split_once('>') else {
            break;
        };
        let parameters = split_outside_quotes(tail, ',').first().copied().unwrap_or_default();
        let end = (parameters.as_ptr() as usize)
            .saturating_sub(tail.as_ptr() as usize)
            .saturating_add(parameters.len())
            .min(tail.len());
        found.push((target.trim(), parameters));
        rest = &tail[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn next_of(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_str(value).unwrap());
        }
        match next(&headers) {
            NextLink::Target(target) => Some(target),
            NextLink::None | NextLink::NoHeader => None,
        }
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
    fn what_is_not_a_next_link_ends_the_pages() {
        for value in [
            "",
            "<https://h/1>; rel=prev",
            "</x>; rel=next; anchor=\"#y\"",
            "<broken",
            "garbage",
            "</x>; rel=nextish",
        ] {
            assert_eq!(next_of(&[value]), None, "{value}");
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
