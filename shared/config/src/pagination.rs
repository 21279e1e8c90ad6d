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
    let doc = "`cursor`: a cursor in the answer. `next_url`: a URL in the answer. `link_header`: RFC 8288. `header`: a cursor in \
               a header of the answer. `page`: page numbers. `offset`: offsets. `none`: one page.";
    let chosen = section.choice("type", Some("none"), &TYPES, doc);
    let read = [
        section.variant(chosen, "cursor", read_cursor),
        section.variant(chosen, "next_url", read_next_url),
        section.variant(chosen, "link_header", |section| Pagination::LinkHeader {
            size: read_size(section, "Page size, if the API takes one."),
        }),
        section.variant(chosen, "header", |section| Pagination::Header {
            header: section.required_header(
                "header",
                "Header of the answer with the next cursor. Absent or empty ends.",
            ),
            parameter: section.required_text(
                "parameter",
                "Query parameter or member of the body that takes the cursor.",
            ),
            in_body: read_in(section),
            size: read_size(section, "Page size, if the API takes one."),
        }),
        section.variant(chosen, "page", read_page),
        section.variant(chosen, "offset", read_offset),
    ];
    let pagination = read.into_iter().flatten().next().unwrap_or(Pagination::None);
    let doc = "What ends the pages besides what the type says. An empty page, a total that is reached, or the absence of a next \
               cursor or URL always does.";
    let end = section.section("end", doc, |end| read_end(end, &pagination));
    let doc = "Items never move between pages while they are read: cursors by key (keyset), or a list that only grows at its \
               end. Then an entity goes after one complete cycle without it (`removals.confirm_cycles`).";
    let stable = section.flag("stable", false, doc);
    Paging {
        pagination,
        end,
        stable,
    }
}

fn read_end(end: &Section<'_>, pagination: &Pagination) -> PageEnd {
    let doc = "jq expression over the answer, such as `.last` or `.hasMore | not`. True: this page is the last one.";
    let when = end.optional_jq("when", "none", doc);
    let doc = "Statuses that say that there is no such page, in answer to a request for a page after the first.";
    let status = end.statuses("status", "[404] with `page` and `offset`; else none", doc);
    let doc = "A page with fewer items than asked for is the last one. Only for APIs that never give short pages before it: if \
               one does, what comes after is not read and, later, deleted.";
    let short_page = end.flag("short_page", false, doc);
    let doc = "A page like the one before, or a next cursor or URL that is the page's own, ends the pages instead of being an \
               error. Only for APIs that are known to end so.";
    let repeat = end.flag("repeat", false, doc);
    let doc = "With `link_header`: a full first page without any `Link` header is the only one, as at GitHub. Without this it is \
               an error, since something on the way may take the header out.";
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
        "Where page, cursor and size go.",
    ) == Some("body")
}

fn read_next_url(section: &Section<'_>) -> Pagination {
    let doc = "Where the URL is, absolute or relative, of the same host (see `next_urls`). Absent, null or \"\" ends. Either \
               this or `header`.";
    let next = section.optional_jq("next", "required without `header`", doc);
    let doc = "Header of the answer that holds the URL. Absent or empty ends.";
    let header = section.optional_header("header", "required without `next`", doc);
    let size = read_size(section, "Page size, if the API takes one.");
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
        next: section.required_jq("next", "Where the next cursor is. Absent, null or \"\" ends."),
        parameter: section.required_text(
            "parameter",
            "Query parameter or member of the body that takes the cursor; dots lead into inner objects (`variables.after`).",
        ),
        in_body: read_in(section),
        size: read_size(section, "Page size, if the API takes one."),
    }
}

fn read_page(section: &Section<'_>) -> Pagination {
    let doc = "Query parameter or member of the body that takes the page number.";
    let parameter = section.optional_text("parameter", "page", doc);
    let first = section.choice("first", Some("1"), &["0", "1"], "Number of the first page.");
    let pages = "Where the number of pages is. Saves the request that finds the page after the last one empty.";
    Pagination::Page {
        parameter: parameter.unwrap_or_else(|| "page".to_owned()),
        in_body: read_in(section),
        first: u64::from(first != Some("0")),
        size: read_size(section, "Page size, if the API takes one."),
        total_pages: section.optional_jq("total_pages", "none", pages),
        total: section.optional_jq("total", "none", TOTAL),
    }
}

const TOTAL: &str = "Where the number of items is. Saves the request that finds the page after the last one empty. It must count \
                     only what is listed: an empty page before it is reached is an error.";

fn read_offset(section: &Section<'_>) -> Pagination {
    let doc = "Query parameter or member of the body that takes the offset.";
    let parameter = section.optional_text("parameter", "offset", doc);
    let total = section.optional_jq("total", "none", TOTAL);
    let in_body = read_in(section);
    let size = read_size(section, "Page size; offsets need it.");
    if size.is_none() && !section.is_describing() {
        section.fail(
            "size",
            "is missing; offsets need the page size: size: { parameter: limit, value: 500 }",
        );
    }
    Pagination::Offset {
        parameter: parameter.unwrap_or_else(|| "offset".to_owned()),
        in_body,
        size: size.unwrap_or(PageSize {
            parameter: String::new(),
            size: 1,
        }),
        total,
    }
}

fn read_size(section: &Section<'_>, doc: &'static str) -> Option<PageSize> {
    section.optional_section("size", doc, |size| PageSize {
        parameter: size.required_text("parameter", "Query parameter (or member of the body) that asks for it."),
        size: size.required_count("value", 1..=10_000, "Items per page."),
    })
}
