use super::reader::Section;
use super::settings::{PageEnd, PageSize, Pagination};

const TYPES: [&str; 7] = ["none", "cursor", "next_url", "link_header", "header", "page", "offset"];

/// What the section `pagination` says.
pub(super) struct Paging {
    pub(super) pagination: Pagination,
    pub(super) end: PageEnd,
    pub(super) stable: bool,
}

/// Nothing given: one page.
pub(super) fn read_pagination(section: &Section<'_>) -> Paging {
    let doc = "`cursor`: a cursor in the response body. `next_url`: a URL in the response. `link_header`: a Link \
               header (RFC 8288). `header`: a cursor in a response header. `page`: page numbers. `offset`: offsets. \
               `none`: a single page.";
    let chosen = section.choice("type", Some("none"), &TYPES, doc);
    let read = [
        section.variant(chosen, "cursor", read_cursor),
        section.variant(chosen, "next_url", read_next_url),
        section.variant(chosen, "link_header", |section| Pagination::LinkHeader {
            size: read_size(section, "Page size, if the API accepts one."),
        }),
        section.variant(chosen, "header", |section| Pagination::Header {
            header: section.required_header(
                "header",
                "Response header with the next cursor. If it is absent or empty, the list ends.",
            ),
            parameter: section.required_text("parameter", "Query parameter or body field for the cursor."),
            in_body: read_in(section),
            size: read_size(section, "Page size, if the API accepts one."),
        }),
        section.variant(chosen, "page", read_page),
        section.variant(chosen, "offset", read_offset),
    ];
    let pagination = read.into_iter().flatten().next().unwrap_or(Pagination::None);
    let doc = "Additional conditions that end the list. A reached total, a missing next cursor or URL, and (with `page` and \
               `offset`) an empty page always end it.";
    let end = section.section("end", doc, |end| read_end(end, &pagination));
    let doc = "Items never move between pages during a cycle: keyset cursors, or a list that only grows at its end. A \
               missing entity is then deleted after one complete cycle (see `removals.confirm_cycles`).";
    let stable = section.flag("stable", false, doc);
    Paging {
        pagination,
        end,
        stable,
    }
}

fn read_end(end: &Section<'_>, pagination: &Pagination) -> PageEnd {
    let doc = "jq expression evaluated on the response, such as `.last` or `.hasMore | not`. If true, this page is the \
               last one.";
    let when = end.optional_jq("when", "none", doc);
    let doc = "Statuses that mean there is no such page, in response to a request for any page after the first.";
    let status = end.statuses("status", "[404] with `page` and `offset`; else none", doc);
    let doc = "A page with fewer items than requested is the last one. Use it only if the API never returns short \
               pages earlier: anything after such a page would not be read, and later be deleted.";
    let short_page = end.flag("short_page", false, doc);
    let doc = "A repeated page, or a next cursor or URL that points to the same page, ends the list instead of being \
               an error. Use it only for APIs known to end this way.";
    let repeat = end.flag("repeat", false, doc);
    let doc = "Where a header announces the next page: a full first page without that header is the only page, as on GitHub. \
               Otherwise this is an error, since a proxy may have removed the header.";
    let no_link = end.flag("no_link", false, doc);
    if short_page && pagination.size().is_none() && !end.is_describing() {
        end.fail(
            "short_page",
            "needs the page size: size: { parameter: limit, value: 100 }",
        );
    }
    let default = || if pagination.counts() { vec![404] } else { Vec::new() };
    PageEnd {
        when,
        status: status.unwrap_or_else(default),
        short_page,
        repeat,
        no_link,
    }
}

fn read_in(section: &Section<'_>) -> bool {
    section.choice(
        "in",
        Some("query"),
        &["query", "body"],
        "Where the page, cursor and size are sent.",
    ) == Some("body")
}

fn read_next_url(section: &Section<'_>) -> Pagination {
    let doc = "Where the URL is: absolute or relative, on the same host (see `next_urls`). If it is absent, null or \
               \"\", the list ends. Set either this or `header`.";
    let next = section.optional_jq("next", "required without `header`", doc);
    let doc = "Response header with the URL. If it is absent or empty, the list ends.";
    let header = section.optional_header("header", "required without `next`", doc);
    let size = read_size(section, "Page size, if the API accepts one.");
    if next.is_some() == header.is_some() && !section.is_describing() {
        section.fail_here("needs exactly one of next and header with type: next_url");
    }
    match (next, header) {
        (None, Some(header)) => Pagination::NextUrlHeader { header, size },
        (next, _) => Pagination::NextUrl {
            next: next.unwrap_or_default(),
            size,
        },
    }
}

fn read_cursor(section: &Section<'_>) -> Pagination {
    Pagination::Cursor {
        next: section.required_jq(
            "next",
            "Where the next cursor is, of at most 8,192 bytes. If it is absent, null or \"\", the list ends.",
        ),
        parameter: section.required_text(
            "parameter",
            "Query parameter or body field for the cursor. Dots address nested objects (`variables.after`).",
        ),
        in_body: read_in(section),
        size: read_size(section, "Page size, if the API accepts one."),
    }
}

fn read_page(section: &Section<'_>) -> Pagination {
    let doc = "Query parameter or body field for the page number.";
    let parameter = section.optional_text("parameter", "page", doc);
    let first = section.choice("first", Some("1"), &["0", "1"], "Number of the first page.");
    let pages = "Where the total number of pages is. Saves the final request that would return an empty page. A 404 for one of these \
                 pages is an error.";
    Pagination::Page {
        parameter: parameter.unwrap_or_else(|| "page".to_owned()),
        in_body: read_in(section),
        first: u64::from(first != Some("0")),
        size: read_size(section, "Page size, if the API accepts one."),
        total_pages: section.optional_jq("total_pages", "none", pages),
        total: section.optional_jq("total", "none", TOTAL),
    }
}

const TOTAL: &str = "Where the total number of items is. Saves the final request that would return an empty page. The \
                     total must count only the listed items: an empty page or a 404 before it is reached is an error.";

fn read_offset(section: &Section<'_>) -> Pagination {
    let doc = "Query parameter or body field for the offset.";
    let parameter = section.optional_text("parameter", "offset", doc);
    let total = section.optional_jq("total", "none", TOTAL);
    let in_body = read_in(section);
    let first = section.choice(
        "first",
        Some("0"),
        &["0", "1"],
        "Offset of the first item; SCIM's `startIndex` begins at 1.",
    );
    let size = read_size(section, "Page size (required with offsets).");
    if size.is_none() && !section.is_describing() {
        section.fail(
            "size",
            "is missing; offsets need the page size: size: { parameter: limit, value: 500 }",
        );
    }
    Pagination::Offset {
        parameter: parameter.unwrap_or_else(|| "offset".to_owned()),
        in_body,
        first: u64::from(first == Some("1")),
        size: size.unwrap_or(PageSize {
            parameter: String::new(),
            size: 1,
        }),
        total,
    }
}

fn read_size(section: &Section<'_>, doc: &'static str) -> Option<PageSize> {
    section.optional_section("size", doc, |size| PageSize {
        parameter: size.required_text("parameter", "Query parameter or body field for the page size."),
        size: size.required_count("value", 1..=10_000, "Items per page."),
    })
}
