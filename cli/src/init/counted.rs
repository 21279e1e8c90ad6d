//! Page numbers and offsets.

use super::more::is_given;
use super::paging::has_relation;
use super::query::size_beside;
use super::{Paging, Sample, Scope};

/// Members that count pages.
const PAGE_COUNTS: [&str; 10] = [
    "total_pages",
    "totalPages",
    "last_page",
    "lastPage",
    "page_count",
    "pageCount",
    "num_pages",
    "total_page",
    "totalPage",
    "pages",
];

/// Members that hold the number of the page.
const NUMBERS: [&str; 9] = [
    "page",
    "pageNumber",
    "page_number",
    "pageIndex",
    "page_index",
    "number",
    "current_page",
    "currentPage",
    "current",
];

/// Members that hold a page's offset and size.
const OFFSETS: [(&str, &str); 8] = [
    ("startAt", "maxResults"),
    ("offset", "limit"),
    ("offset", "per_page"),
    ("skip", "limit"),
    ("start", "limit"),
    ("start", "rows"),
    ("from", "size"),
    ("startIndex", "itemsPerPage"),
];

/// What every list of SCIM says (RFC 7644, 3.4.2).
const SCIM: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// Pages or offsets, if the URL or the response counts them.
pub(super) fn counted(sample: &Sample<'_>) -> Option<Paging> {
    scim(sample)
        .or_else(|| numbered_by_url(sample))
        .or_else(|| offset_by_url(sample))
        .or_else(|| offset(sample))
        .or_else(|| numbered(sample))
}

/// Offsets of SCIM begin at 1.
fn scim(sample: &Sample<'_>) -> Option<Paging> {
    let scope = sample.scopes.first()?;
    let total = scope.number("totalResults")?;
    let start = scope
        .number("startIndex")
        .filter(|_| scope.number("itemsPerPage").is_some());
    let schemas = sample.body["schemas"].as_array();
    let says_so = schemas.is_some_and(|schemas| schemas.iter().any(|schema| schema == SCIM));
    let fits = start.is_some_and(|start| start > 0) || (says_so && start.is_none() && total <= sample.count());
    fits.then(|| Paging::Cursor {
        next: "select(.startIndex + .itemsPerPage <= .totalResults) | .startIndex + .itemsPerPage".to_owned(),
        parameter: "startIndex".to_owned(),
        guessed: false,
    })
}

fn numbered_by_url(sample: &Sample<'_>) -> Option<Paging> {
    let (parameter, page) = sample.query.page()?;
    let from_zero = is_from_zero(sample, Some(page));
    Some(pages(sample, parameter, from_zero, false))
}

fn offset_by_url(sample: &Sample<'_>) -> Option<Paging> {
    let parameter = sample.query.offset()?;
    let size = sample.query.size();
    let size = size.or_else(|| Some((size_beside(parameter).to_owned(), count_as_size(sample)?)))?;
    Some(offsets(sample, parameter, size))
}

fn count_as_size(sample: &Sample<'_>) -> Option<u32> {
    u32::try_from(sample.count())
        .ok()
        .filter(|count| (1..=10_000).contains(count))
}

fn offset(sample: &Sample<'_>) -> Option<Paging> {
    let in_scope = |scope: &Scope<'_>| {
        let is_here = |(offset, size): &&(&'static str, &'static str)| {
            scope.number(offset).is_some() && scope.number(size).is_some()
        };
        let (offset, size) = *OFFSETS.iter().find(is_here)?;
        let told = scope.number(size).and_then(|size| u32::try_from(size).ok());
        let told = told
            .filter(|size| (1..=10_000).contains(size))
            .or_else(|| count_as_size(sample))?;
        let size = if size == "itemsPerPage" { "count" } else { size };
        // Strapi
        let (offset, size) = if scope.prefix == ".meta.pagination" {
            (format!("pagination[{offset}]"), format!("pagination[{size}]"))
        } else {
            (offset.to_owned(), size.to_owned())
        };
        let size = sample.query.size().unwrap_or((size, told));
        Some(offsets(sample, &offset, size))
    };
    sample.scopes.iter().find_map(in_scope)
}

fn offsets(sample: &Sample<'_>, parameter: &str, size: (String, u32)) -> Paging {
    let total = sample.total().map(|(path, _)| path);
    Paging::Offset {
        parameter: parameter.to_owned(),
        size,
        last: if total.is_none() { sample.last() } else { None },
        total,
    }
}

/// Pages that the response counts, or numbers beside a total.
fn numbered(sample: &Sample<'_>) -> Option<Paging> {
    let number = sample
        .scopes
        .iter()
        .find_map(|scope| Some((scope, number_in(scope)?.0)));
    if total_pages(sample).is_none() && (number.is_none() || sample.total().is_none()) {
        return None;
    }
    let parameter = match number {
        // Strapi
        Some((scope, "page")) if scope.prefix == ".meta.pagination" && scope.has("pageSize") => "pagination[page]",
        Some((_, name)) if !matches!(name, "number" | "current" | "current_page" | "currentPage") => name,
        _ => "page",
    };
    let guessed = parameter != "pagination[page]";
    Some(pages(sample, parameter, is_from_zero(sample, None), guessed))
}

fn pages(sample: &Sample<'_>, parameter: &str, from_zero: bool, guessed: bool) -> Paging {
    let total_pages = total_pages(sample);
    Paging::Page {
        parameter: parameter.to_owned(),
        from_zero,
        total: if total_pages.is_none() {
            sample.total().map(|(path, _)| path)
        } else {
            None
        },
        total_pages,
        guessed,
    }
}

/// jq path of the number of pages. One that is too low to hold all items counts something else.
fn total_pages(sample: &Sample<'_>) -> Option<String> {
    let total = sample.total().map_or(0, |(_, total)| total);
    sample.scopes.iter().find_map(|scope| {
        let holds_all = |name: &&&'static str| {
            let pages = scope.number(name);
            pages.is_some_and(|pages| pages.saturating_mul(sample.count()) >= total)
        };
        PAGE_COUNTS.iter().find(holds_all).map(|name| scope.path(name))
    })
}

fn number_in(scope: &Scope<'_>) -> Option<(&'static str, u64)> {
    NUMBERS.into_iter().find_map(|name| Some((name, scope.number(name)?)))
}

/// Whether the first page has the number 0, as in Spring, which also says whether a page is the first.
pub(super) fn is_from_zero(sample: &Sample<'_>, asked: Option<u64>) -> bool {
    let said = sample.scopes.iter().find_map(number_in);
    let first = sample.body["first"].as_bool().or_else(|| is_first(sample));
    match (asked, said) {
        (Some(0), _) | (None, Some((_, 0))) => true,
        (Some(1), _) => first == Some(false),
        (Some(asked), Some(("number", said))) => first.is_some() && asked == said,
        _ => false,
    }
}

/// Whether there is no link to a previous page where there would be one.
fn is_first(sample: &Sample<'_>) -> Option<bool> {
    let given = |scope: &Scope<'_>| {
        ["prev", "previous"]
            .iter()
            .any(|name| scope.get(name).is_some_and(is_given))
    };
    if has_relation(sample, &["prev", "previous"]) || sample.scopes.iter().any(given) {
        return Some(false);
    }
    sample.body["_links"].is_object().then_some(true)
}
