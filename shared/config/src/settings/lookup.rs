use std::collections::BTreeMap;

use super::{PageEnd, Pagination};

/// A second list that is read beside a resource's own; its values are `$lookup` in the resource's expressions.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// `path`: joined to `base_url`; `{name}` is a value of the partition, percent-encoded.
    pub path: String,
    /// `query`: name → template with `{name}`.
    pub query: BTreeMap<String, String>,
    /// `pagination` of the list.
    pub pagination: Pagination,
    /// `pagination.end` of the list.
    pub end: PageEnd,
    /// `items`: jq expression over the answer; default `.` for an array, `.items` otherwise.
    pub items: Option<String>,
    /// `entries`: jq expression over an item that makes objects of `key` and `value`.
    pub entries: String,
    /// `item_query`: what narrows the list where one item is read; `{name}` is a value that a rule of `on` gives.
    pub item_query: BTreeMap<String, String>,
}

/// One of the APIs that a server may have. The first whose probe succeeds is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// Unique name.
    pub name: String,
    /// `probe`: path that only a server with this API has, joined to `base_url`.
    pub probe: String,
    /// `query` of the probe.
    pub query: BTreeMap<String, String>,
}
