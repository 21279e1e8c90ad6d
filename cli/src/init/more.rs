//! What in a response says that there is more than it holds.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::Sample;

/// Members that count all items, of all pages.
const TOTALS: [&str; 15] = [
    "total",
    "total_count",
    "totalCount",
    "totalResults",
    "total_results",
    "totalSize",
    "totalElements",
    "totalItems",
    "total_items",
    "totalRecords",
    "total_records",
    "recordsTotal",
    "numFound",
    "@odata.count",
    "count",
];

/// Members that say whether there is more.
const MORE: [&str; 10] = [
    "has_more",
    "hasMore",
    "more",
    "has_next",
    "hasNext",
    "hasNextPage",
    "has_next_page",
    "more_items_in_collection",
    "truncated",
    "isTruncated",
];

/// Members that say whether this is all.
const LAST: [&str; 6] = ["isLast", "is_last", "isLastPage", "last", "done", "lastPage"];

/// Headers that count all items.
const TOTAL_HEADERS: [&str; 4] = ["x-total-count", "x-total", "x-wp-total", "total-count"];

impl Sample<'_> {
    /// jq path of the total and the total, if it is more than came. What equals the items may as well count those of
    /// the page.
    pub(super) fn total(&self) -> Option<(String, u64)> {
        self.scopes.iter().find_map(|scope| {
            TOTALS.iter().find_map(|name| {
                let total = scope.number(name)?;
                let counts_all = match *name {
                    // Elsewhere it counts the items of the page, or those that were asked for.
                    "count" => ["results", "next", "previous"].iter().any(|name| scope.has(name)),
                    // Beside `records`, as in jqGrid, it counts pages.
                    "total" => scope.number("records").is_none(),
                    _ => true,
                };
                (counts_all && total > self.count()).then(|| (scope.path(name), total))
            })
        })
    }

    /// jq condition that this is the last page.
    pub(super) fn last(&self) -> Option<String> {
        self.scopes.iter().find_map(|scope| {
            let flag = |names: &[&'static str]| {
                let is_flag = |name: &&&str| scope.get(name).is_some_and(Value::is_boolean);
                names.iter().find(is_flag).map(|name| scope.path(name))
            };
            flag(&MORE)
                .map(|path| format!("{path} == false"))
                .or_else(|| flag(&LAST))
        })
    }

    /// Everything that says that there is more, such as `has_more: true`.
    pub(super) fn signs_of_more(&self) -> Vec<String> {
        let mut signs = Vec::new();
        for scope in &self.scopes {
            let flags = (MORE.iter().map(|name| (name, true))).chain(LAST.iter().map(|name| (name, false)));
            signs.extend(
                flags
                    .filter(|(name, more)| scope.get(name) == Some(&Value::Bool(*more)))
                    .map(|(name, more)| format!("{name}: {more}")),
            );
            let next = scope.members().filter(|(name, value)| is_next(name) && is_given(value));
            signs.extend(next.map(|(name, _)| scope.path(name)));
        }
        if let Some((path, total)) = self.total() {
            let name = path.rsplit('.').next().unwrap_or_default();
            signs.insert(0, format!("{name} {total}"));
        }
        signs.extend(in_headers(self.headers, self.count()));
        if signs.is_empty()
            && let Some((name, size)) = self.query.size()
            && self.count() >= u64::from(size)
        {
            signs.push(format!("a full page, with {name}={size}"));
        }
        signs
    }
}

fn in_headers(headers: &HeaderMap, count: u64) -> Vec<String> {
    let signs = headers.iter().filter_map(|(name, value)| {
        let (name, value) = (name.as_str(), value.to_str().ok()?.trim());
        let is_total = TOTAL_HEADERS.contains(&name) && value.parse::<u64>().is_ok_and(|total| total > count);
        let is_pages = name.starts_with("x-") && name.contains("total") && name.contains("pages");
        let more_pages = is_pages && value.parse::<u64>().is_ok_and(|pages| pages > 1);
        let leads_on = name.starts_with("x-next") || name.contains("continuation");
        (is_total || more_pages || (leads_on && !value.is_empty())).then(|| {
            let value: String = value.chars().take(40).collect();
            format!("{name}: {value}")
        })
    });
    signs.collect()
}

/// `next`, `next_page`, `nextToken`, but no `nextRun`, which is about an item.
fn is_next(name: &str) -> bool {
    let rest = name.trim_start_matches(['@', '_']).strip_prefix("next");
    let about_pages = [
        "", "page", "token", "cursor", "url", "link", "offset", "start", "records", "marker", "id",
    ];
    rest.is_some_and(|rest| {
        let rest = rest.trim_start_matches(['_', '-']).to_lowercase();
        about_pages.iter().any(|word| {
            if word.is_empty() {
                rest.is_empty()
            } else {
                rest.starts_with(word)
            }
        })
    })
}

pub(super) fn is_given(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Number(_) => true,
        Value::Object(members) => members.values().any(is_given),
        _ => false,
    }
}
