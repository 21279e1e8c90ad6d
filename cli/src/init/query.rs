//! The query of the URL that was given: which parameters choose a page, and which belong to the list.

use chrono::NaiveDate;
use url::Url;

/// Parameters that say how long a page is.
const SIZES: [&str; 26] = [
    "per_page",
    "perPage",
    "limit",
    "page_size",
    "pageSize",
    "pagesize",
    "maxResults",
    "max_results",
    "maxRecords",
    "count",
    "size",
    "rows",
    "take",
    "top",
    "$top",
    "_limit",
    "itemsPerPage",
    "items_per_page",
    "resultsPerPage",
    "results_per_page",
    "page[size]",
    "page[limit]",
    "pagination[pageSize]",
    "pagination[limit]",
    "hitsPerPage",
    "sysparm_limit",
];

/// Parameters that number pages.
const PAGES: [&str; 15] = [
    "page",
    "p",
    "page_number",
    "pageNumber",
    "pagenumber",
    "pageNo",
    "page_no",
    "pageIndex",
    "page_index",
    "currentPage",
    "current_page",
    "pageNum",
    "_page",
    "page[number]",
    "pagination[page]",
];

/// Parameters that hold the number of the first item, each with the usual one for the page size.
const OFFSETS: [(&str, &str); 12] = [
    ("offset", "limit"),
    ("skip", "limit"),
    ("startAt", "maxResults"),
    ("start_at", "max_results"),
    ("startIndex", "count"),
    ("start", "limit"),
    ("from", "size"),
    ("$skip", "$top"),
    ("_start", "_limit"),
    ("page[offset]", "page[limit]"),
    ("pagination[start]", "pagination[limit]"),
    ("sysparm_offset", "sysparm_limit"),
];

/// Offsets that may as well be a time: only beside a page size, and not as large as a Unix time.
const AMBIGUOUS: [&str; 2] = ["start", "from"];
/// An offset that is larger is none.
const MAX_AMBIGUOUS: u64 = 10_000_000;

/// Parameters that hold a cursor.
const CURSORS: [&str; 22] = [
    "cursor",
    "after",
    "page_token",
    "pageToken",
    "nextPageToken",
    "next_token",
    "nextToken",
    "pagination_token",
    "starting_after",
    "start_cursor",
    "after_id",
    "continue",
    "continuation",
    "continuation_token",
    "continuationToken",
    "marker",
    "next_cursor",
    "nextCursor",
    "$skiptoken",
    "$skipToken",
    "page[after]",
    "page[cursor]",
];

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Page,
    Offset,
    Cursor,
    Size,
    /// What is listed.
    List,
}

/// The parameters, in their order.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub(super) fn of(url: &Url) -> Self {
        Self {
            pairs: url.query_pairs().into_owned().collect(),
        }
    }

    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// What a parameter is for. Positions and sizes are numbers: `?from=2024-01-01` is a filter.
    pub(super) fn role(&self, name: &str, value: &str) -> Role {
        let number = value.parse::<u64>().ok();
        match number {
            Some(_) if PAGES.contains(&name) => Role::Page,
            Some(number) if is_offset(name) && self.is_sure(name, number) => Role::Offset,
            Some(1..=10_000) if SIZES.contains(&name) => Role::Size,
            _ if CURSORS.contains(&name) && !is_date(value) => Role::Cursor,
            _ => Role::List,
        }
    }

    fn is_sure(&self, offset: &str, number: u64) -> bool {
        !AMBIGUOUS.contains(&offset) || (self.size().is_some() && number <= MAX_AMBIGUOUS)
    }

    fn with(&self, role: Role) -> Option<(&str, &str)> {
        let pairs = self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.into_iter().find(|(name, value)| self.role(name, value) == role)
    }

    /// The parameter that numbers pages, and the page that was read.
    pub(super) fn page(&self) -> Option<(&str, u64)> {
        let (name, value) = self.with(Role::Page)?;
        Some((name, value.parse().ok()?))
    }

    /// The parameter that holds an offset.
    pub(super) fn offset(&self) -> Option<&str> {
        self.with(Role::Offset).map(|(name, _)| name)
    }

    /// The parameter that holds a cursor: `usual`, or another that was given.
    pub(super) fn cursor(&self, usual: &str) -> Option<&str> {
        let given = self.pairs.iter().find(|(name, _)| name == usual);
        given
            .map(|(name, _)| name.as_str())
            .or_else(|| self.with(Role::Cursor).map(|(name, _)| name))
    }

    /// Cursors that begin with `*`, as those of Solr do, cannot be told from the beginning of the list.
    pub(super) fn begins_with_a_star(&self) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.any(|(name, value)| value == "*" && name.to_ascii_lowercase().contains("cursor"))
    }

    /// The page size parameter, and its value.
    pub(super) fn size(&self) -> Option<(String, u32)> {
        let sizes = self.pairs.iter().filter(|(name, _)| SIZES.contains(&name.as_str()));
        let sizes = sizes.filter_map(|(name, value)| Some((name.clone(), value.parse().ok()?)));
        sizes.into_iter().find(|(_, size)| (1..=10_000).contains(size))
    }
}

/// `?after=2024-01-01` is a filter.
fn is_date(value: &str) -> bool {
    let date = value.get(..10);
    date.is_some_and(|date| NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok())
}

fn is_offset(name: &str) -> bool {
    OFFSETS.iter().any(|(offset, _)| *offset == name)
}

/// The usual parameter for the page size beside an offset.
pub(super) fn size_beside(offset: &str) -> &'static str {
    let known = OFFSETS.iter().find(|(name, _)| *name == offset);
    known.map_or("limit", |(_, size)| size)
}
