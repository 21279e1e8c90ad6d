//! How the `http` source goes from page to page, and what of an answer ends or fails it.

use super::Resource;

/// How to get from page to page.
#[derive(Clone, Debug)]
pub enum Pagination {
    /// One page.
    None,
    /// `type: cursor`: jq expression `next` over the answer; sent as query parameter `parameter` (or, with `in: body`, as
    /// that member of the POST body). Absent, null or "" ends.
    Cursor {
        /// jq expression.
        next: String,
        /// Query parameter, or member of the body.
        parameter: String,
        /// It goes into the body.
        in_body: bool,
        /// Page size, if the API takes one.
        size: Option<PageSize>,
    },
    /// `type: next_url` with `next`: jq expression over the answer for a URL, absolute or relative, of the same host.
    NextUrl {
        /// jq expression.
        next: String,
        /// Page size for the first request.
        size: Option<PageSize>,
    },
    /// `type: next_url` with `header`: the same, from a header of the answer.
    NextUrlHeader {
        /// Name of the header.
        header: String,
        /// Page size for the first request.
        size: Option<PageSize>,
    },
    /// `type: link_header`: RFC 8288, `rel="next"`.
    LinkHeader {
        /// Page size for the first request.
        size: Option<PageSize>,
    },
    /// `type: header`: the next cursor in an answer's header, sent as query parameter.
    Header {
        /// Name of the header.
        header: String,
        /// Query parameter, or member of the body.
        parameter: String,
        /// It goes into the body.
        in_body: bool,
        /// Page size.
        size: Option<PageSize>,
    },
    /// `type: page`: page number. Ends at an empty page, or when `total_pages` or `total` is reached.
    Page {
        /// Query parameter, or member of the body.
        parameter: String,
        /// It goes into the body.
        in_body: bool,
        /// The first page's number, 0 or 1 (default).
        first: u64,
        /// Page size, if the API takes one.
        size: Option<PageSize>,
        /// jq expression for the number of pages.
        total_pages: Option<String>,
        /// jq expression for the number of items.
        total: Option<String>,
    },
    /// `type: offset`. Ends at an empty page, or when `total` is reached.
    Offset {
        /// Query parameter, or member of the body.
        parameter: String,
        /// It goes into the body.
        in_body: bool,
        /// Offset of the first item: 0, or 1.
        first: u64,
        /// Page size: needed.
        size: PageSize,
        /// jq expression for the number of items.
        total: Option<String>,
    },
}

impl Pagination {
    /// Whether the page is asked for in the body of a POST.
    #[must_use]
    pub fn in_body(&self) -> bool {
        match self {
            Self::Cursor { in_body, .. }
            | Self::Header { in_body, .. }
            | Self::Page { in_body, .. }
            | Self::Offset { in_body, .. } => *in_body,
            Self::None | Self::NextUrl { .. } | Self::NextUrlHeader { .. } | Self::LinkHeader { .. } => false,
        }
    }

    /// Whether pages are counted, so that nothing in an answer need say whether another one follows.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(self, Self::Page { .. } | Self::Offset { .. })
    }

    /// The page size, if one is asked for.
    #[must_use]
    pub fn size(&self) -> Option<&PageSize> {
        match self {
            Self::None => None,
            Self::Offset { size, .. } => Some(size),
            Self::Cursor { size, .. }
            | Self::NextUrl { size, .. }
            | Self::NextUrlHeader { size, .. }
            | Self::LinkHeader { size }
            | Self::Header { size, .. }
            | Self::Page { size, .. } => size.as_ref(),
        }
    }

    /// Query parameters that the pagination sets itself.
    #[must_use]
    pub fn query_parameters(&self) -> Vec<&str> {
        let parameter = match self {
            Self::Cursor { parameter, .. }
            | Self::Header { parameter, .. }
            | Self::Page { parameter, .. }
            | Self::Offset { parameter, .. } => Some(parameter.as_str()),
            Self::None | Self::NextUrl { .. } | Self::NextUrlHeader { .. } | Self::LinkHeader { .. } => None,
        };
        if self.in_body() {
            return Vec::new();
        }
        let size = self.size().map(|size| size.parameter.as_str());
        parameter.into_iter().chain(size).collect()
    }
}

impl Resource {
    /// Whether items that move between pages while they are read may be missed. A cursor or a next URL may hide a page number
    /// or an offset, so all of them do unless the configuration says otherwise.
    #[must_use]
    pub fn drifts(&self) -> bool {
        !self.stable && !matches!(self.pagination, Pagination::None)
    }

    /// Query parameters of the configuration that the pagination sets itself: its values count.
    #[must_use]
    pub fn overridden_query(&self) -> Vec<&str> {
        let mut names = self.pagination.query_parameters();
        names.retain(|name| self.query.contains_key(*name));
        names
    }
}

/// A page size and the parameter that asks for it.
#[derive(Clone, Debug)]
pub struct PageSize {
    /// Query parameter (or member of the body with `in: body`).
    pub parameter: String,
    /// Items per page, 1–10,000.
    pub size: u32,
}

/// What ends the pages besides what the type of pagination says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageEnd {
    /// `when`: jq expression over the answer; true: this is the last page.
    pub when: Option<String>,
    /// `status`: the answer to a request for a page after the first that says that there is none. Default 404 for `page` and
    /// `offset`.
    pub status: Vec<u16>,
    /// `short_page`: a page with fewer items than asked for is the last one.
    pub short_page: bool,
    /// `repeat`: a page like the one before, or a next cursor or URL that is the page's own, ends the pages.
    pub repeat: bool,
    /// `no_link`: a full first page without the header that would tell the next one is the only one.
    pub no_link: bool,
}

/// Which next URLs are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextUrls {
    /// Hosts, with a port if it is not the default one, besides that of `base_url`.
    pub hosts: Vec<String>,
    /// Path under which the API believes itself to be, without a slash at its end; the path of `base_url` takes its place.
    pub base_path: Option<String>,
}

/// What of a successful answer says that it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FailIf {
    /// Of a GraphQL query: `errors`.
    #[default]
    Default,
    /// Nothing.
    Never,
    /// jq expression that makes something other than false, null or "".
    Expression(String),
}

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerFormat {
    /// As `Content-Type` says.
    #[default]
    Auto,
    /// One JSON text.
    Json,
    /// One JSON text per line.
    Ndjson,
    /// YAML documents, each an item.
    Yaml,
}
