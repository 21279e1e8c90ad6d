use super::reader::Section;
use super::settings::{PageSize, Pagination};

const TYPES: [&str; 7] = ["none", "cursor", "next_url", "link_header", "header", "page", "offset"];

/// Nothing given: one page.
pub(super) fn read_pagination(pagination: &Section<'_>) -> Pagination {
    let doc = "`cursor`: a cursor in the answer. `next_url`: a URL in the answer. `link_header`: RFC 8288. `header`: a cursor in \
               a header of the answer. `page`: page numbers. `offset`: offsets. `none`: one page.";
    let chosen = pagination.choice("type", Some("none"), &TYPES, doc);
    let read = [
        pagination.variant(chosen, "cursor", read_cursor),
        pagination.variant(chosen, "next_url", |section| Pagination::NextUrl {
            next: section.required_jq(
                "next",
                "Where the URL is, absolute or relative, of the same host. Absent or null ends.",
            ),
            size: read_size(section, "Page size, if the API takes one."),
        }),
        pagination.variant(chosen, "link_header", |section| Pagination::LinkHeader {
            size: read_size(section, "Page size, if the API takes one."),
        }),
        pagination.variant(chosen, "header", |section| Pagination::Header {
            header: section.required_header(
                "header",
                "Header of the answer with the next cursor. Absent or empty ends.",
            ),
            parameter: section.required_text("parameter", "Query parameter that takes the cursor."),
            size: read_size(section, "Page size, if the API takes one."),
        }),
        pagination.variant(chosen, "page", read_page),
        pagination.variant(chosen, "offset", read_offset),
    ];
    read.into_iter().flatten().next().unwrap_or(Pagination::None)
}

fn read_cursor(section: &Section<'_>) -> Pagination {
    Pagination::Cursor {
        next: section.required_jq("next", "Where the next cursor is. Absent, null or \"\" ends."),
        parameter: section.required_text(
            "parameter",
            "Query parameter or member of the body that takes the cursor.",
        ),
        in_body: section.choice("in", Some("query"), &["query", "body"], "Where the cursor goes.") == Some("body"),
        size: read_size(section, "Page size, if the API takes one."),
    }
}

fn read_page(section: &Section<'_>) -> Pagination {
    let parameter = section.optional_text("parameter", "page", "Query parameter that takes the page number.");
    let first = section.choice("first", Some("1"), &["0", "1"], "Number of the first page.");
    Pagination::Page {
        parameter: parameter.unwrap_or_else(|| "page".to_owned()),
        first: u64::from(first != Some("0")),
        size: read_size(section, "Page size, if the API takes one."),
        total_pages: section.optional_jq("total_pages", "none", "Where the number of pages is."),
        total: section.optional_jq("total", "none", "Where the number of items is."),
    }
}

fn read_offset(section: &Section<'_>) -> Pagination {
    let parameter = section.optional_text("parameter", "offset", "Query parameter that takes the offset.");
    let total = section.optional_jq("total", "none", "Where the number of items is.");
    let size = read_size(section, "Page size; offsets need it.");
    if size.is_none() && !section.is_describing() {
        section.fail(
            "size",
            "is missing; offsets need the page size: size: { parameter: limit, value: 500 }",
        );
    }
    Pagination::Offset {
        parameter: parameter.unwrap_or_else(|| "offset".to_owned()),
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
